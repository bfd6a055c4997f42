import Primitives

/// Which places were drawn already, when few of many elements are picked: addresses or offsets, none of them 0.
package struct SeenPlaces: ~Copyable {
    /// Open addressing, at most half full; 0: free.
    private let slots: UnsafeMutablePointer<UInt>
    private let mask: UInt

    /// For at most `count` places.
    package init(_ count: Int) {
        var capacity = 16
        while capacity < count * 2 { capacity *= 2 }
        slots = Heap.allocateZeroed(capacity * MemoryLayout<UInt>.stride)
            .bindMemory(to: UInt.self, capacity: capacity)
        mask = UInt(capacity - 1)
    }

    deinit { Heap.free(UnsafeMutableRawPointer(slots)) }

    /// False if it was seen before.
    package func insert(_ place: UInt) -> Bool {
        var index = (place &* 0x9e37_79b9_7f4a_7c15) >> 32 & mask
        while slots[Int(index)] != 0 {
            if slots[Int(index)] == place { return false }
            index = (index &+ 1) & mask
        }
        slots[Int(index)] = place
        return true
    }

    /// Drawing again what came twice is cheaper than a walk over all; not where each draw is a walk (a listpack).
    package static func suits(_ wanted: Int, of size: Int, _ encoding: Encoding) -> Bool {
        wanted < size / 8 && encoding != .listpack && encoding != .listpackex
    }
}
