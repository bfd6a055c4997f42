import Keyspace
import Primitives
import RESP

// Strings as numbers: INCR, DECR, INCRBY, DECRBY, INCRBYFLOAT.

extension StringCommands {
    private static func add(_ keyspace: inout Keyspace, _ call: inout Call, _ amount: Int64) throws(CommandError) {
        let entry = try call.entry(&keyspace, 1, .string, .write)
        var old: Int64 = 0
        if let entry {
            if entry.encoding == .int {
                old = entry.integer
            } else {
                guard let value = Decimal.parseInt64(entry.stringBytes) else { throw .notInteger }
                old = value
            }
        }
        let (sum, overflow) = old.addingReportingOverflow(amount)
        if overflow { throw .text("ERR increment or decrement would overflow") }
        if let entry, entry.encoding == .int {
            entry.integer = sum
        } else {
            keyspace.set(call[1], to: Value(integer: sum), in: call.database, expire: entry?.expire)
        }
        call.modified(call[1], .string, "incrby")
        call.reply.integer(sum)
    }

    static func incr(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try add(&keyspace, &call, 1)
    }
    static func decr(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try add(&keyspace, &call, -1)
    }
    static func incrby(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try add(&keyspace, &call, try call.integer(2))
    }
    static func decrby(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let amount = try call.integer(2)
        if amount == .min { throw .text("ERR decrement would overflow") }
        try add(&keyspace, &call, -amount)
    }

    /// Logged by its outcome, so that a replay does not depend on how a machine computes. The result is kept as the
    /// text that was replied, even where it is an integer's.
    static func incrbyfloat(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let entry = try call.entry(&keyspace, 1, .string, .write)
        var old: LongDouble = 0
        if let entry {
            let value = withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) { scratch in
                LongDoubleText.parse(entry.string(scratch.baseAddress.unsafelyUnwrapped))
            }
            guard let value else { throw .notFloat }
            old = value
        }
        guard let amount = LongDoubleText.parse(call[2]) else { throw .notFloat }
        let sum = old + amount
        if sum.isNaN || sum.isInfinite { throw .text("ERR increment would produce NaN or Infinity") }
        let expire = entry?.expire
        withUnsafeTemporaryAllocation(byteCount: LongDoubleText.maximumLength, alignment: 8) { scratch in
            let start = scratch.baseAddress.unsafelyUnwrapped
            let text = Bytes(start: start, count: LongDoubleText.write(sum, to: start))
            let value = Value(.string, text.count <= 44 ? .embstr : .raw, StringBlock.create(text).base)
            keyspace.set(call[1], to: value, in: call.database, expire: expire)
            call.recordSet(call[1], text, .keep)
            call.modified(call[1], .string, "incrbyfloat")
            call.reply.bulk(text)
        }
    }
}
