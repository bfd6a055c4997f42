import CShims
import Glibc
import Primitives
import Storage
import Synchronization

// The engine's event loop: one thread, one epoll descriptor.
//
//     wait → begin round → ready descriptors → tasks → timers due → end round → wait …
//
// Everything but `wake` belongs to the loop's thread. The round is the server's tick (Tick.swift): whatever was read
// in it is appended to the log, synced and answered at its end.
//
// Invariants
//  1. An event reaches only the source that asked for it: each registration has a generation, which epoll hands back.
//  2. A source that was removed lives until the end of the round, so that it may remove itself while it is called.

/// What a descriptor can be ready for.
package struct LoopEvents: OptionSet, Sendable {
    package let rawValue: UInt32
    @inline(__always)
    package init(rawValue: UInt32) { self.rawValue = rawValue }
    package static let read = LoopEvents(rawValue: EPOLLIN.rawValue)
    package static let write = LoopEvents(rawValue: EPOLLOUT.rawValue)
    /// Both directions are closed, or the socket has an error. Always reported.
    package static let gone = LoopEvents(rawValue: EPOLLHUP.rawValue | EPOLLERR.rawValue)
}

/// A descriptor that the loop watches. Subclasses say what to do when it is ready.
package class LoopSource {
    package let descriptor: Int32
    fileprivate(set) var interest: LoopEvents = []
    fileprivate(set) var isWatched = false

    /// It is a `Connection`.
    let isClient: Bool

    package init(descriptor: Int32) {
        self.descriptor = descriptor
        isClient = false
    }

    init(client descriptor: Int32) {
        self.descriptor = descriptor
        isClient = true
    }

    package func ready(_ events: LoopEvents) {}
}

/// A descriptor watched by a closure: pipes of children, sockets of links.
package final class ClosureSource: LoopSource {
    private let body: (LoopEvents) -> Void
    package init(descriptor: Int32, _ body: @escaping (LoopEvents) -> Void) {
        self.body = body
        super.init(descriptor: descriptor)
    }
    package override func ready(_ events: LoopEvents) { body(events) }
}

/// Something to be done later, once or again and again, until it is cancelled.
package final class LoopTimer {
    fileprivate var deadline: Int64
    /// Nanoseconds; 0: once.
    fileprivate let interval: Int64
    fileprivate let body: () -> Void
    fileprivate(set) package var isCancelled = false

    fileprivate init(deadline: Int64, interval: Int64, body: @escaping () -> Void) {
        self.deadline = deadline
        self.interval = interval
        self.body = body
    }

    package func cancel() { isCancelled = true }
}

package final class EngineLoop: @unchecked Sendable {
    /// Told when a round of events begins, before any of them is handled, after all of them were, and of nudges. Plain,
    /// for a closure would be retained and released three times a round. Whoever sets it takes it away before it ends.
    var core: Unmanaged<ServerCore>?
    /// Delivers the events of a round, if somebody wants to do that in another way.
    var onEvents: ((UnsafeMutablePointer<epoll_event>, Int) -> Void)?

    private struct Slot {
        var source: Unmanaged<LoopSource>?
        var generation: UInt32 = 0
    }

    private let poll: Int32
    private let bell: Int32
    private var slots: UnsafeMutablePointer<Slot>
    private var slotCount = 1024
    private let events: UnsafeMutablePointer<epoll_event>
    private static let eventCount = 512
    private var graveyard: [LoopSource] = []
    private var tasks: [() -> Void] = []
    private var timers: [LoopTimer] = []
    private var nextDeadline = Int64.max
    private var isStopped = false
    private var staysAwake = false
    /// (ThreadSanitizer does not see how a contended `Mutex` is handed over.)
    private let lock = HandoverLock()
    /// Under `lock`.
    private var messages: [@Sendable () -> Void] = []
    /// Somebody wants the core's `logNudged`. Together with `isAsleep`: who nudges sets the one and then looks at the
    /// other, the loop sets the other before it sleeps and then looks at the one; so one of them sees.
    private let isNudged = Atomic<Bool>(false)
    private let isAsleep = Atomic<Bool>(false)

    package init() throws(SocketError) {
        poll = epoll_create1(Int32(EPOLL_CLOEXEC))
        if poll < 0 { throw SocketError("epoll_create1", errno) }
        bell = eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK))
        if bell < 0 { throw SocketError("eventfd", errno) }
        slots = .allocate(capacity: slotCount)
        slots.initialize(repeating: Slot(), count: slotCount)
        events = .allocate(capacity: Self.eventCount)
        watch(ClosureSource(descriptor: bell) { [unowned self] _ in answerBell() }, .read)
    }

    deinit {
        for index in 0..<slotCount { slots[index].source?.release() }
        slots.deallocate()
        events.deallocate()
        close(bell)
        close(poll)
    }

    // MARK: Descriptors

    /// Watches a source's descriptor. False if the kernel refuses (no memory, too many watches).
    @discardableResult
    package func watch(_ source: LoopSource, _ interest: LoopEvents) -> Bool {
        let index = Int(source.descriptor)
        if index >= slotCount { growSlots(index) }
        precondition(slots[index].source == nil)
        slots[index].generation &+= 1
        var event = epoll_event(events: interest.rawValue, data: token(index))
        guard epoll_ctl(poll, EPOLL_CTL_ADD, source.descriptor, &event) == 0 else { return false }
        slots[index].source = .passRetained(source)
        source.interest = interest
        source.isWatched = true
        return true
    }

    package func change(_ source: LoopSource, to interest: LoopEvents) {
        if source.interest == interest || !source.isWatched { return }
        source.interest = interest
        var event = epoll_event(events: interest.rawValue, data: token(Int(source.descriptor)))
        epoll_ctl(poll, EPOLL_CTL_MOD, source.descriptor, &event)
    }

    /// Stops watching; the descriptor stays open.
    package func remove(_ source: LoopSource) {
        guard source.isWatched else { return }
        source.isWatched = false
        let index = Int(source.descriptor)
        epoll_ctl(poll, EPOLL_CTL_DEL, source.descriptor, nil)
        if let held = slots[index].source { graveyard.append(held.takeRetainedValue()) }
        slots[index].source = nil
        slots[index].generation &+= 1
    }

    private func token(_ index: Int) -> epoll_data_t {
        epoll_data_t(u64: UInt64(slots[index].generation) << 32 | UInt64(index))
    }

    private func growSlots(_ index: Int) {
        let count = max(slotCount * 2, index + 1)
        let grown = UnsafeMutablePointer<Slot>.allocate(capacity: count)
        grown.moveInitialize(from: slots, count: slotCount)
        (grown + slotCount).initialize(repeating: Slot(), count: count - slotCount)
        slots.deallocate()
        slots = grown
        slotCount = count
    }

    // MARK: Tasks and timers

    /// Runs `body` before the loop waits again. Loop's thread only.
    package func execute(_ body: @escaping () -> Void) { tasks.append(body) }

    /// The next round begins without waiting for an event.
    package func stayAwake() { staysAwake = true }

    /// Runs `body` on the loop's thread soon. Any thread.
    package func wake(_ body: @escaping @Sendable () -> Void) {
        lock.lock()
        messages.append(body)
        let isFirst = messages.count == 1
        lock.unlock()
        if isFirst { ring() }
    }

    /// Makes the loop call the core's `logNudged` soon. Costs a system call only if the loop sleeps. Any thread.
    package func nudge() {
        isNudged.store(true, ordering: .sequentiallyConsistent)
        if isAsleep.load(ordering: .sequentiallyConsistent) { ring() }
    }

    /// Once, `milliseconds` from now.
    @discardableResult
    package func schedule(afterMilliseconds milliseconds: Int, _ body: @escaping () -> Void) -> LoopTimer {
        add(LoopTimer(deadline: now() + Int64(milliseconds) * 1_000_000, interval: 0, body: body))
    }

    /// Again and again, first after one interval.
    @discardableResult
    package func schedule(everyMilliseconds milliseconds: Int, _ body: @escaping () -> Void) -> LoopTimer {
        let interval = Int64(max(milliseconds, 1)) * 1_000_000
        return add(LoopTimer(deadline: now() + interval, interval: interval, body: body))
    }

    private func add(_ timer: LoopTimer) -> LoopTimer {
        timers.append(timer)
        nextDeadline = min(nextDeadline, timer.deadline)
        return timer
    }

    private func now() -> Int64 { MonotonicNanoseconds.now().rawValue }

    private func ring() {
        var one: UInt64 = 1
        _ = write(bell, &one, 8)
    }

    private func answerBell() {
        var count: UInt64 = 0
        _ = read(bell, &count, 8)
        lock.lock()
        let bodies = messages
        messages = []
        lock.unlock()
        for body in bodies { body() }
    }

    // MARK: Running

    /// Runs until `stop`.
    package func run() {
        while !isStopped { runRound(longestWait: Int32.max) }
    }

    /// Ends `run` after the current round. Loop's thread only; others `wake { loop.stop() }`.
    package func stop() { isStopped = true }

    /// One round that waits for nothing: for long work on the engine's thread that lets clients in between (loading).
    package func runOnce() { runRound(longestWait: 0) }

    /// Within the handling of an event: tells of what is ready, without waiting, those sources that `serves` names.
    package func runAside(_ serves: (LoopSource) -> Bool) {
        withUnsafeTemporaryAllocation(of: epoll_event.self, capacity: 64) { events in
            let count = epoll_wait(poll, events.baseAddress, 64, 0)
            for index in 0..<max(Int(count), 0) {
                guard let source = slots[Int(events[index].data.u64 & 0xffff_ffff)].source else { continue }
                if source._withUnsafeGuaranteedRef({ serves($0) }) { deliver(events[index]) }
            }
        }
    }

    @inline(__always)
    private func runRound(longestWait: Int32) {
        let count = waitForEvents(min(longestWait, waitMilliseconds()))
        core?._withUnsafeGuaranteedRef { $0.beginRound() }
        if count > 0 {
            if let onEvents {
                onEvents(events, Int(count))
            } else {
                for index in 0..<Int(count) { deliver(events[index]) }
            }
        }
        core?._withUnsafeGuaranteedRef { $0.eventsHandled() }
        if isNudged.load(ordering: .relaxed) && isNudged.exchange(false, ordering: .acquiring) {
            hasWatched = false
            core?._withUnsafeGuaranteedRef { $0.logNudged() }
        }
        if !tasks.isEmpty { runTasks() }
        if nextDeadline != .max { runTimers() }
        core?._withUnsafeGuaranteedRef { $0.endRound() }
        if !graveyard.isEmpty { graveyard.removeAll() }
    }

    // Going to sleep, and being woken by a client's send, costs both sides more than a request does. So the loop looks
    // again and again for as long as the next event has lately been quick to come, and sleeps only then.

    /// False while clients wait for another thread, which needs the processor more than this loop does.
    package var staysReady = true
    /// How often of late the next event was quick to come.
    private var quickArrivals = 0
    private static let quickArrivalsBound = 16
    /// Nanoseconds.
    private static let longestLook: Int64 = 50_000

    // While all clients wait for another thread, whoever comes could only be executed, not answered: a request
    // that wakes the loop costs its sender much and gains nothing. And where that thread is soon done, a processor that
    // falls asleep for so short a time wakes late. So the loop stays awake and lets the other thread run, until it is
    // done; what has come by then is executed in one round.
    //
    // With two processors, the clients need one of them. Whoever is woken there by chance chases them away. So the loop
    // stays where it is, and the log's thread is there already (AppendLog.followEngine).

    /// Nanoseconds for which the loop stays awake for another thread's sake, all of whose clients wait for that thread;
    /// 0: it sleeps.
    package var watchesFor: Int64 = 0
    /// It took longer than that: the rest is slept through.
    private var hasWatched = false

    private func awaitNudge() {
        let end = now() + watchesFor
        while !isNudged.load(ordering: .relaxed) {
            if now() >= end {
                hasWatched = true
                return
            }
            sched_yield()
        }
    }

    /// The loop's thread keeps to its processor, if there are two. Let it move now and then: another may be idle.
    package var staysPut = false {
        didSet {
            guard hasTwoProcessors else { return }
            if staysPut { sr_stay_on_processor(sr_current_processor()) } else { sr_move_freely() }
        }
    }
    private let hasTwoProcessors = sr_processor_count() == 2

    private func waitForEvents(_ milliseconds: Int32) -> Int32 {
        if milliseconds == 0 { return epoll_wait(poll, events, Int32(Self.eventCount), 0) }
        if watchesFor > 0 && !hasWatched {
            awaitNudge()
            return epoll_wait(poll, events, Int32(Self.eventCount), 0)
        }
        let began = now()
        if staysReady && quickArrivals >= Self.quickArrivalsBound / 2 {
            repeat {
                let count = epoll_wait(poll, events, Int32(Self.eventCount), 0)
                if count != 0 || isNudged.load(ordering: .relaxed) {
                    if quickArrivals < Self.quickArrivalsBound { quickArrivals += 1 }
                    return count
                }
            } while now() - began < Self.longestLook
            quickArrivals -= Self.quickArrivalsBound / 4
        }
        let count = sleep(milliseconds)
        if now() - began < Self.longestLook {
            if quickArrivals < Self.quickArrivalsBound { quickArrivals += 1 }
        } else {
            quickArrivals = max(quickArrivals - 1, 0)
        }
        return count
    }

    private func sleep(_ milliseconds: Int32) -> Int32 {
        isAsleep.store(true, ordering: .sequentiallyConsistent)
        defer { isAsleep.store(false, ordering: .relaxed) }
        let isAwaited = isNudged.load(ordering: .sequentiallyConsistent)
        return epoll_wait(poll, events, Int32(Self.eventCount), isAwaited ? 0 : milliseconds)
    }

    @inline(__always)
    func deliver(_ event: epoll_event) {
        let token = event.data.u64
        let slot = slots[Int(token & 0xffff_ffff)]
        guard slot.generation == UInt32(token >> 32), let source = slot.source else { return }
        source._withUnsafeGuaranteedRef { $0.ready(LoopEvents(rawValue: event.events)) }
    }

    /// Whom the event is for; nil: it is gone.
    func source(_ event: epoll_event) -> LoopSource? {
        let token = event.data.u64
        let slot = slots[Int(token & 0xffff_ffff)]
        return slot.generation == UInt32(token >> 32) ? slot.source?.takeUnretainedValue() : nil
    }

    /// −1: until something happens.
    private func waitMilliseconds() -> Int32 {
        if staysAwake || !tasks.isEmpty {
            staysAwake = false
            return 0
        }
        if nextDeadline == .max { return 60_000 }
        let wait = nextDeadline - now()
        return wait <= 0 ? 0 : Int32(min((wait + 999_999) / 1_000_000, 60_000))
    }

    private func runTasks() {
        // Tasks that they add run in the next round, so that sockets get their turn.
        let bodies = tasks
        tasks.removeAll(keepingCapacity: true)
        for body in bodies { body() }
    }

    private func runTimers() {
        let time = now()
        if time < nextDeadline { return }
        let due = timers.filter { $0.deadline <= time }
        for timer in due where !timer.isCancelled {
            timer.body()
            // After a stall the missed turns are not made up for.
            timer.deadline = timer.interval == 0 ? .max : max(timer.deadline + timer.interval, time + 1)
            if timer.interval == 0 { timer.isCancelled = true }
        }
        timers.removeAll { $0.isCancelled }
        nextDeadline = timers.map(\.deadline).min() ?? .max
    }
}
