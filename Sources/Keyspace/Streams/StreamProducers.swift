import Encodings
import Primitives

// What a stream knows of messages sent before, so that one that is sent again is not added again (XADD … IDMP). Each
// producer has a table of its messages' ids and the entries that they became, of the last so many messages and so many
// seconds.
//
// A message's age is its entry's, by the milliseconds of the entry's ID: nothing else has to be kept. What is too old
// counts as gone from that moment on; its memory goes when its producer sends again, or when others do (a few of
// them are looked at each time).
//
// Invariants
//  1. A message is in its producer's `messages` by its id and in `order` by its entry's ID; both have the same.
//  2. A producer has at least one message.

/// A message that was added, as its producer names it.
package struct SentMessage: NamedElement {
    package let name: StringBlock
    package let entry: StreamID
}

package struct StreamProducer: NamedElement {
    package let name: StringBlock
    package fileprivate(set) var messages = NameTable<SentMessage>()
    /// Entry's ID → address of the message.
    package fileprivate(set) var order = IDTree()
}

package struct StreamProducers {
    package typealias ProducerHandle = UnsafeMutablePointer<StreamProducer>
    package typealias MessageHandle = UnsafeMutablePointer<SentMessage>

    /// For how many seconds a message is remembered; 0: as `stream-idmp-duration` says.
    package var duration = 0
    /// How many messages of each producer are; 0: as `stream-idmp-maxsize` says.
    package var maximumSize = 0
    /// Messages with an id that were ever added, and that were found to be there already.
    package var added: UInt64 = 0
    package var duplicates: UInt64 = 0
    package private(set) var producers = NameTable<StreamProducer>()
    /// The producer that is looked at next.
    private var nextSwept = 0

    package init() {}

    /// The entry that a message became, if that is remembered: entries from `oldest` on.
    package func entry(of message: Bytes, from producer: Bytes, oldest: StreamID) -> StreamID? {
        guard let found = producers.find(producer)?.pointee.messages.find(message) else { return nil }
        let entry = found.pointee.entry
        return entry < oldest ? nil : entry
    }

    /// Remembers a message; what the producer sent before `oldest`, or too many messages ago, is forgotten.
    package mutating func remember(_ message: Bytes, from producer: Bytes, _ entry: StreamID, oldest: StreamID,
                                   maximumSize: Int) {
        let handle = producers.find(producer) ?? addProducer(producer)
        if let known = handle.pointee.messages.find(message) { Self.forget(known, of: handle) }
        if let payload = handle.pointee.order.find(entry) { Self.forget(Self.message(payload), of: handle) }
        let new: MessageHandle = Self.allocate(SentMessage(name: .create(message), entry: entry))
        handle.pointee.messages.insert(new)
        handle.pointee.order.insert(entry, UInt64(UInt(bitPattern: new)))
        while let first = handle.pointee.order.first,
              handle.pointee.messages.count > maximumSize || first.id < oldest && first.id != entry {
            Self.forget(Self.message(first.payload), of: handle)
        }
        sweep(oldest)
    }

    private mutating func addProducer(_ name: Bytes) -> ProducerHandle {
        let new: ProducerHandle = Self.allocate(StreamProducer(name: .create(name)))
        producers.insert(new)
        return new
    }

    /// Forgets producers that have sent nothing since `oldest`, of two.
    private mutating func sweep(_ oldest: StreamID) {
        for _ in 0..<2 {
            if nextSwept >= producers.count { nextSwept = 0 }
            guard nextSwept < producers.count else { return }
            let handle = producers[nextSwept]
            if let last = handle.pointee.order.last, last.id < oldest {
                _ = producers.remove(handle.pointee.name.bytes)
                Self.destroy(handle)
            } else {
                nextSwept += 1
            }
        }
    }

    /// Producers and messages that are remembered.
    package func count(oldest: StreamID) -> (producers: Int, messages: Int) {
        var total = (producers: 0, messages: 0)
        for index in 0..<producers.count {
            let order = producers[index].pointee.order
            guard let last = order.last, last.id >= oldest else { continue }
            total.producers += 1
            if let first = order.first, first.id >= oldest {
                total.messages += order.count
                continue
            }
            var place = order.seek(atLeast: oldest)
            while let at = place {
                total.messages += 1
                place = order.next(at)
            }
        }
        return total
    }

    /// Visits all messages: by producer, those of each in the order of their entries.
    package func forEach(_ visit: (ProducerHandle, MessageHandle) -> Void) {
        for index in 0..<producers.count {
            let producer = producers[index]
            producer.forEachMessage { visit(producer, $0) }
        }
    }

    package mutating func forgetAll() {
        producers.destroy { Self.destroy($0) }
        nextSwept = 0
    }

    func copy() -> StreamProducers {
        var new = StreamProducers()
        new.duration = duration
        new.maximumSize = maximumSize
        new.added = added
        new.duplicates = duplicates
        forEach { producer, message in
            new.remember(message.pointee.name.bytes, from: producer.pointee.name.bytes, message.pointee.entry,
                         oldest: .minimum, maximumSize: .max)
        }
        return new
    }

    var allocatedBytes: Int {
        var total = producers.tableBytes
        for index in 0..<producers.count {
            let producer = producers[index]
            total += Heap.usableSize(producer) + Heap.usableSize(producer.pointee.name.base)
            total += producer.pointee.order.allocatedBytes + producer.pointee.messages.tableBytes
        }
        forEach { total += Heap.usableSize($1) + Heap.usableSize($1.pointee.name.base) }
        return total
    }

    // MARK: Memory

    private static func allocate<Element>(_ value: Element) -> UnsafeMutablePointer<Element> {
        let pointer = Heap.allocate(MemoryLayout<Element>.size).bindMemory(to: Element.self, capacity: 1)
        pointer.initialize(to: value)
        return pointer
    }

    fileprivate static func message(_ payload: UInt64) -> MessageHandle {
        UnsafeMutableRawPointer(bitPattern: UInt(payload)).unsafelyUnwrapped
            .assumingMemoryBound(to: SentMessage.self)
    }

    private static func forget(_ message: MessageHandle, of producer: ProducerHandle) {
        _ = producer.pointee.messages.remove(message.pointee.name.bytes)
        producer.pointee.order.remove(message.pointee.entry)
        destroy(message)
    }

    private static func destroy(_ message: MessageHandle) {
        message.pointee.name.destroy()
        Heap.free(message)
    }

    private static func destroy(_ producer: ProducerHandle) {
        producer.pointee.order.destroy { _ in }
        producer.pointee.messages.destroy { destroy($0) }
        producer.pointee.name.destroy()
        Heap.free(producer)
    }
}

extension UnsafeMutablePointer where Pointee == StreamProducer {
    /// Visits the producer's messages in the order of their entries.
    package func forEachMessage(_ visit: (StreamProducers.MessageHandle) -> Void) {
        var place = pointee.order.first
        while let at = place {
            visit(StreamProducers.message(at.payload))
            place = pointee.order.next(at)
        }
    }
}
