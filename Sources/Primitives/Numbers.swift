/// Decimal integers as the protocol and the encodings know them: exactly one spelling per number, so that a
/// number can stand for its string and be printed back byte for byte.
///
/// Invariants:
/// 1. `parseInt64(write(v)) == v` for every v, and `write(parseInt64(b)) == b` for every b that is not refused.
/// 2. Nothing outside the given bytes is read; at most 20 bytes are ever written.
@usableFromInline
package enum Decimal {
    /// No Int64 and no UInt64 needs more bytes than this ("-9223372036854775808", "18446744073709551615").
    @inlinable package static var maximumLength: Int { 20 }

    /// The number that `bytes` spell canonically, or nil: no spaces, no `+`, no leading zeros, no `-0`, in range.
    @inlinable
    package static func parseInt64(_ bytes: Bytes) -> Int64? {
        let count = bytes.count
        guard count > 0, count <= 20, let base = bytes.baseAddress else { return nil }
        let first = base.load(as: UInt8.self)
        if count == 1 {
            let digit = first &- 48
            return digit <= 9 ? Int64(truncatingIfNeeded: digit) : nil
        }
        let negative = first == 45
        let start = negative ? 1 : 0
        // 19 digits always fit UInt64, and 20 digits never fit Int64.
        guard count &- start <= 19,
              let magnitude = parseDigits(base + start, count &- start) else { return nil }
        if negative {
            guard magnitude != 0, magnitude <= 1 << 63 else { return nil }
            return Int64(truncatingIfNeeded: 0 &- magnitude)
        }
        return magnitude < 1 << 63 ? Int64(truncatingIfNeeded: magnitude) : nil
    }

    /// As `parseInt64`, for 0 through 2^64 - 1.
    @inlinable
    package static func parseUInt64(_ bytes: Bytes) -> UInt64? {
        let count = bytes.count
        guard count > 0, count <= 20, let base = bytes.baseAddress else { return nil }
        guard count == 20 else { return parseDigits(base, count) }
        guard let head = parseDigits(base, 19) else { return nil }
        let digit = base.load(fromByteOffset: 19, as: UInt8.self) &- 48
        guard digit <= 9 else { return nil }
        let (tens, overflow) = head.multipliedReportingOverflow(by: 10)
        let (sum, carry) = tens.addingReportingOverflow(UInt64(truncatingIfNeeded: digit))
        return overflow || carry ? nil : sum
    }

    /// The number as stream IDs spell it: canonical, or else whatever strtoull takes of 0 through 2^64 - 1: white
    /// space, a `+` and leading zeros in front are forgiven, trailing bytes are not.
    package static func parseUInt64Leniently(_ bytes: Bytes) -> UInt64? {
        var rest = bytes
        while let first = rest.first, ASCII.isSpace(first) { rest = rest.from(1) }
        if rest.first == 43 { rest = rest.from(1) }
        while rest.count > 1, rest[0] == 48 { rest = rest.from(1) }
        return parseUInt64(rest)
    }

    /// 1 to 19 digits; a leading zero only if it is the whole.
    @inlinable
    @inline(__always)
    static func parseDigits(_ base: UnsafeRawPointer, _ count: Int) -> UInt64? {
        let first = base.load(as: UInt8.self) &- 48
        guard first <= 9, first != 0 || count == 1 else { return nil }
        var value: UInt64 = 0
        var index = 0
        while count &- index >= 8 {
            let word = UInt64(littleEndian: base.loadUnaligned(fromByteOffset: index, as: UInt64.self))
            guard areDigits(word) else { return nil }
            value = value &* 100_000_000 &+ eightDigits(word)
            index &+= 8
        }
        while index < count {
            let digit = base.load(fromByteOffset: index, as: UInt8.self) &- 48
            guard digit <= 9 else { return nil }
            value = value &* 10 &+ UInt64(truncatingIfNeeded: digit)
            index &+= 1
        }
        return value
    }

    /// Whether all eight bytes are "0" to "9": the high half of each is 3, and still is with 6 added.
    @inlinable
    @inline(__always)
    static func areDigits(_ word: UInt64) -> Bool {
        let high = word & 0xf0f0_f0f0_f0f0_f0f0
        let raised = (word &+ 0x0606_0606_0606_0606) & 0xf0f0_f0f0_f0f0_f0f0
        return high == 0x3030_3030_3030_3030 && raised == 0x3030_3030_3030_3030
    }

    /// The number that eight digits spell, the first in the lowest byte: pairs, then fours, then all.
    @inlinable
    @inline(__always)
    static func eightDigits(_ word: UInt64) -> UInt64 {
        let pairs = (((word & 0x0f0f_0f0f_0f0f_0f0f) &* (10 << 8 + 1)) &>> 8) & 0x00ff_00ff_00ff_00ff
        let fours = ((pairs &* (100 << 16 + 1)) &>> 16) & 0x0000_ffff_0000_ffff
        return (fours &* (10_000 << 32 + 1)) &>> 32
    }

    /// Prints `value` at `target`, which must have room for 20 bytes; returns the number of bytes.
    @inlinable
    @discardableResult
    package static func write(_ value: Int64, to target: UnsafeMutableRawPointer) -> Int {
        guard value < 0 else { return write(UInt64(truncatingIfNeeded: value), to: target) }
        target.storeBytes(of: 45, as: UInt8.self)
        return 1 &+ write(value.magnitude, to: target + 1)
    }

    /// Prints `value` at `target`, which must have room for 20 bytes; returns the number of bytes.
    @inlinable
    @discardableResult
    package static func write(_ value: UInt64, to target: UnsafeMutableRawPointer) -> Int {
        if value < 10 {
            target.storeBytes(of: 48 &+ UInt8(truncatingIfNeeded: value), as: UInt8.self)
            return 1
        }
        let pairs = UnsafeRawPointer(digitPairs.utf8Start)
        let count = digitCount(value)
        var end = count
        var rest = value
        while rest >= 100 {
            let quotient = rest / 100
            end &-= 2
            let pair = Int(truncatingIfNeeded: rest &- quotient &* 100) &* 2
            target.storeBytes(of: pairs.loadUnaligned(fromByteOffset: pair, as: UInt16.self),
                              toByteOffset: end, as: UInt16.self)
            rest = quotient
        }
        if rest >= 10 {
            let pair = Int(truncatingIfNeeded: rest) &* 2
            target.storeBytes(of: pairs.loadUnaligned(fromByteOffset: pair, as: UInt16.self), as: UInt16.self)
        } else {
            target.storeBytes(of: 48 &+ UInt8(truncatingIfNeeded: rest), as: UInt8.self)
        }
        return count
    }

    /// How many bytes `write` gives for `value`.
    @inlinable
    package static func digitCount(_ value: Int64) -> Int {
        value < 0 ? 1 &+ digitCount(value.magnitude) : digitCount(UInt64(truncatingIfNeeded: value))
    }

    /// How many bytes `write` gives for `value`.
    @inlinable
    package static func digitCount(_ value: UInt64) -> Int {
        if value < 10 { return 1 }
        if value < 100 { return 2 }
        if value < 1_000 { return 3 }
        if value < 10_000 { return 4 }
        if value < 100_000_000 {
            if value < 1_000_000 { return value < 100_000 ? 5 : 6 }
            return value < 10_000_000 ? 7 : 8
        }
        if value < 1_000_000_000_000 {
            if value < 10_000_000_000 { return value < 1_000_000_000 ? 9 : 10 }
            return value < 100_000_000_000 ? 11 : 12
        }
        return 12 &+ digitCount(value / 1_000_000_000_000)
    }

    /// "00" to "99".
    @inlinable
    @inline(__always)
    static var digitPairs: StaticString {
        """
        00010203040506070809101112131415161718192021222324\
        25262728293031323334353637383940414243444546474849\
        50515253545556575859606162636465666768697071727374\
        75767778798081828384858687888990919293949596979899
        """
    }
}

extension OwnedBytes {
    /// Appends `value` in decimal.
    @inlinable
    @inline(__always)
    package mutating func append(decimal value: Int64) {
        reserve(Decimal.maximumLength)
        commit(Decimal.write(value, to: base + count))
    }

    /// Appends `value` in decimal.
    @inlinable
    @inline(__always)
    package mutating func append(decimal value: UInt64) {
        reserve(Decimal.maximumLength)
        commit(Decimal.write(value, to: base + count))
    }
}
