import CShims
import CTLS
import Commands
import Engine
import Glibc
import Primitives
import RESP
import Scripting

// The client of a script debugger (Engine/Scripts/ScriptDebugging.swift): its socket, read and written to the end of
// each message, in the server while everybody waits (SYNC) or in a child (YES).
//
// The child is a copy of the server in the middle of the client's EVAL. It keeps the client's socket and no other file,
// dies with the server, logs nothing, and leaves by `_exit` when the session is over: it never comes back to the loop.
// Other threads exist no more, so nothing may be handed to them. It may take locks of the runtime, which a thread of
// the server may have held at the fork: then this one session hangs, until the server ends.

final class ScriptDebugConnection: ScriptDebugSession {
    private let session: Session
    private let descriptor: Int32
    private let stream: OpaquePointer?
    private var parser: RequestParser
    private var input = OwnedBytes(capacity: 1 << 12)
    private var used = 0
    private var isGone = false
    /// What was replied before is sent: from now on the output holds the script's own reply.
    private var hasBegun = false

    /// Bytes that a command may take.
    private static let longestCommand = 1 << 20

    init(_ connection: Connection) {
        session = connection.session
        descriptor = connection.descriptor
        stream = connection.stream
        parser = RequestParser(limits: connection.server.requestLimits)
    }

    func show(_ bytes: Bytes) {
        if !hasBegun { sendOutput() }
        hasBegun = true
        send(bytes)
    }

    private func sendOutput() {
        let count = session.output.pointee.count - session.sentCount
        if count == 0 { return }
        send(Bytes(rebasing: session.output.pointee.bytes[session.sentCount...]))
        session.sent(count)
    }

    func next() -> ScriptDebugInput {
        input.dropFirst(used)
        used = 0
        while true {
            if let first = input.bytes.first {
                if first != UInt8(ascii: "*") { return .invalid }
                switch parser.parse(input.bytes) {
                case .complete(let consumed):
                    used = consumed
                    return .command(parser.arguments)
                case .empty(let consumed):
                    input.dropFirst(consumed)
                    continue
                case .failure: return .invalid
                case .incomplete: if input.count > Self.longestCommand { return .invalid }
                }
            }
            guard receive() else { return .end }
        }
    }

    func finish() {
        sendOutput()
        _exit(0)
    }

    // MARK: Bytes

    private func receive() -> Bool {
        input.reserve(1 << 12)
        let count = transfer(.read) { [self] in
            let room = input.capacity - input.count, start = input.base + input.count
            return stream.map { sr_tls_read($0, start, room) } ?? read(descriptor, start, room)
        }
        if count > 0 { input.commit(count) }
        return count > 0
    }

    private func send(_ bytes: Bytes) {
        var sent = 0
        while sent < bytes.count {
            let rest = Bytes(rebasing: bytes[sent...])
            let count = transfer(.write) { [self] in
                stream.map { sr_tls_write($0, rest.baseAddress, rest.count) }
                    ?? Glibc.send(descriptor, rest.baseAddress, rest.count, Int32(MSG_NOSIGNAL))
            }
            if count <= 0 { return }
            sent += count
        }
    }

    private enum Direction { case read, write }

    /// Repeats `body` until it moved bytes; how many, or nothing when the client is gone.
    private func transfer(_ direction: Direction, _ body: () -> Int) -> Int {
        while !isGone {
            let count = body()
            if count > 0 { return count }
            var wanted = direction == .read ? POLLIN : POLLOUT
            if stream != nil {
                if count == SR_TLS_WANTS_READ { wanted = POLLIN
                } else if count == SR_TLS_WANTS_WRITE { wanted = POLLOUT } else { isGone = true }
            } else if count == 0 || errno != EAGAIN && errno != EINTR {
                isGone = true
            }
            if isGone { return 0 }
            var entry = pollfd(fd: descriptor, events: Int16(wanted), revents: 0)
            _ = poll(&entry, 1, -1)
        }
        return 0
    }
}

extension ServerCore {
    /// Each is a process, and keeps its own copy of what changes in the server.
    private static let mostDebugChildren = 16

    /// A session's EVAL is to be debugged; nil: a child does that, and the connection is the child's.
    func beginDebugging(_ session: Session) throws(CommandError) -> ScriptDebugConnection? {
        guard let connection = connections[session.id] else { throw .text("ERR no connection to debug a script with") }
        if session.debugMode == .sync {
            log.write(.warning, "Redis synchronous debugging eval session started")
            return ScriptDebugConnection(connection)
        }
        if debugChildren.count >= Self.mostDebugChildren { throw .text("ERR Too many scripts are being debugged") }
        let parent = getpid(), child = sr_fork()
        if child < 0 {
            throw .message("ERR Fork() failed: can't run EVAL in debugging mode: \(String(cString: strerror(errno)))")
        }
        if child > 0 {
            debugChildren.append(child)
            connection.kill()
            return nil
        }
        // The socket keeps its number, which a TLS stream knows.
        let descriptor = connection.descriptor
        let kept = sr_become_child(parent, descriptor, "redis-lua-debug")
        if kept != descriptor { dup2(kept, descriptor) }
        session.isForkedForDebugging = true
        engine.isLogging = false
        engine.scripts.onLog = { _, _ in }
        return ScriptDebugConnection(connection)
    }

    /// Children whose sessions are over.
    func reapDebugChildren() {
        if debugChildren.isEmpty { return }
        debugChildren.removeAll { child in
            var status: Int32 = 0
            let result = waitpid(child, &status, WNOHANG)
            return result == child || result < 0 && errno != EINTR
        }
    }
}
