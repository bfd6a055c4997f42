import Commands
import Engine
import Glibc
import Keyspace
import Primitives
@testable import Server
import Simulation
import Storage
import Testing
import TestSupport

/// The server core with its threads, in this process, without sockets.
private final class Threaded {
    let directory: TemporaryDirectory
    let core: ServerCore
    private let session = Session(id: 1)

    convenience init(_ slow: SlowFileSystem.Call, _ policy: FsyncPolicy) throws {
        try self.init(SlowFileSystem(slow), policy)
    }

    init(_ fileSystem: any FileSystem, _ policy: FsyncPolicy) throws {
        directory = try TemporaryDirectory()
        let keyspace = Keyspace(databaseCount: 1, seed: HashSeed(k0: 1, k1: 2), random: RandomSource(seed: 1))
        let configuration = Configuration()
        configuration.dir = directory.path
        configuration.appendonly = true
        configuration.appendfsync = policy
        configuration.saveParameters = []
        configuration.loglevel = .nothing
        configuration.latencyMonitorThreshold = 10
        var environment = ServerEnvironment()
        environment.fileSystem = fileSystem
        core = ServerCore(engine: Engine(keyspace: keyspace, table: Simulation.makeTable()), loop: try EngineLoop(),
                          configuration: configuration, environment: environment)
        #expect(core.loadData())
    }

    deinit {
        core.persistence.endChild()
        core.persistence.disk.wait()
        core.abandon()
    }

    func send(_ words: String...) {
        SimulatedClient.withArguments(words) { core.engine.execute(session, $0, raw: nil) }
        core.endTick()
    }

    /// What was answered since the last call.
    func answers() -> String {
        defer { session.output.pointee.truncate(to: 0) }
        return String(decoding: session.output.pointee.bytes, as: UTF8.self)
    }

    /// Runs rounds of the loop until then.
    func reaches(_ condition: () -> Bool) -> Bool {
        for _ in 0..<3000 {
            core.loop.runOnce()
            if condition() { return true }
            usleep(10_000)
        }
        return false
    }

    func events() -> Set<String> { Set(core.engine.latencyMonitor.events.keys) }

    /// Runs rounds of the loop, `step` after each, until the event is there.
    func notes(_ event: String, _ step: () -> Void = {}) -> Bool {
        reaches {
            step()
            return events().contains(event)
        }
    }
}

/// What LATENCY hears of a slow disk.
@Suite(.serialized) struct SlowDiskTests {
    @Test func aSlowWriteIsNoted() throws {
        let server = try Threaded(.write, .everysec)
        #expect(server.notes("aof-write-alone") { server.send("SET", "a", "1") })
        #expect(server.events().contains("aof-write"))
        #expect(!server.events().contains("aof-write-active-child"))
    }

    @Test func aSlowWriteBesideAChildIsNoted() throws {
        let server = try Threaded(.write, .everysec)
        server.core.configuration.rdbKeySaveDelay = 10_000_000
        server.send("SET", "a", "1")
        server.send("BGSAVE")
        #expect(server.core.persistence.child != nil)
        #expect(server.notes("aof-write-active-child") { server.send("SET", "a", "1") })
    }

    @Test func aSlowFsyncIsNotedUnderAlways() throws {
        let server = try Threaded(.sync, .always)
        #expect(server.notes("aof-fsync-always") { server.send("SET", "a", "1") })
        #expect(!server.events().contains("aof-write-pending-fsync"))
    }

    @Test func recordsThatWaitForAnFsyncUnderWayAreNoted() throws {
        let server = try Threaded(.sync, .everysec)
        #expect(server.notes("aof-write-pending-fsync") { server.send("SET", "a", "1") })
        #expect(!server.events().contains("aof-fsync-always"))
    }

    @Test func aSlowRenameOfANewBaseIsNoted() throws {
        let server = try Threaded(.rename, .everysec)
        server.send("BGREWRITEAOF")
        #expect(server.notes("aof-rename"))
    }

    @Test func openingAnIncrementSlowlyIsNoted() throws {
        #expect(try Threaded(.size, .everysec).notes("aof-fstat"))
    }

    @Test func removingWhatAKilledChildLeftIsNoted() throws {
        let server = try Threaded(.unlink, .everysec)
        server.core.configuration.rdbKeySaveDelay = 10_000_000
        server.send("SET", "a", "1")
        server.send("BGSAVE")
        server.core.persistence.cancelChild()
        #expect(server.notes("rdb-unlink-temp-file"))
    }

    @Test func aSlowForkIsNoted() throws {
        let server = try Threaded(.size, .everysec)
        // Handlers stay for ever: nobody else in this process forks but by posix_spawn, which calls none.
        pthread_atfork({ usleep(20_000) }, nil, nil)
        server.send("BGSAVE")
        #expect(server.notes("fork"))
    }
}

/// A disk that doesn't answer stops those who wait for it, and nobody else.
@Suite(.serialized) struct StuckDiskTests {
    private func state(_ server: Threaded) -> Backup.State { server.core.persistence.backup.state }

    /// Nothing of a rewrite is left to do.
    private func settles(_ server: Threaded) -> Bool {
        let persistence = server.core.persistence
        return server.reaches { persistence.operation == .none && !persistence.disk.hasSteps }
    }

    @Test func readsGoOnWhileBackupsMakeAndEmptyTheirDirectory() throws {
        let disk = StuckDirectories(PosixFileSystem())
        let server = try Threaded(disk, .everysec)
        let reader = Session(id: 2)
        func reads() -> Bool {
            SimulatedClient.withArguments(["GET", "k"]) { server.core.engine.execute(reader, $0, raw: nil) }
            defer { reader.output.pointee.truncate(to: 0) }
            return reader.output.pointee.bytes.elementsEqual("$1\r\nv\r\n".utf8)
        }
        server.send("SET", "k", "v")
        _ = server.answers()
        for _ in 0..<2 {
            #expect(settles(server))
            disk.isStuck = true
            server.send("BACKUP", "START")
            #expect(server.reaches { disk.waiting == 1 })
            #expect(reads() && server.answers().isEmpty && state(server) == .idle)
            SimulatedClient.withArguments(["BACKUP", "START"]) { server.core.engine.execute(reader, $0, raw: nil) }
            #expect(String(decoding: reader.output.pointee.bytes, as: UTF8.self).contains("already in progress"))
            reader.output.pointee.truncate(to: 0)
            disk.isStuck = false
            #expect(server.reaches { state(server) == .incrementing })
            #expect(server.answers() == "+OK\r\n")
            server.send("BACKUP", "ABORT")
            #expect(server.answers() == "+OK\r\n" && state(server) == .failed)
            #expect(settles(server))
            disk.isStuck = true
            server.send("BACKUP", "CLEANUP")
            #expect(server.reaches { disk.waiting == 1 })
            #expect(reads() && server.answers().isEmpty && state(server) == .failed)
            disk.isStuck = false
            #expect(server.reaches { state(server) == .idle })
            #expect(server.answers() == "+OK\r\n")
            _ = rmdir(server.core.persistence.backup.directory)
        }
    }

    @Test func aBackupThatCannotBeginSaysWhyAndLeavesWhatIsThere() throws {
        let disk = StuckDirectories(PosixFileSystem())
        let server = try Threaded(disk, .everysec)
        let place = FilePath.join(server.directory.path, server.core.configuration.backupdirname)
        try disk.makeDirectory(place)
        let name = FilePath.join(place, server.core.configuration.appendfilename + ".1.base.rdb")
        disk.close(try disk.open(name, .createNew))
        for _ in 0..<2 {
            server.send("BACKUP", "START")
            var answer = ""
            #expect(server.reaches {
                answer += server.answers()
                return !answer.isEmpty
            })
            #expect(answer.contains("not empty") && state(server) == .idle)
            #expect(server.core.persistence.backup.error.contains("not empty"))
            #expect(try disk.status(name) != nil)
        }
    }
}
