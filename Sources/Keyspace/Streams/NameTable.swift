import Primitives

/// What a name table keeps: something with a name of its own.
package protocol NamedElement {
    var name: StringBlock { get }
}

/// Groups of a stream, consumers of a group: few, found by name and walked in the order of their bytes, as the RDB
/// file and all replies list them. A sorted array of addresses; what they point at belongs to whoever fills it.
package struct NameTable<Element: NamedElement> {
    package typealias Handle = UnsafeMutablePointer<Element>

    package private(set) var count = 0
    private var capacity = 0
    private var slots: UnsafeMutablePointer<Handle>?

    package init() {}

    @inline(__always)
    package subscript(index: Int) -> Handle { slots.unsafelyUnwrapped[index] }

    package func find(_ name: Bytes) -> Handle? {
        let index = lowerBound(name)
        return index < count && self[index].pointee.name.bytes.equals(name) ? self[index] : nil
    }

    private func lowerBound(_ name: Bytes) -> Int {
        var low = 0, high = count
        while low < high {
            let middle = (low + high) / 2
            if self[middle].pointee.name.bytes.compare(name) < 0 { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// The name must be new.
    package mutating func insert(_ element: Handle) {
        if count == capacity {
            capacity = max(capacity * 2, 2)
            let bytes = capacity * MemoryLayout<Handle>.stride
            let moved = slots.map { Heap.reallocate($0, bytes) } ?? Heap.allocate(bytes)
            slots = moved.assumingMemoryBound(to: Handle.self)
        }
        let index = lowerBound(element.pointee.name.bytes)
        let start = slots.unsafelyUnwrapped + index
        (start + 1).update(from: start, count: count - index)
        start.pointee = element
        count += 1
    }

    package mutating func remove(_ name: Bytes) -> Handle? {
        let index = lowerBound(name)
        guard index < count, self[index].pointee.name.bytes.equals(name) else { return nil }
        let start = slots.unsafelyUnwrapped + index
        let element = start.pointee
        start.update(from: start + 1, count: count - index - 1)
        count -= 1
        return element
    }

    /// Bytes of the table alone, as the allocator rounds them.
    var tableBytes: Int { slots.map { Heap.usableSize($0) } ?? 0 }

    /// Frees the table; `release` gets every element.
    package mutating func destroy(_ release: (Handle) -> Void) {
        for index in 0..<count { release(self[index]) }
        if let slots { Heap.free(slots) }
        self = NameTable()
    }
}
