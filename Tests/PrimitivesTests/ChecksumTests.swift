import Primitives
import Testing

@Suite struct ChecksumTests {
    static func slowCRC64(_ array: [UInt8]) -> UInt64 {
        var crc: UInt64 = 0
        for byte in array {
            crc ^= UInt64(byte)
            for _ in 0..<8 { crc = crc & 1 != 0 ? crc >> 1 ^ 0x95ac_9329_ac4b_c9b5 : crc >> 1 }
        }
        return crc
    }

    @Test func crc64KnownValues() {
        #expect(withBytes("123456789") { CRC64.of($0) } == 0xe9c6_d914_c4b8_d9ca)
        #expect(CRC64.of(Bytes(start: nil, count: 0)) == 0 && CRC64.update(7, Bytes(start: nil, count: 0)) == 7)
    }

    @Test func crc64OfEveryLengthAndSplit() {
        var random = TestRandom(state: printedSeed())
        for count in 0..<300 {
            let array = (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            let expected = Self.slowCRC64(array)
            withBytes(array) { bytes in
                #expect(CRC64.of(bytes) == expected)
                let cut = Int.random(in: 0...count, using: &random)
                let head = CRC64.of(Bytes(rebasing: bytes[0..<cut]))
                #expect(CRC64.update(head, Bytes(rebasing: bytes[cut...])) == expected)
            }
        }
    }
}

extension ChecksumTests {
    @Test func crc16AndSlots() {
        #expect(withBytes("123456789") { CRC16.of($0) } == 0x31c3)
        func slot(_ key: String) -> UInt16 { withBytes(key) { CRC16.slot(ofKey: $0) } }
        // As CLUSTER KEYSLOT answers.
        #expect(slot("foo") == 12182 && slot("bar") == 5061 && slot("123456789") == 12739 && slot("") == 0)
        #expect(slot("{user1000}.following") == slot("user1000") && slot("a{foo}b{bar}") == slot("foo"))
        for whole in ["foo{}{bar}", "{", "}", "a}b{c", "{}", "x{y"] {
            withBytes(whole) { #expect(CRC16.hashTag($0).equals($0)) }
        }
        withBytes("foo{{bar}}zap") { #expect(CRC16.hashTag($0).equals(("{bar" as StaticString).bytes)) }
    }

    @Test func crc32cOfEveryLengthAndSplit() {
        func slow(_ array: [UInt8]) -> UInt32 {
            var crc = ~UInt32(0)
            for byte in array {
                crc ^= UInt32(byte)
                for _ in 0..<8 { crc = crc & 1 != 0 ? crc >> 1 ^ 0x82f6_3b78 : crc >> 1 }
            }
            return ~crc
        }
        #expect(withBytes("123456789") { CRC32C.of($0) } == 0xe306_9283)
        #expect(CRC32C.of(Bytes(start: nil, count: 0)) == 0)
        var random = TestRandom(state: printedSeed())
        for count in 0..<300 {
            let array = (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            let expected = slow(array)
            withBytes(array) { bytes in
                #expect(CRC32C.of(bytes) == expected && CRC32C.updateByTable(0, bytes) == expected)
                let cut = Int.random(in: 0...count, using: &random)
                let head = CRC32C.of(Bytes(rebasing: bytes[0..<cut]))
                #expect(CRC32C.update(head, Bytes(rebasing: bytes[cut...])) == expected)
            }
        }
    }

    @Test func sha1KnownValues() {
        func hex(_ text: String) -> String { withBytes(text) { SHA1.of($0).hex } }
        #expect(hex("") == "da39a3ee5e6b4b0d3255bfef95601890afd80709")
        #expect(hex("abc") == "a9993e364706816aba3e25717850c26c9cd0d89d")
        let twoBlocks = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"
        #expect(hex(twoBlocks) == "84983e441c3bd26ebaae4aa1f95129e5e54670f1")
        #expect(hex(String(repeating: "a", count: 1_000_000)) == "34aa973cd4c4daa4f61eeb2bdbad27316534016f")
        #expect(hex("return 1") == "e0e1f9fabfc9d4800c877a703b823ac0578ff8db")
    }

    @Test func sha1InPiecesAndByBytes() {
        var random = TestRandom(state: printedSeed())
        for count in 0..<260 {
            let array = (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            withBytes(array) { bytes in
                var pieces = SHA1()
                var offset = 0
                while offset < count {
                    let taken = Int.random(in: 0...min(70, count - offset), using: &random)
                    pieces.update(Bytes(rebasing: bytes[offset..<offset + taken]))
                    offset += taken
                }
                let digest = pieces.finish()
                #expect(digest == SHA1.of(bytes))
                var raw = [UInt8](repeating: 0, count: 20)
                raw.withUnsafeMutableBytes { digest.write(to: $0.baseAddress!) }
                let text = raw.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
                #expect(text == digest.hex)
                var folded = digest
                folded.formXor(digest)
                #expect(folded == SHA1.Digest())
            }
        }
    }
}
