import Commands
import Engine
import Primitives

/// What is known of the socket behind a session.
struct SocketFacts {
    var address = ""
    var localAddress = ""
    var descriptor = -1
    var isUnix = false
    var pendingInput = 0
    var inputCapacity = 0

    init(_ session: Session, _ core: ServerCore) {
        guard let connection = core.connections[session.id] else { return }
        address = connection.address
        localAddress = connection.localAddress
        descriptor = Int(connection.descriptor)
        isUnix = connection.isUnix
        pendingInput = connection.pendingInput
        inputCapacity = connection.inputCapacity
    }
}

extension SocketFacts {
    /// The address without its port, and an IPv6 one without brackets.
    var host: String {
        guard !isUnix, let colon = address.utf8.lastIndex(of: UInt8(ascii: ":")) else { return address }
        let host = address[..<colon]
        return host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : String(host)
    }
}

extension ServerCore {
    func session(_ id: Int64) -> Session? { connections[id]?.session }

    /// All sessions, oldest first.
    func sessionsInOrder() -> [Session] {
        connections.values.map(\.session).sorted { $0.id < $1.id }
    }

    /// Ends a client's connection at the end of the round. It gets nothing more of what it waited for.
    func kill(_ session: Session) {
        engine.unpark(session)
        connections[session.id]?.kill()
    }

    /// Holds commands back until `end`, longer or more of them if an earlier pause said so.
    func pause(until end: UnixMilliseconds, writesOnly: Bool) {
        let before = pause.flatMap { $0.until > engine.keyspace.now ? $0 : nil }
        let holdsAll = !writesOnly || before?.kind == .all
        pauseClients(holdsAll ? .all : .writes, until: before.map { max($0.until, end) } ?? end)
    }
}
