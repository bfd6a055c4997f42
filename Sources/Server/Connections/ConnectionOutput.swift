import Engine
import Glibc
import Primitives

// Replies out: written from the session's output at the end of the round, as far as the gates and the kernel allow.

/// `client-output-buffer-limit` of one class, in bytes and seconds; 0: no limit.
package struct OutputLimit: Sendable, Equatable {
    package var hardBytes: Int
    package var softBytes: Int
    package var softSeconds: Int
    package init(hardBytes: Int, softBytes: Int, softSeconds: Int) {
        self.hardBytes = hardBytes
        self.softBytes = softBytes
        self.softSeconds = softSeconds
    }
}

/// What clients may take; the configuration's directives of these names.
package struct ConnectionLimits: Sendable {
    /// `maxclients`
    package var maximumClients = 10_000
    /// `timeout`, seconds; 0: never.
    package var idleSeconds = 0
    /// `tcp-keepalive`, seconds; 0: no probes.
    package var keepaliveSeconds = 300
    /// `client-query-buffer-limit`
    package var queryBufferBytes = 1 << 30
    /// `client-output-buffer-limit`
    package var normalOutput = OutputLimit(hardBytes: 0, softBytes: 0, softSeconds: 0)
    package var replicaOutput = OutputLimit(hardBytes: 256 << 20, softBytes: 64 << 20, softSeconds: 60)
    package var pubsubOutput = OutputLimit(hardBytes: 32 << 20, softBytes: 8 << 20, softSeconds: 60)
    package init() {}

    package func output(_ kind: ClientKind) -> OutputLimit {
        switch kind {
        case .normal: normalOutput
        case .replica: replicaOutput
        case .pubsub: pubsubOutput
        }
    }
}

extension Connection {
    /// Reply bytes that the kernel has not taken yet.
    @inline(__always)
    package var unsentBytes: Int { session.output.pointee.count - session.sentCount }

    /// So many bytes are sent at once whatever the limits say; Redis does not count its first 16 KB either.
    private static var unlimitedOutput: Int { 16 << 10 }

    /// Whose limits it is held to.
    var kind: ClientKind {
        session.kind == .normal && !session.subscriptions.isEmpty ? .pubsub : session.kind
    }

    /// Sends what the gates let go, and draws the conclusions; true if replies remain behind a gate.
    func flush(_ acknowledged: LogOffset) -> Bool {
        guard isOpen && !rests else { return false }
        if isKilled {
            closeNow()
            return false
        }
        let ready = releasable(acknowledged)
        // Before sending: what was sent may be dropped from the output, and then its offsets are others.
        let remainsGated = ready < session.output.pointee.count
        // Before sending, too: whether a reply is too long must not depend on how fast its reader is.
        if unsentBytes > Self.unlimitedOutput && isOverOutputLimit() {
            server.noteOutputLimit(self)
            closeNow()
            return false
        }
        if ready > session.sentCount && !awaitsRoom && !transmit(ready) { return false }
        if session.output.pointee.isEmpty {
            overSoftLimitSince = nil
            if isClosing || (hasEnded && !hasMore) {
                finish()
                return false
            }
        } else if isOverOutputLimit() {
            server.noteOutputLimit(self)
            closeNow()
            return false
        }
        if hasMore { continueSoon() }
        updateInterest()
        return remainsGated
    }

    /// Bytes at the front of the output that the gates let go.
    @inline(__always)
    func releasable(_ acknowledged: LogOffset) -> Int {
        session.releasable(session.durability == .standard ? acknowledged
                           : server.engine.acknowledged(for: session.durability))
    }

    /// Gives bytes to the peer; as `send`.
    @inline(__always)
    private func give(_ bytes: UnsafeMutableRawPointer, _ count: Int) -> Int {
        if isSpecial { return giveSpecially(bytes, count) }
        return send(descriptor, bytes, count, Int32(MSG_NOSIGNAL))
    }

    /// Writes the output up to `end`; false if the peer is gone.
    private func transmit(_ end: Int) -> Bool {
        let count = end - session.sentCount
        let taken = give(session.output.pointee.base + session.sentCount, count)
        if taken < 0 {
            if errno == EAGAIN || errno == EINTR {
                awaitsRoom = true
                return true
            }
            closeNow()
            return false
        }
        traffic.pointee.statistics.outputBytes &+= taken
        traffic.pointee.statistics.writes &+= 1
        session.sent(taken)
        awaitsRoom = taken < count
        return true
    }

    /// The kernel takes more.
    func roomReady() {
        awaitsRoom = false
        traffic.pointee.enqueueFlush(self)
    }

    @inline(__always)
    private func updateInterest() {
        var wanted: LoopEvents = awaitsRoom ? .write : []
        let isFull = hasMore && pendingInput > Self.heldInputBound
        if !hasEnded && !isClosing && !isFull { wanted.insert(.read) }
        if stream != nil { wanted = encryptedInterest(wanted) }
        if interest != wanted { server.loop.change(self, to: wanted) }
    }

    /// Asked after each flush and once a second.
    @inline(__always)
    func isOverOutputLimit() -> Bool {
        session.output.pointee.isEmpty ? false : measureOutput()
    }

    private func measureOutput() -> Bool {
        let limit = server.connectionLimits.output(kind)
        let unsent = unsentBytes
        if session.mustAuthenticate && unsent > Self.strangersOutputBound { return true }
        if limit.hardBytes > 0 && unsent > limit.hardBytes { return true }
        guard limit.softBytes > 0, unsent > limit.softBytes else {
            overSoftLimitSince = nil
            return false
        }
        let now = server.engine.keyspace.now
        guard let since = overSoftLimitSince else {
            overSoftLimitSince = now
            return false
        }
        return now.rawValue - since.rawValue > Int64(limit.softSeconds) * 1000
    }

    /// Once a second: gives back buffers that a silent client does not need. A client that is busy keeps its own.
    func shrinkBuffers() {
        if session.output.pointee.isEmpty { session.output.pointee.removeAll(keeping: 256) }
        noteOutputCapacity()
    }

    /// Counts when the output's room is another than it was when last seen.
    func noteOutputCapacity() {
        let capacity = session.output.pointee.capacity
        if capacity > notedOutputCapacity { server.control.replyBufferExpands += 1 }
        if capacity < notedOutputCapacity { server.control.replyBufferShrinks += 1 }
        notedOutputCapacity = capacity
    }
}
