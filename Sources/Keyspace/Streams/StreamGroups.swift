import Encodings
import Primitives

// Consumer groups: who was given which entries and has not acknowledged them yet.
//
// Invariants
//  1. A pending entry is in its group's PEL and in the PEL of exactly one consumer of that group.
//  2. The group's PEL owns the pending entries.
//
// Handles are plain addresses: a group lives until its stream goes or it is destroyed, a consumer likewise.

/// An entry that was delivered and not acknowledged.
package struct PendingEntry {
    package var consumer: UnsafeMutablePointer<StreamConsumer>
    /// Unix time in ms of the last delivery.
    package var deliveryTime: Int64
    package var deliveryCount: UInt64
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
        if let entry = pointee.pending.pendingEntry(id) {
            if entry.pointee.consumer != consumer {
                entry.pointee.consumer.pointee.pending.remove(id)
                consumer.pointee.pending.insert(id, entry.payload)
                entry.pointee.consumer = consumer
            }
            entry.pointee.deliveryTime = deliveryTime
            entry.pointee.deliveryCount = deliveryCount
            return entry
        }
        let entry = PendingHandle.make(PendingEntry(consumer: consumer, deliveryTime: deliveryTime,
                                                    deliveryCount: deliveryCount))
        pointee.pending.insert(id, entry.payload)
        consumer.pointee.pending.insert(id, entry.payload)
        return entry
    }

    /// Forgets that `id` is pending; false if it is not.
    package func acknowledge(_ id: StreamID) -> Bool {
        guard let payload = pointee.pending.remove(id) else { return false }
        let entry = PendingHandle(payload: payload)
        entry.pointee.consumer.pointee.pending.remove(id)
        Heap.free(entry)
        return true
    }

    /// Bytes of the group and all that it owns.
    var allocatedBytes: Int {
        let fixed = Heap.usableSize(self) + Heap.usableSize(pointee.name.base)
        var total = fixed + pointee.pending.allocatedBytes + pointee.pending.count * 32
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
        return owned == pointee.pending.count
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
