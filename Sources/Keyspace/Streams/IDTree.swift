import Encodings
import Primitives
#if canImport(Glibc)
import Glibc
#endif

// An ordered map from stream IDs to 64-bit payloads (addresses): a B+ tree. It holds a stream's nodes and the pending
// entries (PEL) of groups and consumers.
//
//     node:  u16 slots in use | u16 room | u32 height (0: leaf) | slot …
//     slot:  ID (16 bytes) | payload: of an inner node the child's address
//
// IDs mostly arrive in ascending order and leave from the front. A full node that is appended to is therefore not
// halved but followed by a new one, so that nodes stay full; a node is freed when it becomes empty and never merged.
// Nodes begin small and grow, so that a PEL of one entry costs 32 bytes.
//
// Invariants
//  1. No node is empty, `root` is nil if and only if `count` is 0; all leaves are at the same depth.
//  2. IDs of a leaf ascend. A child's IDs are at least its slot's ID (the first child's need not be: nothing is
//     routed by a first slot's ID) and less than the next slot's.

package struct IDTree {
    package private(set) var count = 0
    var root: UnsafeMutableRawPointer?

    package init() {}

    struct Slot {
        var id: StreamID
        var payload: UInt64
    }

    /// Handle of a node.
    struct Node {
        static let maximumSlots = 64
        static let headerBytes = 8
        var base: UnsafeMutableRawPointer

        @inline(__always) init(_ base: UnsafeMutableRawPointer) { self.base = base }

        static func create(height: Int, room: Int) -> Node {
            let node = Node(Heap.allocate(headerBytes + room * MemoryLayout<Slot>.stride))
            node.count = 0
            node.room = room
            node.base.storeBytes(of: UInt32(height), toByteOffset: 4, as: UInt32.self)
            return node
        }

        @inline(__always) var count: Int {
            get { Int(base.load(as: UInt16.self)) }
            nonmutating set { base.storeBytes(of: UInt16(newValue), as: UInt16.self) }
        }
        @inline(__always) var room: Int {
            get { Int(base.load(fromByteOffset: 2, as: UInt16.self)) }
            nonmutating set { base.storeBytes(of: UInt16(newValue), toByteOffset: 2, as: UInt16.self) }
        }
        @inline(__always) var height: Int { Int(base.load(fromByteOffset: 4, as: UInt32.self)) }
        @inline(__always) var slots: UnsafeMutablePointer<Slot> {
            (base + Self.headerBytes).assumingMemoryBound(to: Slot.self)
        }
        @inline(__always) func child(_ index: Int) -> Node {
            Node(UnsafeMutableRawPointer(bitPattern: UInt(slots[index].payload)).unsafelyUnwrapped)
        }

        /// The first slot whose ID is not less than `id`.
        @inline(__always)
        func lowerBound(_ id: StreamID) -> Int {
            var low = 0, high = count
            while low < high {
                let middle = (low + high) / 2
                if slots[middle].id < id { low = middle + 1 } else { high = middle }
            }
            return low
        }

        /// The child whose part `id` falls into.
        @inline(__always)
        func route(_ id: StreamID) -> Int {
            let bound = lowerBound(id)
            if bound < count, slots[bound].id == id { return bound }
            return max(bound - 1, 0)
        }

        /// There must be room, or it is made by moving the node.
        mutating func insert(_ slot: Slot, at index: Int) {
            if count == room { resize(min(room * 2, Self.maximumSlots)) }
            let tail = count - index
            if tail > 0 { (slots + index + 1).update(from: slots + index, count: tail) }
            slots[index] = slot
            count += 1
        }

        mutating func remove(at index: Int) {
            let tail = count - index - 1
            if tail > 0 { (slots + index).update(from: slots + index + 1, count: tail) }
            count -= 1
            if room > 4, count > 0, count <= room / 4 { resize(room / 2) }
        }

        private mutating func resize(_ newRoom: Int) {
            base = Heap.reallocate(base, Self.headerBytes + newRoom * MemoryLayout<Slot>.stride)
            room = newRoom
        }

        /// Moves the slots from `index` on to a new node.
        func split(at index: Int) -> Node {
            let right = Node.create(height: height, room: Self.maximumSlots)
            let moved = count - index
            right.slots.update(from: slots + index, count: moved)
            right.count = moved
            count = index
            return right
        }
    }

    // MARK: Changing

    /// Adds an ID; false, and nothing changed, if it is there already.
    @discardableResult
    package mutating func insert(_ id: StreamID, _ payload: UInt64) -> Bool {
        let slot = Slot(id: id, payload: payload)
        guard let root else {
            var leaf = Node.create(height: 0, room: 1)
            leaf.insert(slot, at: 0)
            self.root = leaf.base
            count = 1
            return true
        }
        var node = Node(root)
        var inserted = true
        let right = Self.insert(slot, into: &node, &inserted)
        self.root = node.base
        if let right {
            var top = Node.create(height: node.height + 1, room: 2)
            top.insert(Slot(id: node.slots[0].id, payload: Self.address(node)), at: 0)
            top.insert(right, at: 1)
            self.root = top.base
        }
        if inserted { count += 1 }
        return inserted
    }

    /// Inserts below `node`, which may move; answers the slot of a new right neighbour, if it had to be split.
    private static func insert(_ slot: Slot, into node: inout Node, _ inserted: inout Bool) -> Slot? {
        if node.height == 0 {
            let index = node.lowerBound(slot.id)
            if index < node.count, node.slots[index].id == slot.id {
                inserted = false
                return nil
            }
            return add(slot, to: &node, at: index)
        }
        let index = node.route(slot.id)
        var child = node.child(index)
        let split = insert(slot, into: &child, &inserted)
        node.slots[index].payload = address(child)
        guard let split else { return nil }
        return add(split, to: &node, at: index + 1)
    }

    private static func add(_ slot: Slot, to node: inout Node, at index: Int) -> Slot? {
        if node.count < Node.maximumSlots {
            node.insert(slot, at: index)
            return nil
        }
        var right: Node
        if index == node.count {
            right = .create(height: node.height, room: 4)
            right.insert(slot, at: 0)
        } else {
            let half = node.count / 2
            right = node.split(at: half)
            if index <= half { node.insert(slot, at: index) } else { right.insert(slot, at: index - half) }
        }
        return Slot(id: right.slots[0].id, payload: address(right))
    }

    /// Takes an ID out; its payload, or nil if it is not there.
    @discardableResult
    package mutating func remove(_ id: StreamID) -> UInt64? {
        guard let root else { return nil }
        var node = Node(root)
        guard let payload = Self.remove(id, from: &node) else { return nil }
        count -= 1
        // A root with a single child is a level too much.
        while node.count == 1, node.height > 0 {
            let child = node.child(0)
            Heap.free(node.base)
            node = child
        }
        if node.count == 0 {
            Heap.free(node.base)
            self.root = nil
        } else {
            self.root = node.base
        }
        return payload
    }

    /// Leaves an emptied node for the caller to free.
    private static func remove(_ id: StreamID, from node: inout Node) -> UInt64? {
        if node.height == 0 {
            let index = node.lowerBound(id)
            guard index < node.count, node.slots[index].id == id else { return nil }
            let payload = node.slots[index].payload
            node.remove(at: index)
            return payload
        }
        let index = node.route(id)
        var child = node.child(index)
        let payload = remove(id, from: &child)
        if child.count == 0 {
            Heap.free(child.base)
            node.remove(at: index)
        } else {
            node.slots[index].payload = address(child)
        }
        return payload
    }

    /// Replaces the payload of an ID that is there.
    package func update(_ id: StreamID, _ payload: UInt64) {
        guard let place = seek(atLeast: id), place.id == id else { return }
        Node(place.leaf).slots[place.index].payload = payload
    }

    @inline(__always)
    private static func address(_ node: Node) -> UInt64 { UInt64(UInt(bitPattern: node.base)) }

    /// Frees the tree; `release` sees every payload, in order.
    package mutating func destroy(_ release: (UInt64) -> Void) {
        if let root { Self.destroy(Node(root), release) }
        self = IDTree()
    }

    private static func destroy(_ node: Node, _ release: (UInt64) -> Void) {
        for index in 0..<node.count {
            if node.height == 0 { release(node.slots[index].payload) } else { destroy(node.child(index), release) }
        }
        Heap.free(node.base)
    }

    // MARK: Finding

    /// A place in the tree; good until its next change.
    package struct Place {
        let leaf: UnsafeMutableRawPointer
        let index: Int
        package var id: StreamID { Node(leaf).slots[index].id }
        package var payload: UInt64 { Node(leaf).slots[index].payload }
    }

    package func find(_ id: StreamID) -> UInt64? {
        guard let place = seek(atLeast: id), place.id == id else { return nil }
        return place.payload
    }

    /// The first ID that is not less than `id`.
    package func seek(atLeast id: StreamID) -> Place? {
        guard let root else { return nil }
        var node = Node(root)
        var following: Node?
        while node.height > 0 {
            let index = node.route(id)
            if index + 1 < node.count { following = node.child(index + 1) }
            node = node.child(index)
        }
        let index = node.lowerBound(id)
        if index < node.count { return Place(leaf: node.base, index: index) }
        guard var next = following else { return nil }
        while next.height > 0 { next = next.child(0) }
        return Place(leaf: next.base, index: 0)
    }

    /// The last ID that is not greater than `id`.
    package func seek(atMost id: StreamID) -> Place? {
        guard let root else { return nil }
        var node = Node(root)
        var preceding: Node?
        while node.height > 0 {
            let index = node.route(id)
            if index > 0 { preceding = node.child(index - 1) }
            node = node.child(index)
        }
        let bound = node.lowerBound(id)
        if bound < node.count, node.slots[bound].id == id { return Place(leaf: node.base, index: bound) }
        if bound > 0 { return Place(leaf: node.base, index: bound - 1) }
        guard var previous = preceding else { return nil }
        while previous.height > 0 { previous = previous.child(previous.count - 1) }
        return Place(leaf: previous.base, index: previous.count - 1)
    }

    package var first: Place? { seek(atLeast: .minimum) }
    package var last: Place? { seek(atMost: .maximum) }

    @inline(__always)
    package func next(_ place: Place) -> Place? {
        if place.index + 1 < Node(place.leaf).count { return Place(leaf: place.leaf, index: place.index + 1) }
        return place.id.successor.flatMap { seek(atLeast: $0) }
    }

    @inline(__always)
    package func previous(_ place: Place) -> Place? {
        if place.index > 0 { return Place(leaf: place.leaf, index: place.index - 1) }
        return place.id.predecessor.flatMap { seek(atMost: $0) }
    }

    /// Bytes of the nodes, as the allocator rounds them.
    package var allocatedBytes: Int { root.map { Self.allocatedBytes(Node($0)) } ?? 0 }

    private static func allocatedBytes(_ node: Node) -> Int {
        var total = Heap.usableSize(node.base)
        if node.height > 0 { for index in 0..<node.count { total += allocatedBytes(node.child(index)) } }
        return total
    }

    /// Checks the invariants; for tests.
    package func isConsistent() -> Bool {
        guard let root else { return count == 0 }
        var seen = 0
        var last: StreamID?
        func check(_ node: Node, _ low: StreamID?, _ high: StreamID?) -> Bool {
            guard node.count > 0, node.count <= node.room, node.room <= Node.maximumSlots else { return false }
            for index in 0..<node.count {
                let id = node.slots[index].id
                if node.height == 0 {
                    if let last, id <= last { return false }
                    if let low, id < low { return false }
                    if let high, id >= high { return false }
                    last = id
                    seen += 1
                } else {
                    let child = node.child(index)
                    guard child.height == node.height - 1 else { return false }
                    let upper = index + 1 < node.count ? node.slots[index + 1].id : high
                    if !check(child, index == 0 ? low : id, upper) { return false }
                }
            }
            return true
        }
        return check(Node(root), nil, nil) && seen == count
    }
}
