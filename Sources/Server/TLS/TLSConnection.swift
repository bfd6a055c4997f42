import CTLS
import Engine
import Glibc
import Primitives

// A client's bytes over TLS: what Connection asks of its socket, answered by its stream in the socket's words (a
// count, 0 for the peer's end, −1 with errno).
//
// Invariants
//  1. A read or write that waits for the other direction is repeated when that is ready (`readAwaitsRoom`,
//     `writeAwaitsInput`).
//  2. What OpenSSL holds already, the socket's readiness does not tell of: such a connection reads again in the next
//     round (`receiveSoon`), and whenever it begins to take input again.
//  3. A connection that ends on our side says so (close_notify) behind its last reply, before FIN.

/// How a client came.
package enum ConnectionKind: Sendable { case tcp, unix, tls }

extension Connection {
    /// What came of a read from the stream.
    func noteTaken(_ stream: OpaquePointer, _ count: Int) -> Int {
        if count > 0 {
            readAwaitsRoom = false
            if sr_tls_has_more(stream) != 0 { receiveSoon() }
            return count
        }
        let awaitsRoom = count == SR_TLS_WANTS_WRITE
        if readAwaitsRoom != awaitsRoom {
            readAwaitsRoom = awaitsRoom
            traffic.pointee.enqueueFlush(self)
        }
        return answer(count)
    }

    /// What came of a write to the stream.
    func noteGiven(_ taken: Int) -> Int {
        writeAwaitsInput = taken == SR_TLS_WANTS_READ
        return taken > 0 ? taken : answer(taken)
    }

    private func answer(_ outcome: Int) -> Int {
        if outcome == SR_TLS_ENDED { return 0 }
        errno = outcome == SR_TLS_WANTS_READ || outcome == SR_TLS_WANTS_WRITE ? EAGAIN : ECONNRESET
        return -1
    }

    func readyEncrypted(_ events: LoopEvents) {
        if events.contains(.write) {
            if readAwaitsRoom { receive() }
            roomReady()
        }
        if events.contains(.read) && interest.contains(.read) {
            if writeAwaitsInput { roomReady() }
            receive()
        } else if !events.isDisjoint(with: .gone) {
            closeNow()
        }
    }

    /// Reads in the next round, whatever the socket says.
    func receiveSoon() {
        if isReceivingSoon { return }
        isReceivingSoon = true
        server.loop.execute { [self] in
            isReceivingSoon = false
            if isOpen && interest.contains(.read) { receive() }
        }
    }

    /// What the socket must be ready for so that the stream is, for what is wanted of the stream.
    func encryptedInterest(_ wanted: LoopEvents) -> LoopEvents {
        var events = wanted
        if wanted.contains(.read) && !interest.contains(.read) { receiveSoon() }
        if writeAwaitsInput {
            events.remove(.write)
            events.insert(.read)
        }
        if readAwaitsRoom { events.insert(.write) }
        return events
    }

    /// Says that nothing follows; false: there is no room for that, it is to be said again.
    func saysEnd(_ stream: OpaquePointer) -> Bool {
        if Int(sr_tls_end(stream)) != SR_TLS_WANTS_WRITE { return true }
        awaitsRoom = true
        server.loop.change(self, to: .write)
        return false
    }
}

extension ServerCore {
    /// `tls-auth-clients-user CN`: lets a client in as the user that its certificate names. Other clients, and those
    /// whose name is no user's, are who they would be without.
    func recogniseCertificate(_ session: Session, _ stream: OpaquePointer) {
        guard configuration.tls.authClientsUser == .commonName else { return }
        let user = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { room in
            let length = sr_tls_common_name(stream, room.baseAddress, room.count)
            if length <= 0 { return User?.none }
            return engine.access.user(named: Bytes(rebasing: UnsafeRawBufferPointer(room)[..<length]))
        }
        if let user, user.rules.isEnabled { engine.access.logIn(session, user) }
    }
}
