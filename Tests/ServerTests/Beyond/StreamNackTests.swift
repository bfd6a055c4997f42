import Encodings
import Engine
import Keyspace
import Primitives
import Testing
@testable import Server

/// XNACK, the order of XREADGROUP CLAIM, MAXCOUNT and MAXSIZE.
struct StreamNackTests {
    private let group = """
        XADD s 1-0 f a
        XADD s 2-0 f b
        XADD s 3-0 f c
        XGROUP CREATE s g 0
        XREADGROUP GROUP g c STREAMS s >

        """

    @Test func whatIsGivenBackBelongsToNobody() {
        CommandScript.run(group + """
            XNACK s g FAIL IDS 2 2 9 => 1 | XNACK s g FAIL IDS 2 2 9
            XPENDING s g - + 10 => [["1-0", "c", 0, 1], ["2-0", "", -1, 1], ["3-0", "c", 0, 1]]
            XPENDING s g => [3, "1-0", "3-0", [["c", "2"]]]
            XNACK s g SILENT IDS 1 1 => 1 | XNACK s g SILENT IDS 1 1
            XNACK s g SILENT IDS 1 1 => 1
            XNACK s g FATAL IDS 1 3 => 1
            XPENDING s g - + 10 => [["1-0", "", -1, 0], ["2-0", "", -1, 1], ["3-0", "", -1, 9223372036854775807]]
            XPENDING s g => [3, "1-0", "3-0", []]
            XINFO CONSUMERS s g => [["name", "c", "pending", 0, "idle", 0, "inactive", 0]]
            XNACK s g FAIL IDS 1 3 RETRYCOUNT 4 => 1
            XCLAIM s g d 5000 1 => [["1-0", ["f", "a"]]] | MULTI; XGROUP CREATECONSUMER s g d; \
                XCLAIM s g d 0 1-0 TIME 1000000 RETRYCOUNT 1 FORCE JUSTID LASTID 3-0; EXEC
            XAUTOCLAIM s g e 5000 0 JUSTID => ["0-0", ["2-0", "3-0"], []]
            XPENDING s g - + 10 => [["1-0", "d", 0, 1], ["2-0", "e", 0, 1], ["3-0", "e", 0, 4]]
            XNACK s g FAIL IDS 1 2 => 1
            XACK s g 2 => 1 | XACK s g 2
            XGROUP DELCONSUMER s g e => 1
            XPENDING s g => [1, "1-0", "1-0", [["d", "1"]]]
            """, events: [.stream], [
                "xadd s", "xadd s", "xadd s", "xgroup-create s", "xgroup-createconsumer s", "xgroup-createconsumer s",
                "xgroup-createconsumer s", "xgroup-delconsumer s"])
    }

    @Test func forceMakesEntriesPending() {
        CommandScript.run("""
            XADD s 1-0 f a
            XADD s 2-0 f b
            XADD s 3-0 f c
            XGROUP CREATE s g 0
            XNACK s g FAIL IDS 1 1 => 0 |
            XNACK s g FAIL IDS 2 1 9 FORCE => 1 | XNACK s g FAIL IDS 2 1 9 FORCE
            XNACK s g FATAL IDS 1 2 FORCE => 1
            XNACK s g SILENT IDS 1 3 FORCE RETRYCOUNT 5 => 1
            XPENDING s g - + 10 => [["1-0", "", -1, 0], ["2-0", "", -1, 9223372036854775807], ["3-0", "", -1, 5]]
            XDEL s 1
            XCLAIM s g c 0 1 => [] | MULTI; XGROUP CREATECONSUMER s g c; XACK s g 1-0; EXEC
            XDEL s 2
            XAUTOCLAIM s g c 0 0 => ["0-0", [["3-0", ["f", "c"]]], ["2-0"]]
            XPENDING s g - + 10 => [["3-0", "c", 0, 6]]
            """)
    }

    @Test func optionsThatMakeNoSense() {
        CommandScript.run(group + """
            XNACK none g FAIL IDS 1 1 => NOGROUP No such key 'none' or consumer group 'g'
            XNACK s none FAIL IDS 1 1 => NOGROUP No such key 's' or consumer group 'none'
            XNACK s g DROP IDS 1 1 => ERR mode must be SILENT, FAIL, or FATAL
            XNACK s g FAIL IDX 1 1 => ERR syntax error, expected IDS keyword
            XNACK s g FAIL IDS 0 1 => ERR numids must be a positive integer
            XNACK s g FAIL IDS x 1 => ERR numids must be a positive integer
            XNACK s g FAIL IDS 2 1 => ERR number of IDs doesn't match numids
            XNACK s g FAIL IDS 1 1 2 => ERR Unrecognized XNACK option '2'
            XNACK s g FAIL IDS 1 1 RETRYCOUNT -1 => ERR Invalid RETRYCOUNT value, must be >= 0
            XNACK s g FAIL IDS 1 x => ERR Invalid stream ID specified as stream command argument
            XNACK s g FAIL RETRYCOUNT 3 IDS 1 1 => 1
            """)
    }

    @Test func whatIsGivenBackIsClaimedFirst() {
        CommandScript.run(group + """
            +1000
            XNACK s g FAIL IDS 1 3 => 1
            XREADGROUP GROUP g d COUNT 2 CLAIM 500 STREAMS s > \
                => [["s", [["3-0", ["f", "c"], -1, 1], ["1-0", ["f", "a"], 1000, 1]]]]
            XNACK s g SILENT IDS 1 3 => 1
            XREADGROUP GROUP g d CLAIM 1000000 STREAMS s > => [["s", [["3-0", ["f", "c"], -1, 1]]]]
            """)
    }

    /// A consumer that waits for entries to become idle gets one that was given back at once.
    @Test func whoWaitsToClaimIsServed() {
        let bare = BareEngine(), other = Session(id: 2)
        bare.run("XADD", "s", "1-0", "f", "a")
        bare.run("XGROUP", "CREATE", "s", "g", "0")
        bare.run("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">")
        #expect(bare.run(["XREADGROUP", "GROUP", "g", "d", "BLOCK", "0", "CLAIM", "60000", "STREAMS", "s", ">"], other)
            == "")
        bare.run("XNACK", "s", "g", "FAIL", "IDS", "1", "1-0")
        #expect(String(decoding: other.output.pointee.bytes, as: UTF8.self).contains("1-0"))
    }

    @Test func infoCountsWhatWasGivenBack() {
        let bare = BareEngine()
        for request in group.split(separator: "\n") {
            bare.run(request.split(separator: " ").map(String.init), bare.session)
        }
        #expect(!bare.run("XINFO", "STREAM", "s", "FULL").contains("nacked-count"))
        bare.run("XNACK", "s", "g", "FAIL", "IDS", "2", "1", "2")
        #expect(bare.run("XINFO", "STREAM", "s", "FULL").contains("nacked-count\r\n:2\r\n"))
        bare.run("COPY", "s", "t")
        #expect(bare.run("XPENDING", "s", "g", "-", "+", "9") == bare.run("XPENDING", "t", "g", "-", "+", "9"))
    }

    @Test func limitsOfAllStreamsTogether() {
        CommandScript.run("""
            XADD s 1-0 f a
            XADD s 2-0 f b
            XADD s 3-0 f c
            XADD t 1-0 f d
            XADD t 2-0 f e
            XREAD MAXCOUNT 4 STREAMS s t 0 0 => [["s", [["1-0", ["f", "a"]], ["2-0", ["f", "b"]], \
                ["3-0", ["f", "c"]]]], ["t", [["1-0", ["f", "d"]]]]]
            XREAD COUNT 2 MAXCOUNT 3 STREAMS s t 0 0 => [["s", [["1-0", ["f", "a"]], ["2-0", ["f", "b"]]]], \
                ["t", [["1-0", ["f", "d"]]]]]
            XREAD COUNT 2 MAXCOUNT 2 STREAMS s t 0 0 => [["s", [["1-0", ["f", "a"]], ["2-0", ["f", "b"]]]]]
            XREAD MAXSIZE 1 STREAMS s t 0 0 => [["s", [["1-0", ["f", "a"]]]]]
            XREAD MAXSIZE 100 STREAMS s t 0 0 => [["s", [["1-0", ["f", "a"]], ["2-0", ["f", "b"]]]]]
            XREAD MAXSIZE 130 STREAMS s t 0 0 => [["s", [["1-0", ["f", "a"]], ["2-0", ["f", "b"]], \
                ["3-0", ["f", "c"]]]]]
            XREAD MAXSIZE 1000 STREAMS none t 0 0 => [["t", [["1-0", ["f", "d"]], ["2-0", ["f", "e"]]]]]
            XREAD MAXCOUNT 0 STREAMS s 0 => ERR MAXCOUNT must be a positive integer
            XREAD MAXSIZE -1 STREAMS s 0 => ERR MAXSIZE must be a positive integer
            XREAD MAXCOUNT 1 COUNT 2 STREAMS s 0 => ERR MAXCOUNT must not be less than COUNT
            XREAD MAXCOUNT 9 MAXSIZE 9 STREAMS s 3 => nil
            """)
    }

    @Test func groupsAreGivenNoMoreThanTheLimits() {
        CommandScript.run(group + """
            XADD t 1-0 f d
            XADD t 2-0 f e
            XADD s 4-0 f x
            XGROUP CREATE t g 0
            XREADGROUP GROUP g c MAXCOUNT 2 STREAMS s t > > \
                => [["s", [["4-0", ["f", "x"]]]], ["t", [["1-0", ["f", "d"]]]]]
            XREADGROUP GROUP g c MAXSIZE 1 STREAMS s t 0 0 => [["s", [["1-0", ["f", "a"]]]]]
            XPENDING s g - + 10 => [["1-0", "c", 0, 2], ["2-0", "c", 0, 1], ["3-0", "c", 0, 1], ["4-0", "c", 0, 1]]
            XREADGROUP GROUP g new MAXCOUNT 3 STREAMS s t 0 0 => [["s", []], ["t", []]]
            XREADGROUP GROUP g c MAXCOUNT 5 STREAMS s t 0 0 => [["s", [["1-0", ["f", "a"]], ["2-0", ["f", "b"]], \
                ["3-0", ["f", "c"]], ["4-0", ["f", "x"]]]], ["t", [["1-0", ["f", "d"]]]]]
            +10
            XREADGROUP GROUP g d CLAIM 5 MAXCOUNT 2 STREAMS s t > > \
                => [["s", [["1-0", ["f", "a"], 10, 3], ["2-0", ["f", "b"], 10, 2]]]]
            XREADGROUP GROUP g d CLAIM 5 MAXSIZE 1 STREAMS s t > > => [["s", [["3-0", ["f", "c"], 10, 2]]]]
            XPENDING s g - + 10 c => [["4-0", "c", 10, 2]]
            XREADGROUP GROUP g d CLAIM 5 MAXCOUNT 3 STREAMS s t > > \
                => [["s", [["4-0", ["f", "x"], 10, 2]]], ["t", [["1-0", ["f", "d"], 10, 2], ["2-0", ["f", "e"]]]]]
            """)
    }

    /// The order that CLAIM follows, whatever happens to pending entries, against all of them sorted.
    @Test(arguments: [1, 2, 3] as [UInt64]) func claimFollowsTheOrderOfDelivery(seed: UInt64) {
        var random = RandomSource(seed: seed)
        let bare = BareEngine()
        func id() -> String { "\(1 + random.next(below: 60))-0" }
        for number in 1...60 { bare.run("XADD", "s", "\(number)-0", "f", "v") }
        bare.run("XGROUP", "CREATE", "s", "g", "0")
        for step in 0..<800 {
            let now = bare.engine.keyspace.now.rawValue + Int64(random.next(below: 3))
            bare.engine.keyspace.now = UnixMilliseconds(now)
            let consumer = "c\(random.next(below: 3))"
            switch random.next(below: 9) {
            case 0: bare.run("XREADGROUP", "GROUP", "g", consumer, "COUNT", "5", "STREAMS", "s", ">")
            case 1:
                let idle = "\(random.next(below: 50))"
                bare.run("XCLAIM", "s", "g", consumer, "0", id(), id(), "IDLE", idle, "FORCE")
            case 2: bare.run("XNACK", "s", "g", "FAIL", "IDS", "1", id())
            case 3: bare.run("XACK", "s", "g", id())
            case 4: bare.run("XREADGROUP", "GROUP", "g", consumer, "COUNT", "2", "STREAMS", "s", "0")
            case 5 where random.next(below: 20) == 0: bare.run("XGROUP", "DELCONSUMER", "s", "g", consumer)
            case 6 where random.next(below: 10) == 0: bare.run("XDEL", "s", id())
            case 7, 8:
                let stream = bare.engine.keyspace.find(("s" as StaticString).bytes, in: 0, .peek)
                guard let stream = stream.map({ StreamValue($0) }),
                      let group = stream.group(("g" as StaticString).bytes) else { return }
                let idle = Int64(random.next(below: 30)), count = random.next(below: 8)
                let found = stream.idleEntries(of: group, since: now - idle, count: count)
                var wanted: [(Int64, StreamID)] = []
                var place = group.pointee.pending.first
                while let at = place {
                    let time = at.pendingEntry.pointee.deliveryTime
                    if time <= now - idle, stream.find(at.id) != nil { wanted.append((time, at.id)) }
                    place = group.pointee.pending.next(at)
                }
                wanted.sort { ($0.0, $0.1) < ($1.0, $1.1) }
                #expect(found == wanted.prefix(count == 0 ? .max : count).map { $0.1 }, "seed \(seed), step \(step)")
                #expect(group.isConsistent(), "seed \(seed), step \(step)")
                bare.run("XREADGROUP", "GROUP", "g", consumer, "COUNT", "\(count)", "CLAIM", "\(idle)", "STREAMS", "s",
                         ">")
            default: break
            }
        }
    }
}
