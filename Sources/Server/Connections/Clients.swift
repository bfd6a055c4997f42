import CTLS
import Commands
import Engine
import Glibc
import Primitives
import RESP

// All clients: accepting, refusing, pausing, and what is looked after once a second.

/// CLIENT PAUSE: which commands wait, and until when.
package struct ClientPause: Sendable {
    package enum Kind: Sendable { case writes, all }
    package var kind: Kind
    package var until: UnixMilliseconds
}

extension ServerCore {
    // MARK: Coming and going

    /// A socket that was just accepted; it belongs to the server from here on.
    func accept(_ descriptor: Int32, _ kind: ConnectionKind) {
        if connections.count + encryption.handshakeCount >= connectionLimits.maximumClients {
            statistics.connectionsRejected += 1
            refuse(descriptor, kind, "-ERR max number of clients reached\r\n")
            return
        }
        let peer = kind == .unix ? nil : Socket.address(descriptor, .peer)
        if let line = refusal?(peer?.host, kind == .unix) {
            statistics.connectionsRejected += 1
            refuse(descriptor, kind, line)
            return
        }
        if kind != .unix { Socket.tuneClient(descriptor, keepaliveSeconds: connectionLimits.keepaliveSeconds) }
        traffic.pointee.statistics.connectionsReceived += 1
        if kind == .tls { encryption.begin(descriptor) } else { admit(descriptor, kind, stream: nil) }
    }

    /// Makes a client of a socket, which is the server's, and its stream, whose handshake is done.
    func admit(_ descriptor: Int32, _ kind: ConnectionKind, stream: OpaquePointer?) {
        let peer = kind == .unix ? nil : Socket.address(descriptor, .peer)
        let local = kind == .unix ? nil : Socket.address(descriptor, .local)
        let connection = Connection(server: self, descriptor: descriptor, session: makeSession(),
                                    isUnix: kind == .unix, address: text(peer), localAddress: text(local),
                                    stream: stream)
        guard loop.watch(connection, .read) else {
            if let stream { sr_tls_stream_free(stream) }
            close(descriptor)
            return
        }
        connections[connection.session.id] = connection
        if let stream {
            recogniseCertificate(connection.session, stream)
            // The first request may have come with the end of the handshake.
            connection.receiveSoon()
        }
        onConnect?(connection)
    }

    func text(_ address: (host: String, port: Int)?) -> String {
        guard let address else { return "\(unixSocketPath):0" }
        return address.host.utf8.contains(UInt8(ascii: ":")) ? "[\(address.host)]:\(address.port)"
            : "\(address.host):\(address.port)"
    }

    private func makeSession() -> Session {
        let session = Session(id: nextSessionID)
        nextSessionID += 1
        session.createdAt = engine.keyspace.now
        session.lastActiveAt = engine.keyspace.now
        engine.access.logOut(session)
        return session
    }

    private func refuse(_ descriptor: Int32, _ kind: ConnectionKind, _ line: String) {
        if kind == .tls {
            // Without a handshake there are no words.
            close(descriptor)
            return
        }
        var line = line
        line.withUTF8 { _ = send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
        lingering.append(Lingering(self, descriptor: descriptor))
    }

    func disconnected(_ connection: Connection) {
        connection.forgetMemory()
        engine.forget(connection.session)
        connections[connection.session.id] = nil
        onDisconnect?(connection)
    }

    // MARK: Once a second

    /// Idle and greedy clients are closed, silent ones give their buffers back.
    func lookAfterClients() {
        let now = engine.keyspace.now
        if !lingering.isEmpty { lingering.removeAll { $0.isOver(now) } }
        let idle = Int64(connectionLimits.idleSeconds) * 1000
        control.largestBuffers.note(largestBuffers())
        if traffic.pointee.clientMemory.isLimited { measureClients() }
        for connection in connections.values {
            connection.noteOutputCapacity()
            let silent = now.rawValue - connection.session.lastActiveAt.rawValue
            if idle > 0 && silent > idle && connection.session.waiting == nil && connection.kind == .normal {
                noteIdleTimeout(connection)
                connection.kill()
            } else if connection.unsentBytes > 0 {
                if connection.isOverOutputLimit() {
                    noteOutputLimit(connection)
                    connection.kill()
                }
            } else if silent > 2000 {
                connection.shrinkBuffers()
            }
        }
    }

    // MARK: Pausing

    /// Commands of all clients (or those that may write) wait until `until` or `unpause`.
    package func pauseClients(_ kind: ClientPause.Kind, until: UnixMilliseconds) {
        pause = ClientPause(kind: kind, until: until)
        pauseTimer?.cancel()
        let wait = max(0, Int(clamping: until.rawValue - engine.keyspace.now.rawValue))
        pauseTimer = loop.schedule(afterMilliseconds: min(wait, 1 << 40)) { [unowned self] in unpauseClients() }
    }

    package func unpauseClients() {
        pause = nil
        pauseTimer?.cancel()
        pauseTimer = nil
        resumePausedClients()
    }

    /// Those for whom the reason has not gone are held back again.
    func resumePausedClients() {
        let paused = pausedConnections
        pausedConnections = []
        for connection in paused { connection.pauseEnded() }
    }

    /// Whether the pause makes this request wait.
    func holdsBack(_ arguments: Arguments, _ session: Session) -> Bool {
        // In the middle of a script nothing waits: it is refused, or concerns no keys.
        guard session.kind != .replica, !engine.state.isBusy else { return false }
        // What is no command gets its error at once.
        guard let id = engine.lookUp(arguments), engine.table.commands[id].takes(arguments.count) else { return false }
        switch pause?.kind ?? .writes {
        case .all: return true
        case .writes:
            if mayWrite(id, arguments) { return true }
            return engine.table.rows[id].fullName == "exec" && session.queue.contains {
                mayWrite($0.id, $0.arguments)
            }
        }
    }

    /// A script or function that says whether it writes is believed.
    private func mayWrite(_ id: Int, _ arguments: Arguments) -> Bool {
        let command = engine.table.commands + id
        if command.pointee.group == .scripting, let declared = engine.scripts.declaresWrites(id, arguments) {
            return declared
        }
        let flags = command.pointee.flags
        return flags.contains(.write) || flags.contains(.mayReplicate)
    }
}
