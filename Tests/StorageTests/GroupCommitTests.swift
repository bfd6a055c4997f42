@testable import Storage
import Testing

/// When a group of writers begins its fsync. Times in microseconds here.
struct GroupCommitTests {
    /// A log that has seen fsyncs of `sync` and clients coming back `interval` apart; `group` of them were released at
    /// the time that is given back.
    private func seasoned(sync: Int64, interval: Int64, group: Int) -> (GroupCommit, Int64) {
        var commit = GroupCommit(), now: Int64 = 1_000_000
        for _ in 0..<64 {
            for _ in 0..<group {
                now += interval * 1000
                commit.came(1, at: now)
            }
            commit.began()
            now += sync * 1000
            commit.ended(after: sync * 1000, at: now)
        }
        return (commit, now)
    }

    @Test func aLoneClientNeverWaits() {
        var (commit, now) = seasoned(sync: 5000, interval: 10, group: 1)
        commit.came(1, at: now + 10_000)
        #expect(commit.patience(at: now + 10_000) == nil)
    }

    @Test func slowDiskTakesAllInOneGroup() {
        var (commit, now) = seasoned(sync: 5000, interval: 10, group: 50)
        for index in 1...50 {
            now += 10_000
            commit.came(1, at: now)
            #expect((commit.patience(at: now) == nil) == (index == 50))
        }
    }

    @Test func quickDiskTakesHalves() {
        var (commit, now) = seasoned(sync: 400, interval: 10, group: 50)
        for index in 1...25 {
            now += 10_000
            commit.came(1, at: now)
            #expect((commit.patience(at: now) == nil) == (index == 25))
        }
    }

    @Test func neverWaitsLongerThanAnFsyncTakes() throws {
        for (sync, interval) in [(5000, 10), (150, 10), (150, 100), (20, 5)] as [(Int64, Int64)] {
            var (commit, now) = seasoned(sync: sync, interval: interval, group: 50)
            now += 1000
            commit.came(1, at: now)
            guard let deadline = commit.patience(at: now) else { continue }
            #expect(deadline.rawValue <= now + sync * 1000)
            #expect(commit.patience(at: deadline.rawValue) == nil)
        }
    }

    @Test func clientsThatDoNotComeBackAreForgotten() {
        var (commit, now) = seasoned(sync: 5000, interval: 10, group: 50)
        commit.came(1, at: now)
        commit.began()
        now += 5_000_000
        commit.ended(after: 5_000_000, at: now)
        commit.came(1, at: now + 10_000)
        #expect(commit.patience(at: now + 10_000) == nil)
    }
}
