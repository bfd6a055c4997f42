import Engine
import Primitives
#if canImport(Glibc)
import Glibc
#endif

// The tick: read all → execute all → append once → sync once → release.
//
// One round of the event loop is one tick. The loop hands every readable connection its bytes, one after another;
// each runs its requests at once (`Connection.receive`). The round ends here, with one hand-over to the log and one
// write to each socket that has replies.

extension ServerCore {
    /// At the beginning of a round: the time that its commands see is read once.
    func updateClock() {
        let now = UnixMilliseconds.now()
        traffic.pointee.now = now
        engine.keyspace.now = now
        engine.keyspace.accessClock = UInt32(truncatingIfNeeded: now.rawValue / 1000) & 0xff_ffff
    }

    func beginRound() {
        updateClock()
        noteRoundBegin()
    }

    func endRound() {
        endTick()
        noteRoundEnd()
    }

    /// All that came was executed, and nothing of it handed to the log.
    func eventsHandled() {
        let count = traffic.pointee.dirtyCount
        if count > 0 { noteWaiting(count) }
    }

    /// The log's thread has made progress.
    func logNudged() { persistence.logProgressed() }

    func endTick() {
        if !resumingConnections.isEmpty { executeKeptInput() }
        tidyUp()
        appendToLog()
        flushDirty()
        if traffic.pointee.clientMemory.isOver { evictClients() }
        loop.staysReady = gatedConnections.isEmpty
        loop.watchesFor = loop.staysPut && !gatedConnections.isEmpty ? timeToWatch : 0
        // More to execute, or replies that were made while others were sent: the next round begins at once.
        if !resumingConnections.isEmpty || traffic.pointee.dirtyCount > 0 { loop.stayAwake() }
    }

    /// Whether all clients wait for the disk, of late: a reader is not made to wait.
    @inline(__always)
    private func noteWaiting(_ clients: Int) {
        ticksOfWriters = awaitsSyncs && clients <= engine.writersInTick ? ticksOfWriters + 1 : 0
        let staysPut = ticksOfWriters >= Self.settledTicks && !environment.isStepped
        if staysPut != loop.staysPut { loop.staysPut = staysPut }
    }

    /// Several milliseconds.
    private static var settledTicks: Int { 32 }

    /// Nanoseconds. A disk that takes long is slept for.
    private var timeToWatch: Int64 { syncsUsuallyTake < 300_000 ? 2 * syncsUsuallyTake : 0 }

    /// Now and then the loop may move to a processor that is less busy.
    func considerMoving(at now: Int64) {
        guard loop.staysPut, now >= nextMove else { return }
        nextMove = now + 1_000_000_000
        ticksOfWriters = Self.settledTicks - 8
    }

    /// One slice for each connection that has requests waiting in its input.
    private func executeKeptInput() {
        let connections = resumingConnections
        resumingConnections.removeAll(keepingCapacity: true)
        for connection in connections { connection.executeKept() }
    }

    func flushDirty() {
        let count = traffic.pointee.dirtyCount
        if let ioThreads {
            flushTogether(ioThreads, count, at: { traffic.pointee.dirty[$0].takeUnretainedValue() }, flush: flushOne)
        } else {
            var index = 0
            while index < count {
                traffic.pointee.dirty[index]._withUnsafeGuaranteedRef { flushOne($0) }
                index += 1
            }
        }
        traffic.pointee.flushed(count)
        if traffic.pointee.dirtyCount == 0 && !departedConnections.isEmpty { departedConnections.removeAll() }
    }

    @inline(__always)
    private func flushOne(_ connection: Connection) {
        connection.session.isQueuedForFlush = false
        if connection.flush(engine.acknowledged) && !connection.isGated {
            connection.isGated = true
            gatedConnections.append(connection)
        }
        if traffic.pointee.clientMemory.isLimited { connection.noteMemory() }
    }

    /// Hands the tick's records to the log.
    func appendToLog() {
        if engine.pendingLog.isEmpty {
            flushLog()
            return
        }
        let began = MonotonicNanoseconds.now().rawValue
        if control.logFlushSleep > 0 { sleepBeforeWrite() }
        flushLog()
        control.loop.logNanoseconds += Int(MonotonicNanoseconds.now().rawValue - began)
    }

    /// DEBUG AOF-FLUSH-SLEEP: as if the disk took that long.
    private func sleepBeforeWrite() {
        usleep(control.logFlushSleep)
        if persistence.log != nil { persistence.noteWrite(nanoseconds: Int64(control.logFlushSleep) * 1000) }
    }

    @inline(__always)
    private func flushLog() {
        if let roundsPersistence {
            roundsPersistence._withUnsafeGuaranteedRef { $0.flush() }
        } else {
            persistence.flush()
        }
    }

    /// The log's durable offset moved: whatever waited for it may leave.
    func logProgressed(_ acknowledged: LogOffset) {
        engine.acknowledged = acknowledged
        let connections = gatedConnections
        gatedConnections.removeAll(keepingCapacity: true)
        if let ioThreads {
            flushTogether(ioThreads, connections.count, at: { connections[$0] }, flush: flushGated)
        } else {
            for connection in connections { flushGated(connection) }
        }
        engine.retryKeylessWaiters()
    }

    private func flushGated(_ connection: Connection) {
        connection.isGated = connection.flush(engine.acknowledged)
        if connection.isGated { gatedConnections.append(connection) }
    }

    /// Runs `body` on the engine's thread, between two commands. From any thread.
    func runOnEngine(_ body: @escaping () -> Void) {
        let body = UncheckedReference(body)
        loop.wake { body.value() }
    }
}
