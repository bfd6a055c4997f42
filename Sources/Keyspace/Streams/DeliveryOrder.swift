import Encodings
import Primitives

// A group's pending entries by the time of their last delivery, for XREADGROUP CLAIM, which takes those that wait
// longest. Only groups that are claimed from keep it: the first CLAIM builds it, from then on every change of a pending
// entry goes through it. It is not saved.
//
//     times:  delivery time → the tree of the IDs that were delivered then
//
// Invariants (once it is kept)
//  1. Every ID that it holds is pending, and delivered at the time under which it stands.
//  2. A pending entry that it does not hold had lost its message when CLAIM came upon it.
//  3. No inner tree is empty.

struct DeliveryOrder {
    private(set) var isKept = false
    private var times = IDTree()

    /// Signed times in the order of unsigned keys.
    private static func key(_ time: Int64) -> StreamID { StreamID(UInt64(bitPattern: time) ^ 1 << 63, 0) }
    private static func time(_ key: StreamID) -> Int64 { Int64(bitPattern: key.milliseconds ^ 1 << 63) }

    private static func tree(_ payload: UInt64) -> UnsafeMutablePointer<IDTree> {
        UnsafeMutableRawPointer(bitPattern: UInt(payload)).unsafelyUnwrapped.assumingMemoryBound(to: IDTree.self)
    }

    /// Begins to be kept; the caller inserts what is pending.
    mutating func begin() { isKept = true }

    @inline(__always)
    mutating func insert(_ id: StreamID, _ time: Int64) {
        if isKept { add(id, Self.key(time)) }
    }

    private mutating func add(_ id: StreamID, _ key: StreamID) {
        if let payload = times.find(key) {
            Self.tree(payload).pointee.insert(id, 0)
            return
        }
        let tree = Heap.allocate(MemoryLayout<IDTree>.size).bindMemory(to: IDTree.self, capacity: 1)
        tree.initialize(to: IDTree())
        tree.pointee.insert(id, 0)
        times.insert(key, UInt64(UInt(bitPattern: tree)))
    }

    /// What is not there is no error.
    @inline(__always)
    mutating func remove(_ id: StreamID, _ time: Int64) {
        if isKept { drop(id, Self.key(time)) }
    }

    private mutating func drop(_ id: StreamID, _ key: StreamID) {
        guard let payload = times.find(key) else { return }
        let tree = Self.tree(payload)
        tree.pointee.remove(id)
        guard tree.pointee.count == 0 else { return }
        Heap.free(tree)
        times.remove(key)
    }

    /// Visits IDs in order, those that were delivered first before others, up to a time; `visit` answers false to stop.
    func forEach(through last: Int64, _ visit: (StreamID, Int64) -> Bool) {
        let end = Self.key(last)
        var place = times.first
        while let at = place, at.id <= end {
            let time = Self.time(at.id), tree = Self.tree(at.payload).pointee
            var inner = tree.first
            while let id = inner {
                if !visit(id.id, time) { return }
                inner = tree.next(id)
            }
            place = times.next(at)
        }
    }

    mutating func destroy() {
        times.destroy { payload in
            Self.tree(payload).pointee.destroy { _ in }
            Heap.free(Self.tree(payload))
        }
        isKept = false
    }

    var allocatedBytes: Int {
        var total = times.allocatedBytes
        var place = times.first
        while let at = place {
            total += Heap.usableSize(Self.tree(at.payload)) + Self.tree(at.payload).pointee.allocatedBytes
            place = times.next(at)
        }
        return total
    }
}
