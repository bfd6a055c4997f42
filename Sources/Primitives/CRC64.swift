/// CRC-64 of RDB files and DUMP payloads: polynomial 0xad93d23594c935a9 (Jones), reflected in and out, start 0,
/// no final xor. Check value of "123456789": 0xe9c6d914c4b8d9ca.
///
/// Sixteen bytes per step from sixteen tables of 256 words (32 kB, made once): what each of sixteen bytes does to
/// the checksum depends on its value and its distance from the end alone, so the sixteen look-ups don't wait for
/// one another.
package enum CRC64 {
    /// The checksum of what `crc` covers followed by `bytes`. Start with 0.
    package static func update(_ crc: UInt64, _ bytes: Bytes) -> UInt64 {
        guard let base = bytes.baseAddress else { return crc }
        let t = tables.words
        var crc = crc
        var offset = 0
        let count = bytes.count
        while count &- offset >= 16 {
            let a = crc ^ UInt64(littleEndian: base.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            let b = UInt64(littleEndian: base.loadUnaligned(fromByteOffset: offset &+ 8, as: UInt64.self))
            crc = eight(t + 2048, a) ^ eight(t, b)
            offset &+= 16
        }
        if count &- offset >= 8 {
            crc = eight(t, crc ^ UInt64(littleEndian: base.loadUnaligned(fromByteOffset: offset, as: UInt64.self)))
            offset &+= 8
        }
        while offset < count {
            let index = UInt8(truncatingIfNeeded: crc) ^ base.load(fromByteOffset: offset, as: UInt8.self)
            crc = t[Int(index)] ^ crc &>> 8
            offset &+= 1
        }
        return crc
    }

    /// The checksum of `bytes`.
    package static func of(_ bytes: Bytes) -> UInt64 { update(0, bytes) }

    /// Eight look-ups; the lowest byte is furthest from the end.
    @inline(__always)
    private static func eight(_ t: UnsafePointer<UInt64>, _ word: UInt64) -> UInt64 {
        let low = t[1792 &+ Int(word & 0xff)] ^ t[1536 &+ Int(word &>> 8 & 0xff)]
            ^ t[1280 &+ Int(word &>> 16 & 0xff)] ^ t[1024 &+ Int(word &>> 24 & 0xff)]
        let high = t[768 &+ Int(word &>> 32 & 0xff)] ^ t[512 &+ Int(word &>> 40 & 0xff)]
            ^ t[256 &+ Int(word &>> 48 & 0xff)] ^ t[Int(word &>> 56)]
        return low ^ high
    }

    /// `words[256 * distance + value]`: what `value` does to the checksum `distance` bytes later.
    private struct Tables: @unchecked Sendable {
        let words: UnsafePointer<UInt64>

        init() {
            // Reflected polynomial.
            let polynomial: UInt64 = 0x95ac_9329_ac4b_c9b5
            let made = UnsafeMutablePointer<UInt64>.allocate(capacity: 16 * 256)
            for value in 0..<256 {
                var crc = UInt64(value)
                for _ in 0..<8 { crc = crc & 1 != 0 ? crc >> 1 ^ polynomial : crc >> 1 }
                made[value] = crc
            }
            for index in 256..<16 * 256 {
                let before = made[index - 256]
                made[index] = made[Int(before & 0xff)] ^ before >> 8
            }
            words = UnsafePointer(made)
        }
    }

    /// Immutable after its first use; lives as long as the program.
    private static let tables = Tables()
}
