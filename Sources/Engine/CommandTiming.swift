import Commands
import Keyspace
import Primitives
import RESP

// How long commands take: for commandstats, latencystats, SLOWLOG and LATENCY.
//
// The clock is read when a command ends; the next one of the same read begins there, so that a pipeline costs one
// reading a command. Whoever reads from a socket sets `lastClockReading` to 0, for that time is no command's.

/// What is measured of commands, and for whom.
package struct CommandTiming {
    /// `latency-tracking`: histograms of all commands.
    package var keepsHistograms = true
    /// `slowlog-log-slower-than` in nanoseconds; nil: off.
    package var slowThreshold: UInt64? = 10_000_000
    package init() {}
}

extension Engine {
    @inline(__always)
    func clockAtStart() -> UInt64 {
        let reading = lastClockReading.pointee
        return reading != 0 ? reading : monotonicNow
    }

    /// Books a command that began at `start` and ended just now.
    @inline(__always)
    func book(_ id: Int, from start: UInt64, _ session: Session, _ arguments: Arguments) {
        let end = monotonicNow
        lastClockReading.pointee = end
        let elapsed = end &- start
        statistics[id].nanoseconds &+= elapsed
        commandNanoseconds &+= elapsed
        if timing.keepsHistograms { record(id, elapsed) }
        if elapsed >= slowestUnnoticed { noteSlow(id, elapsed, session, arguments) }
        // The commands behind a slow one must not see the time before it; those of a transaction see one time.
        if elapsed >= 1_000_000 && !isInUnit { refreshClock() }
    }

    private func record(_ id: Int, _ elapsed: UInt64) {
        if histograms[id] == nil {
            let histogram = UnsafeMutablePointer<LatencyHistogram>.allocate(capacity: 1)
            histogram.initialize(to: LatencyHistogram())
            histograms[id] = histogram
        }
        histograms[id]?.pointee.record(elapsed)
    }

    /// How long the calls of a command took; nil: there were none, or nobody counted.
    package func latencies(_ id: Int) -> LatencyDistribution? { histograms[id]?.pointee.read() }

    /// The shortest time that interests somebody.
    package func timingChanged() {
        // A threshold of centuries is none.
        let threshold = min(latencyMonitor.threshold, Int64.max / 1_000_000)
        let monitored = threshold > 0 ? UInt64(threshold) * 1_000_000 : UInt64.max
        slowestUnnoticed = min(timing.slowThreshold ?? .max, monitored)
    }

    private func noteSlow(_ id: Int, _ elapsed: UInt64, _ session: Session, _ arguments: Arguments) {
        let flags = table.commands[id].flags
        if let threshold = timing.slowThreshold, elapsed >= threshold, !flags.contains(.skipSlowlog) {
            slowLog.add(arguments, redacted: redactedArguments, amount: Int64(elapsed / 1000), at: keyspace.now,
                        address: addressOf(session), name: session.name)
        }
        if !flags.contains(.blocking) {
            latencyMonitor.add(flags.contains(.fast) ? "fast-command" : "command",
                               milliseconds: Int64(elapsed / 1_000_000), at: keyspace.now)
        }
    }

    /// For the latency monitor: what began at `start`, by the monotonic clock, ended just now.
    package func noteLatency(_ event: String, since start: UInt64) {
        guard latencyMonitor.isOn else { return }
        latencyMonitor.add(event, milliseconds: Int64((monotonicNow &- start) / 1_000_000), at: keyspace.now)
    }

    // MARK: Large requests and replies, expensive keys

    /// What a request took on its way, if it was not kept as it came.
    func requestBytes(_ arguments: Arguments) -> Int {
        var bytes = 0
        for index in 0..<arguments.count { bytes &+= arguments[index].count &+ 8 }
        return bytes
    }

    @inline(never)
    func noteLarge(_ id: Int, request: Int, reply: Int, _ session: Session, _ arguments: Arguments) {
        if table.commands[id].flags.contains(.skipSlowlog) || session === ownSession { return }
        for (log, bytes, limit) in [(largeRequests, request, largestUnnoticedRequest),
                                    (largeReplies, reply, largestUnnoticedReply)] where bytes >= limit {
            log.add(arguments, redacted: redactedArguments, amount: Int64(bytes), at: keyspace.now,
                    address: addressOf(session), name: session.name)
        }
    }

    /// Begins, ends (`keys` is not active) or forgets (nil) a session of HOTKEYS.
    package func trackHotKeys(_ keys: HotKeys?) {
        hotKeys = keys
        tracksHotKeys = keys?.isActive == true
    }

    @inline(never)
    func noteHotKeys(_ id: Int, _ arguments: Arguments, nanoseconds: UInt64, bytes: Int) {
        guard let hotKeys else { return }
        hotKeys.checkEnd(keyspace.now)
        if hotKeys.isActive {
            hotKeys.note(table.commands + id, arguments, HotKeys.Cost(nanoseconds: nanoseconds, bytes: bytes))
        } else {
            tracksHotKeys = false
        }
    }

    /// CONFIG RESETSTAT: everything that the engine counts begins again at 0.
    package func resetStatistics() {
        for id in 0..<table.count {
            statistics[id] = CommandStatistics()
            dropHistogram(id)
        }
        commandsProcessed = 0
        errorCounts = [:]
        errorReplies = 0
        commandNanoseconds = 0
        keyspace.statistics = KeyspaceStatistics()
        eviction.resetStatistics()
    }

    func dropHistogram(_ id: Int) {
        guard let histogram = histograms[id] else { return }
        histogram.deinitialize(count: 1)
        histogram.deallocate()
        histograms[id] = nil
    }
}
