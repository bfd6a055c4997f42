import Primitives
#if canImport(Glibc)
import Glibc
#endif

// The listpack: a small sequence of strings and integers in one run of bytes, the same bytes in memory, in RDB files
// and in DUMP payloads.
//
//     u32 total bytes | u16 entries (65535: count them) | entry … | 0xFF
//     entry: encoding and data | back length
//
//     0xxxxxxx                   7-bit unsigned integer
//     10xxxxxx  + bytes          string of up to 63 bytes
//     110xxxxx xxxxxxxx          13-bit signed integer
//     1110xxxx xxxxxxxx + bytes  string of up to 4095 bytes
//     11110000 + u32 + bytes     longer string
//     11110001 … 11110100        16, 24, 32, 64-bit signed integer, little endian
//
//     back length: size of encoding and data, 7 bits a byte, most significant first; all bytes but the first have
//     the high bit set, so that it can be read backwards.
//
// A string that is a canonical decimal integer is kept as one. All numbers are little endian.
//
// Invariants (of a blob that `validate` accepted or that these functions made)
//  1. Total bytes is the blob's size; the last byte is 0xFF and no entry reaches it.
//  2. An entry's back length is the size of its encoding and data.

/// An element as the listpack holds it.
package enum ListpackElement {
    case integer(Int64)
    case bytes(Bytes)

    /// Bytes for both: integers are written into `scratch` (at least 20 bytes).
    @inline(__always)
    package func text(_ scratch: UnsafeMutableRawPointer) -> Bytes {
        switch self {
        case .integer(let value): Bytes(start: scratch, count: Decimal.write(value, to: scratch))
        case .bytes(let bytes): bytes
        }
    }

    /// Length of the element's text in bytes.
    package var count: Int {
        switch self {
        case .integer(let value): Decimal.digitCount(value)
        case .bytes(let bytes): bytes.count
        }
    }

    package func equals(_ other: Bytes) -> Bool {
        switch self {
        case .integer(let value): other.count <= 20 && Decimal.parseInt64(other) == value
        case .bytes(let bytes): bytes.equals(other)
        }
    }

    /// The element as an integer, if its text is a canonical one.
    package var integer: Int64? {
        switch self {
        case .integer(let value): value
        case .bytes: nil
        }
    }
}

/// What is looked for in a listpack, made ready once for many comparisons.
package struct ListpackNeedle {
    package let bytes: Bytes
    package let integer: Int64
    package let isInteger: Bool
    /// The last eight bytes, or as many as there are: they tell most strings apart.
    private let tail: UInt64

    package init(_ value: Bytes) {
        let parsed = value.count <= 20 && value.count > 0 ? Decimal.parseInt64(value) : nil
        bytes = value
        integer = parsed ?? 0
        isInteger = parsed != nil
        tail = value.count >= 8 ? value.loadUnaligned(fromByteOffset: value.count - 8, as: UInt64.self) : 0
    }

    /// Whether the string of that length at `place` is it.
    @inline(__always)
    func isAt(_ place: UnsafeRawPointer) -> Bool {
        let count = bytes.count
        if count >= 8 {
            if place.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self) != tail { return false }
            return count == 8 || memcmp(place, bytes.baseAddress.unsafelyUnwrapped, count &- 8) == 0
        }
        var index = count &- 1
        while index >= 0 {
            if place.load(fromByteOffset: index, as: UInt8.self) != bytes[index] { return false }
            index &-= 1
        }
        return true
    }
}

/// Handle of a listpack; the value that stores `pointer` owns it. Mutating functions may move the blob: the owner
/// stores `pointer` again afterwards. Positions are offsets and hold until the next change.
package struct Listpack {
    package var pointer: UnsafeMutableRawPointer
    package typealias Position = Int

    package static let headerBytes = 6
    static let unknownCount = 65535
    /// A listpack never grows beyond this many bytes.
    package static let maximumBytes = 1 << 30

    @inline(__always)
    package init(adopting pointer: UnsafeMutableRawPointer) { self.pointer = pointer }

    package static func create(capacity: Int = 0) -> Listpack {
        let pack = Listpack(adopting: Heap.allocate(max(capacity, headerBytes + 1)))
        pack.byteCount = headerBytes + 1
        pack.storedCount = 0
        pack.pointer.storeBytes(of: 0xff, toByteOffset: headerBytes, as: UInt8.self)
        return pack
    }

    /// A copy of a blob that `validate` accepted.
    package static func create(copying blob: Bytes) -> Listpack {
        let pack = Listpack(adopting: Heap.allocate(blob.count))
        if let source = blob.baseAddress { memcpy(pack.pointer, source, blob.count) }
        return pack
    }

    package func copy() -> Listpack { .create(copying: bytes) }
    package func destroy() { Heap.free(pointer) }

    /// Size of the whole blob in bytes.
    @inline(__always)
    package var byteCount: Int {
        get { Int(pointer.loadUnaligned(as: UInt32.self)) }
        nonmutating set { pointer.storeBytes(of: UInt32(truncatingIfNeeded: newValue), as: UInt32.self) }
    }

    @inline(__always)
    package var bytes: Bytes { Bytes(start: pointer, count: byteCount) }

    @inline(__always)
    var storedCount: Int {
        get { Int(pointer.loadUnaligned(fromByteOffset: 4, as: UInt16.self)) }
        nonmutating set {
            pointer.storeBytes(of: UInt16(min(newValue, Self.unknownCount)), toByteOffset: 4, as: UInt16.self)
        }
    }

    /// Number of elements; counted when there are 65,535 or more.
    package var count: Int {
        let stored = storedCount
        if stored != Self.unknownCount { return stored }
        var total = 0
        var position = first
        while let at = position {
            total += 1
            position = next(at)
        }
        if total < Self.unknownCount { storedCount = total }
        return total
    }

    @inline(__always) package var isEmpty: Bool { byte(Self.headerBytes) == 0xff }

    // MARK: Walking

    @inline(__always) func byte(_ offset: Int) -> UInt8 { pointer.load(fromByteOffset: offset, as: UInt8.self) }

    @inline(__always) package var first: Position? { isEmpty ? nil : Self.headerBytes }
    package var last: Position? { previous(byteCount - 1) }

    @inline(__always)
    package func next(_ position: Position) -> Position? {
        let following = position + entrySize(position)
        return byte(following) == 0xff ? nil : following
    }

    /// The element before `position`; `byteCount - 1` stands for the end.
    @inline(__always)
    package func previous(_ position: Position) -> Position? {
        if position == Self.headerBytes { return nil }
        var offset = position - 1
        var size = 0, shift = 0
        while true {
            let part = byte(offset)
            size |= Int(part & 0x7f) << shift
            if part & 0x80 == 0 { break }
            shift += 7
            offset -= 1
        }
        return offset - size
    }

    /// The element with this index; negative ones count from the end.
    package func seek(_ index: Int) -> Position? {
        let stored = storedCount
        var fromEnd = index < 0
        var steps = fromEnd ? -index - 1 : index
        if stored != Self.unknownCount {
            if steps >= stored { return nil }
            if steps > stored / 2 {
                fromEnd.toggle()
                steps = stored - 1 - steps
            }
        }
        guard var at = fromEnd ? last : first else { return nil }
        if fromEnd {
            for _ in 0..<steps {
                guard let before = previous(at) else { return nil }
                at = before
            }
            return at
        }
        for _ in 0..<steps {
            at += entrySize(at, byte(at))
            if byte(at) == 0xff { return nil }
        }
        return at
    }

    /// Size of encoding and data, without the back length.
    @inline(__always)
    func encodedSize(_ position: Position) -> Int {
        let lead = byte(position)
        if lead < 0x80 { return 1 }
        if lead < 0xc0 { return 1 + Int(lead & 0x3f) }
        if lead < 0xe0 { return 2 }
        if lead < 0xf0 { return 2 + (Int(lead & 0x0f) << 8 | Int(byte(position + 1))) }
        switch lead {
        case 0xf0: return 5 + Int(pointer.loadUnaligned(fromByteOffset: position + 1, as: UInt32.self))
        case 0xf1: return 3
        case 0xf2: return 4
        case 0xf3: return 5
        default: return 9
        }
    }

    @inline(__always)
    func entrySize(_ position: Position) -> Int {
        let size = encodedSize(position)
        return size + Self.backLengthSize(size)
    }

    @inline(__always)
    static func backLengthSize(_ size: Int) -> Int {
        size < 128 ? 1 : size < 16384 ? 2 : size < 2_097_152 ? 3 : size < 268_435_456 ? 4 : 5
    }

    @inline(__always)
    package func get(_ position: Position) -> ListpackElement {
        let lead = byte(position)
        if lead < 0x80 { return .integer(Int64(lead)) }
        let start = UnsafeRawPointer(pointer) + position
        if lead < 0xc0 { return .bytes(Bytes(start: start + 1, count: Int(lead & 0x3f))) }
        if lead < 0xe0 {
            let raw = Int64(lead & 0x1f) << 8 | Int64(byte(position + 1))
            return .integer(raw >= 4096 ? raw - 8192 : raw)
        }
        if lead < 0xf0 {
            return .bytes(Bytes(start: start + 2, count: Int(lead & 0x0f) << 8 | Int(byte(position + 1))))
        }
        return getWide(lead, start)
    }

    private func getWide(_ lead: UInt8, _ start: UnsafeRawPointer) -> ListpackElement {
        switch lead {
        case 0xf0: return .bytes(Bytes(start: start + 5, count: Int((start + 1).loadUnaligned(as: UInt32.self))))
        case 0xf1: return .integer(Int64((start + 1).loadUnaligned(as: Int16.self)))
        case 0xf2:
            let low = Int64((start + 1).loadUnaligned(as: UInt16.self)) | Int64((start + 3).load(as: UInt8.self)) << 16
            return .integer(low >= 1 << 23 ? low - 1 << 24 : low)
        case 0xf3: return .integer(Int64((start + 1).loadUnaligned(as: Int32.self)))
        default: return .integer((start + 1).loadUnaligned(as: Int64.self))
        }
    }

    /// The first element from `position` on that equals `value`, looking at every `skip + 1`th.
    package func find(from position: Position?, _ value: Bytes, skip: Int = 0) -> Position? {
        guard var at = position else { return nil }
        let wanted = ListpackNeedle(value)
        while true {
            let lead = byte(at)
            if matches(at, lead, wanted) { return at }
            at += entrySize(at, lead)
            var left = skip
            while left > 0 {
                let skipped = byte(at)
                if skipped == 0xff { return nil }
                at += entrySize(at, skipped)
                left -= 1
            }
            if byte(at) == 0xff { return nil }
        }
    }

    /// Whether the element at `position` is what is looked for.
    @inline(__always)
    package func matches(_ position: Position, _ wanted: ListpackNeedle) -> Bool {
        matches(position, byte(position), wanted)
    }

    @inline(__always)
    private func matches(_ at: Position, _ lead: UInt8, _ wanted: ListpackNeedle) -> Bool {
        if lead < 0x80 { return wanted.isInteger && wanted.integer == Int64(lead) }
        if lead < 0xc0 {
            return Int(lead & 0x3f) == wanted.bytes.count && wanted.isAt(UnsafeRawPointer(pointer) + at + 1)
        }
        if lead < 0xe0 {
            guard wanted.isInteger else { return false }
            let raw = Int64(lead & 0x1f) << 8 | Int64(byte(at + 1))
            return wanted.integer == (raw >= 4096 ? raw - 8192 : raw)
        }
        if lead < 0xf0 {
            return Int(lead & 0x0f) << 8 | Int(byte(at + 1)) == wanted.bytes.count
                && wanted.isAt(UnsafeRawPointer(pointer) + at + 2)
        }
        switch getWide(lead, UnsafeRawPointer(pointer) + at) {
        case .integer(let stored): return wanted.isInteger && stored == wanted.integer
        case .bytes(let stored): return stored.equals(wanted.bytes)
        }
    }

    @inline(__always)
    private func entrySize(_ position: Position, _ lead: UInt8) -> Int {
        if lead < 0x80 { return 2 }
        if lead < 0xc0 { return 2 + Int(lead & 0x3f) }
        return entrySize(position)
    }
}
