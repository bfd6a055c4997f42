import CTLS
import Engine
import Glibc
import Primitives
import RESP

// One client connection on the engine's loop: bytes in, requests to the engine, replies out.
//
//     readable → read → parse → execute … (round ends) → flush → write
//
// Input is read into a buffer that all connections share and parsed there; only the rest of a request that has not
// arrived whole is kept (`input`), and from then on the kernel's bytes go there directly. `input` is enlarged once, to
// the size that the parser asks for, so that a 512 MB argument is not moved. Replies gather in the session's output,
// which is written from where it is (ConnectionOutput.swift).
//
// Invariants
//  1. Requests are executed in the order they came; while `session.waiting`, a pause or too much unsent output holds
//     them back, their bytes stay in `input`.
//  2. A connection takes at most `sliceBytes` of kept input per round, so that a long pipeline starves nobody.
//  3. Replies are never dropped by us: a connection that ends on our side is closed after its last byte was taken by
//     the kernel, with FIN; input that still comes is read and thrown away (`Lingering`), for unread input would turn
//     the close into RST, and RST makes the peer lose replies.

package final class Connection: LoopSource, SessionLink {
    package let session: Session
    unowned(unsafe) let server: ServerCore
    /// The server's, without reference counting: it outlives its connections.
    private let engine: Unmanaged<Engine>
    let traffic: UnsafeMutablePointer<ClientTraffic>
    var parser: RequestParser

    /// Bytes that were read and not executed: `inputStart..<input.count`.
    private var input = OwnedBytes(capacity: 16)
    private var inputStart = 0
    /// Bytes from `inputStart` that are worth having before parsing again; 0 if unknown.
    private var needed = 0
    /// The kept input may hold a whole request; false when its end was seen to be missing.
    private(set) var hasMore = false

    /// The socket is ours; false once the connection is given up.
    private(set) package var isOpen = true
    /// The peer will send nothing more.
    private(set) var hasEnded = false
    /// No request is taken any more; ends when the output is out.
    private(set) var isClosing = false
    /// Ends at the end of the round, whatever is unsent.
    private(set) var isKilled = false
    /// In `server.resumingConnections`: it has input to execute.
    private var isResuming = false
    /// A script is in the middle of it (BusyRounds.swift).
    var rests = false
    /// In `server.pausedConnections` (CLIENT PAUSE).
    private var isPaused = false
    /// In `server.gatedConnections`.
    var isGated = false
    /// The kernel took less than it was given; wait until it says that there is room.
    var awaitsRoom = false
    /// Since when the output is over its class' soft limit.
    var overSoftLimitSince: UnixMilliseconds?
    /// Room of the output when the server last looked.
    var notedOutputCapacity = 256
    /// As the account of all clients' memory has it (ClientEviction.swift).
    var notedMemory = 0

    /// nil: the bytes are as they are.
    private(set) var stream: OpaquePointer?
    /// What it would read or write next is done already (IORounds.swift).
    var readAhead: UnsafeMutablePointer<SocketJob>? { didSet { noteSpecial() } }
    var writeAhead: UnsafeMutablePointer<SocketJob>? { didSet { noteSpecial() } }
    /// Reads and writes are no plain system calls.
    var isSpecial: Bool
    // Of a stream (TLSConnection.swift).
    var readAwaitsRoom = false
    var writeAwaitsInput = false
    var isReceivingSoon = false

    package let isUnix: Bool
    /// `ip:port`, or `path:0` for a Unix socket, as CLIENT LIST prints them.
    package let address: String
    package let localAddress: String

    static let sharedReadBytes = 1 << 16
    static let sliceBytes = 1 << 16
    static let bigReadBytes = 1 << 20
    /// Requests wait while more than this is unsent.
    static let outputBound = 1 << 20
    /// Nothing is read while requests wait and their bytes are more than this.
    static let heldInputBound = 64 << 20
    /// Of clients that have not authenticated: input that waits, and replies that they don't take.
    static let strangersInputBound = 1 << 20
    static let strangersOutputBound = 64 << 10

    init(server: ServerCore, descriptor: Int32, session: Session, isUnix: Bool, address: String,
         localAddress: String, stream: OpaquePointer?) {
        self.server = server
        engine = .passUnretained(server.engine)
        traffic = server.traffic
        self.session = session
        self.isUnix = isUnix
        self.address = address
        self.localAddress = localAddress
        self.stream = stream
        isSpecial = stream != nil
        parser = RequestParser(limits: server.requestLimits)
        super.init(client: descriptor)
        session.link = self
    }

    /// Bytes of input that were not executed yet, and what the buffer for them takes.
    package var pendingInput: Int { input.count - inputStart }
    package var inputCapacity: Int { input.capacity }

    // MARK: Input

    package override func ready(_ events: LoopEvents) {
        if rests { return }
        if stream != nil {
            readyEncrypted(events)
            return
        }
        if events.contains(.write) { roomReady() }
        if events.contains(.read) && interest.contains(.read) {
            receive()
        } else if !events.isDisjoint(with: .gone) {
            // Nobody is there to take replies.
            closeNow()
        }
    }

    func receive() {
        if pendingInput > 0 {
            receiveBehindInput()
            return
        }
        let buffer = traffic.pointee.readBuffer
        let count: Int
        if isSpecial {
            if let readAhead {
                receive(readAhead)
                return
            }
            count = takeSpecially(buffer, Self.sharedReadBytes)
        } else {
            count = read(descriptor, buffer, Self.sharedReadBytes)
        }
        guard received(count) else { return }
        let bytes = Bytes(start: buffer, count: count)
        let used = isHeldBack ? hold() : process(bytes)
        if used < count && !isClosing { keep(Bytes(rebasing: bytes[used...])) }
        settle()
    }

    /// What an I/O thread read, and in what it found the requests.
    private func receive(_ job: UnsafeMutablePointer<SocketJob>) {
        let count = takeSpecially(job.pointee.bytes, job.pointee.count)
        guard received(count) else { return }
        let bytes = Bytes(start: job.pointee.bytes, count: count)
        let used = isHeldBack ? hold() : job.pointee.parses ? process(bytes, found: job.pointee.batch.pointee)
            : process(bytes)
        if used < count && !isClosing { keep(Bytes(rebasing: bytes[used...])) }
        settle()
    }

    private func noteSpecial() { isSpecial = stream != nil || readAhead != nil || writeAhead != nil }

    /// Where the kernel's bytes go while there is input.
    func roomBehindInput() -> UnsafeMutableRawBufferPointer {
        let missing = needed - pendingInput
        input.reserve(missing > 0 ? missing : Self.sliceBytes)
        let room = min(input.capacity - input.count, missing > 0 ? Self.bigReadBytes : Self.sliceBytes)
        return UnsafeMutableRawBufferPointer(start: input.base + input.count, count: room)
    }

    private func receiveBehindInput() {
        let room = roomBehindInput()
        guard let start = room.baseAddress else { return }
        let count = isSpecial ? takeSpecially(start, room.count) : read(descriptor, start, room.count)
        guard received(count) else { return }
        input.commit(count)
        if pendingInput >= needed { hasMore = true }
        if pendingInput > inputLimit { queueOverLimit() }
        settle()
    }

    /// How much may lie unexecuted, bytes; little for strangers.
    private var inputLimit: Int {
        let limit = server.connectionLimits.queryBufferBytes
        return session.mustAuthenticate ? min(limit, Self.strangersInputBound) : limit - min(session.queuedBytes, limit)
    }

    package func queueOverLimit() {
        if isKilled { return }
        server.noteQueryBufferLimit(self)
        kill()
    }

    /// Counts what came; false if there is nothing to process: the peer has ended or is gone.
    @inline(__always)
    private func received(_ count: Int) -> Bool {
        if count > 0 {
            traffic.pointee.statistics.inputBytes &+= count
            session.receivedBytes &+= count
            session.lastActiveAt = traffic.pointee.now
            traffic.pointee.statistics.reads &+= 1
            traffic.pointee.lastClockReading?.pointee = 0
            return true
        }
        if count < 0 && (errno == EAGAIN || errno == EINTR) { return false }
        if count < 0 { closeNow() } else { peerEnded() }
        return false
    }

    /// The peer closed its side: what it sent is still executed and answered, unless it waits for a key.
    private func peerEnded() {
        hasEnded = true
        if session.waiting != nil { isKilled = true }
        settle()
    }

    /// Requests must not be executed at present.
    @inline(__always)
    var isHeldBack: Bool {
        session.waiting != nil || unsentBytes > Self.outputBound || isClosing || isPaused || isKilled
    }

    private func hold() -> Int {
        hasMore = true
        return 0
    }

    private func keep(_ rest: Bytes) {
        input.reserve(max(needed, rest.count))
        input.append(rest)
    }

    /// Executes the whole requests in `bytes`, a slice's worth at most; returns how many bytes they took.
    private func process(_ bytes: Bytes) -> Int {
        var used = 0
        needed = 0
        hasMore = false
        parser.limits.maximumBulkBytes = traffic.pointee.maximumBulkBytes
        parser.limits.isUnauthenticated = session.mustAuthenticate
        while used < bytes.count {
            if takesBatches {
                let stopped = processBatch(bytes, &used)
                if stopped || used == bytes.count { return used }
            }
            switch parser.parse(Bytes(rebasing: bytes[used...])) {
            case .complete(let consumed):
                if traffic.pointee.isPaused && server.holdsBack(parser.arguments, session) {
                    isPaused = true
                    hasMore = true
                    server.pausedConnections.append(self)
                    return used
                }
                let raw = parser.isCanonical ? Bytes(rebasing: bytes[used..<(used + consumed)]) : nil
                used += consumed
                engine._withUnsafeGuaranteedRef { $0.execute(session, parser.arguments, raw: raw) }
                if mustStop(used) {
                    hasMore = used < bytes.count
                    return used
                }
            case .empty(let consumed): used += consumed
            case .incomplete(let total):
                needed = total
                return used
            case .failure(let error):
                fail(error, Bytes(rebasing: bytes[used...]))
                return bytes.count
            }
        }
        return used
    }

    /// Nothing keeps requests from being taken several at once.
    @inline(__always)
    private var takesBatches: Bool { parser.isIdle && !session.mustAuthenticate && !traffic.pointee.isPaused }

    /// As `process`, when the first requests are found already.
    private func process(_ bytes: Bytes, found batch: RequestBatch) -> Int {
        guard batch.count > 0, takesBatches else { return process(bytes) }
        var used = 0
        needed = 0
        hasMore = false
        if execute(batch, bytes, &used) == .mustStop || used == bytes.count { return used }
        return used + process(Bytes(rebasing: bytes[used...]))
    }

    private enum BatchEnd { case done, mustStop, paused }

    /// Executes the ordinary requests from `used` on; true if what follows has to wait.
    private func processBatch(_ bytes: Bytes, _ used: inout Int) -> Bool {
        while used < bytes.count {
            traffic.pointee.batch.fill(bytes, from: used)
            let batch = traffic.pointee.batch
            if batch.count == 0 { return false }
            switch execute(batch, bytes, &used) {
            case .mustStop: return true
            case .paused: return false
            case .done: if batch.count < RequestBatch.capacity { return false }
            }
        }
        return false
    }

    @inline(__always)
    private func execute(_ batch: RequestBatch, _ bytes: Bytes, _ used: inout Int) -> BatchEnd {
        if batch.count > 1 { engine._withUnsafeGuaranteedRef { $0.prepare(batch, session) } }
        for index in 0..<batch.count {
            let request = batch.requests[index]
            used = request.end
            engine._withUnsafeGuaranteedRef {
                $0.execute(session, prepared: request, raw: Bytes(rebasing: bytes[request.start..<request.end]))
            }
            if mustStop(used) {
                hasMore = used < bytes.count
                return .mustStop
            }
            if traffic.pointee.isPaused { return .paused }
        }
        return .done
    }

    /// After a command: whether the next one has to wait.
    @inline(__always)
    private func mustStop(_ used: Int) -> Bool {
        parser.limits.isUnauthenticated = session.mustAuthenticate
        if session.closeAfterReplies { isClosing = true }
        return isClosing || session.waiting != nil || used >= Self.sliceBytes || unsentBytes > Self.outputBound
    }

    private func fail(_ error: ProtocolError, _ rest: Bytes) {
        let start = session.output.pointee.count
        var line = error.line
        line.withUTF8 {
            session.reply.error(Bytes($0))
            server.engine.count(errorLine: Bytes($0))
        }
        server.engine.regate(session, start)
        isClosing = true
        server.noteProtocolError(self, error, rest)
    }

    /// After anything that changed the state: output, interest, more execution or the end follow from it in `flush`.
    @inline(__always)
    private func settle() {
        traffic.pointee.enqueueFlush(self)
        if hasMore { continueSoon() }
    }

    /// Kept input that may be executed is executed: a slice in this round, the next in the following one.
    func continueSoon() {
        guard isOpen, hasMore, !isResuming, !isHeldBack else { return }
        isResuming = true
        server.resumingConnections.append(self)
    }

    /// Executes the next slice of kept input.
    func executeKept() {
        isResuming = false
        guard isOpen, !isHeldBack else { return }
        let used = process(Bytes(rebasing: input.bytes[inputStart...]))
        inputStart += used
        if inputStart == input.count || isClosing {
            inputStart = 0
            input.removeAll(keeping: 16)
        } else if needed > 0 || inputStart >= input.count / 2 {
            input.dropFirst(inputStart)
            inputStart = 0
        }
        settle()
    }

    package func resumeInput() { continueSoon() }

    /// CLIENT PAUSE is over.
    func pauseEnded() {
        isPaused = false
        continueSoon()
    }

    // MARK: The end

    package func outputReady() { traffic.pointee.enqueueFlush(self) }

    /// Takes no more requests and ends when the replies are out.
    package func closeSoon() {
        isClosing = true
        traffic.pointee.enqueueFlush(self)
    }

    /// Ends at the end of the round; what is unsent is lost. May be called at any time.
    package func kill() {
        isKilled = true
        traffic.pointee.enqueueFlush(self)
    }

    /// Ends at once. Not from within the connection's own command.
    func closeNow() {
        guard isOpen else { return }
        leave()
        Glibc.close(descriptor)
    }

    /// All replies are with the kernel: FIN follows them.
    func finish() {
        guard isOpen else { return }
        if let stream, !saysEnd(stream) { return }
        leave()
        if hasEnded {
            Glibc.close(descriptor)
        } else {
            server.lingering.append(Lingering(server, descriptor: descriptor))
        }
    }

    private func leave() {
        isOpen = false
        server.loop.remove(self)
        if let stream { sr_tls_stream_free(stream) }
        stream = nil
        input.removeAll(keeping: 16)
        hasMore = false
        session.link = nil
        if session.isQueuedForFlush { server.departedConnections.append(self) }
        server.disconnected(self)
    }
}
