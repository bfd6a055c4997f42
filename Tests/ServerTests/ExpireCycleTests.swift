import Commands
import Engine
import Keyspace
import Primitives
import RESP
import Testing
@testable import Server

/// An engine without a server, driven by requests as text.
struct BareEngine {
    let engine: Engine
    let session = Session(id: 1)

    init(seed: UInt64 = 1) {
        let keyspace = Keyspace(databaseCount: 16, seed: HashSeed(k0: 1, k1: 2), random: RandomSource(seed: seed))
        engine = Engine(keyspace: keyspace, table: CommandTable(AllCommands.families))
        engine.keyspace.now = UnixMilliseconds(1_000_000)
        engine.isLogging = true
    }

    /// The reply of one request, its words given as they are.
    @discardableResult
    func run(_ words: String...) -> String { run(words, session) }

    @discardableResult
    func run(_ words: [String], _ session: Session) -> String {
        var parser = RequestParser(limits: RequestLimits())
        var request = OwnedBytes()
        RequestEncoder.begin(argumentCount: words.count, into: &request)
        for word in words {
            var word = word
            word.withUTF8 { RequestEncoder.argument(Bytes($0), into: &request) }
        }
        session.output.pointee.removeAll()
        if case .complete = parser.parse(request.bytes) {
            engine.execute(session, parser.arguments, raw: request.bytes)
        }
        return String(decoding: session.output.pointee.bytes, as: UTF8.self)
    }

    /// What went to the log since the last call, as words.
    func takeLog() -> [String] {
        let text = String(decoding: engine.pendingLog.bytes, as: UTF8.self)
        engine.pendingLog.removeAll()
        var records: [String] = [], lines = text.split(separator: "\r\n", omittingEmptySubsequences: false)[...]
        while let header = lines.popFirst(), let count = Int(header.dropFirst()) {
            var words: [String] = []
            for _ in 0..<count {
                lines = lines.dropFirst()
                words.append(String(lines.popFirst() ?? ""))
            }
            records.append(words.joined(separator: " "))
        }
        return records.filter { !$0.hasPrefix("SELECT") }
    }
}

struct ExpireCycleTests {
    @Test func dueKeysOfAllDatabasesGoAndAreLogged() {
        let bare = BareEngine()
        for database in 0..<4 {
            bare.run("SELECT", "\(database)")
            for index in 0..<500 { bare.run("SET", "k\(index)", "v", "PX", index % 2 == 0 ? "100" : "100000") }
        }
        _ = bare.takeLog()
        bare.engine.keyspace.now = UnixMilliseconds(1_000_200)
        for _ in 0..<200 { bare.engine.runSlowExpireCycle(hz: 10) }
        let log = bare.takeLog()
        #expect(bare.engine.keyspace.keyCount >= 1000)
        #expect(bare.engine.keyspace.keyCount < 1100, "nearly all due keys are gone")
        #expect(log.count == 2000 - bare.engine.keyspace.keyCount)
        #expect(log.allSatisfy { $0.hasPrefix("DEL k") })
        #expect(bare.engine.keyspace.statistics.expiredKeys == log.count)
    }

    /// A save point that counted them would write dumps of a data set that nobody changed.
    @Test func whatGoesByItselfIsNoChangeSinceTheLastSave() {
        let bare = BareEngine()
        for key in ["a", "b"] { bare.run("SET", key, "v", "PX", "100") }
        bare.run("HSET", "h", "f", "1", "g", "2")
        bare.run("HPEXPIRE", "h", "100", "FIELDS", "1", "f")
        let changes = bare.engine.changesSinceSave
        bare.engine.keyspace.now = UnixMilliseconds(1_000_200)
        #expect(bare.run("GET", "a") == "$-1\r\n")
        for _ in 0..<50 { bare.engine.runSlowExpireCycle(hz: 10) }
        #expect(bare.run("DBSIZE") == ":1\r\n" && bare.run("HLEN", "h") == ":1\r\n")
        #expect(bare.engine.changesSinceSave == changes)
    }

    @Test func whileDataIsImportedOnlyItsSourceSeesAndRemovesWhatIsPastItsTime() {
        let bare = BareEngine(), source = Session(id: 2)
        bare.engine.isImporting = true
        source.isImportSource = true
        for key in ["a", "b", "c"] { bare.run(["SET", key, "v", "PX", "100"], source) }
        bare.engine.keyspace.now = UnixMilliseconds(1_000_200)
        _ = bare.takeLog()
        bare.engine.runSlowExpireCycle(hz: 10)
        #expect(bare.run("GET", "a") == "$-1\r\n" && bare.run("EXISTS", "a") == ":0\r\n")
        #expect(bare.run(["GET", "a"], source) == "$1\r\nv\r\n")
        #expect(bare.run("DBSIZE") == ":3\r\n" && bare.takeLog().isEmpty)
        // The source goes on with what it copies.
        #expect(bare.run(["APPEND", "a", "w"], source) == ":2\r\n")
        #expect(bare.run(["PEXPIREAT", "a", "900000"], source) == ":1\r\n")
        #expect(bare.run(["DEL", "b"], source) == ":1\r\n")
        #expect(bare.run(["GET", "a"], source) == "$2\r\nvw\r\n")
        #expect(bare.takeLog() == ["APPEND a w", "PEXPIREAT a 900000", "DEL b"])
        #expect(bare.run(["EVAL", "return redis.call('GET', 'a')", "0"], source) == "$2\r\nvw\r\n")
        bare.engine.isImporting = false
        for _ in 0..<50 { bare.engine.runSlowExpireCycle(hz: 10) }
        #expect(bare.run("DBSIZE") == ":0\r\n" && bare.takeLog().sorted() == ["DEL a", "DEL c"])
    }

    @Test func importModeIsASettingAndItsSourceAFlagOfClients() throws {
        let server = try ServerRun("--save", "", "--import-mode", "yes")
        #expect(server.becomesReady())
        let answer = server.answer("CLIENT IMPORT-SOURCE ON\r\nCLIENT INFO\r\nCONFIG GET import-mode\r\n")
        #expect(answer?.contains(" flags=I ") == true && answer?.hasSuffix("$3\r\nyes\r\n") == true)
        let reset = server.answer("CLIENT IMPORT-SOURCE ON\r\nRESET\r\nCLIENT INFO\r\n")
        #expect(reset?.contains(" flags=N ") == true)
        let refusal = "-ERR Server is not in import mode\r\n"
        let requests = "CONFIG SET import-mode no\r\nCLIENT IMPORT-SOURCE ON\r\nCLIENT IMPORT-SOURCE OFF\r\n"
        #expect(server.answer(requests) == "+OK\r\n\(refusal)+OK\r\n")
    }

    @Test func aReplicaDeletesNothingByItself() {
        let bare = BareEngine()
        bare.run("SET", "k", "v", "PX", "100")
        bare.engine.keyspace.now = UnixMilliseconds(1_000_200)
        bare.engine.keyspace.expiryPolicy = .hide
        bare.engine.runSlowExpireCycle(hz: 10)
        #expect(bare.engine.keyspace.keyCount == 1)
        #expect(bare.run("GET", "k") == "$-1\r\n")
    }

    @Test func theBudgetEndsTheCycleAndTheNextDatabaseFollows() {
        let bare = BareEngine()
        for database in 0..<3 {
            bare.run("SELECT", "\(database)")
            for index in 0..<1000 { bare.run("SET", "k\(index)", "v", "PX", "1") }
        }
        bare.engine.keyspace.now = UnixMilliseconds(1_000_200)
        var time: UInt64 = 0
        // Each look at the clock costs more than the budget: one round a cycle.
        bare.engine.monotonicNanoseconds = { time += 1_000_000_000; return time }
        for _ in 0..<3 { bare.engine.runSlowExpireCycle(hz: 10) }
        for database in 0..<3 { #expect(bare.engine.keyspace.databases[database].keys.count < 1000) }
        #expect(bare.engine.expireCycle.timeCapReached == 3)
        #expect(bare.engine.wantsFastExpireCycle)
    }

    @Test func dueFieldsGoAndTheirHashWithTheLast() {
        let bare = BareEngine()
        for index in 0..<300 {
            bare.run("HSET", "h\(index)", "f", "1", "g", "2")
            bare.run("HPEXPIRE", "h\(index)", "100", "FIELDS", index % 2 == 0 ? "2" : "1", "f",
                     index % 2 == 0 ? "g" : "f")
        }
        bare.run("HSET", "whole", "f", "1")
        bare.run("HPEXPIRE", "whole", "100", "FIELDS", "1", "f")
        bare.engine.keyspace.now = UnixMilliseconds(1_000_200)
        for _ in 0..<50 { bare.engine.runSlowExpireCycle(hz: 10) }
        #expect(bare.engine.keyspace.databases[0].fieldExpires.count == 0)
        #expect(bare.run("EXISTS", "whole") == ":0\r\n")
        #expect(bare.run("EXISTS", "h0") == ":0\r\n")
    }

    @Test func aFlushLeavesNothingToExpire() {
        for word in ["SYNC", "ASYNC"] {
            let bare = BareEngine()
            for index in 0..<100 { bare.run("SET", "k\(index)", "v", "PX", "100") }
            bare.run("HSET", "h", "f", "1")
            bare.run("HPEXPIRE", "h", "100", "FIELDS", "1", "f")
            bare.run("FLUSHALL", word)
            bare.engine.keyspace.now = UnixMilliseconds(1_000_200)
            bare.engine.runSlowExpireCycle(hz: 10)
            #expect(bare.engine.keyspace.statistics.expiredKeys == 0)
            let garbage = bare.engine.keyspace.takeGarbage()
            #expect(Garbage.objectCount(garbage.bytes) == (word == "ASYNC" ? 101 : 0))
            Garbage.free(garbage.bytes)
            #expect(bare.run("SET", "k", "v") == "+OK\r\n")
        }
    }

    @Test func anExpiredKeyBreaksItsWatch() {
        let bare = BareEngine()
        let other = Session(id: 2)
        bare.run("SET", "k", "v", "PX", "100")
        bare.run(["WATCH", "k"], other)
        bare.engine.keyspace.now = UnixMilliseconds(1_000_200)
        bare.engine.runSlowExpireCycle(hz: 10)
        bare.run(["MULTI"], other)
        bare.run(["PING"], other)
        #expect(bare.run(["EXEC"], other) == "*-1\r\n", "the watched key expired")
    }
}
