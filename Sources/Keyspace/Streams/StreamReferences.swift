import Encodings

extension StreamValue {
    /// Whether there are groups, all of them were given this entry, and none has it pending.
    package func isAcknowledged(_ id: StreamID) -> Bool {
        if groups.count == 0 { return false }
        for index in 0..<groups.count {
            let group = groups[index].pointee
            if group.lastID < id || group.pending.pendingEntry(id) != nil { return false }
        }
        return true
    }

    /// The pending entries of a group that nobody was given since `time`, those that wait longest first. O(pending).
    /// - Parameter count: at most so many; 0: all.
    package func idleEntries(of group: GroupHandle, since time: Int64, count: Int) -> [StreamID] {
        var found: [(time: Int64, id: StreamID)] = []
        var place = group.pointee.pending.first
        while let at = place {
            let delivered = at.pendingEntry.pointee.deliveryTime
            if delivered <= time, find(at.id) != nil { found.append((delivered, at.id)) }
            place = group.pointee.pending.next(at)
        }
        found.sort { ($0.time, $0.id) < ($1.time, $1.id) }
        return found.prefix(count == 0 ? .max : count).map { $0.id }
    }

    /// When the first of a group's pending entries was delivered, Unix ms; nil: there are none.
    package func earliestDelivery(of group: GroupHandle) -> Int64? {
        var earliest: Int64?
        var place = group.pointee.pending.first
        while let at = place {
            let delivered = at.pendingEntry.pointee.deliveryTime
            if delivered < earliest ?? .max, find(at.id) != nil { earliest = delivered }
            place = group.pointee.pending.next(at)
        }
        return earliest
    }
}
