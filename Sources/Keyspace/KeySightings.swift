import Primitives

/// Keys that lookups did not find and keys that were made, noted while somebody wants to be told (`keymiss` and `new`
/// of `notify-keyspace-events`): repeated (u32 database, u32 length, u32 1 if new, key).
package struct KeySightings: ~Copyable {
    package var notesMisses = false
    package var notesNew = false
    private var records = OwnedBytes(capacity: 16)

    package init() {}

    package var isEmpty: Bool { records.isEmpty }
    package mutating func removeAll() { records.removeAll() }

    mutating func add(_ key: Bytes, _ database: Int, isNew: Bool) {
        records.append(uninitialized: 12) {
            $0.storeBytes(of: UInt32(database), as: UInt32.self)
            $0.storeBytes(of: UInt32(key.count), toByteOffset: 4, as: UInt32.self)
            $0.storeBytes(of: isNew ? 1 : 0, toByteOffset: 8, as: UInt32.self)
        }
        records.append(key)
    }

    /// In the order in which they happened.
    package func forEach(_ visit: (_ key: Bytes, _ database: Int, _ isNew: Bool) -> Void) {
        let bytes = records.bytes
        var offset = 0
        while offset < bytes.count {
            let database = bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
            let length = Int(bytes.loadUnaligned(fromByteOffset: offset + 4, as: UInt32.self))
            let isNew = bytes.loadUnaligned(fromByteOffset: offset + 8, as: UInt32.self) == 1
            visit(Bytes(rebasing: bytes[(offset + 12)..<(offset + 12 + length)]), Int(database), isNew)
            offset += 12 + length
        }
    }
}

extension Keyspace {
    /// Adds a key that was not there.
    @inline(__always)
    mutating func insert(_ entry: Entry, _ hash: UInt64, in database: Int) {
        databases[database].insert(entry, hash)
        if sightings.notesNew { sightings.add(entry.key, database, isNew: true) }
    }
}
