import Primitives
import Simulation
import Testing
import TestSupport

/// More of it: `tools/simulate`.
@Suite struct RandomLivesTests {
    @Test func livesOfAGoodServerLoseNothing() throws {
        let first = UInt64.random(in: 0..<1_000_000_000)
        print("seed \(first)")
        let table = Simulation.makeTable()
        defer { SimulatedClock.release() }
        for seed in first..<(first + 60) {
            do {
                try RandomLives(seed: seed, table).run()
            } catch {
                Issue.record("seed \(seed): \(error)")
            }
        }
    }

    /// What would a simulation be worth that finds nothing?
    @Test(arguments: PlantedBug.allCases) func aPlantedBugIsFoundWithinAHundredSeeds(_ bug: PlantedBug) throws {
        let table = Simulation.makeTable()
        defer { SimulatedClock.release() }
        let first = UInt64.random(in: 0..<1_000_000_000)
        print("seed \(first)")
        for seed in first..<(first + 100) {
            do {
                try RandomLives(seed: seed, table, bug: bug).run()
            } catch {
                return
            }
        }
        Issue.record("\(bug) was not found from seed \(first) on")
    }

    @Test func aSeedHappensTheSameWayAgain() throws {
        let table = Simulation.makeTable()
        defer { SimulatedClock.release() }
        func actions() throws -> [String] {
            let lives = RandomLives(seed: 7, table, keepsActions: true)
            try lives.run()
            return lives.actions
        }
        let first = try actions()
        #expect(try actions() == first && first.count > 30)
    }
}
