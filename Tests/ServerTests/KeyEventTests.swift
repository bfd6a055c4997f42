import Commands
import Engine
import Keyspace
import Primitives
import Testing
@testable import Server

/// Keyspace events that lookups cause.
struct KeyEventTests {
    private func events(_ classes: EventClass, _ requests: [[String]]) -> [String] {
        let bare = BareEngine()
        bare.run("SET", "old", "1")
        return recorded(bare, classes, requests)
    }

    @Test func aMissedKeyIsAnnounced() {
        let seen = events([.keyMiss], [["GET", "none"], ["GET", "old"], ["MGET", "a", "old", "b"], ["SET", "c", "1"]])
        #expect(seen == ["keymiss none 0", "keymiss a 0", "keymiss b 0"])
    }

    @Test func aNewKeyIsAnnouncedBeforeWhatWasDoneWithIt() {
        let seen = events([.newKey, .string, .list, .generic], [
            ["SET", "old", "2"], ["SET", "k", "1"], ["RPUSH", "l", "a"], ["RPUSH", "l", "b"], ["RENAME", "k", "m"],
            ["SELECT", "1"], ["SET", "k", "1"],
        ])
        #expect(seen == ["set old 0", "new k 0", "set k 0", "new l 0", "rpush l 0", "rpush l 0", "new m 0",
                         "rename_from k 0", "rename_to m 0", "new k 1", "set k 1"])
    }

    @Test func anEmptyResultDeletesADestinationThatIsPastItsTime() {
        for request in [["SINTERSTORE", "d", "none"], ["ZUNIONSTORE", "d", "1", "none"], ["BITOP", "AND", "d", "none"],
                        ["SORT", "none", "STORE", "d"], ["GEOSEARCHSTORE", "d", "none", "FROMLONLAT", "1", "1",
                                                         "BYRADIUS", "1", "m"]] {
            let bare = BareEngine()
            bare.run("SET", "d", "1", "PX", "10")
            bare.engine.keyspace.now = UnixMilliseconds(bare.engine.keyspace.now.rawValue + 20)
            let seen = recorded(bare, [.generic, .expired], [request])
            #expect(seen == ["del d 0"], "\(request)")
            #expect(bare.engine.keyspace.statistics.expiredKeys == 0)
        }
    }

    @Test func aFieldThatCouldNotBeSetIsNoEvent() {
        let bare = BareEngine()
        let seen = recorded(bare, [.string, .generic, .newKey], [
            ["BITFIELD", "b", "OVERFLOW", "FAIL", "INCRBY", "u2", "8", "4"],
            ["BITFIELD", "c", "OVERFLOW", "FAIL", "INCRBY", "u2", "8", "4", "SET", "u2", "0", "1"],
        ])
        #expect(seen == ["new b 0", "new c 0", "setbit c 0"])
        #expect(bare.run("STRLEN", "b") == ":2\r\n")
    }

    private func recorded(_ bare: BareEngine, _ classes: EventClass, _ requests: [[String]]) -> [String] {
        var seen: [String] = []
        bare.engine.notifyClasses = classes
        bare.engine.onKeyEvent = { event in
            seen.append("\(event.event) \(String(decoding: event.key, as: UTF8.self)) \(event.database)")
        }
        for request in requests { bare.run(request, bare.session) }
        return seen
    }

    @Test func withoutListenersNothingIsKept() {
        let bare = BareEngine()
        bare.run("GET", "none")
        bare.run("SET", "k", "1")
        let isEmpty = bare.engine.keyspace.sightings.isEmpty
        #expect(isEmpty)
    }
}
