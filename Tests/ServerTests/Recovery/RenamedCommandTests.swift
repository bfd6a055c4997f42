import Testing

/// `rename-command`: what clients call a command, and that the log doesn't care.
@Suite(.serialized) struct RenamedCommandTests {
    private let rename = ["--rename-command", "flushall", "", "--rename-command", "set", "put-it",
                          "--rename-command", "config", "guarded", "--appendonly", "yes"]

    private func start(_ server: DurableServer, _ arguments: [String]) throws {
        #expect(try server.start(with: arguments))
    }

    @Test func clientsKnowTheNewNamesAlone() throws {
        let server = try DurableServer()
        try start(server, rename)
        #expect(server.call("SET", "k", "v").hasPrefix("-ERR unknown command 'SET'"))
        #expect(server.call("FlushAll").hasPrefix("-ERR unknown command 'FlushAll'"))
        #expect(server.call("CONFIG", "GET", "port").hasPrefix("-ERR unknown command"))
        #expect(server.call("PUT-IT", "k", "v") == "OK")
        #expect(server.call("put-it", "k", "w", "NX") == "nil")
        #expect(server.list("guarded", "GET", "appendonly") == ["appendonly", "yes"])
        #expect(server.call("EVAL", "return redis.call('put-it', 'l', '1')", "0") == "OK")
        #expect(server.call("EVAL", "return redis.pcall('set', 'l', '1').err", "0").contains("Unknown Redis command"))
        // Rules go by the commands' own names.
        #expect(server.call("ACL", "SETUSER", "u", "on", "nopass", "~*", "+set", "-config|get") == "OK")
        #expect(server.call("ACL", "SETUSER", "u", "+put-it").hasPrefix("-ERR Error in ACL SETUSER modifier"))
        #expect(server.call("ACL", "DRYRUN", "u", "put-it", "k", "v") == "OK")
    }

    @Test func aLogOutlivesAChangeOfTheNames() throws {
        let server = try DurableServer()
        try start(server, rename)
        #expect(server.call("PUT-IT", "k", "v") == "OK")
        #expect(server.call("MULTI") == "OK")
        #expect(server.call("put-it", "l", "w") == "QUEUED")
        #expect(server.list("EXEC") == ["OK"])
        server.kill9()
        try start(server, ["--appendonly", "yes", "--rename-command", "SET", ""])
        #expect(server.call("GET", "k") == "v")
        #expect(server.call("GET", "l") == "w")
        server.kill9()
        try start(server, ["--appendonly", "yes"])
        #expect(server.call("SET", "k", "x") == "OK")
        #expect(server.call("GET", "l") == "w")
    }
}
