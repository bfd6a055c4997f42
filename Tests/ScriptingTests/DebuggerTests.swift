import Primitives
import RESP
@testable import Scripting
import Testing

/// Gives one command after another and keeps what it is shown.
private final class Hand: ScriptDebugUser {
    private var commands: [[String]]
    private(set) var shown = ""
    private let bytes = UnsafeMutablePointer<OwnedBytes>.allocate(capacity: 1)
    private var held: UnsafeMutablePointer<Bytes>?

    init(_ commands: [String]) {
        self.commands = commands.map { $0.split(separator: " ").map(String.init) }
        bytes.initialize(to: OwnedBytes(capacity: 1 << 12))
    }

    deinit {
        bytes.deinitialize(count: 1)
        bytes.deallocate()
        held?.deallocate()
    }

    func show(_ bytes: Bytes) { shown += String(decoding: bytes, as: UTF8.self) }

    func next() -> ScriptDebugInput {
        if commands.isEmpty { return .end }
        let words = commands.removeFirst()
        if words == ["!"] { return .invalid }
        bytes.pointee.removeAll()
        for word in words { bytes.pointee.append(word) }
        held?.deallocate()
        let ranges = UnsafeMutablePointer<Bytes>.allocate(capacity: words.count)
        var start = 0
        for (index, word) in words.enumerated() {
            let count = word.utf8.count
            (ranges + index).initialize(to: Bytes(start: bytes.pointee.base + start, count: count))
            start += count
        }
        held = ranges
        return .command(Arguments(base: UnsafePointer(ranges), count: words.count))
    }
}

/// The debugger on its own: what it shows, where it stops, how it ends.
struct DebuggerTests {
    /// What is shown, a line each, and the script's reply.
    private func debug(_ source: String, _ commands: [String], limit: Int = 0) throws
        -> (lines: [String], reply: String) {
        let host = try TestHost(), hand = Hand(commands)
        let debugger = try #require(Array(source.utf8).withUnsafeBytes {
            ScriptDebugger(hand, source: $0, limitMilliseconds: limit)
        })
        let reply = host.debugging(debugger) { host.eval(source, keys: ["k"], [Array("v".utf8)]) }
        debugger.end()
        let lines = hand.shown.split(separator: "\r\n").map(String.init).filter { !$0.hasPrefix("*") }
        return (lines.map { String($0.drop { $0 == "+" }) }, reply)
    }

    private let loop = "local a = 1\nfor i = 1, 2 do\n  a = a + i\nend\nreturn a"

    @Test func stepsAndBreakpoints() throws {
        let (lines, reply) = try debug(loop, ["s", "n", "p a", "b 3", "c", "p", "b -3", "b", "c"])
        #expect(lines == [
            "* Stopped at 1, stop reason = step over", "-> 1   local a = 1",
            "* Stopped at 2, stop reason = step over", "-> 2   for i = 1, 2 do",
            "* Stopped at 3, stop reason = step over", "-> 3     a = a + i",
            "<value> 1",
            "   2   for i = 1, 2 do", "->#3     a = a + i", "   4   end",
            "* Stopped at 3, stop reason = break point", "->#3     a = a + i",
            "<value> a = 2", "<value> (for index) = 2", "<value> (for limit) = 2", "<value> (for step) = 1",
            "<value> i = 2",
            "Breakpoint removed.", "No breakpoints set. Use 'b <line>' to add one.", "<endsession>"])
        #expect(reply == ":4\r\n")
    }

    @Test func abortGetsPastWhatCatches() throws {
        let source = "local n = 0\nwhile true do\n pcall(function()\n  n = n + 1\n end)\nend"
        let (lines, reply) = try debug(source, ["b 4", "c", "abort"])
        #expect(lines.last == "<endsession>")
        #expect(reply.hasPrefix("-ERR script aborted for user request"))
        #expect(try debug(source, ["b 4", "!"]).reply.hasPrefix("-ERR protocol error"))
    }

    @Test func aUserWhoLeavesEndsWhatDoesNotEnd() throws {
        #expect(try debug(loop, ["b 3"]).reply == ":4\r\n")
        let (lines, reply) = try debug("while true do end", ["c"], limit: 50)
        #expect(lines.contains("* Stopped at 1, stop reason = timeout reached, infinite loop?"))
        #expect(reply.hasPrefix("-ERR timeout during Lua debugging with client closing connection"))
    }

    @Test func valuesOfAllKinds() throws {
        let source = """
            local t = {1, 'two', {x = true}}
            t.self = t
            local s = 'q"\\\\\\n\\1'
            local d, big = 1.5, 1e100
            redis.debug(1, nil, t[3], 'x')
            return 1
            """
        let (lines, _) = try debug(source, ["b 5", "c", "p s", "p d", "p big", "print KEYS", "p nothing", "m 60", "p t",
                                            "s"])
        #expect(lines.contains("<value> \"q\\\"\\\\\\n\\x01\"") && lines.contains("<value> 1.5"))
        #expect(lines.contains("<value> 1e+100") && lines.contains("<value> {\"k\"}"))
        #expect(lines.contains("No such variable.") && lines.contains("<value> replies are truncated at 60 bytes."))
        #expect(lines.contains { $0.hasPrefix("<value> {[1]=1;") && $0.hasSuffix(" ...") && $0.utf8.count == 64 })
        #expect(lines.contains("<debug> line 5: 1, nil, {[\"x\"]=true}, \"x\""))
    }

    @Test func evaluatesAndRunsCommands() throws {
        let (lines, _) = try debug(loop, [
            "e return 1 + 1", "e {1, {2}}", "e error({err='E x'})", "e error({})", "e x x", "r set a b", "redis", "e",
            "l 99", "maxlen", "e string.rep('x', 300)", "s", "abort"])
        #expect(lines.contains("<retval> 2") && lines.contains("<retval> {1; {2}}") && lines.contains("<retval> nil"))
        #expect(lines.contains("<error> E x") && lines.contains("<error> ldb_eval:1: '=' expected near 'x'"))
        #expect(lines.contains("<redis> set a b") && lines.contains("<reply> \"+OK\""))
        #expect(lines.contains("<error> Unknown Redis Lua debugger command or wrong number of arguments."))
        #expect(lines.contains("<hint> The above reply was trimmed. Use 'maxlen 0' to disable trimming."))
    }

    /// A script that is not debugged any more runs at its usual pace, coroutines that outlive the debugger too.
    @Test func nothingRemainsBehind() throws {
        let host = try TestHost(), hand = Hand(["c"])
        let debugger = try #require(Array(loop.utf8).withUnsafeBytes {
            ScriptDebugger(hand, source: $0, limitMilliseconds: 0)
        })
        _ = host.debugging(debugger) { host.eval(loop) }
        debugger.end()
        let shown = hand.shown
        #expect(host.eval("redis.debug('x') local a = 0 for i = 1, 100000 do a = a + 1 end return redis.breakpoint()")
            == "$-1\r\n")
        #expect(hand.shown == shown)
    }

    /// Sources and commands at random: no trap, and the session ends.
    @Test(arguments: [1, 2, 3] as [UInt64]) func anyCommandsWillDo(seed: UInt64) throws {
        var random = RandomSource(seed: seed)
        let words = ["s", "n", "c", "l", "w", "p", "b", "t", "e", "r", "m", "h", "x", "0", "-1", "3", "99999999999",
                     "a", "return", "KEYS", "{}", "set", "\u{1}", "2147483648", "-2147483648"]
        for _ in 0..<300 {
            let commands = (0..<random.next(below: 12)).map { _ in
                (0..<(1 + random.next(below: 4))).map { _ in words[random.next(below: words.count)] }
                    .joined(separator: " ")
            }.filter { !$0.allSatisfy { $0 == " " } }
            let (lines, _) = try debug(loop, commands + ["abort"])
            #expect(lines.last == "<endsession>", "seed \(seed): \(commands)")
        }
    }
}
