import Primitives

// The hash table of the whole data plane: keys of a database, expires, sets, hashes, and the member index of
// sorted sets.
//
// An element is one heap allocation owned by the table's owner; the table stores its address. Buckets are one
// cache line each, so that a lookup that misses costs one cache miss and a hit two:
//
//     byte 0      1 … 6       7         8 … 63
//     tag 0       tag 1…6     meta      slot 0 … slot 6 (addresses)
//
//     meta bits 0-6: slot i is taken; bit 7: chained, slot 6 is the address of a further bucket.
//     tag i: the top byte of the element's hash; only elements whose tag agrees are compared.
//
// Invariants
//  1. The number of buckets is a power of two; an element lives in the chain of bucket `hash & mask` of exactly
//     one of the two tables.
//  2. While `rehashIndex >= 0` there are two tables; every bucket of table 0 below `rehashIndex` is empty.
//  3. No operation moves more than one chain of buckets, so none stalls: growth is paid for step by step.
//  4. While `context.avoidResize` is set (a snapshot child shares our pages) no table starts to grow before it is
//     four times as full as usual, and rehashing rests.
//  5. SCAN's cursor counts in reversed bits, so that an element present throughout a full scan is returned at
//     least once however often the table was resized meanwhile.
//
// Cost per element: 8 bytes of slot at a fill between 3.1 and 6.2 of 7, which is 12 to 21 bytes with further buckets.

/// What all tables of one keyspace share; owned by the keyspace, outlives every table.
package struct HashContext {
    /// Secret of the keyed hash, against flooding.
    package var seed: HashSeed
    /// Set while a snapshot child lives.
    package var avoidResize: Bool
    /// Source of every random pick and skiplist level; seeded from outside, so that runs can be repeated.
    package var random: RandomSource

    package init(seed: HashSeed, random: RandomSource) {
        self.seed = seed
        self.random = random
        avoidResize = false
    }
}

/// Says where an element keeps its key.
package protocol HashElement {
    static func key(_ element: UnsafeMutableRawPointer) -> Bytes
}

@usableFromInline
struct Bucket {
    static let slotCount = 7
    static let byteCount = 64
    static let chainedBit: UInt8 = 0x80

    let base: UnsafeMutableRawPointer

    @inline(__always) init(_ base: UnsafeMutableRawPointer) { self.base = base }

    @inline(__always) var meta: UInt8 {
        get { base.load(fromByteOffset: 7, as: UInt8.self) }
        nonmutating set { base.storeBytes(of: newValue, toByteOffset: 7, as: UInt8.self) }
    }
    @inline(__always) var tags: UInt64 { base.load(as: UInt64.self) }
    @inline(__always) var isChained: Bool { meta & Self.chainedBit != 0 }
    @inline(__always) var capacity: Int { isChained ? 6 : 7 }
    @inline(__always) var count: Int { (meta & 0x7f).nonzeroBitCount }
    /// Bit i set: slot i is free.
    @inline(__always) var freeSlots: UInt8 { ~meta & (isChained ? 0x3f : 0x7f) }
    @inline(__always) var next: Bucket? { isChained ? Bucket(slot(6).pointee.unsafelyUnwrapped) : nil }

    @inline(__always)
    func slot(_ index: Int) -> UnsafeMutablePointer<UnsafeMutableRawPointer?> {
        (base + 8 + index * 8).assumingMemoryBound(to: UnsafeMutableRawPointer?.self)
    }

    @inline(__always)
    func put(_ element: UnsafeMutableRawPointer, tag: UInt8, at index: Int) {
        base.storeBytes(of: tag, toByteOffset: index, as: UInt8.self)
        slot(index).pointee = element
        meta |= 1 << UInt8(index)
    }

    /// Slots whose tag equals `tag` and that are taken, as a bit mask.
    @inline(__always)
    func candidates(_ tag: UInt8) -> UInt8 {
        // A zero byte of `difference` is an equal tag; the classic trick may flag a byte above a true hit too,
        // which costs one needless comparison and nothing else.
        let difference = tags ^ (UInt64(tag) &* 0x0101_0101_0101_0101)
        let zeros = (difference &- 0x0101_0101_0101_0101) & ~difference & 0x8080_8080_8080_8080
        let gathered = UInt8(truncatingIfNeeded: ((zeros >> 7) &* 0x0102_0408_1020_4080) >> 56)
        var taken = meta & 0x7f
        if isChained { taken &= 0x3f }
        return gathered & taken
    }
}

struct HashTableHeader {
    var buckets0: UnsafeMutableRawPointer?
    var buckets1: UnsafeMutableRawPointer?
    var count0: Int
    var count1: Int
    /// log2 of the number of buckets; −1: no table.
    var exponent0: Int8
    var exponent1: Int8
    /// > 0: iterators or scans rely on elements staying where they are.
    var rehashPauses: Int32
    /// Next bucket of table 0 to empty; −1: not rehashing.
    var rehashIndex: Int
    var childBuckets: Int
    let context: UnsafeMutablePointer<HashContext>
}

/// A handle: whoever created the table owns it and calls `destroy`.
package struct HashTable<Element: HashElement> {
    let header: UnsafeMutablePointer<HashTableHeader>

    /// Elements per bucket, in tenths, at which a table grows.
    private static var growAtTenths: Int { 62 }

    package static func create(_ context: UnsafeMutablePointer<HashContext>) -> HashTable {
        let header = Heap.allocate(MemoryLayout<HashTableHeader>.size).bindMemory(to: HashTableHeader.self, capacity: 1)
        header.initialize(to: HashTableHeader(
            buckets0: nil, buckets1: nil, count0: 0, count1: 0, exponent0: -1, exponent1: -1,
            rehashPauses: 0, rehashIndex: -1, childBuckets: 0, context: context))
        return HashTable(header: header)
    }

    /// The handle as one word, and back, for storing in an object's payload.
    package var rawPointer: UnsafeMutableRawPointer { UnsafeMutableRawPointer(header) }
    package init(rawPointer: UnsafeMutableRawPointer) {
        header = rawPointer.assumingMemoryBound(to: HashTableHeader.self)
    }
    init(header: UnsafeMutablePointer<HashTableHeader>) { self.header = header }

    /// Frees the table itself. Elements are the owner's: see `removeAll`.
    package func destroy(_ free: (UnsafeMutableRawPointer) -> Void) {
        removeAll(free)
        Heap.free(UnsafeMutableRawPointer(header))
    }

    /// Hands every element to `free` and drops the buckets.
    package func removeAll(_ free: (UnsafeMutableRawPointer) -> Void) {
        for table in 0..<2 {
            guard let base = buckets(table) else { continue }
            for index in 0..<(1 << Int(exponent(table))) {
                let bucket = Bucket(base + index * Bucket.byteCount)
                Self.forEach(in: bucket, free)
                freeChildren(of: bucket)
            }
            Heap.free(base)
        }
        header.pointee.buckets0 = nil
        header.pointee.buckets1 = nil
        header.pointee.exponent0 = -1
        header.pointee.exponent1 = -1
        header.pointee.count0 = 0
        header.pointee.count1 = 0
        header.pointee.rehashIndex = -1
    }

    @inline(__always) package var count: Int { header.pointee.count0 + header.pointee.count1 }
    @inline(__always) package var isRehashing: Bool { header.pointee.rehashIndex >= 0 }
    package var context: UnsafeMutablePointer<HashContext> { header.pointee.context }

    /// Buckets of the two tables, for DEBUG HTSTATS.
    package var bucketCounts: (Int, Int) {
        (header.pointee.exponent0 < 0 ? 0 : 1 << Int(header.pointee.exponent0),
         header.pointee.exponent1 < 0 ? 0 : 1 << Int(header.pointee.exponent1))
    }

    /// Bytes of the table itself without its elements.
    package var overheadBytes: Int {
        let (a, b) = bucketCounts
        return MemoryLayout<HashTableHeader>.size + (a + b + header.pointee.childBuckets) * Bucket.byteCount
    }

    @inline(__always)
    package func hash(_ key: Bytes) -> UInt64 { SipHash.hash(key, header.pointee.context.pointee.seed) }

    // MARK: Lookup

    /// The address of the slot that holds the element with `key`, for replacing an element that moved.
    @inline(__always)
    package func slot(_ key: Bytes, _ hash: UInt64) -> UnsafeMutablePointer<UnsafeMutableRawPointer>? {
        guard let found = locate(key, hash) else { return nil }
        return UnsafeMutableRawPointer(found.bucket.slot(found.index))
            .assumingMemoryBound(to: UnsafeMutableRawPointer.self)
    }

    @inline(__always)
    package func find(_ key: Bytes, _ hash: UInt64) -> UnsafeMutableRawPointer? {
        guard let found = locate(key, hash) else { return nil }
        return found.bucket.slot(found.index).pointee
    }

    package func find(_ key: Bytes) -> UnsafeMutableRawPointer? { find(key, hash(key)) }

    @inline(__always)
    private func locate(_ key: Bytes, _ hash: UInt64) -> (bucket: Bucket, index: Int, table: Int)? {
        if isRehashing { rehashStep() }
        let tag = UInt8(truncatingIfNeeded: hash >> 56)
        var table = 0
        while true {
            guard let base = buckets(table) else { return nil }
            var bucket = Bucket(base + (Int(truncatingIfNeeded: hash) & mask(table)) * Bucket.byteCount)
            while true {
                var candidates = bucket.candidates(tag)
                while candidates != 0 {
                    let index = candidates.trailingZeroBitCount
                    candidates &= candidates &- 1
                    let element = bucket.slot(index).pointee.unsafelyUnwrapped
                    if Element.key(element).equals(key) { return (bucket, index, table) }
                }
                guard let next = bucket.next else { break }
                bucket = next
            }
            if table == 1 || !isRehashing { return nil }
            table = 1
        }
    }

    // MARK: Asking for memory ahead

    /// Asks for the bucket of a hash.
    @inline(__always)
    func prefetch(_ hash: UInt64) {
        if let base = header.pointee.buckets0 {
            Heap.prefetch(base + (Int(truncatingIfNeeded: hash) & mask(0)) * Bucket.byteCount)
        }
        if let base = header.pointee.buckets1 {
            Heap.prefetch(base + (Int(truncatingIfNeeded: hash) & mask(1)) * Bucket.byteCount)
        }
    }

    /// An element that may be the one with this hash: its bucket's first whose tag agrees.
    @inline(__always)
    func candidate(_ hash: UInt64) -> UnsafeMutableRawPointer? {
        let tag = UInt8(truncatingIfNeeded: hash >> 56)
        for table in 0..<2 {
            guard let base = buckets(table) else { return nil }
            let bucket = Bucket(base + (Int(truncatingIfNeeded: hash) & mask(table)) * Bucket.byteCount)
            let candidates = bucket.candidates(tag)
            if candidates != 0 { return bucket.slot(candidates.trailingZeroBitCount).pointee }
        }
        return nil
    }

    // MARK: Change

    /// Adds an element whose key is not in the table.
    package func insert(_ element: UnsafeMutableRawPointer, _ hash: UInt64) {
        if isRehashing { rehashStep() } else { growIfNeeded() }
        let table = isRehashing ? 1 : 0
        place(element, hash, in: table)
        if table == 0 { header.pointee.count0 += 1 } else { header.pointee.count1 += 1 }
    }

    /// As `insert`, unless there is an element of the same key, which it looks for; false then.
    /// - Parameter key: asked for only when an element's tag agrees.
    @inline(__always)
    func insertNew(_ element: UnsafeMutableRawPointer, _ hash: UInt64, key: () -> Bytes) -> Bool {
        if mayHold(hash), locate(key(), hash) != nil { return false }
        insert(element, hash)
        return true
    }

    /// Some element has this hash's bucket and tag.
    @inline(__always)
    private func mayHold(_ hash: UInt64) -> Bool {
        let tag = UInt8(truncatingIfNeeded: hash >> 56)
        for table in 0..<2 {
            guard let base = buckets(table) else { return false }
            var bucket = Bucket(base + (Int(truncatingIfNeeded: hash) & mask(table)) * Bucket.byteCount)
            while true {
                if bucket.candidates(tag) != 0 { return true }
                guard let next = bucket.next else { break }
                bucket = next
            }
        }
        return false
    }

    package func insert(_ element: UnsafeMutableRawPointer) { insert(element, hash(Element.key(element))) }

    /// Takes the element with `key` out; it is the caller's from now on.
    package func remove(_ key: Bytes, _ hash: UInt64) -> UnsafeMutableRawPointer? {
        guard let found = locate(key, hash) else { return nil }
        let element = found.bucket.slot(found.index).pointee
        found.bucket.meta &= ~(1 << UInt8(found.index))
        if found.table == 0 { header.pointee.count0 -= 1 } else { header.pointee.count1 -= 1 }
        if header.pointee.childBuckets > 0, header.pointee.rehashPauses == 0 {
            compact(table: found.table, hash)
        }
        shrinkIfNeeded()
        return element
    }

    package func remove(_ key: Bytes) -> UnsafeMutableRawPointer? { remove(key, hash(key)) }

    /// Makes room for `expected` elements at once, before a bulk load.
    package func reserve(_ expected: Int) {
        guard !isRehashing, expected > 0 else { return }
        let wanted = Self.exponent(holding: expected)
        guard wanted > header.pointee.exponent0 else { return }
        if count == 0 {
            if let base = header.pointee.buckets0 { Heap.free(base) }
            header.pointee.buckets0 = Heap.allocateZeroed((1 << Int(wanted)) * Bucket.byteCount)
            header.pointee.exponent0 = wanted
        } else {
            startRehash(to: wanted)
        }
    }

    /// Keeps elements in their buckets until the matching `resumeRehash`.
    package func pauseRehash() { header.pointee.rehashPauses += 1 }
    package func resumeRehash() { header.pointee.rehashPauses -= 1 }

    /// Moves up to `buckets` buckets of a table that grows or shrinks; false when nothing is left to do.
    package func rehash(buckets: Int) -> Bool {
        var left = buckets
        while isRehashing && left > 0 && header.pointee.rehashPauses == 0 {
            rehashStep()
            left -= 1
        }
        return isRehashing
    }

    // MARK: Private

    @inline(__always)
    func buckets(_ table: Int) -> UnsafeMutableRawPointer? {
        table == 0 ? header.pointee.buckets0 : header.pointee.buckets1
    }
    @inline(__always)
    func exponent(_ table: Int) -> Int8 { table == 0 ? header.pointee.exponent0 : header.pointee.exponent1 }
    @inline(__always)
    func mask(_ table: Int) -> Int { (1 << Int(exponent(table))) &- 1 }

    @inline(__always)
    static func forEach(in first: Bucket, _ body: (UnsafeMutableRawPointer) -> Void) {
        var bucket = first
        while true {
            var taken = bucket.meta & (bucket.isChained ? 0x3f : 0x7f)
            while taken != 0 {
                let index = taken.trailingZeroBitCount
                taken &= taken &- 1
                body(bucket.slot(index).pointee.unsafelyUnwrapped)
            }
            guard let next = bucket.next else { return }
            bucket = next
        }
    }

    private func freeChildren(of bucket: Bucket) {
        var child = bucket.next
        while let current = child {
            child = current.next
            Heap.free(current.base)
            header.pointee.childBuckets -= 1
        }
        bucket.meta = 0
    }

    private func place(_ element: UnsafeMutableRawPointer, _ hash: UInt64, in table: Int) {
        let base = buckets(table).unsafelyUnwrapped
        var bucket = Bucket(base + (Int(truncatingIfNeeded: hash) & mask(table)) * Bucket.byteCount)
        let tag = UInt8(truncatingIfNeeded: hash >> 56)
        while true {
            let free = bucket.freeSlots
            if free != 0 {
                bucket.put(element, tag: tag, at: free.trailingZeroBitCount)
                return
            }
            if let next = bucket.next { bucket = next; continue }
            // Full and unchained: the seventh element moves into a new child bucket.
            let child = Bucket(Heap.allocateZeroed(Bucket.byteCount))
            header.pointee.childBuckets += 1
            let moved = bucket.slot(6).pointee.unsafelyUnwrapped
            child.put(moved, tag: bucket.base.load(fromByteOffset: 6, as: UInt8.self), at: 0)
            bucket.slot(6).pointee = child.base
            bucket.meta = (bucket.meta & 0x3f) | Bucket.chainedBit
            bucket = child
        }
    }

    /// After a removal: drops child buckets of this chain that are empty.
    private func compact(table: Int, _ hash: UInt64) {
        let base = buckets(table).unsafelyUnwrapped
        var bucket = Bucket(base + (Int(truncatingIfNeeded: hash) & mask(table)) * Bucket.byteCount)
        while let child = bucket.next {
            if child.count == 0 && !child.isChained {
                bucket.meta &= 0x3f
                Heap.free(child.base)
                header.pointee.childBuckets -= 1
                return
            }
            if child.isChained && child.meta & 0x3f == 0 {
                bucket.slot(6).pointee = child.slot(6).pointee
                Heap.free(child.base)
                header.pointee.childBuckets -= 1
                continue
            }
            bucket = child
        }
    }

    private static func exponent(holding count: Int) -> Int8 {
        var exponent: Int8 = 0
        while (1 << Int(exponent)) * growAtTenths / 10 < count && exponent < 48 { exponent += 1 }
        return exponent
    }

    @inline(__always)
    private func growIfNeeded() {
        let exponent = header.pointee.exponent0
        if exponent < 0 {
            header.pointee.buckets0 = Heap.allocateZeroed(Bucket.byteCount)
            header.pointee.exponent0 = 0
            return
        }
        let limit = (Self.growAtTenths << Int(exponent)) / 10
        if header.pointee.count0 >= limit { grow(limit) }
    }

    @inline(never)
    private func grow(_ limit: Int) {
        if header.pointee.context.pointee.avoidResize && header.pointee.count0 < limit * 4 { return }
        if header.pointee.rehashPauses > 0 { return }
        startRehash(to: Self.exponent(holding: header.pointee.count0 + 1))
    }

    @inline(__always)
    private func shrinkIfNeeded() {
        let exponent = header.pointee.exponent0
        if exponent > 0 && !isRehashing && header.pointee.count0 < (7 << Int(exponent)) / 10 { shrink() }
    }

    @inline(never)
    private func shrink() {
        if header.pointee.context.pointee.avoidResize || header.pointee.rehashPauses > 0 { return }
        startRehash(to: Self.exponent(holding: max(header.pointee.count0, 1)))
    }

    private func startRehash(to exponent: Int8) {
        header.pointee.buckets1 = Heap.allocateZeroed((1 << Int(exponent)) * Bucket.byteCount)
        header.pointee.exponent1 = exponent
        header.pointee.rehashIndex = 0
    }

    /// Empties one non-empty bucket (or ten empty ones) of table 0 into table 1.
    @inline(never)
    private func rehashStep() {
        if header.pointee.rehashPauses > 0 { return }
        if header.pointee.context.pointee.avoidResize,
           header.pointee.exponent1 < header.pointee.exponent0
            || count < (Self.growAtTenths << Int(header.pointee.exponent0)) / 10 * 4 { return }
        let size = 1 << Int(header.pointee.exponent0)
        let base = header.pointee.buckets0.unsafelyUnwrapped
        var visits = 10
        while visits > 0 && header.pointee.rehashIndex < size {
            let bucket = Bucket(base + header.pointee.rehashIndex * Bucket.byteCount)
            header.pointee.rehashIndex += 1
            visits -= 1
            if bucket.meta == 0 { continue }
            var moved = 0
            Self.forEach(in: bucket) { element in
                place(element, hash(Element.key(element)), in: 1)
                moved += 1
            }
            freeChildren(of: bucket)
            header.pointee.count0 -= moved
            header.pointee.count1 += moved
            break
        }
        if header.pointee.rehashIndex >= size { finishRehash() }
    }

    private func finishRehash() {
        Heap.free(header.pointee.buckets0.unsafelyUnwrapped)
        header.pointee.buckets0 = header.pointee.buckets1
        header.pointee.exponent0 = header.pointee.exponent1
        header.pointee.count0 = header.pointee.count1
        header.pointee.buckets1 = nil
        header.pointee.exponent1 = -1
        header.pointee.count1 = 0
        header.pointee.rehashIndex = -1
    }
}
