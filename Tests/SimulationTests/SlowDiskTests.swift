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

    init(_ slow: SlowFileSystem.Call, _ policy: FsyncPolicy) throws {
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
        environment.fileSystem = SlowFileSystem(slow)
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

    func events() -> Set<String> { Set(core.engine.latencyMonitor.events.keys) }

    /// Runs rounds of the loop, `step` before each, until the event is there.
    func notes(_ event: String, _ step: () -> Void = {}) -> Bool {
        for _ in 0..<3000 {
            step()
            core.loop.runOnce()
            if events().contains(event) { return true }
            usleep(10_000)
        }
        return false
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
