import Encodings
import Keyspace
import Primitives

// Hashes and sets as other servers write them, into plain ones.
//
//     Redis 8.10, hashes that share their field names (opcode 242: length id, length n, n strings):
//     29 hash-template-listpack      n, n fields, a listpack of n values          (DUMP)
//     30 hash-template-listpack-ref  a listpack: id of the template, n values
//     31 hash-template-array         n, n × (field, value)                        (DUMP)
//     32 hash-template-array-ref     id of the template, n values
//
//     Dragonfly, whose members may expire:
//     31 dragonfly-hash-md           n, n × (field, value, expire)
//     32 dragonfly-set-md            n, n × (member, expire)
//         expire: a string, the decimal of seconds since 1 February 2023; -1: never. Sets here can't have them.

/// Field names of hash templates.
struct RDBHashTemplates {
    private var fields: [UInt64: [[UInt8]]] = [:]
    private var total = 0

    func count(of id: UInt64) -> Int? { fields[id]?.count }
    func fields(of id: UInt64) -> [[UInt8]]? { fields[id] }

    /// False: there are too many, or it is known already.
    mutating func add(_ id: UInt64, _ names: [[UInt8]]) -> Bool {
        total += names.count
        guard fields[id] == nil, total <= RDBLimits.templateFields else { return false }
        fields[id] = names
        return true
    }
}

enum ForeignCodec {
    /// Seconds from 1970 to the zero of Dragonfly's member expires.
    private static let dragonflyEpoch: Int64 = 1_675_209_600

    /// Nil: an empty collection.
    static func decode(_ type: RDBType, _ input: inout RDBInput, _ keyspace: borrowing Keyspace)
        throws(StorageError) -> Value? {
        if type == .dragonflySet { return try decodeSet(&input, keyspace) }
        var hash = HashCodec.empty(0, keyspace, withExpires: false)
        do throws(StorageError) {
            if type == .dragonflyHash {
                hash.destroy()
                hash = HashCodec.empty(0, keyspace, withExpires: true)
                try decodeHash(&hash, &input, keyspace)
            } else if type == .hashTemplateArray {
                try decodePairs(&hash, &input, keyspace)
            } else if type == .hashTemplateArrayRef {
                for field in try template(try input.length(), input) {
                    let name = copied(field)
                    try HashCodec.add(name.bytes, try input.element(), &hash, input, keyspace)
                }
            } else {
                try decodeListpack(type, &hash, &input, keyspace)
            }
        } catch {
            hash.destroy()
            throw error
        }
        if hash.count > 0 { return hash.makeValue() }
        hash.destroy()
        return nil
    }

    /// The record behind opcode 242.
    static func readTemplate(_ input: inout RDBInput) throws(StorageError) {
        let id = try input.length()
        let names = try fieldNames(&input)
        guard input.templates.add(id, names) else { throw input.corrupt("hash template \(id) comes twice") }
    }

    private static func fieldNames(_ input: inout RDBInput) throws(StorageError) -> [[UInt8]] {
        let count = try input.count()
        guard count <= RDBLimits.templateFields else { throw input.corrupt("a hash template of \(count) fields") }
        var names: [[UInt8]] = []
        for _ in 0..<count { names.append([UInt8](try input.element())) }
        return names
    }

    private static func template(_ id: UInt64, _ input: borrowing RDBInput) throws(StorageError) -> [[UInt8]] {
        guard let fields = input.templates.fields(of: id) else {
            throw input.corrupt("hash template \(id) is not there")
        }
        return fields
    }

    private static func decodePairs(_ hash: inout HashValue, _ input: inout RDBInput,
                                    _ keyspace: borrowing Keyspace) throws(StorageError) {
        var left = try input.count()
        while left > 0 {
            let field = OwnedBytes(copying: try input.element())
            try HashCodec.add(field.bytes, try input.element(), &hash, input, keyspace)
            left -= 1
        }
    }

    private static func decodeListpack(_ type: RDBType, _ hash: inout HashValue, _ input: inout RDBInput,
                                       _ keyspace: borrowing Keyspace) throws(StorageError) {
        var fields = type == .hashTemplateListpack ? try fieldNames(&input) : []
        guard let pack = try input.listpack(stride: 1, name: "Hash template") else {
            if fields.isEmpty { return }
            throw input.corrupt("a hash template without values")
        }
        defer { pack.destroy() }
        var current = pack.first
        if type == .hashTemplateListpackRef, let at = current {
            guard let id = pack.get(at).integer, id >= 0 else { throw input.corrupt("a hash without its template") }
            fields = try template(UInt64(id), input)
            current = pack.next(at)
        }
        for field in fields {
            guard let at = current else { throw input.corrupt("a hash with fewer values than its template has fields") }
            var value = OwnedBytes(capacity: 32)
            withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) {
                value.append(pack.get(at).text($0.baseAddress.unsafelyUnwrapped))
            }
            let name = copied(field)
            try HashCodec.add(name.bytes, value.bytes, &hash, input, keyspace)
            current = pack.next(at)
        }
        if current != nil { throw input.corrupt("a hash with more values than its template has fields") }
    }

    private static func copied(_ text: [UInt8]) -> OwnedBytes {
        var bytes = OwnedBytes(capacity: text.count)
        text.withUnsafeBytes { bytes.append($0) }
        return bytes
    }

    // MARK: Dragonfly

    /// Unix ms; 0: never.
    private static func expire(_ input: inout RDBInput) throws(StorageError) -> Int64 {
        guard let seconds = Decimal.parseInt64(try input.string()), -1...Int64(UInt32.max) ~= seconds else {
            throw input.corrupt("a member's expire that is no time")
        }
        return seconds == -1 ? 0 : (seconds + dragonflyEpoch) * 1000
    }

    private static func decodeHash(_ hash: inout HashValue, _ input: inout RDBInput,
                                   _ keyspace: borrowing Keyspace) throws(StorageError) {
        var left = try input.count()
        while left > 0 {
            let field = OwnedBytes(copying: try input.element()), value = OwnedBytes(copying: try input.element())
            try HashCodec.addExpiring(field.bytes, value.bytes, try expire(&input), &hash, input, keyspace)
            left -= 1
        }
    }

    private static func decodeSet(_ input: inout RDBInput, _ keyspace: borrowing Keyspace)
        throws(StorageError) -> Value? {
        let count = try input.count()
        if count == 0 { return nil }
        var set = SetValue.createIntset()
        var expiring = 0
        do throws(StorageError) {
            for _ in 0..<count {
                guard set.add(try input.element(), keyspace) else {
                    throw input.corrupt("Duplicate set members detected")
                }
                if try expire(&input) != 0 { expiring += 1 }
            }
            if expiring > 0 { try input.lose("expires of \(expiring) set members (Dragonfly)") }
        } catch {
            set.destroy()
            throw error
        }
        return set.makeValue()
    }
}
