import Commands
import Engine
import Histogram
import Primitives
import Testing
@testable import Server

@Suite struct CommandDeclarationTests {
    private var commands: [Command] {
        AllCommands.families.joined().flatMap { [$0] + $0.subcommands }
    }

    @Test func everyKeySpecKeepsToTheNotation() {
        for command in commands where command.keys.utf8CodeUnitCount > 0 {
            let written = "\(command.keys)".split(separator: ";").count
            #expect(KeySpec.parse(command.keys).count == written, "\(command.name): \(command.keys)")
        }
    }

    @Test func everyArgumentSchemaKeepsToTheNotation() {
        for command in commands {
            #expect(ArgumentSchema.parse(command.arguments) != nil, "\(command.name): \(command.arguments)")
        }
    }

    /// XADD's `~` was taken for an empty token with a version.
    @Test func tokenThatIsAMarkIsKept() {
        let schema = ArgumentSchema.parse("a:pure-token@~ b:pure-token@*?~7.0.0 c:pure-token@\"\"* d:string@=") ?? []
        #expect(schema.map(\.token) == ["~", "*", "", "="])
        #expect(schema.map(\.since) == [nil, "7.0.0", nil, nil])
        #expect(schema.map(\.isOptional) == [false, true, false, false])
        #expect(schema.map(\.isMultiple) == [false, false, true, false])
    }

    @Test func namesAreUnique() {
        var seen: Set<String> = []
        for command in AllCommands.families.joined() {
            #expect(seen.insert("\(command.name)").inserted, "\(command.name) is declared twice")
        }
    }

    @Test func passwordsAreHashedAsSHA256() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        #expect(SHA256.hex([]) == empty)
        #expect(SHA256.hex(Array("abc".utf8)) == abc)
    }

    @Test func percentilesAreWithinOnePercentOfTheTruth() {
        var histogram = LatencyHistogram()
        for value in 1...10_000 as ClosedRange<UInt64> { histogram.record(value * 100) }
        let latencies = histogram.read()
        let median = Double(latencies.percentile(50)), high = Double(latencies.percentile(99))
        #expect(abs(median - 500_000) / 500_000 < 0.01)
        #expect(abs(high - 990_000) / 990_000 < 0.01)
        #expect(latencies.cumulative().last?.count == 10_000)
        #expect(latencies.total == 10_000)
    }

    /// The buckets in which calls are counted are the library's: nothing is lost on the way.
    @Test func latenciesAreThoseThatTheLibraryWouldHaveCounted() {
        var random = RandomSource(seed: 7)
        var ours = LatencyHistogram()
        var library = Histogram<UInt64>(highestTrackableValue: 1_000_000_000, numberOfSignificantValueDigits: .two)
        for _ in 0..<50_000 {
            let value = min(random.next() >> UInt64(random.next(below: 60)), 2_000_000_000)
            ours.record(value)
            library.record(min(max(value, 1), 1_000_000_000))
        }
        let read = ours.read()
        #expect(read.histogram.recordedValues().map { [$0.value, $0.count] }
            == library.recordedValues().map { [$0.value, $0.count] })
        var level: UInt64 = 1024, rows: [[UInt64]] = []
        while rows.last?[1] ?? 0 < read.total {
            let bound = library.highestEquivalentForValue(level), count = library.count(within: 0...bound)
            if count > rows.last?[1] ?? 0 { rows.append([bound / 1000, count]) }
            level *= 2
        }
        #expect(read.cumulative().map { [$0.microseconds, $0.count] } == rows)
        ours.record(5000)
        #expect(ours.read().total == 50_001 && ours.read().cumulative().last?.count == 50_001)
    }
}
