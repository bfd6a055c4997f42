import Primitives

// Which log offset must be acknowledged (as `appendfsync` has it) before a value may be shown.
//
// A reply to a read must wait while what it read could still be taken back by a crash, and a reply to any other read
// must not. A fixed array keeps, per slot of the key's hash, the offset of the last
// write to a key of that slot. Two keys that share a slot make a read wait a little longer than it had to; never
// shorter. Deleted keys are covered too: the absence of a key is shown only when the deletion is durable.
//
// The engine calls `begin` before a command, handlers' lookups call `note`, and afterwards the engine asks for
// `readOffset` or, when the command wrote to the log, calls `wrote`.

package struct DurabilityStamps: ~Copyable {
    static let slotCount = 1 << 14
    static let noteCapacity = 64

    /// Off: nothing is gated, for there is no log.
    package private(set) var isEnabled = false
    private var slots: UnsafeMutablePointer<LogOffset>?
    /// Offset that covers every key: set by writes to more keys than fit `notes`, FLUSHALL and the like.
    private var floor = LogOffset(0)
    private var notes: UnsafeMutablePointer<UInt32>
    private var noteCount = 0

    package init() { notes = .allocate(capacity: Self.noteCapacity) }

    deinit {
        slots?.deallocate()
        notes.deallocate()
    }

    package mutating func setEnabled(_ enabled: Bool, at offset: LogOffset) {
        isEnabled = enabled
        floor = offset
        noteCount = 0
        if enabled && slots == nil {
            slots = .allocate(capacity: Self.slotCount)
            slots.unsafelyUnwrapped.initialize(repeating: LogOffset(0), count: Self.slotCount)
        }
    }

    @inline(__always)
    package mutating func begin() { noteCount = 0 }

    @inline(__always)
    mutating func note(_ hash: UInt64) {
        if isEnabled { remember(hash) }
    }

    private mutating func remember(_ hash: UInt64) {
        if noteCount < Self.noteCapacity {
            notes[noteCount] = UInt32(truncatingIfNeeded: hash >> 20) & UInt32(Self.slotCount - 1)
        }
        noteCount &+= 1
    }

    /// What must be durable before the keys noted since `begin` may be shown.
    package func readOffset(latest: LogOffset) -> LogOffset {
        guard isEnabled, let slots else { return LogOffset(0) }
        if noteCount > Self.noteCapacity { return latest }
        var offset = floor
        for index in 0..<noteCount { offset = max(offset, slots[Int(notes[index])]) }
        return offset
    }

    /// The keys noted since `begin` were changed by a command whose log record ends at `offset`.
    package mutating func wrote(upTo offset: LogOffset) {
        guard isEnabled, let slots else { return }
        if noteCount > Self.noteCapacity { floor = offset; return }
        for index in 0..<noteCount { slots[Int(notes[index])] = offset }
    }

    /// The command looks at the whole keyspace.
    mutating func noteEverything() {
        if isEnabled { noteCount = Self.noteCapacity + 1 }
    }

    /// Everything changed (FLUSHALL, SWAPDB, a reload).
    package mutating func wroteEverything(upTo offset: LogOffset) { floor = offset }
}

extension Keyspace {
    /// Declares that the command looks at keys that it does not name (KEYS, SCAN, DBSIZE, RANDOMKEY): its reply
    /// waits for every write so far.
    package mutating func readsEveryKey() { stamps.noteEverything() }
}
