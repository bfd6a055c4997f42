import Primitives
#if canImport(Glibc)
import Glibc
#endif

// Changing a listpack: every change is one replacement of a run of bytes by another.

/// An element as it will be written: its lead bytes and, for strings, where the data is.
struct EncodedElement {
    /// Lead bytes, least significant first.
    var lead: UInt64 = 0
    var wide: UInt64 = 0
    var leadSize = 0
    var data: UnsafeRawPointer?
    var dataSize = 0

    var size: Int { leadSize + dataSize }
    var entrySize: Int { size + Listpack.backLengthSize(size) }

    private init(lead: UInt64, leadSize: Int, data: UnsafeRawPointer?, dataSize: Int) {
        self.lead = lead
        self.leadSize = leadSize
        self.data = data
        self.dataSize = dataSize
    }

    @inline(__always)
    init(_ bytes: Bytes) {
        if bytes.count <= 20, bytes.count > 0, let integer = Decimal.parseInt64(bytes) {
            self.init(integer)
            return
        }
        let count = bytes.count
        if count < 64 {
            self.init(lead: UInt64(0x80 | count), leadSize: 1, data: bytes.baseAddress, dataSize: count)
        } else if count < 4096 {
            self.init(lead: UInt64(0xe0 | count >> 8) | UInt64(count & 0xff) << 8, leadSize: 2,
                      data: bytes.baseAddress, dataSize: count)
        } else {
            self.init(lead: 0xf0 | UInt64(UInt32(truncatingIfNeeded: count)) << 8, leadSize: 5,
                      data: bytes.baseAddress, dataSize: count)
        }
    }

    init(_ value: Int64) {
        let bits = UInt64(bitPattern: value)
        switch value {
        case 0...127: (lead, leadSize) = (bits, 1)
        case -4096...4095:
            let raw = bits & 0x1fff
            (lead, leadSize) = ((0xc0 | raw >> 8) | (raw & 0xff) << 8, 2)
        case -32768...32767: (lead, leadSize) = (0xf1 | (bits & 0xffff) << 8, 3)
        case -8_388_608...8_388_607: (lead, leadSize) = (0xf2 | (bits & 0xff_ffff) << 8, 4)
        case -2_147_483_648...2_147_483_647: (lead, leadSize) = (0xf3 | (bits & 0xffff_ffff) << 8, 5)
        default: (lead, wide, leadSize) = (0xf4 | bits << 8, bits >> 56, 9)
        }
    }

    /// Writes the whole entry and returns its end.
    @inline(__always)
    func write(to target: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer {
        var at = target
        var bits = lead
        for _ in 0..<min(leadSize, 8) {
            at.storeBytes(of: UInt8(truncatingIfNeeded: bits), as: UInt8.self)
            bits >>= 8
            at += 1
        }
        if leadSize == 9 {
            at.storeBytes(of: UInt8(truncatingIfNeeded: wide), as: UInt8.self)
            at += 1
        }
        if let data, dataSize > 0 {
            memmove(at, data, dataSize)
            at += dataSize
        }
        return Self.writeBackLength(size, to: at)
    }

    @inline(__always)
    static func writeBackLength(_ size: Int, to target: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer {
        let count = Listpack.backLengthSize(size)
        for index in 0..<count {
            let part = UInt8(truncatingIfNeeded: (size >> (7 * (count - 1 - index))) & 0x7f)
            target.storeBytes(of: index == 0 ? part : part | 0x80, toByteOffset: index, as: UInt8.self)
        }
        return target + count
    }
}

extension Listpack {
    /// Bytes that an element of this text will take.
    package static func entrySize(_ bytes: Bytes) -> Int { EncodedElement(bytes).entrySize }
    package static func entrySize(_ integer: Int64) -> Int { EncodedElement(integer).entrySize }

    /// Adding that many bytes keeps the blob within the limit.
    package func hasRoom(_ extra: Int) -> Bool { byteCount &+ extra < Self.maximumBytes }

    // MARK: Adding

    @inline(__always) package mutating func append(_ bytes: Bytes) { insert(EncodedElement(bytes), byteCount - 1) }
    @inline(__always) package mutating func append(_ integer: Int64) { insert(EncodedElement(integer), byteCount - 1) }
    package mutating func append(_ element: ListpackElement) {
        switch element {
        case .integer(let value): append(value)
        case .bytes(let bytes): append(bytes)
        }
    }
    package mutating func prepend(_ bytes: Bytes) { insert(EncodedElement(bytes), Self.headerBytes) }
    package mutating func prepend(_ integer: Int64) { insert(EncodedElement(integer), Self.headerBytes) }

    /// Inserts before the element at `position` (or at the end: `byteCount - 1`); the new element is at `position`.
    package mutating func insert(_ bytes: Bytes, before position: Position) {
        insert(EncodedElement(bytes), position)
    }
    package mutating func insert(_ integer: Int64, before position: Position) {
        insert(EncodedElement(integer), position)
    }

    package mutating func insert(_ bytes: Bytes, after position: Position) {
        insert(EncodedElement(bytes), position + entrySize(position))
    }

    /// The data must not lie in this listpack.
    @inline(__always)
    private mutating func insert(_ element: EncodedElement, _ position: Position) {
        let size = element.entrySize
        resize(at: position, removing: 0, adding: size)
        _ = element.write(to: pointer + position)
        changeCount(by: 1)
    }

    /// Replaces the element at `position` by another.
    package mutating func replace(_ position: Position, with bytes: Bytes) {
        replace(position, EncodedElement(bytes))
    }
    package mutating func replace(_ position: Position, with integer: Int64) {
        replace(position, EncodedElement(integer))
    }

    private mutating func replace(_ position: Position, _ element: EncodedElement) {
        resize(at: position, removing: entrySize(position), adding: element.entrySize)
        _ = element.write(to: pointer + position)
    }

    // MARK: Removing

    /// Removes the element at `position`; what followed it is at `position` now (see `atOrNil`).
    package mutating func delete(_ position: Position) {
        resize(at: position, removing: entrySize(position), adding: 0)
        changeCount(by: -1)
    }

    /// `position` if an element begins there, nil at the end: where a deletion left off.
    @inline(__always)
    package func atOrNil(_ position: Position) -> Position? { byte(position) == 0xff ? nil : position }

    /// Removes `count` elements from `position` on, or as many as there are; returns how many.
    @discardableResult
    package mutating func deleteRun(from position: Position, count: Int) -> Int {
        var end = position, removed = 0
        while removed < count && byte(end) != 0xff {
            end += entrySize(end)
            removed += 1
        }
        resize(at: position, removing: end - position, adding: 0)
        changeCount(by: -removed)
        return removed
    }

    /// Removes `count` elements from index `index` on (negative: from the end).
    @discardableResult
    package mutating func deleteRange(index: Int, count: Int) -> Int {
        guard count > 0, let position = seek(index) else { return 0 }
        return deleteRun(from: position, count: count)
    }

    /// Appends all elements of another listpack.
    package mutating func append(contentsOf other: Listpack) {
        let extra = other.byteCount - Self.headerBytes - 1
        guard extra > 0 else { return }
        let otherCount = other.count
        let position = byteCount - 1
        resize(at: position, removing: 0, adding: extra)
        memcpy(pointer + position, other.pointer + Self.headerBytes, extra)
        changeCount(by: otherCount)
    }

    /// A new listpack of the elements from `position` on; they are removed here.
    package mutating func split(at position: Position) -> Listpack {
        let tail = byteCount - 1 - position
        let pack = Listpack(adopting: Heap.allocate(Self.headerBytes + tail + 1))
        memcpy(pack.pointer + Self.headerBytes, pointer + position, tail + 1)
        pack.byteCount = Self.headerBytes + tail + 1
        pack.storedCount = Self.unknownCount
        let moved = pack.count
        resize(at: position, removing: tail, adding: 0)
        changeCount(by: -moved)
        return pack
    }

    /// Gives back room that growth left behind.
    package mutating func shrinkToFit() {
        if Heap.usableSize(pointer) > byteCount + 16 { pointer = Heap.reallocate(pointer, byteCount) }
    }

    // MARK: Private

    private static let smallBytes = 256

    /// Makes `added` bytes of room in place of `removed` bytes at `position`, end mark and total included.
    @inline(__always)
    private mutating func resize(at position: Position, removing removed: Int, adding added: Int) {
        let total = byteCount
        let newTotal = total - removed + added
        if newTotal > total, newTotal > Heap.usableSize(pointer) {
            // Small ones are many, and moved in no time. Larger ones get a little more than asked for: appending one by
            // one then moves seldom.
            let slack = newTotal <= Self.smallBytes ? 0 : min(newTotal / 4, 1024)
            pointer = Heap.reallocate(pointer, newTotal + slack)
        }
        let tail = total - position - removed
        if removed != added, tail > 0 {
            memmove(pointer + position + added, pointer + position + removed, tail)
        }
        byteCount = newTotal
        if newTotal < total, Heap.usableSize(pointer) > newTotal * 2 + 64 {
            pointer = Heap.reallocate(pointer, newTotal)
        }
    }

    @inline(__always)
    private func changeCount(by change: Int) {
        let stored = storedCount
        // Once unknown it stays so until somebody counts.
        if stored == Self.unknownCount { return }
        storedCount = stored + change
    }
}
