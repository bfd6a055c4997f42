import Encodings
import Keyspace
import Primitives

// Sets.
//
//     2  set-hashtable  n, n strings
//     11 set-intset     an intset
//     20 set-listpack   a listpack

enum SetCodec {
    /// Nil: an empty set.
    static func decode(_ type: RDBType, _ input: inout RDBInput, _ keyspace: borrowing Keyspace, isThorough: Bool)
        throws(StorageError) -> Value? {
        if type == .setIntset { return try decodeIntset(&input, keyspace) }
        if type == .setListpack { return try decodeListpack(&input, keyspace, isThorough) }
        return try decodeMembers(&input, keyspace)
    }

    private static func decodeIntset(_ input: inout RDBInput, _ keyspace: borrowing Keyspace)
        throws(StorageError) -> Value {
        let blob = try input.string()
        guard Intset.validate(blob) else { throw input.corrupt("Intset integrity check failed.") }
        var set = SetValue(.intset, Intset.create(copying: blob).pointer)
        if set.count > keyspace.thresholds.setMaxIntsetEntries { set.convertToTable(keyspace.context) }
        return set.makeValue()
    }

    private static func decodeListpack(_ input: inout RDBInput, _ keyspace: borrowing Keyspace, _ isThorough: Bool)
        throws(StorageError) -> Value? {
        guard let pack = try input.listpack(stride: 1, name: "Set") else { return nil }
        var set = SetValue(.listpack, pack.pointer)
        let isTable = set.count > keyspace.thresholds.setMaxListpackEntries
        if isThorough || isTable {
            do throws(StorageError) {
                try input.checkDuplicates(pack, stride: 1, name: "Set listpack", keyspace)
            } catch {
                set.destroy()
                throw error
            }
        }
        if isTable { set.convertToTable(keyspace.context) }
        return set.makeValue()
    }

    private static func decodeMembers(_ input: inout RDBInput, _ keyspace: borrowing Keyspace)
        throws(StorageError) -> Value? {
        let count = try input.count()
        if count == 0 { return nil }
        let expected = RDBInput.reservation(count)
        var set = count > keyspace.thresholds.setMaxIntsetEntries
            ? SetValue.createTable(keyspace.context, expected: expected) : SetValue.createIntset()
        var left = count
        do throws(StorageError) {
            while left > 0 {
                guard set.add(try input.element(), keyspace) else {
                    throw input.corrupt("Duplicate set members detected")
                }
                left -= 1
            }
        } catch {
            set.destroy()
            throw error
        }
        return set.makeValue()
    }

    static func type(_ set: SetValue, _ version: RDBVersion) -> RDBType {
        switch set.encoding {
        case .intset: .setIntset
        case .hashtable: .set
        case .listpack, .raw, .int, .skiplist, .embstr, .quicklist, .stream, .listpackex:
            version < .redis7_2 ? .set : .setListpack
        }
    }

    static func encode(_ set: SetValue, _ type: RDBType, _ output: inout RDBOutput) {
        if type == .setIntset {
            output.put(string: Intset(adopting: set.pointer).bytes)
        } else if type == .setListpack {
            output.put(string: Listpack(adopting: set.pointer).bytes)
        } else {
            output.put(length: set.count)
            set.forEach { member in
                output.put(string: member)
                return true
            }
        }
    }
}
