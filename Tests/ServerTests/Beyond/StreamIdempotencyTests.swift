import Engine
import Keyspace
import Primitives
import Testing
@testable import Server

/// XADD IDMP and IDMPAUTO, XCFGSET, XIDMPRECORD.
struct StreamIdempotencyTests {
    @Test func aMessageSentAgainIsNotAddedAgain() {
        CommandScript.run("""
            XADD s IDMP p m1 * f a => "1000000-0" | MULTI; XADD s 1000000-0 f a; XIDMPRECORD s p m1 1000000-0; EXEC
            XADD s IDMP p m1 * f b => "1000000-0" |
            XADD s IDMP q m1 * f b => "1000000-1"
            XADD s IDMP p m2 * f c => "1000000-2"
            XADD s NOMKSTREAM IDMP p m1 MAXLEN 1 * f d => "1000000-0" |
            XLEN s => 3
            XADD none NOMKSTREAM IDMP p m1 * f d => nil |
            XDEL s 1000000-0
            XADD s IDMP p m1 * f a => "1000000-0" |
            XADD s MAXLEN 1 IDMP p m4 * f e => "1000000-3" | \
                MULTI; XADD s MAXLEN = 1 1000000-3 f e; XIDMPRECORD s p m4 1000000-3; EXEC
            """)
    }

    @Test func sayingTheSameIsSendingAgain() {
        CommandScript.run("""
            XADD s IDMPAUTO p * f a g b => "1000000-0"
            XADD s IDMPAUTO p * f a g b => "1000000-0" |
            XADD s IDMPAUTO q * f a g b => "1000000-1"
            XADD s IDMPAUTO p * f ag b '' => "1000000-2"
            XADD s IDMPAUTO p * g b f a => "1000000-3"
            """)
    }

    @Test func optionsThatMakeNoSense() {
        CommandScript.run("""
            XADD s IDMP p m1 5-5 f a => ERR syntax error, IDMP/IDMPAUTO can be used only with auto-generated IDs
            XADD s IDMP p m1 5-* f a => ERR syntax error, IDMP/IDMPAUTO can be used only with auto-generated IDs
            XADD s IDMP p m1 IDMP p m1 * f a => ERR syntax error, IDMP/IDMPAUTO specified multiple times
            XADD s IDMP p m1 IDMPAUTO p * f a => ERR syntax error, IDMP/IDMPAUTO specified multiple times
            XADD s IDMP '' m1 * f a => ERR syntax error, IDMP requires a non-empty producer ID
            XADD s IDMP p '' * f a => ERR syntax error, IDMP requires a non-empty idempotent ID
            XADD s IDMPAUTO '' * f a => ERR syntax error, IDMPAUTO requires a non-empty producer ID
            EXISTS s => 0
            XCFGSET s IDMP-DURATION 5 => ERR no such key
            XADD s 1-1 f a
            XCFGSET s => ERR At least one parameter must be specified
            XCFGSET s IDMP-DURATION => ERR syntax error
            XCFGSET s IDMP-DURATION 0 => ERR IDMP-DURATION must be between 1 and 86400 seconds
            XCFGSET s IDMP-DURATION 86401 => ERR IDMP-DURATION must be between 1 and 86400 seconds
            XCFGSET s IDMP-MAXSIZE 10001 => ERR IDMP-MAXSIZE must be between 1 and 10000 entries
            XCFGSET s IDMP-MAXSIZE 5 IDMP-MAXSIZE 5 => ERR IDMP-MAXSIZE specified multiple times
            XCFGSET s IDMP-DURATION 5 IDMP-DURATION 5 => ERR IDMP-DURATION specified multiple times
            XIDMPRECORD none p m 1-1 => ERR no such key
            XIDMPRECORD s p m 2-2 => ERR No such message in stream
            XIDMPRECORD s '' m 1-1 => ERR producer ID must be non-empty
            XIDMPRECORD s p '' 1-1 => ERR idempotent ID must be non-empty
            XADD s 1000000-1 f a
            XIDMPRECORD s p m 1000000-1 => OK | XIDMPRECORD s p m 1000000-1
            XIDMPRECORD s p m 1000000-1 => OK |
            XADD s IDMP p m * f b => "1000000-1" |
            XADD s 1000000-2 f b
            XIDMPRECORD s p m 1000000-2 => ERR IID already exists for this producer with a different stream ID
            SET k v
            XCFGSET k IDMP-MAXSIZE 5 => WRONGTYPE Operation against a key holding the wrong kind of value
            """)
    }

    @Test func messagesAreForgottenInTime() {
        CommandScript.run("""
            XADD s IDMP p m1 * f a => "1000000-0"
            +60000
            XADD s IDMP p m2 * f b => "1060000-0"
            XADD s IDMP p m1 * f a => "1000000-0"
            +40000
            XADD s IDMP p m1 * f a => "1000000-0"
            +1
            XADD s IDMP p m1 * f a => "1100001-0"
            XADD s IDMP p m2 * f b => "1060000-0"
            XCFGSET s IDMP-DURATION 10 => OK | XCFGSET s IDMP-DURATION 10
            XADD s IDMP p m2 * f b => "1100001-1"
            XCFGSET s IDMP-DURATION 10 => OK |
            XADD s IDMP p m2 * f b => "1100001-1"
            +10001
            XADD s IDMP p m2 * f b => "1110002-0"
            """)
    }

    @Test func aProducerHasSoManyMessages() {
        CommandScript.run("""
            XADD s 1-1 f a
            XCFGSET s IDMP-MAXSIZE 2 => OK
            XADD s IDMP p m1 * f a => "1000000-0"
            XADD s IDMP p m2 * f a => "1000000-1"
            XADD s IDMP q m1 * f a => "1000000-2"
            XADD s IDMP p m3 * f a => "1000000-3"
            XADD s IDMP p m2 * f a => "1000000-1"
            XADD s IDMP p m1 * f a => "1000000-4"
            XADD s IDMP q m1 * f a => "1000000-2"
            """)
    }

    /// XINFO tells of it only where it is used, so that others see what 7.4 says.
    @Test func infoTellsWhatIsRemembered() {
        let bare = BareEngine()
        bare.run("XADD", "s", "1-1", "f", "a")
        #expect(!bare.run("XINFO", "STREAM", "s").contains("idmp"))
        bare.run("XCFGSET", "s", "IDMP-DURATION", "50")
        for message in ["m1", "m2", "m1"] { bare.run("XADD", "s", "IDMP", "p", message, "*", "f", "a") }
        bare.run("XADD", "s", "IDMP", "q", "m1", "*", "f", "a")
        for request in [["XINFO", "STREAM", "s"], ["XINFO", "STREAM", "s", "FULL"]] {
            let words = bare.run(request, bare.session).split(separator: "\r\n").map(String.init)
            func fact(_ name: String) -> String? { words.firstIndex(of: name).map { words[$0 + 1] } }
            #expect(fact("idmp-duration") == ":50" && fact("idmp-maxsize") == ":100")
            #expect(fact("pids-tracked") == ":2" && fact("iids-tracked") == ":3")
            #expect(fact("iids-added") == ":3" && fact("iids-duplicates") == ":1")
        }
        bare.engine.keyspace.now = UnixMilliseconds(bare.engine.keyspace.now.rawValue + 51_000)
        let words = bare.run("XINFO", "STREAM", "s").split(separator: "\r\n").map(String.init)
        #expect(words.firstIndex(of: "pids-tracked").map { words[$0 + 1] } == ":0")
    }

    /// Producers that stopped sending take no memory for ever.
    @Test func producersThatStoppedAreSwept() {
        let bare = BareEngine()
        func stream() -> StreamValue? {
            bare.engine.keyspace.find(("s" as StaticString).bytes, in: 0, .peek).map { StreamValue($0) }
        }
        for number in 0..<50 { bare.run("XADD", "s", "IDMP", "p\(number)", "m", "*", "f", "a") }
        #expect(stream()?.producers?.pointee.producers.count == 50)
        bare.engine.keyspace.now = UnixMilliseconds(bare.engine.keyspace.now.rawValue + 200_000)
        for number in 0..<60 { bare.run("XADD", "s", "IDMP", "new", "m\(number)", "*", "f", "a") }
        #expect(stream()?.producers?.pointee.producers.count == 1)
        bare.run("COPY", "s", "t")
        #expect(bare.run("XADD", "t", "IDMP", "new", "m59", "*", "f", "a")
            == bare.run("XADD", "s", "IDMP", "new", "m59", "*", "f", "a"))
    }
}

/// HIMPORT.
struct HashImportTests {
    @Test func hashesOfOneFieldset() {
        CommandScript.run("""
            HIMPORT PREPARE u name age => OK |
            HIMPORT SET h u bob 25 => OK | HSET h name bob age 25
            HGETALL h => ["name", "bob", "age", "25"]
            HIMPORT SET h u al 3 => OK | MULTI; DEL h; HSET h name al age 3; EXEC
            SET k v EX 100
            HIMPORT SET k u x y => OK | MULTI; DEL k; HSET k name x age y; EXEC
            TTL k => -1
            HIMPORT SET k u => ERR wrong number of arguments for 'himport|set' command
            HIMPORT SET k u x => ERR value count does not match fieldset field count
            HIMPORT SET k u x y z => ERR value count does not match fieldset field count
            HIMPORT SET k w x y => ERR no such fieldset
            HIMPORT PREPARE u a b a => ERR duplicate field name in fieldset
            HIMPORT PREPARE u a b c => OK
            HIMPORT SET h u 1 2 3 => OK
            HGETALL h => ["a", "1", "b", "2", "c", "3"]
            HIMPORT PREPARE v a => OK
            HIMPORT DISCARD u => 1
            HIMPORT DISCARD u => 0
            HIMPORT SET h u 1 2 3 => ERR no such fieldset
            HIMPORT PREPARE w a => OK
            HIMPORT DISCARDALL => 2
            HIMPORT DISCARDALL => 0
            """, events: [.hash], ["hset h", "hset h", "hset k", "hset h"])
    }

    @Test func fieldsetsBelongToTheirConnection() {
        let bare = BareEngine(), other = Session(id: 2)
        bare.run("HIMPORT", "PREPARE", "u", "a", "b")
        #expect(bare.run(["HIMPORT", "SET", "h", "u", "1", "2"], other) == "-ERR no such fieldset\r\n")
        bare.engine.reset(bare.session)
        #expect(bare.run("HIMPORT", "SET", "h", "u", "1", "2") == "-ERR no such fieldset\r\n")
    }
}
