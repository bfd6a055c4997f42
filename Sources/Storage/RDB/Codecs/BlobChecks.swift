import Encodings
import Keyspace
import Primitives

// Small collections are in a file as one string: the bytes of a listpack, an intset, a ziplist or a zipmap. Whatever
// those bytes are, what is made of them is well-formed:
//
//  1. The structure (sizes, counts, marks) is always checked, and so are scores and the order of sorted sets and of
//     field expires, for everything later relies on them.
//  2. With `isThorough`, duplicates are looked for, too.

/// Looks for an element that comes twice.
struct DuplicateSearch: ~Copyable {
    private var seen: SetValue

    init(_ keyspace: borrowing Keyspace) { seen = .createTable(keyspace.context) }
    deinit { seen.destroy() }

    /// False if it came before.
    mutating func add(_ element: ListpackElement, _ keyspace: borrowing Keyspace) -> Bool {
        withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) {
            seen.add(element.text($0.baseAddress.unsafelyUnwrapped), keyspace)
        }
    }
}

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
        var search = DuplicateSearch(keyspace)
        var current = pack.first
        var index = 0
        while let at = current {
            if index % stride == 0, !search.add(pack.get(at), keyspace) {
                throw corrupt("\(name) with duplicate elements")
            }
            index += 1
            current = pack.next(at)
        }
    }

    /// A string that is an element of a collection.
    @inline(__always)
    mutating func element() throws(StorageError) -> Bytes {
        let bytes = try string()
        guard bytes.count <= RDBLimits.elementBytes else { throw corrupt("an element of \(bytes.count) bytes") }
        return bytes
    }
}
