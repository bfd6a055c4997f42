import Primitives
#if canImport(Glibc)
import Glibc
#endif

// The intset: a sorted array of integers of one width, the same bytes in memory and in RDB files.
//
//     u32 width in bytes (2, 4, 8) | u32 count | integers, ascending, little endian
//
// Invariant: strictly ascending; the width is the smallest that once held all of them (it never shrinks).

/// Handle of an intset; the value that stores `pointer` owns it. Mutating functions may move the blob.
package struct Intset {
    package var pointer: UnsafeMutableRawPointer
    static let headerBytes = 8

    package init(adopting pointer: UnsafeMutableRawPointer) { self.pointer = pointer }

    package static func create() -> Intset {
        let set = Intset(adopting: Heap.allocate(headerBytes))
        set.width = 2
        set.count = 0
        return set
    }

    package static func create(copying blob: Bytes) -> Intset {
        let set = Intset(adopting: Heap.allocate(blob.count))
        if let source = blob.baseAddress { memcpy(set.pointer, source, blob.count) }
        return set
    }

    package func copy() -> Intset { .create(copying: bytes) }
    package func destroy() { Heap.free(pointer) }

    package private(set) var width: Int {
        get { Int(pointer.load(as: UInt32.self)) }
        nonmutating set { pointer.storeBytes(of: UInt32(newValue), as: UInt32.self) }
    }
    package private(set) var count: Int {
        get { Int(pointer.load(fromByteOffset: 4, as: UInt32.self)) }
        nonmutating set { pointer.storeBytes(of: UInt32(newValue), toByteOffset: 4, as: UInt32.self) }
    }
    package var byteCount: Int { Self.headerBytes + count * width }
    package var bytes: Bytes { Bytes(start: pointer, count: byteCount) }

    package func get(_ index: Int) -> Int64 { get(index, width) }

    private func get(_ index: Int, _ width: Int) -> Int64 {
        let at = pointer + Self.headerBytes + index * width
        switch width {
        case 2: return Int64(at.loadUnaligned(as: Int16.self))
        case 4: return Int64(at.loadUnaligned(as: Int32.self))
        default: return at.loadUnaligned(as: Int64.self)
        }
    }

    private func put(_ index: Int, _ value: Int64) {
        let at = pointer + Self.headerBytes + index * width
        switch width {
        case 2: at.storeBytes(of: Int16(truncatingIfNeeded: value), as: Int16.self)
        case 4: at.storeBytes(of: Int32(truncatingIfNeeded: value), as: Int32.self)
        default: at.storeBytes(of: value, as: Int64.self)
        }
    }

    private static func width(of value: Int64) -> Int {
        Int64(Int16.min)...Int64(Int16.max) ~= value ? 2 : Int64(Int32.min)...Int64(Int32.max) ~= value ? 4 : 8
    }

    /// Where `value` is, or where it would have to be inserted.
    private func search(_ value: Int64) -> (index: Int, found: Bool) {
        var low = 0, high = count
        if high > 0, value > get(high - 1) { return (high, false) }
        while low < high {
            let middle = (low + high) / 2
            let there = get(middle)
            if there == value { return (middle, true) }
            if there < value { low = middle + 1 } else { high = middle }
        }
        return (low, false)
    }

    package func contains(_ value: Int64) -> Bool { Self.width(of: value) <= width && search(value).found }

    /// False if it was there already.
    package mutating func add(_ value: Int64) -> Bool {
        if Self.width(of: value) > width {
            widen(adding: value)
            return true
        }
        let (index, found) = search(value)
        if found { return false }
        reserve(count + 1, width)
        let at = pointer + Self.headerBytes + index * width
        memmove(at + width, at, (count - index) * width)
        count += 1
        put(index, value)
        return true
    }

    /// The value does not fit the width: it goes to one of the ends.
    private mutating func widen(adding value: Int64) {
        let old = width, newWidth = Self.width(of: value), shift = value < 0 ? 1 : 0
        reserve(count + 1, newWidth)
        width = newWidth
        var index = count - 1
        while index >= 0 {
            put(index + shift, get(index, old))
            index -= 1
        }
        count += 1
        put(value < 0 ? 0 : count - 1, value)
    }

    /// False if it was not there.
    package mutating func remove(_ value: Int64) -> Bool {
        guard Self.width(of: value) <= width else { return false }
        let (index, found) = search(value)
        if !found { return false }
        let at = pointer + Self.headerBytes + index * width
        memmove(at, at + width, (count - index - 1) * width)
        count -= 1
        if Heap.usableSize(pointer) > byteCount * 2 + 64 { pointer = Heap.reallocate(pointer, byteCount) }
        return true
    }

    private mutating func reserve(_ count: Int, _ width: Int) {
        let wanted = Self.headerBytes + count * width
        if Heap.usableSize(pointer) < wanted { pointer = Heap.reallocate(pointer, wanted + min(wanted / 4, 512)) }
    }

    /// Whether bytes from outside are an intset: width, size, strictly ascending.
    package static func validate(_ blob: Bytes) -> Bool {
        guard blob.count >= headerBytes else { return false }
        let width = Int(blob.loadUnaligned(as: UInt32.self))
        let count = Int(blob.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
        guard width == 2 || width == 4 || width == 8, count > 0, blob.count == headerBytes + count * width,
              let base = blob.baseAddress else { return false }
        let set = Intset(adopting: UnsafeMutableRawPointer(mutating: base))
        for index in 1..<max(count, 1) where set.get(index - 1, width) >= set.get(index, width) { return false }
        return true
    }
}
