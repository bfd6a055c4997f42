import Keyspace
import Primitives
import Testing
@testable import Server

/// What string and key commands leave in the log: absolute times and outcomes, never questions.
struct StringLogTests {
    @Test func relativeTimesBecomeAbsolute() {
        let bare = BareEngine()
        let cases: [([String], [String])] = [
            (["SET", "k", "v", "EX", "10"], ["SET k v PXAT 1010000"]),
            (["SET", "k", "v", "PX", "10"], ["SET k v PXAT 1000010"]),
            (["SET", "k", "v", "EXAT", "2000"], ["SET k v PXAT 2000000"]),
            (["SETEX", "k", "10", "v"], ["SET k v PXAT 1010000"]),
            (["PSETEX", "k", "10", "v"], ["SET k v PXAT 1000010"]),
            (["SET", "k", "w", "KEEPTTL"], ["SET k w KEEPTTL"]),
            (["SET", "k", "w", "XX", "GET"], ["SET k w"]),
            (["SET", "k", "w", "NX"], []),
            (["GETSET", "k", "x"], ["SET k x"]),
            (["EXPIRE", "k", "10"], ["PEXPIREAT k 1010000"]),
            (["EXPIRE", "k", "10", "NX"], []),
            (["PEXPIRE", "k", "20000", "GT"], ["PEXPIREAT k 1020000"]),
            (["EXPIREAT", "k", "3000"], ["PEXPIREAT k 3000000"]),
            (["GETEX", "k", "EX", "5"], ["PEXPIREAT k 1005000"]),
            (["GETEX", "k", "PERSIST"], ["PERSIST k"]),
            (["GETEX", "k", "PERSIST"], []),
            (["GETEX", "k"], []),
            (["EXPIRE", "k", "-1"], ["DEL k"]),
            (["SET", "k", "1"], ["SET k 1"]),
            (["INCRBYFLOAT", "k", "0.5"], ["SET k 1.5 KEEPTTL"]),
            (["GETDEL", "k"], ["DEL k"]),
            (["GETDEL", "k"], []),
            (["SET", "k", "v"], ["SET k v"]),
            (["GETEX", "k", "EXAT", "1"], ["DEL k"]),
            (["DEL", "k"], []),
            (["FLUSHALL"], ["FLUSHALL"]),
        ]
        for (words, expected) in cases {
            bare.run(words, bare.session)
            #expect(bare.takeLog() == expected, "\(words)")
        }
    }

    @Test func aKeyFoundExpiredIsLoggedBeforeTheCommandThatFoundIt() {
        let bare = BareEngine()
        bare.run("SET", "k", "v", "PX", "10")
        _ = bare.takeLog()
        bare.engine.keyspace.now = UnixMilliseconds(1_000_020)
        bare.run("SET", "k", "w", "NX")
        #expect(bare.takeLog() == ["DEL k", "SET k w"])
        bare.run("SET", "k", "v", "PX", "10")
        bare.run("EXPIRE", "k", "1")
        _ = bare.takeLog()
        bare.engine.keyspace.now = UnixMilliseconds(1_009_999)
        bare.run("SET", "k", "new", "KEEPTTL")
        #expect(bare.takeLog() == ["DEL k", "SET k new KEEPTTL"])
        #expect(bare.run("TTL", "k") == ":-1\r\n", "a dead key's expire is not kept")
    }

    @Test func aTransactionIsOneUnit() {
        let bare = BareEngine()
        bare.run("MULTI")
        bare.run("SET", "a", "1", "PX", "10")
        bare.run("GET", "a")
        bare.run("FLUSHDB")
        bare.run("EXEC")
        #expect(bare.takeLog() == ["MULTI", "SET a 1 PXAT 1000010", "FLUSHDB", "EXEC"])
    }

    @Test func movedKeysKeepValueExpireAndFieldExpires() {
        let bare = BareEngine()
        bare.run("HSET", "h", "f", "1", "g", "2")
        bare.run("HPEXPIRE", "h", "100", "FIELDS", "1", "f")
        bare.run("PEXPIRE", "h", "5000")
        bare.run("RENAME", "h", "other")
        bare.run("MOVE", "other", "3")
        bare.run("SELECT", "3")
        #expect(bare.run("PTTL", "other") == ":5000\r\n")
        bare.run("COPY", "other", "copy")
        for database in 0..<16 {
            let listed = bare.engine.keyspace.databases[database].fieldExpires.count
            #expect(listed == (database == 3 ? 2 : 0), "database \(database)")
        }
        bare.engine.keyspace.now = UnixMilliseconds(1_000_200)
        for _ in 0..<20 { bare.engine.runSlowExpireCycle(hz: 10) }
        #expect(bare.run("HGET", "other", "f") == "$-1\r\n")
        #expect(bare.run("HGET", "copy", "g") == "$1\r\n2\r\n")
    }

    @Test func swappedDatabasesTakeTheirIndexesAlong() {
        let bare = BareEngine()
        bare.run("SET", "a", "1", "PX", "10")
        bare.run("SWAPDB", "0", "1")
        #expect(bare.run("GET", "a") == "$-1\r\n")
        #expect(bare.engine.keyspace.databases[1].expires.count == 1)
        bare.engine.keyspace.now = UnixMilliseconds(1_000_200)
        for _ in 0..<20 { bare.engine.runSlowExpireCycle(hz: 10) }
        #expect(bare.engine.keyspace.keyCount == 0)
        #expect(bare.takeLog().last == "DEL a")
    }
}
