import Engine
import Keyspace
import Primitives
import Testing
@testable import Server

/// Bugs that random commands against redis-server found (tools/compat), each with what went wrong.
struct CommandRegressionTests {
    private let bare = BareEngine()

    /// What a monitor is told while `requests` run: the first words, `lua:` before what a script called.
    private func monitored(_ requests: [String]...) -> [String] {
        final class Seen { var lines: [String] = [] }
        let seen = Seen()
        let client = bare.session
        bare.engine.onMonitor = { session, arguments in
            seen.lines.append((session === client ? "" : "lua:") + String(decoding: arguments[0], as: UTF8.self))
        }
        for request in requests { bare.run(request, client) }
        bare.engine.onMonitor = nil
        return seen.lines
    }

    @Test func monitorsDidNotSeeScripts() {
        #expect(monitored(["EVAL", "return redis.call('SET', 'k', 'v')", "0"], ["GET", "k"])
            == ["EVAL", "lua:SET", "GET"])
        #expect(monitored(["EVAL_RO", "return 1", "0"], ["EVALSHA", "x", "0"], ["FCALL", "nosuch", "0"])
            == ["EVAL_RO", "EVALSHA", "FCALL"])
    }

    @Test func monitorsSawWhatALogReplays() {
        final class Seen { var count = 0 }
        let seen = Seen()
        bare.engine.onMonitor = { _, _ in seen.count += 1 }
        bare.run(["SET", "k", "v"], bare.engine.ownSession)
        #expect(seen.count == 0)
    }

    @Test func blockingPopsLookedAtTheTimeoutBeforeTheRest() {
        #expect(bare.run("BZMPOP", "-1", "1", "k", "NOSUCH") == "-ERR syntax error\r\n")
        #expect(bare.run("BLMPOP", "x", "1", "k", "NOSUCH") == "-ERR syntax error\r\n")
        #expect(bare.run("BLMPOP", "x", "1", "k", "LEFT") == "-ERR timeout is not a float or out of range\r\n")
    }

    @Test func readOnlyScriptsCouldPublishAndCount() {
        for command in ["'PFCOUNT', 'k'", "'PUBLISH', 'c', 'm'", "'SPUBLISH', 'c', 'm'"] {
            let reply = bare.run("EVAL_RO", "return redis.pcall(\(command))", "0")
            #expect(reply == "-ERR Write commands are not allowed from read-only scripts.\r\n", "\(command)")
        }
        #expect(bare.run("EVAL", "return redis.call('PFCOUNT', 'k')", "0") == ":0\r\n")
    }

    @Test func aScriptWasRefusedForAFailedSaveWhenReplicasWereMissing() {
        bare.engine.state.replicaRefusal = "NOREPLICAS Not enough good replicas to write."
        #expect(bare.run("EVAL", "#!lua\nreturn 1", "0") == "-NOREPLICAS Not enough good replicas to write.\r\n")
        #expect(bare.run("EVAL", "#!lua flags=no-writes\nreturn 1", "0") == ":1\r\n")
    }

    @Test func evalshaLookedAtTheNumberOfKeysBeforeTheName() {
        #expect(bare.run("EVALSHA", "tooshort", "-1") == "-NOSCRIPT No matching script. Please use EVAL.\r\n")
        #expect(bare.run("EVALSHA_RO", "tooshort", "9") == "-NOSCRIPT No matching script. Please use EVAL.\r\n")
    }

    @Test func shardSubscriptionsAndMonitorCouldStandInTransactions() {
        bare.run("MULTI")
        bare.run("SSUBSCRIBE", "c")
        let reply = bare.run("EXEC")
        #expect(reply == "*1\r\n-ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client\r\n")
    }

    @Test func anExpiredKeyWasOverwrittenAsIfItHadBeenThere() {
        bare.engine.notifyClasses = [.expired, .set, .keyevent]
        final class Seen { var events: [String] = [] }
        let seen = Seen()
        bare.engine.onKeyEvent = { seen.events.append("\($0.event)") }
        bare.run("SADD", "a", "1")
        bare.run("SADD", "d", "2")
        bare.run("PEXPIRE", "d", "1")
        bare.engine.keyspace.now = UnixMilliseconds(bare.engine.keyspace.now.rawValue + 10)
        bare.run("SUNIONSTORE", "d", "a")
        #expect(seen.events == ["sadd", "sadd", "expired", "sunionstore"])
    }

    @Test func aTrimThatCutNothingWasLogged() {
        bare.run("RPUSH", "l", "a", "b")
        _ = bare.takeLog()
        bare.run("LTRIM", "l", "0", "-1")
        #expect(bare.takeLog().isEmpty)
        bare.run("LTRIM", "l", "1", "-1")
        #expect(bare.takeLog().count == 1)
    }

    @Test func theGreatestExpireTimeWasShownAsANegativeOne() {
        bare.run("SET", "k", "v", "PXAT", "9223372036854775807")
        #expect(bare.run("EXPIRETIME", "k") == ":9223372036854776\r\n")
    }

    @Test func aLimitOfAllRanksWasRefusedBeforeTheRanks() {
        bare.run("ZADD", "z", "1", "a")
        #expect(bare.run("ZRANGE", "z", "(0", "1", "REV", "LIMIT", "5", "-1")
            == "-ERR value is not an integer or out of range\r\n")
        #expect(bare.run("ZRANGE", "z", "0", "1", "LIMIT", "5", "2").hasPrefix("-ERR syntax error, LIMIT is only"))
    }

    @Test func scriptsCouldSubscribeOnceDeniedCommandsWereAllowed() {
        bare.engine.scripts.allowsDenied = true
        let reply = bare.run("EVAL", "return redis.pcall('SUBSCRIBE', 'c')", "0")
        #expect(reply == "-ERR SUBSCRIBE isn't allowed for a DENY BLOCKING client\r\n")
    }

    @Test func zeroTimesInfinityWonAnIntersection() {
        bare.run("ZADD", "a", "2000", "m")
        bare.run("ZADD", "b", "0", "m", "1", "x")
        bare.run("ZINTERSTORE", "d", "2", "a", "b", "WEIGHTS", "-inf", "-inf", "AGGREGATE", "MAX")
        #expect(bare.run("ZSCORE", "d", "m") == "$4\r\n-inf\r\n")
    }

    @Test func anErrorThatEndsInALineEndGotASpace() {
        bare.session.output.pointee.removeAll()
        bare.session.reply.error("ERR given: a\nb\r\n" as String)
        #expect(String(decoding: bare.session.output.pointee.bytes, as: UTF8.self) == "-ERR given: a b\r\n")
    }

    /// It read the word after the last one, and whatever lay there.
    @Test func anOddConfigSetReadBeyondItsWords() throws {
        let server = try ServerRun("--save", "")
        #expect(server.becomesReady())
        let replies = server.answer("MULTI\r\nCONFIG SET a b c\r\nEXEC\r\nPING\r\n")
        #expect(replies == "+OK\r\n+QUEUED\r\n*1\r\n-ERR syntax error\r\n+PONG\r\n")
    }
}
