import Commands
import Engine
import Keyspace
import Primitives
import Storage

// DUMP and RESTORE: one value as bytes, out of a server and into one.

package enum DumpCommands {
    package static let all: [Command] = [
        Command("dump", arity: 2, [.readonly], [.keyspace, .read, .slow], keys: "idx:1>rng:0/1/0{RO,access}",
                group: .generic, since: "2.6.0", complexity: "O(1);O(N*M);O(1*M)",
                summary: "Returns a key's value as bytes that RESTORE understands.", tips: "nondeterministic_output",
                arguments: "key:key#0", .data(dump)),
        Command("restore", arity: -4, [.write, .denyoom], [.keyspace, .write, .slow, .dangerous],
                keys: "idx:1>rng:0/1/0{OW,update}", group: .generic, since: "2.6.0",
                complexity: "O(1);O(N*M);O(1*M);O(N*M*log(N));O(log(N))",
                summary: "Creates a key from the bytes that DUMP gave.", arguments: schema, propagates: .rewritten,
                .server(restore)),
        Command("restore-asking", arity: -4, [.write, .denyoom, .asking, .systemCommand],
                [.keyspace, .write, .slow, .dangerous], keys: "idx:1>rng:0/1/0{OW,update}", group: .server,
                since: "3.0.0", complexity: "O(1);O(N*M);O(1*M);O(N*M*log(N));O(log(N))",
                summary: "RESTORE during the migration of a hash slot, used by the cluster itself.",
                arguments: schema, propagates: .rewritten, .server(restore)),
    ]

    private static let schema: StaticString = """
        key:key#0 ttl:integer serialized-value:string replace:pure-token@REPLACE?~3.0.0 \
        absttl:pure-token@ABSTTL?~5.0.0 seconds:integer@IDLETIME?~5.0.0 frequency:integer@FREQ?~5.0.0
        """

    private static func dump(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        guard let entry = keyspace.find(call[1], in: call.database, .read) else { return call.reply.null() }
        var payload = OwnedBytes()
        RDBPayload.dump(entry, version: RDBVersion(keyspace.thresholds.rdbVersion),
                        compresses: keyspace.thresholds.rdbCompression, into: &payload, &keyspace.compressor)
        call.reply.bulk(payload.bytes)
    }

    private struct Options {
        var replaces = false
        var isAbsolute = false
        var idleSeconds: UInt64?
        var frequency: UInt8?

        init(_ call: borrowing Call) throws(CommandError) {
            var index = 4
            while index < call.count {
                let hasMore = index + 1 < call.count
                if call.isWord(index, "REPLACE") {
                    replaces = true
                } else if call.isWord(index, "ABSTTL") {
                    isAbsolute = true
                } else if call.isWord(index, "IDLETIME"), hasMore, frequency == nil {
                    idleSeconds = UInt64(try call.integer(
                        index + 1, in: 0...Int64.max, or: "ERR Invalid IDLETIME value, must be >= 0"))
                    index += 1
                } else if call.isWord(index, "FREQ"), hasMore, idleSeconds == nil {
                    frequency = UInt8(try call.integer(
                        index + 1, in: 0...255, or: "ERR Invalid FREQ value, must be >= 0 and <= 255"))
                    index += 1
                } else {
                    throw .syntax
                }
                index += 1
            }
        }
    }

    private static func restore(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let isTrusted = core.configuration.sanitizeDumpPayload == .clients
            && core.engine.current.user?.rules.skipsSanitizing == true
        try restore(&core.engine.keyspace, &call, isTrusted: call.isReplay || isTrusted)
    }

    /// - Parameter isTrusted: what would only show when it is looked for is not looked for.
    private static func restore(_ keyspace: inout Keyspace, _ call: inout Call, isTrusted: Bool)
        throws(CommandError) {
        let options = try Options(call)
        let key = call[1], payload = call[3]
        if !options.replaces, keyspace.find(key, in: call.database, .peek) != nil {
            throw .text("BUSYKEY Target key name already exists.")
        }
        let ttl = try call.integer(2, in: 0...Int64.max, or: "ERR Invalid TTL value, must be >= 0")
        guard RDBPayload.isIntact(payload, believesChecksum: keyspace.believesChecksums) else {
            throw .text("ERR DUMP payload version or checksum are wrong")
        }
        guard let value = decoded(payload, keyspace, isTrusted: isTrusted) else {
            throw .text("ERR Bad data format")
        }
        if !isTrusted { keyspace.statistics.payloadsChecked += 1 }
        call.reply.ok()
        var expire: UnixMilliseconds?
        if ttl != 0 {
            let at = options.isAbsolute ? ttl : ttl.addingReportingOverflow(keyspace.now.rawValue).partialValue
            expire = UnixMilliseconds(at)
        }
        let replaced = options.replaces && keyspace.removeReplaced(key, in: call.database)
        if let expire, expire <= keyspace.now, keyspace.expiryPolicy == .delete, !call.isReplay {
            if replaced { tellOfRemoval(keyspace, call) }
            return
        }
        let entry = keyspace.set(key, to: value, in: call.database, expire: expire)
        if let access = keyspace.access(idleSeconds: options.idleSeconds, frequency: options.frequency) {
            entry.access = access
        }
        call.modified(key, .generic, "restore")
        record(call, options, expire)
    }

    /// Nil: no value of this server's.
    private static func decoded(_ payload: Bytes, _ keyspace: borrowing Keyspace, isTrusted: Bool) -> Value? {
        do throws(StorageError) {
            return try RDBPayload.restore(payload, keyspace, isThorough: !isTrusted)
        } catch {
            return nil
        }
    }

    /// What was to be restored is past its time: all that is left is that the old key goes.
    private static func tellOfRemoval(_ keyspace: borrowing Keyspace, _ call: borrowing Call) {
        let isLazy = keyspace.thresholds.lazyfreeLazyServerDel
        call.record(argumentCount: 2)
        call.recordArgument(isLazy ? "UNLINK" : "DEL")
        call.recordArgument(call[1])
        call.modified(call[1], .generic, "del")
    }

    /// The expire goes to the log as a time.
    private static func record(_ call: borrowing Call, _ options: Options, _ expire: UnixMilliseconds?) {
        guard let expire, !options.isAbsolute else { return call.recordVerbatim() }
        call.record(argumentCount: call.count + 1)
        for index in 0..<call.count {
            if index == 2 { call.recordArgument(expire.rawValue) } else { call.recordArgument(call[index]) }
        }
        call.recordArgument("ABSTTL")
    }
}

extension Call {
    /// An integer; outside of the bounds (and only there) the error is `message`.
    fileprivate func integer(_ index: Int, in range: ClosedRange<Int64>, or message: StaticString)
        throws(CommandError) -> Int64 {
        let value = try integer(index)
        guard range.contains(value) else { throw .text(message) }
        return value
    }
}
