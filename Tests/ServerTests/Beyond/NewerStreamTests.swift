import Engine
import Keyspace
import Primitives
import Testing
@testable import Server

/// XDELEX, XACKDEL, the policies of XADD and XTRIM, XREADGROUP CLAIM: replies, log records, events, a model.
struct NewerStreamTests {
    private let twoGroups = """
        XADD s 1-0 f a
        XADD s 2-0 f b
        XADD s 3-0 f c
        XADD s 4-0 f d
        XGROUP CREATE s one 0
        XGROUP CREATE s two 0
        XREADGROUP GROUP one c COUNT 3 STREAMS s >
        XREADGROUP GROUP two c COUNT 2 STREAMS s >

        """

    @Test func xdelexMindsTheGroups() {
        CommandScript.run(twoGroups + """
            XDELEX none IDS 2 1 2 => [-1, -1] |
            XDELEX s ACKED IDS 3 1 3 9 => [2, 2, -1] |
            XACK s one 1
            XDELEX s ACKED IDS 1 1 => [2] |
            XACK s two 1
            XDELEX s ACKED IDS 1 1 => [1] | XDEL s 1-0
            XDELEX s IDS 1 2 => [1] | XDEL s 2-0
            XPENDING s two - + 10 => [["2-0", "c", 0, 1]]
            XDELEX s DELREF IDS 2 2 3 => [-1, 1] | MULTI; XACK s one 2-0; XACK s two 2-0; XACK s one 3-0; \
                XDEL s 3-0; EXEC
            XPENDING s one => [0, nil, nil, nil]
            XPENDING s two => [0, nil, nil, nil]
            XDELEX s IDS 2 4-0 4-0 KEEPREF => [1, -1] | XDEL s 4-0
            XLEN s => 0
            XDELEX s IDS 0 1 => ERR Number of IDs must be a positive integer
            XDELEX s IDS x 1 => ERR Number of IDs must be a positive integer
            XDELEX s IDS 2 1 => ERR The `numids` parameter must match the number of arguments
            XDELEX s IDS 1 1 1 => ERR syntax error
            XDELEX s KEEPREF ACKED IDS 1 1 => ERR syntax error
            XDELEX s KEEPREF IDX 1 1 => ERR syntax error
            XDELEX s IDS 1 x => ERR Invalid stream ID specified as stream command argument
            SET k v
            XDELEX k IDS 1 1 => WRONGTYPE Operation against a key holding the wrong kind of value
            """, events: [.stream], [
                "xadd s", "xadd s", "xadd s", "xadd s", "xgroup-create s", "xgroup-create s",
                "xgroup-createconsumer s", "xgroup-createconsumer s", "xdel s", "xdel s", "xdel s", "xdel s"])
    }

    @Test func withoutGroupsNothingIsAcknowledged() {
        CommandScript.run("""
            XADD s 1-0 f a
            XDELEX s ACKED IDS 1 1 => [2] |
            XTRIM s MAXLEN 0 ACKED => 1 | XTRIM s MAXLEN = 0
            """)
    }

    @Test func xackdelAcknowledgesAndDeletes() {
        CommandScript.run(twoGroups + """
            XACKDEL none one IDS 1 1 => [-1] |
            XACKDEL s none IDS 1 1 => [-1] |
            XACKDEL s one IDS 2 1 4 => [1, -1] | MULTI; XACK s one 1-0; XDEL s 1-0; EXEC
            XPENDING s two - + 10 => [["1-0", "c", 0, 1], ["2-0", "c", 0, 1]]
            XACKDEL s one ACKED IDS 2 2 3 => [2, 2] | MULTI; XACK s one 2-0; XACK s one 3-0; EXEC
            XACKDEL s two ACKED IDS 1 2 => [1] | MULTI; XACK s two 2-0; XDEL s 2-0; EXEC
            XACKDEL s two DELREF IDS 1 1 => [-1] | XACK s two 1-0
            XACKDEL s two DELREF IDS 1 1 => [-1] |
            XRANGE s - + => [["3-0", ["f", "c"]], ["4-0", ["f", "d"]]]
            """)
        CommandScript.run(twoGroups + """
            XACKDEL s one DELREF IDS 1 2 => [1] | MULTI; XACK s one 2-0; XACK s two 2-0; XDEL s 2-0; EXEC
            XPENDING s two => [1, "1-0", "1-0", [["c", "1"]]]
            """)
    }

    @Test func trimmingMindsTheGroups() {
        CommandScript.run(twoGroups + """
            XTRIM s MAXLEN 1 ACKED => 0 |
            XACK s one 1 2 3
            XACK s two 2
            XTRIM s MAXLEN 2 ACKED => 1 | XDEL s 2-0
            XTRIM s MAXLEN 0 ACKED LIMIT 1 => ERR syntax error, LIMIT cannot be used without the special ~ option
            XTRIM s MAXLEN 2 DELREF => 1 | MULTI; XTRIM s MAXLEN = 2; XACK s two 1-0; EXEC
            XPENDING s two => [0, nil, nil, nil]
            XADD s DELREF MAXLEN 1 5-0 f e => "5-0" | XADD s MAXLEN = 1 5-0 f e
            XADD s KEEPREF NOMKSTREAM 6-0 f e => "6-0" | XADD s 6-0 f e
            XREADGROUP GROUP one c STREAMS s >
            XREADGROUP GROUP two c STREAMS s >
            XACK s one 5 6
            XACK s two 6
            XADD s ACKED MAXLEN = 2 7-0 f g => "7-0" | MULTI; XADD s 7-0 f g; XDEL s 6-0; EXEC
            XADD s MINID 7 DELREF 8-0 f h => "8-0" | MULTI; XADD s MINID = 7 8-0 f h; XACK s two 5-0; EXEC
            XTRIM s MINID 8 KEEPREF => 1 | XTRIM s MINID = 8
            XTRIM s LIMIT 0 KEEPREF => ERR syntax error, XTRIM must be called with a trimming strategy
            XTRIM s MAXLEN 1 KEEPREF ACKED => ERR syntax error
            XADD s KEEPREF DELREF * f v => ERR Invalid stream ID specified as stream command argument
            """)
    }

    @Test func claimTakesOverWhatWaitedLong() {
        CommandScript.run(twoGroups + """
            +50
            XADD s 5-0 f e
            XREADGROUP GROUP one d CLAIM 100 STREAMS s > => [["s", [["4-0", ["f", "d"]], ["5-0", ["f", "e"]]]]]
            +60
            XREADGROUP GROUP one d COUNT 2 CLAIM 100 STREAMS s > \
                => [["s", [["1-0", ["f", "a"], 110, 1], ["2-0", ["f", "b"], 110, 1]]]] | \
                MULTI; XCLAIM s one d 0 1-0 TIME 1000110 RETRYCOUNT 2 FORCE JUSTID LASTID 5-0; \
                XCLAIM s one d 0 2-0 TIME 1000110 RETRYCOUNT 2 FORCE JUSTID LASTID 5-0; EXEC
            XDEL s 3
            XREADGROUP GROUP one d CLAIM 100 STREAMS s > => nil
            XADD s 6-0 f f
            +100
            XREADGROUP GROUP one c NOACK CLAIM 90 STREAMS s > => [["s", [["4-0", ["f", "d"], 160, 1], \
                ["5-0", ["f", "e"], 160, 1], ["1-0", ["f", "a"], 100, 2], ["2-0", ["f", "b"], 100, 2], \
                ["6-0", ["f", "f"]]]]]
            XPENDING s one - + 10 c => [["1-0", "c", 0, 3], ["2-0", "c", 0, 3], ["3-0", "c", 210, 1], \
                ["4-0", "c", 0, 2], ["5-0", "c", 0, 2]]
            XREADGROUP GROUP one c CLAIM 0 STREAMS s 4 => [["s", [["5-0", ["f", "e"]]]]]
            XREADGROUP GROUP one c CLAIM x STREAMS s > => ERR min-idle-time is not an integer or out of range
            XREADGROUP GROUP one c CLAIM -1 STREAMS s > => ERR min-idle-time must be a positive integer
            XREAD CLAIM 1 STREAMS s 0 \
                => ERR The CLAIM option is only supported by XREADGROUP. You called XREAD instead.
            """)
    }

    /// A client that waits with CLAIM is served when an entry has been idle for long enough, though no key changes.
    @Test func claimIsServedWhenTimePasses() {
        let bare = BareEngine()
        let other = Session(id: 2)
        bare.run("XADD", "s", "1-0", "f", "a")
        bare.run("XGROUP", "CREATE", "s", "g", "0")
        bare.run("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">")
        #expect(bare.run(["XREADGROUP", "GROUP", "g", "d", "BLOCK", "1000", "CLAIM", "300", "STREAMS", "s", ">"], other)
            == "")
        #expect(bare.engine.earliestDeadline == UnixMilliseconds(1_000_300))
        bare.engine.keyspace.now = UnixMilliseconds(1_000_299)
        bare.engine.expireWaiters()
        #expect(output(of: other) == "")
        bare.engine.keyspace.now = UnixMilliseconds(1_000_300)
        bare.engine.expireWaiters()
        #expect(output(of: other).contains("1-0"))
        bare.run(["XREADGROUP", "GROUP", "g", "d", "BLOCK", "1000", "CLAIM", "5000", "STREAMS", "s", ">"], other)
        bare.engine.keyspace.now = UnixMilliseconds(1_001_299)
        bare.engine.expireWaiters()
        #expect(output(of: other) == "")
        bare.engine.keyspace.now = UnixMilliseconds(1_001_300)
        bare.engine.expireWaiters()
        #expect(output(of: other) == "*-1\r\n")
    }

    private func output(of session: Session) -> String {
        String(decoding: session.output.pointee.bytes, as: UTF8.self)
    }

    /// Random deletions with all policies against a model of two groups.
    @Test(arguments: [1, 2, 3]) func deletionsFollowAModel(seed: UInt64) {
        var random = RandomSource(seed: seed)
        let script = CommandScript()
        var model = Model()
        script.reply(["XADD", "s", "1-0", "f", "v"])
        model.entries = [1]
        for group in ["one", "two"] { script.reply(["XGROUP", "CREATE", "s", group, "0"]) }
        for step in 0..<600 {
            let request = model.next(&random)
            let answer = script.reply(request.words)
            #expect(answer == request.expected, "seed \(seed), step \(step): \(request.words)")
            let pending = ["one", "two"].map { group in
                script.reply(["XPENDING", "s", group]).dropFirst().prefix { $0 != "," }
            }
            let wanted = model.groups.map { Substring("\($0.pending.count)") }
            #expect(pending == wanted, "seed \(seed), step \(step): \(request.words)")
            if answer != request.expected || pending != wanted { return }
        }
        script.checkReplay()
    }
}

/// What the two groups of a stream refer to.
private struct Model {
    struct Group { var last = 0, pending: Set<Int> = [] }
    var entries: [Int] = []
    var last = 1
    var groups = [Group(), Group()]

    func isAcknowledged(_ id: Int) -> Bool { groups.allSatisfy { $0.last >= id && !$0.pending.contains(id) } }

    mutating func next(_ random: inout RandomSource) -> (words: [String], expected: String) {
        let group = random.next(below: 2), name = ["one", "two"][group]
        let policy = random.next(below: 3), word = ["KEEPREF", "DELREF", "ACKED"][policy]
        let ids = (0..<3).map { _ in 1 + random.next(below: last + 1) }
        switch random.next(below: 7) {
        case 0, 1:
            last += 1
            entries.append(last)
            return (["XADD", "s", "\(last)-0", "f", "v"], "\"\(last)-0\"")
        case 2:
            let fresh = entries.filter { $0 > groups[group].last }.prefix(2)
            groups[group].pending.formUnion(fresh)
            if let newest = fresh.last { groups[group].last = newest }
            let texts = fresh.map { "[\"\($0)-0\", [\"f\", \"v\"]]" }.joined(separator: ", ")
            return (["XREADGROUP", "GROUP", name, "c", "COUNT", "2", "STREAMS", "s", ">"],
                    fresh.isEmpty ? "nil" : "[[\"s\", [\(texts)]]]")
        case 3:
            let hits = Set(ids).filter { groups[group].pending.remove($0) != nil }.count
            return (["XACK", "s", name] + ids.map { "\($0)" }, "\(hits)")
        case 4:
            let codes = ids.map { delete($0, policy) }
            return (["XDELEX", "s", word, "IDS", "3"] + ids.map { "\($0)" }, "\(codes)")
        case 5:
            let codes = ids.map { id -> Int in
                let wasPending = groups[group].pending.remove(id) != nil, isThere = entries.contains(id)
                if policy == 1 && (wasPending || !isThere) { forget(id) }
                return wasPending && isThere ? delete(id, policy) : -1
            }
            return (["XACKDEL", "s", name, word, "IDS", "3"] + ids.map { "\($0)" }, "\(codes)")
        default:
            let limit = random.next(below: 8)
            var removed: [Int] = []
            for id in entries where entries.count - removed.count > limit {
                if policy != 2 || isAcknowledged(id) { removed.append(id) }
            }
            let first = entries.first ?? 0
            entries.removeAll { removed.contains($0) }
            if policy == 1, !removed.isEmpty {
                for id in first..<(entries.first ?? last + 1) { forget(id) }
            }
            return (["XTRIM", "s", "MAXLEN", "\(limit)", word], "\(removed.count)")
        }
    }

    private mutating func forget(_ id: Int) {
        for index in groups.indices { groups[index].pending.remove(id) }
    }

    private mutating func delete(_ id: Int, _ policy: Int) -> Int {
        if policy == 1 { forget(id) }
        guard let place = entries.firstIndex(of: id) else { return -1 }
        if policy == 2 && !isAcknowledged(id) { return 2 }
        entries.remove(at: place)
        return 1
    }
}
