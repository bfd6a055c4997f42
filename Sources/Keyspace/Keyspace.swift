import Encodings
import Primitives

// The keyspace: all databases and what every access to a key goes through.
//
// Each access names its intent. `find` hides keys whose time has come (and deletes them, on a primary), keeps the
// LRU/LFU field, counts hits and misses, and notes the key's *durability stamp*: the log offset of the last write
// to it. The engine compares the stamp of what a command read with the log's durable offset to decide whether the
// reply may go out at once.
//
// Entries may move (see Entry.swift): a handle is good until the next change of the same key; functions that may
// move an entry return the new handle.

/// Why a key is looked up.
package enum Access {
    /// For a reply: counts a hit or a miss and refreshes LRU/LFU.
    case read
    /// To change it: refreshes LRU/LFU.
    case write
    /// For a reply about the key, not its value (EXISTS, TTL, TYPE, OBJECT): counts, but is no use of the value.
    case glance
    /// To look without leaving a trace (DEBUG, deletion).
    case peek
}

/// What becomes of a key whose time has come when it is looked up.
package enum ExpiryPolicy: Sendable {
    /// Primary: it is deleted and reported in `expired`.
    case delete
    /// Replica: it is hidden; the primary's DEL removes it.
    case hide
    /// Loading, or replaying the log: keys are as they are.
    case ignore
}

package struct KeyspaceStatistics: Sendable {
    package var hits = 0
    package var misses = 0
    package var expiredKeys = 0
    package var evictedKeys = 0
    package var expiredFields = 0
    /// Payloads of RESTORE that were gone through to the last element.
    package var payloadsChecked = 0
    package init() {}
}

package struct Keyspace: ~Copyable {
    package let databases: UnsafeMutablePointer<Database>
    package let databaseCount: Int
    package let context: UnsafeMutablePointer<HashContext>
    private let ownsContext: Bool
    /// The time all of a command, transaction or script sees.
    package var now = UnixMilliseconds(0)
    package var thresholds = Thresholds()
    package var expiryPolicy = ExpiryPolicy.delete
    /// What a touched entry's access field becomes: the LRU clock (seconds, 24 bits), when `usesLFU` is false.
    package var accessClock: UInt32 = 0
    package var usesLFU = false
    /// False: only changes refresh the access field (eviction by the time of the last change).
    package var readsAreUses = true
    package var lfu = LFU()
    /// CLIENT NO-TOUCH: reads leave the access field alone.
    package var noTouch = false
    package var statistics = KeyspaceStatistics()
    /// Keys that lookups found expired and deleted, for the engine to log and announce before the command's own
    /// effects: repeated (u32 database, u32 length, key).
    package var expired = OwnedBytes()
    /// Likewise hash fields: repeated (u32 database, u32 key length, u32 fields, u32 1 if the key is gone; key; then
    /// u32 length and bytes of each field).
    package var expiredFields = OwnedBytes()
    /// Values and tables set aside for the background thread, see Garbage.swift.
    package var garbage = OwnedBytes()
    package var stamps = DurabilityStamps()
    package var sightings = KeySightings()
    /// Of the running command's first key, if it was computed ahead.
    package var knownHash = KnownHash()
    /// Of DUMP.
    package var compressor = LZFCompressor()
    /// RESTORE takes payloads whose checksum is wrong.
    package var believesChecksums = false

    package init(databaseCount: Int, seed: HashSeed, random: RandomSource) {
        context = .allocate(capacity: 1)
        ownsContext = true
        context.initialize(to: HashContext(seed: seed, random: random))
        self.databaseCount = databaseCount
        databases = .allocate(capacity: databaseCount)
        for index in 0..<databaseCount { (databases + index).initialize(to: Database(index: index, context)) }
    }

    /// A keyspace without databases, in which values for another one are made, on any thread.
    /// - Parameter context: of the other one, which lives longer. It is only read.
    package init(makingValuesFor context: UnsafeMutablePointer<HashContext>, _ thresholds: Thresholds) {
        self.context = context
        ownsContext = false
        databaseCount = 0
        databases = .allocate(capacity: 0)
        self.thresholds = thresholds
    }

    deinit {
        for index in 0..<databaseCount { databases[index].destroy() }
        databases.deallocate()
        if ownsContext { context.deallocate() }
    }

    package var hasExpiredKeys: Bool {
        // Borrowed, the keyspace would be copied, 400 bytes a command.
        @inline(__always) mutating get { expired.count | expiredFields.count != 0 }
    }

    // MARK: Finding

    /// The entry of `key`, nil if there is none or its time has come.
    @inline(__always)
    package mutating func find(_ key: Bytes, in database: Int, _ access: Access) -> Entry? {
        let hash = hash(key)
        stamps.note(hash)
        return find(key, hash, in: database, access)
    }

    @inline(__always)
    package mutating func find(_ key: Bytes, _ hash: UInt64, in database: Int, _ access: Access) -> Entry? {
        guard let element = databases[database].keys.find(key, hash) else {
            countMiss(key, database, access)
            return nil
        }
        let entry = Entry(element)
        if entry.hasExpire && isExpired(entry) && expire(entry, hash, in: database) {
            countMiss(key, database, access)
            return nil
        }
        switch access {
        case .read:
            statistics.hits += 1
            if readsAreUses { touch(entry) }
        case .glance: statistics.hits += 1
        case .write: touch(entry)
        case .peek: break
        }
        return entry
    }

    @inline(__always)
    private mutating func countMiss(_ key: Bytes, _ database: Int, _ access: Access) {
        switch access {
        case .read, .glance:
            statistics.misses += 1
            if sightings.notesMisses { sightings.add(key, database, isNew: false) }
        case .write, .peek: break
        }
    }

    @inline(__always)
    package func isExpired(_ entry: Entry) -> Bool {
        guard let expire = entry.expire else { return false }
        return expiryPolicy != .ignore && expire <= now && expire.rawValue >= 0
    }

    /// Deletes or hides; true when the key is gone for the caller.
    @inline(never)
    private mutating func expire(_ entry: Entry, _ hash: UInt64, in database: Int) -> Bool {
        switch expiryPolicy {
        case .ignore: return false
        case .hide: return true
        case .delete:
            deleteExpired(entry, hash, in: database)
            return true
        }
    }

    /// Deletes a key whose time has come and reports it in `expired`.
    package mutating func deleteExpired(_ entry: Entry, _ hash: UInt64, in database: Int) {
        statistics.expiredKeys += 1
        reportExpired(entry.key, in: database)
        databases[database].unlink(entry, hash)
        discard(entry, lazily: thresholds.lazyfreeLazyExpire)
    }

    package mutating func reportExpired(_ key: Bytes, in database: Int) {
        expired.append(uninitialized: 8) {
            $0.storeBytes(of: UInt32(database), as: UInt32.self)
            $0.storeBytes(of: UInt32(key.count), toByteOffset: 4, as: UInt32.self)
        }
        expired.append(key)
    }

    @inline(__always)
    private mutating func touch(_ entry: Entry) {
        if noTouch { return }
        entry.access = usesLFU ? lfu.touched(entry.access, accessClock, &context.pointee.random) : accessClock
    }

    // MARK: Changing

    /// Sets `key` to a string, replacing whatever it held. Int-encodes canonical integers.
    /// - Parameters:
    ///   - keepExpire: false drops the key's expire, as SET does.
    ///   - expire: the key's expire from now on.
    @discardableResult
    package mutating func setString(_ key: Bytes, to value: Bytes, in database: Int, keepExpire: Bool,
                                    expire: UnixMilliseconds? = nil) -> Entry {
        let hash = hash(key)
        stamps.note(hash)
        var old = databases[database].keys.find(key, hash).map { Entry($0) }
        if let present = old, present.hasExpire, isExpired(present), self.expire(present, hash, in: database) {
            old = nil
        }
        let integer = value.count <= 20 ? Decimal.parseInt64(value) : nil
        if let old, old.type == .string, expire == nil ? keepExpire || !old.hasExpire : old.hasExpire,
           overwrite(old, value, integer) {
            if let expire { old.storeExpire(expire) }
            // Nothing reads the old value's access history: a set is an access.
            old.access = freshAccess
            return old
        }
        let expire = expire ?? (keepExpire ? old?.expire : nil)
        let new = makeString(key, value, integer, expire, old.map { usesLFU ? $0.access : accessClock } ?? freshAccess)
        if let old { replace(old, with: new, hash, in: database) } else { insert(new, hash, in: database) }
        return new
    }

    /// Overwrites in place where the layout allows it, at no allocation.
    private func overwrite(_ entry: Entry, _ value: Bytes, _ integer: Int64?) -> Bool {
        if let integer {
            guard entry.encoding == .int else { return false }
            entry.integer = integer
            return true
        }
        if value.count <= Entry.embedLimit {
            return entry.overwriteEmbedded(value, encoding: value.count <= 44 ? .embstr : .raw)
        }
        guard !entry.isEmbedded, entry.encoding == .raw else { return false }
        let block = StringBlock(entry.pointer)
        let room = Heap.usableSize(block.base) - 8
        guard value.count <= room, value.count >= room / 2 else { return false }
        if let source = value.baseAddress { block.start.copyMemory(from: source, byteCount: value.count) }
        block.base.storeBytes(of: value.count, as: Int.self)
        return true
    }

    func makeString(_ key: Bytes, _ value: Bytes, _ integer: Int64?, _ expire: UnixMilliseconds?,
                            _ access: UInt32) -> Entry {
        if let integer {
            return .pointing(key, .string, .int, payload: UInt64(bitPattern: integer), expire: expire, access: access)
        }
        if value.count <= Entry.embedLimit {
            return .embedding(key, value, expire: expire, access: access, encoding: value.count <= 44 ? .embstr : .raw)
        }
        return .pointing(key, .string, .raw, payload: UInt64(UInt(bitPattern: StringBlock.create(value).base)),
                         expire: expire, access: access)
    }

    /// Puts `new`, which has the same key, in place of `old`, whose value is freed.
    private mutating func replace(_ old: Entry, with new: Entry, _ hash: UInt64, in database: Int) {
        if old.hasFieldExpires {
            _ = databases[database].fieldExpires.remove(old.key, hash)
            old.flags &= ~Entry.fieldExpiresFlag
        }
        if !old.isEmbedded { discardValue(old, lazily: thresholds.lazyfreeLazyServerDel) }
        databases[database].swap(old, for: new, hash)
    }

    var freshAccess: UInt32 { usesLFU ? LFU.initial(accessClock) : accessClock }

    /// Adds or replaces `key` with a value built elsewhere.
    /// - Parameter expire: the key's expire from now on; nil: none.
    @discardableResult
    package mutating func set(_ key: Bytes, to value: consuming Value, in database: Int,
                              expire: UnixMilliseconds? = nil) -> Entry {
        let hash = hash(key)
        stamps.note(hash)
        let new = makeEntry(key, value, expire)
        var old = databases[database].keys.find(key, hash).map { Entry($0) }
        if let present = old, present.hasExpire, isExpired(present), self.expire(present, hash, in: database),
           expiryPolicy == .delete {
            old = nil
        }
        if let old {
            replace(old, with: new, hash, in: database)
        } else {
            insert(new, hash, in: database)
        }
        noteFieldExpires(new, hash, in: database)
        return new
    }

    /// A hash with expiring fields is listed with its database.
    func noteFieldExpires(_ entry: Entry, _ hash: UInt64, in database: Int) {
        guard entry.type == .hash, HashValue(entry).minimumExpire != nil else { return }
        entry.flags |= Entry.fieldExpiresFlag
        databases[database].fieldExpires.insert(entry.base, hash)
    }

    func makeEntry(_ key: Bytes, _ value: consuming Value, _ expire: UnixMilliseconds?) -> Entry {
        let type = value.type, encoding = value.encoding
        if type == .string, encoding != .int {
            let block = StringBlock(value.pointer)
            if block.count <= Entry.embedLimit {
                return .embedding(key, block.bytes, expire: expire, access: freshAccess, encoding: encoding)
            }
        }
        return .pointing(key, type, encoding, payload: value.release(), expire: expire, access: freshAccess)
    }

    /// Removes `key`; false if there was none. An expired key counts as none (and is removed as expired).
    package mutating func delete(_ key: Bytes, in database: Int, lazily: Bool) -> Bool {
        let hash = hash(key)
        stamps.note(hash)
        guard let entry = find(key, hash, in: database, .peek) else { return false }
        databases[database].unlink(entry, hash)
        discard(entry, lazily: lazily)
        return true
    }

    /// Removes what an empty result takes the place of, though its time may have come: it isn't told as expired then.
    package mutating func removeReplaced(_ key: Bytes, in database: Int) -> Bool {
        let hash = hash(key)
        stamps.note(hash)
        guard let entry = databases[database].keys.find(key, hash).map({ Entry($0) }) else { return false }
        databases[database].unlink(entry, hash)
        discard(entry, lazily: thresholds.lazyfreeLazyServerDel)
        return true
    }

    /// Removes an entry just found, for example a list that became empty.
    package mutating func delete(_ entry: Entry, in database: Int) {
        databases[database].unlink(entry, databases[database].keys.hash(entry.key))
        discard(entry, lazily: false)
    }

    /// Sets the expire of an entry; it may move.
    @discardableResult
    package mutating func setExpire(_ entry: Entry, to at: UnixMilliseconds, in database: Int) -> Entry {
        if entry.hasExpire {
            entry.storeExpire(at)
            return entry
        }
        return rebuilt(entry, expire: at, in: database)
    }

    /// Drops the expire of an entry, if it has one; it may move.
    @discardableResult
    package mutating func removeExpire(_ entry: Entry, in database: Int) -> Entry {
        entry.hasExpire ? rebuilt(entry, expire: nil, in: database) : entry
    }

    private mutating func rebuilt(_ entry: Entry, expire: UnixMilliseconds?, in database: Int) -> Entry {
        let hash = databases[database].keys.hash(entry.key)
        let new: Entry = entry.isEmbedded
            ? .embedding(entry.key, entry.stringBytes, expire: expire, access: entry.access, encoding: entry.encoding)
            : .pointing(entry.key, entry.type, entry.encoding, payload: entry.payload, expire: expire,
                        access: entry.access)
        if entry.hasFieldExpires { new.flags |= Entry.fieldExpiresFlag }
        databases[database].swap(entry, for: new, hash)
        return new
    }

    /// Tells the database that a hash now has (or no longer has) fields with an expire.
    package mutating func setFieldExpires(_ entry: Entry, _ present: Bool, in database: Int) {
        guard entry.hasFieldExpires != present else { return }
        let hash = databases[database].keys.hash(entry.key)
        if present {
            entry.flags |= Entry.fieldExpiresFlag
            databases[database].fieldExpires.insert(entry.base, hash)
        } else {
            entry.flags &= ~Entry.fieldExpiresFlag
            _ = databases[database].fieldExpires.remove(entry.key, hash)
        }
    }

    /// A string entry's bytes as a block that may be written in place (APPEND, SETRANGE, SETBIT): makes it encoding
    /// raw, not embedded, and at least `count` long, zero-filled. The entry may move.
    package mutating func writableString(_ entry: Entry, count: Int, in database: Int) -> (Entry, StringBlock) {
        if !entry.isEmbedded && entry.encoding == .raw {
            var block = StringBlock(entry.pointer)
            if count > block.count {
                block = block.resized(to: count)
                entry.pointer = block.base
            }
            return (entry, block)
        }
        let block = withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) { scratch -> StringBlock in
            StringBlock.create(entry.string(scratch.baseAddress.unsafelyUnwrapped))
        }.resized(to: max(count, entry.stringCount))
        let new = Entry.pointing(entry.key, .string, .raw, payload: UInt64(UInt(bitPattern: block.base)),
                                 expire: entry.expire, access: entry.access)
        databases[database].swap(entry, for: new, databases[database].keys.hash(entry.key))
        return (new, block)
    }

    // MARK: Taking away

    mutating func discard(_ entry: Entry, lazily: Bool) {
        if !entry.isEmbedded { discardValue(entry, lazily: lazily) }
        Heap.free(entry.base)
    }

    private mutating func discardValue(_ entry: Entry, lazily: Bool) {
        if lazily && Garbage.parts(entry) > Garbage.worthwhileParts {
            Garbage.add(type: entry.type, encoding: entry.encoding, payload: entry.payload, to: &garbage)
        } else {
            Value.destroy(entry.type, entry.encoding, entry.payload)
        }
    }
}
