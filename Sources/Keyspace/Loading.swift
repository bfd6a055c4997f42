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
    package func access(idleSeconds: UInt64?, frequency: UInt8?) -> UInt32? {
        if usesLFU { return frequency.map { LFU.minutes(accessClock) << 8 | UInt32($0) } }
        guard let idleSeconds else { return nil }
        return (accessClock &- UInt32(min(idleSeconds, 0xff_ffff))) & 0xff_ffff
    }
}
