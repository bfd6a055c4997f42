import Encodings
import Primitives

// One node of a stream: a listpack with up to `stream-node-max-entries` entries, the same bytes in memory and in
// RDB files.
//
//     master:  live entries | deleted entries | number of fields | field … | 0
//     entry:   flags | ms − master's ms | sequence − master's sequence | content | elements before this one
//     content: value …                            with flag 2: the fields are the master's
//              number of fields | field value …   without
//
// The node's key in the stream's tree is the master ID: that of the first entry ever added to the node. The last
// element of an entry counts the entry's other elements, so that it can be walked backwards; the master's 0 ends
// that. Deleting sets flag 1 and adjusts the two counters; the bytes go with the node.
//
// Invariants (of a node that `validate` accepted or that these functions made)
//  1. Everything but fields and values is an integer; every counter is right.
//  2. IDs ascend strictly and none is less than the master ID.

/// An entry of a stream, as it lies in its node; good until the stream's next change.
package struct StreamEntry {
    package let id: StreamID
    package let fieldCount: Int
    let pack: Listpack
    let flags: Int64
    /// Position of the flags.
    let start: Listpack.Position
    /// Position of the first value, or of the first field if the entry has its own.
    let content: Listpack.Position
    /// Position of the master's first field.
    let masterFields: Listpack.Position

    var isDeleted: Bool { flags & StreamNode.deletedFlag != 0 }
    var sharesFields: Bool { flags & StreamNode.sameFieldsFlag != 0 }

    /// Visits fields and values in order.
    @inline(__always)
    package func forEachField(_ visit: (_ field: ListpackElement, _ value: ListpackElement) -> Void) {
        var field = masterFields, value = content
        if sharesFields {
            for _ in 0..<fieldCount {
                visit(pack.get(field), pack.get(value))
                field = StreamNode.after(field, pack)
                value = StreamNode.after(value, pack)
            }
        } else {
            for _ in 0..<fieldCount {
                field = value
                value = StreamNode.after(field, pack)
                visit(pack.get(field), pack.get(value))
                value = StreamNode.after(value, pack)
            }
        }
    }

    /// Position of the element that counts the entry's elements.
    var end: Listpack.Position {
        var position = content
        for _ in 0..<(sharesFields ? fieldCount : fieldCount * 2) { position = StreamNode.after(position, pack) }
        return position
    }
}

struct StreamNode {
    static let deletedFlag: Int64 = 1
    static let sameFieldsFlag: Int64 = 2

    let masterID: StreamID
    var pack: Listpack

    init(_ masterID: StreamID, _ pack: Listpack) {
        self.masterID = masterID
        self.pack = pack
    }

    init(_ place: IDTree.Place) {
        self.init(place.id, Listpack(adopting:
            UnsafeMutableRawPointer(bitPattern: UInt(place.payload)).unsafelyUnwrapped))
    }

    var payload: UInt64 { UInt64(UInt(bitPattern: pack.pointer)) }

    /// The element behind `position`, which is never the last of a node's.
    @inline(__always)
    static func after(_ position: Listpack.Position, _ pack: Listpack) -> Listpack.Position {
        pack.next(position) ?? position
    }
    @inline(__always)
    private func after(_ position: Listpack.Position) -> Listpack.Position { Self.after(position, pack) }

    @inline(__always)
    private func integer(_ position: Listpack.Position) -> Int64 { pack.get(position).integer ?? 0 }

    // MARK: The master entry

    private var livePosition: Listpack.Position { Listpack.headerBytes }
    private var deletedPosition: Listpack.Position { after(livePosition) }
    private var fieldCountPosition: Listpack.Position { after(deletedPosition) }
    private var masterFields: Listpack.Position { after(fieldCountPosition) }

    var liveCount: Int { Int(integer(livePosition)) }
    /// Live and deleted entries.
    var totalCount: Int { liveCount + Int(integer(deletedPosition)) }
    private var masterFieldCount: Int { Int(integer(fieldCountPosition)) }

    /// Position of the 0 behind the master's fields.
    private var masterEnd: Listpack.Position {
        var position = masterFields
        for _ in 0..<masterFieldCount { position = after(position) }
        return position
    }

    // MARK: Adding

    /// A node whose master has the fields of `pairs` (field, value, …), and no entry yet.
    static func create(_ masterID: StreamID, _ pairs: UnsafeBufferPointer<Bytes>) -> StreamNode {
        var pack = Listpack.create(capacity: 256)
        pack.append(0)
        pack.append(0)
        pack.append(Int64(pairs.count / 2))
        for index in stride(from: 0, to: pairs.count, by: 2) { pack.append(pairs[index]) }
        pack.append(0)
        return StreamNode(masterID, pack)
    }

    mutating func append(_ id: StreamID, _ pairs: UnsafeBufferPointer<Bytes>) {
        let same = sharesMasterFields(pairs)
        pack.replace(livePosition, with: Int64(liveCount + 1))
        pack.append(same ? Self.sameFieldsFlag : 0)
        pack.append(Int64(bitPattern: id.milliseconds &- masterID.milliseconds))
        pack.append(Int64(bitPattern: id.sequence &- masterID.sequence))
        if !same { pack.append(Int64(pairs.count / 2)) }
        for index in 0..<pairs.count where !same || index & 1 == 1 { pack.append(pairs[index]) }
        pack.append(Int64(same ? 3 + pairs.count / 2 : 4 + pairs.count))
    }

    private func sharesMasterFields(_ pairs: UnsafeBufferPointer<Bytes>) -> Bool {
        guard masterFieldCount == pairs.count / 2 else { return false }
        var position = masterFields
        for index in stride(from: 0, to: pairs.count, by: 2) {
            if !pack.get(position).equals(pairs[index]) { return false }
            position = after(position)
        }
        return true
    }

    // MARK: Walking

    /// The entry whose flags are at `start`.
    private func entry(_ start: Listpack.Position, _ masterFields: Listpack.Position, _ masterFieldCount: Int)
        -> StreamEntry {
        let flags = integer(start)
        let milliseconds = after(start), sequence = after(milliseconds)
        let id = StreamID(masterID.milliseconds &+ UInt64(bitPattern: integer(milliseconds)),
                          masterID.sequence &+ UInt64(bitPattern: integer(sequence)))
        var content = after(sequence)
        var fieldCount = masterFieldCount
        if flags & Self.sameFieldsFlag == 0 {
            fieldCount = Int(integer(content))
            content = after(content)
        }
        return StreamEntry(id: id, fieldCount: fieldCount, pack: pack, flags: flags, start: start, content: content,
                           masterFields: masterFields)
    }

    /// Visits all entries in order, deleted ones too; `visit` answers false to stop. True if it never did.
    @inline(__always)
    func forEachEntry(_ visit: (StreamEntry) -> Bool) -> Bool {
        let fields = masterFields, fieldCount = masterFieldCount
        var position = pack.next(masterEnd)
        while let start = position {
            let entry = entry(start, fields, fieldCount)
            if !visit(entry) { return false }
            position = pack.next(entry.end)
        }
        return true
    }

    /// Likewise from the last entry to the first.
    @inline(__always)
    func forEachEntryReversed(_ visit: (StreamEntry) -> Bool) -> Bool {
        let fields = masterFields, fieldCount = masterFieldCount
        var counter = pack.last
        while let last = counter {
            var start = last
            let elements = integer(last)
            if elements == 0 { return true }
            for _ in 0..<elements { start = pack.previous(start) ?? start }
            if !visit(entry(start, fields, fieldCount)) { return false }
            counter = pack.previous(start)
        }
        return true
    }

    /// The ID of the last entry, live or deleted.
    var lastID: StreamID {
        var id = masterID
        _ = forEachEntryReversed {
            id = $0.id
            return false
        }
        return id
    }

    /// The live entry with this ID.
    func find(_ id: StreamID) -> StreamEntry? {
        var found: StreamEntry?
        _ = forEachEntry {
            if $0.id == id, !$0.isDeleted { found = $0 }
            return $0.id < id
        }
        return found
    }

    // MARK: Deleting

    /// Marks live entries as deleted, in order, while `condition` holds; how many.
    mutating func deleteEntries(while condition: (StreamID, _ deletedBefore: Int) -> Bool) -> Int {
        var deleted = 0
        var marked = pack
        _ = forEachEntry {
            if !condition($0.id, deleted) { return false }
            if !$0.isDeleted {
                // Flags of either value take one byte: nothing moves.
                marked.replace($0.start, with: $0.flags | Self.deletedFlag)
                deleted += 1
            }
            return true
        }
        pack = marked
        count(deleted: deleted)
        return deleted
    }

    /// Marks a live entry as deleted.
    mutating func delete(_ entry: StreamEntry) {
        pack.replace(entry.start, with: entry.flags | Self.deletedFlag)
        count(deleted: 1)
    }

    private mutating func count(deleted: Int) {
        guard deleted > 0 else { return }
        let live = liveCount, gone = Int(integer(deletedPosition))
        pack.replace(livePosition, with: Int64(live - deleted))
        pack.replace(deletedPosition, with: Int64(gone + deleted))
    }
}
