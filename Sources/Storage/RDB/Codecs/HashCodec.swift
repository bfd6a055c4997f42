import Encodings
import Keyspace
import Primitives

// Hashes.
//
//     4  hash-hashtable   n, n × (field, value)
//     9  hash-zipmap      a zipmap
//     13 hash-ziplist     a ziplist of field, value pairs
//     16 hash-listpack    likewise a listpack
//     24 hash-hashtable-md  i64 earliest expire, n, n × (expire, field, value)
//                           expire: 0 none, else Unix ms - earliest + 1
//     25 hash-listpack-md   i64 earliest expire, a listpack of field, value, expire triplets, in the order of their
//                           expires, those without (0) last
//     22, 23              24 and 25 of 7.4's release candidates: no earliest expire, expires are Unix ms;
//                         Valkey's 22: n, n × (field, value, i64 expire, -1 none)
//
// Fields that expired already are kept: whoever looks at the hash first finds them due. Versions before 12 know no
// expires of fields: written for them, a hash keeps its fields for good.

enum HashCodec {
    /// Nil: an empty hash.
    static func decode(_ type: RDBType, _ input: inout RDBInput, _ keyspace: borrowing Keyspace, isThorough: Bool)
        throws(StorageError) -> Value? {
        if type == .hashZipmap { return try decodeZipmap(&input, keyspace) }
        if type == .hash { return try decodeFields(&input, keyspace) }
        let decoded = type == .hashZiplist
            ? try input.listpackOfZiplist(stride: 2, name: "Hash")
            : try input.listpack(stride: 2, name: "Hash")
        guard let pack = decoded else { return nil }
        return try finish(HashValue(.listpack, pack.pointer), input, keyspace,
                          isThorough: isThorough || type == .hashZiplist)
    }

    /// A hash whose listpack was read whole.
    private static func finish(_ hash: consuming HashValue, _ input: borrowing RDBInput,
                               _ keyspace: borrowing Keyspace, isThorough: Bool) throws(StorageError) -> Value {
        var hash = hash
        let isBig = hash.count > keyspace.thresholds.hashMaxListpackEntries
        if isThorough || isBig {
            do throws(StorageError) {
                try input.checkDuplicates(hash.listpack, stride: hash.encoding == .listpackex ? 3 : 2, name: "Hash",
                                          keyspace)
            } catch {
                hash.destroy()
                throw error
            }
        }
        if isBig { hash.convertToTable(keyspace.context) }
        return hash.makeValue()
    }

    static func add(_ field: Bytes, _ value: Bytes, _ hash: inout HashValue, _ input: borrowing RDBInput,
                            _ keyspace: borrowing Keyspace) throws(StorageError) {
        hash.prepare(added: 1, longest: max(field.count, value.count), total: field.count + value.count + 32, keyspace)
        let isNew = hash.encoding == .hashtable
            ? hash.addToTable(field, value, expire: nil) : hash.set(field, value, keyspace)
        guard isNew else { throw input.corrupt("Duplicate hash fields detected") }
    }

    private static func decodeZipmap(_ input: inout RDBInput, _ keyspace: borrowing Keyspace)
        throws(StorageError) -> Value? {
        guard var reader = ZipmapReader(try input.string()) else {
            throw input.corrupt("Zipmap integrity check failed.")
        }
        if reader.count == 0 { return nil }
        var hash = HashValue.createListpack()
        do throws(StorageError) {
            while let (field, value) = reader.next() { try add(field, value, &hash, input, keyspace) }
        } catch {
            hash.destroy()
            throw error
        }
        return hash.makeValue()
    }

    private static func decodeFields(_ input: inout RDBInput, _ keyspace: borrowing Keyspace)
        throws(StorageError) -> Value? {
        let count = try input.count()
        if count == 0 { return nil }
        var hash = empty(count, keyspace, withExpires: false)
        var field = OwnedBytes()
        var left = count
        do throws(StorageError) {
            while left > 0 {
                field.truncate(to: 0)
                field.append(try input.element())
                try add(field.bytes, try input.element(), &hash, input, keyspace)
                left -= 1
            }
        } catch {
            hash.destroy()
            throw error
        }
        return hash.makeValue()
    }

    static func empty(_ count: Int, _ keyspace: borrowing Keyspace, withExpires: Bool) -> HashValue {
        if count > keyspace.thresholds.hashMaxListpackEntries {
            return .createTable(keyspace.context, expected: RDBInput.reservation(count))
        }
        return withExpires ? .createListpackex() : .createListpack()
    }

    // MARK: With expires

    /// Nil: an empty hash.
    static func decodeExpiring(_ type: RDBType, _ input: inout RDBInput, _ keyspace: borrowing Keyspace,
                               isThorough: Bool) throws(StorageError) -> Value? {
        var earliest: UInt64 = 0
        if type == .hashMetadata || type == .hashListpackex {
            earliest = try input.uint64()
            guard earliest <= RDBLimits.fieldExpire else { throw input.corrupt("invalid minExpire time: \(earliest)") }
        }
        if type == .hashMetadata || type == .hashMetadataPreRelease || type == .valkeyHash {
            return try decodeExpiringFields(type, earliest, &input, keyspace)
        }
        guard let pack = try input.listpack(stride: 3, name: "Hash") else { return nil }
        let hash = HashValue(.listpackex, pack.pointer)
        guard areInOrder(pack) else {
            hash.destroy()
            throw input.corrupt("Hash with expires of fields that are none or out of order")
        }
        return try finish(hash, input, keyspace, isThorough: isThorough)
    }

    /// Whether every third element is a time, ascending, and zeros only at the end.
    private static func areInOrder(_ pack: Listpack) -> Bool {
        var current = pack.first
        var last: UInt64 = 0
        while let field = current, let value = pack.next(field), let at = pack.next(value) {
            guard let signed = pack.get(at).integer, signed >= 0 else { return false }
            let time = signed == 0 ? UInt64.max : UInt64(signed)
            guard time == .max || time <= RDBLimits.fieldExpire, time >= last else { return false }
            last = time
            current = pack.next(at)
        }
        return true
    }

    private static func decodeExpiringFields(_ type: RDBType, _ earliest: UInt64, _ input: inout RDBInput,
                                             _ keyspace: borrowing Keyspace) throws(StorageError) -> Value? {
        let isValkey = type == .valkeyHash
        let count = try input.count()
        if count == 0 { return nil }
        var hash = empty(count, keyspace, withExpires: true)
        var field = OwnedBytes(), value = OwnedBytes()
        var left = count
        do throws(StorageError) {
            while left > 0 {
                var time = isValkey ? 0 : try input.length()
                if time != 0, type == .hashMetadata { time = time &- 1 &+ earliest }
                field.truncate(to: 0)
                field.append(try input.element())
                value.truncate(to: 0)
                value.append(try input.element())
                if isValkey {
                    let signed = try input.int64()
                    time = signed == -1 ? 0 : UInt64(bitPattern: signed)
                }
                guard time <= RDBLimits.fieldExpire else { throw input.corrupt("invalid expireAt time: \(time)") }
                try addExpiring(field.bytes, value.bytes, Int64(time), &hash, input, keyspace)
                left -= 1
            }
        } catch {
            hash.destroy()
            throw error
        }
        return hash.makeValue()
    }

    static func addExpiring(_ field: Bytes, _ value: Bytes, _ expire: Int64, _ hash: inout HashValue,
                                    _ input: borrowing RDBInput, _ keyspace: borrowing Keyspace)
        throws(StorageError) {
        hash.prepare(added: 1, longest: max(field.count, value.count), total: field.count + value.count + 48, keyspace)
        if hash.encoding == .hashtable {
            guard hash.addToTable(field, value, expire: expire == 0 ? nil : expire) else {
                throw input.corrupt("Duplicate hash fields detected")
            }
            return
        }
        guard !hash.contains(field) else { throw input.corrupt("Duplicate hash fields detected") }
        hash.addToListpackex(field, value, expire: expire)
    }

    // MARK: Writing

    static func type(_ hash: HashValue, _ version: RDBVersion) -> RDBType {
        if hash.encoding == .hashtable {
            return version >= .redis7_4 && hash.minimumExpire != nil ? .hashMetadata : .hash
        }
        if hash.encoding == .listpackex && version >= .redis7_4 { return .hashListpackex }
        return version < .redis7_0 ? .hashZiplist : .hashListpack
    }

    static func encode(_ hash: HashValue, _ type: RDBType, _ output: inout RDBOutput) {
        if type == .hashMetadata {
            encodeExpiringFields(hash, &output)
        } else if type == .hash {
            output.put(length: hash.count)
            hash.forEach { field, value, _ in
                if case .bytes(let bytes) = field { output.put(string: bytes) }
                if case .bytes(let bytes) = value { output.put(string: bytes) }
                return true
            }
        } else if type == .hashListpackex {
            output.put(hash.minimumExpire ?? 0)
            output.put(string: hash.listpack.bytes)
        } else if hash.encoding == .listpackex {
            encodeWithoutExpires(hash, type, &output)
        } else if type == .hashZiplist {
            output.put(ziplistOf: hash.listpack)
        } else {
            output.put(string: hash.listpack.bytes)
        }
    }

    private static func encodeExpiringFields(_ hash: HashValue, _ output: inout RDBOutput) {
        let earliest = hash.minimumExpire ?? 0
        output.put(earliest)
        output.put(length: hash.count)
        hash.forEach { field, value, expire in
            output.put(length: expire.map { UInt64(bitPattern: $0 &- earliest &+ 1) } ?? 0)
            if case .bytes(let bytes) = field { output.put(string: bytes) }
            if case .bytes(let bytes) = value { output.put(string: bytes) }
            return true
        }
    }

    private static func encodeWithoutExpires(_ hash: HashValue, _ type: RDBType, _ output: inout RDBOutput) {
        var pack = Listpack.create(capacity: hash.listpack.byteCount)
        hash.forEach { field, value, _ in
            pack.append(field)
            pack.append(value)
            return true
        }
        if type == .hashZiplist { output.put(ziplistOf: pack) } else { output.put(string: pack.bytes) }
        pack.destroy()
    }
}
