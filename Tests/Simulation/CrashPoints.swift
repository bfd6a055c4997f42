import Commands
import Primitives
import Storage
import TestSupport

/// A crash after every call of a scenario that changes the disk, with several of the disks that it may leave.
package struct CrashPoints {
    package private(set) var points = 0
    package private(set) var crashes = 0
    package private(set) var failures: [String] = []
    private let table: CommandTable

    package init(_ table: CommandTable) { self.table = table }

    /// - Parameters:
    ///   - seeds: disks to be tried at each point, beside those with nothing and with all of what was not synced.
    ///   - tears: sectors get lost, too; without, unsynced bytes are cut off at their end.
    package mutating func run(_ scenario: Scenario, seeds: Range<UInt64>, tears: Bool) {
        var step = 0
        while true {
            do {
                let simulation = Simulation(scenario.settings, table)
                try scenario.prepare(simulation)
                simulation.disk.recordsEvents = false
                simulation.stop(after: step)
                try scenario.run(simulation)
                points += 1
                let what = "\(scenario.name), cut off after \(step) changes"
                try crash(scenario, simulation, .nothing, what)
                try crash(scenario, simulation, .everything, what)
                try crash(scenario, simulation, .killed, what)
                for seed in seeds {
                    let seed = seed &* 1000 &+ UInt64(step)
                    try crash(scenario, simulation, tears ? .torn(seed) : .random(seed), what)
                }
                let isWhole = !simulation.isDead
                simulation.server?.abandon()
                if isWhole { return }
            } catch {
                failures.append("\(scenario.name), cut off after \(step) changes: \(error)")
            }
            step += 1
            if failures.count > 20 { return }
        }
    }

    private mutating func crash(_ scenario: Scenario, _ simulation: Simulation, _ survival: MemoryFileSystem.Survival,
                                _ what: String) throws {
        crashes += 1
        do {
            try scenario.check(simulation.disk.crashed(survival))
            if let verify = scenario.verify { return try verify(simulation.disk.crashed(survival)) }
            try simulation.tryCrash(survival)
        } catch {
            failures.append("\(what), leaving \(survival): \(error)")
        }
    }
}
