import Primitives
#if canImport(Glibc)
import Glibc
#endif

// A key and its value: one allocation.
//
//     offset 0   u8   type << 4 | encoding
//            1   u8   flags
//            2   u16  room for an embedded value, in bytes
//            4   u32  LRU clock (seconds) or LFU counter, 24 bits; 8 bits spare
//            8   u32  key length
//           12   u32  length of the embedded value
//           16   i64  expire, Unix time in ms         only with flag `expires`
//          +0    u64  payload                         only without flag `embedded`
//           …         key bytes
//           …         value bytes and their room      only with flag `embedded`
//
// The payload is an Int64 (encoding int), the address of a `StringBlock` (long strings), or the address of the
// container. Setting an expire on an entry that has none, and outgrowing the room of an embedded value, moves the
// entry: `Database` then corrects its tables, so entries are only ever changed through it.
//
// Invariants
//  1. Exactly one table of keys holds the entry; `expires` holds it too if and only if flag `expires` is set.
//  2. `embedded` implies type string and encoding embstr or raw; a payload that is an address is owned by the entry.

/// Handle of an entry; the database that holds it is the owner.
package struct Entry: Equatable {
    package let base: UnsafeMutableRawPointer

    @inline(__always) package init(_ base: UnsafeMutableRawPointer) { self.base = base }

    static let headerBytes = 16
    static let expiresFlag: UInt8 = 1
    static let embeddedFlag: UInt8 = 2
    /// A hash with field expires that its database's `fieldExpires` knows.
    static let fieldExpiresFlag: UInt8 = 4
    /// Strings up to this length are kept in the entry.
    static let embedLimit = 192

    @inline(__always) var flags: UInt8 {
        get { base.load(fromByteOffset: 1, as: UInt8.self) }
        nonmutating set { base.storeBytes(of: newValue, toByteOffset: 1, as: UInt8.self) }
    }
    @inline(__always) var keyLength: Int { Int(base.load(fromByteOffset: 8, as: UInt32.self)) }
    @inline(__always) package var isEmbedded: Bool { flags & Self.embeddedFlag != 0 }
    @inline(__always) package var hasExpire: Bool { flags & Self.expiresFlag != 0 }
    @inline(__always) package var hasFieldExpires: Bool { flags & Self.fieldExpiresFlag != 0 }

    @inline(__always) private var payloadOffset: Int { Self.headerBytes + (hasExpire ? 8 : 0) }
    @inline(__always) private var keyOffset: Int { payloadOffset + (isEmbedded ? 0 : 8) }

    @inline(__always)
    package var type: ValueType {
        ValueType(rawValue: base.load(as: UInt8.self) >> 4).unsafelyUnwrapped
    }

    @inline(__always)
    package var encoding: Encoding {
        get { Encoding(rawValue: base.load(as: UInt8.self) & 15).unsafelyUnwrapped }
        nonmutating set {
            base.storeBytes(of: (base.load(as: UInt8.self) & 0xf0) | newValue.rawValue, as: UInt8.self)
        }
    }

    @inline(__always)
    package var key: Bytes { Bytes(start: base + keyOffset, count: keyLength) }

    /// The container's address, or an int-encoded string's value as bits. Not for embedded strings.
    @inline(__always)
    package var payload: UInt64 {
        get { base.loadUnaligned(fromByteOffset: payloadOffset, as: UInt64.self) }
        nonmutating set { base.storeBytes(of: newValue, toByteOffset: payloadOffset, as: UInt64.self) }
    }

    /// The address of the container (listpack, intset, table …) or of a `StringBlock`.
    @inline(__always)
    package var pointer: UnsafeMutableRawPointer {
        get { UnsafeMutableRawPointer(bitPattern: UInt(payload)).unsafelyUnwrapped }
        nonmutating set { payload = UInt64(UInt(bitPattern: newValue)) }
    }

    @inline(__always)
    package var integer: Int64 {
        get { Int64(bitPattern: payload) }
        nonmutating set { payload = UInt64(bitPattern: newValue) }
    }

    /// Absolute, Unix time in ms; nil: never.
    @inline(__always)
    package var expire: UnixMilliseconds? {
        hasExpire ? UnixMilliseconds(base.load(fromByteOffset: Self.headerBytes, as: Int64.self)) : nil
    }

    /// LRU clock or LFU counter, 24 bits.
    @inline(__always)
    package var access: UInt32 {
        get { base.load(fromByteOffset: 4, as: UInt32.self) & 0xff_ffff }
        nonmutating set {
            let spare = base.load(fromByteOffset: 4, as: UInt32.self) & 0xff00_0000
            base.storeBytes(of: spare | (newValue & 0xff_ffff), toByteOffset: 4, as: UInt32.self)
        }
    }

    var embeddedCount: Int {
        get { Int(base.load(fromByteOffset: 12, as: UInt32.self)) }
        nonmutating set { base.storeBytes(of: UInt32(newValue), toByteOffset: 12, as: UInt32.self) }
    }
    var embeddedRoom: Int { Int(base.load(fromByteOffset: 2, as: UInt16.self)) }

    /// Bytes of a string that is not int-encoded; valid until the key changes.
    @inline(__always)
    package var stringBytes: Bytes {
        if isEmbedded { return Bytes(start: base + keyOffset + keyLength, count: embeddedCount) }
        return StringBlock(pointer).bytes
    }

    /// Any string's bytes: an integer is written into `scratch`, which must have room for 20 bytes.
    @inline(__always)
    package func string(_ scratch: UnsafeMutableRawPointer) -> Bytes {
        if encoding == .int { return Bytes(start: scratch, count: Decimal.write(integer, to: scratch)) }
        return stringBytes
    }

    package var stringCount: Int {
        encoding == .int ? Decimal.digitCount(integer) : (isEmbedded ? embeddedCount : StringBlock(pointer).count)
    }

    // MARK: Making entries (Database only)

    /// A string entry that holds `value` in itself.
    static func embedding(_ key: Bytes, _ value: Bytes, expire: UnixMilliseconds?, access: UInt32,
                          encoding: Encoding) -> Entry {
        let fixed = headerBytes + (expire == nil ? 0 : 8) + key.count
        let entry = Entry(Heap.allocate(fixed + value.count))
        let room = min(Heap.usableSize(entry.base) - fixed, Int(UInt16.max))
        entry.writeHeader(.string, encoding, embeddedFlag, room: room, access, key, expire)
        entry.embeddedCount = value.count
        if let source = value.baseAddress { memcpy(entry.base + fixed, source, value.count) }
        return entry
    }

    static func pointing(_ key: Bytes, _ type: ValueType, _ encoding: Encoding, payload: UInt64,
                         expire: UnixMilliseconds?, access: UInt32) -> Entry {
        let entry = Entry(Heap.allocate(headerBytes + (expire == nil ? 0 : 8) + 8 + key.count))
        entry.writeHeader(type, encoding, 0, room: 0, access, key, expire)
        entry.payload = payload
        return entry
    }

    private func writeHeader(_ type: ValueType, _ encoding: Encoding, _ flags: UInt8, room: Int, _ access: UInt32,
                             _ key: Bytes, _ expire: UnixMilliseconds?) {
        base.storeBytes(of: type.rawValue << 4 | encoding.rawValue, as: UInt8.self)
        self.flags = flags | (expire == nil ? 0 : Self.expiresFlag)
        base.storeBytes(of: UInt16(room), toByteOffset: 2, as: UInt16.self)
        base.storeBytes(of: access & 0xff_ffff, toByteOffset: 4, as: UInt32.self)
        base.storeBytes(of: UInt32(key.count), toByteOffset: 8, as: UInt32.self)
        base.storeBytes(of: 0, toByteOffset: 12, as: UInt32.self)
        if let expire { base.storeBytes(of: expire.rawValue, toByteOffset: Self.headerBytes, as: Int64.self) }
        if let source = key.baseAddress { memcpy(base + keyOffset, source, key.count) }
    }

    /// Overwrites an embedded value in place if it fits.
    @inline(__always)
    func overwriteEmbedded(_ value: Bytes, encoding: Encoding) -> Bool {
        let room = embeddedRoom
        // An entry that once held something much longer is made anew, or the memory would never come back.
        guard isEmbedded, value.count <= room, room &- value.count <= value.count &+ 32 else { return false }
        if let source = value.baseAddress { memmove(base + keyOffset + keyLength, source, value.count) }
        embeddedCount = value.count
        self.encoding = encoding
        return true
    }

    func storeExpire(_ at: UnixMilliseconds) {
        base.storeBytes(of: at.rawValue, toByteOffset: Self.headerBytes, as: Int64.self)
    }
}

/// A string too long for its entry: u64 length, then the bytes; the room is the allocation's.
package struct StringBlock {
    package let base: UnsafeMutableRawPointer

    package init(_ base: UnsafeMutableRawPointer) { self.base = base }

    package static func create(_ bytes: Bytes) -> StringBlock {
        let block = StringBlock(Heap.allocate(8 + bytes.count))
        block.base.storeBytes(of: bytes.count, as: Int.self)
        if let source = bytes.baseAddress { memcpy(block.base + 8, source, bytes.count) }
        return block
    }

    /// `count` bytes that the caller must fill; `room` more are kept free behind them.
    package static func create(uninitialized count: Int, room: Int = 0) -> StringBlock {
        let block = StringBlock(Heap.allocate(8 + count + room))
        block.base.storeBytes(of: count, as: Int.self)
        return block
    }

    @inline(__always) package var count: Int { base.load(as: Int.self) }
    @inline(__always) package var bytes: Bytes { Bytes(start: base + 8, count: count) }
    @inline(__always) package var start: UnsafeMutableRawPointer { base + 8 }

    /// Makes it `newCount` long, zero-filling what is new; may move. Growth leaves room for as much again (up to
    /// 1 MB), so that appending is cheap.
    package func resized(to newCount: Int) -> StringBlock {
        let old = count
        var block = self
        if 8 + newCount > Heap.usableSize(base) {
            let room = min(newCount, 1 << 20)
            block = StringBlock(Heap.reallocate(base, 8 + newCount + room))
        }
        if newCount > old { memset(block.base + 8 + old, 0, newCount - old) }
        block.base.storeBytes(of: newCount, as: Int.self)
        return block
    }

    package func destroy() { Heap.free(base) }
}

package enum EntryElement: HashElement {
    @inline(__always)
    package static func key(_ element: UnsafeMutableRawPointer) -> Bytes { Entry(element).key }
}
