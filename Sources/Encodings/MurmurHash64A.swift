import Primitives

/// Austin Appleby's MurmurHash2 for 64 bits, little endian. Part of the HyperLogLog format: the hash decides which
/// register an element is counted in.
enum MurmurHash64A {
    private static let multiplier: UInt64 = 0xc6a4_a793_5bd1_e995

    static func hash(_ bytes: Bytes, seed: UInt64) -> UInt64 {
        var hash = seed ^ UInt64(bytes.count) &* multiplier
        var offset = 0
        while bytes.count - offset >= 8 {
            var word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            word = word &* multiplier
            word ^= word >> 47
            word = word &* multiplier
            hash = (hash ^ word) &* multiplier
            offset += 8
        }
        if offset < bytes.count {
            var tail: UInt64 = 0
            for index in (offset..<bytes.count).reversed() { tail = tail << 8 | UInt64(bytes[index]) }
            hash = (hash ^ tail) &* multiplier
        }
        hash ^= hash >> 47
        hash = hash &* multiplier
        return hash ^ hash >> 47
    }
}
