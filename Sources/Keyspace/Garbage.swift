import Primitives
import Encodings

// Lazy free: what is taken out of the keyspace and would take long to free is set aside as words in
// `Keyspace.garbage`, which whoever runs the keyspace gives to another thread.
//
//     u64 kind      type << 8 | encoding of a value, or `TableKind` << 32
//     u64 payload   as Entry.payload, or the table's address
//
// Invariant: nothing in the keyspace refers to what is in the garbage, so that freeing needs no lock.

package enum Garbage {
    static let recordBytes = 16
    /// A value of fewer parts than this is freed at once: handing it over would cost more.
    static let worthwhileParts = 64

    enum TableKind: UInt64 {
        /// Keys of a database: entries and values go with it.
        case keys = 1
        /// `expires` or `fieldExpires`: the table alone.
        case index = 2
    }

    static func add(type: ValueType, encoding: Encoding, payload: UInt64, to garbage: inout OwnedBytes) {
        append(UInt64(type.rawValue) << 8 | UInt64(encoding.rawValue), payload, to: &garbage)
    }

    static func add(table: HashTable<EntryElement>, _ kind: TableKind, to garbage: inout OwnedBytes) {
        append(kind.rawValue << 32, UInt64(UInt(bitPattern: table.rawPointer)), to: &garbage)
    }

    private static func append(_ kind: UInt64, _ payload: UInt64, to garbage: inout OwnedBytes) {
        garbage.append(uninitialized: recordBytes) {
            $0.storeBytes(of: kind, as: UInt64.self)
            $0.storeBytes(of: payload, toByteOffset: 8, as: UInt64.self)
        }
    }

    /// Visits the records of `bytes`: a value's (type, encoding, payload), or a table and what it is.
    private static func forEach(_ bytes: Bytes, value: (ValueType, Encoding, UInt64) -> Void,
                                table: (HashTable<EntryElement>, TableKind) -> Void) {
        var offset = 0
        while offset < bytes.count {
            let kind = bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            let payload = bytes.loadUnaligned(fromByteOffset: offset + 8, as: UInt64.self)
            offset += recordBytes
            if let tableKind = TableKind(rawValue: kind >> 32),
               let address = UnsafeMutableRawPointer(bitPattern: UInt(payload)) {
                table(HashTable(rawPointer: address), tableKind)
            } else if let type = ValueType(rawValue: UInt8(truncatingIfNeeded: kind >> 8)),
                      let encoding = Encoding(rawValue: UInt8(truncatingIfNeeded: kind)) {
                value(type, encoding, payload)
            }
        }
    }

    /// Number of values in `bytes`, each key of a whole table as one: what `lazyfree_pending_objects` counts.
    package static func objectCount(_ bytes: Bytes) -> Int {
        var count = 0
        forEach(bytes) { _, _, _ in count += 1 } table: { table, kind in
            if kind == .keys { count += table.count }
        }
        return count
    }

    /// Frees all of it. Any thread may, and only one does.
    package static func free(_ bytes: Bytes) {
        forEach(bytes) { type, encoding, payload in Value.destroy(type, encoding, payload) } table: { table, kind in
            switch kind {
            case .keys: table.destroy { Database.free(Entry($0)) }
            case .index: table.destroy { _ in }
            }
        }
    }

    /// About how many allocations freeing a value means.
    static func parts(_ entry: Entry) -> Int {
        switch entry.type {
        case .string, .module: return 1
        case .list: return entry.encoding == .quicklist ? Quicklist(entry.pointer).nodeCount : 1
        case .set: return entry.encoding == .hashtable ? SetValue(entry).count : 1
        case .sortedSet: return entry.encoding == .skiplist ? SortedSetValue(entry).count : 1
        case .hash: return entry.encoding == .hashtable ? HashValue(entry).count : 1
        case .stream: return StreamValue(entry).partCount
        }
    }
}
