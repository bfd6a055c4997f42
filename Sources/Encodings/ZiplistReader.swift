import Primitives

// The ziplist: what lists, hashes and sorted sets were kept in before listpacks; read only.
//
//     u32 total bytes | u32 offset of the last entry | u16 entries (65535: count them) | entry … | 0xFF
//     entry: size of the entry before (u8, or 0xFE and u32) | encoding and data
//
//     00LLLLLL                string of L bytes
//     01LLLLLL LLLLLLLL       string of L bytes, big endian
//     10______ + u32          string, length big endian
//     11000000 11010000 11100000    i16, i32, i64, little endian
//     11110000 11111110             i24, i8
//     1111nnnn (1 … 13)             the integer n - 1

/// A ziplist's bytes, checked whole before the first element is given out: `validate` first.
package struct ZiplistReader {
    private let base: UnsafeRawPointer
    private let end: Int
    private var position = 10
    /// Elements.
    package let count: Int

    /// Nil if `blob` is not a ziplist: sizes, back sizes, tail, count, end mark. Nothing outside of it is read.
    package init?(_ blob: Bytes) {
        guard blob.count >= 11, let base = blob.baseAddress,
              Int(base.loadUnaligned(as: UInt32.self)) == blob.count, blob[blob.count - 1] == 0xff else { return nil }
        self.base = base
        end = blob.count - 1
        let tail = Int(base.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
        let stored = Int(base.loadUnaligned(fromByteOffset: 8, as: UInt16.self))
        var position = 10, before = 0, count = 0, last = 10
        while position < end {
            guard let (start, declared) = Self.backSize(base, position, end), declared == before,
                  let size = Self.dataSize(base, start, end), size.header &+ size.data <= end &- start else {
                return nil
            }
            last = position
            before = start &- position &+ size.header &+ size.data
            position &+= before
            count += 1
        }
        guard position == end, tail == last, stored == 65535 || stored == count else { return nil }
        self.count = count
    }

    /// The next element, nil at the end; its bytes are the blob's.
    package mutating func next() -> ListpackElement? {
        guard position < end, let (start, _) = Self.backSize(base, position, end),
              let size = Self.dataSize(base, start, end) else { return nil }
        position = start &+ size.header &+ size.data
        let lead = base.load(fromByteOffset: start, as: UInt8.self)
        let data = base + start + size.header
        if lead < 0xc0 { return .bytes(Bytes(start: data, count: size.data)) }
        switch lead {
        case 0xc0: return .integer(Int64(data.loadUnaligned(as: Int16.self)))
        case 0xd0: return .integer(Int64(data.loadUnaligned(as: Int32.self)))
        case 0xe0: return .integer(data.loadUnaligned(as: Int64.self))
        case 0xf0:
            let low = Int64(data.loadUnaligned(as: UInt16.self))
                | Int64(data.load(fromByteOffset: 2, as: UInt8.self)) << 16
            return .integer(low >= 1 << 23 ? low - 1 << 24 : low)
        case 0xfe: return .integer(Int64(data.load(as: Int8.self)))
        default: return .integer(Int64(lead & 0x0f) - 1)
        }
    }

    private static func backSize(_ base: UnsafeRawPointer, _ at: Int, _ end: Int) -> (start: Int, size: Int)? {
        let lead = base.load(fromByteOffset: at, as: UInt8.self)
        if lead < 254 { return at &+ 1 < end ? (at &+ 1, Int(lead)) : nil }
        guard lead == 254, end &- at > 5 else { return nil }
        return (at &+ 5, Int(base.loadUnaligned(fromByteOffset: at &+ 1, as: UInt32.self)))
    }

    private static func dataSize(_ base: UnsafeRawPointer, _ at: Int, _ end: Int) -> (header: Int, data: Int)? {
        let lead = base.load(fromByteOffset: at, as: UInt8.self)
        switch lead {
        case 0..<0x40: return (1, Int(lead))
        case 0x40..<0x80:
            guard end &- at >= 2 else { return nil }
            return (2, Int(lead & 0x3f) << 8 | Int(base.load(fromByteOffset: at &+ 1, as: UInt8.self)))
        case 0x80..<0xc0:
            guard end &- at >= 5 else { return nil }
            return (5, Int(UInt32(bigEndian: base.loadUnaligned(fromByteOffset: at &+ 1, as: UInt32.self))))
        case 0xc0: return (1, 2)
        case 0xd0: return (1, 4)
        case 0xe0: return (1, 8)
        case 0xf0: return (1, 3)
        case 0xfe: return (1, 1)
        case 0xf1...0xfd: return (1, 0)
        default: return nil
        }
    }
}

// The zipmap: small hashes before 2.6; read only.
//
//     u8 pairs (254 and more: count them) | pair … | 0xFF
//     pair: length | field | length | u8 unused | value | unused bytes
//     length: u8, or 0xFE and u32 little endian

/// A zipmap's bytes, checked whole before the first pair is given out.
package struct ZipmapReader {
    private let base: UnsafeRawPointer
    private let end: Int
    private var position = 1
    /// Pairs.
    package let count: Int

    /// Nil if `blob` is not a zipmap. Nothing outside of it is read.
    package init?(_ blob: Bytes) {
        guard blob.count >= 2, let base = blob.baseAddress, blob[blob.count - 1] == 0xff else { return nil }
        self.base = base
        end = blob.count - 1
        var position = 1, count = 0
        while position < end {
            guard let pair = Self.pair(base, position, end) else { return nil }
            position = pair.next
            count += 1
        }
        guard position == end, blob[0] >= 254 || Int(blob[0]) == count else { return nil }
        self.count = count
    }

    /// The next field and value, nil at the end; their bytes are the blob's.
    package mutating func next() -> (field: Bytes, value: Bytes)? {
        guard position < end, let pair = Self.pair(base, position, end) else { return nil }
        position = pair.next
        return (pair.field, pair.value)
    }

    private static func pair(_ base: UnsafeRawPointer, _ at: Int,
                             _ end: Int) -> (field: Bytes, value: Bytes, next: Int)? {
        guard let field = length(base, at, end), field.length <= end &- field.start else { return nil }
        let valueAt = field.start &+ field.length
        guard let value = length(base, valueAt, end), value.start < end else { return nil }
        let unused = Int(base.load(fromByteOffset: value.start, as: UInt8.self))
        guard value.length &+ unused <= end &- value.start &- 1 else { return nil }
        return (Bytes(start: base + field.start, count: field.length),
                Bytes(start: base + value.start + 1, count: value.length),
                value.start &+ 1 &+ value.length &+ unused)
    }

    private static func length(_ base: UnsafeRawPointer, _ at: Int, _ end: Int) -> (start: Int, length: Int)? {
        guard at < end else { return nil }
        let lead = base.load(fromByteOffset: at, as: UInt8.self)
        if lead < 254 { return (at &+ 1, Int(lead)) }
        guard lead == 254, end &- at > 5 else { return nil }
        return (at &+ 5, Int(base.loadUnaligned(fromByteOffset: at &+ 1, as: UInt32.self)))
    }
}
