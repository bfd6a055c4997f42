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
