import Encodings
import Primitives

// Sorted sets: a listpack of member, score pairs in order while few and short, else skiplist and hash table.
//
// A score in a listpack is an integer element if it is one, else the shortest decimal text that reads back the same.

/// A place in a sorted set; good until the set changes.
package enum SortedSetCursor {
    /// Offset of the member in the listpack.
    case listpack(Int)
    case node(SkiplistNode)
}

/// Bounds of a range by score.
package struct ScoreRange: Sendable {
    package var minimum: Double
    package var maximum: Double
    package var excludesMinimum = false
    package var excludesMaximum = false

    package init(minimum: Double, maximum: Double, excludesMinimum: Bool = false, excludesMaximum: Bool = false) {
        self.minimum = minimum
        self.maximum = maximum
        self.excludesMinimum = excludesMinimum
        self.excludesMaximum = excludesMaximum
    }

    @inline(__always)
    package func isBelow(_ score: Double) -> Bool { excludesMinimum ? score <= minimum : score < minimum }
    @inline(__always)
    package func isAbove(_ score: Double) -> Bool { excludesMaximum ? score >= maximum : score > maximum }
    package var isEmpty: Bool {
        minimum > maximum || (minimum == maximum && (excludesMinimum || excludesMaximum))
    }
}

/// Bounds of a range by member, for members of equal score; the bytes are borrowed.
package struct LexRange {
    package enum Bound {
        case lowest, highest
        case inclusive(Bytes), exclusive(Bytes)
    }
    package var minimum: Bound
    package var maximum: Bound
    package init(minimum: Bound, maximum: Bound) {
        self.minimum = minimum
        self.maximum = maximum
    }

    package func isBelow(_ member: Bytes) -> Bool {
        switch minimum {
        case .lowest: false
        case .highest: true
        case .inclusive(let bound): member.compare(bound) < 0
        case .exclusive(let bound): member.compare(bound) <= 0
        }
    }
    package func isAbove(_ member: Bytes) -> Bool {
        switch maximum {
        case .lowest: true
        case .highest: false
        case .inclusive(let bound): member.compare(bound) > 0
        case .exclusive(let bound): member.compare(bound) >= 0
        }
    }
}

/// A sorted set as an entry or a `Value` holds it. Changes may change encoding and address: `store` them back.
package struct SortedSetValue {
    package private(set) var encoding: Encoding
    package private(set) var pointer: UnsafeMutableRawPointer

    package init(_ entry: Entry) {
        encoding = entry.encoding
        pointer = entry.pointer
    }
    package init(_ encoding: Encoding, _ pointer: UnsafeMutableRawPointer) {
        self.encoding = encoding
        self.pointer = pointer
    }

    package func store(_ entry: Entry) {
        entry.encoding = encoding
        entry.pointer = pointer
    }

    /// The set as a value with an owner; this handle is not to be used any more.
    package func makeValue() -> Value { Value(.sortedSet, encoding, pointer) }

    static func destroy(_ pointer: UnsafeMutableRawPointer, _ encoding: Encoding) {
        switch encoding {
        case .skiplist: SortedSet(pointer).destroy()
        case .listpack, .raw, .int, .hashtable, .intset, .embstr, .quicklist, .stream, .listpackex: Heap.free(pointer)
        }
    }
    package func destroy() { Self.destroy(pointer, encoding) }

    /// An empty set for `expected` members of at most `longest` bytes.
    package static func create(expected: Int, longest: Int, _ keyspace: borrowing Keyspace) -> SortedSetValue {
        let limits = keyspace.thresholds
        if expected <= limits.zsetMaxListpackEntries && longest <= limits.zsetMaxListpackValue {
            return SortedSetValue(.listpack, Listpack.create().pointer)
        }
        return createSkiplist(keyspace.context, expected: expected)
    }
    package static func createSkiplist(_ context: UnsafeMutablePointer<HashContext>, expected: Int = 0)
        -> SortedSetValue {
        SortedSetValue(.skiplist, SortedSet.create(context, expected: expected).base)
    }

    var isSkiplist: Bool { encoding == .skiplist }
    package var listpack: Listpack { Listpack(adopting: pointer) }
    package var sortedSet: SortedSet { SortedSet(pointer) }

    package func copy(_ context: UnsafeMutablePointer<HashContext>) -> SortedSetValue {
        guard isSkiplist else { return SortedSetValue(.listpack, listpack.copy().pointer) }
        let new = SortedSet.create(context, expected: count)
        var node = sortedSet.first
        while let current = node {
            new.insert(current.score, current.member)
            node = current.next
        }
        return SortedSetValue(.skiplist, new.base)
    }

    // MARK: Looking

    package var count: Int { isSkiplist ? sortedSet.count : listpack.count / 2 }

    /// The number that a score element stands for.
    package static func score(_ element: ListpackElement) -> Double {
        switch element {
        case .integer(let value): Double(value)
        case .bytes(let bytes): DoubleText.parse(bytes) ?? 0
        }
    }

    private func position(of member: Bytes) -> Int? { listpack.find(from: listpack.first, member, skip: 1) }

    package func score(of member: Bytes) -> Double? {
        if isSkiplist { return sortedSet.find(member)?.score }
        guard let at = position(of: member), let score = listpack.next(at) else { return nil }
        return Self.score(listpack.get(score))
    }

    package func cursor(of member: Bytes) -> SortedSetCursor? {
        isSkiplist ? sortedSet.find(member).map { .node($0) } : position(of: member).map { .listpack($0) }
    }

    package func member(_ cursor: SortedSetCursor) -> ListpackElement {
        switch cursor {
        case .listpack(let at): listpack.get(at)
        case .node(let node): .bytes(node.member)
        }
    }

    package func score(_ cursor: SortedSetCursor) -> Double {
        switch cursor {
        case .listpack(let at): listpack.next(at).map { Self.score(listpack.get($0)) } ?? 0
        case .node(let node): node.score
        }
    }

    package func next(_ cursor: SortedSetCursor) -> SortedSetCursor? {
        switch cursor {
        case .listpack(let at): listpack.next(at).flatMap { listpack.next($0) }.map { .listpack($0) }
        case .node(let node): node.next.map { .node($0) }
        }
    }

    package func previous(_ cursor: SortedSetCursor) -> SortedSetCursor? {
        switch cursor {
        case .listpack(let at): listpack.previous(at).flatMap { listpack.previous($0) }.map { .listpack($0) }
        case .node(let node): node.previous.map { .node($0) }
        }
    }

    /// The member at a rank from 0; a negative one counts from the end.
    package func cursor(at rank: Int) -> SortedSetCursor? {
        if isSkiplist { return sortedSet.node(at: rank < 0 ? count + rank : rank).map { .node($0) } }
        return listpack.seek(rank * 2).map { .listpack($0) }
    }

    package func rank(_ cursor: SortedSetCursor) -> Int {
        switch cursor {
        case .node(let node): return sortedSet.rank(node)
        case .listpack(let at):
            var rank = 0, current = listpack.first
            while let position = current, position < at {
                rank += 1
                current = listpack.next(position).flatMap { listpack.next($0) }
            }
            return rank
        }
    }

    /// The first member that is not below a range's lower bound.
    @inline(__always)
    private func first(notBelow isBelow: (Double, ListpackElement) -> Bool) -> SortedSetCursor? {
        if isSkiplist { return sortedSet.firstNode { isBelow($0.score, .bytes($0.member)) }.map { .node($0) } }
        var current = listpack.first
        while let at = current, let scoreAt = listpack.next(at) {
            if !isBelow(Self.score(listpack.get(scoreAt)), listpack.get(at)) { return .listpack(at) }
            current = listpack.next(scoreAt)
        }
        return nil
    }

    /// The last member that is not above a range's upper bound: the one before the first that is.
    @inline(__always)
    private func last(notAbove isAbove: (Double, ListpackElement) -> Bool) -> SortedSetCursor? {
        guard let beyond = first(notBelow: { !isAbove($0, $1) }) else { return cursor(at: -1) }
        return previous(beyond)
    }

    package func first(in range: ScoreRange) -> SortedSetCursor? {
        guard !range.isEmpty, let found = first(notBelow: { score, _ in range.isBelow(score) }),
              !range.isAbove(score(found)) else { return nil }
        return found
    }

    package func last(in range: ScoreRange) -> SortedSetCursor? {
        guard !range.isEmpty, let found = last(notAbove: { score, _ in range.isAbove(score) }),
              !range.isBelow(score(found)) else { return nil }
        return found
    }

    private static func withText<R>(_ element: ListpackElement, _ body: (Bytes) -> R) -> R {
        withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) {
            body(element.text($0.baseAddress.unsafelyUnwrapped))
        }
    }

    package func first(in range: LexRange) -> SortedSetCursor? {
        guard let found = first(notBelow: { _, member in Self.withText(member) { range.isBelow($0) } }),
              !Self.withText(member(found), { range.isAbove($0) }) else { return nil }
        return found
    }

    package func last(in range: LexRange) -> SortedSetCursor? {
        guard let found = last(notAbove: { _, member in Self.withText(member) { range.isAbove($0) } }),
              !Self.withText(member(found), { range.isBelow($0) }) else { return nil }
        return found
    }

    /// Visits members in order; `visit` answers false to stop.
    package func forEach(_ visit: (ListpackElement, Double) -> Bool) {
        var cursor = cursor(at: 0)
        while let current = cursor {
            if !visit(member(current), score(current)) { return }
            cursor = next(current)
        }
    }

    /// `wanted` members, at most as many as there are, all choices equally likely; in order.
    package func sample(_ wanted: Int, _ random: inout RandomSource, _ visit: (ListpackElement, Double) -> Void) {
        var left = wanted, unseen = count
        var cursor = cursor(at: 0)
        while left > 0, let current = cursor {
            if random.next(below: unseen) < left {
                visit(member(current), score(current))
                left -= 1
            }
            unseen -= 1
            cursor = next(current)
        }
    }

    /// A uniformly random member, and its place, as `SeenPlaces` takes it.
    @inline(__always)
    package func withRandomMember(_ random: inout RandomSource,
                                  _ body: (ListpackElement, Double, _ place: UInt) -> Void) {
        if isSkiplist {
            if let node = sortedSet.randomNode() { body(.bytes(node.member), node.score, UInt(bitPattern: node.base)) }
        } else if let at = listpack.seek(random.next(below: count) * 2) {
            body(listpack.get(at), score(.listpack(at)), UInt(at))
        }
    }

    /// One step of ZSCAN; listpacks are visited whole.
    package func scan(_ cursor: UInt64, _ visit: (ListpackElement, Double) -> Void) -> UInt64 {
        if isSkiplist { return sortedSet.scan(cursor) { visit(.bytes($0.member), $0.score) } }
        forEach { visit($0, $1); return true }
        return 0
    }

    // MARK: Changing

    /// Before adding `added` members at once.
    package mutating func prepare(added: Int, _ keyspace: borrowing Keyspace) {
        if !isSkiplist && added > keyspace.thresholds.zsetMaxListpackEntries {
            convertToSkiplist(keyspace.context, expected: added)
        }
    }

    /// Adds a member that is not in the set.
    package mutating func insert(_ member: Bytes, _ score: Double, _ keyspace: borrowing Keyspace) {
        if !isSkiplist {
            let limits = keyspace.thresholds
            if count + 1 > limits.zsetMaxListpackEntries || member.count > limits.zsetMaxListpackValue
                || !listpack.hasRoom(member.count + 32) {
                convertToSkiplist(keyspace.context, expected: count + 1)
            }
        }
        if isSkiplist { sortedSet.insert(score, member) } else { insertPair(member, score) }
    }

    private mutating func insertPair(_ member: Bytes, _ score: Double) {
        let place = first(notBelow: { other, element in
            other < score || (other == score && Self.withText(element) { $0.compare(member) < 0 })
        })
        var pack = listpack
        var target = pack.byteCount - 1
        if case .listpack(let at) = place { target = at }
        Self.insert(score: score, before: target, &pack)
        pack.insert(member, before: target)
        pointer = pack.pointer
    }

    private static func insert(score: Double, before target: Int, _ pack: inout Listpack) {
        if let integer = DoubleText.exactInteger(score) { return pack.insert(integer, before: target) }
        withUnsafeTemporaryAllocation(byteCount: DoubleText.maximumLength, alignment: 8) { buffer in
            let start = buffer.baseAddress.unsafelyUnwrapped
            pack.insert(Bytes(start: start, count: DoubleText.write(score, to: start)), before: target)
        }
    }

    /// Gives a member another score.
    package mutating func update(_ member: Bytes, _ score: Double) {
        if isSkiplist {
            if let node = sortedSet.find(member) { sortedSet.update(node, score: score) }
            return
        }
        _ = remove(member)
        insertPair(member, score)
    }

    package mutating func remove(_ member: Bytes) -> Bool {
        guard let cursor = cursor(of: member) else { return false }
        remove(cursor)
        return true
    }

    package mutating func remove(_ cursor: SortedSetCursor) {
        switch cursor {
        case .node(let node): sortedSet.remove(node)
        case .listpack(let at):
            var pack = listpack
            pack.deleteRun(from: at, count: 2)
            pointer = pack.pointer
        }
    }

    // MARK: Converting

    package mutating func convertToSkiplist(_ context: UnsafeMutablePointer<HashContext>, expected: Int = 0) {
        if isSkiplist { return }
        let new = SortedSet.create(context, expected: max(expected, count))
        forEach { member, score in
            Self.withText(member) { new.insert(score, $0) }
            return true
        }
        Heap.free(pointer)
        self = SortedSetValue(.skiplist, new.base)
    }

    /// A result just built goes into a listpack if it fits one.
    package mutating func convertToListpackIfFitting(_ keyspace: borrowing Keyspace) {
        let limits = keyspace.thresholds
        guard isSkiplist, count <= limits.zsetMaxListpackEntries else { return }
        var node = sortedSet.first
        while let current = node {
            if current.member.count > limits.zsetMaxListpackValue { return }
            node = current.next
        }
        var pack = Listpack.create()
        node = sortedSet.first
        while let current = node {
            // In order: each goes to the end.
            pack.append(current.member)
            Self.insert(score: current.score, before: pack.byteCount - 1, &pack)
            node = current.next
        }
        destroy()
        self = SortedSetValue(.listpack, pack.pointer)
    }
}
