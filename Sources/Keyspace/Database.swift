import Primitives

/// One numbered database: its keys, and the two indexes that active expiry samples. Changes go through `Keyspace`,
/// which sees to expiry, statistics and durability stamps.
package struct Database {
    package let index: Int
    package var keys: HashTable<EntryElement>
    /// The entries of `keys` that have an expire.
    package var expires: HashTable<EntryElement>
    /// The hashes of `keys` that have fields with an expire.
    package var fieldExpires: HashTable<EntryElement>
    /// Where the active expiry of keys stands, a SCAN cursor of `expires`; likewise for `fieldExpires`.
    package var expiresCursor: UInt64 = 0
    package var fieldExpiresCursor: UInt64 = 0
    /// Mean TTL as the last expire cycles estimated it, in ms.
    package var averageTTL: Int64 = 0

    init(index: Int, _ context: UnsafeMutablePointer<HashContext>) {
        self.index = index
        keys = .create(context)
        expires = .create(context)
        fieldExpires = .create(context)
    }

    func destroy() {
        expires.destroy { _ in }
        fieldExpires.destroy { _ in }
        keys.destroy { Database.free(Entry($0)) }
    }

    static func free(_ entry: Entry) {
        if !entry.isEmbedded { Value.destroy(entry.type, entry.encoding, entry.payload) }
        Heap.free(entry.base)
    }

    // MARK: Entries that move

    /// Puts `new` where `old` was; `old` is freed without its value.
    func swap(_ old: Entry, for new: Entry, _ hash: UInt64) {
        if let slot = keys.slot(old.key, hash) { slot.pointee = new.base }
        if old.hasExpire {
            if new.hasExpire {
                if let slot = expires.slot(old.key, hash) { slot.pointee = new.base }
            } else {
                _ = expires.remove(old.key, hash)
            }
        } else if new.hasExpire {
            expires.insert(new.base, hash)
        }
        if old.hasFieldExpires {
            if new.hasFieldExpires {
                if let slot = fieldExpires.slot(old.key, hash) { slot.pointee = new.base }
            } else {
                _ = fieldExpires.remove(old.key, hash)
            }
        }
        Heap.free(old.base)
    }

    func insert(_ entry: Entry, _ hash: UInt64) {
        keys.insert(entry.base, hash)
        if entry.hasExpire { expires.insert(entry.base, hash) }
    }

    /// Takes the entry out of all tables; it is the caller's.
    func unlink(_ entry: Entry, _ hash: UInt64) {
        if entry.hasExpire { _ = expires.remove(entry.key, hash) }
        if entry.hasFieldExpires { _ = fieldExpires.remove(entry.key, hash) }
        _ = keys.remove(entry.key, hash)
    }
}
