import Keyspace
import Primitives
import Testing

struct HashTableWalkTests {
    private func withBytes<Result>(_ text: String, _ body: (Bytes) -> Result) -> Result {
        var text = text
        return text.withUTF8 { body(Bytes($0)) }
    }

    /// A lookup pays for one step of a resize; SINTER of a set with itself then lost members.
    @Test func lookupsDuringAWalkOfAGrowingTableLoseNoElement() {
        let keyspace = Keyspace(databaseCount: 1, seed: .random(), random: RandomSource(seed: 7))
        for size in stride(from: 5, through: 2000, by: 45) {
            var set = SetValue.createTable(keyspace.context)
            for number in 0..<size { _ = withBytes("member \(number)") { set.add($0, keyspace) } }
            var seen: Set<String> = []
            set.forEach { member in
                seen.insert(String(decoding: member, as: UTF8.self))
                for number in 0..<3 { #expect(withBytes("member \(number)") { set.contains($0) }) }
                return true
            }
            #expect(seen.count == size)
            set.destroy()
        }
    }
}
