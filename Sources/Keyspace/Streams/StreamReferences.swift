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

    /// The pending entries of a group that nobody was given since `time`, those that wait longest first. It takes
    /// time by what it finds; but the first call for a group looks at all that is pending.
    /// - Parameter count: at most so many; 0: all.
    package func idleEntries(of group: GroupHandle, since time: Int64, count: Int) -> [StreamID] {
        var found: [StreamID] = []
        forEachWaiting(group, through: time) { id, _ in
            found.append(id)
            return found.count != count
        }
        return found
    }

    /// When the first of a group's pending entries was delivered, Unix ms; nil: there are none.
    package func earliestDelivery(of group: GroupHandle) -> Int64? {
        var earliest: Int64?
        forEachWaiting(group, through: .max) { _, time in
            earliest = time
            return false
        }
        return earliest
    }

    /// Entries that lost their message are looked at once: they stay pending, but leave the order of delivery.
    private func forEachWaiting(_ group: GroupHandle, through last: Int64, _ visit: (StreamID, Int64) -> Bool) {
        group.keepOrder()
        var gone: [(id: StreamID, time: Int64)] = []
        group.pointee.order.forEach(through: last) { id, time in
            if find(id) != nil { return visit(id, time) }
            gone.append((id, time))
            return true
        }
        for entry in gone { group.pointee.order.remove(entry.id, entry.time) }
    }
}
