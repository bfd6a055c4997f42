#if canImport(Glibc)
import Glibc
#endif
import CShims

/// Doubles as text: scores of sorted sets and whatever else the protocol calls "a valid float".
///
/// Which server prints what, for 0.1, 1e17, 1e21, 12345.678901234567, 5e-324:
///
///     redis-server >= 7.2, Valkey     `write`                  0.1, 100000000000000000, 1e+21,
///                                                              1.2345678901234567e+4, 5e-324
///     redis-server <= 7.0             `writeSeventeenDigits`   0.10000000000000001, 1e+17, 1e+21,
///                                                              12345.678901234567, 4.9406564584124654e-324
///
/// Replies, AOF and listpacks of this server use `write`; the older form is for writing older RDB versions. Within a
/// listpack a score that `exactInteger` knows is an integer element (so -0 becomes 0 there).
@usableFromInline
package enum DoubleText {
    /// Room that `write` and `writeSeventeenDigits` may need.
    @inlinable package static var maximumLength: Int { 32 }

    /// The number that the whole of `bytes` spells as strtod reads it in the C locale: decimal, hexadecimal,
    /// "inf" and "infinity" in any case, with a sign or without. Nil for nothing at all, leading white space,
    /// trailing bytes, NaN, and what overflows to infinity or underflows to zero.
    package static func parse(_ bytes: Bytes) -> Double? {
        if let plain = parsePlain(bytes) { return plain }
        guard let value = parseAny(bytes), !value.isNaN else { return nil }
        return value
    }

    /// As `parse`, but "nan" is a number too.
    package static func parseAllowingNaN(_ bytes: Bytes) -> Double? {
        parsePlain(bytes) ?? parseAny(bytes)
    }

    /// `value` as an integer, if it is one and within -2^62 ... 2^62.
    @inlinable
    package static func exactInteger(_ value: Double) -> Int64? {
        guard value >= -4_611_686_018_427_387_904, value <= 4_611_686_018_427_387_904 else { return nil }
        let integer = Int64(value)
        return Double(integer) == value ? integer : nil
    }

    /// Prints `value` at `target` (room for `maximumLength` bytes) as redis-server 7.2 and later do; returns the
    /// number of bytes. Integers within ±2^62 in full, "-0", "inf", "-inf", "nan", else the shortest digits.
    @discardableResult
    package static func write(_ value: Double, to target: UnsafeMutableRawPointer) -> Int {
        if let length = writeSpecial(value, target) { return length }
        if let integer = exactInteger(value) { return Decimal.write(integer, to: target) }
        guard value < 0 else { return writeShortest(value, target) }
        target.storeBytes(of: 45, as: UInt8.self)
        return 1 &+ writeShortest(-value, target + 1)
    }

    /// Prints `value` at `target` (room for `maximumLength` bytes) as redis-server 7.0 and earlier do (`%.17g`).
    @discardableResult
    package static func writeSeventeenDigits(_ value: Double, to target: UnsafeMutableRawPointer) -> Int {
        if let length = writeSpecial(value, target) { return length }
        if value.magnitude < 4_503_599_627_370_496, let integer = exactInteger(value) {
            return Decimal.write(integer, to: target)
        }
        let text = target.assumingMemoryBound(to: CChar.self)
        return Int(sr_format_double_17(text, maximumLength, value))
    }

    private static func writeSpecial(_ value: Double, _ target: UnsafeMutableRawPointer) -> Int? {
        let text: StaticString
        if value == 0 {
            text = value.sign == .minus ? "-0" : "0"
        } else if value.isInfinite {
            text = value < 0 ? "-inf" : "inf"
        } else if value.isNaN {
            text = "nan"
        } else {
            return nil
        }
        memcpy(target, text.utf8Start, text.utf8CodeUnitCount)
        return text.utf8CodeUnitCount
    }

    /// Lays out the digits of a finite number above 0.
    private static func writeShortest(_ value: Double, _ target: UnsafeMutableRawPointer) -> Int {
        withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) { scratch in
            let digits = scratch.baseAddress.unsafelyUnwrapped
            let parts = ShortestDouble.decompose(value, digits)
            let count = parts.count
            let pointShift = parts.exponent
            let scientific = count &+ pointShift &- 1
            if pointShift >= 0, scientific.magnitude < count &+ 7 {
                memcpy(target, digits, count)
                memset(target + count, 48, pointShift)
                return count &+ pointShift
            }
            if pointShift < 0, pointShift > -7 || scientific.magnitude < 4 {
                let whole = count &+ pointShift
                if whole > 0 {
                    memcpy(target, digits, whole)
                    target.storeBytes(of: 46, toByteOffset: whole, as: UInt8.self)
                    memcpy(target + whole + 1, digits + whole, count &- whole)
                    return count &+ 1
                }
                memset(target, 48, 2 &- whole)
                target.storeBytes(of: 46, toByteOffset: 1, as: UInt8.self)
                memcpy(target + 2 - whole, digits, count)
                return count &+ 2 &- whole
            }
            return writeScientific(digits, count, scientific, target)
        }
    }

    /// d.ddde±x, the exponent with as many digits as it needs.
    private static func writeScientific(_ digits: UnsafeRawPointer, _ count: Int, _ exponent: Int,
                                        _ target: UnsafeMutableRawPointer) -> Int {
        target.storeBytes(of: digits.load(as: UInt8.self), as: UInt8.self)
        var length = 1
        if count > 1 {
            target.storeBytes(of: 46, toByteOffset: 1, as: UInt8.self)
            memcpy(target + 2, digits + 1, count &- 1)
            length = count &+ 1
        }
        target.storeBytes(of: 101, toByteOffset: length, as: UInt8.self)
        target.storeBytes(of: exponent < 0 ? 45 : 43, toByteOffset: length &+ 1, as: UInt8.self)
        return length &+ 2 &+ Decimal.write(UInt64(exponent.magnitude), to: target + length + 2)
    }

    /// `-ddd.ddd` with at most 15 digits: digits and power of ten are exact doubles, so one division rounds once
    /// and is correct. Nil: not of this kind, ask strtod.
    private static func parsePlain(_ bytes: Bytes) -> Double? {
        let count = bytes.count
        guard count > 0, count <= 17, let base = bytes.baseAddress else { return nil }
        let negative = base.load(as: UInt8.self) == 45
        var index = negative ? 1 : 0
        var mantissa: UInt64 = 0
        var digits = 0
        var afterPoint = -1
        while index < count {
            let byte = base.load(fromByteOffset: index, as: UInt8.self)
            let digit = byte &- 48
            if digit <= 9 {
                mantissa = mantissa &* 10 &+ UInt64(digit)
                digits &+= 1
                if afterPoint >= 0 { afterPoint &+= 1 }
            } else if byte == 46, afterPoint < 0 {
                afterPoint = 0
            } else {
                return nil
            }
            index &+= 1
        }
        guard digits > 0, digits <= 15 else { return nil }
        var value = Double(mantissa)
        if afterPoint > 0 {
            var power: Double = 1
            for _ in 0..<afterPoint { power *= 10 }
            value /= power
        }
        return negative ? -value : value
    }

    private static func parseAny(_ bytes: Bytes) -> Double? {
        CText.withTerminated(bytes) { text, count in
            var end: UnsafeMutablePointer<CChar>?
            errno = 0
            let value = strtod(text, &end)
            guard let end, UnsafePointer(end) - text == count else { return nil }
            if errno == ERANGE, value.isInfinite || value == 0 { return nil }
            return value
        }
    }
}

#if arch(x86_64) || arch(i386)
/// C's long double: 64 bits of fraction on x86, as Redis computes INCRBYFLOAT there.
package typealias LongDouble = Float80
#else
package typealias LongDouble = Double
#endif

/// Long doubles as text: INCRBYFLOAT and HINCRBYFLOAT read and print these.
@usableFromInline
package enum LongDoubleText {
    /// Room that `write` may need: 4933 digits before the point, 17 behind, sign and point; and a NUL.
    @inlinable package static var maximumLength: Int { 5120 }

    /// As `DoubleText.parse`, by strtold; and nil for 5120 bytes or more.
    package static func parse(_ bytes: Bytes) -> LongDouble? {
        guard bytes.count < maximumLength else { return nil }
        if let integer = Decimal.parseInt64(bytes) { return LongDouble(integer) }
        return CText.withTerminated(bytes) { text, count in
            var consumed = 0
            var value: LongDouble = 0
            let status = sr_parse_long_double(text, &value, &consumed)
            guard consumed == count, !value.isNaN, status != EINVAL else { return nil }
            if status == ERANGE, value.isInfinite || value == 0 { return nil }
            return value
        }
    }

    /// Prints `value` at `target` (room for `maximumLength` bytes): 17 digits behind the point, less the trailing
    /// zeros; never an exponent; "0" for what rounds to zero, whatever its sign. Returns the number of bytes.
    @discardableResult
    package static func write(_ value: LongDouble, to target: UnsafeMutableRawPointer) -> Int {
        if value.magnitude < 0x1p20 && value.magnitude >= 0x1p-60 { return writePlain(value, to: target) }
        return writeAny(value, to: target)
    }

    /// What is neither great nor tiny, with whole numbers of 128 bits: coordinates and most sums, many times faster
    /// than printf does it. Rounded as there: to the nearest, to the even one of two.
    private static func writePlain(_ value: LongDouble, to target: UnsafeMutableRawPointer) -> Int {
        let size = value.magnitude, scale: UInt64 = 100_000_000_000_000_000
        // size = significand × 2 ^ -shift, with 64 bits before 57 of the scale: the product fits.
        let shift = UInt128(63 - Int(size.exponent))
        let product = UInt128(UInt64(size.significand * 0x1p63)) * UInt128(scale)
        var scaled = product >> shift
        let rest = product & (1 << shift - 1), half: UInt128 = 1 << (shift - 1)
        if rest > half || rest == half && scaled & 1 == 1 { scaled += 1 }
        let (whole, fraction) = scaled.quotientAndRemainder(dividingBy: UInt128(scale))
        var count = 0
        if value < 0 && scaled > 0 {
            target.storeBytes(of: UInt8(ascii: "-"), as: UInt8.self)
            count = 1
        }
        count += Decimal.write(Int64(whole), to: target + count)
        if fraction == 0 { return count }
        var digits = UInt64(fraction), length = 17
        while digits % 10 == 0 {
            digits /= 10
            length -= 1
        }
        target.storeBytes(of: UInt8(ascii: "."), toByteOffset: count, as: UInt8.self)
        for place in stride(from: count + length, to: count, by: -1) {
            target.storeBytes(of: 48 + UInt8(digits % 10), toByteOffset: place, as: UInt8.self)
            digits /= 10
        }
        return count + 1 + length
    }

    /// As `write`, whatever the number, by printf.
    package static func writeAny(_ value: LongDouble, to target: UnsafeMutableRawPointer) -> Int {
        if value.isInfinite || value.isNaN { return DoubleText.write(Double(value), to: target) }
        let text = target.assumingMemoryBound(to: CChar.self)
        var count = Int(sr_format_long_double_fixed(text, maximumLength, value))
        precondition(count > 18 && count < maximumLength)
        while text[count - 1] == 48 { count -= 1 }
        if text[count - 1] == 46 { count -= 1 }
        if count == 2, text[0] == 45, text[1] == 48 {
            text[0] = 48
            count = 1
        }
        return count
    }
}

enum CText {
    /// Lends `bytes` as a NUL-terminated C string. Nil without calling `body` when there are none or the first is
    /// white space, which strtod would skip.
    static func withTerminated<R>(_ bytes: Bytes, _ body: (UnsafePointer<CChar>, Int) -> R?) -> R? {
        guard let base = bytes.baseAddress, let first = bytes.first, !ASCII.isSpace(first) else { return nil }
        let count = bytes.count
        return withUnsafeTemporaryAllocation(byteCount: count + 1, alignment: 1) { copy in
            let target = copy.baseAddress.unsafelyUnwrapped
            memcpy(target, base, count)
            target.storeBytes(of: 0, toByteOffset: count, as: UInt8.self)
            return body(UnsafePointer(target.assumingMemoryBound(to: CChar.self)), count)
        }
    }
}

extension OwnedBytes {
    /// Appends `value` as `DoubleText.write` prints it.
    package mutating func append(double value: Double) {
        reserve(DoubleText.maximumLength)
        commit(DoubleText.write(value, to: base + count))
    }
}
