import Keyspace
import Primitives

// BITFIELD and BITFIELD_RO: integers of 1 to 64 bits (63 unsigned) anywhere in a string. The arguments are read twice:
// first all are checked and counted, and the furthest bit to be written is found, then they are carried out.

/// What becomes of a number that its field can't hold.
enum FieldOverflow { case wrap, saturate, fail }

/// A field's width and sign.
struct FieldType {
    let isSigned: Bool
    let width: Int

    /// `i1` to `i64`, `u1` to `u63`.
    init?(_ text: Bytes) {
        guard let sign = text.first, sign == UInt8(ascii: "i") || sign == UInt8(ascii: "u"),
              let width = Decimal.parseInt64(text.from(1)) else { return nil }
        isSigned = sign == UInt8(ascii: "i")
        guard width >= 1, width <= (isSigned ? 64 : 63) else { return nil }
        self.width = Int(width)
    }

    private var greatest: Int64 { isSigned ? Int64.max >> Int64(64 - width) : Int64.max >> Int64(63 - width) }
    private var least: Int64 { isSigned ? ~greatest : 0 }

    func read(_ bytes: Bytes, at offset: Int) -> Int64 {
        let bits = Bits.read(bytes, at: offset, width: width)
        if !isSigned { return Int64(bitPattern: bits) }
        let up = Int64(64 - width)
        return (Int64(bitPattern: bits) << up) >> up
    }

    /// `value + increment` as the field can hold it, nil if it can't and overflow is to fail.
    /// - Parameter value: any number; of an unsigned field the bits of any unsigned one.
    func sum(_ value: Int64, _ increment: Int64, _ overflow: FieldOverflow) -> Int64? {
        let isAbove = isAbove(value, increment)
        if !isAbove && !isBelow(value, increment) { return value &+ increment }
        switch overflow {
        case .fail: return nil
        case .saturate: return isAbove ? greatest : least
        case .wrap:
            let sum = value &+ increment, up = Int64(64 - width)
            if isSigned { return (sum << up) >> up }
            return Int64(bitPattern: (UInt64(bitPattern: sum) << UInt64(up)) >> UInt64(up))
        }
    }

    /// The distances may overflow themselves: SET of a number far below a wide signed field saturates at the top, not
    /// at the bottom, as it does with Redis, whose logs must replay to what Redis had.
    private func isAbove(_ value: Int64, _ increment: Int64) -> Bool {
        // As unsigned, a negative number is beyond every field.
        if !isSigned && value < 0 { return true }
        if value > greatest { return true }
        let most = greatest &- value
        return increment > most && ((isSigned && width != 64) || (value >= 0 && increment > 0))
    }

    private func isBelow(_ value: Int64, _ increment: Int64) -> Bool {
        if !isSigned { return increment < 0 && increment < 0 &- value }
        if value < least { return true }
        return increment < least &- value && (width != 64 || (value < 0 && increment < 0))
    }
}

private struct FieldOperation {
    enum Kind { case get, set, increment }
    let kind: Kind
    let type: FieldType
    let offset: Int
    let operand: Int64
    let overflow: FieldOverflow
}

/// Reads the operations of a call one by one.
private struct FieldOperations {
    private var index = 2
    private var overflow = FieldOverflow.wrap

    mutating func next(_ keyspace: borrowing Keyspace, _ call: Call) throws(CommandError) -> FieldOperation? {
        while index < call.count {
            let left = call.count - index - 1
            if call.isWord(index, "GET"), left >= 2 { return try read(.get, keyspace, call) }
            if call.isWord(index, "SET"), left >= 3 { return try read(.set, keyspace, call) }
            if call.isWord(index, "INCRBY"), left >= 3 { return try read(.increment, keyspace, call) }
            guard call.isWord(index, "OVERFLOW"), left >= 1 else { throw .syntax }
            if call.isWord(index + 1, "WRAP") {
                overflow = .wrap
            } else if call.isWord(index + 1, "SAT") {
                overflow = .saturate
            } else if call.isWord(index + 1, "FAIL") {
                overflow = .fail
            } else {
                throw .text("ERR Invalid OVERFLOW type specified")
            }
            index += 2
        }
        return nil
    }

    private mutating func read(_ kind: FieldOperation.Kind, _ keyspace: borrowing Keyspace, _ call: Call)
        throws(CommandError) -> FieldOperation {
        guard let type = FieldType(call[index + 1]) else {
            throw .text("""
                ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.
                """)
        }
        let offset = try BitmapCommands.bitOffset(call[index + 2], keyspace, call, width: type.width)
        let operand = kind == .get ? 0 : try call.integer(index + 3)
        index += kind == .get ? 3 : 4
        return FieldOperation(kind: kind, type: type, offset: offset, operand: operand, overflow: overflow)
    }
}

extension BitmapCommands {
    static func bitfield(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try bitfield(&keyspace, call, mayWrite: true)
    }

    static func bitfieldRO(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try bitfield(&keyspace, call, mayWrite: false)
    }

    private static func bitfield(_ keyspace: inout Keyspace, _ call: Call, mayWrite: Bool) throws(CommandError) {
        var operations = FieldOperations()
        var count = 0
        var lastWritten: Int?
        while let operation = try operations.next(keyspace, call) {
            count += 1
            if operation.kind != .get {
                lastWritten = max(lastWritten ?? 0, operation.offset + operation.type.width - 1)
            }
        }
        guard let lastWritten else {
            let entry = try call.entry(&keyspace, 1, .string, .read)
            call.reply.array(count)
            readFields(keyspace, call, entry)
            return
        }
        if !mayWrite { throw .text("ERR BITFIELD_RO only supports the GET subcommand") }
        let bits = try writable(&keyspace, call, count: lastWritten >> 3 + 1)
        call.reply.array(count)
        var changes = 0
        operations = FieldOperations()
        while let operation = try operations.next(keyspace, call) { carryOut(operation, call, bits, &changes) }
        if changes > 0 {
            call.modified(call[1], .string, "setbit", changes: changes)
        } else if bits.hasGrown {
            // A string that grew while all its operations failed is a change for the log, but no event.
            call.modified(call[1], [], "setbit")
        }
    }

    private static func readFields(_ keyspace: borrowing Keyspace, _ call: Call, _ entry: Entry?) {
        withBytes(entry) { bytes in
            var operations = FieldOperations()
            // What was read once without an error is so again.
            while let operation = try? operations.next(keyspace, call) {
                call.reply.integer(operation.type.read(bytes, at: operation.offset))
            }
        }
    }

    private static func carryOut(_ operation: FieldOperation, _ call: Call, _ bits: WritableBits,
                                 _ changes: inout Int) {
        let type = operation.type, old = type.read(bits.bytes, at: operation.offset)
        let new: Int64?
        switch operation.kind {
        case .get:
            call.reply.integer(old)
            return
        case .set: new = type.sum(operation.operand, 0, operation.overflow)
        case .increment: new = type.sum(old, operation.operand, operation.overflow)
        }
        guard let new else { call.reply.null(); return }
        Bits.write(UInt64(bitPattern: new), to: bits.start, at: operation.offset, width: type.width)
        if bits.hasGrown || new != old { changes += 1 }
        call.reply.integer(operation.kind == .set ? old : new)
    }
}
