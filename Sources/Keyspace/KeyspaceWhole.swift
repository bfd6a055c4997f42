import Primitives

// Operations on whole databases, and on keys that move between names and databases.
//
// Invariants
//  1. Nothing here leaves an entry in `expires` or `fieldExpires` that is not in `keys` of the same database.
//  2. An operation that changes keys nobody named tells the stamps, so that every reply waits for its record.

extension Keyspace {
    // MARK: Whole databases

    /// Removes all keys of a database; returns how many there were (with those whose time has come).
    /// - Parameter lazily: the tables are set aside in `garbage` as they are, which takes constant time.
    package mutating func flush(_ database: Int, lazily: Bool) -> Int {
        stamps.noteEverything()
        let place = databases + database
        let count = place.pointee.keys.count
        place.pointee.expiresCursor = 0
        place.pointee.fieldExpiresCursor = 0
        place.pointee.averageTTL = 0
        if lazily && count > 0 {
            Garbage.add(table: place.pointee.expires, .index, to: &garbage)
            Garbage.add(table: place.pointee.fieldExpires, .index, to: &garbage)
            Garbage.add(table: place.pointee.keys, .keys, to: &garbage)
            place.pointee.expires = .create(context)
            place.pointee.fieldExpires = .create(context)
            place.pointee.keys = .create(context)
        } else {
            place.pointee.expires.removeAll { _ in }
            place.pointee.fieldExpires.removeAll { _ in }
            place.pointee.keys.removeAll { Database.free(Entry($0)) }
        }
        return count
    }

    /// Removes all keys of all databases; returns how many there were.
    package mutating func flushAll(lazily: Bool) -> Int {
        var count = 0
        for database in 0..<databaseCount { count += flush(database, lazily: lazily) }
        return count
    }

    /// Exchanges the contents of two databases.
    package mutating func swap(_ first: Int, _ second: Int) {
        stamps.noteEverything()
        if first != second { databases[first].swapContents(with: databases + second) }
    }

    /// What was set aside to be freed elsewhere; see Garbage.swift.
    package mutating func takeGarbage() -> OwnedBytes {
        var taken = OwnedBytes(capacity: 16)
        Swift.swap(&taken, &garbage)
        return taken
    }

    /// Keys of all databases.
    package var keyCount: Int {
        var count = 0
        for database in 0..<databaseCount { count += databases[database].keys.count }
        return count
    }

    // MARK: Walks

    /// One call of SCAN: buckets are visited from `cursor` on until at least `count` keys were seen, or ten times as
    /// many buckets; returns the next cursor, 0 at the end. Keys whose time has come are not shown to `visit`, and
    /// on a primary deleted. `visit` must not change the keyspace.
    package mutating func scan(_ database: Int, from start: UInt64, count: Int, _ visit: (Entry) -> Void) -> UInt64 {
        stamps.noteEverything()
        var cursor = start, seen = 0, steps = count &* 10
        var dead: [UnsafeMutableRawPointer] = []
        let now = now, policy = expiryPolicy
        repeat {
            cursor = databases[database].keys.scan(cursor) { element in
                let entry = Entry(element)
                seen += 1
                if entry.hasExpire && policy.hides(entry, now) { dead.append(element) } else { visit(entry) }
            }
            steps &-= 1
            if !dead.isEmpty {
                for element in dead { removeIfPrimary(Entry(element), in: database) }
                dead.removeAll(keepingCapacity: true)
            }
        } while cursor != 0 && steps > 0 && seen < count
        return cursor
    }

    /// Visits every key whose time has not come. `visit` must not change the keyspace.
    package mutating func forEachKey(in database: Int, _ visit: (Entry) -> Void) {
        stamps.noteEverything()
        let now = now, policy = expiryPolicy
        databases[database].keys.forEach { element in
            let entry = Entry(element)
            if !(entry.hasExpire && policy.hides(entry, now)) { visit(entry) }
        }
    }

    /// A random key, each as likely as the others; nil: there is none. Keys whose time has come are deleted on the
    /// way; where they are only hidden, one may be returned after a hundred tries.
    package mutating func randomKey(in database: Int) -> Entry? {
        stamps.noteEverything()
        var tries = 100
        while let element = databases[database].keys.randomElement() {
            let entry = Entry(element)
            tries -= 1
            if !isExpired(entry) { return entry }
            switch expiryPolicy {
            case .delete: removeIfPrimary(entry, in: database)
            case .hide, .ignore: if tries == 0 { return entry }
            }
        }
        return nil
    }

    private mutating func removeIfPrimary(_ entry: Entry, in database: Int) {
        switch expiryPolicy {
        case .delete: deleteExpired(entry, databases[database].keys.hash(entry.key), in: database)
        case .hide, .ignore: break
        }
    }

    // MARK: Moving and copying

    /// Gives an entry another key, another database, or both; value, expire and access history stay. There must be
    /// no entry with that key there. The handle is void afterwards.
    package mutating func move(_ entry: Entry, from source: Int, to key: Bytes, in target: Int) {
        let old = databases[source].keys.hash(entry.key), hash = databases[target].keys.hash(key)
        let new: Entry = entry.isEmbedded
            ? .embedding(key, entry.stringBytes, expire: entry.expire, access: entry.access, encoding: entry.encoding)
            : .pointing(key, entry.type, entry.encoding, payload: entry.payload, expire: entry.expire,
                        access: entry.access)
        let hasFieldExpires = entry.hasFieldExpires
        databases[source].unlink(entry, old)
        Heap.free(entry.base)
        insert(new, hash, in: target)
        if hasFieldExpires { setFieldExpires(new, true, in: target) }
    }

    /// A copy of an entry's value; nil for values that can't be copied (modules').
    package func copyValue(of entry: Entry) -> Value? {
        switch entry.type {
        case .string:
            if entry.encoding == .int { return Value(integer: entry.integer) }
            return Value(.string, entry.encoding, StringBlock.create(entry.stringBytes).base)
        case .list: return ListValue(entry).copy().makeValue()
        case .set: return SetValue(entry).copy(context).makeValue()
        case .sortedSet: return SortedSetValue(entry).copy(context).makeValue()
        case .hash: return HashValue(entry).copy(context).makeValue()
        case .stream: return StreamValue(entry).copy().makeValue()
        case .module: return nil
        }
    }
}

extension ExpiryPolicy {
    /// Whether an entry with an expire is gone for whoever looks at `now`.
    @inline(__always)
    func hides(_ entry: Entry, _ now: UnixMilliseconds) -> Bool {
        guard let expire = entry.expire else { return false }
        return self != .ignore && expire <= now && expire.rawValue >= 0
    }
}

extension Database {
    /// Everything but the number changes places.
    mutating func swapContents(with other: UnsafeMutablePointer<Database>) {
        Swift.swap(&keys, &other.pointee.keys)
        Swift.swap(&expires, &other.pointee.expires)
        Swift.swap(&fieldExpires, &other.pointee.fieldExpires)
        Swift.swap(&expiresCursor, &other.pointee.expiresCursor)
        Swift.swap(&fieldExpiresCursor, &other.pointee.fieldExpiresCursor)
        Swift.swap(&averageTTL, &other.pointee.averageTTL)
    }
}
