import Encodings
import Primitives
#if canImport(Glibc)
import Glibc
#endif

// The hash table form of a hash, with fields that may expire.
//
//     field: u32 field length, high bit: has an expire | u32 value length
//            [ i64 expire, Unix ms | u32 place in the heap | u32 spare ]     only with the bit
//            field bytes | value bytes
//
//     object: table | heap (addresses of fields that expire) | u32 heap count | u32 heap room
//
// The heap is a binary min-heap on the expire, so that the next field to go is known at any time and n expiring
// fields cost O(log n) each, however their times are spread.
//
// Invariant: heap[i] is a field with an expire whose place is i, and its expire is not before its parent's.

struct HashField {
    let base: UnsafeMutableRawPointer
    static let expireBit: UInt32 = 0x8000_0000

    init(_ base: UnsafeMutableRawPointer) { self.base = base }

    static func create(_ field: Bytes, _ value: Bytes, expire: Int64?) -> HashField {
        let fixed = expire == nil ? 8 : 24
        let new = HashField(Heap.allocate(fixed + field.count + value.count))
        new.base.storeBytes(of: UInt32(field.count) | (expire == nil ? 0 : expireBit), as: UInt32.self)
        new.base.storeBytes(of: UInt32(value.count), toByteOffset: 4, as: UInt32.self)
        if let expire { new.base.storeBytes(of: expire, toByteOffset: 8, as: Int64.self) }
        if let source = field.baseAddress { memcpy(new.base + fixed, source, field.count) }
        if let source = value.baseAddress { memcpy(new.base + fixed + field.count, source, value.count) }
        return new
    }

    @inline(__always) var hasExpire: Bool { base.load(as: UInt32.self) & Self.expireBit != 0 }
    @inline(__always) private var fixed: Int { hasExpire ? 24 : 8 }
    @inline(__always) private var fieldCount: Int { Int(base.load(as: UInt32.self) & ~Self.expireBit) }
    var valueCount: Int { Int(base.load(fromByteOffset: 4, as: UInt32.self)) }
    @inline(__always) var field: Bytes { Bytes(start: base + fixed, count: fieldCount) }
    @inline(__always) var value: Bytes { Bytes(start: base + fixed + fieldCount, count: valueCount) }
    var expire: Int64? { hasExpire ? base.load(fromByteOffset: 8, as: Int64.self) : nil }
    var place: Int {
        get { Int(base.load(fromByteOffset: 16, as: UInt32.self)) }
        nonmutating set { base.storeBytes(of: UInt32(newValue), toByteOffset: 16, as: UInt32.self) }
    }
    func storeExpire(_ expire: Int64) { base.storeBytes(of: expire, toByteOffset: 8, as: Int64.self) }

    /// Puts a value of the same length in place.
    func overwrite(_ value: Bytes) -> Bool {
        let room = Heap.usableSize(base) - fixed - fieldCount
        guard value.count <= room, value.count * 2 + 32 >= room else { return false }
        if let source = value.baseAddress { memmove(base + fixed + fieldCount, source, value.count) }
        base.storeBytes(of: UInt32(value.count), toByteOffset: 4, as: UInt32.self)
        return true
    }
}

enum HashFieldElement: HashElement {
    @inline(__always)
    static func key(_ element: UnsafeMutableRawPointer) -> Bytes { HashField(element).field }
}

/// Handle of the hash table form; the hash that stores `base` owns it.
struct HashFields {
    let base: UnsafeMutableRawPointer

    init(_ base: UnsafeMutableRawPointer) { self.base = base }

    static func create(_ context: UnsafeMutablePointer<HashContext>, expected: Int) -> HashFields {
        let new = HashFields(Heap.allocateZeroed(24))
        let table = HashTable<HashFieldElement>.create(context)
        table.reserve(expected)
        new.base.storeBytes(of: table.rawPointer, as: UnsafeMutableRawPointer.self)
        return new
    }

    func destroy() {
        table.destroy { Heap.free($0) }
        if let heap { Heap.free(UnsafeMutableRawPointer(heap)) }
        Heap.free(base)
    }

    @inline(__always)
    var table: HashTable<HashFieldElement> { HashTable(rawPointer: base.load(as: UnsafeMutableRawPointer.self)) }

    private var heap: UnsafeMutablePointer<UnsafeMutableRawPointer>? {
        get { base.load(fromByteOffset: 8, as: UnsafeMutablePointer<UnsafeMutableRawPointer>?.self) }
        nonmutating set { base.storeBytes(of: newValue, toByteOffset: 8, as: type(of: newValue).self) }
    }
    private(set) var expiringCount: Int {
        get { Int(base.load(fromByteOffset: 16, as: UInt32.self)) }
        nonmutating set { base.storeBytes(of: UInt32(newValue), toByteOffset: 16, as: UInt32.self) }
    }
    private var room: Int {
        get { Int(base.load(fromByteOffset: 20, as: UInt32.self)) }
        nonmutating set { base.storeBytes(of: UInt32(newValue), toByteOffset: 20, as: UInt32.self) }
    }

    var minimumExpire: Int64? { expiringCount == 0 ? nil : first.expire }
    /// The field that goes next. There must be one.
    var first: HashField { HashField(heap.unsafelyUnwrapped[0]) }

    func find(_ field: Bytes) -> HashField? { table.find(field).map { HashField($0) } }

    /// True if the field is new. `expire` nil drops one that the field had.
    func set(_ field: Bytes, _ value: Bytes, expire: Int64?) -> Bool {
        let table = table
        let hash = table.hash(field)
        guard let slot = table.slot(field, hash) else {
            let new = HashField.create(field, value, expire: expire)
            table.insert(new.base, hash)
            if expire != nil { heapInsert(new) }
            return true
        }
        let old = HashField(slot.pointee)
        if old.hasExpire == (expire != nil), old.overwrite(value) {
            if let expire, expire != old.expire {
                old.storeExpire(expire)
                sift(old.place)
            }
            return false
        }
        let new = HashField.create(field, value, expire: expire)
        slot.pointee = new.base
        if old.hasExpire { heapRemove(old) }
        if expire != nil { heapInsert(new) }
        Heap.free(old.base)
        return false
    }

    func delete(_ field: Bytes) -> Bool {
        guard let element = table.remove(field) else { return false }
        let old = HashField(element)
        if old.hasExpire { heapRemove(old) }
        Heap.free(element)
        return true
    }

    // MARK: The heap

    private func expire(at place: Int) -> Int64 { HashField(heap.unsafelyUnwrapped[place]).expire ?? .max }

    private func put(_ element: UnsafeMutableRawPointer, _ place: Int) {
        heap.unsafelyUnwrapped[place] = element
        HashField(element).place = place
    }

    private func heapInsert(_ field: HashField) {
        let count = expiringCount
        if count == room {
            room = max(room * 2, 8)
            let bytes = room * 8
            let moved = heap.map { Heap.reallocate(UnsafeMutableRawPointer($0), bytes) } ?? Heap.allocate(bytes)
            heap = moved.assumingMemoryBound(to: UnsafeMutableRawPointer.self)
        }
        expiringCount = count + 1
        put(field.base, count)
        sift(count)
    }

    private func heapRemove(_ field: HashField) {
        let place = field.place
        let lastPlace = expiringCount - 1
        expiringCount = lastPlace
        if place == lastPlace { return }
        put(heap.unsafelyUnwrapped[lastPlace], place)
        sift(place)
    }

    /// Restores the order around a place whose expire changed.
    private func sift(_ start: Int) {
        let heap = heap.unsafelyUnwrapped
        var place = start
        let element = heap[place]
        let time = HashField(element).expire ?? .max
        while place > 0, time < expire(at: (place - 1) / 2) {
            put(heap[(place - 1) / 2], place)
            place = (place - 1) / 2
        }
        let count = expiringCount
        while true {
            var child = place * 2 + 1
            if child >= count { break }
            if child + 1 < count, expire(at: child + 1) < expire(at: child) { child += 1 }
            if time <= expire(at: child) { break }
            put(heap[child], place)
            place = child
        }
        put(element, place)
    }
}
