import Testing

/// Libraries of functions belong to the data.
@Suite(.serialized) struct FunctionTests {
    private let library = """
        #!lua name=counters
        redis.register_function('bump', function(keys)
            redis.call('incr', keys[1]) return redis.call('incr', keys[1])
        end)
        redis.register_function{function_name='read', callback=function(keys) return redis.call('get', keys[1]) end,
                                flags={'no-writes'}}
        """

    @Test func functionsSurviveKill9() throws {
        let server = try DurableServer()
        try #require(try server.start("--appendonly", "yes", "--appendfsync", "always"))
        #expect(server.call("FUNCTION", "LOAD", library) == "counters")
        #expect(server.call("FCALL", "bump", "1", "n") == "2")
        server.kill9()
        try #require(try server.start("--appendonly", "yes", "--appendfsync", "always"))
        #expect(server.call("FCALL_RO", "read", "1", "n") == "2")
        #expect(server.call("FUNCTION", "DELETE", "counters") == "OK")
        server.kill9()
        try #require(try server.start("--appendonly", "yes", "--appendfsync", "always"))
        #expect(server.call("FCALL_RO", "read", "1", "n") == "-ERR Function not found")
        #expect(server.call("GET", "n") == "2")
    }

    @Test(arguments: ["yes", "no"]) func rewrittenLogsHaveFunctions(preamble: String) throws {
        let server = try DurableServer()
        try #require(try server.start("--appendonly", "yes", "--aof-use-rdb-preamble", preamble))
        server.call("FUNCTION", "LOAD", library)
        server.call("FCALL", "bump", "1", "n")
        server.call("BGREWRITEAOF")
        #expect(server.logs("Background AOF rewrite finished successfully"))
        server.call("FCALL", "bump", "1", "n")
        server.kill9()
        try #require(try server.start("--appendonly", "yes", "--aof-use-rdb-preamble", preamble))
        #expect(server.call("FCALL", "bump", "1", "n") == "6")
    }

    @Test func dumpsHaveFunctions() throws {
        let server = try DurableServer()
        try #require(try server.start())
        server.call("FUNCTION", "LOAD", library)
        server.call("FLUSHALL")
        #expect(server.call("FCALL", "bump", "1", "n") == "2")
        #expect(server.call("DEBUG", "RELOAD").hasPrefix("-") || server.call("FCALL_RO", "read", "1", "n") == "2")
        #expect(server.call("SAVE") == "OK")
        server.kill9()
        try #require(try server.start())
        #expect(server.call("FCALL", "bump", "1", "n") == "4")
    }

    @Test func aScriptIsInTheLogAsAWholeOrNotAtAll() throws {
        let server = try DurableServer()
        try #require(try server.start("--appendonly", "yes", "--appendfsync", "always"))
        let script = "for i = 1, 50 do redis.call('incr', KEYS[1]) redis.call('rpush', KEYS[2], i) end return 1"
        for _ in 0..<20 { #expect(server.call("EVAL", script, "2", "n", "l") == "1") }
        server.kill9()
        // As a crash in the middle of the last unit leaves it.
        let name = "appendonlydir/appendonly.aof.1.incr.aof"
        let bytes = server.contents(name)
        try server.write(Array(bytes.dropLast(700)), to: name)
        try #require(try server.start("--appendonly", "yes", "--appendfsync", "always"))
        #expect(server.call("GET", "n") == "950")
        #expect(server.call("LLEN", "l") == "950")
    }

    @Test func setReplChoosesWhatIsLogged() throws {
        let server = try DurableServer()
        try #require(try server.start("--appendonly", "yes"))
        let script = """
            redis.call('set', 'a', 1) redis.set_repl(redis.REPL_NONE) redis.call('set', 'b', 1)
            redis.set_repl(redis.REPL_REPLICA) redis.call('set', 'c', 1) redis.set_repl(redis.REPL_AOF)
            redis.call('set', 'd', 1) return 1
            """
        #expect(server.call("EVAL", script, "0") == "1")
        #expect(server.call("EXISTS", "a", "b", "c", "d") == "4")
        server.kill9()
        try #require(try server.start("--appendonly", "yes"))
        #expect(server.call("EXISTS", "a", "d") == "2")
        #expect(server.call("EXISTS", "b", "c") == "0")
    }
}
