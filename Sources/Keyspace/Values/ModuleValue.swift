import Primitives
#if canImport(Glibc)
import Glibc
#endif

// A value of a module that this server does not have: kept as the bytes that stand for it in a snapshot, so that it
// survives and is written back as it was.
//
//     u64 id of the module's type | u64 length | bytes

package struct ModuleValue {
    package let base: UnsafeMutableRawPointer
    private static let headerBytes = 16

    package init(_ entry: Entry) { base = entry.pointer }

    /// - Parameter bytes: all that stands behind the value's type in a snapshot.
    package static func create(id: UInt64, _ bytes: Bytes) -> Value {
        let base = Heap.allocate(headerBytes + bytes.count)
        base.storeBytes(of: id, as: UInt64.self)
        base.storeBytes(of: bytes.count, toByteOffset: 8, as: Int.self)
        if let source = bytes.baseAddress { memcpy(base + headerBytes, source, bytes.count) }
        return Value(.module, .raw, base)
    }

    /// Name and encoding version of the type, as a snapshot packs them.
    package var id: UInt64 { base.load(as: UInt64.self) }
    package var bytes: Bytes {
        Bytes(start: base + Self.headerBytes, count: base.load(fromByteOffset: 8, as: Int.self))
    }

    /// Frees everything the value owns.
    static func destroy(_ pointer: UnsafeMutableRawPointer) { Heap.free(pointer) }
}
