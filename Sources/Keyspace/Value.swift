import Primitives
import Encodings

/// A value that no key holds yet (or any more): decoded from a dump, the result of SUNIONSTORE, what GETDEL took
/// out. The one owner of its memory; put into a database by `Keyspace.insert`, which takes it over.
package struct Value: ~Copyable {
    package let type: ValueType
    package let encoding: Encoding
    /// As `Entry.payload`. Strings: Int64 bits (encoding int) or the address of a `StringBlock`.
    package let payload: UInt64

    package init(_ type: ValueType, _ encoding: Encoding, _ pointer: UnsafeMutableRawPointer) {
        self.type = type
        self.encoding = encoding
        payload = UInt64(UInt(bitPattern: pointer))
    }

    package init(integer: Int64) {
        type = .string
        encoding = .int
        payload = UInt64(bitPattern: integer)
    }

    /// A string, int-encoded if it is a canonical decimal integer.
    package init(string: Bytes) {
        if string.count <= 20, let integer = Decimal.parseInt64(string) {
            self.init(integer: integer)
        } else {
            self.init(.string, string.count <= 44 ? .embstr : .raw, StringBlock.create(string).base)
        }
    }

    package var pointer: UnsafeMutableRawPointer {
        UnsafeMutableRawPointer(bitPattern: UInt(payload)).unsafelyUnwrapped
    }

    /// Gives the payload away: the receiver owns it from now on.
    package consuming func release() -> UInt64 {
        let payload = payload
        discard self
        return payload
    }

    deinit { Value.destroy(type, encoding, payload) }

    /// Frees what a payload owns.
    package static func destroy(_ type: ValueType, _ encoding: Encoding, _ payload: UInt64) {
        guard encoding != .int, let pointer = UnsafeMutableRawPointer(bitPattern: UInt(payload)) else { return }
        switch type {
        case .string: Heap.free(pointer)
        case .list: ListValue.destroy(pointer, encoding)
        case .set: SetValue.destroy(pointer, encoding)
        case .sortedSet: SortedSetValue.destroy(pointer, encoding)
        case .hash: HashValue.destroy(pointer, encoding)
        case .stream: StreamValue.destroy(pointer)
        case .module: ModuleValue.destroy(pointer)
        }
    }
}
