import Glibc
import Testing

/// Ways around access control, tried over real connections.
@Suite(.serialized) struct AccessBypassTests {
    private let server: ServerProcess
    private let admin: TestClient

    init() throws {
        server = try ServerProcess()
        admin = try server.client()
        #expect(try admin.ask("SET", "secret", "s", reply: "+OK\r\n"))
        #expect(try admin.ask("ACL", "SETUSER", "u", "on", ">p", "~ok*", "&ok*", "+@all", "-@dangerous",
            reply: "+OK\r\n"))
    }

    private func user(_ name: String = "u") throws -> TestClient {
        let client = try server.client()
        #expect(try client.ask("AUTH", name, "p", reply: "+OK\r\n"))
        return client
    }

    private func change(_ rules: String...) throws {
        try admin.send(request(["ACL", "SETUSER", "u"] + rules))
        #expect(try admin.text(5) == "+OK\r\n")
    }

    private static let noKey = "-NOPERM No permissions to access a key\r\n"

    @Test func keysOfOthersAreRefusedHoweverTheyAreNamed() throws {
        let client = try user()
        #expect(try client.ask("GET", "secret", reply: Self.noKey))
        #expect(try client.ask("MGET", "ok", "secret", reply: Self.noKey))
        #expect(try client.ask("COPY", "secret", "ok", reply: Self.noKey))
        #expect(try client.ask("OBJECT", "ENCODING", "secret", reply: Self.noKey))
        #expect(try client.ask("WATCH", "secret", reply: Self.noKey))
        #expect(try client.ask("XREADGROUP", "COUNT", "1", "GROUP", "g", "STREAMS", "STREAMS", "secret", ">",
                               reply: Self.noKey))
        #expect(try client.ask("GEORADIUS", "ok", "0", "0", "1", "m", "STORE", "ok", "STORE", "secret",
            reply: Self.noKey))
        #expect(try client.ask("EVAL", "return 1", "99", "secret", reply: Self.noKey))
        #expect(try client.ask("SORT", "ok", "BY", "nosort", "GET", "secret", reply:
            "-NOPERM User u has no permissions to run the 'sort' command\r\n"))
        try change("+sort")
        #expect(try client.ask("SORT", "ok", "BY", "nosort", "GET", "secret", reply:
            "-ERR GET option of SORT denied due to insufficient ACL permissions.\r\n"))
    }

    @Test func scriptsDoWhatTheirCallerMay() throws {
        let client = try user()
        try client.send(request(["EVAL", "return redis.call('get','secret')", "0"]))
        #expect(try line(client).hasPrefix("-ERR ACL failure in script: No permissions to access a key"))
        try client.send(request(["EVAL", "return redis.pcall('config','get','*')", "0"]))
        #expect(try line(client).hasPrefix("-ERR"))
        try client.send(request(["EVAL", "return redis.call('publish','other','x')", "0"]))
        #expect(try line(client).hasPrefix("-ERR ACL failure in script: No permissions to access a channel"))
        // Another's script under its name.
        try admin.send(request(["SCRIPT", "LOAD", "return redis.call('get','secret')"]))
        #expect(try line(admin) == "$40")
        let name = try line(admin)
        try client.send(request(["EVALSHA", name, "0"]))
        #expect(try line(client).hasPrefix("-ERR ACL failure in script"))
        // An administrator's next script is not held back by what the last caller may.
        try admin.send(request(["EVALSHA", name, "0"]))
        #expect(try line(admin) == "$1")
    }

    @Test func transactionsAreAskedAgainAtExec() throws {
        let client = try user()
        #expect(try client.ask("MULTI", reply: "+OK\r\n"))
        #expect(try client.ask("SET", "ok1", "x", reply: "+QUEUED\r\n"))
        #expect(try client.ask("GET", "ok1", reply: "+QUEUED\r\n"))
        try change("-set", "resetkeys")
        let changed = "-NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call"
            + ". This command is no longer allowed for the following reason: "
        #expect(try client.ask("EXEC", reply: "*2\r\n\(changed)no permission to execute the command or subcommand\r\n"
            + "\(changed)no permission to touch the specified keys\r\n"))
        #expect(try admin.ask("EXISTS", "ok1", reply: ":0\r\n"))
        #expect(try client.ask("MULTI", reply: "+OK\r\n"))
        #expect(try client.ask("GET", "secret", reply: Self.noKey))
        #expect(try client.ask("EXEC", reply: "-EXECABORT Transaction discarded because of previous errors.\r\n"))
    }

    @Test func aWaitingClientGetsNothingOnceItsRightIsGone() throws {
        let client = try user()
        try client.send(request(["BLPOP", "okl", "0"]))
        try waitForBlocked()
        try change("resetkeys")
        #expect(try admin.ask("RPUSH", "okl", "v", reply: ":1\r\n"))
        #expect(try line(client) + "\r\n" == Self.noKey)
        #expect(try admin.ask("LLEN", "okl", reply: ":1\r\n"))
    }

    /// One round: the user goes, and the key that its client waits for comes.
    @Test func aDeletedUsersWaitingClientTakesNoElement() throws {
        let client = try user()
        try client.send(request(["BLPOP", "okl", "0"]))
        try waitForBlocked()
        try admin.send(request(["ACL", "DELUSER", "u"]) + request(["RPUSH", "okl", "v"]) + request(["LLEN", "okl"]))
        #expect(try admin.text(12) == ":1\r\n:1\r\n:1\r\n")
        #expect(try client.textUntilEnd() == "")
    }

    @Test func aKilledWaitingClientTakesNoElement() throws {
        let client = try user()
        try client.send(request(["BLPOP", "okl", "0"]))
        try waitForBlocked()
        try admin.send(request(["CLIENT", "KILL", "USER", "u"]) + request(["RPUSH", "okl", "v"])
            + request(["LLEN", "okl"]))
        #expect(try admin.text(12) == ":1\r\n:1\r\n:1\r\n")
        #expect(try client.textUntilEnd() == "")
    }

    /// What a killed client has sent already is not run any more.
    @Test func aKilledClientsPipelineIsNotRun() throws {
        for _ in 0..<20 {
            try change("on", ">p", "~ok*", "+@all", "-@dangerous")
            let client = try user()
            try client.send(request(["BLPOP", "okw", "0"]) + request(["SET", "ok-after", "x"]))
            try waitForBlocked()
            try client.send(request(["SET", "ok-after", "x"]))
            try admin.send(request(["ACL", "DELUSER", "u"]))
            #expect(try admin.text(4) == ":1\r\n")
            #expect((try? client.textUntilEnd()) ?? "" == "")
            #expect(try admin.ask("EXISTS", "ok-after", reply: ":0\r\n"))
        }
    }

    @Test func deletingOnesOwnUserEndsTheConnectionAndItsTransaction() throws {
        try change("+acl")
        let client = try user()
        try client.send(request(["MULTI"]) + request(["ACL", "DELUSER", "u"])
            + request(["SET", "ok1", "x"]) + request(["EXEC"])
            + request(["SET", "ok1", "x"]))
        let all = try client.textUntilEnd()
        #expect(all.hasPrefix("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:1\r\n-NOPERM"))
        #expect(try admin.ask("EXISTS", "ok1", reply: ":0\r\n"))
    }

    @Test func channelsAreHeldToTheRulesAndALostOneEndsTheConnection() throws {
        let client = try user(), loyal = try user()
        #expect(try client.ask("SUBSCRIBE", "other", reply: "-NOPERM No permissions to access a channel\r\n"))
        #expect(try client.ask("PSUBSCRIBE", "ok?", reply: "-NOPERM No permissions to access a channel\r\n"))
        #expect(try client.ask("SUBSCRIBE", "__keyspace@0__:secret", reply:
            "-NOPERM No permissions to access a channel\r\n"))
        #expect(try client.ask("SUBSCRIBE", "ok1", reply: "*3\r\n$9\r\nsubscribe\r\n$3\r\nok1\r\n:1\r\n"))
        #expect(try loyal.ask("SUBSCRIBE", "ok2", reply: "*3\r\n$9\r\nsubscribe\r\n$3\r\nok2\r\n:1\r\n"))
        try change("resetchannels", "&ok2")
        #expect(try client.textUntilEnd() == "")
        #expect(try admin.ask("PUBLISH", "ok2", "m", reply: ":1\r\n"))
        #expect(try loyal.text(33) == "*3\r\n$7\r\nmessage\r\n$3\r\nok2\r\n$1\r\nm\r\n")
    }

    @Test func monitoringIsARightAndShowsNoSecrets() throws {
        let client = try user(), monitor = try server.client()
        #expect(try client.ask("MONITOR", reply: "-NOPERM User u has no permissions to run the 'monitor' command\r\n"))
        #expect(try monitor.ask("MONITOR", reply: "+OK\r\n"))
        let other = try server.client()
        try other.send(request(["AUTH", "u", "hunter2"]) + request(["HELLO", "9", "AUTH", "u", "hunter2"])
            + request(["HELLO", "2", "AUTH", "u", "hunter2"])
                + request(["AUTH"] + Array(repeating: "hunter2", count: 80))
            + request(["ECHO", "end"]))
        for _ in 0..<4 { #expect(try line(other).hasPrefix("-")) }
        var seen = ""
        while !seen.contains("\"end\"") { seen += try line(monitor) }
        #expect(!seen.contains("hunter2"), "\(seen)")
        #expect(seen.contains("(redacted)"))
    }

    @Test func slowlogShowsNoSecrets() throws {
        #expect(try admin.ask("CONFIG", "SET", "slowlog-log-slower-than", "0", reply: "+OK\r\n"))
        let secrets = [["CONFIG", "SET", "masterauth", "hunter2"], ["ACL", "SETUSER", "v", ">hunter2", "+hunter2"],
                       ["AUTH", "u", "hunter2"], ["HELLO", "9", "AUTH", "u", "hunter2"], ["AUTH", "x", "y", "hunter2"],
                       ["CONFIG", "SET", "masterauth", "hunter2", "odd"]]
        for words in secrets {
            try admin.send(request(words))
            _ = try line(admin)
        }
        try admin.send(request(["SLOWLOG", "GET", "-1"]) + request(["QUIT"]))
        let all = try admin.textUntilEnd()
        #expect(all.contains("masterauth") && all.contains("(redacted)"))
        #expect(!all.contains("hunter2"), "\(all)")
    }

    @Test func changedRightsMeetOpenConnectionsAtOnce() throws {
        let client = try user()
        #expect(try client.ask("SET", "ok", "x", reply: "+OK\r\n"))
        try change("+@all", "~*", "&*")
        #expect(try client.ask("GET", "secret", reply: "$1\r\ns\r\n"))
        try change("resetkeys", "~ok*")
        #expect(try client.ask("GET", "secret", reply: Self.noKey))
        #expect(try client.ask("RESET", reply: "+RESET\r\n"))
        #expect(try client.ask("GET", "secret", reply: "$1\r\ns\r\n"))
    }

    @Test func aClosedDefaultUserLetsNobodyInUnknown() throws {
        try change("+@all", "~*", "&*")
        #expect(try admin.ask("ACL", "SETUSER", "default", "off", reply: "+OK\r\n"))
        let stranger = try server.client()
        #expect(try stranger.ask("GET", "secret", reply: "-NOAUTH Authentication required.\r\n"))
        try stranger.send("*11\r\n")
        #expect(try stranger.textUntilEnd() == "-ERR Protocol error: unauthenticated multibulk length\r\n")
        let client = try user()
        #expect(try client.ask("GET", "secret", reply: "$1\r\ns\r\n"))
        #expect(try client.ask("RESET", reply: "+RESET\r\n"))
        #expect(try client.ask("GET", "secret", reply: "-NOAUTH Authentication required.\r\n"))
        // Who was let in stays so.
        #expect(try admin.ask("GET", "secret", reply: "$1\r\ns\r\n"))
    }

    @Test func refusalsAreLoggedAndCounted() throws {
        let client = try user()
        for _ in 0..<3 { #expect(try client.ask("GET", "secret", reply: Self.noKey)) }
        _ = try client.ask("FLUSHALL", reply: "-NOPERM User u has no permissions to run the 'flushall' command\r\n")
        _ = try client.ask("AUTH", "u", "wrong", reply:
            "-WRONGPASS invalid username-password pair or user is disabled.\r\n")
        try admin.send(request(["ACL", "LOG"]) + request(["INFO", "stats"]) + request(["QUIT"]))
        let all = try admin.textUntilEnd()
        #expect(all.hasPrefix("*3\r\n*20\r\n$5\r\ncount\r\n:1\r\n$6\r\nreason\r\n$4\r\nauth\r\n"
            + "$7\r\ncontext\r\n$8\r\ntoplevel\r\n"
            + "$6\r\nobject\r\n$4\r\nAUTH\r\n$8\r\nusername\r\n$1\r\nu\r\n"))
        #expect(all.contains(":3\r\n$6\r\nreason\r\n$3\r\nkey\r\n$7\r\ncontext\r\n$8\r\ntoplevel\r\n"
            + "$6\r\nobject\r\n$6\r\nsecret\r\n"))
        #expect(all.contains("$8\r\nentry-id\r\n:2\r\n$17\r\ntimestamp-created\r\n:1"))
        for field in ["auth:1", "cmd:1", "key:3",
            "channel:0"] { #expect(all.contains("acl_access_denied_\(field)\r\n")) }
    }

    private func waitForBlocked() throws {
        for _ in 0..<3000 {
            let probe = try server.client()
            try probe.send(request(["INFO", "clients"]) + request(["QUIT"]))
            if try probe.textUntilEnd().contains("blocked_clients:1") { return }
            usleep(20_000)
        }
        Issue.record("nobody waits")
    }

    /// Up to CR LF, which is taken off.
    private func line(_ client: TestClient) throws -> String {
        var bytes: [UInt8] = []
        while true {
            let byte = try client.receive(1)
            if byte.isEmpty { return String(decoding: bytes, as: UTF8.self) }
            bytes += byte
            if bytes.suffix(2) == [13, 10] { return String(decoding: bytes.dropLast(2), as: UTF8.self) }
        }
    }
}
