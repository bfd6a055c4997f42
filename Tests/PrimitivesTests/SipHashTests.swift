import Primitives
import Testing

@Suite struct SipHashTests {
    /// Straight from the paper, with the numbers of rounds open.
    static func reference(_ m: [UInt8], _ k0: UInt64, _ k1: UInt64, _ c: Int, _ d: Int) -> UInt64 {
        var v: [UInt64] = [k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
            k1 ^ 0x7465646279746573]
        func rotate(_ x: UInt64, _ n: UInt64) -> UInt64 { x << n | x >> (64 - n) }
        func round() {
            v[0] &+= v[1]; v[1] = rotate(v[1], 13); v[1] ^= v[0]; v[0] = rotate(v[0], 32)
            v[2] &+= v[3]; v[3] = rotate(v[3], 16); v[3] ^= v[2]
            v[0] &+= v[3]; v[3] = rotate(v[3], 21); v[3] ^= v[0]
            v[2] &+= v[1]; v[1] = rotate(v[1], 17); v[1] ^= v[2]; v[2] = rotate(v[2], 32)
        }
        var padded = m + [UInt8](repeating: 0, count: 7 - m.count % 8)
        padded.append(UInt8(truncatingIfNeeded: m.count))
        for start in stride(from: 0, to: padded.count, by: 8) {
            let word = (0..<8).reduce(UInt64(0)) { $0 | UInt64(padded[start + $1]) << UInt64(8 * $1) }
            v[3] ^= word
            for _ in 0..<c { round() }
            v[0] ^= word
        }
        v[2] ^= 0xff
        for _ in 0..<d { round() }
        return v[0] ^ v[1] ^ v[2] ^ v[3]
    }

    @Test func theReferenceGivesThePublishedVector() {
        #expect(Self.reference((0..<15).map { UInt8($0) }, 0x0706050403020100, 0x0f0e0d0c0b0a0908, 2,
            4) == 0xa129ca6149be45e5)
    }

    @Test func equalsTheReferenceAtEveryLengthAndAlignment() {
        var random = TestRandom(state: printedSeed())
        let buffer = (0..<200).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        let seed = HashSeed(k0: random.next(), k1: random.next())
        buffer.withUnsafeBytes { bytes in
            for start in 0..<9 {
                for count in 0..<150 {
                    let slice = Array(buffer[start..<start + count])
                    let lower = slice.map { (65...90).contains($0) ? $0 + 32 : $0 }
                    let borrowed = Bytes(rebasing: bytes[start..<start + count])
                    #expect(SipHash.hash(borrowed, seed) == Self.reference(slice, seed.k0, seed.k1, 1, 2))
                    #expect(SipHash.hashIgnoringCase(borrowed, seed) == Self.reference(lower, seed.k0, seed.k1, 1, 2))
                }
            }
        }
        #expect(SipHash.hash(Bytes(start: nil, count: 0), seed) == Self.reference([], seed.k0, seed.k1, 1, 2))
    }

    @Test func lowercasesEveryByteInEveryPosition() {
        for value in UInt64(0)..<256 {
            let lower = (65...90).contains(value) ? value + 32 : value
            for shift in stride(from: UInt64(0), to: 64, by: 8) {
                for filler: UInt64 in [0, 0x7f, 0x80, 0xff, 0x5a] {
                    let others = (filler &* 0x0101_0101_0101_0101) & ~(0xff << shift)
                    let othersLower = filler == 0x5a ? others | ((0x2020_2020_2020_2020) & ~(0xff << shift)) : others
                    #expect(ASCII.lowercased(others | value << shift) == othersLower | lower << shift)
                }
            }
        }
    }

    @Test func seedsMatter() {
        withBytes("key") {
            #expect(SipHash.hash($0, HashSeed(k0: 1, k1: 2)) != SipHash.hash($0, HashSeed(k0: 1, k1: 3)))
        }
        #expect(HashSeed.random() != HashSeed.random())
    }
}
