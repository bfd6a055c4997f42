import Scripting
import Testing

/// Ways out of the sandbox that other servers had (docs/SECURITY.md lists them), and what becomes of them here.
@Suite struct SandboxTests {
    private func expectError(_ source: String, _ text: String, _ host: TestHost) {
        let reply = host.eval(source)
        #expect(reply.hasPrefix("-") && reply.contains(text), "\(source): \(reply)")
    }

    /// CVE-2015-4335.
    @Test func bytecodeIsRefused() throws {
        let host = try TestHost()
        #expect(host.eval("return {loadstring('\\27Lua')}") == "*0\r\n")
        #expect(host.eval("local f, e = loadstring('\\27Lua') return e").contains("attempt to load bytecode"))
        #expect(host.eval("local f, e = load(function() return '\\27Lua' end) return tostring(f)") == "$3\r\nnil\r\n")
        #expect(host.eval("return type(string.dump)") == "$3\r\nnil\r\n")
        #expect(host.eval(Array("\u{1b}LuaQ".utf8)).contains("attempt to load bytecode"))
    }

    /// CVE-2022-0543.
    @Test func thereIsNoWayToThePackageLoader() throws {
        let host = try TestHost()
        for name in ["package", "require", "module", "io", "debug", "dofile", "loadfile", "getfenv", "setfenv",
                     "newproxy", "print"] {
            expectError("return \(name)", "nonexistent global variable '\(name)'", host)
        }
        #expect(host.eval("local n = 0 for k in pairs(os) do n = n + 1 end return n") == ":1\r\n")
    }

    /// CVE-2022-24735, CVE-2025-46818.
    @Test func whatUsersShareIsReadOnly() throws {
        let host = try TestHost()
        for source in ["redis.call = 1", "string.len = 1", "_G.x = 1", "rawset(_G, 'x', 1)", "rawset(string, 'x', 1)",
                       "setmetatable(_G, {})", "setmetatable(string, nil)", "table.insert(math, 1)", "cjson.encode = 1",
                       "cmsgpack.pack = 1", "struct.pack = 1", "bit.band = 1", "os.clock = 1",
                       "local f, t = pairs(redis) t.call = 1", "local k, v = next(_G) _G[k] = 1",
                       "for k, v in pairs(_G) do if type(v) == 'table' then v.x = 1 end end",
                       "table.sort(string)", "table.remove(math)"] {
            expectError(source, "Attempt to modify a readonly table", host)
        }
        #expect(host.eval("return getmetatable('') and 1 or 0") == ":0\r\n")
        #expect(host.eval("return getmetatable(_G) and 1 or 0") == ":0\r\n")
        expectError("getmetatable('').__index = function() return 'mine' end", "attempt to index", host)
        #expect(host.eval("return ('abc'):len()") == ":3\r\n")
        #expect(host.eval("return type(getmetatable(1)) .. type(getmetatable(nil)) .. type(getmetatable(type))")
            == "$9\r\nnilnilnil\r\n")
    }

    /// CVE-2018-11218.
    @Test func messagePackTrustsNoLength() throws {
        let host = try TestHost()
        for bytes: [UInt8] in [[0xdb, 0xff, 0xff, 0xff, 0xff], [0xdd, 0xff, 0xff, 0xff, 0xff],
                               [0xdf, 0xff, 0xff, 0xff, 0xff], [0xdb, 0x7f, 0xff, 0xff, 0xff, 1], [0xdc, 0xff, 0xff, 1],
                               [0xa5, 1], [0xcf, 1], [0x91]] {
            let reply = host.eval("return cmsgpack.unpack(ARGV[1])", [bytes])
            #expect(reply.contains("Missing bytes in input."), "\(bytes): \(reply)")
        }
        #expect(host.eval("return cmsgpack.unpack(ARGV[1])", [Array(repeating: 0x91, count: 100_000)]).hasPrefix("-"))
        #expect(host.eval("return cmsgpack.unpack(string.rep('\\1', 100000))").hasPrefix("-"))
        expectError("return cmsgpack.unpack_limit('\\1', -2147483648)", "Invalid request", host)
        #expect(host.usedBytes < 16 << 20)
    }

    /// CVE-2018-11219, CVE-2020-14147, CVE-2015-8080.
    @Test func structSumsAreChecked() throws {
        let host = try TestHost()
        expectError("return struct.unpack('c2147483647', 'a')", "data string too short", host)
        expectError("return struct.unpack('c0', 'a')", "needs a previous size", host)
        expectError("return struct.unpack('Bc0', '\\255a')", "data string too short", host)
        expectError("return struct.unpack('dc0', struct.pack('d', -1))", "data string too short", host)
        expectError("return struct.unpack('dc0', struct.pack('d', 0/0))", "data string too short", host)
        expectError("return struct.unpack('dc0', struct.pack('d', 1e300))", "data string too short", host)
        expectError("return struct.unpack('b', 'a', -9223372036854775808)", "data string too short", host)
        expectError("return struct.unpack('b', 'a', 2^62)", "data string too short", host)
        expectError("return struct.pack('i4294967297', 1)", "integral size overflow", host)
        expectError("return struct.pack('c9999999999999999999', 'a')", "integral size overflow", host)
        expectError("return struct.pack('i33', 1)", "larger than limit", host)
        expectError("return struct.pack('!2147483648i4', 1)", "integral size overflow", host)
        expectError("return struct.pack('!', 1) .. struct.pack('!3', 1)", "not a power of 2", host)
        expectError("return struct.size(string.rep('c2147483647', 4300000000 / 2147483647)) .. struct.size('s')",
                    "no fixed size", host)
    }

    /// CVE-2022-24834.
    @Test func jsonOfDeepAndLongValuesStaysWithinItsMemory() throws {
        let host = try TestHost()
        expectError("local t = {} t[1] = t return cjson.encode(t)", "excessive nesting", host)
        expectError("""
            local j = cjson.new() j.encode_max_depth(2147483647) local t = {} t[1] = t return j.encode(t)
            """, "excessive nesting", host)
        expectError("""
            local j = cjson.new() j.decode_max_depth(2147483647) return j.decode(string.rep('[', 1000000))
            """, "too many nested", host)
        expectError("""
            local s = string.rep('\\1', 10000000) local t = {} for i = 1, 100 do t[i] = s end return cjson.encode(t)
            """, "not enough memory", host)
        expectError("return cjson.decode('\"\\\\ud800\"')", "invalid unicode escape", host)
        expectError("return cjson.decode('\"\\\\u12\"')", "invalid unicode escape", host)
        expectError("return cjson.decode('{\"a\":')", "Expected value", host)
    }

    /// CVE-2024-31449.
    @Test func hexadecimalDigitsHaveALimit() throws {
        let host = try TestHost()
        #expect(host.eval("return bit.tohex(65535, -2147483648)") == "$8\r\n0000FFFF\r\n")
        #expect(host.eval("return bit.tohex(65535, 2147483647)") == "$8\r\n0000ffff\r\n")
    }

    /// CVE-2024-46981.
    @Test func scriptsHaveNoFinalizers() throws {
        do {
            let host = try TestHost()
            #expect(host.eval("""
                local ran = 0
                for i = 1, 100 do setmetatable({}, {__gc = function() ran = ran + 1 end}) end
                collectgarbage() collectgarbage() return ran
                """) == ":0\r\n")
            #expect(host.eval("collectgarbage('stop') collectgarbage('setpause', 1000000) return 1") == ":1\r\n")
            // With the collector stopped this would take 400 MB.
            #expect(host.eval("for i = 1, 4000 do local s = string.rep('x', 100000) .. i end return 1") == ":1\r\n")
        }
    }

    /// CVE-2025-49844.
    @Test func theNameOfAChunkOutlivesItsParsing() throws {
        let host = try TestHost()
        #expect(host.eval("""
            local body = {}
            for i = 1, 2000 do body[i] = 'local a' .. i % 150 .. ' = {"s' .. i .. '", "t' .. i .. '"}' end
            local pieces = 'do ' .. table.concat(body, ' end do ') .. ' end error("here")'
            for i = 1, 30 do
                local name = '@chunk' .. i .. string.char(0) .. 'rest'
                local f = loadstring(pieces, name)
                local ok, e = pcall(f)
                if not string.find(e, 'chunk' .. i .. ':1: here', 1, true) then return e end
            end
            return 'kept'
            """) == "$4\r\nkept\r\n")
    }

    /// CVE-2025-46817.
    @Test func unpackCountsWithoutOverflow() throws {
        let host = try TestHost()
        for range in ["0, 2147483647", "-2147483648, 2147483647", "-2147483648, -1", "1, 8001", "2147483647, -1"] {
            let reply = host.eval("return {pcall(unpack, {}, \(range))}")
            #expect(reply.contains("too many results") || reply == "*1\r\n:1\r\n", "\(range): \(reply)")
        }
        #expect(host.eval("return {unpack({1, 2, 3}, 2147483647, 2147483647)}") == "*0\r\n")
        #expect(host.eval("return {unpack({1, 2, 3}, 2)}") == "*2\r\n:2\r\n:3\r\n")
    }

    /// CVE-2025-46819.
    @Test func delimitersOfLongStringsAreRead() throws {
        let host = try TestHost(memoryLimit: 256 << 20)
        #expect(host.eval("return [==[a]=]b]==]") == "$5\r\na]=]b\r\n")
        #expect(host.eval("return type((loadstring('return [' .. string.rep('=', 60000000))))") == "$3\r\nnil\r\n")
        #expect(host.eval("""
            local e = string.rep('=', 100000) return loadstring('return [' .. e .. '[x]' .. e .. ']')()
            """) == "$1\r\nx\r\n")
        // Beyond 2^31 of them a counter would overflow: no source is that long.
        #expect(host.eval("return #string.rep('=', 2147483648)").hasPrefix("-"))
    }

    /// CVE-2021-32626, CVE-2014-5461, CVE-2024-31228.
    @Test func stacksHaveLimits() throws {
        let host = try TestHost()
        for source in ["local function f() return 1 + f() end return f()",
                       "return loadstring(string.rep('(', 100000))()",
                       "return ('x'):rep(100000):find(('x?'):rep(10000))",
                       "local t = {} for i = 1, 10000 do t = {t} end return t",
                       "local f = loadstring('local ' .. string.rep('a,', 300) .. 'a') return f()",
                       "local function g(h) return coroutine.wrap(h)(h) end return g(g)",
                       "return redis.call(unpack({'a'}, 1, 7990))"] {
            let reply = host.eval(source)
            #expect(reply.contains("-ERR") || reply.hasPrefix("*2"), "\(source): \(reply.prefix(100))")
        }
        #expect(host.eval("""
            local function f(a1, a2, a3, a4, a5, a6, a7, a8, a9, b1, b2, b3, b4, b5, b6, b7, b8, b9, c1, c2, c3, c4,
                             c5, c6, c7, c8, c9, d1, d2, d3, d4, d5, d6, d7, d8, d9, e1, e2, e3, e4, e5, ...)
                return select('#', ...)
            end
            return coroutine.wrap(function() return f() end)()
            """) == ":0\r\n")
    }
}
