import Encodings
import Primitives
import Testing

@Suite struct LZFTests {
    private func compressed(_ input: [UInt8], _ compressor: inout LZFCompressor, room: Int) -> [UInt8]? {
        var output = [UInt8](repeating: 0, count: room)
        let size = input.withUnsafeBytes { source in
            output.withUnsafeMutableBytes { compressor.compress(source, into: $0) }
        }
        return size.map { Array(output.prefix($0)) }
    }

    private func decompressed(_ input: [UInt8], _ count: Int) -> [UInt8]? {
        var output = [UInt8](repeating: 0, count: count)
        let isGood = input.withUnsafeBytes { source in
            output.withUnsafeMutableBytes { LZF.decompress(source, into: $0) }
        }
        return isGood ? output : nil
    }

    @Test func whatIsCompressedComesBack() {
        var random = SystemRandomNumberGenerator()
        var compressor = LZFCompressor()
        for round in 0..<500 {
            let count = Int.random(in: 4...(round % 10 == 0 ? 20000 : 300), using: &random)
            let letters = Int.random(in: 1...255, using: &random)
            let input = (0..<count).map { _ in UInt8(Int.random(in: 0...letters, using: &random)) }
            // Too little room is refused, never exceeded.
            for room in [count - 4, count / 2, 5, count + count / 16 + 8] where room > 0 {
                guard let small = compressed(input, &compressor, room: room) else { continue }
                #expect(small.count <= room)
                #expect(decompressed(small, count) == input)
            }
            #expect(compressed(input, &compressor, room: count + count / 16 + 8) != nil)
        }
    }

    @Test func longRuns() {
        var compressor = LZFCompressor()
        let input = [UInt8](repeating: 7, count: 100_000)
        let small = compressed(input, &compressor, room: 99_996)
        #expect(small.map { $0.count < 1300 } == true)
        #expect(small.flatMap { decompressed($0, 100_000) } == input)
    }

    /// As every server's compressor does it: payloads are compared byte for byte.
    @Test func theBytesAreThoseOfTheOtherServers() {
        var compressor = LZFCompressor()
        let runs: [(Int, [UInt8])] = [
            (21, [1, 97, 97, 0xe0, 0x0a, 0]), (22, [1, 97, 97, 0xe0, 0x0a, 0, 0, 97]),
            (23, [1, 97, 97, 0xe0, 0x0a, 0, 1, 97, 97]), (24, [1, 97, 97, 0xe0, 0x0b, 0, 1, 97, 97]),
        ]
        for (count, expected) in runs {
            let input = [UInt8](repeating: 97, count: count)
            #expect(compressed(input, &compressor, room: count - 4) == expected, "\(count)")
        }
    }

    @Test func garbageIsRefused() {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<5000 {
            let length = Int.random(in: 0...40, using: &random)
            let input = (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }
            let size = Int.random(in: 0...LZF.maximumSize(ofCompressed: input.count), using: &random)
            _ = decompressed(input, size)
        }
        #expect(decompressed([0x20, 0], 3) == nil)
        #expect(decompressed([0xe0], 9) == nil)
        #expect(decompressed([5, 1], 6) == nil)
        #expect(decompressed([1, 65, 66], 3) == nil)
    }
}
