import Commands
import Primitives
import RESP
import Testing
@testable import Server

/// String commands and options of Redis 8 and Valkey: replies, log records, events.
struct NewerStringTests {
    @Test func setComparesBeforeItWrites() {
        CommandScript.run("""
            SET k new IFEQ old => nil |
            SET k one IFNE x => OK | SET k one
            SET k two IFNE one => nil |
            SET k two IFEQ one => OK | SET k two
            SET k three IFEQ one GET => "two" |
            SET k three IFEQ two GET EX 10 => "two" | SET k three PXAT 1010000
            SET k 12 IFEQ three KEEPTTL => OK | SET k 12 KEEPTTL
            SET k 13 IFEQ 12 => OK | SET k 13
            SET none 1 IFEQ '' => nil |
            SET none 1 IFDEQ 2d06800538d394c2 => nil |
            SET none 1 IFDEQ 2d06800538d394c2 GET => nil |
            SET made 123 IFDNE 2d06800538d394c2 GET => nil | SET made 123
            SET made 1 IFDEQ 404a763b3f4c8c9a => OK | SET made 1
            SET made 123 IFDEQ 404A763B3F4C8C9A => nil |
            SET made 123 IFDNE 404A763B3F4C8C9A => OK | SET made 123
            SET made 1 IFDEQ 404A763B3F4C8C9A => OK | SET made 1
            SET made 1 IFDEQ 404a => ERR must be exactly 16 hexadecimal characters |
            SET k v NX IFEQ a => ERR syntax error |
            SET k v IFEQ a XX => ERR syntax error |
            SET k v IFEQ a IFNE b => ERR syntax error |
            SET k v IFEQ => ERR syntax error |
            SADD s a
            SET s v IFEQ a => WRONGTYPE Operation against a key holding the wrong kind of value |
            SET s v IFNE a => WRONGTYPE Operation against a key holding the wrong kind of value |
            """)
    }

    @Test func delexAndDelifeqDeleteWhatIsExpected() {
        CommandScript.run("""
            SET k Hello
            DELEX k IFEQ hello => 0 |
            DELEX k IFNE Hello => 0 |
            DELEX k IFDEQ 2d06800538d394c2 => 0 |
            DELEX k IFEQ Hello => 1 | DEL k
            DELEX k IFNE Hello => 0 |
            SET k 123
            DELEX k IFDNE 404a763b3f4c8c9a => 0 |
            DELEX k IFDEQ 404a763b3f4c8c9a => 1 | DEL k
            SADD s a
            DELEX s IFEQ a => ERR Key should be of string type if conditions are specified |
            DELEX s => 1 | DEL s
            DELEX s => 0 |
            DELEX s IFGT 1 => ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE |
            DELEX s IFEQ => ERR wrong number of arguments for 'delex' command |
            DELEX s IFDEQ 12 => ERR must be exactly 16 hexadecimal characters |
            SET k 7
            DELIFEQ k 8 => 0 |
            DELIFEQ k 7 => 1 | DEL k
            DELIFEQ k 7 => 0 |
            SADD s a
            DELIFEQ s a => WRONGTYPE Operation against a key holding the wrong kind of value |
            """, events: [.generic], ["del k", "del k", "del s", "del k"])
    }

    @Test func digestIsXXH3OfTheText() {
        CommandScript.run("""
            DIGEST none => nil
            SET k ''
            DIGEST k => "2d06800538d394c2"
            SET k 123
            DIGEST k => "404a763b3f4c8c9a"
            APPEND k 4
            SETRANGE k 3 ''
            SET l 1234
            DIGEST k => "87b1e526910fd7e1"
            LPUSH list a
            DIGEST list => WRONGTYPE Operation against a key holding the wrong kind of value
            """)
    }

    @Test func msetexSetsAllOrNothing() {
        CommandScript.run("""
            MSETEX 2 a 1 b 2 EX 10 => 1 | MULTI; SET a 1 PXAT 1010000; SET b 2 PXAT 1010000; EXEC
            MSETEX 2 b 3 c 4 NX => 0 |
            EXISTS c => 0
            MSETEX 2 b 3 c 4 XX => 0 |
            MSETEX 2 a 5 b 6 XX KEEPTTL => 1 | MULTI; SET a 5 KEEPTTL; SET b 6 KEEPTTL; EXEC
            PTTL b => 10000
            MSETEX 1 c 7 NX PXAT 2000000 => 1 | SET c 7 PXAT 2000000
            MSETEX 1 c 8 => 1 | SET c 8
            PTTL c => -1
            MSETEX 2 c 1 c 2 NX => 0 |
            MSETEX 2 d 1 d 2 NX => 1 | MULTI; SET d 1; SET d 2; EXEC
            MSETEX 0 a 1 => ERR invalid numkeys value |
            MSETEX x a 1 => ERR invalid numkeys value |
            MSETEX 2 a 1 => ERR wrong number of key-value pairs |
            MSETEX 2 a 1 b => ERR wrong number of key-value pairs |
            MSETEX 1 a 1 b => ERR syntax error |
            MSETEX 1 a 1 NX XX => ERR syntax error |
            MSETEX 1 a 1 GET => ERR syntax error |
            MSETEX 1 a 1 EX 10 KEEPTTL => ERR syntax error |
            MSETEX 1 a 1 EX 0 => ERR invalid expire time in 'msetex' command |
            """, events: [.string, .generic], [
                "set a", "expire a", "set b", "expire b", "set a", "set b", "set c", "expire c", "set c", "set d",
                "set d"])
    }

    @Test func increxKeepsWithinBounds() {
        CommandScript.run("""
            INCREX k => [1, 1] | SET k 1 KEEPTTL
            INCREX k BYINT 5 => [6, 5] | SET k 6 KEEPTTL
            INCREX k BYINT 5 UBOUND 10 => [6, 0] |
            INCREX k BYINT 5 UBOUND 10 SATURATE => [10, 4] | SET k 10 KEEPTTL
            INCREX k BYINT -20 LBOUND 0 => [10, 0] |
            INCREX k BYINT -20 LBOUND 0 SATURATE => [0, -10] | SET k 0 KEEPTTL
            INCREX none UBOUND 0 => [0, 0] |
            EXISTS none => 0
            SET k 9223372036854775807
            INCREX k => [9223372036854775807, 0] |
            INCREX k SATURATE => [9223372036854775807, 0] | SET k 9223372036854775807 KEEPTTL
            INCREX k BYINT -1 UBOUND -9 SATURATE => ERR applied increment would overflow |
            INCREX k LBOUND 2 UBOUND 1 => ERR LBOUND can't be greater than UBOUND |
            INCREX k LBOUND x => ERR LBOUND is not an integer or out of range |
            INCREX k UBOUND 1.5 => ERR UBOUND is not an integer or out of range |
            INCREX k BYINT 1.5 => ERR Increment is not an integer or out of range |
            INCREX k BYINT 1 BYFLOAT 2 => ERR syntax error |
            INCREX k ENX => ERR ENX flag requires an expiration |
            INCREX k PERSIST ENX => ERR ENX flag requires an expiration |
            INCREX k EX 0 => ERR invalid expire time in 'increx' command |
            INCREX k EX 10 PX 10 => ERR syntax error |
            INCREX k BYINT => ERR syntax error |
            SET k v
            INCREX k => ERR value is not an integer or out of range |
            INCREX k BYFLOAT 1 => ERR value is not a valid float |
            LPUSH l a
            INCREX l => WRONGTYPE Operation against a key holding the wrong kind of value |
            """)
    }

    @Test func increxCountsFloatsAndSetsExpires() {
        CommandScript.run("""
            SET f 1.5
            INCREX f BYFLOAT 0.25 => ["1.75", "0.25"] | SET f 1.75 KEEPTTL
            INCREX f BYFLOAT 10 UBOUND 2.5 => ["1.75", "0"] |
            INCREX f BYFLOAT 10 UBOUND 2.5 SATURATE => ["2.5", "0.75"] | SET f 2.5 KEEPTTL
            INCREX f BYFLOAT inf => ERR BYFLOAT increment cannot be Infinity |
            INCREX f => ERR value is not an integer or out of range |
            INCREX c EX 100 ENX => [1, 1] | SET c 1 PXAT 1100000
            INCREX c EX 10 ENX => [2, 1] | SET c 2 KEEPTTL
            PTTL c => 100000
            INCREX c UBOUND 2 EX 10 => [2, 0] |
            PTTL c => 100000
            INCREX c PX 10 => [3, 1] | SET c 3 PXAT 1000010
            INCREX c PERSIST => [4, 1] | SET c 4
            PTTL c => -1
            INCREX f BYFLOAT 0.5 => ["3", "0.5"] | SET f 3 KEEPTTL
            """, events: [.string, .generic], [
                "set f", "incrbyfloat f", "incrbyfloat f", "incrby c", "expire c", "incrby c", "incrby c", "expire c",
                "incrby c", "persist c", "incrbyfloat f"])
    }

    @Test func increxAnswersDoublesInRESP3() {
        let script = CommandScript()
        script.bare.session.version = .resp3
        #expect(script.reply(["INCREX", "f", "BYFLOAT", "0.5"]) == "[,0.5, ,0.5]")
        #expect(script.reply(["INCREX", "f", "BYFLOAT", "5", "UBOUND", "1"]) == "[,0.5, ,0]")
    }

    /// A condition on the value reads it, which a user must be allowed to.
    @Test func keysOfConditionalWritesAreReadToo() throws {
        let table = CommandTable(AllCommands.families)
        func flags(_ words: [String]) throws -> KeyFlags {
            var parser = RequestParser(limits: RequestLimits())
            var request = OwnedBytes()
            RequestEncoder.begin(argumentCount: words.count, into: &request)
            for var word in words { word.withUTF8 { RequestEncoder.argument(Bytes($0), into: &request) } }
            guard case .complete = parser.parse(request.bytes) else { return [] }
            let command = try #require(table.find(parser.arguments[0]))
            return try #require(KeyPositions.find(table.commands + command, parser.arguments)?.first).flags
        }
        #expect(try flags(["SET", "k", "v"]) == [.overwrite, .update])
        #expect(try flags(["SET", "k", "v", "IFEQ", "x"]) == [.readWrite, .access, .update])
        #expect(try flags(["DELEX", "k"]) == [.remove, .delete])
        #expect(try flags(["DELEX", "k", "IFEQ", "x"]) == [.readWrite, .access, .delete])
    }
}
