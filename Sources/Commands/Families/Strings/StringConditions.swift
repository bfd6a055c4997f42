import Keyspace
import Primitives
import RESP

// Strings that are compared before they are changed: the conditions of SET and DELEX, DELIFEQ, DIGEST.

/// `IFEQ value`, `IFNE value`, `IFDEQ digest`, `IFDNE digest`. A key that does not exist equals nothing.
struct ValueCondition {
    private let isEqual: Bool
    private let isDigest: Bool
    private let wanted: Bytes

    /// What stands at `index` and behind it, nil if that is no condition.
    init?(_ call: Call, _ index: Int) throws(CommandError) {
        guard index + 1 < call.count else { return nil }
        if call.isWord(index, "IFEQ") { (isEqual, isDigest) = (true, false)
        } else if call.isWord(index, "IFNE") { (isEqual, isDigest) = (false, false)
        } else if call.isWord(index, "IFDEQ") { (isEqual, isDigest) = (true, true)
        } else if call.isWord(index, "IFDNE") { (isEqual, isDigest) = (false, true)
        } else { return nil }
        wanted = call[index + 1]
        if isDigest && wanted.count != 16 { throw .text("ERR must be exactly 16 hexadecimal characters") }
    }

    /// - Parameter entry: a string, or nil.
    func holds(for entry: Entry?) -> Bool {
        guard let entry else { return !isEqual }
        return withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) { scratch in
            let value = entry.string(scratch.baseAddress.unsafelyUnwrapped)
            return (isDigest ? Self.hasDigest(value, wanted) : value.equals(wanted)) == isEqual
        }
    }

    private static func hasDigest(_ value: Bytes, _ wanted: Bytes) -> Bool {
        StringCommands.withDigest(of: value) { digits in
            (0..<16).allSatisfy { digits[$0] == wanted[$0] || digits[$0] == wanted[$0] | 0x20 }
        }
    }
}

extension StringCommands {
    static let conditional: [Command] = [
        Command("delex", arity: -2, [.write, .fast], [.write, .string, .fast],
                keys: "idx:1>rng:0/1/0{RW,delete,variable_flags}", group: .string, since: "8.4.0",
                complexity: "O(1);O(N)", summary: "Deletes a key if its value, or the value's digest, is as expected.",
                arguments: """
                    key:key#0 condition:oneof?(ifeq-value:string@IFEQ ifne-value:string@IFNE \
                    ifdeq-digest:string@IFDEQ ifdne-digest:string@IFDNE)
                    """, propagates: .rewritten, .data(delex)),
        Command("delifeq", arity: 3, [.write, .fast], [.write, .string, .fast], keys: "idx:1>rng:0/1/0{RM,delete}",
                group: .string, since: "9.0.0", complexity: "O(1)",
                summary: "Deletes a key if it holds a given string.", arguments: "key:key#0 value:string",
                propagates: .rewritten, .data(delifeq)),
        Command("digest", arity: 2, [.readonly, .fast], [.read, .string, .fast], keys: "idx:1>rng:0/1/0{RO,access}",
                group: .string, since: "8.4.0", complexity: "O(N)",
                summary: "Returns the XXH3 digest of a string, in hexadecimal.", arguments: "key:key#0", .data(digest)),
    ]

    static func withDigest<R>(of value: Bytes, _ body: (Bytes) -> R) -> R {
        withUnsafeTemporaryAllocation(byteCount: 16, alignment: 8) { digits in
            let start = digits.baseAddress.unsafelyUnwrapped
            XXH3.writeHex(XXH3.hash(value), to: start)
            return body(Bytes(start: start, count: 16))
        }
    }

    static func digest(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        guard let entry = try call.entry(&keyspace, 1, .string, .read) else { call.reply.null(); return }
        let reply = call.reply
        withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) { scratch in
            withDigest(of: entry.string(scratch.baseAddress.unsafelyUnwrapped)) { reply.bulk($0) }
        }
    }

    static func delex(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        var condition: ValueCondition?
        if call.count > 2 {
            if call.count != 4 { throw .wrongArity }
            condition = try ValueCondition(call, 2)
            if condition == nil { throw .text("ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE") }
        }
        guard let entry = keyspace.find(call[1], in: call.database, .write) else { call.reply.integer(0); return }
        if let condition {
            if entry.type != .string { throw .text("ERR Key should be of string type if conditions are specified") }
            if !condition.holds(for: entry) { call.reply.integer(0); return }
        }
        remove(&keyspace, &call, lazily: keyspace.thresholds.lazyfreeLazyUserDel)
        call.reply.integer(1)
    }

    static func delifeq(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        guard let entry = try call.entry(&keyspace, 1, .string, .write) else { call.reply.integer(0); return }
        let isEqual = withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) { scratch in
            entry.string(scratch.baseAddress.unsafelyUnwrapped).equals(call[2])
        }
        if isEqual { remove(&keyspace, &call, lazily: false) }
        call.reply.integer(isEqual ? 1 : 0)
    }
}
