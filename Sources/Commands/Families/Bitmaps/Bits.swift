import Primitives

/// Runs of bits within bytes, bit 0 the highest of the first byte; a word at a time.
enum Bits {
    /// How many of the bits are set.
    static func count(_ bytes: Bytes) -> Int {
        guard let base = bytes.baseAddress else { return 0 }
        var total = 0, offset = 0
        while bytes.count &- offset >= 8 {
            total &+= base.loadUnaligned(fromByteOffset: offset, as: UInt64.self).nonzeroBitCount
            offset &+= 8
        }
        while offset < bytes.count {
            total &+= base.load(fromByteOffset: offset, as: UInt8.self).nonzeroBitCount
            offset &+= 1
        }
        return total
    }

    /// How many of the bits in `range` are set; it must lie within the bytes.
    static func count(_ bytes: Bytes, in range: Range<Int>) -> Int {
        if range.isEmpty { return 0 }
        let first = range.lowerBound >> 3, last = (range.upperBound - 1) >> 3
        let before = headMask(range.lowerBound), behind = tailMask(range.upperBound)
        return count(Bytes(rebasing: bytes[first...last]))
            - (bytes[first] & before).nonzeroBitCount - (bytes[last] & behind).nonzeroBitCount
    }

    /// The bits of its byte before bit `start`.
    private static func headMask(_ start: Int) -> UInt8 { ~(0xff >> UInt8(start & 7)) }
    /// The bits of its last byte from bit `end` on.
    private static func tailMask(_ end: Int) -> UInt8 { end & 7 == 0 ? 0 : 0xff >> UInt8(end & 7) }

    /// The first bit in `range` that is `bit`; the range must lie within the bytes.
    static func first(_ bit: Bool, in bytes: Bytes, _ range: Range<Int>) -> Int? {
        guard !range.isEmpty, let base = bytes.baseAddress else { return nil }
        // Looking for a clear bit is looking for a set one in the complement.
        let flip: UInt64 = bit ? 0 : .max
        let end = (range.upperBound + 7) >> 3
        var offset = range.lowerBound >> 3
        var byte = base.load(fromByteOffset: offset, as: UInt8.self) ^ UInt8(truncatingIfNeeded: flip)
        byte &= ~headMask(range.lowerBound)
        var found: Int?
        if byte != 0 {
            found = offset << 3 + byte.leadingZeroBitCount
        } else {
            offset += 1
            // Long runs of what is not looked for, four words at a time.
            while end - offset >= 32 {
                let words = base.loadUnaligned(fromByteOffset: offset, as: SIMD4<UInt64>.self)
                let other = words ^ SIMD4(repeating: flip)
                if other[0] | other[1] | other[2] | other[3] != 0 { break }
                offset += 32
            }
            while end - offset >= 8 {
                let word = base.loadUnaligned(fromByteOffset: offset, as: UInt64.self) ^ flip
                if word != 0 {
                    found = offset << 3 + UInt64(bigEndian: word).leadingZeroBitCount
                    break
                }
                offset += 8
            }
            while found == nil && offset < end {
                byte = base.load(fromByteOffset: offset, as: UInt8.self) ^ UInt8(truncatingIfNeeded: flip)
                if byte != 0 { found = offset << 3 + byte.leadingZeroBitCount }
                offset += 1
            }
        }
        guard let found, found < range.upperBound else { return nil }
        return found
    }

    /// The `width` bits (1 to 64) at bit `offset`, the lowest of them in the lowest bit; those behind the end are 0.
    static func read(_ bytes: Bytes, at offset: Int, width: Int) -> UInt64 {
        let first = offset >> 3, shift = offset & 7
        guard let base = bytes.baseAddress, first < bytes.count else { return 0 }
        var word: UInt64 = 0
        if bytes.count - first >= 8 {
            word = UInt64(bigEndian: base.loadUnaligned(fromByteOffset: first, as: UInt64.self))
        } else {
            for index in first..<bytes.count { word |= UInt64(bytes[index]) << UInt64(56 - (index - first) * 8) }
        }
        word <<= UInt64(shift)
        if shift > 0, bytes.count - first > 8 { word |= UInt64(bytes[first + 8]) >> UInt64(8 - shift) }
        return word >> UInt64(64 - width)
    }

    /// Stores the lowest `width` bits (1 to 64) of `value` at bit `offset`; no byte but theirs is touched.
    static func write(_ value: UInt64, to base: UnsafeMutableRawPointer, at offset: Int, width: Int) {
        let shift = UInt64(offset & 7), top = value << UInt64(64 - width), mask = UInt64.max << UInt64(64 - width)
        func store(_ index: Int, _ byte: UInt8, _ mask: UInt8) {
            if mask == 0 { return }
            let place = offset >> 3 + index
            let old = base.load(fromByteOffset: place, as: UInt8.self)
            base.storeBytes(of: old & ~mask | byte & mask, toByteOffset: place, as: UInt8.self)
        }
        for index in 0..<8 {
            let down = UInt64(56 - index * 8)
            store(index, UInt8(truncatingIfNeeded: (top >> shift) >> down),
                  UInt8(truncatingIfNeeded: (mask >> shift) >> down))
        }
        if shift > 0 {
            store(8, UInt8(truncatingIfNeeded: top << (8 - shift)), UInt8(truncatingIfNeeded: mask << (8 - shift)))
        }
    }
}
