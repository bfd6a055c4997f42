import Commands
import Engine
import Keyspace
import Primitives
import RESP
import Testing
@testable import Server

struct EvictionTests {
    /// An engine that may use so many bytes, where a key counts as 1000. (The process's memory is other tests', too.)
    private func bare(room: Int, _ policy: EvictionPolicy?, seed: UInt64 = 7) -> BareEngine {
        let bare = BareEngine(seed: seed)
        bare.engine.eviction.policy = policy
        bare.engine.eviction.tenacity = 100
        bare.engine.isLogging = true
        bare.engine.usedMemory = { [unowned engine = bare.engine] in
            engine.keyspace.keyCount * 1000 + max(0, engine.pendingLog.capacity - Engine.usualLogBytes)
        }
        bare.engine.eviction.limitChanged(to: max(room, 1))
        return bare
    }

    private let oom = "-OOM command not allowed when used memory > 'maxmemory'.\r\n"

    @Test func withoutAPolicyWritesAreRefusedAndReadsAreNot() {
        let bare = bare(room: 1, nil)
        bare.run("SET", "present", "v")
        _ = bare.takeLog()
        #expect(bare.run("SET", "k", "v") == oom)
        #expect(bare.run("GET", "k") == "$-1\r\n")
        #expect(bare.run("DEL", "k") == ":0\r\n")
        #expect(bare.run("MULTI") == "+OK\r\n")
        #expect(bare.run("GET", "k") == oom, "a queue takes memory")
        #expect(bare.run("EXEC").hasPrefix("-EXECABORT"))
        #expect(bare.takeLog().isEmpty)
    }

    @Test func aQueueThatNeedsMemoryIsRefusedAtExec() {
        let bare = bare(room: 1 << 30, nil)
        bare.run("MULTI")
        #expect(bare.run("SET", "k", "v") == "+QUEUED\r\n")
        bare.engine.usedMemory = { 2 << 30 }
        #expect(bare.run("EXEC") == "-EXECABORT Transaction discarded because of: " + oom.dropFirst())
        bare.engine.eviction.limitChanged(to: 0)
        #expect(bare.run("EXISTS", "k") == ":0\r\n")
    }

    @Test func evictedKeysAreCountedAndLoggedAndEverythingElseStays() {
        let bare = bare(room: 1 << 20, EvictionPolicy(.leastRecent, sparesPersistentKeys: false))
        let value = String(repeating: "x", count: 1000)
        for index in 0..<4000 { bare.run("SET", "k\(index)", value) }
        let log = bare.takeLog()
        let evicted = log.filter { $0.hasPrefix("DEL ") }
        #expect(evicted.count > 2000)
        #expect(bare.engine.keyspace.statistics.evictedKeys == evicted.count)
        #expect(bare.engine.keyspace.keyCount == 4000 - evicted.count)
        #expect(bare.engine.changesSinceSave == 4000, "what goes by itself is no change since the last save")
        for record in evicted.prefix(100) {
            #expect(bare.run("EXISTS", String(record.dropFirst(4))) == ":0\r\n")
        }
    }

    @Test func whatWasUsedLastStays() {
        let bare = bare(room: 1 << 30, EvictionPolicy(.leastRecent, sparesPersistentKeys: false))
        let value = String(repeating: "x", count: 1000)
        for index in 0..<2000 {
            bare.engine.keyspace.accessClock = UInt32(index)
            bare.run("SET", "k\(index)", value)
        }
        bare.engine.eviction.limitChanged(to: bare.engine.countedMemory - 500_000)
        bare.run("PING")
        let left = (0..<2000).filter { bare.run("EXISTS", "k\($0)") == ":1\r\n" }
        #expect(left.count < 1700)
        #expect(left.filter { $0 >= 1500 }.count > 490, "the youngest quarter stays nearly whole")
    }

    @Test func whatIsUsedOftenStays() {
        let bare = bare(room: 1 << 30, EvictionPolicy(.leastFrequent, sparesPersistentKeys: false))
        bare.engine.keyspace.usesLFU = true
        bare.engine.keyspace.lfu.logFactor = 0
        let value = String(repeating: "x", count: 1000)
        for index in 0..<1000 { bare.run("SET", "k\(index)", value) }
        for _ in 0..<20 { for index in 0..<200 { bare.run("GET", "k\(index)") } }
        bare.engine.eviction.limitChanged(to: bare.engine.countedMemory - 500_000)
        bare.run("PING")
        let often = (0..<200).filter { bare.run("EXISTS", "k\($0)") == ":1\r\n" }
        #expect(bare.engine.keyspace.keyCount < 700)
        #expect(often.count > 195)
    }

    @Test func onlyKeysWithAnExpireGoUnderAVolatilePolicy() {
        let bare = bare(room: 1 << 30, EvictionPolicy(.soonestExpired, sparesPersistentKeys: true))
        let value = String(repeating: "x", count: 1000)
        for index in 0..<500 {
            bare.run("SET", "kept\(index)", value)
            bare.run("SET", "soon\(index)", value, "EX", "100")
            bare.run("SET", "late\(index)", value, "EX", "100000")
        }
        bare.engine.eviction.limitChanged(to: bare.engine.countedMemory - 300_000)
        bare.run("PING")
        func count(_ prefix: String) -> Int {
            (0..<500).filter { bare.run("EXISTS", "\(prefix)\($0)") == ":1\r\n" }.count
        }
        #expect(count("kept") == 500)
        #expect(count("late") > 480)
        #expect(count("soon") < 300)
        bare.engine.eviction.limitChanged(to: 1)
        #expect(bare.run("SET", "another", "v") == oom)
        #expect(bare.engine.keyspace.keyCount == 500)
    }

    @Test func randomKeysOfAllDatabasesGo() {
        let bare = bare(room: 1 << 30, EvictionPolicy(.random, sparesPersistentKeys: false))
        let value = String(repeating: "x", count: 1000)
        for database in 0..<4 {
            bare.run("SELECT", "\(database)")
            for index in 0..<500 { bare.run("SET", "k\(index)", value) }
        }
        bare.engine.eviction.limitChanged(to: bare.engine.countedMemory - 1_000_000)
        bare.run("PING")
        for database in 0..<4 {
            let left = bare.engine.keyspace.databases[database].keys.count
            #expect(left > 100 && left < 400, "database \(database) has \(left)")
        }
    }

    @Test func nothingIsEvictedWhileLoadingOrInATransactionOrOnAReplica() {
        let bare = bare(room: 1 << 30, EvictionPolicy(.random, sparesPersistentKeys: false))
        bare.run("SET", "a", "1")
        bare.run("SET", "b", "1")
        bare.engine.eviction.limitChanged(to: 1)
        bare.engine.state.isLoading = true
        #expect(bare.engine.makeRoom() == .enough)
        bare.engine.state.isLoading = false
        bare.engine.keyspace.expiryPolicy = .hide
        #expect(bare.engine.makeRoom() == .enough)
        bare.engine.keyspace.expiryPolicy = .delete
        bare.engine.eviction.rests = true
        #expect(bare.engine.makeRoom() == .enough)
        bare.engine.eviction.rests = false
        #expect(bare.engine.keyspace.keyCount == 2)
        #expect(bare.engine.makeRoom() == .enough)
        #expect(bare.engine.keyspace.keyCount == 0)
    }

    @Test func aClientThatWaitsForAnEvictedKeyIsAnsweredAndTheCommandStaysItsOwnClients() {
        let bare = bare(room: 1 << 30, EvictionPolicy(.random, sparesPersistentKeys: false))
        let waiter = Session(id: 9)
        bare.run("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
        bare.run(["XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "s", ">"], waiter)
        #expect(waiter.waiting != nil)
        bare.engine.eviction.limitChanged(to: 1)
        #expect(bare.run("GET", "other") == "$-1\r\n")
        #expect(bare.engine.current === bare.session)
        #expect(waiter.waiting == nil)
        #expect(bare.engine.keyspace.keyCount == 0)
    }

    @Test func whatCannotBeMadeDurableRefusesWritesAndPingButNoMessages() {
        let bare = BareEngine()
        bare.engine.state.writeRefusal = "MISCONF no disk"
        #expect(bare.run("SET", "k", "v") == "-MISCONF no disk\r\n")
        #expect(bare.run("PING") == "-MISCONF no disk\r\n")
        #expect(bare.run("PUBLISH", "c", "m") == ":0\r\n")
        #expect(bare.run("GET", "k") == "$-1\r\n")
    }

    @Test func unknownCommandsAreShownByteForByte() {
        let bare = BareEngine()
        #expect(bare.run("NOSUCH", "a\r\nb") == "-ERR unknown command 'NOSUCH', with args beginning with: 'a  b' \r\n")
        var bytes: [UInt8] = []
        var parser = RequestParser(limits: RequestLimits())
        let request: [UInt8] = Array("*1\r\n$3\r\n".utf8) + [0xff, 0xfe, 0x41] + Array("\r\n".utf8)
        request.withUnsafeBytes { request in
            bare.session.output.pointee.removeAll()
            if case .complete = parser.parse(request) {
                bare.engine.execute(bare.session, parser.arguments, raw: nil)
            }
            bytes = Array(bare.session.output.pointee.bytes)
        }
        let wanted = Array("-ERR unknown command '".utf8) + [0xff, 0xfe, 0x41]
            + Array("', with args beginning with: \r\n".utf8)
        #expect(bytes == wanted)
    }

    @Test func anEvictedKeyBreaksItsWatch() {
        let bare = bare(room: 1 << 30, EvictionPolicy(.random, sparesPersistentKeys: false))
        bare.run("SET", "a", "1")
        bare.run("WATCH", "a")
        bare.run("MULTI")
        bare.engine.eviction.limitChanged(to: 1)
        bare.run("PING")
        bare.engine.eviction.limitChanged(to: 0)
        bare.run("DISCARD")
        bare.run("SET", "a", "1")
        bare.run("WATCH", "a")
        bare.engine.eviction.limitChanged(to: 1)
        bare.run("GET", "other")
        bare.engine.eviction.limitChanged(to: 0)
        bare.run("MULTI")
        bare.run("SET", "b", "1")
        #expect(bare.run("EXEC") == "*-1\r\n")
    }

    @Test func anEmptyLogBufferCountsAsInfoTellsIt() {
        let bare = bare(room: 1 << 30, nil)
        #expect(bare.engine.countedMemory == bare.engine.usedMemory(), "nothing waits for the log")
        bare.run("SET", "k", String(repeating: "x", count: 1 << 20))
        #expect(bare.engine.usedMemory() > 900_000)
        #expect(bare.engine.countedMemory == 1000)
    }
}
