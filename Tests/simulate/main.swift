import ArgumentParser
import Commands
import Primitives
import Simulation
import Storage
import TestSupport

extension PlantedBug: ExpressibleByArgument {}

/// tools/simulate runs it.
struct Simulate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate", abstract: "The whole server on a simulated disk, with crashes and faults by seed.")

    @Flag(help: "Cut every scenario off after each of its calls, instead of random lives.") var crashPoints = false
    @Flag(help: "Write Fixtures/traces anew.") var writeTraces = false
    @Option(help: "Disks tried at each crash point, beside those with nothing and all of what was not synced.")
    var disks: UInt64 = 8
    @Option(help: "Scenarios whose name has this in it.") var only = ""
    @Option(help: "The first seed; by default by chance.") var seed: UInt64?
    @Option(help: "How many seeds.") var seeds: UInt64 = 2000
    @Option(help: "Seconds of seeds, instead of a number of them.") var seconds = 0
    @Option(help: "A bug to plant, and to find: \(PlantedBug.allCases.map(\.rawValue).joined(separator: ", ")).")
    var bug: PlantedBug?
    @Flag(help: "Print the server's log of seeds that fail.") var verbose = false
    @Option(help: "The project's root.") var root = "."

    func run() throws {
        let table = Simulation.makeTable()
        let scenarios = Scenario.all.filter { only.isEmpty || $0.name.contains(only) }
        if writeTraces { try write(scenarios, table) }
        if crashPoints { try cutOff(scenarios, table) }
        if let bug {
            try find(bug, table)
        } else if !writeTraces && !crashPoints {
            try live(table)
        }
    }

    // MARK: Lives

    private func live(_ table: CommandTable) throws {
        let first = seed ?? UInt64.random(in: 0..<1_000_000_000)
        print("simulate: seed \(first)")
        let began = MonotonicNanoseconds.now()
        var failed = 0, crashes = 0, faults = 0, answers = 0, done = 0
        for number in 0..<(seconds > 0 ? UInt64.max : seeds) {
            if seconds > 0, elapsed(since: began) > Double(seconds) { break }
            let lives = RandomLives(seed: first &+ number, table)
            defer { SimulatedClock.release() }
            do {
                try lives.run()
            } catch {
                failed += 1
                tell(first &+ number, error, table)
            }
            done += 1
            crashes += lives.crashes
            faults += lives.faults
            answers += lives.answers
            if failed >= 5 { break }
        }
        let rate = Int(Double(done) / elapsed(since: began) * 60)
        print("\(done) seeds, \(crashes) crashes, \(faults) faults, \(answers) answers; \(rate) seeds a minute")
        print("\(done - failed) passed, \(failed) failed")
        if failed > 0 { throw ExitCode.failure }
    }

    private func elapsed(since began: MonotonicNanoseconds) -> Double {
        SimulatedClock.release()
        return Double(MonotonicNanoseconds.now().nanoseconds(since: began)) / 1e9
    }

    /// Runs a seed that failed again, and prints what happened.
    private func tell(_ seed: UInt64, _ error: any Error, _ table: CommandTable) {
        print("FAILED seed \(seed): \(error)")
        let again = RandomLives(seed: seed, table, bug: bug, keepsActions: true, isVerbose: verbose)
        try? again.run()
        for line in again.actions { print("    \(line)") }
    }

    /// Plants a bug and looks how many seeds it takes until it shows.
    private func find(_ bug: PlantedBug, _ table: CommandTable) throws {
        let first = seed ?? UInt64.random(in: 0..<1_000_000_000)
        print("simulate: seed \(first), with the bug \(bug.rawValue)")
        for number in 0..<seeds {
            do {
                try RandomLives(seed: first &+ number, table, bug: bug).run()
            } catch {
                print("found by seed \(first &+ number), the \(number + 1)th: \(error)")
                if verbose { tell(first &+ number, error, table) }
                return
            }
        }
        print("not found in \(seeds) seeds")
        throw ExitCode.failure
    }

    private func write(_ scenarios: [Scenario], _ table: CommandTable) throws {
        let disk = PosixFileSystem()
        for scenario in scenarios {
            var text = try GoldenTrace.text(scenario, table)
            let path = "\(root)/Fixtures/traces/\(scenario.name).txt"
            let file = try disk.open(path, .createOrEmpty)
            try text.withUTF8 { try disk.write(file, Bytes($0)) }
            disk.close(file)
        }
        print("\(scenarios.count) traces written")
    }

    private func cutOff(_ scenarios: [Scenario], _ table: CommandTable) throws {
        var failed = 0, crashes = 0, points = 0
        for scenario in scenarios {
            for tears in [false, true] {
                var run = CrashPoints(table)
                run.run(scenario, seeds: 0..<disks, tears: tears)
                crashes += run.crashes
                points += run.points
                failed += run.failures.count
                for failure in run.failures.prefix(5) { print("FAILED \(failure)") }
            }
        }
        print("\(points) crash points, \(crashes) crashes")
        print("\(crashes - failed) passed, \(failed) failed")
        if failed > 0 { throw ExitCode.failure }
    }
}

Simulate.main()
