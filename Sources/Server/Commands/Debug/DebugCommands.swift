import Commands
import Engine
import Keyspace
import Primitives
import RESP
import Storage

/// DEBUG: for tests and for looking inside. Only with `enable-debug-command`.
enum DebugCommands {
    static let all: [Command] = [
        Command("debug", arity: -2, [.admin, .noscript, .loading, .stale, .protected, .systemCommand],
                [.admin, .slow, .dangerous], group: .server, since: "1.0.0", complexity: "per-subcommand",
                summary: "A container of debugging commands.", .server(debug)),
    ]

    typealias Body = @Sendable (ServerCore, inout Call) throws(CommandError) -> Void

    struct Subcommand: Sendable {
        let name: StaticString
        /// How many arguments it takes, with DEBUG and its name.
        let counts: ClosedRange<Int>
        let body: Body
    }

    static let table: [Subcommand] = [
        Subcommand(name: "help", counts: 2...2, body: help),
        Subcommand(name: "sleep", counts: 3...3, body: sleep),
        Subcommand(name: "reload", counts: 2...5, body: PersistenceCommands.debugReload),
        Subcommand(name: "loadaof", counts: 2...2, body: PersistenceCommands.debugLoadLog),
        Subcommand(name: "digest", counts: 2...2, body: digest),
        Subcommand(name: "digest-value", counts: 2...Int.max, body: digestValue),
        Subcommand(name: "object", counts: 3...4, body: DebugObject.object),
        Subcommand(name: "listpack", counts: 3...3, body: DebugObject.listpack),
        Subcommand(name: "quicklist", counts: 3...4, body: DebugObject.quicklist),
        Subcommand(name: "sdslen", counts: 3...3, body: DebugObject.stringLengths),
        Subcommand(name: "htstats", counts: 3...4, body: DebugTables.database),
        Subcommand(name: "htstats-key", counts: 3...4, body: DebugTables.key),
        Subcommand(name: "populate", counts: 3...5, body: populate),
        Subcommand(name: "protocol", counts: 3...3, body: DebugProtocol.reply),
        Subcommand(name: "error", counts: 3...3, body: error),
        Subcommand(name: "log", counts: 3...3, body: log),
        Subcommand(name: "quicklist-packed-threshold", counts: 3...3, body: packedThreshold),
        Subcommand(name: "set-active-expire", counts: 3...3, body: setActiveExpire),
        Subcommand(name: "pause-cron", counts: 3...3, body: pauseCron),
        Subcommand(name: "dict-resizing", counts: 3...3, body: tableResizing),
        Subcommand(name: "change-repl-id", counts: 2...2, body: changeReplicationID),
        Subcommand(name: "stringmatch-len", counts: 4...4, body: stringMatch),
        Subcommand(name: "replybuffer", counts: 4...4, body: replyBuffer),
        Subcommand(name: "aof-flush-sleep", counts: 3...3, body: DebugSwitches.logFlushSleep),
        Subcommand(name: "set-skip-checksum-validation", counts: 3...3, body: DebugSwitches.skipChecksums),
        Subcommand(name: "config-rewrite-force-all", counts: 2...2, body: DebugSwitches.rewriteAll),
        Subcommand(name: "set-disable-deny-scripts", counts: 3...3, body: DebugSwitches.allowDeniedInScripts),
        Subcommand(name: "drop-cluster-packet-filter", counts: 3...3, body: DebugSwitches.packetFilter),
        Subcommand(name: "clusterlink", counts: 5...5, body: DebugSwitches.clusterLink),
        Subcommand(name: "segfault", counts: 2...2, body: DebugCrash.segfault),
        Subcommand(name: "panic", counts: 2...2, body: DebugCrash.panic),
        Subcommand(name: "assert", counts: 2...2, body: DebugCrash.assertion),
    ]

    static func debug(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        try core.allow("DEBUG", by: core.configuration.enableDebugCommand, option: "enable-debug-command")
        for subcommand in table where call[1].equalsIgnoringCase(subcommand.name) {
            guard subcommand.counts.contains(call.count) else { break }
            try subcommand.body(core, &call)
            return
        }
        let name = Text(call[1])
        throw .message("ERR unknown subcommand or wrong number of arguments for '\(name)'. Try DEBUG HELP.")
    }

    // MARK: The data

    static func digest(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        core.engine.keyspace.readsEveryKey()
        reply(KeyspaceDigest.whole(core.engine.keyspace), call.reply)
    }

    static func digestValue(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        call.reply.array(call.count - 2)
        for index in 2..<max(2, call.count) {
            let entry = core.engine.keyspace.find(call[index], in: call.database, .peek)
            reply(entry.map { KeyspaceDigest.value($0) } ?? SHA1.Digest(), call.reply)
        }
    }

    private static func reply(_ digest: SHA1.Digest, _ reply: ReplyWriter) {
        var text = digest.hex
        text.withUTF8 { reply.simple(Bytes($0)) }
    }

    /// Makes keys `key:0` … that are not there yet; not logged, not announced.
    static func populate(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let range: CommandError = .text("ERR value is out of range, must be positive")
        let count = try call.integer(2, in: 0...Int64(Int32.max), orThrow: range)
        let prefix = call.count > 3 ? Text(call[3]).description : "key"
        var size = -1
        if call.count > 4 { size = Int(try call.integer(4, in: 0...Int64(512 << 20), orThrow: range)) }
        var key = OwnedBytes(), value = OwnedBytes()
        for number in 0..<Int(count) {
            key.removeAll()
            key.append("\(prefix):\(number)" as String)
            if core.engine.keyspace.find(key.bytes, in: call.database, .peek) != nil { continue }
            value.removeAll()
            value.append("value:\(number)" as String)
            if size >= 0 {
                if value.count > size { value.truncate(to: size) }
                while value.count < size { value.append(0 as UInt8) }
            }
            core.engine.keyspace.setString(key.bytes, to: value.bytes, in: call.database, keepExpire: false)
        }
        call.reply.ok()
    }

    // MARK: Switches

    static func packedThreshold(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        guard let size = MemorySize.parse(call[2]), size >= 0, size < 4 << 30 else {
            throw .text("ERR argument must be a memory value bigger than 1 and smaller than 4gb")
        }
        core.engine.keyspace.thresholds.quicklistPackedThreshold = Int(size)
        call.reply.ok()
    }

    static func setActiveExpire(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        core.engine.expireCycle.isEnabled = Decimal.parseInt64(call[2]) != 0
        call.reply.ok()
    }

    static func pauseCron(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        core.pauseCron((Decimal.parseInt64(call[2]) ?? 0) != 0)
        call.reply.ok()
    }

    static func tableResizing(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        core.engine.keyspace.context.pointee.avoidResize = Decimal.parseInt64(call[2]) == 0
        call.reply.ok()
    }

    static func changeReplicationID(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        core.control.identity.replicationID = ServerIdentity.randomHex(40)
        core.log.write(.notice, "Changing replication IDs after receiving change-repl-id")
        call.reply.ok()
    }

    /// Reply buffers grow and shrink by themselves here: what the settings ask for is checked and has no effect.
    static func replyBuffer(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        if call.isWord(2, "PEAK-RESET-TIME") {
            if !call.isWord(3, "NEVER"), !call.isWord(3, "RESET") { _ = try call.integer(3) }
        } else if call.isWord(2, "RESIZING") {
            _ = try call.integer(3)
        } else {
            throw call.subcommandSyntax("DEBUG")
        }
        call.reply.ok()
    }

    // MARK: Small things

    static func error(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        throw .message(Text(call[2]).description)
    }

    static func log(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        core.log.write(.warning, "DEBUG LOG: \(Text(call[2]))")
        call.reply.ok()
    }

    static func stringMatch(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let count = try call.integer(2, in: 0...Int64(64 << 20))
        var text = OwnedBytes(capacity: Int(count))
        for _ in 0..<count { text.append(UInt8(ascii: "a")) }
        call.reply.integer(Glob.matches(call[3], text.bytes) ? 1 : 0)
    }
}

extension ServerCore {
    /// Refuses a protected command unless its option lets this client have it.
    func allow(_ command: String, by policy: AccessPolicy, option: String) throws(CommandError) {
        if allows(policy, engine.current) { return }
        throw .message("""
            ERR \(command) command not allowed. If the \(option) option is set to "local", you can run it from a \
            local connection, otherwise you need to set this option in the configuration file, and then restart \
            the server.
            """)
    }
}
