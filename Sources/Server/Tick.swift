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

    /// The log's thread has made progress.
    func logNudged() { persistence.logProgressed() }

    func endTick() {
        if !resumingConnections.isEmpty { executeKeptInput() }
        tidyUp()
        appendToLog()
        flushDirty()
        if traffic.pointee.clientMemory.isOver { evictClients() }
        loop.staysReady = gatedConnections.isEmpty
        // More to execute, or replies that were made while others were sent: the next round begins at once.
        if !resumingConnections.isEmpty || traffic.pointee.dirtyCount > 0 { loop.stayAwake() }
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
            persistence.flush()
            return
        }
        let began = MonotonicNanoseconds.now().rawValue
        if control.logFlushSleep > 0 { sleepBeforeWrite() }
        persistence.flush()
        control.loop.logNanoseconds += Int(MonotonicNanoseconds.now().rawValue - began)
    }

    /// DEBUG AOF-FLUSH-SLEEP: as if the disk took that long.
    private func sleepBeforeWrite() {
        usleep(control.logFlushSleep)
        if persistence.log != nil { persistence.noteWrite(nanoseconds: Int64(control.logFlushSleep) * 1000) }
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
