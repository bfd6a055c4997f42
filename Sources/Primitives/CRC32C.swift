import CShims

/// CRC-32C (Castagnoli, polynomial 0x1edc6f41, reflected, start and final xor all ones): the seal of log batches.
/// Check value of "123456789": 0xe3069283. By the processor's own instruction where it has one, else eight bytes
/// per step by tables.
package enum CRC32C {
    /// The checksum of what `crc` covers followed by `bytes`. Start with 0.
    package static func update(_ crc: UInt32, _ bytes: Bytes) -> UInt32 {
        guard let base = bytes.baseAddress else { return crc }
        guard tables.hasInstruction else { return updateByTable(crc, bytes) }
        return ~sr_crc32c(~crc, base, bytes.count)
    }

    /// The checksum of `bytes`.
    package static func of(_ bytes: Bytes) -> UInt32 { update(0, bytes) }

    /// `update` for processors without the instruction.
    package static func updateByTable(_ crc: UInt32, _ bytes: Bytes) -> UInt32 {
        guard let base = bytes.baseAddress else { return crc }
        let t = tables.words
        var state = ~crc
        var offset = 0
        let count = bytes.count
        while count &- offset >= 8 {
            let word = UInt64(littleEndian: base.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) ^ UInt64(state)
            var next: UInt32 = 0
            var distance = 1792
            var rest = word
            while distance >= 0 {
                next ^= t[distance &+ Int(rest & 0xff)]
                rest = rest &>> 8
                distance &-= 256
            }
            state = next
            offset &+= 8
        }
        while offset < count {
            let index = UInt8(truncatingIfNeeded: state) ^ base.load(fromByteOffset: offset, as: UInt8.self)
            state = t[Int(index)] ^ state &>> 8
            offset &+= 1
        }
        return ~state
    }

    /// `words[256 * distance + value]`: what `value` does to the checksum `distance` bytes later.
    private struct Tables: @unchecked Sendable {
        let words: UnsafePointer<UInt32>
        let hasInstruction: Bool

        init() {
            hasInstruction = sr_has_crc32c() != 0
            let made = UnsafeMutablePointer<UInt32>.allocate(capacity: 8 * 256)
            for value in 0..<256 {
                var crc = UInt32(value)
                for _ in 0..<8 { crc = crc & 1 != 0 ? crc >> 1 ^ 0x82f6_3b78 : crc >> 1 }
                made[value] = crc
            }
            for index in 256..<8 * 256 {
                let before = made[index - 256]
                made[index] = made[Int(before & 0xff)] ^ before >> 8
            }
            words = UnsafePointer(made)
        }
    }

    /// Immutable after its first use; lives as long as the program.
    private static let tables = Tables()
}
