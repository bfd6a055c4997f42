import Primitives

/// The hash of a key that was computed before its command ran. Good for exactly the bytes at that address, as long as
/// whoever set it keeps them there; `forget` then.
package struct KnownHash {
    private var address: UnsafeRawPointer?
    private var count = 0
    @usableFromInline var hash: UInt64 = 0

    @inline(__always)
    package mutating func set(_ key: Bytes, _ hash: UInt64) {
        address = key.baseAddress
        count = key.count
        self.hash = hash
    }

    @inline(__always)
    package mutating func forget() { address = nil }

    @inline(__always)
    func isOf(_ key: Bytes) -> Bool { address != nil && key.baseAddress == address && key.count == count }
}

// `mutating` though nothing changes: borrowed from the engine's field, a keyspace is copied, 400 bytes a call.
extension Keyspace {
    /// The hash under which every database knows `key`.
    @inline(__always)
    package mutating func hash(_ key: Bytes) -> UInt64 {
        knownHash.isOf(key) ? knownHash.hash : SipHash.hash(key, context.pointee.seed)
    }

    // MARK: Asking for memory ahead; see Engine/Pipeline.swift

    @inline(__always)
    package mutating func prefetchBucket(_ hash: UInt64, in database: Int) { databases[database].keys.prefetch(hash) }

    /// Asks for the entries that a bucket, asked for before, names under this hash.
    @inline(__always)
    package mutating func prefetchEntry(_ hash: UInt64, in database: Int) {
        guard let element = databases[database].keys.candidate(hash) else { return }
        Heap.prefetch(element)
        Heap.prefetch(element + 64)
    }

    /// Asks for the values outside of entries, asked for before.
    @inline(__always)
    package mutating func prefetchValue(_ hash: UInt64, in database: Int) {
        guard let element = databases[database].keys.candidate(hash) else { return }
        let entry = Entry(element)
        if !entry.isEmbedded && entry.encoding != .int { Heap.prefetch(entry.pointer) }
    }
}
