import Commands
import Engine
import Keyspace
import Primitives
import Testing
@testable import Server

struct TrackingTests {
    private let bare = BareEngine()
    private let other = Session(id: 2)

    private func client(_ id: Int64, _ change: (inout TrackingMode) -> Void = { _ in }) -> Session {
        let session = Session(id: id)
        session.version = .resp3
        var mode = TrackingMode()
        change(&mode)
        bare.engine.startTracking(session, mode)
        return session
    }

    private func run(_ session: Session, _ words: String...) -> String { bare.run(words, session) }

    /// What a session was told since it last ran a command.
    private func told(_ session: Session) -> String {
        defer { session.output.pointee.removeAll() }
        return String(decoding: session.output.pointee.bytes, as: UTF8.self)
    }

    private func message(_ keys: String...) -> String {
        ">2\r\n$10\r\ninvalidate\r\n*\(keys.count)\r\n" + keys.map { "$\($0.utf8.count)\r\n\($0)\r\n" }.joined()
    }

    @Test func aKeyThatWasReadIsAnnouncedOnce() {
        let reader = client(10)
        _ = run(reader, "MGET", "a", "b")
        _ = told(reader)
        _ = run(other, "SET", "a", "1")
        _ = run(other, "SET", "a", "2")
        _ = run(other, "SET", "unread", "2")
        #expect(told(reader) == message("a"))
        _ = run(other, "DEL", "a")
        #expect(told(reader) == "")
        _ = run(reader, "GET", "a")
        #expect(bare.engine.tracking.keyCount == 2)
    }

    @Test func ownChangesFollowTheReplyUnlessNotWanted() {
        let loud = client(10), quiet = client(11) { $0.sparesOwn = true }
        for session in [loud, quiet] {
            _ = run(session, "GET", "k")
            #expect(run(session, "SET", "k", "1") == "+OK\r\n" + (session === loud ? message("k") : ""))
        }
        _ = run(loud, "GET", "k")
        _ = run(loud, "MULTI")
        _ = run(loud, "SET", "k", "2")
        _ = run(loud, "PING")
        #expect(run(loud, "EXEC") == "*2\r\n+OK\r\n+PONG\r\n" + message("k"))
    }

    @Test func whatAScriptReadsItsCallerHasACopyOf() {
        let reader = client(10)
        for script in ["EVAL", "EVAL_RO"] {
            _ = run(reader, script, "return redis.call('GET', 'read')", "2", "read", "named")
            _ = told(reader)
            _ = run(other, "MSET", "named", "1", "read", "1")
            #expect(told(reader) == message("read"), "\(script)")
        }
        _ = run(reader, "EVAL", "return redis.call('SET', 'k', '1')", "1", "k")
        _ = told(reader)
        _ = run(other, "SET", "k", "2")
        #expect(told(reader) == "", "a script that only writes leaves no copy")
    }

    @Test func changesByAScriptAreItsCallers() {
        let loud = client(10), quiet = client(11) { $0.sparesOwn = true }
        for session in [loud, quiet] {
            _ = run(session, "GET", "k")
            _ = told(session)
            let reply = run(session, "EVAL", "return redis.call('SET', 'k', '1')", "1", "k")
            #expect(reply == "+OK\r\n" + (session === loud ? message("k") : ""))
        }
    }

    @Test func chosenCommandsOnly() {
        let optIn = client(10) { $0.choice = .optIn }
        _ = run(optIn, "GET", "a")
        bare.engine.chooseNextCommand(optIn)
        _ = run(optIn, "GET", "b")
        _ = run(optIn, "GET", "c")
        let optOut = client(11) { $0.choice = .optOut }
        bare.engine.chooseNextCommand(optOut)
        _ = run(optOut, "GET", "a")
        _ = run(optOut, "GET", "b")
        _ = told(optIn)
        _ = told(optOut)
        for key in ["a", "b", "c"] { _ = run(other, "SET", key, "1") }
        #expect(told(optIn) == message("b"))
        #expect(told(optOut) == message("b"))
    }

    @Test func prefixesAreAnnouncedTogether() {
        let listener = client(10) { $0.broadcasts = true; $0.prefixes = [Array("user:".utf8)] }
        _ = run(other, "SET", "user:1", "a")
        _ = run(other, "SET", "user:1", "b")
        _ = run(other, "SET", "order:1", "b")
        #expect(told(listener) == "")
        #expect(bare.engine.tracking.hasBroadcasts)
        bare.engine.sendBroadcasts()
        #expect(told(listener) == message("user:1"))
        bare.engine.sendBroadcasts()
        #expect(told(listener) == "")
    }

    @Test func expiredAndFlushedKeysAreAnnounced() {
        let reader = client(10)
        _ = run(other, "SET", "k", "v", "PX", "10")
        _ = run(reader, "GET", "k")
        _ = told(reader)
        bare.engine.keyspace.now = UnixMilliseconds(1_000_100)
        _ = run(other, "GET", "k")
        #expect(told(reader) == message("k"))
        _ = run(other, "FLUSHALL")
        #expect(told(reader) == ">2\r\n$10\r\ninvalidate\r\n_\r\n")
    }

    @Test func aFullTableAnnouncesWhatItForgets() {
        let reader = client(10)
        bare.engine.tracking.maximumKeys = 10
        var announced = 0
        for index in 0..<50 {
            _ = run(reader, "GET", "k\(index)")
            announced += told(reader).components(of: "invalidate")
        }
        #expect(bare.engine.tracking.keyCount == 10)
        #expect(announced == 40)
    }

    @Test func aRedirectionReachesAListenerOfTheOldProtocol() {
        let listener = Session(id: 20)
        bare.engine.sessionWithID = { $0 == 20 ? listener : nil }
        let reader = client(10) { $0.redirection = 20 }
        _ = run(listener, "SUBSCRIBE", "__redis__:invalidate")
        _ = run(reader, "GET", "k")
        _ = told(listener)
        _ = run(other, "SET", "k", "1")
        #expect(told(listener) == "*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n*1\r\n$1\r\nk\r\n")
        _ = run(reader, "GET", "k")
        _ = told(reader)
        bare.engine.sessionWithID = { _ in nil }
        _ = run(other, "SET", "k", "1")
        #expect(told(reader) == ">2\r\n$21\r\ntracking-redir-broken\r\n:20\r\n")
    }

    @Test func whoLeavesIsForgotten() {
        let reader = client(10)
        _ = run(reader, "GET", "k")
        bare.engine.forget(reader)
        #expect(!bare.engine.tracking.isActive)
        #expect(bare.engine.tracking.keyCount == 0)
    }
}

extension String {
    fileprivate func components(of word: String) -> Int {
        var count = 0, rest = self[...]
        while let range = rest.firstRange(of: word) {
            count += 1
            rest = rest[range.upperBound...]
        }
        return count
    }
}
