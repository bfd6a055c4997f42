import Glibc
import Testing

/// Ways around access control by what only some commands do: functions, patterns of SORT, copies, stored results,
/// waiting, other databases, other users' scripts.
@Suite(.serialized) struct AccessFamiliesTests {
    private let stage: AccessStage

    init() throws { stage = try AccessStage() }

    private static let library = """
        #!lua name=lib
        redis.register_function('read', function(keys, args) return redis.call('get', args[1] or keys[1]) end)
        redis.register_function('write', function(keys, args) return redis.call('set', args[1], 'x') end)
        redis.register_function('say', function(keys, args) return redis.call('publish', args[1], 'x') end)
        redis.register_function('settings', function() return redis.call('config', 'get', 'maxmemory') end)
        redis.register_function{function_name='quiet', flags={'no-writes'},
            callback=function(keys, args) return redis.call('set', args[1], 'x') end}
        redis.register_function{function_name='try', flags={'no-writes'},
            callback=function(keys, args) return redis.pcall('get', args[1]) end}
        """

    @Test func functionsDoWhatTheirCallerMayWhoeverLoadedThem() throws {
        let client = try stage.user()
        #expect(try stage.ask("FUNCTION", "LOAD", Self.library) == "lib")
        let refused = "-ERR ACL failure in script: No permissions to access a key"
        for words in [["FCALL", "read", "0", "secret"], ["FCALL", "write", "0", "secret"],
                      ["FCALL", "try", "0", "secret"], ["FCALL_RO", "try", "0", "secret"],
                      ["FCALL", "read", "1", "ok", "secret"]] {
            #expect(try stage.answer(client, words).hasPrefix(refused), "\(words)")
        }
        for words in [["FCALL", "read", "1", "secret"], ["FCALL_RO", "try", "1", "secret", "ok"],
                      ["FCALL", "read", "2", "ok", "secret"]] {
            #expect(try stage.answer(client, words) == AccessStage.noKey, "\(words)")
        }
        #expect(try stage.answer(client, ["FCALL", "say", "0", "other"])
            .hasPrefix("-ERR ACL failure in script: No permissions to access a channel"))
        #expect(try stage.answer(client, ["FCALL", "settings", "0"])
            .hasPrefix("-ERR This Redis command is not allowed from script"))
        // A function that says it writes nothing writes nothing, whoever calls it.
        #expect(try stage.answer(client, ["FCALL", "quiet", "0", "ok"])
            .hasPrefix("-ERR Write commands are not allowed"))
        #expect(try stage.ask("FCALL", "quiet", "0", "secret").hasPrefix("-ERR Write commands are not allowed"))
        #expect(try stage.answer(client, ["FCALL_RO", "write", "0", "ok"]).hasPrefix("-ERR Can not execute a script"))
        // What the last caller may not do does not hold back the next, nor the other way round.
        #expect(try stage.ask("FCALL", "read", "0", "secret") == "s")
        #expect(try stage.answer(client, ["FCALL", "read", "0", "secret"]).hasPrefix(refused))
        #expect(try stage.ask("GET", "secret") == "s")
    }

    @Test func whoMayNotCallFunctionsCallsNone() throws {
        let client = try stage.user()
        #expect(try stage.ask("FUNCTION", "LOAD", Self.library) == "lib")
        try stage.change("-fcall", "-function")
        #expect(try stage.answer(client, ["FCALL", "read", "1", "ok"]).hasPrefix("-NOPERM User u has no permissions"))
        #expect(try stage.answer(client, ["FUNCTION", "LIST"]).hasPrefix("-NOPERM User u has no permissions"))
        #expect(try stage.answer(client, ["FUNCTION", "DUMP"]).hasPrefix("-NOPERM User u has no permissions"))
        // Nor from a script.
        #expect(try stage.answer(client, ["EVAL", "return redis.call('fcall', 'read', 1, 'ok')", "0"])
            .hasPrefix("-ERR"))
        #expect(try stage.answer(client, ["FCALL_RO", "try", "0", "ok"]) == "$-1")
    }

    @Test func patternsOfSortAreNoWayToOtherKeys() throws {
        try stage.change("+sort", "+sort_ro")
        let client = try stage.user()
        try stage.ask("RPUSH", "okl", "1", "2")
        try stage.ask("SET", "secret1", "9")
        let by = "-ERR BY option of SORT denied due to insufficient ACL permissions."
        let get = "-ERR GET option of SORT denied due to insufficient ACL permissions."
        #expect(try stage.answer(client, ["SORT", "okl", "BY", "secret*"]) == by)
        #expect(try stage.answer(client, ["SORT", "okl", "by", "secret*->f"]) == by)
        #expect(try stage.answer(client, ["SORT_RO", "okl", "BY", "ok*"]) == by)
        #expect(try stage.answer(client, ["SORT", "okl", "GET", "secret*"]) == get)
        #expect(try stage.answer(client, ["SORT", "okl", "LIMIT", "0", "1", "GET", "#", "GET", "secret*"]) == get)
        #expect(try stage.answer(client, ["SORT", "okl", "STORE", "okout", "GET", "secret*"]) == get)
        #expect(try stage.answer(client, ["SORT", "okl", "GET", "secret*", "STORE", "secret"]) == AccessStage.noKey)
        let script = "return redis.call('sort', KEYS[1], 'by', 'nosort', 'get', 'secret*')"
        #expect(try stage.answer(client, ["EVAL", script, "1", "okl"]).contains("denied due to insufficient ACL"))
        #expect(try stage.answer(client, ["MULTI"]) == "+OK")
        _ = try stage.answer(client, ["SORT", "okl", "GET", "secret*"])
        #expect(try stage.answer(client, ["EXEC"]).contains("denied due to insufficient ACL"))
        // Who may read all keys may.
        try stage.change("%R~*")
        #expect(try stage.answer(client, ["SORT", "okl", "GET", "secret*"]) == "*2 9 $-1")
    }

    /// Each line names `secret` where its command reads, writes, or only asks for it.
    private static let lines = """
        COPY secret ok|COPY ok secret|COPY ok secret DB 1|COPY secret ok DB 1 REPLACE|RENAME ok secret
        RENAME secret ok|RENAMENX ok secret|RENAMENX secret ok2|MOVE secret 1|DEL ok secret|UNLINK secret
        TOUCH ok secret|EXISTS secret|TYPE secret|TTL secret|PTTL secret|EXPIRE secret 9|PEXPIREAT secret 1
        PERSIST secret|EXPIRETIME secret|DUMP secret|OBJECT ENCODING secret|OBJECT FREQ secret
        OBJECT IDLETIME secret|OBJECT REFCOUNT secret|MEMORY USAGE secret|GET secret|SET secret x|SETNX secret x
        GETSET secret x|GETDEL secret|GETEX secret PERSIST|APPEND secret x|STRLEN secret|SUBSTR secret 0 1
        GETRANGE secret 0 1|SETRANGE secret 0 x|INCR secret|MGET ok secret|MSET ok 1 secret 2
        MSETNX ok 1 secret 2|MSETEX 2 ok 1 secret 2|LCS ok secret|DIGEST secret|DELEX secret|INCREX secret
        SETBIT secret 0 1|GETBIT secret 0|BITCOUNT secret|BITPOS secret 1|BITOP AND ok secret|BITOP NOT secret ok
        BITFIELD secret GET u8 0|BITFIELD_RO secret GET u8 0|BITFIELD secret SET u8 0 1|PFADD secret x
        PFCOUNT ok secret|PFMERGE secret ok|PFMERGE ok secret|LPUSH secret x|RPOPLPUSH ok secret
        RPOPLPUSH secret ok|LMOVE ok secret LEFT LEFT|LMOVE secret ok LEFT LEFT|LMPOP 2 ok secret LEFT
        BLMPOP 0 2 ok secret LEFT|BLPOP ok secret 0|BRPOPLPUSH ok secret 0|BLMOVE secret ok LEFT LEFT 0
        LPOS secret x|SADD secret x|SMOVE ok secret x|SMOVE secret ok x|SINTER ok secret|SINTERCARD 2 ok secret
        SUNIONSTORE secret ok|SDIFFSTORE ok ok secret|SINTERSTORE ok secret|SPOP secret|SSCAN secret 0
        HSET secret f v|HGETALL secret|HINCRBY secret f 1|HEXPIRE secret 9 FIELDS 1 f|HTTL secret FIELDS 1 f
        HSCAN secret 0|ZADD secret 1 m|ZUNIONSTORE secret 1 ok|ZUNIONSTORE ok 2 ok secret|ZINTER 2 ok secret
        ZDIFFSTORE secret 1 ok|ZRANGESTORE secret ok 0 1|ZRANGESTORE ok secret 0 1|ZMPOP 2 ok secret MIN
        BZMPOP 0 2 ok secret MIN|BZPOPMIN ok secret 0|ZINTERCARD 2 ok secret|ZSCAN secret 0|GEOADD secret 1 1 m
        GEORADIUS ok 0 0 1 m STORE secret|GEORADIUSBYMEMBER ok m 1 m STOREDIST secret|GEORADIUS secret 0 0 1 m
        GEORADIUS_RO secret 0 0 1 m|GEOSEARCHSTORE secret ok FROMLONLAT 0 0 BYRADIUS 1 m
        GEOSEARCHSTORE ok secret FROMLONLAT 0 0 BYRADIUS 1 m|XADD secret * f v|XREAD STREAMS ok secret 0 0
        XREAD BLOCK 0 STREAMS secret $|XREADGROUP GROUP g c STREAMS secret >
        XREADGROUP GROUP STREAMS c COUNT 1 STREAMS ok secret > >|XGROUP CREATE secret g 0|XINFO STREAM secret
        XINFO GROUPS secret|XPENDING secret g|XCLAIM secret g c 0 1-1|XAUTOCLAIM secret g c 0 0|XSETID secret 1-1
        XTRIM secret MAXLEN 0|XRANGE secret - +|XDEL secret 1-1|XACK secret g 1-1|WATCH ok secret
        EVAL return 2 ok secret|EVAL_RO return 1 secret|EVALSHA abc 1 secret|FCALL f 1 secret|FCALL_RO f 1 secret
        """

    @Test func everyFamilysCommandsAreRefusedAForeignKey() throws {
        let client = try stage.user()
        try stage.ask("SET", "ok", "value")
        for line in Self.lines.split(whereSeparator: { $0 == "|" || $0 == "\n" }) {
            let words = line.split(separator: " ").map(String.init)
            #expect(try stage.answer(client, words) == AccessStage.noKey, "\(line)")
        }
        // Likewise where they are only queued, and where a script calls them.
        for line in Self.lines.split(whereSeparator: { $0 == "|" || $0 == "\n" }) where !line.hasPrefix("WATCH") {
            let words = line.split(separator: " ").map(String.init)
            _ = try stage.answer(client, ["MULTI"])
            #expect(try stage.answer(client, words) == AccessStage.noKey, "\(line)")
            #expect(try stage.answer(client, ["EXEC"]).hasPrefix("-EXECABORT"))
            let script = "return redis.call(unpack(ARGV))"
            #expect(try stage.answer(client, ["EVAL", script, "0"] + words).hasPrefix("-"), "\(line)")
        }
        #expect(try stage.ask("GET", "secret") == "s")
        #expect(try stage.ask("DBSIZE") == ":2")
    }

    @Test func keysMayNotBeRestoredNorSentAway() throws {
        try stage.change("+restore", "+migrate", "+restore-asking")
        let client = try stage.user()
        for words in ["RESTORE secret 0 x", "RESTORE secret 0 x REPLACE", "RESTORE-ASKING secret 0 x",
                      "MIGRATE 127.0.0.1 1 secret 0 10", "MIGRATE 127.0.0.1 1 secret 0 10 COPY AUTH KEYS",
                      "MIGRATE 127.0.0.1 1 secret 0 10 AUTH2 KEYS ok"] {
            let answer = try stage.answer(client, words.split(separator: " ").map(String.init))
            #expect(answer == AccessStage.noKey, "\(words)")
        }
        for tail in [["KEYS", "secret"], ["KEYS", "ok", "secret"], ["AUTH", "KEYS", "KEYS", "ok", "secret"],
                     ["AUTH2", "KEYS", "KEYS", "keys", "secret"], ["COPY", "keys", "ok", "secret"]] {
            let words = ["MIGRATE", "127.0.0.1", "1", "", "0", "10"] + tail
            #expect(try stage.answer(client, words) == AccessStage.noKey, "\(tail)")
        }
        #expect(try stage.ask("GET", "secret") == "s")
    }

    @Test func undeclaredKeysAreLookedAtAsWellAndPcallTellsNothing() throws {
        let client = try stage.user()
        let scripts = ["return redis.call('get', 'sec' .. 'ret')", "return redis.pcall('get', ARGV[1])",
                       "return redis.pcall('get', ARGV[1])['err']", "return redis.call('strlen', ARGV[1])",
                       "return redis.call('mget', KEYS[1], ARGV[1])"]
        for script in scripts {
            for name in ["EVAL", "EVAL_RO"] {
                let answer = try stage.answer(client, [name, script, "1", "ok", "secret"])
                #expect(answer.contains("No permissions to access a key"), "\(name) \(script): \(answer)")
            }
        }
        let asks = """
            return {redis.acl_check_cmd('get', 'secret') and 1 or 0, redis.acl_check_cmd('get', 'ok') and 1 or 0}
            """
        #expect(try stage.answer(client, ["EVAL", asks, "0"]) == "*2 :0 :1")
        // What a script may say to the server about itself is no way to more.
        for call in ["'auth', 'default', 'x'", "'acl', 'setuser', 'u', '~*'", "'reset'", "'hello', '3'"] {
            let answer = try stage.answer(client, ["EVAL", "redis.call(\(call)) return 1", "0"])
            #expect(answer.hasPrefix("-ERR"), "\(call): \(answer)")
        }
        #expect(try stage.answer(client, ["GET", "secret"]) == AccessStage.noKey)
    }

    /// Every kind of waiting: the key comes, but the right is gone.
    @Test func whoWaitsGetsNothingOnceTheRightIsGone() throws {
        let waits = ["BLPOP okl 0", "BRPOP okl 0", "BLMOVE okl okm LEFT LEFT 0", "BRPOPLPUSH okl okm 0",
                     "BLMPOP 0 1 okl LEFT", "BZPOPMIN okz 0", "BZPOPMAX okz 0", "BZMPOP 0 1 okz MIN",
                     "XREAD BLOCK 0 STREAMS okx $", "XREADGROUP GROUP g c BLOCK 0 STREAMS okx >"]
        try stage.ask("XGROUP", "CREATE", "okx", "g", "$", "MKSTREAM")
        let clients = try waits.map { line in
            let client = try stage.user()
            try client.send(request(line.split(separator: " ").map(String.init)))
            return client
        }
        try stage.waitForBlocked(waits.count)
        try stage.change("resetkeys", "~other*")
        #expect(try stage.ask("RPUSH", "okl", "a", "b", "c", "d", "e") == ":5")
        #expect(try stage.ask("ZADD", "okz", "1", "a", "2", "b", "3", "c") == ":3")
        try stage.ask("XADD", "okx", "1-1", "f", "v")
        for (line, client) in zip(waits, clients) {
            #expect(try stage.line(client) == AccessStage.noKey, "\(line)")
        }
        #expect(try stage.ask("LLEN", "okl") == ":5")
        #expect(try stage.ask("ZCARD", "okz") == ":3")
        #expect(try stage.ask("EXISTS", "okm") == ":0")
        #expect(try stage.ask("XPENDING", "okx", "g").hasPrefix("*4 :0"))
    }

    /// The same with the command's right, and with the user switched off by deletion of its rights in a transaction.
    @Test func whoWaitsGetsNothingOnceTheCommandIsForbidden() throws {
        let client = try stage.user()
        try client.send(request(["BLPOP", "okl", "0"]))
        try stage.waitForBlocked()
        try stage.admin.send(request(["MULTI"]) + request(["ACL", "SETUSER", "u", "-blpop"])
            + request(["RPUSH", "okl", "v"]) + request(["EXEC"]))
        for _ in 0..<3 { _ = try stage.line(stage.admin) }
        #expect(try stage.reply(stage.admin) == "*2 +OK :1")
        #expect(try stage.line(client) == "-NOPERM User u has no permissions to run the 'blpop' command")
        #expect(try stage.ask("LLEN", "okl") == ":1")
    }

    @Test func patternAndShardSubscriptionsEndWithTheirRight() throws {
        try stage.change("&pat*")
        let pattern = try stage.user(), shard = try stage.user()
        #expect(try stage.answer(pattern, ["PSUBSCRIBE", "pat*"]).hasPrefix("*3 psubscribe"))
        #expect(try stage.answer(shard, ["SSUBSCRIBE", "ok1"]).hasPrefix("*3 ssubscribe"))
        try stage.change("resetchannels", "&pat", "&other")
        #expect(try pattern.textUntilEnd() == "")
        #expect(try shard.textUntilEnd() == "")
        #expect(try stage.ask("PUBLISH", "pat1", "m") == ":0")
        #expect(try stage.ask("SPUBLISH", "ok1", "m") == ":0")
    }

    @Test func aMonitorOfADeletedUserSeesNoMore() throws {
        try stage.change("+monitor")
        let monitor = try stage.user()
        #expect(try stage.answer(monitor, ["MONITOR"]) == "+OK")
        try stage.admin.send(request(["ACL", "DELUSER", "u"]) + request(["SET", "secret", "later"]))
        #expect(try stage.line(stage.admin) == ":1")
        #expect(try stage.line(stage.admin) == "+OK")
        #expect(try !monitor.textUntilEnd().contains("later"))
    }

    @Test func databasesAreChosenByRightAlone() throws {
        try stage.change("-select", "+select|1", "-swapdb", "-move")
        let client = try stage.user()
        let refused = "-NOPERM User u has no permissions to run the"
        #expect(try stage.answer(client, ["SELECT", "2"]).hasPrefix(refused))
        #expect(try stage.answer(client, ["SELECT", "1"]) == "+OK")
        #expect(try stage.answer(client, ["SWAPDB", "0", "1"]).hasPrefix(refused))
        #expect(try stage.answer(client, ["MOVE", "ok", "2"]).hasPrefix(refused))
        #expect(try stage.answer(client, ["EVAL", "return redis.call('select', '2')", "0"])
            .hasPrefix("-ERR ACL failure in script"))
        #expect(try stage.answer(client, ["MULTI"]) == "+OK")
        #expect(try stage.answer(client, ["SELECT", "0"]).hasPrefix(refused))
        #expect(try stage.answer(client, ["EXEC"]).hasPrefix("-EXECABORT"))
        // What is swapped under it by others changes no right.
        #expect(try stage.ask("SWAPDB", "0", "1") == "+OK")
        #expect(try stage.answer(client, ["GET", "secret"]) == AccessStage.noKey)
    }

    @Test func selectorsAreNotAddedUp() throws {
        let selectors = ["(+get +copy ~a)", "(+set +copy ~b)", "(+@pubsub &c)"]
        #expect(try stage.answer(stage.admin, ["ACL", "SETUSER", "v", "on", ">p"] + selectors) == "+OK")
        let client = try stage.user("v")
        #expect(try stage.answer(client, ["GET", "a"]) == "$-1")
        #expect(try stage.answer(client, ["SET", "b", "1"]) == "+OK")
        #expect(try stage.answer(client, ["GET", "b"]) == AccessStage.noKey)
        #expect(try stage.answer(client, ["SET", "a", "1"]) == AccessStage.noKey)
        #expect(try stage.answer(client, ["COPY", "a", "b"]) == AccessStage.noKey)
        #expect(try stage.answer(client, ["SET", "b", "1", "GET"]) == "1")
        #expect(try stage.answer(client, ["PUBLISH", "c", "x"]) == ":0")
        #expect(try stage.answer(client, ["PUBLISH", "d", "x"]).hasPrefix("-NOPERM"))
        // A selector that is taken away is gone at once.
        #expect(try stage.ask("ACL", "SETUSER", "v", "clearselectors") == "+OK")
        #expect(try stage.answer(client, ["GET", "a"]).hasPrefix("-NOPERM"))
    }

    /// Killed, deleted, changed, while its pipeline is under way: no write of it is done after the answer to whoever
    /// did that.
    @Test func nothingIsDoneAfterAKillWasAnswered() throws {
        for round in 0..<20 {
            try stage.change("on", ">p", "~ok*", "+@all", "-@dangerous")
            let client = try stage.user()
            let id = try stage.answer(client, ["CLIENT", "ID"]).dropFirst()
            var pipeline: [UInt8] = []
            for number in 0..<300 { pipeline += request(["SET", "okcount", "\(round)-\(number)"]) }
            try client.send(pipeline)
            let ends = [["CLIENT", "KILL", "ID", String(id)], ["ACL", "DELUSER", "u"],
                        ["ACL", "SETUSER", "u", "resetkeys"]]
            _ = try stage.answer(stage.admin, ends[round % 3])
            let then = try stage.ask("GET", "okcount")
            for _ in 0..<5 { #expect(try stage.ask("GET", "okcount") == then, "round \(round)") }
        }
    }
}
