import Engine
import Primitives

// `maxmemory-clients`: how much all clients together may take; over it the biggest go first.
//
// While there is a limit, a client is measured at the end of every round in which it read, was answered or was told
// something, after its replies were offered to the kernel; the sum is kept (`ClientTraffic.clientMemory`). Without a
// limit nobody is measured.
//
// Invariants
//  1. `clientMemory.used` is the sum of all connections' `notedMemory`.
//  2. CLIENT NO-EVICT protects a client from going, not from being counted, as in Redis.

/// The account of all clients' memory, in bytes.
struct ClientMemory {
    /// 0: no limit, and nobody is measured.
    var limit = 0
    var used = 0
    var isLimited: Bool { limit > 0 }
    var isOver: Bool { limit > 0 && used >= limit }
}

extension Connection {
    /// What the client takes now.
    var memory: SessionMemory { SessionMemory(session, input: pendingInput, inputCapacity: inputCapacity) }

    /// Brings the account up to date.
    func noteMemory() {
        let total = isOpen ? memory.total : 0
        traffic.pointee.clientMemory.used += total - notedMemory
        notedMemory = total
    }

    /// The connection is no longer counted.
    func forgetMemory() {
        traffic.pointee.clientMemory.used -= notedMemory
        notedMemory = 0
    }
}

extension ServerCore {
    /// A limit that is smaller would shut everybody out.
    private static let leastLimit = 128 << 10

    /// Takes the limit over from the settings; a share is one of `maxmemory`.
    func applyClientMemoryLimit() {
        let setting = configuration.maxmemoryClients, whole = configuration.maxmemory
        let bytes = setting >= 0 ? setting : whole / 100 * -setting + whole % 100 * -setting / 100
        traffic.pointee.clientMemory.limit = bytes == 0 ? 0 : max(bytes, Self.leastLimit)
        measureClients()
    }

    /// All of them anew, once a second too.
    func measureClients() {
        let isLimited = traffic.pointee.clientMemory.isLimited
        for connection in connections.values {
            if isLimited { connection.noteMemory() } else { connection.forgetMemory() }
        }
    }

    /// At the end of a round.
    func evictClients() {
        let biggestFirst = connections.values.filter { !$0.session.noEvict && $0.kind != .replica }
            .sorted { $0.notedMemory > $1.notedMemory }
        for connection in biggestFirst {
            if !traffic.pointee.clientMemory.isOver { return }
            noteEviction(connection)
            statistics.evictedClients += 1
            connection.closeNow()
        }
        if traffic.pointee.clientMemory.isOver { noteUselessEviction() }
    }
}
