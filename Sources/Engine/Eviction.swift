import Commands
import Keyspace
import Primitives

// Eviction: keys are given up when memory runs out.
//
//     before a command → used > maxmemory? → evict for a moment → enough | goes on between ticks | nothing left
//
// Which key goes is decided on samples. A pool keeps the best candidates of all samples so far, ordered from the
// least to the most dispensable, so that the choice approaches the true order without a list of all keys.
//
// Invariants
//  1. Nothing is evicted while data is loaded or replayed, inside a transaction, or while clients are paused: the
//     data set then changes only by what is executed.
//  2. An evicted key is logged as DEL (UNLINK), counted and announced like one that a client deleted; no reply shows
//     its absence before that record is durable.
//  3. The pool names keys, it does not own them: each is looked up again before it is evicted.

/// Which keys may go, and which of them first.
package struct EvictionPolicy: Sendable, Equatable {
    package enum Order: Sendable { case leastRecent, leastFrequent, random, soonestExpired }
    package let order: Order
    /// Only keys with an expire.
    package let spares: Bool

    package init(_ order: Order, sparesPersistentKeys: Bool) {
        self.order = order
        spares = sparesPersistentKeys
    }
}

package struct Eviction {
    /// Bytes; 0: no limit.
    package private(set) var limit = 0
    /// nil: no key is ever given up.
    package var policy: EvictionPolicy? {
        didSet { if policy != oldValue { pool.removeAll() } }
    }
    package var samples = 5
    /// `maxmemory-eviction-tenacity`, 0 … 100.
    package var tenacity = 10
    package var isLazy = false
    /// Clients are paused, or we are a replica that leaves it to its primary.
    package var rests = false
    /// The last round ended by its time: another one is due.
    package fileprivate(set) var isUnderway = false
    /// Monotonic nanoseconds since when more memory is used than allowed; 0: it isn't.
    package fileprivate(set) var exceededSince: UInt64 = 0
    package fileprivate(set) var exceededNanoseconds: UInt64 = 0
    fileprivate var pool: [Candidate] = []
    fileprivate var nextDatabase = 0

    package mutating func resetStatistics() {
        exceededSince = 0
        exceededNanoseconds = 0
    }

    /// A lower limit is obeyed soon, though no command comes.
    package mutating func limitChanged(to newLimit: Int) {
        if limit == newLimit { return }
        limit = newLimit
        isUnderway = newLimit != 0
    }

    /// Nanoseconds that one round may take; nil: as long as it needs.
    fileprivate var budget: UInt64? {
        if tenacity >= 100 { return nil }
        if tenacity <= 10 { return UInt64(max(tenacity, 0)) * 50_000 }
        var budget = 500_000.0
        for _ in 10..<tenacity { budget *= 1.15 }
        return UInt64(budget)
    }

    fileprivate struct Candidate {
        /// Higher: better to do without.
        var score: UInt64
        var key: [UInt8]
        var database: Int
    }

    fileprivate static let poolSize = 16

    /// Keeps the candidate if the pool has room or something less dispensable in it.
    fileprivate mutating func offer(_ score: UInt64, _ key: Bytes, _ database: Int) {
        if pool.count == Self.poolSize, score <= pool[0].score { return }
        let isKnown = pool.contains { candidate in
            candidate.score == score && candidate.database == database && candidate.key.elementsEqual(key)
        }
        if isKnown { return }
        if pool.count == Self.poolSize { pool.removeFirst() }
        let place = pool.firstIndex { $0.score > score } ?? pool.count
        pool.insert(Candidate(score: score, key: Array(key), database: database), at: place)
    }
}

/// What became of an attempt to get below the limit.
package enum EvictionResult { case enough, underway, nothingLeft }

extension Engine {
    /// More than `maxmemory` is in use and nothing can be done about it. Evicts what it may.
    @inline(__always)
    package func memoryIsExhausted() -> Bool {
        eviction.limit != 0 && makeRoom() == .nothingLeft
    }

    /// Bytes in use that count: not what the log has yet to write, which eviction itself adds to.
    package var countedMemory: Int { max(0, usedMemory() - logMemory) }

    /// Bytes for records that the log has yet to write, beyond what it takes when there are none.
    package var logMemory: Int { max(0, pendingLog.capacity - Engine.usualLogBytes) + uncountedMemory() }

    @inline(never)
    package func makeRoom() -> EvictionResult {
        if state.isLoading || isInUnit || eviction.rests { return .enough }
        switch keyspace.expiryPolicy {
        case .delete: break
        case .hide, .ignore: return .enough
        }
        let excess = usedMemory() <= eviction.limit ? 0 : countedMemory - eviction.limit
        let result = excess <= 0 ? .enough : eviction.policy.map { evict(excess, $0) } ?? .nothingLeft
        eviction.isUnderway = result == .underway
        noteExcess(result)
        return result
    }

    private func noteExcess(_ result: EvictionResult) {
        switch result {
        case .enough:
            if eviction.exceededSince == 0 { return }
            eviction.exceededNanoseconds &+= monotonicNow &- eviction.exceededSince
            eviction.exceededSince = 0
        case .underway, .nothingLeft:
            if eviction.exceededSince == 0 { eviction.exceededSince = max(monotonicNow, 1) }
        }
    }

    private func evict(_ excess: Int, _ policy: EvictionPolicy) -> EvictionResult {
        let began = monotonicNow, budget = eviction.budget
        let target = usedMemory() - excess
        var setAside = 0, count = 0
        var result = EvictionResult.enough
        keyspace.stamps.begin()
        // What the evicted keys' records add is not counted, nor is what waits for the background thread.
        let logBefore = pendingLog.capacity
        while usedMemory() - setAside - (pendingLog.capacity - logBefore) > target {
            guard let (entry, hash, database) = nextToEvict(policy) else {
                result = .nothingLeft
                break
            }
            setAside += evict(entry, hash, database)
            count += 1
            if count & 15 == 0, let budget, monotonicNow &- began > budget {
                result = .underway
                break
            }
        }
        keyspace.stamps.wrote(upTo: logEnd)
        if !keyspace.garbage.isEmpty { releaseGarbage?() }
        if !readyKeys.isEmpty && !isServing {
            // Whose command is about to run goes on being the current client.
            let before = current
            serveReadyKeys()
            current = before
        }
        noteLatency("eviction-cycle", since: began)
        return result
    }

    private func evict(_ entry: Entry, _ hash: UInt64, _ database: Int) -> Int {
        let key = OwnedBytes(copying: entry.key)
        let began = latencyMonitor.isOn ? monotonicNow : 0
        let setAside = keyspace.evict(entry, hash, in: database, lazily: eviction.isLazy)
        if began != 0 { noteLatency("eviction-del", since: began) }
        if isLogging { logRemoval(key.bytes, database, eviction.isLazy ? "UNLINK" : "DEL") }
        announce(KeyEvent(key: key.bytes, database: database, eventClass: .evicted, event: "evicted",
                          changesKey: true))
        return setAside
    }

    // MARK: Which key

    private func nextToEvict(_ policy: EvictionPolicy) -> (Entry, UInt64, Int)? {
        switch policy.order {
        case .random: return randomVictim(policy)
        case .leastRecent, .leastFrequent, .soonestExpired: return bestVictim(policy)
        }
    }

    private func candidates(_ database: Int, _ policy: EvictionPolicy) -> HashTable<EntryElement> {
        policy.spares ? keyspace.databases[database].expires : keyspace.databases[database].keys
    }

    /// Databases take turns.
    private func randomVictim(_ policy: EvictionPolicy) -> (Entry, UInt64, Int)? {
        for _ in 0..<keyspace.databaseCount {
            let database = eviction.nextDatabase % keyspace.databaseCount
            eviction.nextDatabase = database + 1
            if let element = candidates(database, policy).randomElement() {
                let entry = Entry(element)
                return (entry, keyspace.databases[database].keys.hash(entry.key), database)
            }
        }
        return nil
    }

    private func bestVictim(_ policy: EvictionPolicy) -> (Entry, UInt64, Int)? {
        while true {
            var keys = 0
            for database in 0..<keyspace.databaseCount {
                let table = candidates(database, policy)
                if table.count == 0 { continue }
                keys += table.count
                table.sample(eviction.samples) {
                    let entry = Entry($0)
                    eviction.offer(score(entry, policy), entry.key, database)
                }
            }
            if keys == 0 { return nil }
            while let candidate = eviction.pool.popLast() {
                let table = candidates(candidate.database, policy)
                let found = candidate.key.withUnsafeBytes { key -> (Entry, UInt64)? in
                    let hash = table.hash(key)
                    return table.find(key, hash).map { (Entry($0), hash) }
                }
                if let found { return (found.0, found.1, candidate.database) }
            }
        }
    }

    private func score(_ entry: Entry, _ policy: EvictionPolicy) -> UInt64 {
        switch policy.order {
        case .leastRecent, .random: UInt64((keyspace.accessClock &- entry.access) & 0xff_ffff)
        case .leastFrequent: UInt64(255 - keyspace.lfu.counter(entry.access, keyspace.accessClock))
        case .soonestExpired: UInt64.max - UInt64(clamping: entry.expire?.rawValue ?? Int64.max)
        }
    }
}
