import Keyspace
import Primitives

// SETBIT, GETBIT, BITCOUNT, BITPOS, and what the bitmap commands have in common.

/// A string that bits are written into.
struct WritableBits {
    let start: UnsafeMutableRawPointer
    let count: Int
    /// It was created or made longer for this.
    let hasGrown: Bool

    var bytes: Bytes { Bytes(start: start, count: count) }
}

extension BitmapCommands {
    /// No string of a log is as long as this (1 TB): an offset beyond it is damage.
    private static let longestReplayed = 1 << 40

    /// A bit's offset as an argument gives it; with `width`, `#n` means n times that.
    static func bitOffset(_ text: Bytes, _ keyspace: borrowing Keyspace, _ call: Call, width: Int? = nil)
        throws(CommandError) -> Int {
        var text = text, factor: Int64 = 1
        if let width, text.first == UInt8(ascii: "#") {
            text = text.from(1)
            factor = Int64(width)
        }
        let limit = call.isReplay ? longestReplayed : keyspace.thresholds.protoMaxBulkLength
        guard let number = Decimal.parseInt64(text), number >= 0,
              case (let offset, false) = number.multipliedReportingOverflow(by: factor), offset >> 3 < limit else {
            throw .text("ERR bit offset is not an integer or out of range")
        }
        return Int(offset)
    }

    /// The string of argument 1, at least `count` bytes long, zero-filled where it is new.
    static func writable(_ keyspace: inout Keyspace, _ call: Call, count: Int) throws(CommandError) -> WritableBits {
        guard let entry = try call.entry(&keyspace, 1, .string, .write) else {
            let block = StringBlock.create(uninitialized: count)
            block.start.initializeMemory(as: UInt8.self, repeating: 0, count: count)
            let entry = keyspace.set(call[1], to: Value(.string, .raw, block.base), in: call.database)
            return WritableBits(start: writableStart(entry), count: count, hasGrown: true)
        }
        let old = entry.stringCount
        if entry.encoding != .int && old >= count {
            entry.encoding = .raw
            return WritableBits(start: writableStart(entry), count: old, hasGrown: false)
        }
        let (_, block) = keyspace.writableString(entry, count: max(count, old), in: call.database)
        return WritableBits(start: block.start, count: block.count, hasGrown: block.count > old)
    }

    private static func writableStart(_ entry: Entry) -> UnsafeMutableRawPointer {
        UnsafeMutableRawPointer(mutating: entry.stringBytes.baseAddress.unsafelyUnwrapped)
    }

    /// A string's bytes, for the time of `body`.
    static func withBytes<R>(_ entry: Entry?, _ body: (Bytes) -> R) -> R {
        guard let entry else { return body(Bytes(start: nil, count: 0)) }
        return withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) {
            body(entry.string($0.baseAddress.unsafelyUnwrapped))
        }
    }

    static func setbit(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let offset = try bitOffset(call[2], keyspace, call)
        let bit = try call.integer(3, in: 0...1, orThrow: .text("ERR bit is not an integer or out of range")) == 1
        let bits = try writable(&keyspace, call, count: offset >> 3 + 1)
        let place = bits.start + offset >> 3, mask = UInt8(0x80) >> UInt8(offset & 7)
        let old = place.load(as: UInt8.self), wasSet = old & mask != 0
        if bits.hasGrown || wasSet != bit {
            place.storeBytes(of: bit ? old | mask : old & ~mask, as: UInt8.self)
            call.modified(call[1], .string, "setbit")
        }
        call.reply.integer(wasSet ? 1 : 0)
    }

    static func getbit(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let offset = try bitOffset(call[2], keyspace, call)
        let entry = try call.entry(&keyspace, 1, .string, .read)
        call.reply.integer(withBytes(entry) { Int(Bits.read($0, at: offset, width: 1)) })
    }

    // MARK: Ranges

    /// Offsets as clients give them: negative ones count from the end, both ends included.
    private struct ClientRange {
        var start: Int64 = 0
        var end: Int64 = -1
        var isInBits = false

        /// As bits of `byteCount` bytes.
        func bits(of byteCount: Int) -> Range<Int> {
            let total = Int64(isInBits ? byteCount << 3 : byteCount)
            let first = max(start < 0 ? total + start : start, 0)
            let last = min(max(end < 0 ? total + end : end, 0), total - 1)
            if first > last { return 0..<0 }
            return isInBits ? Int(first)..<Int(last + 1) : Int(first) << 3..<Int(last + 1) << 3
        }
    }

    /// BYTE or BIT: whether the argument is the latter.
    private static func isBitUnit(_ call: Call, _ index: Int) throws(CommandError) -> Bool {
        if call.isWord(index, "BIT") { return true }
        if call.isWord(index, "BYTE") { return false }
        throw .syntax
    }

    static func bitcount(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        var range = ClientRange()
        switch call.count {
        case 2: break
        case 4, 5:
            range.start = try call.integer(2)
            range.end = try call.integer(3)
            if call.count == 5 { range.isInBits = try isBitUnit(call, 4) }
        default: throw .syntax
        }
        let entry = try call.entry(&keyspace, 1, .string, .read)
        // Both before the beginning, and in the wrong order: empty, though both would be moved to the beginning.
        if range.start < 0 && range.end < 0 && range.start > range.end { call.reply.integer(0); return }
        call.reply.integer(withBytes(entry) { Bits.count($0, in: range.bits(of: $0.count)) })
    }

    static func bitpos(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let number = try call.integer(2)
        if number != 0 && number != 1 { throw .text("ERR The bit argument must be 1 or 0.") }
        let bit = number == 1
        if call.count > 6 { throw .syntax }
        var range = ClientRange()
        if call.count > 3 { range.start = try call.integer(3) }
        if call.count > 5 { range.isInBits = try isBitUnit(call, 5) }
        if call.count > 4 { range.end = try call.integer(4) }
        // Without an end the string goes on for ever, in zeros.
        let isOpen = call.count < 5
        guard let entry = try call.entry(&keyspace, 1, .string, .read) else {
            call.reply.integer(bit ? -1 : 0)
            return
        }
        call.reply.integer(withBytes(entry) { bytes in
            let bits = range.bits(of: bytes.count)
            if bits.isEmpty { return -1 }
            return Bits.first(bit, in: bytes, bits) ?? (isOpen && !bit ? bytes.count << 3 : -1)
        })
    }
}
