import Glibc
import Testing
import TestSupport

@Suite(.serialized) struct ConnectionTests {
    private static let pong = "+PONG\r\n"

    @Test func pipelinesCutAnywhereAreAnsweredAlike() throws {
        let server = try ServerProcess()
        let seed = testSeed()
        print("seed \(seed)")
        var random = Steps(state: seed)
        var input: [UInt8] = [], expected = ""
        for index in 0..<400 {
            let value = String(repeating: "v", count: Int(random.next() % 300)) + "\(index)"
            input += request(["SET", "key\(index % 7)", value]) + request(["GET", "key\(index % 7)"])
            expected += "+OK\r\n$\(value.utf8.count)\r\n\(value)\r\n"
            if index % 50 == 0 {
                input += Array("\r\nPING\r\n".utf8)
                expected += Self.pong
            }
        }
        for round in 0..<4 {
            let client = try server.client()
            var start = 0
            while start < input.count {
                let piece = min(1 + Int(random.next() % (round == 0 ? 40 : 9000)), input.count - start)
                try client.send(Array(input[start..<(start + piece)]))
                start += piece
            }
            #expect(try client.text(expected.utf8.count) == expected)
        }
    }

    @Test func bigValuesComeBackWhole() throws {
        let server = try ServerProcess()
        let client = try server.client()
        for size in [16_384, 32_768, 1_000_003, 40 << 20] {
            let value = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 9) }
            try client.send(Array("*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$\(size)\r\n".utf8) + value + Array("\r\n".utf8))
            #expect(try client.text(5) == "+OK\r\n")
            try client.send(request(["GET", "big"]))
            let header = "$\(size)\r\n"
            #expect(try client.text(header.utf8.count) == header)
            #expect(try client.receive(size) == value)
            #expect(try client.text(2) == "\r\n")
        }
    }

    @Test func aClientThatDoesNotReadTakesBoundedMemoryAndStillGetsEverything() throws {
        let server = try ServerProcess()
        let other = try server.client(), greedy = try server.client()
        let size = 100_000, count = 3000
        let value = String(repeating: "x", count: size)
        #expect(try other.ask("SET", "k", value, reply: "+OK\r\n"))
        let before = server.residentMegabytes()
        // 300 MB of replies.
        try greedy.send((0..<count).flatMap { _ in request(["GET", "k"]) })
        for _ in 0..<20 {
            #expect(try other.ask("PING", reply: Self.pong))
            usleep(10_000)
        }
        #expect(server.residentMegabytes() - before < 60)
        let one = "$\(size)\r\n\(value)\r\n"
        for _ in 0..<count { #expect(try greedy.receive(one.utf8.count) == Array(one.utf8)) }
        #expect(try greedy.ask("PING", reply: Self.pong))
    }

    @Test func aLongPipelineDoesNotStarveOthersAndGivesItsMemoryBack() throws {
        let server = try ServerProcess()
        let other = try server.client(), busy = try server.client()
        let before = server.residentMegabytes()
        // The replies are more than the sockets hold: requests pile up in the server's input.
        let piece = (0..<20_000).flatMap { _ in request(["PING", "0123456789012345678901234567890123456789"]) }
        for _ in 0..<20 { try busy.send(piece) }
        #expect(try other.ask("PING", reply: Self.pong))
        let reply = "$40\r\n0123456789012345678901234567890123456789\r\n"
        let expected = Array(String(repeating: reply, count: 1000).utf8)
        for _ in 0..<400 { #expect(try busy.receive(expected.count) == expected) }
        #expect(try busy.ask("PING", reply: Self.pong))
        #expect(server.residentMegabytes() - before < 20)
    }

    @Test func manyConnectionsAreServed() throws {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        let server = try ServerProcess()
        let before = server.residentMegabytes()
        let clients = try (0..<900).map { _ in try server.client() }
        for client in clients { try client.send("PING\r\n") }
        for client in clients { #expect(try client.text(7) == Self.pong) }
        #expect(server.residentMegabytes() - before < 8)
    }

    @Test(arguments: [
        ("*1\r\n:3\r\n", "expected '$', got ':'"),
        ("*1\r\n\r\n", "expected '$', got ' '"),
        ("*abc\r\n", "invalid multibulk length"),
        ("*2147483648\r\n", "invalid multibulk length"),
        ("*\r\n", "invalid multibulk length"),
        ("*1\r\n$-1\r\n", "invalid bulk length"),
        ("*1\r\n$x\r\n", "invalid bulk length"),
        ("*1\r\n$600000000\r\n", "invalid bulk length"),
        ("*01\r\n$4\r\nPING\r\n", "invalid multibulk length"),
        ("set \"a\r\n", "unbalanced quotes in request"),
    ])
    func protocolErrorsAreToldAndEndTheConnection(input: String, error: String) throws {
        let server = try ServerProcess()
        let client = try server.client()
        try client.send("PING\r\n" + input + String(repeating: "PING\r\n", count: 100))
        #expect(try client.textUntilEnd() == Self.pong + "-ERR Protocol error: \(error)\r\n")
    }

    @Test func overlongLinesEndTheConnection() throws {
        let server = try ServerProcess()
        for (start, error) in [("*", "too big mbulk count string"), ("*1\r\n$", "too big bulk count string"),
                               ("", "too big inline request")] {
            let client = try server.client()
            try client.send(start + String(repeating: "1", count: 70_000))
            #expect(try client.textUntilEnd() == "-ERR Protocol error: \(error)\r\n")
        }
    }

    @Test func httpIsNotAnswered() throws {
        let server = try ServerProcess()
        for line in ["POST / HTTP/1.1\r\nPING\r\n", "Host: localhost\r\nPING\r\n", "*1\r\n$4\r\npost\r\n"] {
            let client = try server.client()
            try client.send(line)
            #expect(try client.textUntilEnd() == "")
        }
    }

    @Test func inlineRequestsAndEmptyLines() throws {
        let server = try ServerProcess()
        let client = try server.client()
        try client.send("\r\n\n   \r\nPING\nset k \"a\\x41 b\"\r\n*0\r\n*-1\r\nget 'k'\r\n")
        let expected = Self.pong + "+OK\r\n$4\r\naA b\r\n"
        #expect(try client.text(expected.utf8.count) == expected)
    }

    @Test func aPipelineIsAnsweredAfterThePeerClosedItsSide() throws {
        let server = try ServerProcess()
        let client = try server.client()
        let value = String(repeating: "x", count: 100_000)
        let count = 500
        try client.send(request(["SET", "k", value]) + (0..<count).flatMap { _ in request(["GET", "k"]) })
        client.endSending()
        #expect(try client.text(5) == "+OK\r\n")
        let one = Array("$100000\r\n\(value)\r\n".utf8)
        for _ in 0..<count { #expect(try client.receive(one.count) == one) }
        #expect(try client.textUntilEnd() == "")
    }

    @Test func repliesBeforeAnErrorSurviveInputThatWasNeverRead() throws {
        let server = try ServerProcess()
        let client = try server.client()
        let junk = String(repeating: "junk\r\n", count: 100_000)
        // At once: the server reads on for a second only.
        try? client.send(String(repeating: "PING\r\n", count: 1000) + "*x\r\n" + junk)
        let all = try client.textUntilEnd()
        #expect(all == String(repeating: Self.pong, count: 1000) + "-ERR Protocol error: invalid multibulk length\r\n")
    }

    @Test func requestsBehindAWaitingOneRunAfterIt() throws {
        let server = try ServerProcess()
        let waiting = try server.client(), other = try server.client()
        try waiting.send(request(["BLPOP", "list", "0"]) + request(["SET", "k", "1"]) + request(["GET", "k"]))
        usleep(100_000)
        #expect(try other.ask("GET", "k", reply: "$-1\r\n"))
        #expect(try other.ask("RPUSH", "list", "a", reply: ":1\r\n"))
        let expected = "*2\r\n$4\r\nlist\r\n$1\r\na\r\n+OK\r\n$1\r\n1\r\n"
        #expect(try waiting.text(expected.utf8.count) == expected)
    }

    @Test func whoSilencedItsRepliesStillListens() throws {
        let server = try ServerProcess()
        let listener = try server.client(), other = try server.client()
        try listener.send(request(["CLIENT", "REPLY", "OFF"]) + request(["PING"]) + request(["SUBSCRIBE", "a"]))
        let confirmed = "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"
        #expect(try listener.text(confirmed.utf8.count) == confirmed)
        #expect(try other.ask("PUBLISH", "a", "x", reply: ":1\r\n"))
        let message = "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n"
        #expect(try listener.text(message.utf8.count) == message)
        try listener.send(request(["UNSUBSCRIBE", "a"]) + request(["CLIENT", "REPLY", "ON"]))
        let last = "*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:0\r\n+OK\r\n"
        #expect(try listener.text(last.utf8.count) == last)
    }

    @Test func whoMonitorsTouchesNoKeys() throws {
        let server = try ServerProcess()
        let monitor = try server.client()
        #expect(try monitor.ask("MONITOR", reply: "+OK\r\n"))
        let refusal = "-ERR Replica can't interact with the keyspace\r\n"
        for words in [["GET", "k"], ["SET", "k", "1"], ["EVAL", "return 1", "0"]] {
            try monitor.send(request(words))
            #expect(try monitor.text(refusal.utf8.count) == refusal)
        }
        #expect(try monitor.ask("RESET", reply: "+RESET\r\n"))
        #expect(try monitor.ask("GET", "k", reply: "$-1\r\n"))
    }

    @Test func theLastCommandOfAClientIsTheOneItSent() throws {
        let server = try ServerProcess()
        let client = try server.client(), other = try server.client()
        #expect(try client.ask("CLIENT", "SETNAME", "me", reply: "+OK\r\n"))
        func last() throws -> String? {
            try other.send(request(["CLIENT", "LIST"]))
            var header = ""
            while !header.hasSuffix("\r\n") { header += try other.text(1) }
            let lines = try other.text((Int(header.dropFirst().dropLast()) ?? 0) + 2).split(separator: "\n")
            return lines.first { $0.contains(" name=me ") }?.split(separator: " ").first { $0.hasPrefix("cmd=") }
                .map { String($0.dropFirst(4)) }
        }
        #expect(try client.ask("MULTI", reply: "+OK\r\n"))
        #expect(try client.ask("SET", "k", "1", reply: "+QUEUED\r\n"))
        #expect(try last() == "set")
        #expect(try client.ask("EXEC", reply: "*1\r\n+OK\r\n"))
        #expect(try last() == "exec")
        #expect(try client.ask("LPUSH", "k", reply: "-ERR wrong number of arguments for 'lpush' command\r\n"))
        #expect(try last() == "lpush")
    }
}

/// A small seeded generator (xorshift).
private struct Steps {
    var state: UInt64
    mutating func next() -> UInt64 {
        state = state == 0 ? 1 : state
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
    }
}
