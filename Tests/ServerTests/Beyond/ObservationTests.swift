import Engine
import Keyspace
import Primitives
import Testing
@testable import Server

/// COMMANDLOG's logs, HOTKEYS, and keys that go by their last change; as the engine keeps them.
struct ObservationTests {
    @Test func largeRequestsAndRepliesAreLogged() {
        let bare = BareEngine()
        let value = String(repeating: "x", count: 1000)
        bare.run("SET", "early", value)
        bare.engine.largestUnnoticedRequest = 500
        bare.engine.largestUnnoticedReply = 800
        bare.run("SET", "k", value)
        bare.run("SET", "small", "v")
        bare.run("GET", "k")
        bare.run("GET", "small")
        #expect(bare.engine.largeRequests.entries.map { $0.arguments[0] } == [Array("SET".utf8)])
        #expect(bare.engine.largeReplies.entries.map { $0.arguments } == [[Array("GET".utf8), Array("k".utf8)]])
        #expect(bare.engine.largeReplies.entries[0].amount == 1009)
        #expect(bare.engine.largeRequests.entries[0].amount > 1000)
        bare.engine.largeReplies.maximumLength = 2
        for _ in 0..<5 { bare.run("GET", "k") }
        #expect(bare.engine.largeReplies.entries.map(\.id) == [4, 5])
    }

    @Test func hotKeysAreFoundByTimeAndBytes() {
        let bare = BareEngine()
        var clock: UInt64 = 1
        bare.engine.monotonicNanoseconds = {
            clock += 1000
            return clock
        }
        var settings = HotKeys.Settings()
        (settings.countsTime, settings.countsBytes, settings.seconds) = (true, true, 10)
        bare.run("SET", "before", "v")
        let keys = HotKeys(settings, at: bare.engine.keyspace.now)
        bare.engine.trackHotKeys(keys)
        for _ in 0..<30 { bare.run("GET", "often") }
        for _ in 0..<3 { bare.run("SET", "large", String(repeating: "x", count: 10_000)) }
        bare.run("MGET", "often", "rare")
        bare.run("PING")
        #expect(keys.top(\.nanoseconds, 10).first?.key == Array("often".utf8))
        #expect(keys.top(\.bytes, 1).map(\.key) == [Array("large".utf8)])
        let found = keys.top(\.bytes, 10).map { String(decoding: $0.key, as: UTF8.self) }
        #expect(Set(found) == ["often", "large", "rare"])
        let total = keys.total
        bare.engine.keyspace.now = UnixMilliseconds(1_010_000)
        bare.run("GET", "late")
        #expect(!keys.isActive)
        #expect(keys.total.bytes == total.bytes)
        #expect(keys.end == UnixMilliseconds(1_010_000))
    }

    @Test func hotKeysTakeBoundedMemoryAndKeepTheHottest() {
        let bare = BareEngine()
        var settings = HotKeys.Settings()
        settings.countsBytes = true
        let keys = HotKeys(settings, at: bare.engine.keyspace.now)
        bare.engine.trackHotKeys(keys)
        for index in 0..<30_000 {
            bare.run("GET", "cold\(index)")
            if index % 10 == 0 { bare.run("GET", "hot") }
        }
        #expect(keys.top(\.bytes, 1).map(\.key) == [Array("hot".utf8)])
        #expect(keys.top(\.bytes, 100_000).count <= 8192)
    }

    /// Under allkeys-lrm a key that is only read is as old as its last change.
    @Test func readingAKeyDoesNotKeepItUnderLRM() {
        let bare = BareEngine()
        bare.engine.keyspace.accessClock = 100
        bare.run("SET", "k", "v")
        bare.engine.keyspace.readsAreUses = false
        bare.engine.keyspace.accessClock = 160
        bare.run("GET", "k")
        #expect(bare.run("OBJECT", "IDLETIME", "k") == ":60\r\n")
        bare.run("APPEND", "k", "w")
        #expect(bare.run("OBJECT", "IDLETIME", "k") == ":0\r\n")
        bare.engine.keyspace.readsAreUses = true
        bare.engine.keyspace.accessClock = 170
        bare.run("GET", "k")
        #expect(bare.run("OBJECT", "IDLETIME", "k") == ":0\r\n")
    }
}
