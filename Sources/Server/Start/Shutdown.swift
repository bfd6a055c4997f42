import Engine
import Primitives
#if canImport(Glibc)
import Glibc
#endif

// The end of the process, asked for by SHUTDOWN, SIGTERM or SIGINT.
//
//     asked → (replicas lag: writes pause, wait up to shutdown-timeout) → data durable → clients' last bytes → exit 0
//
// 1. The process ends only when what was acknowledged is durable, unless FORCE was said.
// 2. Between making data durable and the exit no command runs.
// 3. An end that was refused leaves the server as it was.

package struct PendingShutdown {
    package let options: ShutdownOptions
    /// Who waits for it with SHUTDOWN; nil: a signal.
    let session: Session?
    /// Unix time at which lagging replicas are waited for no longer.
    package let deadline: UnixMilliseconds
}

extension Lifecycle {
    enum Outcome { case refused, waiting }

    /// Ends the process, now or when replicas have what they lack. Returns only if it does not end now.
    func shutDown(_ options: ShutdownOptions, _ session: Session?) -> Outcome {
        if pendingShutdown == nil, !options.contains(.now), configuration.shutdownTimeout > 0, laggingReplicas() > 0 {
            let now = core.engine.keyspace.now
            let deadline = UnixMilliseconds(now.rawValue + Int64(configuration.shutdownTimeout) * 1000)
            pendingShutdown = PendingShutdown(options: options, session: session, deadline: deadline)
            core.pauseClients(.writes, until: UnixMilliseconds(Int64.max / 2))
            core.log.write(.notice, "Waiting for replicas before shutting down.")
            return .waiting
        }
        return finishShutdown(options)
    }

    /// At every turn of the cron while replicas are waited for.
    func continueShutdown() {
        guard let pending = pendingShutdown else { return }
        guard laggingReplicas() == 0 || core.engine.keyspace.now >= pending.deadline else { return }
        cancelShutdown()
        _ = finishShutdown(pending.options)
        if let session = pending.session { answerRefusal(session) }
        signals?.refused()
        core.log.write(.warning, "Errors trying to shut down the server. Check the logs for more information.")
    }

    /// SHUTDOWN ABORT. False: there is nothing to abort.
    func abortShutdown() -> Bool {
        guard let pending = pendingShutdown else { return false }
        cancelShutdown()
        core.log.write(.notice, "Shutdown manually aborted.")
        if let session = pending.session { answerRefusal(session) }
        return true
    }

    private func cancelShutdown() {
        pendingShutdown = nil
        core.unpauseClients()
    }

    private func answerRefusal(_ session: Session) {
        session.reply.error("ERR Errors trying to SHUTDOWN. Check logs.")
        session.link?.outputReady()
    }

    private func finishShutdown(_ options: ShutdownOptions) -> Outcome {
        core.log.write(.notice, "User requested shutdown...")
        supervisor.isStopping()
        let replicas = replicaCount()
        if replicas > 0 {
            core.log.write(.notice, "\(replicas - laggingReplicas()) of \(replicas) replicas are in sync when "
                + "shutting down.")
        }
        let isLoading = core.engine.state.isLoading
        let save = !isLoading && !options.contains(.nosave)
            && (options.contains(.save) || !configuration.saveParameters.isEmpty)
        guard isLoading || prepareShutdown(save, options.contains(.force)) else {
            supervisor.isReady()
            return .refused
        }
        closeListeners()
        removePidFile()
        core.takeLeaveOfClients()
        core.log.write(.warning, "Redis is now ready to exit, bye bye...")
        fflush(nil)
        // Not exit(3): threads still run, and nothing that it would call has anything left to do.
        _exit(0)
    }

    func removePidFile() {
        guard let path = pidFile else { return }
        core.log.write(.notice, "Removing the pid file.")
        unlink(path)
    }

    private func closeListeners() {
        for listener in tcpListeners + tlsListeners { listener.close() }
        if let unixListener {
            core.log.write(.notice, "Removing the unix socket file.")
            unixListener.close()
        }
    }
}

extension ServerCore {
    /// Sends every client what it is owed, then FIN. Unread input is taken from the kernel, for with some left its
    /// close would send RST, and the client might lose its last replies.
    func takeLeaveOfClients() {
        for connection in connections.values where connection.isOpen {
            _ = connection.flush(engine.acknowledged)
            guard connection.isOpen else { continue }
            shutdown(connection.descriptor, Int32(SHUT_WR))
            while read(connection.descriptor, readBuffer, Connection.sharedReadBytes) > 0 {}
        }
    }
}
