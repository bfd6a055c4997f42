#if canImport(Glibc)
import Glibc
#endif

/// Bytes as ASCII, in the C locale: everything from 0x80 up is neither letter nor space nor printable.
@usableFromInline
package enum ASCII {
    /// A-Z made a-z.
    @inlinable
    @inline(__always)
    package static func lowercased(_ byte: UInt8) -> UInt8 {
        byte &- 65 < 26 ? byte | 0x20 : byte
    }

    /// A-Z made a-z in each of the eight bytes at once. Adding within 7 bits can't carry into a neighbour.
    @inlinable
    @inline(__always)
    package static func lowercased(_ word: UInt64) -> UInt64 {
        let low7 = word & 0x7f7f_7f7f_7f7f_7f7f
        let atLeastA = low7 &+ 0x3f3f_3f3f_3f3f_3f3f
        let aboveZ = low7 &+ 0x2525_2525_2525_2525
        let isUpper = (atLeastA & ~aboveZ & ~word) & 0x8080_8080_8080_8080
        return word | isUpper &>> 2
    }

    /// Space, tab, line feed, vertical tab, form feed, carriage return.
    @inlinable
    @inline(__always)
    package static func isSpace(_ byte: UInt8) -> Bool { byte == 32 || byte &- 9 < 5 }

    @inlinable
    @inline(__always)
    package static func isPrintable(_ byte: UInt8) -> Bool { byte &- 32 < 95 }

    @inlinable
    @inline(__always)
    package static func isDigit(_ byte: UInt8) -> Bool { byte &- 48 < 10 }

    /// 0 to 15, or nil.
    @inlinable
    package static func hexDigitValue(_ byte: UInt8) -> UInt8? {
        if isDigit(byte) { return byte &- 48 }
        let letter = (byte | 0x20) &- 97
        return letter < 6 ? letter &+ 10 : nil
    }

    /// 0 to 15 as 0-9, a-f.
    @inlinable
    @inline(__always)
    package static func hexDigit(_ value: UInt8) -> UInt8 { value < 10 ? 48 &+ value : 87 &+ value }
}

extension UnsafeRawBufferPointer {
    /// Equality of contents with A-Z as good as a-z: names of commands, options, configuration directives.
    @inlinable
    package func equalsIgnoringCase(_ other: Bytes) -> Bool {
        guard count == other.count else { return false }
        guard count > 0, let a = baseAddress, let b = other.baseAddress else { return true }
        if count >= 8 {
            // Whole words, the last one overlapping.
            var offset = 0
            while true {
                let left = a.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
                let right = b.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
                if left != right, ASCII.lowercased(left) != ASCII.lowercased(right) { return false }
                if offset == count &- 8 { return true }
                offset = Swift.min(offset &+ 8, count &- 8)
            }
        }
        return ASCII.lowercased(SipHash.tail(a, count)) == ASCII.lowercased(SipHash.tail(b, count))
    }

    /// As above: `bytes.equalsIgnoringCase("withscores")`.
    @inlinable
    package func equalsIgnoringCase(_ literal: StaticString) -> Bool {
        equalsIgnoringCase(Bytes(start: literal.utf8Start, count: literal.utf8CodeUnitCount))
    }

    /// Whether these bytes begin with `prefix`, A-Z as good as a-z.
    @inlinable
    package func startsIgnoringCase(_ prefix: StaticString) -> Bool {
        let length = prefix.utf8CodeUnitCount
        return count >= length && Bytes(start: baseAddress, count: length).equalsIgnoringCase(prefix)
    }

    /// The bytes from `offset` on; `offset` at most `count`.
    @inlinable
    @inline(__always)
    package func from(_ offset: Int) -> Bytes {
        precondition(offset >= 0 && offset <= count)
        return Bytes(start: baseAddress.map { $0 + offset }, count: count &- offset)
    }
}
