import Primitives

// Hash fields whose time has come.
//
// Any access to a hash that has expiring fields first removes the due ones, so that no command ever sees them; the
// expire cycle does the same for hashes that nobody asks for. Removals are reported in `expiredFields` for the engine
// to log (HDEL) and announce, before the command's own effects.

extension Keyspace {
    /// Removes the due fields of a hash; nil if none are left and the key is gone.
    package mutating func withoutDueFields(_ entry: Entry, in database: Int) -> Entry? {
        switch expiryPolicy {
        case .ignore, .hide: return entry
        case .delete: break
        }
        guard let time = HashValue(entry).minimumExpire, time <= now.rawValue else { return entry }
        return removeDueFields(entry, in: database, limit: .max)
    }

    /// At most `limit` due fields go; nil if the key is gone with the last one.
    package mutating func removeDueFields(_ entry: Entry, in database: Int, limit: Int) -> Entry? {
        var hash = HashValue(entry)
        var fields = OwnedBytes()
        let removed = hash.removeDue(now.rawValue, limit: limit) { field in
            fields.append(uninitialized: 4) { $0.storeBytes(of: UInt32(field.count), as: UInt32.self) }
            fields.append(field)
        }
        hash.store(entry)
        guard removed > 0 else { return entry }
        statistics.expiredFields += removed
        expiredFields.append(uninitialized: 16) {
            $0.storeBytes(of: UInt32(database), as: UInt32.self)
            $0.storeBytes(of: UInt32(entry.key.count), toByteOffset: 4, as: UInt32.self)
            $0.storeBytes(of: UInt32(removed), toByteOffset: 8, as: UInt32.self)
            $0.storeBytes(of: UInt32(hash.count == 0 ? 1 : 0), toByteOffset: 12, as: UInt32.self)
        }
        expiredFields.append(entry.key)
        expiredFields.append(fields.bytes)
        setFieldExpires(entry, hash.minimumExpire != nil, in: database)
        if hash.count > 0 { return entry }
        delete(entry, in: database)
        return nil
    }
}
