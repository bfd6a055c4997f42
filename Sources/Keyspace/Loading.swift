import Primitives

// Filling the keyspace from a snapshot: each key is hashed once and copied once, nothing is counted, looked up for
// expiry or stamped for durability.

extension Keyspace {
    /// Makes room before keys arrive; what is there already counts.
    package mutating func reserve(keys: Int, expires: Int, in database: Int) {
        databases[database].keys.reserve(keys)
        databases[database].expires.reserve(expires)
    }

    /// Adds a key that is not there yet.
    /// - Parameter access: the entry's LRU or LFU field; nil: as if accessed now.
    /// - Returns: false if there is such a key already; then nothing has changed and the value is gone.
    package mutating func load(_ key: Bytes, _ value: consuming Value, in database: Int, expire: UnixMilliseconds?,
                               access: UInt32?) -> Bool {
        let table = databases[database].keys
        let hash = table.hash(key)
        if table.find(key, hash) != nil { return false }
        let entry = makeEntry(key, value, expire)
        if let access { entry.access = access }
        databases[database].insert(entry, hash)
        noteFieldExpires(entry, hash, in: database)
        return true
    }

    /// As `load`, for a string, whose bytes go straight into the entry.
    package mutating func loadString(_ key: Bytes, _ value: Bytes, in database: Int, expire: UnixMilliseconds?,
                                     access: UInt32?) -> Bool {
        let table = databases[database].keys
        let hash = table.hash(key)
        if table.find(key, hash) != nil { return false }
        let integer = value.count <= 20 ? Decimal.parseInt64(value) : nil
        databases[database].insert(makeString(key, value, integer, expire, access ?? freshAccess), hash)
        return true
    }

    /// The access field of a key that was last used so many seconds ago, or with this LFU counter.
    package mutating func access(idleSeconds: UInt64?, frequency: UInt8?) -> UInt32? {
        if usesLFU { return frequency.map { LFU.minutes(accessClock) << 8 | UInt32($0) } }
        guard let idleSeconds else { return nil }
        return (accessClock &- UInt32(min(idleSeconds, 0xff_ffff))) & 0xff_ffff
    }

    // MARK: In two steps

    /// What `load` would add, made by a keyspace of its own (`init(makingValuesFor:_:)`).
    package mutating func make(_ key: Bytes, _ value: consuming Value, expire: UnixMilliseconds?,
                               access: UInt32?) -> LoadedKey {
        let entry = makeEntry(key, value, expire)
        if let access { entry.access = access }
        var made = LoadedKey(entry, SipHash.hash(key, context.pointee.seed))
        made.hasFieldExpires = entry.type == .hash && HashValue(entry).minimumExpire != nil
        return made
    }

    /// What `loadString` would add.
    package mutating func makeString(_ key: Bytes, _ value: Bytes, expire: UnixMilliseconds?,
                                     access: UInt32?) -> LoadedKey {
        let integer = value.count <= 20 ? Decimal.parseInt64(value) : nil
        return LoadedKey(makeString(key, value, integer, expire, access ?? freshAccess),
                         SipHash.hash(key, context.pointee.seed))
    }

    /// Asks for the memory of `add`.
    @inline(__always)
    package mutating func prefetch(_ made: LoadedKey, in database: Int) {
        databases[database].keys.prefetch(made.hash)
        if made.hasExpire { databases[database].expires.prefetch(made.hash) }
    }

    /// Takes over a key that is not there yet. Does not look at the entry itself, which is in another core's cache.
    /// - Returns: false if there is such a key already; then it stays the caller's.
    @inline(__always)
    package mutating func add(_ made: LoadedKey, in database: Int) -> Bool {
        guard databases[database].addMade(made) else { return false }
        if made.hasFieldExpires {
            made.entry.flags |= Entry.fieldExpiresFlag
            databases[database].fieldExpires.insert(made.entry.base, made.hash)
        }
        return true
    }
}

/// A key with its value that is in no database yet. Whoever has it adds it or discards it.
package struct LoadedKey {
    package let entry: Entry
    package let hash: UInt64
    package let hasExpire: Bool
    package fileprivate(set) var hasFieldExpires = false

    fileprivate init(_ entry: Entry, _ hash: UInt64) {
        self.entry = entry
        self.hash = hash
        hasExpire = entry.hasExpire
    }

    package func discard() { Database.free(entry) }
}

extension Database {
    @inline(__always)
    fileprivate func addMade(_ made: LoadedKey) -> Bool {
        guard keys.insertNew(made.entry.base, made.hash, key: { made.entry.key }) else { return false }
        if made.hasExpire { expires.insert(made.entry.base, made.hash) }
        return true
    }
}
