import Engine
import Keyspace
import Primitives

/// What control commands and INFO keep between calls.
package final class ControlState {
    package var identity = ServerIdentity()
    var peakMemory = 0
    /// Bytes in use when the server was made, before any data; and those of them that are tables and log buffer.
    var startupMemory = 0
    var startupTables = 0
    var rates = Rates()
    var loop = LoopStatistics()
    var largestBuffers = LargestBuffers()
    /// Times that a client's output buffer was given back, or had grown, when the server looked after it.
    var replyBufferShrinks = 0
    var replyBufferExpands = 0
    /// DEBUG AOF-FLUSH-SLEEP: µs before records are handed to the log.
    var logFlushSleep: UInt32 = 0
    /// DEBUG SET-SKIP-CHECKSUM-VALIDATION: what is loaded is believed.
    var skipsChecksums = false
    /// DEBUG DROP-CLUSTER-PACKET-FILTER: packets of this type are lost; −1: none.
    var droppedClusterPacket = -1
    var memoryReturn = MemoryReturn()
    var processMemory = ProcessMemory()
    /// Clients that get to see every command.
    var monitors: [Session] = []
    /// DEBUG PAUSE-CRON 1.
    package var cronIsPaused = false

    /// The process' user and system time, in microseconds, when the session of HOTKEYS began, and when it ended.
    var hotKeysProcessorTime: (user: Int64, system: Int64) = (0, 0)
    var hotKeysProcessorEnd: (user: Int64, system: Int64)?

    init() {}

    func notePeak(_ used: Int) { peakMemory = max(peakMemory, used) }
}

extension ServerCore {
    /// Once, when the server is made.
    func startObserving() {
        engine.addressOf = { [unowned(unsafe) self] session in connections[session.id]?.address ?? "" }
        traffic.pointee.lastClockReading = engine.lastClockReading
        engine.onKeyEvent = { [unowned(unsafe) engine] event in engine.notify(event) }
        copyObservationSettings()
        configuration.onChange("slowlog-log-slower-than", "slowlog-max-len", "latency-monitor-threshold",
                               "latency-tracking", "commandlog-request-larger-than",
                               "commandlog-large-request-max-len", "commandlog-reply-larger-than",
                               "commandlog-large-reply-max-len") { core throws(ConfigurationError) in
            core.copyObservationSettings()
        }
        let facts = MemoryFacts(self)
        control.startupTables = facts.tables + facts.logBuffer
        control.startupMemory = facts.used
        loop.schedule(everyMilliseconds: 100) { [unowned(unsafe) self] in sampleRates() }
    }

    private func copyObservationSettings() {
        let slow = configuration.slowlogLogSlowerThan
        engine.timing.slowThreshold = slow < 0 ? nil : UInt64(slow).multipliedReportingOverflow(by: 1000).partialValue
        engine.timing.keepsHistograms = configuration.latencyTracking
        engine.slowLog.maximumLength = configuration.slowlogMaxLen
        engine.latencyMonitor.threshold = Int64(configuration.latencyMonitorThreshold)
        let (request, reply) = (configuration.commandlogRequestLargerThan, configuration.commandlogReplyLargerThan)
        engine.largestUnnoticedRequest = request < 0 ? .max : request
        engine.largestUnnoticedReply = reply < 0 ? .max : reply
        engine.largeRequests.maximumLength = configuration.commandlogLargeRequestMaxLen
        engine.largeReplies.maximumLength = configuration.commandlogLargeReplyMaxLen
        engine.timingChanged()
    }

    private func sampleRates() {
        let now = MonotonicNanoseconds.now().rawValue
        control.notePeak(Heap.usedBytes)
        control.rates.commands.sample(engine.commandsProcessed, at: now)
        control.rates.input.sample(statistics.inputBytes, at: now)
        control.rates.output.sample(statistics.outputBytes, at: now)
        control.rates.cycles.sample(control.loop.cycles, at: now)
        control.rates.cycleNanoseconds.sample(control.loop.nanoseconds, at: now)
    }

    func pauseCron(_ pauses: Bool) {
        control.cronIsPaused = pauses
        if pauses { cronTimer?.cancel() } else { scheduleCron() }
    }

    // MARK: Buffers of clients

    func largestBuffers() -> LargestBuffers.Sizes {
        var sizes = (input: 0, output: 0)
        for connection in connections.values {
            sizes.input = max(sizes.input, connection.inputCapacity)
            sizes.output = max(sizes.output, connection.session.output.pointee.capacity)
        }
        return sizes
    }

    // MARK: The event loop's rounds

    func noteRoundBegin() {
        control.loop.began = MonotonicNanoseconds.now().rawValue
        control.loop.commandsAtBegin = engine.commandsProcessed
        engine.lastClockReading.pointee = 0
    }

    func noteRoundEnd() {
        let elapsed = Int(MonotonicNanoseconds.now().rawValue - control.loop.began)
        control.loop.cycles += 1
        control.loop.nanoseconds += elapsed
        control.loop.longest = max(control.loop.longest, elapsed)
        control.loop.mostCommands = max(control.loop.mostCommands,
                                        engine.commandsProcessed - control.loop.commandsAtBegin)
    }
}
