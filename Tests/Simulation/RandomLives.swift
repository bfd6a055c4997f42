import Commands
import Primitives
import Server
import Storage
import TestSupport

/// Lives of a server by a seed: clients, workers' steps in any order, time, faults of the disk, crashes, restarts.
package final class RandomLives {
    package private(set) var actions: [String] = []
    package private(set) var crashes = 0
    package private(set) var faults = 0
    package var answers: Int { simulation.answers }
    private let keepsActions: Bool
    private var random: RandomSource
    private let simulation: Simulation

    package init(seed: UInt64, _ table: CommandTable, bug: PlantedBug? = nil, keepsActions: Bool = false,
                 isVerbose: Bool = false) {
        random = RandomSource(seed: seed)
        self.keepsActions = keepsActions
        var settings = SimulationSettings()
        settings.policy = [.always, .always, .always, .everysec, .everysec, .no][Int(random.next(below: 6) as UInt64)]
        settings.usesPreamble = random.next() & 1 == 0
        settings.rewriteMinimum = [0, 700, 3000][Int(random.next(below: 3) as UInt64)]
        let ahead = [0, 60, 300, 2000, 10_000][Int(random.next(below: 5) as UInt64)]
        settings.preallocation = .init(bytes: ahead, batchesPerSecond: Int(random.next(below: 4) as UInt64),
                                        writersPerBatch: 0)
        settings.bug = bug
        settings.isVerbose = isVerbose
        simulation = Simulation(settings, table)
        simulation.disk.recordsEvents = keepsActions
    }

    private func note(_ text: @autoclosure () -> String) {
        if keepsActions { actions.append("\(simulation.clock.elapsed / 1_000_000) ms: \(text())") }
    }

    private func below(_ bound: Int) -> Int { Int(random.next(below: UInt64(bound))) }

    // MARK: Lives

    /// - Throws: what is wrong.
    package func run() throws {
        defer { simulation.server?.abandon() }
        note("\(simulation.settings.policy), \(simulation.settings.usesPreamble ? "RDB" : "AOF") base, rewrites from "
             + "\(simulation.settings.rewriteMinimum) bytes, files longer by "
             + "\(simulation.settings.preallocation.bytes) bytes")
        try begin()
        for _ in 0...below(3) {
            if below(3) == 0 { simulation.stop(after: below(40)) }
            for _ in 0..<(15 + below(60)) where !simulation.isDead { act() }
            try end()
        }
    }

    /// A start, which may itself be cut off.
    private func begin() throws {
        while true {
            if below(4) == 0 { simulation.stop(after: below(12)) }
            try simulation.start()
            note("started\(simulation.isDead ? ", and cut off" : "")")
            if !simulation.isDead { break }
            crash()
        }
        simulation.disk.faults.disturbWritesOneIn = 6
        simulation.disk.recordsEvents = keepsActions
    }

    private func end() throws {
        if !simulation.isDead && below(5) == 0 {
            simulation.disk.faults = MemoryFileSystem.Faults()
            let isDone = simulation.shutDown(save: false)
            note("shutdown \(isDone ? "done" : "refused")")
        }
        crash()
        try begin()
    }

    private func crash() {
        crashes += 1
        let survival: MemoryFileSystem.Survival
        switch below(7) {
        case 0: survival = .nothing
        case 1: survival = .everything
        case 2, 3: survival = .killed
        case 4: survival = .random(random.next())
        default: survival = .torn(random.next())
        }
        note("crash, leaving \(survival)")
        if keepsActions { actions += simulation.disk.events.map { "    disk: \($0)" } }
        simulation.crash(survival)
        simulation.disk.recordsEvents = keepsActions
    }

    // MARK: Actions

    private func act() {
        switch below(100) {
        case 0..<40: command()
        case 40..<58: work(.log)
        case 58..<66: work(.disk)
        case 66..<74: work(.child)
        case 74..<92:
            let milliseconds = below(4) == 0 ? below(2500) : below(120)
            note("\(milliseconds) ms pass")
            simulation.clock.advance(milliseconds: milliseconds)
            simulation.round()
        case 92..<96: fault()
        case 96..<98:
            note("the disk is good again")
            simulation.disk.faults = MemoryFileSystem.Faults()
        default:
            let word = ["BGREWRITEAOF", "BGREWRITEAOF", "BGSAVE", "SAVE"][below(4)]
            note(word)
            simulation.send(below(3), [word])
        }
    }

    /// While a worker waits for an fsync the engine goes on, and time passes.
    private func work(_ worker: ServerWorker) {
        let count = below(3)
        simulation.disk.whileSyncing(count == 0 ? nil : { [unowned self] in
            simulation.disk.whileSyncing(nil)
            note("during an fsync of the \(worker):")
            simulation.clock.advance(milliseconds: below(4) == 0 ? below(3000) : below(20))
            for _ in 0..<count where !simulation.isDead {
                command()
                simulation.round()
            }
        })
        if simulation.step(worker) { note("a step of the \(worker)") }
        simulation.disk.whileSyncing(nil)
        if below(2) == 0 { simulation.round() }
    }

    private func fault() {
        faults += 1
        var faults = simulation.disk.faults
        switch below(7) {
        case 0, 1: faults.failSync = 1 + below(3)
        case 2: faults.failAllSyncs = true
        case 3: faults.room = below(300)
        case 4: faults.capacity = simulation.disk.usedBytes + below(400)
        case 5: faults.failDirectorySyncs = true
        default:
            faults.tearWriteAfter = below(50)
            faults.failTruncate = below(2) == 0
        }
        note("the disk fails: \(faults)")
        simulation.disk.faults = faults
    }

    private func command() {
        let client = below(simulation.clients.count)
        guard !simulation.clients[client].isBlocked else { return }
        let words = makeCommand()
        note("client \(client): \(words.map { $0.count > 20 ? "\($0.prefix(3))…(\($0.count))" : $0 })")
        simulation.send(client, words)
        if below(3) == 0 { simulation.round() }
    }

    private func makeCommand() -> [String] {
        let key = "\(below(4))"
        let value = String(repeating: "x", count: below(8) == 0 ? below(1500) : below(20)) + "\(below(1000))"
        switch below(24) {
        case 0..<5: return ["SET", "s\(key)", value]
        case 5: return ["APPEND", "s\(key)", value]
        case 6, 7: return ["INCR", "n\(key)"]
        case 8, 9: return ["RPUSH", "l\(key)", value]
        case 10: return ["LPOP", "l\(key)"]
        case 11: return ["SADD", "m\(key)", value]
        case 12: return ["HSET", "h\(key)", "f\(below(4))", value]
        case 13: return ["ZADD", "z\(key)", "\(below(9))", "e\(below(4))"]
        case 14: return ["DEL", "s\(key)", "l\(key)"]
        case 15: return ["SELECT", "\(below(2))"]
        case 16: return ["MULTI"]
        case 17: return ["EXEC"]
        case 18: return ["GET", "s\(key)"]
        case 19: return ["LRANGE", "l\(key)", "0", "-1"]
        case 20: return ["SPOP", "m\(key)"]
        case 21: return ["WAITAOF", "1", "0", "\(below(3) * 500)"]
        case 22: return ["CLIENT", "DURABILITY", ["always", "everysec", "default"][below(3)]]
        default: return ["RENAME", "s\(key)", "s\(below(4))"]
        }
    }
}
