import Primitives
import RESP
import Scripting
import Testing

@Suite struct InterpreterTests {
    @Test func scriptsAnswer() throws {
        let host = try TestHost()
        #expect(host.eval("return {1, 'a', true, false, {ok = 'fine'}}")
            == "*5\r\n:1\r\n$1\r\na\r\n:1\r\n$-1\r\n+fine\r\n")
        #expect(host.eval("return {KEYS[1], ARGV[1]}", keys: ["k"], [[0, 255]]).hasPrefix("*2\r\n$1\r\nk\r\n$2\r\n"))
    }

    @Test func repliesKeepTheirTypes() throws {
        let host = try TestHost()
        host.reply = Array("%1\r\n+a\r\n,1.5\r\n".utf8)
        #expect(host.eval("redis.setresp(3) return redis.call('x')", version: .resp3) == "%1\r\n+a\r\n,1.5\r\n")
        #expect(host.eval("redis.setresp(3) return redis.call('x')") == "*2\r\n+a\r\n$3\r\n1.5\r\n")
        host.reply = Array("=5\r\ntxt:a\r\n".utf8)
        #expect(host.eval("redis.setresp(3) return redis.call('x')", version: .resp3) == "=5\r\ntxt:a\r\n")
    }

    @Test func everyScriptBeginsWithItsOwnSettings() throws {
        let host = try TestHost()
        host.reply = Array("#t\r\n".utf8)
        #expect(host.eval("redis.setresp(3) return redis.call('x')", version: .resp3) == "#t\r\n")
        #expect(host.eval("return true", version: .resp3) == ":1\r\n")
        let random = "return tostring(math.random()) .. math.random(100)"
        #expect(host.eval(random) == host.eval(random))
    }

    @Test func aScriptThatIsEndedCatchesNothing() throws {
        let host = try TestHost()
        let sources = [
            "while true do end",
            "while true do pcall(function() while true do end end) end",
            "while true do xpcall(function() while true do end end, function() end) end",
            """
            while true do
                coroutine.resume(coroutine.create(function()
                    while true do pcall(function() while true do end end) end
                end))
            end
            """,
            "local function f() while true do pcall(f) end end f()",
        ]
        for source in sources {
            host.ticksLeft = 3
            #expect(host.eval(source).hasPrefix("-ERR ended"), "\(source)")
        }
        host.ticksLeft = .max
        #expect(host.eval("return 1") == ":1\r\n")
    }

    @Test func memoryHasALimit() throws {
        let host = try TestHost(memoryLimit: 8 << 20)
        for source in ["local t = {} for i = 1, 1e9 do t[i] = {i} end",
                       "local s = 'x' while true do s = s .. s end", "return string.rep('x', 1e9)",
                       "local t = {} while true do t = {t} end",
                       "local c = {} while true do c[#c + 1] = coroutine.create(function() end) end",
                       "local t = {} for i = 1, 400000 do t[i] = i end return cmsgpack.pack(t, t, t, t, t, t)"] {
            let reply = host.eval(source)
            #expect(reply.hasPrefix("-ERR") && reply.contains("not enough memory"), "\(source): \(reply.prefix(200))")
            #expect(host.usedBytes <= 8 << 20)
        }
        #expect(host.eval("return 1") == ":1\r\n")
    }

    /// The table of strings, grown by scripts, did not shrink within the limit: no script compiled any more, and the
    /// collector's own error, raised where nothing caught it, ended the process.
    @Test func aLowerLimitLeavesRoomForTheNextScript() throws {
        let host = try TestHost()
        let hungry = "local t = {} for i = 1, 300000 do t[i] = i .. 'x' end return #t"
        #expect(host.eval(hungry) == ":300000\r\n")
        host.limitMemory(4 << 20)
        #expect(host.usedBytes < 1 << 20)
        for _ in 0..<3 {
            #expect(host.eval(hungry).contains("not enough memory"))
            #expect(host.eval("return 5") == ":5\r\n")
            #expect(host.usedBytes < 1 << 20)
        }
    }

    @Test func garbageGoesWhenAScriptHasEnded() throws {
        let host = try TestHost()
        let before = host.usedBytes
        #expect(host.eval("local t = {} for i = 1, 100000 do t[i] = {i} end return #t") == ":100000\r\n")
        #expect(host.usedBytes < before + (1 << 20))
        // And what small scripts leave does not pile up.
        for _ in 0..<20_000 { _ = host.eval("return {1, 2, 3}") }
        #expect(host.usedBytes < before + (2 << 20))
    }

    @Test func aTableEndsAtItsFirstHole() throws {
        let host = try TestHost()
        for (length, hole) in [(4, 3), (200, 150), (200, 1), (12, 10), (120, 101)] {
            let reply = host.eval("""
                local t = {} for i = 1, \(length) do t[i] = i % 2 == 0 and i or 's' .. i end
                t[\(hole)] = nil return {t, {1, nil, 3}, 'end'}
                """)
            let elements = (1..<hole).map { $0 % 2 == 0 ? ":\($0)\r\n" : "$\("s\($0)".count)\r\ns\($0)\r\n" }.joined()
            #expect(reply == "*3\r\n*\(hole - 1)\r\n\(elements)*1\r\n:1\r\n$3\r\nend\r\n", "\(length) \(hole)")
        }
    }

    @Test func aReplyHasALimit() throws {
        let host = try TestHost()
        let reply = host.eval("""
            local s = string.rep('x', 10000000) local t = {} for i = 1, 200 do t[i] = s end return t
            """)
        #expect(reply.hasPrefix("-ERR not enough memory"))
    }

    @Test func whatIsLoggedIsJoined() throws {
        let host = try TestHost()
        _ = host.eval("redis.log(redis.LOG_WARNING, 'a', 1, 'b')")
        #expect(host.logged == ["3 a 1 b"])
    }
}

@Suite struct LibraryTests {
    @Test func aLibraryRegistersItsFunctions() throws {
        let host = try TestHost(isForFunctions: true)
        #expect(host.load("""

            local count = 0
            redis.register_function('next', function(keys, args) count = count + 1 return {count, keys[1], args[1]} end)
            """) == nil)
        #expect(host.call("next", keys: ["k"], [[97]]) == "*3\r\n:1\r\n$1\r\nk\r\n$1\r\na\r\n")
        #expect(host.call("next") == "*1\r\n:2\r\n")
    }

    @Test func aLibrarySeesOnlyWhatItMay() throws {
        let host = try TestHost(isForFunctions: true)
        for source in ["redis.call('x')", "return math.floor(1)", "x = 1", "redis.foo = 1", "return KEYS", "print(1)"] {
            #expect(host.load(source)?.hasPrefix("Error registering functions: ERR user_function:1:") == true,
                    "\(source)")
        }
        #expect(host.load("redis.register_function('f', function() redis.register_function('g', type) end)") == nil)
        #expect(host.call("f").contains("attempt to call field 'register_function'"))
        #expect(host.load("local r = redis redis.register_function('h', function() r.register_function('i', type) end)")
            == nil)
        #expect(host.call("h").contains("can only be called on FUNCTION LOAD command"))
    }

    @Test func loadingIsEndedToo() throws {
        let host = try TestHost(isForFunctions: true)
        host.ticksLeft = 2
        #expect(host.load("while true do end") == "Error registering functions: ERR ended")
        host.ticksLeft = .max
        #expect(host.load("redis.register_function('f', function() return 1 end)") == nil)
        #expect(host.call("f") == ":1\r\n")
    }
}
