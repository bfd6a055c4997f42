import Primitives
import Testing
@testable import Keyspace

/// Names that fall into one bucket under a seed that somebody knows: they do no harm where the seed is another.
struct HashFloodingTests {
    private static let known = HashSeed(k0: 0x0706_0504_0302_0100, k1: 0x0f0e_0d0c_0b0a_0908)

    /// Names whose hashes agree in their low 9 bits, more than a table of them has buckets.
    private static let colliding: [String] = {
        var names: [String] = [], number = 0
        while names.count < 400 {
            var name = "name:\(number)"
            if name.withUTF8({ SipHash.hash(Bytes($0), known) }) & 511 == 7 { names.append(name) }
            number += 1
        }
        return names
    }()

    /// Elements in the fullest bucket of a set that holds the names.
    private func fullestBucket(_ seed: HashSeed) -> Int {
        let keyspace = Keyspace(databaseCount: 1, seed: seed, random: RandomSource(seed: 7))
        var set = SetValue.createTable(keyspace.context)
        defer { set.destroy() }
        for var name in Self.colliding { _ = name.withUTF8 { set.add(Bytes($0), keyspace) } }
        let title = " most elements in a bucket: "
        return set.table.statistics.split(separator: "\n").filter { $0.hasPrefix(title) }
            .compactMap { Int($0.dropFirst(title.utf8.count)) }.max() ?? 0
    }

    @Test func namesChosenForOneSeedSpreadUnderAnother() {
        #expect(fullestBucket(Self.known) > 300, "the names don't collide even where they should")
        for _ in 0..<20 {
            let seed = HashSeed.random()
            #expect(fullestBucket(seed) < 40, "under \(seed)")
        }
    }
}
