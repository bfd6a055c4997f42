import Encodings
import Primitives

// Streams: entries in listpacks (StreamNode.swift), the listpacks in a tree by their master IDs (IDTree.swift),
// consumer groups (StreamGroups.swift).
//
// Invariants
//  1. Entries ascend through all nodes; `count` is the number of the live ones; `lastID` is not less than any.
//  2. `firstID` is the first live entry's ID, 0-0 if there is none.

/// Handle of a stream; the entry or `Value` that holds the address owns it. It never moves.
package struct StreamValue {
    struct Fields {
        var nodes = IDTree()
        var groups = NameTable<StreamGroup>()
        var count = 0
        var firstID = StreamID.minimum
        var lastID = StreamID.minimum
        var maxDeletedID = StreamID.minimum
        var entriesAdded: UInt64 = 0
        /// nil until the first message with an id, or setting of its own.
        var producers: UnsafeMutablePointer<StreamProducers>?
    }

    private let fields: UnsafeMutablePointer<Fields>

    package init(_ entry: Entry) { self.init(entry.pointer) }
    package init(_ value: borrowing Value) { self.init(value.pointer) }
    package init(_ pointer: UnsafeMutableRawPointer) { fields = pointer.assumingMemoryBound(to: Fields.self) }

    package static func create() -> StreamValue {
        let memory = Heap.allocate(MemoryLayout<Fields>.size)
        memory.bindMemory(to: Fields.self, capacity: 1).initialize(to: Fields())
        return StreamValue(memory)
    }

    /// The stream as a value with an owner; this handle is not to be used once the value is gone.
    package func makeValue() -> Value { Value(.stream, .stream, fields) }

    /// Frees everything the value owns.
    static func destroy(_ pointer: UnsafeMutableRawPointer) {
        let fields = pointer.assumingMemoryBound(to: Fields.self)
        fields.pointee.nodes.destroy { Heap.free(UnsafeMutableRawPointer(bitPattern: UInt($0)).unsafelyUnwrapped) }
        fields.pointee.groups.destroy { $0.destroy() }
        if let producers = fields.pointee.producers {
            producers.pointee.forgetAll()
            Heap.free(producers)
        }
        Heap.free(pointer)
    }

    package func copy() -> StreamValue {
        let new = StreamValue.create()
        var place = nodes.first
        while let at = place {
            let node = StreamNode(at)
            new.fields.pointee.nodes.insert(node.masterID, StreamNode(at.id, node.pack.copy()).payload)
            place = nodes.next(at)
        }
        new.fields.pointee.count = count
        new.firstID = firstID
        new.lastID = lastID
        new.maxDeletedID = maxDeletedID
        new.entriesAdded = entriesAdded
        for index in 0..<groups.count { new.fields.pointee.groups.insert(groups[index].copy()) }
        if let producers { new.makeProducers().pointee = producers.pointee.copy() }
        return new
    }

    // MARK: Facts

    /// Number of live entries.
    package var count: Int { fields.pointee.count }
    package internal(set) var firstID: StreamID {
        get { fields.pointee.firstID }
        nonmutating set { fields.pointee.firstID = newValue }
    }
    /// The greatest ID ever used; the next entry's is greater.
    package var lastID: StreamID {
        get { fields.pointee.lastID }
        nonmutating set { fields.pointee.lastID = newValue }
    }
    /// The greatest ID that XDEL deleted.
    package var maxDeletedID: StreamID {
        get { fields.pointee.maxDeletedID }
        nonmutating set { fields.pointee.maxDeletedID = newValue }
    }
    package var entriesAdded: UInt64 {
        get { fields.pointee.entriesAdded }
        nonmutating set { fields.pointee.entriesAdded = newValue }
    }
    package var groups: NameTable<StreamGroup> { fields.pointee.groups }
    var nodes: IDTree { fields.pointee.nodes }
    package var nodeCount: Int { nodes.count }

    /// What is known of messages sent before; nil: nobody asked for that.
    package var producers: UnsafeMutablePointer<StreamProducers>? { fields.pointee.producers }

    package func makeProducers() -> UnsafeMutablePointer<StreamProducers> {
        if let producers { return producers }
        let new = Heap.allocate(MemoryLayout<StreamProducers>.size).bindMemory(to: StreamProducers.self, capacity: 1)
        new.initialize(to: StreamProducers())
        fields.pointee.producers = new
        return new
    }

    /// The last live entry's ID, 0-0 if there is none: unlike `lastID`, which deletions leave as it is.
    package var lastLiveID: StreamID {
        var id = StreamID.minimum
        forEachEntry(reversed: true) {
            id = $0.id
            return false
        }
        return id
    }

    /// About how many allocations freeing the stream means.
    var partCount: Int {
        var total = 1 + nodeCount
        for index in 0..<groups.count {
            total += 1 + groups[index].pointee.pending.count + groups[index].pointee.consumers.count
        }
        if let producers { total += producers.pointee.producers.count * 100 }
        return total
    }

    /// Bytes of all that the value owns, as the allocator rounds them.
    package var allocatedBytes: Int {
        var total = Heap.usableSize(fields) + nodes.allocatedBytes
        forEachNode { total += Heap.usableSize($1.baseAddress.unsafelyUnwrapped) }
        for index in 0..<groups.count { total += groups[index].allocatedBytes }
        if let producers { total += Heap.usableSize(producers) + producers.pointee.allocatedBytes }
        return total
    }

    // MARK: Walking

    /// Visits the nodes in order: master ID and listpack.
    package func forEachNode(_ visit: (StreamID, Bytes) -> Void) {
        var place = nodes.first
        while let at = place {
            visit(at.id, StreamNode(at).pack.bytes)
            place = nodes.next(at)
        }
    }

    /// Visits live entries from `start` through `end`, or the other way round; `visit` answers false to stop, and
    /// must not change the stream.
    @inline(__always)
    package func forEachEntry(from start: StreamID = .minimum, through end: StreamID = .maximum,
                              reversed: Bool = false, _ visit: (StreamEntry) -> Bool) {
        if count == 0 || start > end { return }
        if reversed { forEachReversed(start, end, visit) } else { forEachForward(start, end, visit) }
    }

    private func forEachForward(_ start: StreamID, _ end: StreamID, _ visit: (StreamEntry) -> Bool) {
        var place = nodes.seek(atMost: start) ?? nodes.first
        while let at = place, at.id <= end {
            let goesOn = StreamNode(at).forEachEntry { entry in
                if entry.id < start || entry.isDeleted { return true }
                return entry.id <= end && visit(entry)
            }
            if !goesOn { return }
            place = nodes.next(at)
        }
    }

    private func forEachReversed(_ start: StreamID, _ end: StreamID, _ visit: (StreamEntry) -> Bool) {
        var place = nodes.seek(atMost: end)
        while let at = place {
            let goesOn = StreamNode(at).forEachEntryReversed { entry in
                if entry.id > end || entry.isDeleted { return true }
                return entry.id >= start && visit(entry)
            }
            if !goesOn { return }
            place = nodes.previous(at)
        }
    }

    /// The live entry with this ID.
    package func find(_ id: StreamID) -> StreamEntry? {
        guard count > 0, let place = nodes.seek(atMost: id) else { return nil }
        return StreamNode(place).find(id)
    }

    // MARK: Adding

    /// What `append` refuses more than, in bytes of fields and values.
    package static let maximumEntryBytes = 1 << 30

    /// Adds an entry, whose ID must be greater than `lastID`.
    /// - Parameter pairs: field, value, field, value … of at most `maximumEntryBytes` together.
    package func append(_ id: StreamID, _ pairs: UnsafeBufferPointer<Bytes>, _ thresholds: Thresholds) {
        var bytes = 0
        for pair in pairs { bytes += pair.count }
        if let last = nodes.last {
            var node = StreamNode(last)
            if Self.hasRoom(node, bytes, thresholds) {
                node.append(id, pairs)
                nodes.update(node.masterID, node.payload)
            } else {
                node.pack.shrinkToFit()
                nodes.update(node.masterID, node.payload)
                appendNode(id, pairs)
            }
        } else {
            appendNode(id, pairs)
        }
        fields.pointee.count += 1
        fields.pointee.lastID = id
        fields.pointee.entriesAdded &+= 1
        if count == 1 { firstID = id }
    }

    private static func hasRoom(_ node: StreamNode, _ bytes: Int, _ thresholds: Thresholds) -> Bool {
        let limit = thresholds.streamNodeMaxBytes
        let maximumBytes = limit <= 0 || limit > Listpack.maximumBytes ? Listpack.maximumBytes : limit
        if node.pack.byteCount + bytes >= maximumBytes { return false }
        return thresholds.streamNodeMaxEntries <= 0 || node.totalCount < thresholds.streamNodeMaxEntries
    }

    private func appendNode(_ id: StreamID, _ pairs: UnsafeBufferPointer<Bytes>) {
        var node = StreamNode.create(id, pairs)
        node.append(id, pairs)
        fields.pointee.nodes.insert(id, node.payload)
    }

    /// Adds a node read from outside: it must be valid, behind all others, and `id` its master ID.
    /// - Returns: false, and nothing changed, otherwise.
    package func adoptNode(_ id: StreamID, _ blob: Bytes) -> Bool {
        guard let facts = StreamNode.validate(blob, masterID: id) else { return false }
        if let last = nodes.last, StreamNode(last).lastID >= id { return false }
        let node = StreamNode(id, .create(copying: blob))
        fields.pointee.nodes.insert(id, node.payload)
        fields.pointee.count += facts.liveCount
        if facts.lastID > lastID { lastID = facts.lastID }
        return true
    }

    // MARK: Removing

    /// Removes an entry; false if there is none with this ID.
    package func delete(_ id: StreamID) -> Bool {
        guard count > 0, let place = nodes.seek(atMost: id) else { return false }
        var node = StreamNode(place)
        guard let entry = node.find(id) else { return false }
        if node.liveCount == 1 {
            drop(node)
        } else {
            node.delete(entry)
            nodes.update(node.masterID, node.payload)
        }
        fields.pointee.count -= 1
        if id > maxDeletedID { maxDeletedID = id }
        if id == firstID || count == 0 { findFirstID() }
        return true
    }

    private func drop(_ node: StreamNode) {
        fields.pointee.nodes.remove(node.masterID)
        node.pack.destroy()
    }

    /// Sets `firstID` anew.
    package func findFirstID() {
        var id = StreamID.minimum
        forEachEntry {
            id = $0.id
            return false
        }
        firstID = id
    }

    package enum TrimBound {
        /// At most so many entries are to be left.
        case count(Int)
        /// No entry before this one is to be left.
        case minimumID(StreamID)
    }

    /// Removes the oldest entries beyond a bound; how many.
    /// - Parameters:
    ///   - approximately: whole nodes only.
    ///   - limit: at most so many entries; 0: no limit.
    package func trim(_ bound: TrimBound, approximately: Bool, limit: Int) -> Int {
        var deleted = 0
        while let place = nodes.first {
            if case .count(let maximum) = bound, count <= maximum { break }
            var node = StreamNode(place)
            let entries = node.liveCount
            if limit > 0, deleted + entries > limit { break }
            if isBeyond(bound, node) {
                drop(node)
                fields.pointee.count -= entries
                deleted += entries
                continue
            }
            if approximately { break }
            let total = count
            let removed = node.deleteEntries { id, before in
                switch bound {
                case .count(let maximum): total - before > maximum
                case .minimumID(let minimum): id < minimum
                }
            }
            nodes.update(node.masterID, node.payload)
            fields.pointee.count -= removed
            deleted += removed
            break
        }
        if deleted > 0 { findFirstID() }
        return deleted
    }

    /// Whether the whole node is to go.
    private func isBeyond(_ bound: TrimBound, _ node: StreamNode) -> Bool {
        switch bound {
        case .count(let maximum): count - node.liveCount >= maximum
        case .minimumID(let minimum): node.lastID < minimum
        }
    }

    // MARK: Groups

    package func group(_ name: Bytes) -> GroupHandle? { groups.find(name) }

    /// A new group; nil if the name is taken.
    package func addGroup(_ name: Bytes, lastID: StreamID, entriesRead: Int64?) -> GroupHandle? {
        if groups.find(name) != nil { return nil }
        let group = GroupHandle.create(name, lastID: lastID, entriesRead: entriesRead)
        fields.pointee.groups.insert(group)
        return group
    }

    package func removeGroup(_ name: Bytes) -> Bool {
        guard let group = fields.pointee.groups.remove(name) else { return false }
        group.destroy()
        return true
    }

    /// Checks the invariants; for tests.
    package func isConsistent() -> Bool {
        guard nodes.isConsistent() else { return false }
        var live = 0, isValid = true
        var last: StreamID?
        forEachNode { id, blob in
            guard let facts = StreamNode.validate(blob, masterID: id) else { return isValid = false }
            if let last, id <= last { isValid = false }
            last = facts.lastID
            live += facts.liveCount
        }
        guard isValid, live == count, last.map({ $0 <= lastID }) ?? true else { return false }
        for index in 0..<groups.count where !groups[index].isConsistent() { return false }
        let first = firstID
        findFirstID()
        return first == firstID
    }
}
