import Testing

/// What others see while a script runs for long.
@Suite(.serialized) struct BusyScriptTests {
    private let always = ["--appendonly", "yes", "--appendfsync", "always"]

    /// Lua that takes long by any clock: there is time to see it, and then it ends.
    private static let work = "local e = os.clock() + 1.5 while os.clock() < e do end"

    private func busy(_ kind: String) -> String {
        "-BUSY Redis is busy running a script. You can only call \(kind) KILL or SHUTDOWN NOSAVE.\r\n"
    }

    private func waitUntilBusy(_ client: TestClient) throws {
        let start = ContinuousClock.now
        while ContinuousClock.now - start < .seconds(60) {
            try client.send(request(["GET", "x"]))
            // `$-1` is as long as `-BUS`, and nothing follows it.
            if try client.text(5) != "$-1\r\n" {
                _ = try client.text(busy("SCRIPT").utf8.count - 5)
                return
            }
        }
        Issue.record("never busy")
    }

    @Test func othersAreToldAndMayEndIt() throws {
        let server = try ServerProcess(["--busy-reply-threshold", "50"])
        let slow = try server.client(), other = try server.client()
        try slow.send(request(["EVAL", "while true do pcall(function() while true do end end) end", "0"]))
        try waitUntilBusy(other)
        #expect(try other.ask("PING", reply: busy("SCRIPT")))
        #expect(try other.ask("SHUTDOWN", reply: busy("SCRIPT")))
        #expect(try other.ask("FUNCTION", "KILL", reply: busy("SCRIPT")))
        #expect(try other.ask("MULTI", reply: "+OK\r\n"))
        #expect(try other.ask("DISCARD", reply: "+OK\r\n"))
        let late = try server.client()
        #expect(try late.ask("SCRIPT", "KILL", reply: "+OK\r\n"))
        #expect(try slow.text(43) == "-ERR Script killed by user with SCRIPT KILL")
        #expect(try late.ask("PING", reply: "+PONG\r\n"))
    }

    /// With I/O threads the requests of a round are read before the first of them is executed.
    @Test func aRequestOfTheRoundThatTheScriptBeganInWaitedForItsEnd() throws {
        let server = try ServerProcess(["--busy-reply-threshold", "50", "--io-threads", "3", "--io-threads-do-reads",
                                        "yes", "--io-threads-always-active", "yes", "--enable-debug-command", "yes"])
        let blocker = try server.client(), slow = try server.client()
        let others = try (0..<4).map { _ in try server.client() }
        for client in [blocker, slow] + others { #expect(try client.ask("PING", reply: "+PONG\r\n")) }
        try blocker.send(request(["DEBUG", "SLEEP", "0.5"]))
        try slow.send(request(["EVAL", "while true do end", "0"]))
        for other in others { try other.send(request(["PING"])) }
        // Those whose turn came before the script's were answered as ever.
        for other in others {
            let start = try other.text(5)
            #expect(start == "+PONG" || start == "-BUSY")
            _ = try other.text(start == "+PONG" ? 2 : busy("SCRIPT").utf8.count - 5)
        }
        #expect(try others[0].ask("SCRIPT", "KILL", reply: "+OK\r\n"))
        #expect(try slow.text(43) == "-ERR Script killed by user with SCRIPT KILL")
    }

    @Test func aScriptThatWroteIsNotEndedAndLeavesNothing() throws {
        let server = try ServerProcess(["--busy-reply-threshold", "50", "--appendonly", "yes"])
        let slow = try server.client(), other = try server.client()
        try slow.send(request(["EVAL", "redis.call('set', 'y', 1) while true do end", "0"]))
        try waitUntilBusy(other)
        try other.send(request(["SCRIPT", "KILL"]))
        #expect(try other.text(11) == "-UNKILLABLE")
        let last = try server.client()
        try last.send(request(["SHUTDOWN", "NOSAVE"]))
        #expect(try last.textUntilEnd() == "")
    }

    /// The connection's output held the beginning of EXEC's reply when others were served.
    @Test func halfOfAReplyIsNotSent() throws {
        let server = try ServerProcess(["--busy-reply-threshold", "20"] + always)
        let slow = try server.client(), other = try server.client()
        let script = "for i = 1, 100 do redis.call('set', 'k' .. i, i) end \(Self.work) return 7"
        try slow.send(request(["MULTI"]) + request(["SET", "a", "1"]) + request(["EVAL", script, "0"])
            + request(["GET", "k100"]) + request(["EXEC"]) + request(["PING"]))
        try waitUntilBusy(other)
        let expected = "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n+OK\r\n:7\r\n$3\r\n100\r\n+PONG\r\n"
        #expect(try slow.text(expected.utf8.count) == expected)
        #expect(try other.ask("GET", "a", reply: "$1\r\n1\r\n"))
    }

    @Test func messagesOfTheScriptsOwnWritesWaitForItsEnd() throws {
        let server = try ServerProcess(["--busy-reply-threshold", "20", "--notify-keyspace-events", "KEA"] + always)
        let listener = try server.client(), slow = try server.client(), other = try server.client()
        try listener.send(request(["SUBSCRIBE", "__keyevent@0__:set"]))
        _ = try listener.text("*3\r\n$9\r\nsubscribe\r\n$18\r\n__keyevent@0__:set\r\n:1\r\n".utf8.count)
        let script = "redis.call('set', 'a', 1) \(Self.work) redis.call('set', 'b', 1)"
        try slow.send(request(["EVAL", script, "0"]))
        try waitUntilBusy(other)
        let message = "*3\r\n$7\r\nmessage\r\n$18\r\n__keyevent@0__:set\r\n$1\r\n"
        #expect(try slow.text(5) == "$-1\r\n")
        #expect(try listener.text(2 * (message.utf8.count + 3)) == message + "a\r\n" + message + "b\r\n")
    }

    @Test func aClientThatGoesAwayDuringItsScriptIsNoHarm() throws {
        let server = try ServerProcess(["--busy-reply-threshold", "20"])
        let other = try server.client()
        do {
            let slow = try server.client()
            try slow.send(request(["EVAL", "while true do end", "0"]))
            try waitUntilBusy(other)
        }
        #expect(try other.ask("SCRIPT", "KILL", reply: "+OK\r\n"))
        #expect(try other.ask("PING", reply: "+PONG\r\n"))
    }

    @Test func onlyWhatEvalBroughtIsForgotten() throws {
        let server = try ServerProcess()
        let client = try server.client()
        let sha = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db"
        #expect(try client.ask("SCRIPT", "LOAD", "return 1", reply: "$40\r\n\(sha)\r\n"))
        #expect(try client.ask("EVAL", "return 2", "0", reply: ":2\r\n"))
        for number in 0..<600 { #expect(try client.ask("EVAL", "return \(number) + 0", "0", reply: ":\(number)\r\n")) }
        #expect(try client.ask("SCRIPT", "EXISTS", sha, "7f923f79fe76194c868d7e1d0820de36700eb649",
                               reply: "*2\r\n:1\r\n:0\r\n"))
        #expect(try client.ask("SCRIPT", "SHOW", sha, reply: "$8\r\nreturn 1\r\n"))
        #expect(try client.ask("SCRIPT", "FLUSH", "ASYNC", reply: "+OK\r\n"))
        #expect(try client.ask("EVAL", "return 5", "0", reply: ":5\r\n"))
    }
}
