import Primitives
import Simulation
import Storage
import Testing
import TestSupport

@Suite struct ScenarioTests {
    /// What each scenario does to the disk is what Fixtures/traces has. `tools/simulate --write-traces` writes it anew.
    @Test(arguments: Scenario.all.map(\.name)) func traceIsTheGoldenOne(_ name: String) throws {
        let scenario = try #require(Scenario.all.first { $0.name == name })
        let found = try GoldenTrace.text(scenario, Simulation.makeTable())
        SimulatedClock.release()
        let golden = try PosixFileSystem().contents(Fixture.path("traces/\(name).txt"), limit: 1 << 20)
        let expected = String(decoding: golden.bytes, as: UTF8.self)
        #expect(found == expected)
    }

    /// More seeds: `tools/simulate --crash-points`.
    @Test(arguments: Scenario.all.map(\.name)) func aCrashAfterEveryCallIsSurvived(_ name: String) throws {
        let scenario = try #require(Scenario.all.first { $0.name == name })
        var points = CrashPoints(Simulation.makeTable())
        points.run(scenario, seeds: 0..<1, tears: true)
        SimulatedClock.release()
        #expect(points.failures.isEmpty, "\(points.failures.prefix(3))")
    }
}
