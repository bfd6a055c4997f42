import Engine
import NIOCore
import Primitives
import RESP

// One client connection on the engine's event loop: bytes in, requests to the engine, replies out.
//
// Input is parsed where NIO put it; only the rest of a request that has not arrived whole is copied (into `input`,
// which grows to the size the parser asks for, so that a 512 MB argument is copied once). Replies gather in the
// session and leave at the end of the tick, or when the log's progress opens their gate.

final class Connection: ChannelInboundHandler, SessionLink {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    let session: Session
    private unowned(unsafe) let server: ServerCore
    private var parser: RequestParser
    /// Bytes of a request that is not whole yet.
    private var input = OwnedBytes(capacity: 16)
    private var needed = 0
    private(set) var context: ChannelHandlerContext?
    private var isClosing = false
    /// Held-back input while the session waits on a key.
    private var isHeld = false
    let address: String

    init(server: ServerCore, session: Session, address: String) {
        self.server = server
        self.session = session
        self.address = address
        parser = RequestParser(limits: server.requestLimits)
        session.link = self
    }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func channelInactive(context: ChannelHandlerContext) {
        self.context = nil
        server.disconnected(self)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    // MARK: Input

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let buffer = unwrapInboundIn(data)
        server.beginTick()
        buffer.withUnsafeReadableBytes { bytes in
            server.statistics.inputBytes += bytes.count
            if input.isEmpty && !isHeld {
                let used = process(bytes)
                if used < bytes.count { keep(Bytes(rebasing: bytes[used...])) }
            } else {
                input.append(bytes)
                if !isHeld && input.count >= needed { processInput() }
            }
        }
        server.enqueueFlush(self)
    }

    private func keep(_ rest: Bytes) {
        if needed > rest.count { input.reserve(needed) }
        input.append(rest)
    }

    private func processInput() {
        let used = process(input.bytes)
        input.dropFirst(used)
        if input.isEmpty { input.removeAll(keeping: 1 << 14) } else if needed > input.count {
            input.reserve(needed - input.count)
        }
    }

    /// Runs all whole requests in `bytes`; returns how many bytes they took.
    private func process(_ bytes: Bytes) -> Int {
        var used = 0
        while used < bytes.count && !isClosing {
            if session.waiting != nil { isHeld = true; return used }
            switch parser.parse(Bytes(rebasing: bytes[used...])) {
            case .complete(let consumed):
                let raw = parser.isCanonical ? Bytes(rebasing: bytes[used..<(used + consumed)]) : nil
                used += consumed
                server.execute(self, parser.arguments, raw)
            case .empty(let consumed): used += consumed
            case .incomplete(let total):
                needed = total
                return used
            case .failure(let error):
                fail(error)
                return bytes.count
            }
            if session.closeAfterReplies { isClosing = true }
        }
        needed = 0
        return isClosing ? bytes.count : used
    }

    private func fail(_ error: ProtocolError) {
        let start = session.output.pointee.count
        session.reply.error(error.line)
        server.engine.regate(session, start)
        isClosing = true
    }

    func resumeInput() {
        guard isHeld else { return }
        isHeld = false
        // Not from within the command that woke the session: its own tick goes on first.
        context?.eventLoop.execute { [self] in
            guard !isHeld, !input.isEmpty else { return }
            server.beginTick()
            processInput()
            server.enqueueFlush(self)
        }
    }

    // MARK: Output

    func outputReady() { server.enqueueFlush(self) }

    func closeSoon() {
        isClosing = true
        server.enqueueFlush(self)
    }

    /// Sends what the gates let go; true if gated replies remain.
    func flush(_ acknowledged: LogOffset) -> Bool {
        let output = session.output
        let ready = session.releasable(acknowledged)
        if ready > 0, let context {
            var buffer = context.channel.allocator.buffer(capacity: ready)
            buffer.writeBytes(Bytes(start: output.pointee.base, count: ready))
            session.sent(ready)
            server.statistics.outputBytes += ready
            if output.pointee.isEmpty { output.pointee.removeAll(keeping: 1 << 14) }
            context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
        }
        let remains = !output.pointee.isEmpty
        if isClosing && !remains { context?.close(mode: .all, promise: nil) }
        return remains
    }
}
