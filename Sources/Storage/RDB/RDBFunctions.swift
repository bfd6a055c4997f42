import Primitives
#if canImport(Glibc)
import Glibc
#endif

/// Sources of function libraries as a snapshot holds them, kept from the load to the next snapshot.
///
///     repeated: u64 length | bytes
package struct RDBFunctions: ~Copyable {
    private var storage = OwnedBytes(capacity: 16)
    package private(set) var count = 0

    package init() {}

    package mutating func append(_ source: Bytes) {
        storage.append(uninitialized: 8) { $0.storeBytes(of: source.count, as: Int.self) }
        storage.append(source)
        count += 1
    }

    package mutating func removeAll() {
        storage.removeAll()
        count = 0
    }

    /// All of it, for `RDBSnapshotOptions.functions`; good until the next change.
    package var bytes: Bytes { storage.bytes }

    package func forEach(_ body: (Bytes) -> Void) { Self.forEach(in: bytes, body) }

    static func forEach(in bytes: Bytes, _ body: (Bytes) -> Void) {
        var offset = 0
        while bytes.count - offset >= 8 {
            let count = bytes.loadUnaligned(fromByteOffset: offset, as: Int.self)
            body(Bytes(rebasing: bytes[(offset + 8)..<(offset + 8 + count)]))
            offset += 8 + count
        }
    }
}
