import Primitives

// When the next group of writers begins its fsync, under `always`.
//
// Clients that wait for their replies come back together once a group was released. Begun at once, the next group is
// whoever happened to be there, and an fsync is spent on a few. Begun late, the disk idles. What serves N clients best
// depends on how long an fsync takes against the time in which all of them come back, one after another:
//
//     N × time between two arrivals ≤ fsync    all in one group: nobody waits for two fsyncs
//     N × time between two arrivals > fsync    two halves in turn: one comes back while the other is synced
//
// So the group to come waits for those whom the log has just released until it is that large, but no longer than they
// can be expected to take, and never longer than an fsync takes. All of it rests on moving means of what was seen. A
// lone client never waits: when its write comes, nobody is absent.

package struct GroupCommit {
    /// Clients with a write in the group that is to come.
    package private(set) var queued = 0
    /// Clients of the group that was released last, and how many came since.
    private var released = 0
    private var arrived = 0
    package private(set) var underWay = 0
    /// When the last client came, or if that is later, when the last group was released.
    private var lastEvent: Int64 = 0
    /// Until when the group that is to come waits; 0: it was not asked for yet.
    private var deadline: Int64 = 0
    /// Nanoseconds, moving means; 0: not known.
    package private(set) var arrivalInterval: Int64 = 0
    package private(set) var syncDuration: Int64 = 0

    /// An interval of this length or more says only that nobody was there.
    private static let longestInterval: Int64 = 1_000_000

    package init() {}

    /// `writers` clients that were not in the coming group yet have records in it.
    package mutating func came(_ writers: Int, at now: Int64) {
        guard writers > 0 else { return }
        let interval = min((now - lastEvent) / Int64(writers), Self.longestInterval)
        arrivalInterval = arrivalInterval == 0 ? interval : arrivalInterval + (interval - arrivalInterval) / 8
        lastEvent = now
        queued += writers
        arrived += writers
    }

    /// Clients that were released and have not come back.
    package var absent: Int { max(released - arrived, 0) }

    /// How many clients the coming group is to have.
    private var goal: Int {
        let all = queued + absent
        return Int64(all) * arrivalInterval <= syncDuration ? all : (all + 1) / 2
    }

    /// Until when the coming group is to wait; nil: it begins now.
    package mutating func patience(at now: Int64) -> MonotonicNanoseconds? {
        if absent == 0 || arrivalInterval == 0 { return nil }
        let missing = goal - queued
        if missing <= 0 { return nil }
        if deadline == 0 { deadline = now + min(2 * Int64(missing) * arrivalInterval, syncDuration) }
        return now < deadline ? MonotonicNanoseconds(deadline) : nil
    }

    /// The coming group is the one under way.
    package mutating func began() {
        underWay = queued
        queued = 0
        deadline = 0
    }

    /// The group under way is durable, after an fsync of `duration` nanoseconds.
    package mutating func ended(after duration: Int64, at now: Int64) {
        syncDuration = syncDuration == 0 ? duration : syncDuration + (duration - syncDuration) / 8
        released = underWay
        arrived = 0
        lastEvent = now
    }
}
