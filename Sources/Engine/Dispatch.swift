import Commands
import Keyspace
import Primitives
import RESP

// The gates before a command, in order; each may refuse. A refused command changed nothing.

extension Engine {
    /// nil: the command may run (or be queued).
    @inline(__always)
    package func admit(_ id: Int, _ session: Session, _ arguments: Arguments) -> CommandError? {
        let command = table.commands + id
        if let error = checkArity(command, arguments) { return error }
        let flags = command.pointee.flags
        if session.isRestricted, let error = checkAccess(id, session, arguments) { return error }
        if !session.subscriptions.isEmpty, let error = checkListening(id, session) { return error }
        if session.inMulti, flags.contains(.noMulti) {
            return .text("ERR Command not allowed inside a transaction")
        }
        if let error = checkMemory(id, session, flags) { return error }
        if state.refusesWrites, let error = checkWritable(id, flags) { return error }
        if state.isHindered, let error = checkHindrance(flags) { return error }
        return nil
    }

    @inline(__always)
    private func checkArity(_ command: UnsafePointer<Command>, _ arguments: Arguments) -> CommandError? {
        // As Command.takes, which would copy the record here, and count its references: for every command.
        let arity = command.pointee.arity
        if arity > 0 ? arguments.count == arity : arguments.count >= -arity { return nil }
        return .wrongArity
    }

    /// OOM: nothing that needs memory, and nothing more is queued, while there is none. EXEC needs memory if one of
    /// its commands does.
    @inline(__always)
    private func checkMemory(_ id: Int, _ session: Session, _ flags: CommandFlags) -> CommandError? {
        if eviction.limit == 0 || isInUnit || !memoryIsExhausted() { return nil }
        let needsMemory = flags.contains(.denyoom) || session.inMulti && (
            !runsInsideMulti(id)
                || table.rows[id].fullName == "exec"
                && session.queue.contains { table.commands[$0.id].flags.contains(.denyoom) })
        return needsMemory ? .text("OOM command not allowed when used memory > 'maxmemory'.") : nil
    }

    /// MISCONF: what cannot be made durable is not accepted. PING tells it to those that watch over the server.
    private func checkWritable(_ id: Int, _ flags: CommandFlags) -> CommandError? {
        if flags.contains(.write) { return state.refusal }
        guard table.rows[id].fullName == "ping" else { return nil }
        if let line = state.writeRefusal { return .message(line) }
        if let line = state.snapshotRefusal { return .text(line) }
        return nil
    }

    /// A RESP2 client that listens can't tell replies from messages: it may only go on or stop listening.
    private func checkListening(_ id: Int, _ session: Session) -> CommandError? {
        if session.version == .resp3 { return nil }
        switch table.rows[id].fullName {
        case "ping", "subscribe", "unsubscribe", "psubscribe", "punsubscribe", "ssubscribe", "sunsubscribe", "quit",
             "reset":
            return nil
        case let name:
            return .message("""
                ERR Can't execute '\(name)': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed \
                in this context
                """)
        }
    }

    private func checkHindrance(_ flags: CommandFlags) -> CommandError? {
        if state.isBusy && !flags.contains(.allowBusy) { return scripts.busyError }
        if flags.contains(.loading) || !state.isLoading { return nil }
        return .message("LOADING Redis is loading the dataset in memory (\(state.loadedPercent) %)")
    }

    /// Inside MULTI everything is queued but what ends or guards the transaction.
    package func runsInsideMulti(_ id: Int) -> Bool {
        switch table.commands[id].group {
        case .transactions: return table.rows[id].fullName != "unwatch"
        case .connection: return table.rows[id].fullName == "quit" || table.rows[id].fullName == "reset"
        default: return false
        }
    }
}
