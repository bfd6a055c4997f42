import Commands
import Keyspace
import Primitives
import RESP

// Clients that wait for a key (BLPOP, BZPOPMIN, XREAD BLOCK …).
//
// A handler that finds nothing asks to `block`. The session is parked with a copy of its command; any change of one
// of its keys marks the key as ready, and after the command (or transaction) that did it, the waiting commands are
// run again, oldest first. A command that asks to block again stays parked in its place. So a waiting command has
// no second implementation.

extension Engine {
    func park(_ session: Session, _ id: Int, _ arguments: Arguments) {
        guard let request = effects.pointee.block else { return }
        let retryAt = request.retryMilliseconds == 0 ? nil
            : UnixMilliseconds(keyspace.now.rawValue &+ request.retryMilliseconds)
        if let retryAt { earliestDeadline = min(earliestDeadline ?? retryAt, retryAt) }
        if session.waiting != nil {
            session.waiting?.retryAt = retryAt
            return
        }
        var keys: [KeyName] = []
        for index in request.firstKey..<(request.firstKey + request.keyCount) {
            let name = KeyName(arguments[index], session.database)
            if !keys.contains(name) { keys.append(name) }
        }
        if keys.isEmpty { keys.append(.keyless) }
        let deadline = request.timeoutMilliseconds == 0 ? nil
            : UnixMilliseconds(keyspace.now.rawValue &+ request.timeoutMilliseconds)
        session.waiting = Waiting(command: storedCommand(id, arguments), keys: keys,
                                  timeoutReply: request.timeoutReply, deadline: deadline, since: keyspace.now,
                                  retryAt: retryAt)
        waitingCount += 1
        if let deadline { earliestDeadline = min(earliestDeadline ?? deadline, deadline) }
        for name in keys { waiters[name, default: []].append(session) }
    }

    /// The command as it is to be run again.
    private func storedCommand(_ id: Int, _ arguments: Arguments) -> StoredCommand {
        let replaced = effects.pointee.replacedArguments.bytes
        if replaced.isEmpty { return StoredCommand(id: id, arguments) }
        var ranges = (0..<arguments.count).map { arguments[$0] }
        var offset = 0
        while offset < replaced.count {
            let index = Int(replaced.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
            let length = Int(replaced.loadUnaligned(fromByteOffset: offset + 4, as: UInt32.self))
            ranges[index] = Bytes(rebasing: replaced[(offset + 8)..<(offset + 8 + length)])
            offset += 8 + length
        }
        return ranges.withUnsafeBufferPointer { buffer in
            StoredCommand(id: id, buffer.baseAddress.map { Arguments(base: $0, count: buffer.count) } ?? arguments)
        }
    }

    /// Forgets what the session waits for.
    package func unpark(_ session: Session) {
        guard let waiting = session.waiting else { return }
        session.waiting = nil
        waitingCount -= 1
        for name in waiting.keys {
            waiters[name]?.removeAll { $0 === session }
            if waiters[name]?.isEmpty == true { waiters[name] = nil }
        }
    }

    /// Runs waiting commands whose keys changed, until no change is left unanswered.
    package func serveReadyKeys() {
        isServing = true
        defer { isServing = false }
        while !readyKeys.isEmpty {
            let keys = readyKeys
            readyKeys.removeAll(keepingCapacity: true)
            for name in keys {
                for session in waiters[name] ?? [] where concerns(name, session) { retry(session) }
            }
        }
    }

    /// Whether a change of a key can be what a session waits for: a client that waits for a list goes on waiting while
    /// there is none, or something else. XREADGROUP alone wants to know that its stream is gone.
    private func concerns(_ name: KeyName, _ session: Session) -> Bool {
        guard name != .keyless, let waiting = session.waiting else { return true }
        let wanted: ValueType
        switch table.commands[waiting.command.id].group {
        case .list: wanted = .list
        case .sortedSet: wanted = .sortedSet
        case .stream:
            if table.rows[waiting.command.id].fullName == "xreadgroup" { return true }
            wanted = .stream
        case .generic, .string, .set, .hash, .pubsub, .transactions, .connection, .server, .scripting,
             .hyperloglog, .cluster, .sentinel, .geo, .bitmap, .module: return true
        }
        return name.key.withUnsafeBytes { key in
            keyspace.databases[name.database].keys.find(key).map { Entry($0).type == wanted } ?? false
        }
    }

    private func retry(_ session: Session) {
        guard let waiting = session.waiting else { return }
        if refuseRetry(session, waiting) {
            release(session)
            return
        }
        let before = current, began = latencyMonitor.isOn ? monotonicNow : 0
        current = session
        run(session, waiting.command.id, waiting.command.arguments, raw: nil, isRetry: true, mayBlock: true)
        current = before
        if began != 0 { noteLatency("command-unblocking", since: began) }
        if effects.pointee.block != nil { return }
        release(session)
    }

    /// What a client was allowed to wait for may be forbidden by now.
    private func refuseRetry(_ session: Session, _ waiting: Waiting) -> Bool {
        guard session.isRestricted,
              let refusal = checkAccess(waiting.command.id, session, waiting.command.arguments) else { return false }
        let start = session.output.pointee.count
        writeError(refusal, table.commands + waiting.command.id, session)
        regate(session, start)
        return true
    }

    /// The session's wait is over; its reply is in its output.
    private func release(_ session: Session) {
        unpark(session)
        session.link?.outputReady()
        session.link?.resumeInput()
    }

    /// Answers waiting sessions whose deadline has passed, runs those again that wanted to look again, and notes the
    /// earliest time of the others.
    package func expireWaiters() {
        earliestDeadline = nil
        guard waitingCount > 0 else { return }
        var late: [ObjectIdentifier: Session] = [:]
        for (name, sessions) in waiters {
            for session in sessions {
                guard let waiting = session.waiting else { continue }
                if let deadline = waiting.deadline, deadline <= keyspace.now {
                    late[ObjectIdentifier(session)] = session
                    continue
                }
                if let retryAt = waiting.retryAt, retryAt <= keyspace.now {
                    if !readyKeys.contains(name) { readyKeys.append(name) }
                }
                for time in [waiting.deadline, waiting.retryAt] {
                    guard let time, time > keyspace.now else { continue }
                    earliestDeadline = min(earliestDeadline ?? time, time)
                }
            }
        }
        for session in late.values.sorted(by: { $0.id < $1.id }) { endWait(session, error: nil) }
        if !readyKeys.isEmpty && !isServing { serveReadyKeys() }
    }

    /// Ends a wait with its timeout reply, or with an error line (CLIENT UNBLOCK … ERROR).
    package func endWait(_ session: Session, error: StaticString?) {
        guard let waiting = session.waiting else { return }
        let start = session.output.pointee.count
        if let error {
            session.reply.error(error)
            count(errorLine: error.bytes)
        } else {
            switch waiting.timeoutReply {
            case .nullArray: session.reply.nullArray()
            case .custom: runLast(session, waiting)
            }
        }
        regate(session, start)
        release(session)
    }

    /// The command answers its timeout itself: it is run once more and may not wait.
    private func runLast(_ session: Session, _ waiting: Waiting) {
        if refuseRetry(session, waiting) { return }
        let before = current
        current = session
        run(session, waiting.command.id, waiting.command.arguments, raw: nil, isRetry: true, mayBlock: false)
        current = before
    }

    /// Commands that wait for something other than a key (WAIT, WAITAOF) look again: replicas or the log moved on.
    package func retryKeylessWaiters() {
        guard waitingCount > 0, waiters[.keyless] != nil else { return }
        if !readyKeys.contains(.keyless) { readyKeys.append(.keyless) }
        if !isServing { serveReadyKeys() }
    }

    /// The connection is gone.
    package func forget(_ session: Session) {
        if current === session { current = ownSession }
        unpark(session)
        unwatchAll(session)
        unsubscribeAll(session)
        stopTracking(session)
    }
}
