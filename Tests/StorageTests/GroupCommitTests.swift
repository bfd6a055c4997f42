import Primitives
@testable import Storage
import Testing
import TestSupport
#if canImport(Glibc)
import Glibc
#endif

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

    /// The group waits, and the engine looks after the time; then nobody is to wait, and nobody had told the thread.
    @Test func aGroupThatWaitedWhenThePolicyChangedWasNeverWritten() throws {
        let disk = MemoryFileSystem()
        let file = try disk.open("data/log", .appendOrCreate)
        try disk.syncDirectory("data")
        let log = try AppendLog(disk, file, startingAt: LogOffset(0), policy: .always,
                                framing: TimestampFraming(enabled: false)) {}
        defer { log.close() }
        // The log thread is asleep by then.
        usleep(100_000)
        log.locked {
            var now = MonotonicNanoseconds.now().rawValue - 100_000_000
            for _ in 0..<50 {
                log.groupCommit.came(1, at: now)
                now += 2_000_000
            }
            log.groupCommit.began()
            log.groupCommit.ended(after: 10_000_000_000, at: MonotonicNanoseconds.now().rawValue)
        }
        var pending = OwnedBytes(capacity: 64)
        pending.append("line\n" as StaticString)
        #expect(log.flush(&pending, writers: 1), "the group is to wait")
        log.policy = .no
        var rounds = 0
        while log.writtenOffset < log.takenOffset && rounds < 20_000 {
            _ = log.flush(&pending)
            usleep(1000)
            rounds += 1
        }
        #expect(log.takenOffset == LogOffset(5) && log.writtenOffset == log.takenOffset)
    }
}
