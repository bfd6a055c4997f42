import Engine
import Primitives
#if canImport(Glibc)
import Glibc
#endif

// Where the server listens: `bind` × `port`, and `unixsocket`.

extension Lifecycle {
    /// Opens everything that is configured. False: something failed, and was logged; what was opened stays so.
    func listen() -> Bool {
        guard listenTCP() else {
            core.log.write(.warning, "Failed listening on port \(configuration.port) (tcp), aborting.")
            return false
        }
        guard listenUnix() else { return false }
        if tcpListeners.isEmpty && unixListener == nil {
            core.log.write(.warning, "Configured to not listen anywhere, exiting.")
            return false
        }
        return true
    }

    private func listenTCP() -> Bool {
        if configuration.port == 0 { return true }
        for address in configuration.bind {
            do throws(SocketError) {
                tcpListeners.append(try Listener.listenTCP(core, host: address.host, port: configuration.port,
                                                           backlog: configuration.tcpBacklog))
            } catch {
                if address.isOptional && error.meansNoSuchAddress { continue }
                core.log.write(.warning, "Warning: Could not create server TCP listening socket "
                    + "\(address.host):\(configuration.port): \(error)")
                return false
            }
        }
        return true
    }

    private func listenUnix() -> Bool {
        if configuration.unixsocket.isEmpty { return true }
        do throws(SocketError) {
            unixListener = try Listener.listenUnix(core, path: configuration.unixsocket,
                                                   permissions: configuration.unixsocketperm,
                                                   backlog: configuration.tcpBacklog)
            core.unixSocketPath = configuration.unixsocket
            return true
        } catch {
            core.log.write(.warning, "Failed opening Unix socket: \(error)")
            return false
        }
    }

    /// CONFIG SET bind or port: the old addresses are given up first, for the new ones may overlap with them.
    func listenAnew() -> Bool {
        for listener in tcpListeners { listener.close() }
        tcpListeners = []
        if listenTCP() { return true }
        for listener in tcpListeners { listener.close() }
        tcpListeners = []
        return false
    }

    /// One line a kind of listener, in redis-server's words: many a script waits for them.
    func announceReadiness() {
        if !tcpListeners.isEmpty { core.log.write(.notice, "Ready to accept connections tcp") }
        if unixListener != nil { core.log.write(.notice, "Ready to accept connections unix") }
    }

    // MARK: Who is let in

    /// Protected mode: without a password only this machine's clients are welcome.
    func refuseStrangers() {
        core.refusal = { [unowned core] host, isUnix in
            guard core.configuration.protectedMode, core.engine.requiredPassword.isEmpty, !isUnix else { return nil }
            if let host, host.hasPrefix("127.") || host == "::1" || host.hasPrefix("::ffff:127.") { return nil }
            return Lifecycle.protectedModeLine
        }
    }

    private static let protectedModeLine = """
        -DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the \
        default user. In this mode connections are only accepted from the loopback interface. To let other machines \
        in, do one of the following: 1) Set a password for the default user ('requirepass'). 2) If nobody else can \
        reach this port, send 'CONFIG SET protected-mode no' from the server's own machine, and 'CONFIG REWRITE' to \
        make that last. 3) Put 'protected-mode no' into the configuration file, or start the server with \
        '--protected-mode no'.\r\n
        """
}

extension SocketError {
    /// This machine has no such address, or no such kind of addresses.
    var meansNoSuchAddress: Bool { code == EADDRNOTAVAIL || code == EAFNOSUPPORT || code == EPROTONOSUPPORT }
}
