import Commands
import Engine
import Primitives

/// What TYPE filters choose by.
enum ClientTypeFilter {
    case normal, primary, replica, pubsub

    init(named name: Bytes) throws(CommandError) {
        if name.equalsIgnoringCase("NORMAL") {
            self = .normal
        } else if name.equalsIgnoringCase("MASTER") {
            self = .primary
        } else if name.equalsIgnoringCase("REPLICA") || name.equalsIgnoringCase("SLAVE") {
            self = .replica
        } else if name.equalsIgnoringCase("PUBSUB") {
            self = .pubsub
        } else {
            throw .message("ERR Unknown client type '\(Text(name))'")
        }
    }

    init(_ session: Session) { self = session.subscriptions.isEmpty ? .normal : .pubsub }
}

/// The lines of CLIENT LIST and CLIENT INFO.
enum ClientLine {
    static func describe(_ session: Session, _ core: ServerCore) -> OwnedBytes {
        var line = OwnedBytes(capacity: 512)
        write(session, core, &line)
        return line
    }

    static func describeAll(_ core: ServerCore, _ filter: ClientFilter) -> OwnedBytes {
        var text = OwnedBytes(capacity: 4096)
        for session in core.sessionsInOrder() where filter.matches(session, core) { write(session, core, &text) }
        return text
    }

    private static func write(_ session: Session, _ core: ServerCore, _ line: inout OwnedBytes) {
        let now = core.engine.keyspace.now.rawValue
        func field(_ name: StaticString, _ value: String) {
            line.append(name)
            line.append(value)
        }
        field("id=", "\(session.id)")
        let socket = SocketFacts(session, core)
        field(" addr=", socket.address)
        field(" laddr=", socket.localAddress)
        field(" fd=", "\(socket.descriptor)")
        line.append(" name=")
        session.name.withUnsafeBytes { line.append($0) }
        field(" age=", "\(max(0, now - session.createdAt.rawValue) / 1000)")
        field(" idle=", "\(max(0, now - session.lastActiveAt.rawValue) / 1000)")
        field(" flags=", flags(session, socket))
        field(" db=", "\(session.database)")
        field(" sub=", "\(session.subscriptions[.channel].count)")
        field(" psub=", "\(session.subscriptions[.pattern].count)")
        field(" ssub=", "\(session.subscriptions[.shardChannel].count)")
        field(" multi=", "\(session.inMulti ? session.queue.count : -1)")
        field(" watch=", "\(session.watched.count)")
        writeMemory(SessionMemory(session, input: socket.pendingInput, inputCapacity: socket.inputCapacity), &line)
        let events = session.output.pointee.isEmpty ? "r" : "rw"
        field(" events=", events)
        field(" cmd=", session.lastCommandID < 0 ? "NULL" : core.engine.table.rows[session.lastCommandID].fullName)
        line.append(" user=")
        if let user = session.user { user.name.withUnsafeBytes { line.append($0) } } else { line.append("(superuser)") }
        field(" redir=", "\(session.tracking?.redirection ?? -1)")
        field(" resp=", "\(session.version.rawValue)")
        line.append(" lib-name=")
        session.libraryName.withUnsafeBytes { line.append($0) }
        line.append(" lib-ver=")
        session.libraryVersion.withUnsafeBytes { line.append($0) }
        // As newer systems have it. No connection belongs to an I/O thread: they only lend a hand.
        field(" io-thread=", "0")
        field(" tot-net-in=", "\(session.receivedBytes)")
        field(" tot-net-out=", "\(session.transmittedBytes)")
        field(" tot-cmds=", "\(session.commandCount)")
        field(" capa=", session.capabilities)
        line.append("\n")
    }

    private static func writeMemory(_ memory: SessionMemory, _ line: inout OwnedBytes) {
        func field(_ name: StaticString, _ value: Int) {
            line.append(name)
            line.append("\(value)")
        }
        field(" qbuf=", memory.input)
        field(" qbuf-free=", memory.inputCapacity - memory.input)
        field(" argv-mem=", memory.waitingArguments)
        field(" multi-mem=", memory.queue)
        // Redis has a buffer of 16 KB, and a list for what doesn't fit; there is one buffer here, shown so.
        let isLong = memory.output > 16384
        field(" rbs=", isLong ? 16384 : memory.outputCapacity)
        field(" rbp=", isLong ? 0 : memory.output)
        field(" obl=", isLong ? 0 : memory.output)
        field(" oll=", isLong ? 1 : 0)
        field(" omem=", isLong ? memory.outputCapacity : 0)
        field(" tot-mem=", memory.total)
    }

    static func flags(_ session: Session, _ socket: SocketFacts) -> String {
        var flags = ""
        if session.isMonitor { flags += "O" }
        if !session.subscriptions.isEmpty { flags += "P" }
        if session.inMulti { flags += "x" }
        if session.waiting != nil { flags += "b" }
        if session.watchBroken { flags += "d" }
        if session.closeAfterReplies { flags += "c" }
        if let tracking = session.tracking {
            flags += tracking.redirectionIsBroken ? "tR" : "t"
            if tracking.broadcasts { flags += "B" }
        }
        if socket.isUnix { flags += "U" }
        if session.noEvict { flags += "e" }
        if session.noTouch { flags += "T" }
        if session.isImportSource { flags += "I" }
        return flags.isEmpty ? "N" : flags
    }
}

/// Where a connection's memory goes, in bytes.
struct SessionMemory {
    let input: Int
    let inputCapacity: Int
    let waitingArguments: Int
    /// Queued commands and watched keys.
    let queue: Int
    /// Names of channels, and prefixes of tracking.
    let names: Int
    let output: Int
    let outputCapacity: Int

    /// - Parameter input: bytes that were not executed yet; `inputCapacity`: the room for them.
    init(_ session: Session, input: Int, inputCapacity: Int) {
        self.input = input
        self.inputCapacity = inputCapacity
        waitingArguments = session.waiting?.command.byteCount ?? 0
        queue = session.queuedBytes + session.watchedBytes + session.fieldsetBytes
        names = session.subscriptions.byteCount + (session.tracking?.prefixes.reduce(0) { $0 + $1.count + 32 } ?? 0)
        output = session.output.pointee.count
        outputCapacity = session.output.pointee.capacity
    }

    /// What stands in `used_memory`.
    var heap: Int { inputCapacity + waitingArguments + queue + outputCapacity }
    /// With the session and connection objects, at a fixed size.
    var total: Int { 512 + heap + names }
}
