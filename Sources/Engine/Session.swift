import Commands
import Keyspace
import Primitives
import RESP

// What the engine knows of one client: selected database, protocol, transaction, watched keys, waiting state, and
// the replies that were made but may not all leave yet.

/// A run of reply bytes that may leave once the log is durable up to an offset.
package struct GatedReplies {
    /// Bytes of `Session.output` up to here belong to this run and the ones before it.
    package var end: Int
    package var offset: LogOffset
}

/// A command kept for later: inside MULTI, or of a waiting client. Owns a copy of the arguments.
package final class StoredCommand {
    package let id: Int
    package let arguments: Arguments
    /// The ranges of the arguments, and their bytes.
    private let block: UnsafeMutableRawPointer
    package let byteCount: Int

    package init(id: Int, _ arguments: Arguments) {
        self.id = id
        var total = 0
        for index in 0..<arguments.count { total += arguments[index].count }
        byteCount = total
        var offset = arguments.count * MemoryLayout<Bytes>.stride
        block = Heap.allocate(offset + total)
        let ranges = block.bindMemory(to: Bytes.self, capacity: arguments.count)
        for index in 0..<arguments.count {
            let source = arguments[index]
            if let start = source.baseAddress { (block + offset).copyMemory(from: start, byteCount: source.count) }
            (ranges + index).initialize(to: Bytes(start: block + offset, count: source.count))
            offset += source.count
        }
        self.arguments = Arguments(base: UnsafePointer(ranges), count: arguments.count)
    }

    deinit { Heap.free(block) }
}

/// A key of a database as a value, for the tables of watchers and waiters (not on the path of ordinary commands).
package struct KeyName: Hashable {
    package let database: Int
    package let key: [UInt8]
    package init(_ key: Bytes, _ database: Int) {
        self.key = Array(key)
        self.database = database
    }

    private init(database: Int) {
        key = []
        self.database = database
    }

    /// Stands for what is waited for where it is no key; no database has this number.
    static let keyless = KeyName(database: -1)
}

package struct Waiting {
    package let command: StoredCommand
    package let keys: [KeyName]
    package let timeoutReply: BlockRequest.TimeoutReply
    /// Unix time in ms; nil: for ever.
    package let deadline: UnixMilliseconds?
    package let since: UnixMilliseconds
    /// When the command is run again even if none of its keys changed, Unix time in ms; nil: never.
    package var retryAt: UnixMilliseconds?
}

package struct WatchedKey {
    package let name: KeyName
    /// There was such a key when WATCH saw it, and its time had not come.
    package let existed: Bool
    /// It was past its time when WATCH saw it: its removal is no change.
    package let wasExpired: Bool
}

package final class Session {
    package let id: Int64
    package var database = 0
    package var version = RESPVersion.resp2
    /// nil: the server itself, who may do everything.
    package internal(set) var user: User?
    /// A password was given, or none was needed when the session began.
    package internal(set) var isAuthenticated = true
    /// Nothing but AUTH and its like is answered.
    package internal(set) var mustAuthenticate = false
    /// Commands are looked at before they run (Access/).
    package internal(set) var isRestricted = false
    /// Whose script runs its commands here.
    package internal(set) unowned(unsafe) var caller: Session?

    /// Replies in order; the first `sentCount` bytes are sent, those up to `releasable` may be.
    package let output: UnsafeMutablePointer<OwnedBytes>
    package private(set) var sentCount = 0
    /// Runs of gated bytes, in order; bytes before the first run's start are free to go.
    package var gates: [GatedReplies] = []
    /// Output bytes that are not behind any gate, counted from the start (only while `gates` is empty).
    package var isQueuedForFlush = false

    package var inMulti = false
    package private(set) var queue: [StoredCommand] = []
    /// What the queued commands take.
    package private(set) var queuedBytes = 0
    /// A queued command was refused: EXEC aborts.
    package var transactionFailed = false
    /// A watched key changed: EXEC answers null.
    package var watchBroken = false
    package private(set) var watched: [WatchedKey] = []
    /// What the names of the watched keys take.
    package private(set) var watchedBytes = 0

    /// How its next EVAL is run; and this process is a copy of the server for it alone.
    package internal(set) var debugMode = ScriptDebugMode.off
    package var isForkedForDebugging = false

    /// What HIMPORT PREPARE named.
    var fieldsets: [Fieldset] = [] {
        didSet { fieldsetBytes = fieldsets.reduce(0) { $0 + $1.byteCount } }
    }
    package private(set) var fieldsetBytes = 0

    package var waiting: Waiting?
    /// Where the log ended after the session's last write.
    package var lastWriteEnd = LogOffset(0)

    /// What replies wait for, and what they will wait for once those that wait now are out.
    package internal(set) var durability = Durability.standard
    package internal(set) var wantedDurability = Durability.standard

    /// `Engine.writerMark` at its last write.
    var writerMark = 0
    package var closeAfterReplies = false
    package var kind = ClientKind.normal
    package var noTouch = false
    /// CLIENT IMPORT-SOURCE: while the server imports data, keys that are past their time are there for this client.
    package var isImportSource = false
    package var replyMode = ReplyMode.on
    package enum ReplyMode { case on, off, skip, skipNext }

    /// The connection that the server keeps for it; the engine only hands it back. The connection owns the session
    /// and takes itself away when it ends. (A weak reference would cost each retain of it a detour.)
    package unowned(unsafe) var link: (any SessionLink)?

    // What CLIENT LIST shows.
    package var name: [UInt8] = []
    package var libraryName: [UInt8] = []
    package var libraryVersion: [UInt8] = []
    package var createdAt = UnixMilliseconds(0)
    package var lastActiveAt = UnixMilliseconds(0)
    package var lastCommandID = -1
    package var commandCount = 0
    /// Of its socket.
    package var receivedBytes = 0
    package private(set) var transmittedBytes = 0
    /// CLIENT CAPA, a letter each.
    package var capabilities = ""
    package var noEvict = false
    package var isMonitor = false
    /// REPLCONF rdb-only: the next SYNC is for a dump and nothing after it. Likewise for the libraries alone.
    package var wantsDump = false
    package var wantsFunctionsAlone = false
    package var subscriptions = Subscriptions()
    package internal(set) var tracking: TrackingMode?

    package init(id: Int64) {
        self.id = id
        output = .allocate(capacity: 1)
        output.initialize(to: OwnedBytes(capacity: 256))
    }

    deinit {
        output.deinitialize(count: 1)
        output.deallocate()
    }

    package var reply: ReplyWriter { ReplyWriter(output, version) }

    func enqueue(_ command: StoredCommand) {
        queue.append(command)
        queuedBytes += command.byteCount + command.arguments.count * MemoryLayout<Bytes>.stride + 64
    }

    func clearQueue() {
        // A short queue's room serves the next transaction.
        if queue.capacity <= 64 { queue.removeAll(keepingCapacity: true) } else { queue = [] }
        queuedBytes = 0
    }

    func takeQueue() -> [StoredCommand] {
        queuedBytes = 0
        defer { queue = [] }
        return queue
    }

    func addWatched(_ key: WatchedKey) {
        watched.append(key)
        watchedBytes += key.name.key.count + MemoryLayout<WatchedKey>.stride + 32
    }

    func clearWatched() {
        watched = []
        watchedBytes = 0
    }

    func watchedKey(_ name: KeyName) -> WatchedKey? { watched.first { $0.name == name } }

    /// Bytes written so far may leave only when the log is durable up to `offset`. Ungated bytes written before
    /// the first gate are not held back by it: `start` is where the gated command's reply began.
    @inline(__always)
    package func gate(from start: Int, until offset: LogOffset) {
        if gates.isEmpty && start > 0 { gates.append(GatedReplies(end: start, offset: LogOffset(0))) }
        if let last = gates.last, last.offset == offset {
            gates[gates.count - 1].end = output.pointee.count
        } else {
            gates.append(GatedReplies(end: output.pointee.count, offset: offset))
        }
    }

    /// How many bytes at the front of `output` may be sent when the log is durable up to `durable`.
    @inline(__always)
    package func releasable(_ durable: LogOffset) -> Int {
        gates.isEmpty ? output.pointee.count : gatedReleasable(durable)
    }

    private func gatedReleasable(_ durable: LogOffset) -> Int {
        var count = 0
        for gate in gates {
            if gate.offset > durable { return count }
            count = gate.end
        }
        return output.pointee.count
    }

    /// `count` more bytes were taken by the socket. The sent front of a long output is dropped when it is half of it,
    /// so that sending n bytes in pieces moves O(n) bytes.
    package func sent(_ count: Int) {
        sentCount += count
        transmittedBytes &+= count
        if sentCount == output.pointee.count {
            sentCount = 0
            output.pointee.removeAll(keeping: Self.keptOutputBytes)
            if !gates.isEmpty {
                gates.removeAll(keepingCapacity: true)
                durability = wantedDurability
            }
        } else if sentCount >= Self.droppedFrom && sentCount >= output.pointee.count / 2 {
            dropSent()
        }
    }

    /// Room that a client keeps which is busy: long replies to a pipeline are not memory asked for anew each time.
    private static let keptOutputBytes = 1 << 18
    private static let droppedFrom = 1 << 14

    private func dropSent() {
        output.pointee.dropFirst(sentCount)
        var kept = 0
        for gate in gates where gate.end > sentCount {
            gates[kept] = GatedReplies(end: gate.end - sentCount, offset: gate.offset)
            kept += 1
        }
        gates.removeLast(gates.count - kept)
        sentCount = 0
    }
}

/// Whose limits a client's unsent output is held to.
package enum ClientKind: Sendable { case normal, replica, pubsub }

/// What the engine may ask of the connection behind a session.
package protocol SessionLink: AnyObject {
    /// Replies were added outside of the session's own input (a waiting command was served, a push message).
    func outputReady()
    /// Ends the connection once its replies are out.
    func closeSoon()
    /// What waits to be executed is more than a client may send; the connection ends.
    func queueOverLimit()
    /// Input that was held back while the session waited may be processed again.
    func resumeInput()
}
