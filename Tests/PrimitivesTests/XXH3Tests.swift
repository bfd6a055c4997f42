import Primitives
import Testing

/// Digests that the reference library gives for the same bytes.
struct XXH3Tests {
    private func hex(_ text: [UInt8]) -> String {
        let digest = text.withUnsafeBytes { XXH3.hash(Bytes($0)) }
        return withUnsafeTemporaryAllocation(byteCount: 16, alignment: 1) { target in
            XXH3.writeHex(digest, to: target.baseAddress.unsafelyUnwrapped)
            return String(decoding: target, as: UTF8.self)
        }
    }

    @Test func wordsHaveTheirKnownDigests() {
        #expect(hex([]) == "2d06800538d394c2")
        #expect(hex(Array("abc".utf8)) == "78af5f94892f3950")
        #expect(hex(Array("Hello world".utf8)) == "b6acb9d84a38ff74")
    }

    /// One length of each kind of path, and those beside its ends.
    @Test func everyLengthIsMixedAsTheReferenceDoes() {
        let cases = [
            (0, "2d06800538d394c2"), (1, "c44bdff4074eecdb"), (2, "9aaf71d6a8c4da34"),
            (3, "1729c78f56ec7369"), (4, "e5097d6d2a406dde"), (5, "f525743d9e4f4603"),
            (8, "89b9b1111ecd5976"), (9, "442f901347eac6d7"), (15, "125ef2dfd85d52d3"),
            (16, "3e094ab84274d7e2"), (17, "f023ce206c53cb88"), (32, "4e0f827a00305880"),
            (33, "ce95cb88847d6102"), (64, "5926c2c628b8bd40"), (65, "0bc4c752a7c50505"),
            (96, "bef5df716e3026de"), (97, "c04301a5fba9d36a"), (127, "73645b056844b908"),
            (128, "74cc793e51cbbf70"), (129, "896bc9b5ee9a02de"), (144, "5aa24e1fe0cb7f98"),
            (160, "eb4d404dd889dc60"), (200, "e57fa327d3119e3a"), (239, "cd0da82b5d6619c0"),
            (240, "168ac2eea3381b59"), (241, "5f15f12e172b51fa"), (256, "2d280775d960610d"),
            (511, "77df28f098bd0ba6"), (512, "fe45ee689d7d1c9d"), (1023, "d9753e9f31c9397c"),
            (1024, "6049adedbb22283e"), (1025, "63c9fc3d4dc27985"), (1087, "4394c9dcb76197cf"),
            (1088, "3a30d490217021b3"), (1089, "03a91672b8f32735"), (2048, "02e59e016d711afd"),
            (2049, "9a0818a05b172c13"), (4096, "4ac8c1382c1b7837"), (10000, "1e180b11fc351b6b"),
            (100000, "ca45fdb45c811080"),
        ]
        for (count, expected) in cases {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 * $0 * 31 + $0 * 7 + ($0 >> 8)) }
            #expect(hex(bytes) == expected, "\(count) bytes")
        }
    }
}
