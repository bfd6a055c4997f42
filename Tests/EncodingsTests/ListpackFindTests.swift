import Encodings
import Primitives
import Testing

@Suite struct ListpackFindTests {
    /// Strings of all lengths that are told apart by one byte, and numbers of all widths, are found where they are.
    @Test(arguments: [1, 2, 3] as [UInt64]) func everyElementIsFoundWhereItIs(seed: UInt64) {
        var random = RandomSource(seed: seed)
        for round in 0..<200 {
            var pack = Listpack.create()
            defer { pack.destroy() }
            var texts: [[UInt8]] = []
            for _ in 0..<(2 + random.next(below: 40)) {
                let text = Self.text(&random)
                texts.append(text)
                text.withUnsafeBytes { pack.append($0) }
            }
            for skip in 0..<3 {
                for wanted in texts + [Self.text(&random), []] {
                    let index = stride(from: 0, to: texts.count, by: skip + 1).first { texts[$0] == wanted }
                    let found = wanted.withUnsafeBytes { pack.find(from: pack.first, $0, skip: skip) }
                    #expect(found == index.flatMap { pack.seek($0) }, "seed \(seed), round \(round), skip \(skip)")
                }
            }
        }
    }

    private static func text(_ random: inout RandomSource) -> [UInt8] {
        if random.next(below: 3) == 0 {
            let bits = UInt64(random.next(below: 64))
            return Array("\(Int64(bitPattern: random.next()) >> Int64(bits))".utf8)
        }
        let lengths = [1, 3, 7, 8, 9, 15, 16, 17, 63, 64, 200, 4095, 4096, 5000]
        var text = [UInt8](repeating: 97, count: lengths[random.next(below: random.next(below: 4) == 0 ? 14 : 9)])
        text[random.next(below: text.count)] = UInt8(97 + random.next(below: 3))
        return text
    }
}
