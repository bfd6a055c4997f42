import Testing
@testable import Server

/// HGETEX, HSETEX, HGETDEL: replies, log records, events.
struct NewerHashTests {
    @Test func hgetexReadsAndChangesExpires() {
        CommandScript.run("""
            HGETEX none FIELDS 2 a b => [nil, nil] |
            HSET h a 1 b 2 c 3
            HGETEX h FIELDS 2 a x => ["1", nil] |
            HGETEX h EX 10 FIELDS 3 a x b => ["1", nil, "2"] | \
                MULTI; HPEXPIREAT h 1010000 FIELDS 1 a; HPEXPIREAT h 1010000 FIELDS 1 b; EXEC
            HPTTL h FIELDS 3 a b c => [10000, 10000, -1]
            HGETEX h PERSIST FIELDS 2 a c => ["1", "3"] | HPERSIST h FIELDS 1 a
            HGETEX h FIELDS 1 a PXAT 1000500 => ["1"] | HPEXPIREAT h 1000500 FIELDS 1 a
            HGETEX h PXAT 5 FIELDS 2 b x => ["2", nil] | HDEL h b
            HGETEX h EXAT 1 FIELDS 2 a c => ["1", "3"] | MULTI; HDEL h a; HDEL h c; EXEC
            EXISTS h => 0
            SET s v
            HGETEX s FIELDS 1 a => WRONGTYPE Operation against a key holding the wrong kind of value
            HGETEX h FIELDS 2 a => ERR wrong number of arguments for 'hgetex' command
            HGETEX h FIELDS 0 a => ERR invalid number of fields
            HGETEX h FIELDS x a => ERR invalid number of fields
            HGETEX h EX 1 FIELDS 1 => ERR FIELDS requires at least numfields and one field argument
            HGETEX h FIELDS 1 a FIELDS 1 b => ERR FIELDS keyword specified multiple times
            HGETEX h FIELDS 1 a EX => ERR missing expire time
            HGETEX h EX 10 PERSIST FIELDS 1 a \
                => ERR Only one of EX, PX, EXAT, PXAT or PERSIST arguments can be specified
            HGETEX h KEEPTTL FIELDS 1 a => ERR unknown argument: KEEPTTL
            HGETEX h EX 10 => ERR wrong number of arguments for 'hgetex' command
            HGETEX h EX 10 EX => ERR Only one of EX, PX, EXAT, PXAT or PERSIST arguments can be specified
            HGETEX h EX -1 FIELDS 1 a => ERR invalid expire time, must be >= 0
            HGETEX h EX 9223372036854775807 FIELDS 1 a => ERR invalid expire time in 'hgetex' command
            HGETEX h EX 10 EX 20 FIELDS 1 a \
                => ERR Only one of EX, PX, EXAT, PXAT or PERSIST arguments can be specified
            """, events: [.hash, .generic],
            ["hset h", "hexpire h", "hpersist h", "hexpire h", "hdel h", "hdel h", "del h"])
    }

    @Test func hsetexSetsAllOrNothing() {
        CommandScript.run("""
            HSETEX h FXX FIELDS 1 a 1 => 0 |
            EXISTS h => 0
            HSETEX h FNX EX 10 FIELDS 2 a 1 b 2 => 1 | MULTI; HSET h a 1 b 2; HPEXPIREAT h 1010000 FIELDS 1 a; \
                HPEXPIREAT h 1010000 FIELDS 1 b; EXEC
            HSETEX h FNX FIELDS 2 b 3 c 4 => 0 |
            HSETEX h FXX FIELDS 2 b 3 c 4 => 0 |
            HSETEX h KEEPTTL FIELDS 2 b 3 c 4 => 1 | \
                MULTI; HSET h b 3 c 4; HPEXPIREAT h 1010000 FIELDS 1 b; EXEC
            HPTTL h FIELDS 3 a b c => [10000, 10000, -1]
            HSETEX h FIELDS 1 b 5 FXX => 1 | HSET h b 5
            HPTTL h FIELDS 1 b => [-1]
            HSETEX h PXAT 1 FIELDS 2 b 6 x 7 => 1 | HDEL h b
            HMGET h a b c x => ["1", nil, "4", nil]
            HSETEX h EXAT 1 FIELDS 2 a 1 c 1 => 1 | MULTI; HDEL h a; HDEL h c; EXEC
            HSETEX h EXAT 1 FIELDS 2 a 1 c 1 => 1 |
            EXISTS h => 0
            HSETEX h FNX FXX FIELDS 1 a 1 => ERR Only one of FXX or FNX arguments can be specified
            HSETEX h EX 10 KEEPTTL FIELDS 1 a 1 \
                => ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified
            HSETEX h FIELDS 2 a 1 b => ERR wrong number of arguments for 'hsetex' command
            HSETEX h FIELDS 1 a 1 b => ERR unknown argument: b
            """, events: [.hash, .generic], [
                "hset h", "hexpire h", "hset h", "hset h", "hdel h", "hdel h", "del h"])
    }

    @Test func hsetexFillsATable() {
        let script = CommandScript()
        let pairs = (0..<600).flatMap { ["field\($0)", "value\($0)"] }
        #expect(script.reply(["HSETEX", "h", "EX", "100", "FIELDS", "600"] + pairs) == "1")
        #expect(script.reply(["OBJECT", "ENCODING", "h"]) == "\"hashtable\"")
        #expect(script.reply(["HPTTL", "h", "FIELDS", "1", "field599"]) == "[100000]")
        #expect(script.reply(["HSETEX", "h", "KEEPTTL", "FIELDS", "1", "field1", "x"]) == "1")
        #expect(script.reply(["HPTTL", "h", "FIELDS", "1", "field1"]) == "[100000]")
        #expect(script.reply(["HGETDEL", "h", "FIELDS", "1", "field1"]) == "[\"x\"]")
        script.checkReplay()
    }

    @Test func hgetdelDeletesWhatItReturned() {
        CommandScript.run("""
            HGETDEL none FIELDS 1 a => [nil] |
            HSET h a 1 b 2
            HGETDEL h FIELDS 3 a x a => ["1", nil, nil] | HDEL h a
            HGETDEL h FIELDS 1 x => [nil] |
            HGETDEL h FIELDS 2 b a => ["2", nil] | HDEL h b
            EXISTS h => 0
            HGETDEL h FIELDS 2 a => ERR The `numfields` parameter must match the number of arguments
            HGETDEL h FIELDS 0 a => ERR Number of fields must be a positive integer
            HGETDEL h FIELD 1 a => ERR Mandatory argument FIELDS is missing or not at the right position
            """, events: [.hash, .generic], ["hset h", "hdel h", "hdel h", "del h"])
    }
}
