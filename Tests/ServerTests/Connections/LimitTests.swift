import Testing

@Suite(.serialized) struct ConnectionLimitTests {
    private static let pong = "+PONG\r\n"

    @Test func clientsOverTheLimitAreToldAndClosed() throws {
        let server = try ServerProcess(["--maxclients", "3"])
        var clients = try (0..<3).map { _ in try server.client() }
        for client in clients { #expect(try client.ask("PING", reply: Self.pong)) }
        let refused = try server.client()
        try? refused.send("PING\r\n")
        #expect(try refused.textUntilEnd() == "-ERR max number of clients reached\r\n")
        clients.removeLast()
        #expect(ServerRun.waits {
            guard let again = try? server.client() else { return false }
            return (try? again.ask("PING", reply: Self.pong)) ?? false
        })
    }

    @Test func aSilentClientIsClosedAfterTheTimeout() throws {
        let server = try ServerProcess()
        let silent = try server.client()
        #expect(try silent.ask("CONFIG", "SET", "timeout", "1", reply: "+OK\r\n"))
        #expect(try silent.textUntilEnd() == "")
    }

    @Test func anUnauthenticatedClientMayAskForLittle() throws {
        let server = try ServerProcess(["--requirepass", "secret"])
        let many = try server.client(), long = try server.client(), welcome = try server.client()
        try many.send("*11\r\n")
        #expect(try many.textUntilEnd() == "-ERR Protocol error: unauthenticated multibulk length\r\n")
        try long.send("*2\r\n$4\r\nPING\r\n$16385\r\n")
        #expect(try long.textUntilEnd() == "-ERR Protocol error: unauthenticated bulk length\r\n")
        let value = String(repeating: "x", count: 20_000)
        try welcome.send(request(["AUTH", "secret"]) + request(["ECHO", value]))
        let expected = "+OK\r\n$20000\r\n\(value)\r\n"
        #expect(try welcome.text(expected.utf8.count) == expected)
    }

    @Test func aRequestOverTheQueryBufferLimitEndsItsConnection() throws {
        let server = try ServerProcess(["--client-query-buffer-limit", "1mb"])
        let client = try server.client(), other = try server.client()
        try? client.send("*2\r\n$4\r\nECHO\r\n$3000000\r\n" + String(repeating: "x", count: 2_500_000))
        #expect(throws: SocketFailure.self) {
            // The connection is cut: nothing is answered, and what was not read makes it a reset.
            if try client.receive(1).isEmpty { throw SocketFailure(operation: "end", code: 0) }
        }
        #expect(try other.ask("PING", reply: Self.pong))
    }

    @Test func outputOverTheHardLimitEndsTheConnection() throws {
        let server = try ServerProcess(["--client-output-buffer-limit", "normal 8mb 0 0"])
        let greedy = try server.client(), other = try server.client()
        let value = String(repeating: "x", count: 20 << 20)
        #expect(try other.ask("SET", "k", value, reply: "+OK\r\n"))
        try greedy.send(request(["GET", "k"]))
        let reply = (try? greedy.receive(value.utf8.count)) ?? []
        #expect(reply.count < value.utf8.count)
        #expect(try other.ask("PING", reply: Self.pong))
    }

    @Test func pausedClientsAreAnsweredAfterThePause() throws {
        let server = try ServerProcess()
        let control = try server.client(), paused = try server.client()
        #expect(try control.ask("CLIENT", "PAUSE", "100000", "WRITE", reply: "+OK\r\n"))
        try paused.send(request(["GET", "k"]) + request(["SET", "k", "1"]) + request(["GET", "k"]))
        #expect(try paused.text(5) == "$-1\r\n")
        #expect(try control.ask("GET", "k", reply: "$-1\r\n"))
        #expect(try control.ask("CLIENT", "UNPAUSE", reply: "+OK\r\n"))
        let expected = "+OK\r\n$1\r\n1\r\n"
        #expect(try paused.text(expected.utf8.count) == expected)
    }

    @Test func aPauseOfWritesLetsThroughWhatSaysThatItOnlyReads() throws {
        let server = try ServerProcess()
        let control = try server.client(), reader = try server.client(), writer = try server.client()
        let library = """
            #!lua name=lib
            redis.register_function{function_name='reads', callback=function() return 3 end, flags={'no-writes'}}
            """
        #expect(try control.ask("FUNCTION", "LOAD", library, reply: "$3\r\nlib\r\n"))
        #expect(try control.ask("CLIENT", "PAUSE", "100000", "WRITE", reply: "+OK\r\n"))
        #expect(try reader.ask("EVAL", "#!lua flags=no-writes\nreturn 1", "0", reply: ":1\r\n"))
        #expect(try reader.ask("FCALL", "reads", "0", reply: ":3\r\n"))
        #expect(try reader.ask("EVAL_RO", "return 2", "0", reply: ":2\r\n"))
        #expect(try reader.ask("MULTI", reply: "+OK\r\n"))
        #expect(try reader.ask("FCALL", "reads", "0", reply: "+QUEUED\r\n"))
        #expect(try reader.ask("EXEC", reply: "*1\r\n:3\r\n"))
        let arity = "-ERR wrong number of arguments for 'set' command\r\n"
        #expect(try reader.ask("SET", "k", reply: arity), "what can't run is refused at once")
        try writer.send(request(["EVAL", "#!lua\nreturn redis.call('SET', 'k', '1')", "0"]))
        #expect(try reader.ask("GET", "k", reply: "$-1\r\n"))
        #expect(try control.ask("CLIENT", "UNPAUSE", reply: "+OK\r\n"))
        #expect(try writer.text(5) == "+OK\r\n")
    }
}
