import Primitives

// What eviction needs of the keyspace: samples of keys, and removal.

extension HashTable {
    /// Shows about `count` elements, those of neighbouring buckets from a random one on: cheaper than as many
    /// `randomElement`, and random enough to compare their ages. May show a few more, or fewer if the table is sparse.
    package func sample(_ count: Int, _ visit: (UnsafeMutableRawPointer) -> Void) {
        let total = self.count
        guard total > 0 else { return }
        let (size0, size1) = bucketCounts
        let first = isRehashing ? header.pointee.rehashIndex : 0
        let choices = size0 - first + size1
        var index = Int(context.pointee.random.next(below: UInt64(choices)))
        var seen = 0, steps = min(choices, count &* 10 &+ 10)
        while seen < min(count, total) && steps > 0 {
            let bucket = index + first
            let base = bucket < size0 ? buckets(0).unsafelyUnwrapped + bucket * Bucket.byteCount
                : buckets(1).unsafelyUnwrapped + (bucket - size0) * Bucket.byteCount
            Self.forEach(in: Bucket(base)) {
                visit($0)
                seen += 1
            }
            index = index + 1 == choices ? 0 : index + 1
            steps -= 1
        }
    }
}

extension Keyspace {
    /// Takes a key away for its memory; returns the bytes of what was set aside for the background thread, which
    /// `Heap.usedBytes` still counts. The key's durability slot is noted.
    package mutating func evict(_ entry: Entry, _ hash: UInt64, in database: Int, lazily: Bool) -> Int {
        statistics.evictedKeys += 1
        stamps.note(hash)
        let before = garbage.count
        let bytes = lazily && !entry.isEmbedded ? entry.memoryBytes(samples: 5) : 0
        databases[database].unlink(entry, hash)
        discard(entry, lazily: lazily)
        return garbage.count > before ? bytes : 0
    }
}
