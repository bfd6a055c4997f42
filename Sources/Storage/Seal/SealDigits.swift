import Primitives

/// Numbers to the base of 64, as seal lines have them: most significant digit first, no leading zeros unless the count
/// of digits is fixed.
struct SealDigits {
    private static let alphabet: StaticString = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"
    /// Ten digits are 60 bits: no number that is read overflows.
    private static let longest = 10

    private let line: Bytes
    private(set) var position: Int

    init(_ line: Bytes, at position: Int) {
        self.line = line
        self.position = position
    }

    @inline(__always)
    static func digit(_ value: UInt8) -> UInt8 { alphabet.utf8Start[Int(value & 63)] }

    private static func value(_ digit: UInt8) -> UInt64? {
        switch digit {
        case 48...57: UInt64(digit - 48)
        case 65...90: UInt64(digit - 55)
        case 97...122: UInt64(digit - 61)
        case 45: 62
        case 95: 63
        case _: nil
        }
    }

    static func append(_ value: UInt64, to out: inout OwnedBytes) {
        append(value, digits: max((UInt64.bitWidth - value.leadingZeroBitCount + 5) / 6, 1), to: &out)
    }

    static func append(_ value: UInt64, digits: Int, to out: inout OwnedBytes) {
        out.reserve(digits)
        let start = out.base + out.count
        var rest = value
        for place in stride(from: digits - 1, through: 0, by: -1) {
            start.storeBytes(of: digit(UInt8(truncatingIfNeeded: rest)), toByteOffset: place, as: UInt8.self)
            rest = rest &>> 6
        }
        out.commit(digits)
    }

    mutating func number(digits: Int) -> UInt64? {
        guard position + digits <= line.count else { return nil }
        var value: UInt64 = 0
        for place in position..<(position + digits) {
            guard let digit = Self.value(line[place]) else { return nil }
            value = value << 6 | digit
        }
        position += digits
        return value
    }

    /// All digits up to there.
    mutating func number(upTo end: Int) -> UInt64? {
        let digits = end - position
        guard digits > 0, digits <= Self.longest, end <= line.count else { return nil }
        if digits > 1 && line[position] == 48 { return nil }
        return number(digits: digits)
    }

    /// Digits and the blank behind them.
    mutating func word() -> UInt64? {
        var end = position
        while end < line.count, line[end] != 32 { end += 1 }
        guard end < line.count, let value = number(upTo: end) else { return nil }
        position += 1
        return value
    }
}
