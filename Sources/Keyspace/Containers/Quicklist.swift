import Encodings
import Primitives
#if canImport(Glibc)
import Glibc
#endif

// The quicklist: a doubly linked list of listpacks, for lists that outgrow one.
//
//     object: head | tail | u64 elements | u64 nodes
//     node:   previous | next | data | u32 bytes | u32 elements | u8 form (1 plain, 2 packed) | 7 spare
//
// A packed node holds a listpack. An element too large for a packed node has a plain node of its own, whose data is
// its bytes. Where one node ends and the next begins is part of a dump, so the rules are Redis' own:
//
//  1. An element is added to the node at hand if the node stays within `list-max-listpack-size` (a positive number of
//     elements and 8 KB, or −1 … −5 for 4, 8, 16, 32, 64 KB).
//  2. An insertion into a full node goes to the neighbour if it is at the edge and the neighbour has room, to a new
//     node if it has none, else the node is split.
//  3. After a split, neighbours that fit together are merged.
//
// Invariants: no node is empty; `elements` and `nodes` are the sums; bytes of a packed node is its listpack's size.

/// `list-max-listpack-size` as limits of one node.
package struct NodeLimit {
    package let bytes: Int
    package let elements: Int
    static let safetyBytes = 8192

    package init(_ fill: Int) {
        if fill >= 0 {
            bytes = Self.safetyBytes
            elements = max(fill, 1)
        } else {
            bytes = [4096, 8192, 16384, 32768, 65536][min(-fill, 5) - 1]
            elements = .max
        }
    }

    @inline(__always)
    package func isExceeded(_ bytes: Int, _ elements: Int) -> Bool { bytes > self.bytes || elements > self.elements }

    /// An element of this size gets a plain node. `threshold` is DEBUG's override, 0: by the node limit.
    func isLarge(_ size: Int, _ threshold: Int) -> Bool { threshold > 0 ? size >= threshold : size > bytes }
}

package struct QuicklistNode: Equatable {
    package let base: UnsafeMutableRawPointer
    @inline(__always) init(_ base: UnsafeMutableRawPointer) { self.base = base }

    static func create(_ data: UnsafeMutableRawPointer, bytes: Int, elements: Int, isPlain: Bool) -> QuicklistNode {
        let node = QuicklistNode(Heap.allocateZeroed(40))
        node.data = data
        node.byteCount = bytes
        node.count = elements
        node.base.storeBytes(of: isPlain ? 1 : 2, toByteOffset: 32, as: UInt8.self)
        return node
    }

    package internal(set) var previous: QuicklistNode? {
        get { base.load(as: UnsafeMutableRawPointer?.self).map { QuicklistNode($0) } }
        nonmutating set { base.storeBytes(of: newValue?.base, as: UnsafeMutableRawPointer?.self) }
    }
    package internal(set) var next: QuicklistNode? {
        get { base.load(fromByteOffset: 8, as: UnsafeMutableRawPointer?.self).map { QuicklistNode($0) } }
        nonmutating set { base.storeBytes(of: newValue?.base, toByteOffset: 8, as: UnsafeMutableRawPointer?.self) }
    }
    var data: UnsafeMutableRawPointer {
        get { base.load(fromByteOffset: 16, as: UnsafeMutableRawPointer.self) }
        nonmutating set { base.storeBytes(of: newValue, toByteOffset: 16, as: UnsafeMutableRawPointer.self) }
    }
    package internal(set) var byteCount: Int {
        get { Int(base.load(fromByteOffset: 24, as: UInt32.self)) }
        nonmutating set { base.storeBytes(of: UInt32(newValue), toByteOffset: 24, as: UInt32.self) }
    }
    package internal(set) var count: Int {
        get { Int(base.load(fromByteOffset: 28, as: UInt32.self)) }
        nonmutating set { base.storeBytes(of: UInt32(newValue), toByteOffset: 28, as: UInt32.self) }
    }
    package var isPlain: Bool { base.load(fromByteOffset: 32, as: UInt8.self) == 1 }
    package var listpack: Listpack { Listpack(adopting: data) }
    /// A plain node's element, or a packed node's whole listpack.
    package var bytes: Bytes { Bytes(start: data, count: byteCount) }

    func store(_ pack: Listpack, count: Int) {
        data = pack.pointer
        byteCount = pack.byteCount
        self.count = count
    }
}

/// A place in a quicklist: a node and an offset in its listpack (0 in a plain node).
package struct QuicklistPosition {
    package let node: QuicklistNode
    let offset: Int
}

/// Handle of a quicklist; the value that stores `base` owns it.
package struct Quicklist {
    package let base: UnsafeMutableRawPointer
    package init(_ base: UnsafeMutableRawPointer) { self.base = base }

    package static func create() -> Quicklist { Quicklist(Heap.allocateZeroed(32)) }

    package func destroy() {
        var node = head
        while let current = node {
            node = current.next
            Heap.free(current.data)
            Heap.free(current.base)
        }
        Heap.free(base)
    }

    package func copy() -> Quicklist {
        let new = Quicklist.create()
        var node = head
        while let current = node {
            let data = Heap.allocate(max(current.byteCount, 1))
            memcpy(data, current.data, current.byteCount)
            new.link(.create(data, bytes: current.byteCount, elements: current.count, isPlain: current.isPlain),
                     after: new.tail)
            node = current.next
        }
        return new
    }

    package private(set) var head: QuicklistNode? {
        get { base.load(as: UnsafeMutableRawPointer?.self).map { QuicklistNode($0) } }
        nonmutating set { base.storeBytes(of: newValue?.base, as: UnsafeMutableRawPointer?.self) }
    }
    package private(set) var tail: QuicklistNode? {
        get { base.load(fromByteOffset: 8, as: UnsafeMutableRawPointer?.self).map { QuicklistNode($0) } }
        nonmutating set { base.storeBytes(of: newValue?.base, toByteOffset: 8, as: UnsafeMutableRawPointer?.self) }
    }
    package private(set) var count: Int {
        get { base.load(fromByteOffset: 16, as: Int.self) }
        nonmutating set { base.storeBytes(of: newValue, toByteOffset: 16, as: Int.self) }
    }
    package private(set) var nodeCount: Int {
        get { base.load(fromByteOffset: 24, as: Int.self) }
        nonmutating set { base.storeBytes(of: newValue, toByteOffset: 24, as: Int.self) }
    }

    // MARK: Nodes

    /// Links a new node after another (nil: at the head) and counts its elements.
    private func link(_ node: QuicklistNode, after before: QuicklistNode?) {
        let next = before == nil ? head : before?.next
        node.previous = before
        node.next = next
        if let before { before.next = node } else { head = node }
        if let next { next.previous = node } else { tail = node }
        count += node.count
        nodeCount += 1
    }

    private func unlink(_ node: QuicklistNode) {
        if let previous = node.previous { previous.next = node.next } else { head = node.next }
        if let next = node.next { next.previous = node.previous } else { tail = node.previous }
        count -= node.count
        nodeCount -= 1
        Heap.free(node.data)
        Heap.free(node.base)
    }

    private static func plain(_ bytes: Bytes) -> QuicklistNode {
        let data = Heap.allocate(max(bytes.count, 1))
        if let source = bytes.baseAddress { memcpy(data, source, bytes.count) }
        return .create(data, bytes: bytes.count, elements: 1, isPlain: true)
    }

    private static func packed(_ bytes: Bytes) -> QuicklistNode {
        var pack = Listpack.create(capacity: Listpack.headerBytes + 1 + Listpack.entrySize(bytes))
        pack.append(bytes)
        return .create(pack.pointer, bytes: pack.byteCount, elements: 1, isPlain: false)
    }

    /// Takes a listpack over as the last node; an empty one is freed.
    package func append(node pack: Listpack) {
        let elements = pack.count
        if elements == 0 { pack.destroy(); return }
        link(.create(pack.pointer, bytes: pack.byteCount, elements: elements, isPlain: false), after: tail)
    }

    /// A copy of the bytes as the last, plain node.
    package func append(plain bytes: Bytes) { link(Self.plain(bytes), after: tail) }

    private static func allowsInsert(_ node: QuicklistNode?, _ size: Int, _ limit: NodeLimit, _ threshold: Int)
        -> Bool {
        guard let node, !node.isPlain, !limit.isLarge(size, threshold) else { return false }
        return !limit.isExceeded(node.byteCount + size + 8, node.count + 1)
    }

    private func change(_ node: QuicklistNode, by elements: Int, _ body: (inout Listpack) -> Void) {
        var pack = node.listpack
        body(&pack)
        node.store(pack, count: node.count + elements)
        count += elements
    }

    // MARK: Ends

    package func push(_ bytes: Bytes, atHead: Bool, _ thresholds: Thresholds) {
        let limit = NodeLimit(thresholds.listMaxListpackSize)
        let threshold = thresholds.quicklistPackedThreshold
        if limit.isLarge(bytes.count, threshold) {
            link(Self.plain(bytes), after: atHead ? nil : tail)
            return
        }
        if let node = atHead ? head : tail, Self.allowsInsert(node, bytes.count, limit, threshold) {
            change(node, by: 1) { if atHead { $0.prepend(bytes) } else { $0.append(bytes) } }
        } else {
            link(Self.packed(bytes), after: atHead ? nil : tail)
        }
    }

    // MARK: Places

    package var first: QuicklistPosition? { head.map { QuicklistPosition(node: $0, offset: Self.firstOffset($0)) } }
    package var last: QuicklistPosition? { tail.map { QuicklistPosition(node: $0, offset: Self.lastOffset($0)) } }

    static func firstOffset(_ node: QuicklistNode) -> Int {
        node.isPlain ? 0 : node.listpack.first ?? Listpack.headerBytes
    }
    private static func lastOffset(_ node: QuicklistNode) -> Int {
        node.isPlain ? 0 : node.listpack.last ?? Listpack.headerBytes
    }

    package func next(_ position: QuicklistPosition) -> QuicklistPosition? {
        if !position.node.isPlain, let offset = position.node.listpack.next(position.offset) {
            return QuicklistPosition(node: position.node, offset: offset)
        }
        return position.node.next.map { QuicklistPosition(node: $0, offset: Self.firstOffset($0)) }
    }

    package func previous(_ position: QuicklistPosition) -> QuicklistPosition? {
        if !position.node.isPlain, let offset = position.node.listpack.previous(position.offset) {
            return QuicklistPosition(node: position.node, offset: offset)
        }
        return position.node.previous.map { QuicklistPosition(node: $0, offset: Self.lastOffset($0)) }
    }

    package func element(_ position: QuicklistPosition) -> ListpackElement {
        position.node.isPlain ? .bytes(position.node.bytes) : position.node.listpack.get(position.offset)
    }

    /// The element with this index; negative ones count from the end.
    package func position(at index: Int) -> QuicklistPosition? {
        var left = index < 0 ? index + count : index
        guard left >= 0, left < count else { return nil }
        if left < count / 2 {
            var node = head
            while let current = node, left >= current.count {
                left -= current.count
                node = current.next
            }
            return node.flatMap { Self.position(in: $0, left) }
        }
        var behind = count - 1 - left
        var node = tail
        while let current = node, behind >= current.count {
            behind -= current.count
            node = current.previous
        }
        return node.flatMap { Self.position(in: $0, $0.count - 1 - behind) }
    }

    private static func position(in node: QuicklistNode, _ index: Int) -> QuicklistPosition? {
        if node.isPlain { return QuicklistPosition(node: node, offset: 0) }
        return node.listpack.seek(index).map { QuicklistPosition(node: node, offset: $0) }
    }

    // MARK: Removing

    /// Removes one element; answers the place of the one behind it.
    @discardableResult
    package func remove(_ position: QuicklistPosition) -> QuicklistPosition? {
        let node = position.node
        if node.count == 1 {
            let following = node.next.map { QuicklistPosition(node: $0, offset: Self.firstOffset($0)) }
            unlink(node)
            return following
        }
        change(node, by: -1) { $0.delete(position.offset) }
        if let offset = node.listpack.atOrNil(position.offset) { return QuicklistPosition(node: node, offset: offset) }
        return node.next.map { QuicklistPosition(node: $0, offset: Self.firstOffset($0)) }
    }

    /// Removes `amount` elements from `index` (not negative) on.
    package func removeRange(_ index: Int, _ amount: Int) {
        var left = min(amount, count - index)
        guard left > 0, let start = position(at: index) else { return }
        var node: QuicklistNode? = start.node
        var offset: Int? = start.offset
        while left > 0, let current = node {
            node = current.next
            let from = offset ?? Self.firstOffset(current)
            offset = nil
            if current.isPlain || (from == Self.firstOffset(current) && left >= current.count) {
                left -= current.count
                unlink(current)
                continue
            }
            let pack = current.listpack
            var place: Int? = from
            var here = 0
            while let at = place, here < left {
                here += 1
                place = pack.next(at)
            }
            change(current, by: -here) { $0.deleteRun(from: from, count: here) }
            left -= here
        }
    }

    // MARK: In the middle

    package func replace(_ position: QuicklistPosition, with bytes: Bytes, _ thresholds: Thresholds) {
        let node = position.node
        let limit = NodeLimit(thresholds.listMaxListpackSize)
        let isLarge = limit.isLarge(bytes.count, thresholds.quicklistPackedThreshold)
        if !node.isPlain && !isLarge {
            change(node, by: 0) { $0.replace(position.offset, with: bytes) }
            return
        }
        if node.isPlain && isLarge {
            link(Self.plain(bytes), after: node)
            unlink(node)
            return
        }
        insert(bytes, at: position, after: true, thresholds)
        if node.count == 1 {
            unlink(node)
        } else {
            // The insertion behind it left the old element where it was.
            change(node, by: -1) { $0.delete(position.offset) }
            merge(around: node, limit)
        }
    }

    package func insert(_ bytes: Bytes, at position: QuicklistPosition, after: Bool, _ thresholds: Thresholds) {
        let node = position.node
        let limit = NodeLimit(thresholds.listMaxListpackSize)
        let threshold = thresholds.quicklistPackedThreshold
        let isAtTail = after && (node.isPlain || position.offset == Self.lastOffset(node))
        let isAtHead = !after && (node.isPlain || position.offset == Self.firstOffset(node))
        if limit.isLarge(bytes.count, threshold) {
            if isAtTail || isAtHead {
                link(Self.plain(bytes), after: after ? node : node.previous)
            } else {
                let behind = split(node, at: position.offset, after: after)
                link(Self.plain(bytes), after: behind.previous)
            }
            return
        }
        if Self.allowsInsert(node, bytes.count, limit, threshold) {
            change(node, by: 1) {
                if after { $0.insert(bytes, after: position.offset) } else { $0.insert(bytes, before: position.offset) }
            }
        } else if isAtTail, let next = node.next, Self.allowsInsert(next, bytes.count, limit, threshold) {
            change(next, by: 1) { $0.prepend(bytes) }
        } else if isAtHead, let previous = node.previous,
                  Self.allowsInsert(previous, bytes.count, limit, threshold) {
            change(previous, by: 1) { $0.append(bytes) }
        } else if isAtTail || isAtHead {
            link(Self.packed(bytes), after: after ? node : node.previous)
        } else {
            insertSplitting(bytes, position, after, limit)
        }
    }

    private func insertSplitting(_ bytes: Bytes, _ position: QuicklistPosition, _ after: Bool, _ limit: NodeLimit) {
        let node = position.node
        let behind = split(node, at: position.offset, after: after)
        // The new element goes to the part that was split off, next to where it belongs.
        if after {
            change(behind, by: 1) { $0.prepend(bytes) }
        } else {
            change(node, by: 1) { $0.append(bytes) }
        }
        merge(around: after ? node : behind, limit)
    }

    /// Splits a packed node behind (or before) an element; answers the node with the later part, linked.
    private func split(_ node: QuicklistNode, at offset: Int, after: Bool) -> QuicklistNode {
        var pack = node.listpack
        let cut = after ? offset + (pack.next(offset) ?? pack.byteCount - 1) - offset : offset
        let tail = pack.split(at: cut)
        let moved = tail.count
        node.store(pack, count: node.count - moved)
        count -= moved
        let new = QuicklistNode.create(tail.pointer, bytes: tail.byteCount, elements: moved, isPlain: false)
        link(new, after: node)
        return new
    }

    private func allowsMerge(_ a: QuicklistNode?, _ b: QuicklistNode?, _ limit: NodeLimit) -> Bool {
        guard let a, let b, !a.isPlain, !b.isPlain else { return false }
        return !limit.isExceeded(a.byteCount + b.byteCount - 7, a.count + b.count)
    }

    /// Moves `b`'s elements to the end of `a`.
    private func join(_ a: QuicklistNode, _ b: QuicklistNode) {
        var pack = a.listpack
        pack.append(contentsOf: b.listpack)
        let moved = b.count
        a.store(pack, count: a.count + moved)
        count += moved
        unlink(b)
    }

    /// Joins neighbours of a node that was split: the two before it, the two behind it, then it with each.
    private func merge(around center: QuicklistNode, _ limit: NodeLimit) {
        if let previous = center.previous, let before = previous.previous, allowsMerge(before, previous, limit) {
            join(before, previous)
        }
        if let next = center.next, let behind = next.next, allowsMerge(next, behind, limit) { join(next, behind) }
        var target = center
        if let previous = center.previous, allowsMerge(previous, center, limit) {
            join(previous, center)
            target = previous
        }
        if let next = target.next, allowsMerge(target, next, limit) { join(target, next) }
    }

    package var memoryBytes: Int {
        var total = Heap.usableSize(base)
        var node = head
        while let current = node {
            total += Heap.usableSize(current.base) + Heap.usableSize(current.data)
            node = current.next
        }
        return total
    }

    package func checkInvariants() -> Bool {
        var elements = 0, nodes = 0
        var node = head, previous: QuicklistNode?
        while let current = node {
            if current.count == 0 || current.previous != previous { return false }
            if !current.isPlain, current.listpack.count != current.count
                || current.listpack.byteCount != current.byteCount { return false }
            elements += current.count
            nodes += 1
            previous = current
            node = current.next
        }
        return elements == count && nodes == nodeCount && tail == previous
    }
}
