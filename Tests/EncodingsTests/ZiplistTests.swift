import Encodings
import Primitives
import Testing

@Suite struct ZiplistTests {
    private static let integers: [Int64] = [
        0, 1, 12, 13, -1, 127, -128, 128, 32767, -32768, 32768, 8_388_607, -8_388_608, 8_388_608,
        2_147_483_647, -2_147_483_648, 2_147_483_648, .max, .min,
    ]

    @Test func whatIsWrittenIsRead() throws {
        var writer = ZiplistWriter()
        let lengths = [0, 1, 31, 63, 64, 250, 253, 254, 300, 16383, 16384, 70000]
        for value in Self.integers { writer.append(value) }
        for length in lengths { Self.text(length) { writer.append($0) } }
        let count = Self.integers.count + lengths.count
        var reader = try #require(ZiplistReader(writer.finish()))
        #expect(reader.count == count)
        for value in Self.integers {
            guard case .integer(let read) = reader.next() else { Issue.record("\(value)"); return }
            #expect(read == value)
        }
        for length in lengths {
            guard case .bytes(let read) = reader.next() else { Issue.record("\(length)"); return }
            let isSame = Self.text(length) { read.equals($0) }
            #expect(isSame, "\(length)")
        }
        if reader.next() != nil { Issue.record("more than was written") }
    }

    /// The smallest ziplists, as Redis 6.2 writes them.
    @Test func knownBytes() {
        var writer = ZiplistWriter()
        #expect([UInt8](writer.finish()) == [11, 0, 0, 0, 10, 0, 0, 0, 0, 0, 255])
        writer.reset()
        Self.text(1) { writer.append($0) }
        writer.append(2)
        #expect([UInt8](writer.finish()) == [16, 0, 0, 0, 13, 0, 0, 0, 2, 0, 0, 1, 120, 3, 0xf3, 255])
    }

    private static func text<R>(_ length: Int, _ body: (Bytes) -> R) -> R {
        [UInt8](repeating: 120, count: length).withUnsafeBytes { body($0) }
    }
}
