import Keyspace
import Primitives
import RESP

/// Classes of keyspace events, as `notify-keyspace-events` names them.
package struct EventClass: OptionSet, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }
    package static let keyspace = EventClass(rawValue: 1 << 0)
    package static let keyevent = EventClass(rawValue: 1 << 1)
    package static let generic = EventClass(rawValue: 1 << 2)
    package static let string = EventClass(rawValue: 1 << 3)
    package static let list = EventClass(rawValue: 1 << 4)
    package static let set = EventClass(rawValue: 1 << 5)
    package static let hash = EventClass(rawValue: 1 << 6)
    package static let sortedSet = EventClass(rawValue: 1 << 7)
    package static let expired = EventClass(rawValue: 1 << 8)
    package static let evicted = EventClass(rawValue: 1 << 9)
    package static let stream = EventClass(rawValue: 1 << 10)
    package static let keyMiss = EventClass(rawValue: 1 << 11)
    package static let module = EventClass(rawValue: 1 << 13)
    package static let newKey = EventClass(rawValue: 1 << 14)
}

/// One change of one key; the key's bytes are those of an argument, or live as long as the call.
package struct KeyEvent {
    package let key: Bytes
    package let database: Int
    package let eventClass: EventClass
    package let event: StaticString
    /// False for an announcement that adds nothing to the change itself (`del` after the last `lpop`).
    package let changesKey: Bool

    package init(key: Bytes, database: Int, eventClass: EventClass, event: StaticString, changesKey: Bool) {
        self.key = key
        self.database = database
        self.eventClass = eventClass
        self.event = event
        self.changesKey = changesKey
    }
}

/// A client that found nothing and waits for one of these keys.
package struct BlockRequest {
    /// The keys' places among the arguments.
    package let firstKey: Int
    package let keyCount: Int
    /// 0: for ever.
    package let timeoutMilliseconds: Int64
    /// What a timeout answers; `custom`: the command is run again and, as it may not wait then, answers itself.
    package let timeoutReply: TimeoutReply
    /// After so long the command is run again even if none of its keys changed; 0: no.
    package let retryMilliseconds: Int64
    package enum TimeoutReply: Sendable { case nullArray, custom }
    package init(firstKey: Int, keyCount: Int, timeoutMilliseconds: Int64, timeoutReply: TimeoutReply,
                 retryMilliseconds: Int64 = 0) {
        self.firstKey = firstKey
        self.keyCount = keyCount
        self.timeoutMilliseconds = timeoutMilliseconds
        self.timeoutReply = timeoutReply
        self.retryMilliseconds = retryMilliseconds
    }
}

/// What a call did, gathered while the handler runs; the engine derives log records, WATCH, tracking, keyspace
/// events and wake-ups from it, in that order. One is used again for every call: nothing is allocated per command.
package struct Effects: ~Copyable {
    /// Changes to the data set, as `rdb_changes_since_last_save` counts them.
    package var dirty = 0
    package private(set) var events: UnsafeMutablePointer<KeyEvent>
    package private(set) var eventCount = 0
    private var eventCapacity = 16
    /// Records of a `.rewritten` command, RESP-encoded.
    package var records = OwnedBytes()
    package var recordCount = 0
    package var block: BlockRequest?
    /// Arguments that mean something else when a waiting command is run again: repeated (u32 index, u32 length,
    /// bytes). Only with `block`.
    package var replacedArguments = OwnedBytes(capacity: 16)
    /// A database that was emptied as a whole; −1 all. Its watchers and caches are told.
    package var flushed: Int?
    /// Two databases that changed places.
    package var swapped: (Int, Int)?

    package init() { events = .allocate(capacity: eventCapacity) }
    deinit { events.deallocate() }

    @inline(__always)
    package mutating func reset() {
        dirty = 0
        eventCount = 0
        if recordCount > 0 {
            records.removeAll()
            recordCount = 0
        }
        if block != nil {
            block = nil
            replacedArguments.removeAll()
        }
        flushed = nil
        swapped = nil
    }

    package mutating func add(_ event: KeyEvent) {
        if eventCount == eventCapacity {
            let grown = UnsafeMutablePointer<KeyEvent>.allocate(capacity: eventCapacity * 2)
            grown.update(from: events, count: eventCount)
            events.deallocate()
            events = grown
            eventCapacity *= 2
        }
        (events + eventCount).initialize(to: event)
        eventCount += 1
    }
}
