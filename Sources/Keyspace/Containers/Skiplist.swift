import Primitives
#if canImport(Glibc)
import Glibc
#endif

// The skiplist of a sorted set, and the sorted set's big form: the same nodes in a skiplist, ordered by score and
// then by member, and in a hash table, by member. A member is stored once.
//
//     node: f64 score | address of the node before | u32 member length | u8 levels | 3 spare
//           levels × (address of the next node on this level | u32 nodes skipped)
//           member bytes
//
//     sorted set: address of the head node | last node | u64 count | u64 highest level | hash table
//
// Invariants
//  1. On level 0 all nodes follow one another in ascending (score, member); a node of level n is on all levels below.
//  2. A level's skip count is the distance in nodes to its next; on the way to the end, to the end.
//  3. The hash table holds exactly the nodes of level 0.
//
// Levels are drawn with p = 1/4 up to 32: 1.33 levels a node, so 24 + 16 + member bytes and one allocation.

package struct SkiplistNode: Equatable {
    package let base: UnsafeMutableRawPointer
    @inline(__always) package init(_ base: UnsafeMutableRawPointer) { self.base = base }

    static let levelBytes = 12
    static let headerBytes = 24

    @inline(__always) package var score: Double {
        get { base.load(as: Double.self) }
        nonmutating set { base.storeBytes(of: newValue, as: Double.self) }
    }
    @inline(__always) package var previous: SkiplistNode? {
        get { base.load(fromByteOffset: 8, as: UnsafeMutableRawPointer?.self).map { SkiplistNode($0) } }
        nonmutating set { base.storeBytes(of: newValue?.base, toByteOffset: 8, as: UnsafeMutableRawPointer?.self) }
    }
    @inline(__always) var levels: Int { Int(base.load(fromByteOffset: 20, as: UInt8.self)) }

    @inline(__always) package var member: Bytes {
        Bytes(start: base + Self.headerBytes + levels * Self.levelBytes,
              count: Int(base.load(fromByteOffset: 16, as: UInt32.self)))
    }

    @inline(__always) func next(_ level: Int) -> SkiplistNode? {
        base.loadUnaligned(fromByteOffset: Self.headerBytes + level * Self.levelBytes,
                           as: UnsafeMutableRawPointer?.self).map { SkiplistNode($0) }
    }
    @inline(__always) func setNext(_ level: Int, _ node: SkiplistNode?) {
        base.storeBytes(of: node?.base, toByteOffset: Self.headerBytes + level * Self.levelBytes,
                        as: UnsafeMutableRawPointer?.self)
    }
    @inline(__always) func span(_ level: Int) -> Int {
        Int(base.loadUnaligned(fromByteOffset: Self.headerBytes + level * Self.levelBytes + 8, as: UInt32.self))
    }
    @inline(__always) func setSpan(_ level: Int, _ span: Int) {
        base.storeBytes(of: UInt32(truncatingIfNeeded: span),
                        toByteOffset: Self.headerBytes + level * Self.levelBytes + 8, as: UInt32.self)
    }
    @inline(__always) package var next: SkiplistNode? { next(0) }

    static func create(levels: Int, score: Double, member: Bytes) -> SkiplistNode {
        let fixed = headerBytes + levels * levelBytes
        let node = SkiplistNode(Heap.allocate(fixed + member.count))
        node.score = score
        node.previous = nil
        node.base.storeBytes(of: UInt32(member.count), toByteOffset: 16, as: UInt32.self)
        node.base.storeBytes(of: UInt32(levels), toByteOffset: 20, as: UInt32.self)
        for level in 0..<levels {
            node.setNext(level, nil)
            node.setSpan(level, 0)
        }
        if let source = member.baseAddress { memcpy(node.base + fixed, source, member.count) }
        return node
    }

    /// Whether the node comes before (score, member).
    @inline(__always)
    func isBefore(_ score: Double, _ member: Bytes) -> Bool {
        let own = self.score
        return own < score || (own == score && self.member.compare(member) < 0)
    }
}

enum SkiplistElement: HashElement {
    @inline(__always)
    static func key(_ element: UnsafeMutableRawPointer) -> Bytes { SkiplistNode(element).member }
}

/// Handle of the big form of a sorted set; the value that stores `base` owns it.
package struct SortedSet {
    package let base: UnsafeMutableRawPointer
    static let maximumLevels = 32

    package init(_ base: UnsafeMutableRawPointer) { self.base = base }

    package static func create(_ context: UnsafeMutablePointer<HashContext>, expected: Int = 0) -> SortedSet {
        let set = SortedSet(Heap.allocateZeroed(40))
        let head = SkiplistNode.create(levels: maximumLevels, score: 0, member: Bytes(start: nil, count: 0))
        set.base.storeBytes(of: head.base, as: UnsafeMutableRawPointer.self)
        set.highest = 1
        let table = HashTable<SkiplistElement>.create(context)
        table.reserve(expected)
        set.base.storeBytes(of: table.rawPointer, toByteOffset: 32, as: UnsafeMutableRawPointer.self)
        return set
    }

    package func destroy() {
        table.destroy { Heap.free($0) }
        Heap.free(head.base)
        Heap.free(base)
    }

    @inline(__always) var head: SkiplistNode { SkiplistNode(base.load(as: UnsafeMutableRawPointer.self)) }
    @inline(__always) package private(set) var last: SkiplistNode? {
        get { base.load(fromByteOffset: 8, as: UnsafeMutableRawPointer?.self).map { SkiplistNode($0) } }
        nonmutating set { base.storeBytes(of: newValue?.base, toByteOffset: 8, as: UnsafeMutableRawPointer?.self) }
    }
    package var first: SkiplistNode? { head.next }
    package private(set) var count: Int {
        get { base.load(fromByteOffset: 16, as: Int.self) }
        nonmutating set { base.storeBytes(of: newValue, toByteOffset: 16, as: Int.self) }
    }
    private(set) var highest: Int {
        get { base.load(fromByteOffset: 24, as: Int.self) }
        nonmutating set { base.storeBytes(of: newValue, toByteOffset: 24, as: Int.self) }
    }
    var table: HashTable<SkiplistElement> {
        HashTable(rawPointer: base.load(fromByteOffset: 32, as: UnsafeMutableRawPointer.self))
    }

    package func find(_ member: Bytes) -> SkiplistNode? { table.find(member).map { SkiplistNode($0) } }
    package func randomNode() -> SkiplistNode? { table.randomElement().map { SkiplistNode($0) } }
    package func scan(_ cursor: UInt64, _ visit: (SkiplistNode) -> Void) -> UInt64 {
        table.scan(cursor) { visit(SkiplistNode($0)) }
    }

    // MARK: Changing

    /// As good as random: bits of the member's keyed hash, which neither its bucket nor its tag is made of. (So a set
    /// can be built by a thread that shares no state with others.)
    static func levels(of hash: UInt64) -> Int {
        var levels = 1
        var bits = hash >> 24 | hash << 40
        while bits & 3 == 0 && levels < maximumLevels {
            levels += 1
            bits >>= 2
        }
        return levels
    }

    /// Adds a member that is not in the set.
    package func insert(_ score: Double, _ member: Bytes) {
        let table = table
        let hash = table.hash(member)
        let node = SkiplistNode.create(levels: Self.levels(of: hash), score: score, member: member)
        link(node)
        table.insert(node.base, hash)
    }

    func link(_ node: SkiplistNode) {
        let score = node.score, member = node.member, levels = node.levels
        withUnsafeTemporaryAllocation(of: (SkiplistNode, Int).self, capacity: Self.maximumLevels) { path in
            var at = head, rank = 0
            if levels > highest {
                for level in highest..<levels { head.setSpan(level, count) }
                highest = levels
            }
            var level = highest - 1
            while level >= 0 {
                while let next = at.next(level), next.isBefore(score, member) {
                    rank += at.span(level)
                    at = next
                }
                path[level] = (at, rank)
                level -= 1
            }
            for level in 0..<levels {
                let (before, beforeRank) = path[level]
                node.setNext(level, before.next(level))
                before.setNext(level, node)
                let skipped = rank - beforeRank
                node.setSpan(level, before.span(level) - skipped)
                before.setSpan(level, skipped + 1)
            }
            for level in levels..<max(levels, highest) { path[level].0.setSpan(level, path[level].0.span(level) + 1) }
            node.previous = path[0].0 == head ? nil : path[0].0
            if let next = node.next { next.previous = node } else { last = node }
        }
        count += 1
    }

    private func unlink(_ node: SkiplistNode) {
        let score = node.score, member = node.member
        var at = head
        var level = highest - 1
        while level >= 0 {
            while let next = at.next(level), next.isBefore(score, member) { at = next }
            if at.next(level) == node {
                at.setSpan(level, at.span(level) + node.span(level) - 1)
                at.setNext(level, node.next(level))
            } else {
                at.setSpan(level, at.span(level) - 1)
            }
            level -= 1
        }
        if let next = node.next { next.previous = node.previous } else { last = node.previous }
        while highest > 1 && head.next(highest - 1) == nil { highest -= 1 }
        count -= 1
    }

    /// Removes a node of this set and frees it.
    package func remove(_ node: SkiplistNode) {
        unlink(node)
        _ = table.remove(node.member)
        Heap.free(node.base)
    }

    package func update(_ node: SkiplistNode, score: Double) {
        let isInPlace = (node.previous.map { $0.isBefore(score, node.member) } ?? true)
            && (node.next.map { !$0.isBefore(score, node.member) } ?? true)
        if isInPlace {
            node.score = score
            return
        }
        unlink(node)
        node.score = score
        link(node)
    }

    // MARK: Ranks

    /// The node's rank from 0.
    package func rank(_ node: SkiplistNode) -> Int {
        let score = node.score, member = node.member
        var at = head, rank = 0
        var level = highest - 1
        while level >= 0 {
            while let next = at.next(level), next.isBefore(score, member) {
                rank += at.span(level)
                at = next
            }
            level -= 1
        }
        return rank
    }

    /// The node at a rank from 0.
    package func node(at rank: Int) -> SkiplistNode? {
        if rank < 0 || rank >= count { return nil }
        var at = head, left = rank + 1
        var level = highest - 1
        while level >= 0 {
            while let next = at.next(level), at.span(level) <= left {
                left -= at.span(level)
                at = next
            }
            if left == 0 { return at }
            level -= 1
        }
        return nil
    }

    /// The first node for which `isBelow` is false; it must be true for a leading run of nodes only.
    @inline(__always)
    package func firstNode(notBelow isBelow: (SkiplistNode) -> Bool) -> SkiplistNode? {
        var at = head
        var level = highest - 1
        while level >= 0 {
            while let next = at.next(level), isBelow(next) { at = next }
            level -= 1
        }
        return at.next
    }

    /// Bytes of everything.
    package var byteCount: Int {
        var total = 40 + Heap.usableSize(head.base) + table.overheadBytes
        var node = first
        while let current = node {
            total += Heap.usableSize(current.base)
            node = current.next
        }
        return total
    }

    /// Invariants 1 to 3; for tests.
    package func checkInvariants() -> Bool {
        var node = first, previous: SkiplistNode?, number = 0
        while let current = node {
            if let previous, !previous.isBefore(current.score, current.member) { return false }
            if current.previous != previous || table.find(current.member) != current.base { return false }
            if rank(current) != number || self.node(at: number) != current { return false }
            previous = current
            number += 1
            node = current.next
        }
        return number == count && last == previous && table.count == count
    }
}
