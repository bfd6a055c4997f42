import Engine
import Keyspace
import Primitives
@testable import Server
import Storage
import Testing
import TestSupport
#if canImport(Glibc)
import Glibc
#endif

/// What the log and the rewrite say about streams makes the same streams again.
@Suite struct StreamReplayTests {
    private static let keys = ["s", "t"], groups = ["g1", "g2"], consumers = ["c1", "c2", "c3"]

    /// One random command that changes streams.
    private func command(_ random: inout RandomSource, _ milliseconds: inout Int, deletes: Bool) -> String {
        func one(_ choices: [String]) -> String { choices[random.next(below: choices.count)] }
        func number(_ bound: Int) -> Int { random.next(below: bound) }
        func id() -> String { "\(number(milliseconds + 3))-\(number(3))" }
        let key = one(Self.keys), group = one(Self.groups), consumer = one(Self.consumers)
        switch number(deletes ? 22 : 17) {
        case 0..<7:
            milliseconds += [0, 1, 300][number(3)]
            let trim = deletes ? one(["", "", "MAXLEN ~ \(number(300))", "MINID \(id())", "NOMKSTREAM"]) : ""
            return "XADD \(key) \(trim) \(milliseconds)-* a \(number(500)) \(one(["", "b x", "a z"]))"
        case 7..<10: return "XREADGROUP GROUP \(group) \(consumer) \(one(["", "COUNT 3", "NOACK"])) STREAMS \(key) >"
        case 10: return "XREADGROUP GROUP \(group) \(consumer) COUNT 5 STREAMS \(key) \(id())"
        case 11: return "XACK \(key) \(group) \(id()) \(id()) \(id()) \(id())"
        case 12:
            let options = one(["", "JUSTID", "FORCE", "IDLE \(number(9000))", "RETRYCOUNT 9", "LASTID \(id())"])
            return "XCLAIM \(key) \(group) \(consumer) 0 \(id()) \(id()) \(options)"
        case 13: return "XAUTOCLAIM \(key) \(group) \(consumer) 0 \(id()) COUNT \(1 + number(4))"
        case 14: return "XGROUP CREATE \(key) \(group) \(one(["0", "$", id()])) \(one(["", "MKSTREAM"]))"
        case 15: return "XGROUP \(one(["SETID \(key) \(group) $", "CREATECONSUMER \(key) \(group) \(consumer)"]))"
        case 16 where number(4) == 0: return "XGROUP DELCONSUMER \(key) \(group) \(consumer)"
        case 17..<20: return "XDEL \(key) \(id()) \(id()) \(id())"
        case 20: return "XTRIM \(key) \(one(["MAXLEN \(number(200))", "MAXLEN ~ \(number(200))", "MINID ~ \(id())"]))"
        case 21: return number(10) == 0 ? "XGROUP DESTROY \(key) \(group)" : "XLEN \(key)"
        default: return "XLEN \(key)"
        }
    }

    /// All that can be asked about the streams, line by line. Commands can't tell how entries are spread over nodes,
    /// nor when a consumer without pending entries was last given some.
    private func description(_ bench: LoneEngine, withoutNodes: Bool) -> [Substring] {
        var text = ""
        for key in Self.keys {
            text += bench.run("XINFO STREAM \(key) FULL COUNT 0")
            for group in Self.groups { text += bench.run("XPENDING \(key) \(group) - + 100000") }
        }
        var lines = text.split(separator: "\r\n", omittingEmptySubsequences: false)
        if !withoutNodes { return lines }
        for index in lines.indices where lines[index].hasPrefix("radix-tree-") || lines[index] == "active-time" {
            lines[index + 1] = ":?"
        }
        return lines
    }

    private func firstDifference(_ live: LoneEngine, _ replayed: LoneEngine, withoutNodes: Bool) -> String? {
        let a = description(live, withoutNodes: withoutNodes), b = description(replayed, withoutNodes: withoutNodes)
        if a == b { return nil }
        let index = zip(a, b).enumerated().first { $1.0 != $1.1 }?.offset ?? min(a.count, b.count)
        let context = a[max(index - 20, 0)..<min(index + 1, a.count)].joined(separator: " ")
        return "line \(index): \(context) / \(index < b.count ? b[index] : "end")"
    }

    @Test(arguments: [1, 2, 3, 4, 5] as [UInt64])
    func replayedLogIsTheLiveState(seed: UInt64) throws {
        let place = try TemporaryDirectory(), path = place.path("log.aof")
        let live = LoneEngine(), replayed = LoneEngine()
        live.engine.isLogging = true
        var random = RandomSource(seed: seed), milliseconds = 1
        for _ in 0..<3000 { live.run(command(&random, &milliseconds, deletes: true)) }
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        let log = live.engine.pendingLog.bytes
        #expect(write(descriptor, log.baseAddress, log.count) == log.count)
        _ = close(descriptor)
        _ = try replayed.replay(path)
        #expect(firstDifference(live, replayed, withoutNodes: false) == nil, "seed \(seed)")
        #expect(live.digest == replayed.digest, "seed \(seed)")
    }

    @Test(arguments: [6, 7, 8] as [UInt64])
    func rewrittenStreamsAreTheSame(seed: UInt64) throws {
        let place = try TemporaryDirectory(), path = place.path("base.aof")
        let live = LoneEngine(), replayed = LoneEngine()
        var random = RandomSource(seed: seed), milliseconds = 1
        for step in 0..<3000 { live.run(command(&random, &milliseconds, deletes: step < 1000)) }
        // Entries that are pending and deleted can't be written as commands: they are forgotten here, too.
        for key in Self.keys {
            for group in Self.groups { live.run("XAUTOCLAIM \(key) \(group) c1 0 0 COUNT 100000") }
        }
        live.run("XADD gone 5-5 a b")
        live.run("XDEL gone 5-5")
        live.run("XGROUP CREATE none g 0 MKSTREAM")
        #expect(live.rewrite(to: path) == 0)
        _ = try replayed.replay(path)
        #expect(firstDifference(live, replayed, withoutNodes: true) == nil, "seed \(seed)")
        #expect(live.digest == replayed.digest, "seed \(seed)")
        for question in ["XINFO STREAM gone", "XINFO STREAM none"] {
            #expect(live.run(question) == replayed.run(question))
        }
    }

    @Test func waitingReaderKeepsTheEndItAskedFor() {
        let bench = LoneEngine()
        bench.run("XADD s 1-1 a b")
        #expect(bench.run("XREAD BLOCK 0 STREAMS s $").isEmpty)
        let writer = Session(id: 2)
        bench.run("XADD s 2-2 c d", as: writer)
        #expect(bench.output.contains("2-2") && !bench.output.contains("1-1"))
    }

    @Test func waitingConsumerLearnsThatItsGroupIsGone() {
        for end in ["XGROUP DESTROY s g", "DEL s", "SET s x"] {
            let bench = LoneEngine()
            bench.run("XGROUP CREATE s g $ MKSTREAM")
            #expect(bench.run("XREADGROUP GROUP g c BLOCK 0 STREAMS s >").isEmpty)
            bench.run(end, as: Session(id: 2))
            #expect(bench.output.hasPrefix(end == "SET s x" ? "-WRONGTYPE" : "-NOGROUP No such key 's'"), "\(end)")
        }
    }

    @Test func waitingReaderIgnoresOtherTypes() {
        let bench = LoneEngine()
        #expect(bench.run("XREAD BLOCK 0 STREAMS s $").isEmpty)
        let writer = Session(id: 2)
        bench.run("SET s x", as: writer)
        #expect(bench.output.isEmpty)
        bench.run("DEL s", as: writer)
        bench.run("XADD s 1-1 a b", as: writer)
        #expect(bench.output.contains("1-1"))
    }
}
