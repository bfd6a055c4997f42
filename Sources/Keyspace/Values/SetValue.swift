import Encodings
import Primitives
#if canImport(Glibc)
import Glibc
#endif

// Sets: an intset while all members are integers, a listpack while few and short, else a hash table of members.
//
//     member of a hash table: u32 length | bytes

package enum SetMember: HashElement {
    @inline(__always)
    package static func key(_ element: UnsafeMutableRawPointer) -> Bytes {
        Bytes(start: element + 4, count: Int(element.load(as: UInt32.self)))
    }

    static func create(_ bytes: Bytes) -> UnsafeMutableRawPointer {
        let member = Heap.allocate(4 + bytes.count)
        member.storeBytes(of: UInt32(bytes.count), as: UInt32.self)
        if let source = bytes.baseAddress { memcpy(member + 4, source, bytes.count) }
        return member
    }
}

/// A set as an entry or a `Value` holds it. Changes may change encoding and address: `store` them back.
package struct SetValue {
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

    /// The set as a value with an owner; this handle is not to be used any more.
    package func makeValue() -> Value { Value(.set, encoding, pointer) }

    static func destroy(_ pointer: UnsafeMutableRawPointer, _ encoding: Encoding) {
        switch encoding {
        case .hashtable: HashTable<SetMember>(rawPointer: pointer).destroy { Heap.free($0) }
        case .intset, .listpack, .raw, .int, .skiplist, .embstr, .quicklist, .stream, .listpackex: Heap.free(pointer)
        }
    }

    package func destroy() { Self.destroy(pointer, encoding) }

    // MARK: Making

    /// An empty set for `expected` members of which `first` is one: the encoding that holds them.
    package static func create(for first: Bytes, expected: Int, _ keyspace: borrowing Keyspace) -> SetValue {
        let limits = keyspace.thresholds
        if expected <= limits.setMaxIntsetEntries, first.count <= 20, Decimal.parseInt64(first) != nil {
            return SetValue(.intset, Intset.create().pointer)
        }
        if expected <= limits.setMaxListpackEntries { return SetValue(.listpack, Listpack.create().pointer) }
        return createTable(keyspace.context, expected: expected)
    }

    package static func createIntset() -> SetValue { SetValue(.intset, Intset.create().pointer) }
    package static func createListpack() -> SetValue { SetValue(.listpack, Listpack.create().pointer) }
    package static func createTable(_ context: UnsafeMutablePointer<HashContext>, expected: Int = 0) -> SetValue {
        let table = HashTable<SetMember>.create(context)
        table.reserve(expected)
        return SetValue(.hashtable, table.rawPointer)
    }

    var table: HashTable<SetMember> { HashTable(rawPointer: pointer) }
    var listpack: Listpack { Listpack(adopting: pointer) }
    var intset: Intset { Intset(adopting: pointer) }

    package func copy(_ context: UnsafeMutablePointer<HashContext>) -> SetValue {
        switch encoding {
        case .intset: return SetValue(.intset, intset.copy().pointer)
        case .hashtable:
            let new = SetValue.createTable(context, expected: count)
            table.forEach { new.table.insert(SetMember.create(SetMember.key($0))) }
            return new
        case .listpack, .raw, .int, .skiplist, .embstr, .quicklist, .stream, .listpackex:
            return SetValue(.listpack, listpack.copy().pointer)
        }
    }

    // MARK: Looking

    package var count: Int {
        switch encoding {
        case .intset: intset.count
        case .hashtable: table.count
        case .listpack, .raw, .int, .skiplist, .embstr, .quicklist, .stream, .listpackex: listpack.count
        }
    }

    package func contains(_ member: Bytes) -> Bool {
        switch encoding {
        case .intset:
            guard member.count <= 20, let integer = Decimal.parseInt64(member) else { return false }
            return intset.contains(integer)
        case .hashtable: return table.find(member) != nil
        case .listpack, .raw, .int, .skiplist, .embstr, .quicklist, .stream, .listpackex:
            return listpack.find(from: listpack.first, member) != nil
        }
    }

    /// Visits every member; bytes are good until `visit` returns. `visit` answers false to stop.
    package func forEach(_ visit: (Bytes) -> Bool) {
        withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) { buffer in
            let scratch = buffer.baseAddress.unsafelyUnwrapped
            switch encoding {
            case .intset:
                for index in 0..<intset.count {
                    let size = Decimal.write(intset.get(index), to: scratch)
                    if !visit(Bytes(start: scratch, count: size)) { return }
                }
            case .hashtable:
                table.walk { visit(SetMember.key($0)) }
            case .listpack, .raw, .int, .skiplist, .embstr, .quicklist, .stream, .listpackex:
                var position = listpack.first
                while let at = position {
                    if !visit(listpack.get(at).text(scratch)) { return }
                    position = listpack.next(at)
                }
            }
        }
    }

    /// Visits the members of both of two intsets, as `forEach` does, and answers true; false: one is no intset.
    package func forEachCommon(_ other: SetValue, _ visit: (Bytes) -> Bool) -> Bool {
        guard encoding == .intset, other.encoding == .intset else { return false }
        let a = intset, b = other.intset, aCount = a.count, bCount = b.count
        withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) { buffer in
            let scratch = buffer.baseAddress.unsafelyUnwrapped
            var i = 0, j = 0
            while i < aCount, j < bCount {
                let left = a.get(i), right = b.get(j)
                if left == right, !visit(Bytes(start: scratch, count: Decimal.write(left, to: scratch))) { return }
                i += left <= right ? 1 : 0
                j += right <= left ? 1 : 0
            }
        }
        return true
    }

    /// One step of SSCAN; small encodings are visited whole.
    package func scan(_ cursor: UInt64, _ visit: (Bytes) -> Void) -> UInt64 {
        if encoding == .hashtable { return table.scan(cursor) { visit(SetMember.key($0)) } }
        forEach { visit($0); return true }
        return 0
    }

    /// A uniformly random member, handed to `body`, and its place, as `SeenPlaces` takes it. The set must not be empty.
    @inline(__always)
    package func withRandomMember(_ random: inout RandomSource, _ body: (Bytes, _ place: UInt) -> Void) {
        withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) { buffer in
            let scratch = buffer.baseAddress.unsafelyUnwrapped
            switch encoding {
            case .intset:
                let index = random.next(below: intset.count)
                body(Bytes(start: scratch, count: Decimal.write(intset.get(index), to: scratch)), UInt(index + 1))
            case .hashtable:
                if let element = table.randomElement() { body(SetMember.key(element), UInt(bitPattern: element)) }
            case .listpack, .raw, .int, .skiplist, .embstr, .quicklist, .stream, .listpackex:
                if let position = listpack.seek(random.next(below: listpack.count)) {
                    body(listpack.get(position).text(scratch), UInt(position))
                }
            }
        }
    }

    // MARK: Changing

    /// False if it was a member already.
    package mutating func add(_ member: Bytes, _ keyspace: borrowing Keyspace) -> Bool {
        switch encoding {
        case .hashtable: return addToTable(member)
        case .intset: return addToIntset(member, keyspace)
        case .listpack, .raw, .int, .skiplist, .embstr, .quicklist, .stream, .listpackex:
            return addToListpack(member, keyspace)
        }
    }

    /// Adds what is known to be no member yet.
    package mutating func addNew(_ member: Bytes, _ keyspace: borrowing Keyspace) {
        if encoding == .listpack {
            appendToListpack(member, keyspace)
        } else {
            _ = add(member, keyspace)
        }
    }

    private func addToTable(_ member: Bytes) -> Bool {
        let table = table
        let hash = table.hash(member)
        if table.find(member, hash) != nil { return false }
        table.insert(SetMember.create(member), hash)
        return true
    }

    private mutating func addToListpack(_ member: Bytes, _ keyspace: borrowing Keyspace) -> Bool {
        if listpack.find(from: listpack.first, member) != nil { return false }
        appendToListpack(member, keyspace)
        return true
    }

    private mutating func appendToListpack(_ member: Bytes, _ keyspace: borrowing Keyspace) {
        var pack = listpack
        let limits = keyspace.thresholds
        if pack.count < limits.setMaxListpackEntries, member.count <= limits.setMaxListpackValue,
           pack.hasRoom(member.count + 16) {
            pack.append(member)
            pointer = pack.pointer
            return
        }
        convertToTable(keyspace.context, expected: pack.count + 1)
        _ = addToTable(member)
    }

    private mutating func addToIntset(_ member: Bytes, _ keyspace: borrowing Keyspace) -> Bool {
        var set = intset
        let limits = keyspace.thresholds
        if member.count <= 20, let integer = Decimal.parseInt64(member) {
            if !set.add(integer) { return false }
            pointer = set.pointer
            if set.count > min(limits.setMaxIntsetEntries, 1 << 30) { convertToTable(keyspace.context) }
            return true
        }
        let count = set.count
        let longest = count == 0 ? 0
            : max(Decimal.digitCount(set.get(0)), Decimal.digitCount(set.get(count - 1)))
        if count < limits.setMaxListpackEntries, member.count <= limits.setMaxListpackValue,
           longest <= limits.setMaxListpackValue {
            convertToListpack()
            var pack = listpack
            pack.append(member)
            pointer = pack.pointer
            return true
        }
        convertToTable(keyspace.context, expected: count + 1)
        return addToTable(member)
    }

    /// False if it was no member.
    package mutating func remove(_ member: Bytes) -> Bool {
        switch encoding {
        case .hashtable:
            guard let element = table.remove(member) else { return false }
            Heap.free(element)
            return true
        case .intset:
            var set = intset
            guard member.count <= 20, let integer = Decimal.parseInt64(member), set.remove(integer) else {
                return false
            }
            pointer = set.pointer
            return true
        case .listpack, .raw, .int, .skiplist, .embstr, .quicklist, .stream, .listpackex:
            var pack = listpack
            guard let position = pack.find(from: pack.first, member) else { return false }
            pack.delete(position)
            pointer = pack.pointer
            return true
        }
    }

    // MARK: Converting

    /// Before adding many at once: goes to a hash table if `expected` members would not fit the encoding.
    package mutating func prepare(expected: Int, _ keyspace: borrowing Keyspace) {
        let limits = keyspace.thresholds
        if (encoding == .listpack && expected > limits.setMaxListpackEntries)
            || (encoding == .intset && expected > limits.setMaxIntsetEntries) {
            convertToTable(keyspace.context, expected: expected)
        }
    }

    package mutating func convertToTable(_ context: UnsafeMutablePointer<HashContext>, expected: Int = 0) {
        if encoding == .hashtable { return }
        let new = SetValue.createTable(context, expected: max(count, expected))
        forEach { member in
            new.table.insert(SetMember.create(member))
            return true
        }
        Heap.free(pointer)
        self = new
    }

    private mutating func convertToListpack() {
        var pack = Listpack.create(capacity: Listpack.headerBytes + 1 + intset.count * 4)
        for index in 0..<intset.count { pack.append(intset.get(index)) }
        Heap.free(pointer)
        self = SetValue(.listpack, pack.pointer)
    }

    /// The result of an intersection becomes an intset if all its members are integers and few enough.
    package mutating func convertToIntsetIfPossible(_ keyspace: borrowing Keyspace) {
        if encoding == .intset || count > keyspace.thresholds.setMaxIntsetEntries { return }
        var set = Intset.create()
        var fits = true
        forEach { member in
            guard member.count <= 20, let integer = Decimal.parseInt64(member) else {
                fits = false
                return false
            }
            _ = set.add(integer)
            return true
        }
        if !fits { set.destroy(); return }
        destroy()
        self = SetValue(.intset, set.pointer)
    }
}
