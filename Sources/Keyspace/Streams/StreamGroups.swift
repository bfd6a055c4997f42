import Encodings
import Primitives

// Consumer groups: who was given which entries and has not acknowledged them yet.
//
// Invariants
//  1. A pending entry is in its group's PEL and in the PEL of its consumer, if it has one: XNACK gives entries back,
//     which nobody has until they are claimed.
//  2. The group's PEL owns the pending entries; `releasedCount` counts those without a consumer.
//  3. A pending entry's time changes through the group alone, which keeps them in order (DeliveryOrder.swift).
//
// Handles are plain addresses: a group lives until its stream goes or it is destroyed, a consumer likewise.

/// An entry that was delivered and not acknowledged.
package struct PendingEntry {
    /// nil: it was given back (XNACK).
    package fileprivate(set) var consumer: UnsafeMutablePointer<StreamConsumer>?
    /// Unix time in ms of the last delivery; 0: it was given back.
    package fileprivate(set) var deliveryTime: Int64
    package var deliveryCount: UInt64

    /// Empty if no consumer has it.
    package var consumerName: Bytes { consumer?.pointee.name.bytes ?? Bytes(start: nil, count: 0) }
}

package struct StreamConsumer: NamedElement {
    package let name: StringBlock
    /// Unix time in ms of its last attempt to get something.
    package var seenTime: Int64
    /// Unix time in ms when it last got something; −1: never.
    package var activeTime: Int64
    package fileprivate(set) var pending = IDTree()
}

package struct StreamGroup: NamedElement {
    package let name: StringBlock
    /// The last entry delivered to any consumer.
    package var lastID: StreamID
    /// How many entries of the stream's whole life were delivered; nil: not known.
    package var entriesRead: Int64?
    package fileprivate(set) var pending = IDTree()
    package fileprivate(set) var consumers = NameTable<StreamConsumer>()
    /// Pending entries that no consumer has.
    package fileprivate(set) var releasedCount = 0
    var order = DeliveryOrder()
}

package typealias GroupHandle = UnsafeMutablePointer<StreamGroup>
package typealias ConsumerHandle = UnsafeMutablePointer<StreamConsumer>
package typealias PendingHandle = UnsafeMutablePointer<PendingEntry>

extension IDTree {
    /// The pending entry of an ID, in a PEL.
    package func pendingEntry(_ id: StreamID) -> PendingHandle? { find(id).map { PendingHandle(payload: $0) } }
}

extension IDTree.Place {
    package var pendingEntry: PendingHandle { PendingHandle(payload: payload) }
}

extension UnsafeMutablePointer {
    fileprivate init(payload: UInt64) {
        self = UnsafeMutableRawPointer(bitPattern: UInt(payload)).unsafelyUnwrapped
            .assumingMemoryBound(to: Pointee.self)
    }

    fileprivate var payload: UInt64 { UInt64(UInt(bitPattern: self)) }

    fileprivate static func make(_ value: Pointee) -> Self {
        let pointer = Heap.allocate(MemoryLayout<Pointee>.size).bindMemory(to: Pointee.self, capacity: 1)
        pointer.initialize(to: value)
        return pointer
    }
}

extension GroupHandle {
    package static func create(_ name: Bytes, lastID: StreamID, entriesRead: Int64?) -> GroupHandle {
        .make(StreamGroup(name: .create(name), lastID: lastID, entriesRead: entriesRead))
    }

    package func destroy() {
        pointee.pending.destroy { Heap.free(PendingHandle(payload: $0)) }
        pointee.order.destroy()
        pointee.consumers.destroy { $0.destroyAlone() }
        pointee.name.destroy()
        Heap.free(self)
    }

    func copy() -> GroupHandle {
        let new = GroupHandle.create(pointee.name.bytes, lastID: pointee.lastID, entriesRead: pointee.entriesRead)
        for index in 0..<pointee.consumers.count {
            let old = pointee.consumers[index]
            let consumer = new.addConsumer(old.pointee.name.bytes, seenTime: old.pointee.seenTime,
                                           activeTime: old.pointee.activeTime)
            var place = old.pointee.pending.first
            while let at = place {
                let entry = at.pendingEntry.pointee
                new.assign(at.id, to: consumer, deliveryTime: entry.deliveryTime, deliveryCount: entry.deliveryCount)
                place = old.pointee.pending.next(at)
            }
        }
        forEachReleased { new.release($0, deliveryCount: $1.pointee.deliveryCount) }
        return new
    }

    // MARK: Consumers

    /// The name must be new.
    package func addConsumer(_ name: Bytes, seenTime: Int64, activeTime: Int64) -> ConsumerHandle {
        let consumer = ConsumerHandle.make(StreamConsumer(name: .create(name), seenTime: seenTime,
                                                          activeTime: activeTime))
        pointee.consumers.insert(consumer)
        return consumer
    }

    /// Removes a consumer with its pending entries; how many those were, nil if there is no such consumer.
    package func removeConsumer(_ name: Bytes) -> Int? {
        guard let consumer = pointee.consumers.remove(name) else { return nil }
        let count = consumer.pointee.pending.count
        var place = consumer.pointee.pending.first
        while let at = place {
            _ = pointee.pending.remove(at.id)
            pointee.order.remove(at.id, at.pendingEntry.pointee.deliveryTime)
            Heap.free(at.pendingEntry)
            place = consumer.pointee.pending.next(at)
        }
        consumer.destroyAlone()
        return count
    }

    // MARK: Pending entries

    /// Makes `id` pending for `consumer`, whoever had it before.
    @discardableResult
    package func assign(_ id: StreamID, to consumer: ConsumerHandle, deliveryTime: Int64, deliveryCount: UInt64)
        -> PendingHandle {
        guard let entry = pointee.pending.pendingEntry(id) else {
            let entry = add(id, consumer, deliveryTime, deliveryCount)
            consumer.pointee.pending.insert(id, entry.payload)
            return entry
        }
        if entry.pointee.consumer != consumer {
            leaveConsumer(id, entry)
            consumer.pointee.pending.insert(id, entry.payload)
            entry.pointee.consumer = consumer
        }
        setTime(id, entry, deliveryTime)
        entry.pointee.deliveryCount = deliveryCount
        return entry
    }

    /// `id` remains pending, or becomes so, and belongs to nobody; whoever claims is given it before others.
    package func release(_ id: StreamID, deliveryCount: UInt64) {
        if let entry = pointee.pending.pendingEntry(id) {
            leaveConsumer(id, entry)
            setTime(id, entry, 0)
            entry.pointee.deliveryCount = deliveryCount
        } else {
            _ = add(id, nil, 0, deliveryCount)
        }
        pointee.releasedCount += 1
    }

    private func add(_ id: StreamID, _ consumer: ConsumerHandle?, _ deliveryTime: Int64, _ deliveryCount: UInt64)
        -> PendingHandle {
        let entry = PendingHandle.make(PendingEntry(consumer: consumer, deliveryTime: deliveryTime,
                                                    deliveryCount: deliveryCount))
        pointee.pending.insert(id, entry.payload)
        pointee.order.insert(id, deliveryTime)
        return entry
    }

    private func leaveConsumer(_ id: StreamID, _ entry: PendingHandle) {
        if let consumer = entry.pointee.consumer {
            consumer.pointee.pending.remove(id)
        } else {
            pointee.releasedCount -= 1
        }
        entry.pointee.consumer = nil
    }

    private func setTime(_ id: StreamID, _ entry: PendingHandle, _ time: Int64) {
        pointee.order.remove(id, entry.pointee.deliveryTime)
        pointee.order.insert(id, time)
        entry.pointee.deliveryTime = time
    }

    /// Forgets that `id` is pending; false if it is not.
    package func acknowledge(_ id: StreamID) -> Bool {
        guard let payload = pointee.pending.remove(id) else { return false }
        let entry = PendingHandle(payload: payload)
        leaveConsumer(id, entry)
        pointee.order.remove(id, entry.pointee.deliveryTime)
        Heap.free(entry)
        return true
    }

    /// Visits the pending entries that no consumer has, in the order of their IDs. O(pending) if there are any.
    package func forEachReleased(_ visit: (StreamID, PendingHandle) -> Void) {
        if pointee.releasedCount == 0 { return }
        var place = pointee.pending.first
        while let at = place {
            if at.pendingEntry.pointee.consumer == nil { visit(at.id, at.pendingEntry) }
            place = pointee.pending.next(at)
        }
    }

    /// Keeps the pending entries in the order of their delivery from now on. O(pending) the first time.
    func keepOrder() {
        if pointee.order.isKept { return }
        pointee.order.begin()
        var place = pointee.pending.first
        while let at = place {
            pointee.order.insert(at.id, at.pendingEntry.pointee.deliveryTime)
            place = pointee.pending.next(at)
        }
    }

    /// Bytes of the group and all that it owns.
    var allocatedBytes: Int {
        let fixed = Heap.usableSize(self) + Heap.usableSize(pointee.name.base)
        var total = fixed + pointee.pending.allocatedBytes + pointee.pending.count * 32
        total += pointee.order.allocatedBytes
        for index in 0..<pointee.consumers.count {
            let consumer = pointee.consumers[index]
            total += Heap.usableSize(consumer) + Heap.usableSize(consumer.pointee.name.base)
            total += consumer.pointee.pending.allocatedBytes
        }
        return total
    }

    /// Checks the invariants; for tests.
    package func isConsistent() -> Bool {
        guard pointee.pending.isConsistent() else { return false }
        var owned = 0
        for index in 0..<pointee.consumers.count {
            let consumer = pointee.consumers[index]
            guard consumer.pointee.pending.isConsistent() else { return false }
            owned += consumer.pointee.pending.count
            var place = consumer.pointee.pending.first
            while let at = place {
                guard at.pendingEntry.pointee.consumer == consumer,
                      pointee.pending.pendingEntry(at.id) == at.pendingEntry else { return false }
                place = consumer.pointee.pending.next(at)
            }
        }
        var released = 0
        forEachReleased { _, entry in released += entry.pointee.deliveryTime == 0 ? 1 : 0 }
        return released == pointee.releasedCount && owned + released == pointee.pending.count && isOrdered()
    }

    /// Whether the order of delivery, if it is kept, holds nothing that is not so.
    private func isOrdered() -> Bool {
        var isOrdered = true, last: Int64?
        pointee.order.forEach(through: .max) { id, time in
            if pointee.pending.pendingEntry(id)?.pointee.deliveryTime != time || last ?? time > time {
                isOrdered = false
            }
            last = time
            return true
        }
        return isOrdered
    }
}

extension ConsumerHandle {
    /// Frees the consumer, not its pending entries.
    fileprivate func destroyAlone() {
        pointee.pending.destroy { _ in }
        pointee.name.destroy()
        Heap.free(self)
    }
}
