import Encodings
import Primitives

extension Entry {
    /// Bytes that the key and its value take, as the allocator rounds them, with the key's slots in tables of a usual
    /// fullness. Elements of big collections are not all visited: `samples` of them stand for the rest (0: all are).
    package func memoryBytes(samples: Int) -> Int {
        // A slot is 8 bytes of a bucket of 64 that is filled with about four.
        let slots = 16 * (1 + (hasExpire ? 1 : 0) + (hasFieldExpires ? 1 : 0))
        return slots + ownBytes(samples)
    }

    /// The same, with a key's share in its database's tables as they are.
    package func memoryBytes(in database: Database, samples: Int) -> Int {
        var bytes = ownBytes(samples) + MemoryUsage.share(database.keys.overheadBytes, database.keys.count)
        if hasExpire { bytes += MemoryUsage.share(database.expires.overheadBytes, database.expires.count) }
        if hasFieldExpires {
            bytes += MemoryUsage.share(database.fieldExpires.overheadBytes, database.fieldExpires.count)
        }
        return bytes
    }

    private func ownBytes(_ samples: Int) -> Int { MemoryUsage.block(base) + valueBytes(samples) }

    private func valueBytes(_ samples: Int) -> Int {
        if isEmbedded || encoding == .int { return 0 }
        switch type {
        case .string, .module: return MemoryUsage.block(pointer)
        case .stream: return StreamValue(self).allocatedBytes
        case .list: return encoding == .quicklist ? Quicklist(pointer).memoryBytes : MemoryUsage.block(pointer)
        case .set:
            return encoding == .hashtable ? MemoryUsage.table(SetValue(self).table, samples)
                : MemoryUsage.block(pointer)
        case .hash:
            guard encoding == .hashtable else { return MemoryUsage.block(pointer) }
            let fields = HashFields(pointer)
            return MemoryUsage.block(pointer) + MemoryUsage.table(fields.table, samples) + fields.expiringCount * 8
        case .sortedSet:
            guard encoding == .skiplist else { return MemoryUsage.block(pointer) }
            return MemoryUsage.block(pointer) + MemoryUsage.table(SortedSet(pointer).table, samples)
        }
    }
}

private enum MemoryUsage {
    /// As `Heap` counts it.
    static func block(_ pointer: UnsafeMutableRawPointer) -> Int { Heap.usableSize(pointer) }

    /// One key's part of a table. What a table keeps for keys that are gone is not the fault of those that are left.
    static func share(_ bytes: Int, _ count: Int) -> Int { min(bytes / max(count, 1), 32) }

    static func table<Element: HashElement>(_ table: HashTable<Element>, _ samples: Int) -> Int {
        var iterator = table.makeIterator()
        var seen = 0, bytes = 0
        while samples == 0 || seen < samples, let element = iterator.next() {
            bytes += block(element)
            seen += 1
        }
        if seen == 0 { return table.overheadBytes }
        return table.overheadBytes + Int(Double(bytes) / Double(seen) * Double(table.count))
    }
}
