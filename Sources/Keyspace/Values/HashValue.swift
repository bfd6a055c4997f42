import Encodings
import Primitives

// Hashes: a listpack of field, value pairs while few and short; with field expires a listpack of field, value,
// expire triplets ordered by expire (those without, 0, last); else a hash table (HashFields.swift).

/// A hash as an entry or a `Value` holds it. Changes may change encoding and address: `store` them back.
package struct HashValue {
    package private(set) var encoding: Encoding
    package private(set) var pointer: UnsafeMutableRawPointer

    package init(_ entry: Entry) {
        encoding = entry.encoding
        pointer = entry.pointer
    }

    package init(_ encoding: Encoding, _ pointer: UnsafeMutableRawPointer) {
        self.encoding = encoding
        self.pointer = pointer
    }

    package func store(_ entry: Entry) {
        entry.encoding = encoding
        entry.pointer = pointer
    }

    /// The hash as a value with an owner; this handle is not to be used any more.
    package func makeValue() -> Value { Value(.hash, encoding, pointer) }

    static func destroy(_ pointer: UnsafeMutableRawPointer, _ encoding: Encoding) {
        switch encoding {
        case .hashtable: HashFields(pointer).destroy()
        case .listpack, .listpackex, .raw, .int, .intset, .skiplist, .embstr, .quicklist, .stream: Heap.free(pointer)
        }
    }

    package func destroy() { Self.destroy(pointer, encoding) }

    package static func createListpack() -> HashValue { HashValue(.listpack, Listpack.create().pointer) }
    package static func createTable(_ context: UnsafeMutablePointer<HashContext>, expected: Int) -> HashValue {
        HashValue(.hashtable, HashFields.create(context, expected: expected).base)
    }

    var isTable: Bool { encoding == .hashtable }
    var fields: HashFields { HashFields(pointer) }
    package var listpack: Listpack { Listpack(adopting: pointer) }
    /// Elements per field of the listpack.
    var stride: Int { encoding == .listpackex ? 3 : 2 }

    package func copy(_ context: UnsafeMutablePointer<HashContext>) -> HashValue {
        guard isTable else { return HashValue(encoding, listpack.copy().pointer) }
        let new = HashValue.createTable(context, expected: count)
        fields.table.forEach {
            let field = HashField($0)
            _ = new.fields.set(field.field, field.value, expire: field.expire)
        }
        return new
    }

    // MARK: Looking

    package var count: Int { isTable ? fields.table.count : listpack.count / stride }

    private func position(of field: Bytes) -> Listpack.Position? {
        listpack.find(from: listpack.first, field, skip: stride - 1)
    }

    /// The field's value; good until the hash changes.
    @inline(__always)
    package func get(_ field: Bytes) -> ListpackElement? {
        if isTable { return fields.find(field).map { .bytes($0.value) } }
        guard let at = position(of: field), let value = listpack.next(at) else { return nil }
        return listpack.get(value)
    }

    package func contains(_ field: Bytes) -> Bool { isTable ? fields.find(field) != nil : position(of: field) != nil }

    /// Visits field, value and expire (Unix ms, nil: none); `visit` answers false to stop.
    package func forEach(_ visit: (ListpackElement, ListpackElement, Int64?) -> Bool) {
        if isTable {
            fields.table.walk {
                let field = HashField($0)
                return visit(.bytes(field.field), .bytes(field.value), field.expire)
            }
            return
        }
        let pack = listpack
        var current = pack.first
        while let at = current, let value = pack.next(at) {
            var expire: Int64?
            var lastPosition = value
            if encoding == .listpackex, let third = pack.next(value) {
                expire = pack.get(third).integer.flatMap { $0 == 0 ? nil : $0 }
                lastPosition = third
            }
            if !visit(pack.get(at), pack.get(value), expire) { return }
            current = pack.next(lastPosition)
        }
    }

    /// One step of HSCAN; listpacks are visited whole.
    package func scan(_ cursor: UInt64, _ visit: (ListpackElement, ListpackElement) -> Void) -> UInt64 {
        if isTable {
            return fields.table.scan(cursor) { visit(.bytes(HashField($0).field), .bytes(HashField($0).value)) }
        }
        forEach { field, value, _ in visit(field, value); return true }
        return 0
    }

    /// A uniformly random field with its value. The hash must not be empty.
    @inline(__always)
    package func withRandomField(_ random: inout RandomSource,
                                 _ body: (ListpackElement, ListpackElement, _ place: UInt) -> Void) {
        if isTable {
            guard let element = fields.table.randomElement() else { return }
            body(.bytes(HashField(element).field), .bytes(HashField(element).value), UInt(bitPattern: element))
            return
        }
        let pack = listpack
        if let at = pack.seek(random.next(below: count) * stride), let value = pack.next(at) {
            body(pack.get(at), pack.get(value), UInt(at))
        }
    }

    // MARK: Changing

    /// Before setting `added` fields whose longest text is `longest` bytes: leaves the listpack when they would not
    /// fit.
    package mutating func prepare(added: Int, longest: Int, total: Int, _ keyspace: borrowing Keyspace) {
        if isTable { return }
        let limits = keyspace.thresholds
        if added > limits.hashMaxListpackEntries || longest > limits.hashMaxListpackValue
            || !listpack.hasRoom(total) {
            convertToTable(keyspace.context, expected: max(added, count))
        }
    }

    /// True if the field is new. A field that expired does so no more unless `keepExpire`.
    package mutating func set(_ field: Bytes, _ value: Bytes, keepExpire: Bool = false, _ keyspace: borrowing Keyspace)
        -> Bool {
        if isTable {
            let expire = keepExpire ? fields.find(field)?.expire : nil
            return fields.set(field, value, expire: expire)
        }
        var pack = listpack
        let found = position(of: field)
        if let at = found, let valueAt = pack.next(at) {
            pack.replace(valueAt, with: value)
            pointer = pack.pointer
            if encoding == .listpackex && !keepExpire { moveTriplet(at, expire: 0) }
        } else {
            pack.append(field)
            pack.append(value)
            if encoding == .listpackex { pack.append(0) }
            pointer = pack.pointer
        }
        if count > keyspace.thresholds.hashMaxListpackEntries { convertToTable(keyspace.context) }
        return found == nil
    }

    package mutating func delete(_ field: Bytes) -> Bool {
        if isTable { return fields.delete(field) }
        guard let at = position(of: field) else { return false }
        var pack = listpack
        pack.deleteRun(from: at, count: stride)
        pointer = pack.pointer
        return true
    }

    // MARK: Field expires

    /// The next time at which a field goes, Unix ms.
    package var minimumExpire: Int64? {
        if isTable { return fields.minimumExpire }
        guard encoding == .listpackex, let at = listpack.seek(2), let time = listpack.get(at).integer, time != 0 else {
            return nil
        }
        return time
    }

    /// nil: no such field; 0: it does not expire; else Unix ms.
    package func expire(of field: Bytes) -> Int64? {
        if isTable { return fields.find(field).map { $0.expire ?? 0 } }
        guard let at = position(of: field) else { return nil }
        guard encoding == .listpackex, let value = listpack.next(at), let third = listpack.next(value) else { return 0 }
        return listpack.get(third).integer ?? 0
    }

    /// Sets (or with 0 drops) the expire of a field that exists.
    package mutating func setExpire(_ field: Bytes, _ expire: Int64) {
        if isTable {
            guard let found = fields.find(field) else { return }
            var value = OwnedBytes(copying: found.value)
            _ = fields.set(field, value.bytes, expire: expire == 0 ? nil : expire)
            value.removeAll()
            return
        }
        if encoding == .listpack {
            if expire == 0 { return }
            convertToListpackex()
        }
        if let at = position(of: field) { moveTriplet(at, expire: expire) }
    }

    /// Gives the triplet at `position` another expire and its place in the order.
    private mutating func moveTriplet(_ position: Listpack.Position, expire: Int64) {
        var pack = listpack
        guard let valueAt = pack.next(position), let expireAt = pack.next(valueAt) else { return }
        if pack.get(expireAt).integer == expire { return }
        var field = OwnedBytes(), value = OwnedBytes()
        withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) { scratch in
            field.append(pack.get(position).text(scratch.baseAddress.unsafelyUnwrapped))
            value.append(pack.get(valueAt).text(scratch.baseAddress.unsafelyUnwrapped))
        }
        pack.deleteRun(from: position, count: 3)
        var target = pack.byteCount - 1
        if expire != 0 {
            var current = pack.first
            while let at = current, let second = pack.next(at), let third = pack.next(second) {
                let time = pack.get(third).integer ?? 0
                if time == 0 || time > expire { target = at; break }
                current = pack.next(third)
            }
        }
        pack.insert(expire, before: target)
        pack.insert(value.bytes, before: target)
        pack.insert(field.bytes, before: target)
        pointer = pack.pointer
    }

    /// Removes the fields whose time has come, each handed to `report` first; at most `limit`.
    package mutating func removeDue(_ now: Int64, limit: Int, _ report: (Bytes) -> Void) -> Int {
        var removed = 0
        while removed < limit, let time = minimumExpire, time <= now {
            if isTable {
                let field = OwnedBytes(copying: fields.first.field)
                report(field.bytes)
                _ = fields.delete(field.bytes)
            } else {
                var pack = listpack
                guard let at = pack.first else { break }
                withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) { scratch in
                    report(pack.get(at).text(scratch.baseAddress.unsafelyUnwrapped))
                }
                pack.deleteRun(from: at, count: 3)
                pointer = pack.pointer
            }
            removed += 1
        }
        return removed
    }

    // MARK: Converting

    private mutating func convertToListpackex() {
        let old = listpack
        var pack = Listpack.create(capacity: old.byteCount + count * 2)
        forEach { field, value, _ in
            pack.append(field)
            pack.append(value)
            pack.append(0)
            return true
        }
        old.destroy()
        encoding = .listpackex
        pointer = pack.pointer
    }

    package mutating func convertToTable(_ context: UnsafeMutablePointer<HashContext>, expected: Int = 0) {
        if isTable { return }
        let new = HashFields.create(context, expected: max(expected, count))
        withUnsafeTemporaryAllocation(byteCount: 48, alignment: 8) { buffer in
            let scratch = buffer.baseAddress.unsafelyUnwrapped
            forEach { field, value, expire in
                _ = new.set(field.text(scratch), value.text(scratch + 24), expire: expire)
                return true
            }
        }
        Heap.free(pointer)
        encoding = .hashtable
        pointer = new.base
    }
}
