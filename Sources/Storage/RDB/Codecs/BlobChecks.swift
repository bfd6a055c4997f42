import Encodings
import Keyspace
import Primitives

// Small collections are in a file as one string: the bytes of a listpack, an intset, a ziplist or a zipmap. Whatever
// those bytes are, what is made of them is well-formed:
//
//  1. The structure (sizes, counts, marks) is always checked, and so are scores and the order of sorted sets and of
//     field expires, for everything later relies on them.
//  2. With `isThorough`, duplicates are looked for, too.

extension RDBInput {
    /// The next string as a checked listpack of its own, with groups of `stride` elements; nil if it is empty.
    mutating func listpack(stride: Int, name: StaticString) throws(StorageError) -> Listpack? {
        let blob = try string()
        guard Listpack.validate(blob) else { throw corrupt("\(name) listpack integrity check failed.") }
        let pack = Listpack.create(copying: blob)
        let count = pack.count
        guard count % stride == 0 else {
            pack.destroy()
            throw corrupt("\(name) listpack integrity check failed.")
        }
        if count > 0 { return pack }
        pack.destroy()
        return nil
    }

    /// The next string, a ziplist, as a listpack; nil if it is empty.
    mutating func listpackOfZiplist(stride: Int, name: StaticString) throws(StorageError) -> Listpack? {
        let blob = try string()
        guard var reader = ZiplistReader(blob), reader.count % stride == 0 else {
            throw corrupt("\(name) ziplist integrity check failed.")
        }
        if reader.count == 0 { return nil }
        guard blob.count < Listpack.maximumBytes else { throw corrupt("a ziplist of \(blob.count) bytes") }
        var pack = Listpack.create(capacity: blob.count + blob.count / 8 + 16)
        while let element = reader.next() { pack.append(element) }
        return pack
    }

    /// Throws if a group's first element comes twice. The listpack stays the caller's.
    func checkDuplicates(_ pack: Listpack, stride: Int, name: StaticString, _ keyspace: borrowing Keyspace)
        throws(StorageError) {
        var capacity = 16
        while capacity < pack.count / stride * 2 { capacity *= 2 }
        let slots = Heap.allocateZeroed(capacity * 8).bindMemory(to: UInt64.self, capacity: capacity)
        defer { Heap.free(UnsafeMutableRawPointer(slots)) }
        var current = pack.first
        var index = 0
        while let at = current {
            if index % stride == 0, !Self.enter(at, of: pack, slots, capacity - 1, keyspace.context.pointee.seed) {
                throw corrupt("\(name) with duplicate elements")
            }
            index += 1
            current = pack.next(at)
        }
    }

    /// False if an equal element was entered before. A slot holds half of the hash, then the place; 0: free.
    private static func enter(_ at: Int, of pack: Listpack, _ slots: UnsafeMutablePointer<UInt64>, _ mask: Int,
                              _ seed: HashSeed) -> Bool {
        withUnsafeTemporaryAllocation(byteCount: 48, alignment: 8) { buffer in
            let scratch = buffer.baseAddress.unsafelyUnwrapped
            let text = pack.get(at).text(scratch), hash = hash(text, seed)
            let entry = hash & 0xffff_ffff_0000_0000 | UInt64(UInt32(truncatingIfNeeded: at))
            var index = Int(truncatingIfNeeded: hash) & mask
            while slots[index] != 0 {
                if (slots[index] ^ entry) >> 32 == 0,
                   pack.get(Int(slots[index] & 0xffff_ffff)).text(scratch + 24).equals(text) { return false }
                index = (index + 1) & mask
            }
            slots[index] = entry
            return true
        }
    }

    /// Seeded, so that nobody can choose texts that fall together; for short ones, which most are, one multiplication.
    @inline(__always)
    private static func hash(_ text: Bytes, _ seed: HashSeed) -> UInt64 {
        guard let start = text.baseAddress, text.count <= 16 else { return SipHash.hash(text, seed) }
        var first: UInt64 = 0, last: UInt64 = 0
        if text.count >= 8 {
            first = start.loadUnaligned(as: UInt64.self)
            last = start.loadUnaligned(fromByteOffset: text.count - 8, as: UInt64.self)
        } else {
            for index in 0..<text.count { first = first &<< 8 | UInt64(text[index]) }
        }
        let product = (first ^ seed.k0).multipliedFullWidth(by: last ^ seed.k1 &+ UInt64(text.count))
        return product.high ^ product.low
    }

    /// A string that is an element of a collection.
    @inline(__always)
    mutating func element() throws(StorageError) -> Bytes {
        let bytes = try string()
        guard bytes.count <= RDBLimits.elementBytes else { throw corrupt("an element of \(bytes.count) bytes") }
        return bytes
    }
}
