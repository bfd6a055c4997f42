import Commands
import Engine
import Keyspace
import NIOCore
import NIOPosix
import Primitives
import RESP

/// Counters of INFO stats that belong to sockets.
struct ServerStatistics {
    var inputBytes = 0
    var outputBytes = 0
    var connectionsReceived = 0
    var connectionsRejected = 0
}

/// The server around one engine: all of it runs on one event loop.
package final class ServerCore {
    let engine: Engine
    let loop: any EventLoop
    var statistics = ServerStatistics()
    var requestLimits = RequestLimits()
    var connections: [Int64: Connection] = [:]
    var nextSessionID: Int64 = 1
    /// Connections with replies to send at the end of the tick.
    var dirtyConnections: [Connection] = []
    /// Connections whose replies wait for the log.
    var gatedConnections: [Connection] = []
    var isInTick = false

    package init(engine: Engine, loop: any EventLoop) {
        self.engine = engine
        self.loop = loop
        engine.host = self
        engine.monotonicNanoseconds = { UInt64(MonotonicNanoseconds.now().rawValue) }
    }

    func execute(_ connection: Connection, _ arguments: Arguments, _ raw: Bytes?) {
        engine.execute(connection.session, arguments, raw: raw)
    }

    func connected(_ connection: Connection) {
        statistics.connectionsReceived += 1
        connections[connection.session.id] = connection
    }

    func disconnected(_ connection: Connection) {
        engine.forget(connection.session)
        connections[connection.session.id] = nil
    }

    func makeSession() -> Session {
        let session = Session(id: nextSessionID)
        nextSessionID += 1
        session.createdAt = engine.keyspace.now
        return session
    }
}
