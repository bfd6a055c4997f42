import Encodings
import Primitives

// Lists: one listpack while it stays within one node's limit, else a quicklist.

package enum ListCursor {
    case listpack(Int)
    case quicklist(QuicklistPosition)
}

/// A list as an entry or a `Value` holds it. Changes may change encoding and address: `store` them back.
package struct ListValue {
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

    /// The list as a value with an owner; this handle is not to be used any more.
    package func makeValue() -> Value { Value(.list, encoding, pointer) }

    static func destroy(_ pointer: UnsafeMutableRawPointer, _ encoding: Encoding) {
        switch encoding {
        case .quicklist: Quicklist(pointer).destroy()
        case .listpack, .raw, .int, .hashtable, .intset, .embstr, .skiplist, .stream, .listpackex: Heap.free(pointer)
        }
    }
    package func destroy() { Self.destroy(pointer, encoding) }

    package static func create() -> ListValue { ListValue(.listpack, Listpack.create().pointer) }

    package func copy() -> ListValue {
        isQuicklist ? ListValue(.quicklist, quicklist.copy().base) : ListValue(.listpack, listpack.copy().pointer)
    }

    var isQuicklist: Bool { encoding == .quicklist }
    package var quicklist: Quicklist { Quicklist(pointer) }
    package var listpack: Listpack { Listpack(adopting: pointer) }

    package var count: Int { isQuicklist ? quicklist.count : listpack.count }

    // MARK: Places

    /// The element with this index; negative ones count from the end.
    package func cursor(at index: Int) -> ListCursor? {
        isQuicklist ? quicklist.position(at: index).map { .quicklist($0) } : listpack.seek(index).map { .listpack($0) }
    }

    package func next(_ cursor: ListCursor) -> ListCursor? {
        switch cursor {
        case .listpack(let at): listpack.next(at).map { .listpack($0) }
        case .quicklist(let at): quicklist.next(at).map { .quicklist($0) }
        }
    }

    package func previous(_ cursor: ListCursor) -> ListCursor? {
        switch cursor {
        case .listpack(let at): listpack.previous(at).map { .listpack($0) }
        case .quicklist(let at): quicklist.previous(at).map { .quicklist($0) }
        }
    }

    package func element(_ cursor: ListCursor) -> ListpackElement {
        switch cursor {
        case .listpack(let at): listpack.get(at)
        case .quicklist(let at): quicklist.element(at)
        }
    }

    /// Visits elements in order; `visit` answers false to stop.
    package func forEach(_ visit: (ListpackElement) -> Bool) {
        var cursor = cursor(at: 0)
        while let current = cursor {
            if !visit(element(current)) { return }
            cursor = next(current)
        }
    }

    /// The first element from `start` on that is what is looked for, and how many were passed on the way to it.
    package func find(_ wanted: ListpackNeedle, from start: ListCursor) -> (place: ListCursor, passed: Int)? {
        var passed = 0
        guard case .quicklist(var at) = start else {
            guard case .listpack(let offset) = start else { return nil }
            return Self.find(wanted, in: listpack, from: offset, &passed).map { (.listpack($0), passed) }
        }
        while true {
            if at.node.isPlain {
                if at.node.bytes.equals(wanted.bytes) { return (.quicklist(at), passed) }
                passed += 1
            } else if let offset = Self.find(wanted, in: at.node.listpack, from: at.offset, &passed) {
                return (.quicklist(QuicklistPosition(node: at.node, offset: offset)), passed)
            }
            guard let following = at.node.next else { return nil }
            at = QuicklistPosition(node: following, offset: Quicklist.firstOffset(following))
        }
    }

    private static func find(_ wanted: ListpackNeedle, in pack: Listpack, from start: Int, _ passed: inout Int)
        -> Int? {
        var position: Int? = start
        while let at = position {
            if pack.matches(at, wanted) { return at }
            passed += 1
            position = pack.next(at)
        }
        return nil
    }

    package func matches(_ cursor: ListCursor, _ wanted: ListpackNeedle) -> Bool {
        switch cursor {
        case .listpack(let at): return listpack.matches(at, wanted)
        case .quicklist(let at):
            // A plain node may hold the text of a number, which no listpack does.
            return at.node.isPlain ? at.node.bytes.equals(wanted.bytes) : at.node.listpack.matches(at.offset, wanted)
        }
    }

    // MARK: Changing

    /// Before adding elements of `bytes` bytes together: becomes a quicklist if they would not fit.
    package mutating func prepare(adding elements: Int, bytes: Int, _ thresholds: Thresholds) {
        guard !isQuicklist else { return }
        let limit = NodeLimit(thresholds.listMaxListpackSize)
        if limit.isExceeded(listpack.byteCount &+ bytes, listpack.count + elements) { convertToQuicklist() }
    }

    private mutating func convertToQuicklist() {
        let new = Quicklist.create()
        new.append(node: listpack)
        self = ListValue(.quicklist, new.base)
    }

    /// After removals, or after loading: a quicklist of one packed node within the limit (half of it when the list
    /// shrank, so that it does not go to and fro) becomes a listpack.
    package mutating func convertToListpackIfSmall(shrunk: Bool, _ thresholds: Thresholds) {
        guard isQuicklist, quicklist.nodeCount == 1, let node = quicklist.head, !node.isPlain else { return }
        let limit = NodeLimit(thresholds.listMaxListpackSize)
        let bytes = shrunk ? limit.bytes / 2 : limit.bytes
        let elements = shrunk && limit.elements != .max ? limit.elements / 2 : limit.elements
        if node.byteCount > bytes || node.count > elements { return }
        let pack = node.listpack.copy()
        quicklist.destroy()
        self = ListValue(.listpack, pack.pointer)
    }

    package mutating func push(_ bytes: Bytes, atHead: Bool, _ thresholds: Thresholds) {
        if isQuicklist { quicklist.push(bytes, atHead: atHead, thresholds); return }
        var pack = listpack
        if atHead { pack.prepend(bytes) } else { pack.append(bytes) }
        pointer = pack.pointer
    }

    package mutating func insert(_ bytes: Bytes, at cursor: ListCursor, after: Bool, _ thresholds: Thresholds) {
        switch cursor {
        case .quicklist(let at): quicklist.insert(bytes, at: at, after: after, thresholds)
        case .listpack(let at):
            var pack = listpack
            if after { pack.insert(bytes, after: at) } else { pack.insert(bytes, before: at) }
            pointer = pack.pointer
        }
    }

    package mutating func replace(_ cursor: ListCursor, with bytes: Bytes, _ thresholds: Thresholds) {
        switch cursor {
        case .quicklist(let at): quicklist.replace(at, with: bytes, thresholds)
        case .listpack(let at):
            var pack = listpack
            pack.replace(at, with: bytes)
            pointer = pack.pointer
        }
    }

    /// Removes one element; answers the place of the one behind it.
    @discardableResult
    package mutating func remove(_ cursor: ListCursor) -> ListCursor? {
        switch cursor {
        case .quicklist(let at): return quicklist.remove(at).map { .quicklist($0) }
        case .listpack(let at):
            var pack = listpack
            pack.delete(at)
            pointer = pack.pointer
            return pack.atOrNil(at).map { .listpack($0) }
        }
    }

    /// Removes `amount` elements from `index` (not negative) on.
    package mutating func removeRange(_ index: Int, _ amount: Int) {
        if isQuicklist { quicklist.removeRange(index, amount); return }
        var pack = listpack
        pack.deleteRange(index: index, count: amount)
        pointer = pack.pointer
    }
}
