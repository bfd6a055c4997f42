import Encodings

// What XINFO tells by reckoning instead of counting: how far a group has read, how far it lags behind, and how many
// nodes a radix tree of the stream's keys would have.
//
// Every entry ever added has a number, from 1 to `entriesAdded`. The number of an ID is known where no XDEL could
// have left a hole behind it.

extension StreamValue {
    /// The number of the entry with this ID, or of the last one before it; nil if it can't be known.
    package func estimatedNumber(of id: StreamID) -> Int64? {
        let added = Int64(bitPattern: entriesAdded)
        if added == 0 { return 0 }
        if count == 0, id <= lastID { return added }
        if id != .minimum, id < maxDeletedID { return nil }
        if id == lastID { return added }
        if id > lastID { return nil }
        if maxDeletedID == .minimum || maxDeletedID < firstID {
            if id < firstID { return added &- Int64(count) }
            if id == firstID { return added &- Int64(count) &+ 1 }
        }
        return nil
    }

    /// Whether an entry behind `id` (or that one itself) was deleted by XDEL.
    private func hasTombstones(from id: StreamID) -> Bool {
        count > 0 && maxDeletedID != .minimum && id <= maxDeletedID
    }

    /// Entries that a group was not given yet; nil if it can't be known.
    package func lag(of group: GroupHandle) -> Int64? {
        let added = Int64(bitPattern: entriesAdded)
        if added == 0 || count == 0 { return 0 }
        let last = group.pointee.lastID
        if last < firstID, maxDeletedID < firstID { return Int64(count) }
        if let read = group.pointee.entriesRead, !hasTombstones(from: last) { return added &- read }
        return estimatedNumber(of: last).map { added &- $0 }
    }

    /// The group was given the entry `id`, which is behind its last one.
    package func advance(_ group: GroupHandle, to id: StreamID) {
        let last = group.pointee.lastID
        if let read = group.pointee.entriesRead, last >= firstID, !hasTombstones(from: last) {
            group.pointee.entriesRead = read &+ 1
        } else if entriesAdded != 0 {
            group.pointee.entriesRead = estimatedNumber(of: id)
        }
        group.pointee.lastID = id
    }

    /// Nodes of a radix tree over the 16-byte master IDs: a leaf for each, a node for each place where paths part,
    /// and one for each run of bytes without a parting between those. O(nodes).
    package var radixTreeNodeCount: Int {
        guard var place = nodes.first else { return 1 }
        // Depths of the open partings on the path to the current leaf, the root's first.
        var partings: [Int] = []
        var total = 0
        func close(_ depth: Int, below parent: Int?) { total += depth > (parent.map { $0 + 1 } ?? 0) ? 2 : 1 }
        while let next = nodes.next(place) {
            let common = Self.commonBytes(place.id, next.id)
            var depth = StreamID.byteCount
            while let parent = partings.last, parent > common {
                close(depth, below: parent)
                depth = parent
                partings.removeLast()
            }
            close(depth, below: common)
            if partings.last != common { partings.append(common) }
            place = next
        }
        var depth = StreamID.byteCount
        while let parent = partings.popLast() {
            close(depth, below: parent)
            depth = parent
        }
        close(depth, below: nil)
        return total
    }

    private static func commonBytes(_ a: StreamID, _ b: StreamID) -> Int {
        let high = a.milliseconds ^ b.milliseconds
        if high != 0 { return high.leadingZeroBitCount / 8 }
        return 8 + (a.sequence ^ b.sequence).leadingZeroBitCount / 8
    }
}
