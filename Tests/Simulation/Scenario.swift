import Primitives
import Server
import Storage
import TestSupport
#if canImport(Glibc)
import Glibc
#endif

// Procedures that touch files, each as what a client or an operator does. Of each there is a golden trace of its
// calls, and it is cut off after every one of them.

package struct Scenario: Sendable {
    package let name: String
    package var settings = SimulationSettings()
    /// What is there before.
    var prepare: @Sendable (Simulation) throws -> Void = { try $0.start() }
    let run: @Sendable (Simulation) throws -> Void
    /// What else must hold on the disk that a crash leaves.
    var check: @Sendable (MemoryFileSystem) throws -> Void = { _ in }
    /// What is done to it instead of a start, where a start needs a hand.
    var verify: (@Sendable (MemoryFileSystem) throws -> Void)?

    init(_ name: String, _ policy: FsyncPolicy = .always, change: (inout SimulationSettings) -> Void = { _ in },
         prepare: @escaping @Sendable (Simulation) throws -> Void = Scenario.started,
         check: @escaping @Sendable (MemoryFileSystem) throws -> Void = { _ in },
         run: @escaping @Sendable (Simulation) throws -> Void) {
        self.name = name
        settings.policy = policy
        change(&settings)
        self.prepare = prepare
        self.check = check
        self.run = run
    }

    // MARK: Parts

    private static let started: @Sendable (Simulation) throws -> Void = { simulation in
        try simulation.start()
        simulation.settle()
    }

    /// A log with something in it, and the server ended.
    private static let ended: @Sendable (Simulation) throws -> Void = { simulation in
        try filled(simulation)
        _ = simulation.server?.core.prepareShutdown(save: false)
        simulation.crash(.killed)
    }

    private static let filled: @Sendable (Simulation) throws -> Void = { simulation in
        try started(simulation)
        for number in 0..<6 { simulation.send(0, ["SET", "key:\(number)", String(repeating: "v", count: 200)]) }
        simulation.send(1, ["RPUSH", "list", "a", "b", "c"])
        simulation.settle()
    }

    /// A dump of a server without a log.
    private static let dumped: @Sendable (Simulation) throws -> Void = { simulation in
        simulation.settings.appendonly = false
        try filled(simulation)
        simulation.send(0, ["SAVE"])
        simulation.settle()
        simulation.crash(.killed)
        simulation.settings.appendonly = true
    }

    private static func writeSome(_ simulation: Simulation) {
        for number in 0..<3 {
            simulation.send(0, ["SET", "key:\(number)", "new"])
            simulation.send(1, ["RPUSH", "list", "\(number)"])
            simulation.settle()
        }
        for words in [["MULTI"], ["SET", "x", "1"], ["INCR", "x"], ["EXEC"]] { simulation.send(2, words) }
        simulation.settle()
    }

    /// An old server's single file.
    private static func oldLog(torn: Bool) -> @Sendable (Simulation) throws -> Void {
        { simulation in
            let text = record("SELECT", "0") + record("SET", "a", "1") + record("RPUSH", "list", "x", "y")
            let tail = torn ? String(record("SET", "a", "2").dropLast(5)) : ""
            simulation.disk.put(FilePath.join(SimulatedServer.directory, "appendonly.aof"), Array((text + tail).utf8))
            try simulation.learn()
        }
    }

    static func record(_ words: String...) -> String {
        words.reduce("*\(words.count)\r\n") { $0 + "$\($1.utf8.count)\r\n\($1)\r\n" }
    }

    /// The log's last file gets half a record.
    private static let torn: @Sendable (Simulation) throws -> Void = { simulation in
        try ended(simulation)
        let disk = simulation.disk
        let path = disk.paths.last { $0.hasSuffix(".incr.aof") } ?? ""
        disk.put(path, (disk.bytes(path) ?? []) + Array(record("SET", "key:1", "half").utf8.dropLast(7)))
    }

    private static func rewrite(_ simulation: Simulation) {
        simulation.send(0, ["BGREWRITEAOF"])
        simulation.round()
        while simulation.step(.disk) { simulation.round() }
        // The log has its new file and the child its image: both write.
        simulation.send(1, ["SET", "between", "1"])
        simulation.round()
        for number in 0..<3 {
            _ = simulation.step(.child)
            simulation.send(1, ["SET", "between", "\(number)"])
            simulation.round()
            while simulation.step(.log) { simulation.round() }
        }
        simulation.settle()
    }

    // MARK: All

    package static let all: [Scenario] = starts + writes + rewrites + dumps + faults + repairs + backups + archives

    private static let starts: [Scenario] = [
        Scenario("start-empty", prepare: { _ in }, run: started),
        Scenario("start-empty-aof-base", change: { $0.usesPreamble = false }, prepare: { _ in }, run: started),
        Scenario("start-on-a-log", prepare: ended, run: started),
        Scenario("start-on-a-torn-log", prepare: torn, run: started),
        Scenario("start-imports-a-dump", prepare: dumped, run: started),
        Scenario("start-upgrades-an-old-log", prepare: oldLog(torn: false), run: started),
        Scenario("start-upgrades-a-torn-old-log", prepare: oldLog(torn: true), run: started),
        Scenario("turned-on-while-running", change: { $0.appendonly = false }, prepare: filled) { simulation in
            simulation.settings.appendonly = true
            simulation.send(0, ["CONFIG", "SET", "appendonly", "yes"])
            simulation.settle()
            writeSome(simulation)
        },
    ]

    private static let writes: [Scenario] = [
        Scenario("write-always", run: writeSome),
        Scenario("write-everysec", .everysec, run: writeSome),
        Scenario("write-no", .no, run: writeSome),
        Scenario("shutdown", .everysec, prepare: filled) { simulation in
            writeSome(simulation)
            simulation.shutDown(save: false)
        },
    ]

    private static let rewrites: [Scenario] = [
        Scenario("rewrite-always", prepare: filled, run: rewrite),
        Scenario("rewrite-everysec", .everysec, prepare: filled, run: rewrite),
        Scenario("rewrite-aof-base", change: { $0.usesPreamble = false }, prepare: filled, run: rewrite),
        // Its last mark was written after the last sync.
        Scenario("rewrite-of-a-log-at-rest", .everysec, prepare: filled) { simulation in
            for _ in 0..<25 { simulation.pass(milliseconds: 100) }
            rewrite(simulation)
        },
        Scenario("rewrite-twice", prepare: filled) { simulation in
            rewrite(simulation)
            rewrite(simulation)
        },
    ]

    private static let dumps: [Scenario] = [
        Scenario("save", change: { $0.appendonly = false }, prepare: filled) { simulation in
            simulation.send(0, ["SET", "key:1", "saved"])
            simulation.send(0, ["SAVE"])
            simulation.settle()
            simulation.send(0, ["SET", "key:1", "saved again"])
            simulation.send(0, ["SAVE"])
            simulation.settle()
        },
        Scenario("bgsave", prepare: filled) { simulation in
            simulation.send(0, ["BGSAVE"])
            writeSome(simulation)
            simulation.settle()
        },
    ]

    private static let faults: [Scenario] = [
        Scenario("heal-after-a-failed-fsync", prepare: filled) { simulation in
            simulation.disk.faults.failSync = 1
            writeSome(simulation)
        },
        Scenario("heal-everysec", .everysec, prepare: filled) { simulation in
            simulation.disk.faults.failSync = 1
            writeSome(simulation)
            simulation.settle()
        },
        Scenario("full-disk", prepare: filled) { simulation in
            simulation.disk.faults.room = 30
            simulation.send(0, ["SET", "key:1", String(repeating: "w", count: 100)])
            for _ in 0..<20 { simulation.pass(milliseconds: 100) }
            simulation.disk.faults.room = nil
            simulation.settle()
            writeSome(simulation)
        },
        Scenario("rewrite-on-a-full-disk", prepare: filled) { simulation in
            simulation.disk.faults.capacity = simulation.disk.usedBytes + 300
            simulation.send(0, ["BGREWRITEAOF"])
            simulation.settle()
            simulation.disk.faults.capacity = nil
            writeSome(simulation)
        },
    ]

    private static func mend(_ simulation: Simulation, _ change: (inout AOFCheckOptions) -> Void) {
        guard let manifest = simulation.disk.paths.first(where: { $0.hasSuffix(".manifest") }) else { return }
        var options = AOFCheckOptions()
        change(&options)
        options.now = UnixMilliseconds(1_700_000_000_000)
        options.newID = { 0xb7c1_d0fa_2e55_9301 }
        simulation.withTool { disk in
            _ = AOFCheck.run(manifest, in: disk, options, AOFCheckDialogue(tell: { _ in }, ask: { _ in true }))
        }
    }

    /// A bit of the log's middle flipped, in its first increment: the server is ended, and refuses to start.
    private static let damaged: @Sendable (Simulation) throws -> Void = { simulation in
        try started(simulation)
        for number in 0..<6 { simulation.send(0, ["SET", "key:\(number)", String(repeating: "v", count: 200)]) }
        simulation.settle()
        for number in 0..<3 {
            simulation.send(0, ["SET", "key:\(number)", "new"])
            simulation.settle()
        }
        _ = simulation.server?.core.prepareShutdown(save: false)
        simulation.crash(.killed)
        let disk = simulation.disk
        let path = disk.paths.first { $0.hasSuffix(".incr.aof") } ?? ""
        var bytes = disk.bytes(path) ?? []
        bytes[bytes.count / 2] ^= 1
        disk.put(path, bytes)
    }

    private static let repairs: [Scenario] = [
        Scenario("check-aof-fix", prepare: torn) { simulation in mend(simulation) { $0.fixes = true } },
        unattended("check-aof-salvage") { $0.salvages = true },
        unattended("check-aof-fix-of-damage") { $0.fixes = true },
    ]

    /// A repair that only a human asks for: cut off anywhere, it comes to the same end when it is asked for again.
    private static func unattended(_ name: String,
                                   _ change: @escaping @Sendable (inout AOFCheckOptions) -> Void) -> Scenario {
        var scenario = Scenario(name, prepare: damaged) { mend($0, change) }
        scenario.verify = { disk in
            let whole = Simulation(SimulationSettings(), Simulation.makeTable())
            try damaged(whole)
            mend(whole, change)
            let again = Simulation(SimulationSettings(), on: disk)
            mend(again, change)
            if try again.digestOfAStart() != whole.digestOfAStart() {
                throw SimulationFailure("the repair, repeated, leaves other data")
            }
        }
        return scenario
    }

    // MARK: Backups

    /// A directory with a manifest is a whole backup.
    private static let backupIsWhole: @Sendable (MemoryFileSystem) throws -> Void = { disk in
        let directory = FilePath.join(SimulatedServer.directory, "backupdir")
        guard disk.paths.contains(FilePath.join(directory, "appendonly.aof.manifest")) else { return }
        let report = BackupCheck.run(directory, in: disk, AOFCheckDialogue.silent)
        if report.status != 0 { throw SimulationFailure("the backup is not whole: \(report.json)") }
    }

    private static func backUp(_ simulation: Simulation) {
        simulation.send(0, ["BACKUP", "START"])
        simulation.settle()
        writeSome(simulation)
        simulation.send(0, ["BGREWRITEAOF"])
        simulation.settle()
        writeSome(simulation)
        simulation.send(0, ["BACKUP", "SEAL"])
        simulation.send(1, ["SET", "behind", "the seal"])
        simulation.settle()
    }

    private static let backups: [Scenario] = [
        Scenario("backup", prepare: filled, check: backupIsWhole) { simulation in
            backUp(simulation)
            simulation.send(0, ["BACKUP", "CLEANUP"])
            simulation.settle()
        },
        Scenario("backup-everysec", .everysec, prepare: filled, check: backupIsWhole, run: backUp),
        Scenario("backup-aborted", prepare: filled, check: backupIsWhole) { simulation in
            simulation.send(0, ["BACKUP", "START"])
            simulation.settle()
            writeSome(simulation)
            simulation.send(0, ["BACKUP", "ABORT"])
            simulation.settle()
        },
    ]

    // MARK: Archives

    /// What the archive names is there, and whole.
    private static let archiveIsWhole: @Sendable (MemoryFileSystem) throws -> Void = { disk in
        let directory = FilePath.join(SimulatedServer.directory, "archive")
        guard let archive = try AOFArchive.manifest(directory, "appendonly.aof", in: disk) else { return }
        for entry in archive.history {
            let path = disk.paths.first { $0.hasPrefix(FilePath.join(directory, entry.name)) }
            guard let path else { throw SimulationFailure("the archive lacks \(entry.name)") }
            if !entry.name.hasSuffix(".aof") { continue }
            let report = AOFCheck.run(path, in: disk, AOFCheckOptions(), AOFCheckDialogue.silent)
            if report.status != 0 { throw SimulationFailure("archived damaged: \(report.json)") }
        }
    }

    private static func archive(_ compression: AOFArchive.Compression) -> Scenario {
        Scenario("archive-\(compression.rawValue)", change: { settings in
            settings.configure = { configuration in
                configuration.aofArchiveDir = "archive"
                configuration.aofArchiveCompression = compression
            }
        }, prepare: filled, check: archiveIsWhole) { simulation in
            rewrite(simulation)
            rewrite(simulation)
        }
    }

    private static let archives = AOFArchive.Compression.allCases.map(archive)
}
