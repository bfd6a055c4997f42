import CTLS
import Glibc
import Primitives

// Handshakes: a TLS connection before it is a client.
//
//     accepted → waits for input (or room) → in line → one step → … → client (Connection), or closed
//
// A step may cost a signature with the private key (about a millisecond for RSA), on the engine's thread.
//
// Invariants
//  1. A round takes at most `max-new-tls-connections-per-cycle` steps, however many handshakes wait: clients that are
//     connected are served in between.
//  2. A handshake that is not done `longestMilliseconds` after the accept is closed; with the clients, handshakes are
//     at most `maxclients`.
//  3. No byte of a request is looked at before the handshake is done.

final class TLSHandshake: LoopSource {
    private unowned(unsafe) let server: ServerCore
    let stream: OpaquePointer
    let deadline: UnixMilliseconds
    fileprivate var isInLine = false
    static let longestMilliseconds: Int64 = 10_000

    init(_ server: ServerCore, descriptor: Int32, stream: OpaquePointer) {
        self.server = server
        self.stream = stream
        deadline = UnixMilliseconds(server.engine.keyspace.now.rawValue + Self.longestMilliseconds)
        super.init(descriptor: descriptor)
    }

    @available(*, unavailable, message: "a handshake has a stream")
    override init(descriptor: Int32) { preconditionFailure("never called") }

    override func ready(_ events: LoopEvents) {
        if isInLine { return }
        server.loop.change(self, to: [])
        server.encryption.enqueue(self)
    }
}

/// What the server keeps for TLS: the current context, and the handshakes under way.
final class Encryption {
    private unowned(unsafe) let server: ServerCore
    /// nil: TLS is off.
    private(set) var context: TLSContext?
    /// By descriptor.
    private var handshakes: [Int32: TLSHandshake] = [:]
    private var line: [TLSHandshake] = []
    private var isSteppingSoon = false
    private var sweep: LoopTimer?
    private var lastFailureNotice = UnixMilliseconds(0)
    private var unnoticedFailures = 0

    init(_ server: ServerCore) { self.server = server }

    /// Connections that are not clients yet.
    var handshakeCount: Int { handshakes.count }

    // MARK: Settings

    /// Reads the files anew. On an error the context stays what it was.
    func configure() throws(ConfigurationError) {
        let settings = server.configuration.tls
        guard settings.port != 0 || settings.replication || settings.cluster else {
            context = nil
            return
        }
        let made = try settings.makeContext()
        context = made
        let lifetime = made.lifetime
        if lifetime <= 0 {
            server.log.write(.warning, "The certificate in \(settings.certFile) has expired: clients that verify it "
                + "will refuse it.")
        }
        if sweep == nil {
            sweep = server.loop.schedule(everyMilliseconds: 1000) { [unowned self] in closeStalled() }
        }
    }

    // MARK: Handshakes

    /// Begins a handshake on a socket that was just accepted; it belongs to the server from here on.
    func begin(_ descriptor: Int32) {
        guard let context, let stream = sr_tls_stream_accept(context.pointer, descriptor) else {
            close(descriptor)
            return
        }
        let handshake = TLSHandshake(server, descriptor: descriptor, stream: stream)
        guard server.loop.watch(handshake, .read) else {
            sr_tls_stream_free(stream)
            close(descriptor)
            return
        }
        handshakes[descriptor] = handshake
    }

    fileprivate func enqueue(_ handshake: TLSHandshake) {
        handshake.isInLine = true
        line.append(handshake)
        stepSoon()
    }

    private func stepSoon() {
        if isSteppingSoon { return }
        isSteppingSoon = true
        server.loop.execute { [unowned self] in takeSteps() }
    }

    private func takeSteps() {
        isSteppingSoon = false
        let count = min(line.count, server.configuration.tls.maxNewConnectionsPerCycle)
        for handshake in line.prefix(count) where handshake.isInLine {
            handshake.isInLine = false
            step(handshake)
        }
        line.removeFirst(count)
        if !line.isEmpty { stepSoon() }
    }

    private func step(_ handshake: TLSHandshake) {
        switch Int(sr_tls_handshake(handshake.stream)) {
        case SR_TLS_WANTS_READ: server.loop.change(handshake, to: .read)
        case SR_TLS_WANTS_WRITE: server.loop.change(handshake, to: .write)
        case 1:
            leave(handshake)
            server.admit(handshake.descriptor, .tls, stream: handshake.stream)
        default:
            var reason = [CChar](repeating: 0, count: 256)
            sr_tls_reason(&reason, reason.count)
            let text = reason.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
            noteFailure(handshake, String(decoding: text, as: UTF8.self))
            end(handshake)
        }
    }

    private func leave(_ handshake: TLSHandshake) {
        server.loop.remove(handshake)
        handshakes[handshake.descriptor] = nil
    }

    private func end(_ handshake: TLSHandshake) {
        handshake.isInLine = false
        leave(handshake)
        sr_tls_stream_free(handshake.stream)
        close(handshake.descriptor)
    }

    private func closeStalled() {
        let now = server.engine.keyspace.now
        for handshake in handshakes.values where handshake.deadline < now {
            server.log.write(.verbose, "Closing a client that did not finish its TLS handshake")
            end(handshake)
        }
    }

    /// A line a second at most, so that strangers don't fill the disk.
    private func noteFailure(_ handshake: TLSHandshake, _ reason: String) {
        let now = server.engine.keyspace.now
        if now.rawValue - lastFailureNotice.rawValue < 1000 {
            unnoticedFailures += 1
            return
        }
        lastFailureNotice = now
        let peer = server.text(Socket.address(handshake.descriptor, .peer))
        let local = server.text(Socket.address(handshake.descriptor, .local))
        let others = unnoticedFailures == 0 ? "" : "; \(unnoticedFailures) more before"
        unnoticedFailures = 0
        server.log.write(.warning, "Error accepting a client connection: \(reason) (addr=\(peer) laddr=\(local))"
            + others)
    }
}
