import Commands
import Keyspace
import Primitives

// Active expiry: keys and hash fields whose time has come are deleted although nobody asks for them.
//
// Each database keeps a SCAN cursor of its `expires` table, which the cycle follows, so that every key gets its
// turn. A round looks at some keys; while a good part of them was due, another round follows at once, else the
// database is clean enough. Hashes with expiring fields are visited in the same way.
//
//     slow   hz times a second, up to a quarter of the time (more with effort)
//     fast   between ticks, for a millisecond, while the last slow cycle left too much behind
//
// Invariants
//  1. A removal goes the way of a lookup's: reported in `expired`, logged as DEL, announced, before anything else.
//  2. No cycle exceeds its budget by more than one round of one database.
//  3. The database at which the budget ended is followed by the next one: none starves.

package struct ExpireCycle {
    /// `active-expire-effort` less one: 0 … 9.
    package var effort = 0
    /// DEBUG SET-ACTIVE-EXPIRE.
    package var isEnabled = true
    /// Share of the looked-at keys that were due, 0 … 1, smoothed over cycles.
    package private(set) var staleShare = 0.0
    /// Times that a cycle's budget ended before its work.
    package private(set) var timeCapReached = 0
    package private(set) var nanosecondsSpent: UInt64 = 0
    /// The last cycle left too much behind.
    fileprivate(set) var leftMuchBehind = false
    fileprivate var nextDatabase = 0
    /// Keys and fields take turns in going first, so that neither starves the other.
    fileprivate var fieldsFirst = false
    fileprivate var lastFast: UInt64 = 0
    /// Addresses of due entries of one bucket; kept to be used again.
    fileprivate var due: [UnsafeMutableRawPointer] = []

    fileprivate var keysPerRound: Int { 20 + 5 * effort }
    /// Percent of due keys in a round that are not worth another one.
    fileprivate var acceptablePercent: Int { max(10 - effort, 1) }
    fileprivate var fastNanoseconds: UInt64 { UInt64(1_000_000 + 250_000 * effort) }

    package func slowNanoseconds(hz: Int) -> UInt64 {
        UInt64((25 + 2 * effort) * 10_000_000 / max(hz, 1))
    }

    package mutating func resetStatistics() {
        staleShare = 0
        timeCapReached = 0
        nanosecondsSpent = 0
    }

    fileprivate mutating func account(looked: Int, due: Int, spent: UInt64, hitLimit: Bool) {
        let share = looked == 0 ? 0 : Double(due) / Double(looked)
        staleShare = share * 0.05 + staleShare * 0.95
        nanosecondsSpent &+= spent
        if hitLimit { timeCapReached += 1 }
        leftMuchBehind = hitLimit || share * 100 > Double(acceptablePercent)
    }
}

extension Engine {
    /// One cycle on the server's timer.
    package func runSlowExpireCycle(hz: Int) {
        guard mayExpire else { return }
        runExpireCycle(budget: expireCycle.slowNanoseconds(hz: hz))
    }

    /// Whether a fast cycle is worth a call.
    @inline(__always)
    package var wantsFastExpireCycle: Bool { expireCycle.leftMuchBehind }

    /// A short cycle between ticks; not more often than every second budget.
    package func runFastExpireCycle() {
        let now = monotonicNow, budget = expireCycle.fastNanoseconds
        guard mayExpire, expireCycle.leftMuchBehind, now &- expireCycle.lastFast > budget * 2 else { return }
        expireCycle.lastFast = now
        runExpireCycle(budget: budget)
    }

    private var mayExpire: Bool {
        switch keyspace.expiryPolicy {
        case .delete: expireCycle.isEnabled && !state.isLoading
        case .hide, .ignore: false
        }
    }

    private func runExpireCycle(budget: UInt64) {
        let start = monotonicNow
        let deadline = start &+ budget
        var looked = 0, due = 0, hitLimit = false
        keyspace.stamps.begin()
        expireCycle.fieldsFirst.toggle()
        let fieldsFirst = expireCycle.fieldsFirst
        for _ in 0..<keyspace.databaseCount where !hitLimit {
            let database = expireCycle.nextDatabase % keyspace.databaseCount
            expireCycle.nextDatabase = database + 1
            if fieldsFirst { hitLimit = expireFields(database, deadline) }
            if !hitLimit { hitLimit = expireKeys(database, deadline, &looked, &due) }
            if !hitLimit && !fieldsFirst { hitLimit = expireFields(database, deadline) }
        }
        expireCycle.account(looked: looked, due: due, spent: monotonicNow &- start, hitLimit: hitLimit)
        if !readyKeys.isEmpty { serveReadyKeys() }
        noteLatency("expire-cycle", since: start)
    }

    // MARK: Keys

    /// Rounds of one database; true when the deadline ended them.
    private func expireKeys(_ database: Int, _ deadline: UInt64, _ looked: inout Int, _ due: inout Int) -> Bool {
        let place = keyspace.databases + database
        if place.pointee.expires.count == 0 {
            place.pointee.averageTTL = 0
            return false
        }
        var ttl = TTLSample()
        defer { ttl.blend(into: &place.pointee.averageTTL) }
        while place.pointee.expires.count > 0 {
            let round = expireRound(database, &ttl)
            looked += round.looked
            due += round.due
            if monotonicNow >= deadline { return true }
            if round.looked == 0 || round.due * 100 <= round.looked * expireCycle.acceptablePercent { break }
        }
        return false
    }

    private struct TTLSample {
        var sum: Int64 = 0
        var count: Int64 = 0

        /// A running mean; the first sample stands for itself.
        func blend(into mean: inout Int64) {
            guard count > 0 else { return }
            let new = sum / count
            mean = mean == 0 ? new : mean / 50 * 49 + new / 50
        }
    }

    /// Looks at a number of keys, or a bounded number of buckets, and deletes the due ones.
    private func expireRound(_ database: Int, _ ttl: inout TTLSample) -> (looked: Int, due: Int) {
        let place = keyspace.databases + database
        let now = keyspace.now.rawValue, wanted = expireCycle.keysPerRound
        var looked = 0, found = 0, buckets = wanted * 20
        var cursor = place.pointee.expiresCursor
        repeat {
            var due = expireCycle.due
            expireCycle.due = []
            cursor = place.pointee.expires.scan(cursor) { element in
                guard let expire = Entry(element).expire?.rawValue else { return }
                looked += 1
                if expire <= now {
                    due.append(element)
                } else {
                    let left = expire &- now
                    let (sum, overflow) = ttl.sum.addingReportingOverflow(left)
                    if !overflow { ttl.sum = sum; ttl.count += 1 }
                }
            }
            found += due.count
            for element in due {
                let entry = Entry(element), began = latencyMonitor.isOn ? monotonicNow : 0
                keyspace.deleteExpired(entry, place.pointee.keys.hash(entry.key), in: database)
                if began != 0 { noteLatency("expire-del", since: began) }
            }
            due.removeAll(keepingCapacity: true)
            expireCycle.due = due
            buckets -= 1
        } while looked < wanted && buckets > 0 && cursor != 0
        place.pointee.expiresCursor = cursor
        if keyspace.hasExpiredKeys { propagateExpired() }
        return (looked, found)
    }

    // MARK: Hash fields

    /// Rounds as those of keys, over the hashes with expiring fields; true when the deadline ended them.
    private func expireFields(_ database: Int, _ deadline: UInt64) -> Bool {
        while keyspace.databases[database].fieldExpires.count > 0 {
            let round = expireFieldsRound(database)
            if monotonicNow >= deadline { return true }
            if round.looked == 0 || round.due * 100 <= round.looked * expireCycle.acceptablePercent { break }
        }
        return false
    }

    private func expireFieldsRound(_ database: Int) -> (looked: Int, due: Int) {
        let place = keyspace.databases + database
        let now = keyspace.now.rawValue, wanted = expireCycle.keysPerRound
        var looked = 0, found = 0, buckets = wanted * 20
        var cursor = place.pointee.fieldExpiresCursor
        repeat {
            var due = expireCycle.due
            expireCycle.due = []
            cursor = place.pointee.fieldExpires.scan(cursor) { element in
                looked += 1
                if let first = HashValue(Entry(element)).minimumExpire, first <= now { due.append(element) }
            }
            found += due.count
            // What a large hash has beyond the limit is found again in its next turn.
            for element in due { _ = keyspace.removeDueFields(Entry(element), in: database, limit: 1000) }
            due.removeAll(keepingCapacity: true)
            expireCycle.due = due
            buckets -= 1
        } while looked < wanted && buckets > 0 && cursor != 0
        place.pointee.fieldExpiresCursor = cursor
        if keyspace.hasExpiredKeys { propagateExpired() }
        return (looked, found)
    }

    // MARK: Tables

    /// Moves buckets of tables that grow or shrink, so that they get done even when nobody uses them.
    /// - Parameter budget: nanoseconds.
    package func rehashTables(budget: UInt64) {
        let deadline = monotonicNow &+ budget
        for database in 0..<keyspace.databaseCount {
            let place = keyspace.databases + database
            let tables = [place.pointee.keys, place.pointee.expires, place.pointee.fieldExpires]
            for table in tables where table.isRehashing {
                while table.rehash(buckets: 100) {
                    if monotonicNow >= deadline || keyspace.context.pointee.avoidResize { return }
                }
            }
        }
    }
}
