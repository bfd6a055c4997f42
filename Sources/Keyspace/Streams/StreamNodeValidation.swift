import Encodings
import Primitives

extension StreamNode {
    /// What `validate` found in a node.
    struct Facts {
        let liveCount: Int
        /// Of the last entry, live or deleted; the master's if there is none.
        let lastID: StreamID
    }

    /// Whether bytes from outside are a node with this master ID; nil if not. Whatever they hold, nothing outside of
    /// them is read. O(n).
    static func validate(_ blob: Bytes, masterID: StreamID) -> Facts? {
        guard blob.count <= Listpack.maximumBytes, Listpack.validate(blob), let base = blob.baseAddress else {
            return nil
        }
        var walk = NodeWalk(Listpack(adopting: UnsafeMutableRawPointer(mutating: base)))
        guard let live = walk.counter(), let deleted = walk.counter(), let fieldCount = walk.counter(),
              walk.skip(fieldCount), walk.integer() == 0 else { return nil }
        var seenLive = 0, seenDeleted = 0
        var last: StreamID?
        while !walk.isAtEnd {
            guard let entry = walk.entry(masterID, fieldCount) else { return nil }
            if entry.id < masterID { return nil }
            if let last, entry.id <= last { return nil }
            last = entry.id
            if entry.isDeleted { seenDeleted += 1 } else { seenLive += 1 }
        }
        guard seenLive == live, seenDeleted == deleted else { return nil }
        return Facts(liveCount: live, lastID: last ?? masterID)
    }
}

/// Steps through a valid listpack that need not be a valid node.
private struct NodeWalk {
    let pack: Listpack
    var position: Listpack.Position?

    init(_ pack: Listpack) {
        self.pack = pack
        position = pack.first
    }

    var isAtEnd: Bool { position == nil }

    mutating func integer() -> Int64? {
        guard let at = position else { return nil }
        position = pack.next(at)
        return pack.get(at).integer
    }

    /// An integer that may count elements.
    mutating func counter() -> Int? {
        guard let value = integer(), value >= 0, value < Int64(Listpack.maximumBytes) else { return nil }
        return Int(value)
    }

    mutating func skip(_ count: Int) -> Bool {
        for _ in 0..<count {
            guard let at = position else { return false }
            position = pack.next(at)
        }
        return true
    }

    /// ID and state of the next entry, if it is well-formed.
    mutating func entry(_ masterID: StreamID, _ masterFieldCount: Int) -> (id: StreamID, isDeleted: Bool)? {
        guard let start = position, pack.pointer.load(fromByteOffset: start, as: UInt8.self) <= 3,
              let flags = integer(), let milliseconds = integer(), let sequence = integer() else { return nil }
        var elements = 3 + masterFieldCount
        if flags & StreamNode.sameFieldsFlag == 0 {
            guard let count = counter(), skip(count * 2) else { return nil }
            elements = 4 + count * 2
        } else {
            guard skip(masterFieldCount) else { return nil }
        }
        guard integer() == Int64(elements) else { return nil }
        let id = StreamID(masterID.milliseconds &+ UInt64(bitPattern: milliseconds),
                          masterID.sequence &+ UInt64(bitPattern: sequence))
        return (id, flags & StreamNode.deletedFlag != 0)
    }
}
