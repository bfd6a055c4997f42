import Primitives
import Simulation
import Testing
import TestSupport

/// More of it: `tools/simulate`.
@Suite struct RandomLivesTests {
    @Test func livesOfAGoodServerLoseNothing() throws {
        let first = testSeed()
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

    /// What would a simulation be worth that finds nothing? The best hidden of them takes 12 seeds on average, and one
    /// time in ten thousand more than a hundred.
    @Test(arguments: PlantedBug.allCases) func aPlantedBugIsFound(_ bug: PlantedBug) throws {
        let table = Simulation.makeTable()
        defer { SimulatedClock.release() }
        let first = testSeed()
        print("seed \(first)")
        for seed in first..<(first + 2000) {
            do {
                try RandomLives(seed: seed, table, bug: bug).run()
            } catch {
                return
            }
        }
        Issue.record("\(bug) was not found from seed \(first) on")
    }

    /// Or thousands of lives would fill the memory.
    @Test func aLifeLeavesNothingBehind() throws {
        let table = Simulation.makeTable()
        defer { SimulatedClock.release() }
        weak var core: AnyObject?
        weak var engine: AnyObject?
        weak var loop: AnyObject?
        weak var persistence: AnyObject?
        do {
            let simulation = Simulation(SimulationSettings(), table)
            try simulation.start()
            core = simulation.server?.core
            engine = simulation.server?.core.engine
            loop = simulation.server?.core.loop
            persistence = simulation.server?.core.persistence
            simulation.send(0, ["SET", "a", "1"])
            simulation.settle()
            simulation.crash(.nothing)
        }
        var left: [String] = []
        if core != nil { left.append("core") }
        if engine != nil { left.append("engine") }
        if loop != nil { left.append("loop") }
        if persistence != nil { left.append("persistence") }
        #expect(left.isEmpty)
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
