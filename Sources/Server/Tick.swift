import Engine
import NIOCore
import Primitives

// The tick: read all → execute all → append once → sync once → release.
//
// The event loop hands every readable connection its bytes, one after another; each runs its requests at once
// (`Connection.channelRead`). The first of them begins the tick, which ends, by a task that the loop runs after the
// last one, with one hand-over to the log and one round of writes to the sockets.

extension ServerCore {
    /// Called before any request of a round of input; the time that its commands see is read once.
    @inline(__always)
    func beginTick() {
        if isInTick { return }
        isInTick = true
        updateClock()
        loop.execute { [unowned(unsafe) self] in endTick() }
    }

    func updateClock() {
        engine.keyspace.now = UnixMilliseconds.now()
        engine.keyspace.accessClock = UInt32(truncatingIfNeeded: engine.keyspace.now.rawValue / 1000) & 0xff_ffff
    }

    @inline(__always)
    func enqueueFlush(_ connection: Connection) {
        if connection.session.isQueuedForFlush { return }
        connection.session.isQueuedForFlush = true
        dirtyConnections.append(connection)
        if !isInTick { beginTick() }
    }

    func endTick() {
        isInTick = false
        appendToLog()
        let connections = dirtyConnections
        dirtyConnections.removeAll(keepingCapacity: true)
        for connection in connections {
            connection.session.isQueuedForFlush = false
            if connection.flush(engine.acknowledged) { gatedConnections.append(connection) }
        }
    }

    /// Hands the tick's records to the log.
    func appendToLog() {
        if engine.pendingLog.isEmpty { return }
        engine.pendingLogStart = engine.logEnd
        engine.pendingLog.removeAll()
    }

    /// The log's durable offset moved: whatever waited for it may leave.
    func logProgressed(_ acknowledged: LogOffset) {
        engine.acknowledged = acknowledged
        let connections = gatedConnections
        gatedConnections.removeAll(keepingCapacity: true)
        for connection in connections where connection.flush(acknowledged) { gatedConnections.append(connection) }
    }
}
