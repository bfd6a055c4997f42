import Engine
import Primitives
#if canImport(Glibc)
import Glibc
#endif

// Where the server listens: `bind` × `port`, `bind` × `tls-port`, and `unixsocket`.

extension Lifecycle {
    /// Opens everything that is configured. False: something failed, and was logged; what was opened stays so.
    func listen() -> Bool {
        do throws(ConfigurationError) {
            try core.encryption.configure()
        } catch {
            core.log.write(.warning, "Failed to configure TLS: \(error.text)")
            return false
        }
        guard listenTCP(.tcp) else {
            core.log.write(.warning, "Failed listening on port \(configuration.port) (tcp), aborting.")
            return false
        }
        guard listenTCP(.tls) else {
            core.log.write(.warning, "Failed listening on port \(configuration.tls.port) (tls), aborting.")
            return false
        }
        guard listenUnix() else { return false }
        if tcpListeners.isEmpty && tlsListeners.isEmpty && unixListener == nil {
            core.log.write(.warning, "Configured to not listen anywhere, exiting.")
            return false
        }
        return true
    }

    private func listenTCP(_ kind: ConnectionKind) -> Bool {
        let port = kind == .tls ? configuration.tls.port : configuration.port
        if port == 0 { return true }
        for address in configuration.bind {
            do throws(SocketError) {
                let listener = try Listener.listenTCP(core, host: address.host, port: port, kind,
                                                      backlog: configuration.tcpBacklog)
                mark(listener)
                if kind == .tls { tlsListeners.append(listener) } else { tcpListeners.append(listener) }
            } catch {
                if address.isOptional && error.meansNoSuchAddress { continue }
                core.log.write(.warning, "Warning: Could not create server TCP listening socket "
                    + "\(address.host):\(port): \(error)")
                return false
            }
        }
        return true
    }

    /// `socket-mark-id`: for the firewall, also on what is accepted.
    private func mark(_ listener: Listener) {
        if configuration.socketMarkId == 0 { return }
        let mark = Int32(truncatingIfNeeded: configuration.socketMarkId)
        if !Socket.set(listener.descriptor, SOL_SOCKET, SO_MARK, mark) {
            core.log.write(.warning, "Failed to mark a listening socket: \(String(cString: strerror(errno)))")
        }
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
    func listenAnew(_ kind: ConnectionKind) -> Bool {
        stopListening(kind)
        if listenTCP(kind) { return true }
        stopListening(kind)
        return false
    }

    private func stopListening(_ kind: ConnectionKind) {
        for listener in kind == .tls ? tlsListeners : tcpListeners { listener.close() }
        if kind == .tls { tlsListeners = [] } else { tcpListeners = [] }
    }

    /// Settings of TLS that change: the files are read anew, and connections that are there stay as they are.
    func followEncryption() {
        let names = [
            "tls-cert-file", "tls-key-file", "tls-key-file-pass", "tls-client-cert-file", "tls-client-key-file",
            "tls-client-key-file-pass", "tls-dh-params-file", "tls-ca-cert-file", "tls-ca-cert-dir", "tls-protocols",
            "tls-ciphers", "tls-ciphersuites", "tls-auth-clients", "tls-prefer-server-ciphers", "tls-session-caching",
            "tls-session-cache-size", "tls-session-cache-timeout", "tls-cluster", "tls-replication", "tls-port",
        ]
        configuration.onChange(names) { core throws(ConfigurationError) in
            do throws(ConfigurationError) {
                try core.encryption.configure()
            } catch {
                core.log.write(.warning, "Failed to configure TLS: \(error.text)")
                throw ConfigurationError("Unable to update TLS configuration. \(error.text)")
            }
        }
        configuration.onChange("tls-port") { core throws(ConfigurationError) in
            guard core.lifecycle.listenAnew(.tls) else {
                throw ConfigurationError("Unable to listen on this port. Check server logs.")
            }
            core.lifecycle.showTitle()
        }
    }

    /// One line a kind of listener, in redis-server's words: many a script waits for them.
    func announceReadiness() {
        if !tcpListeners.isEmpty { core.log.write(.notice, "Ready to accept connections tcp") }
        if unixListener != nil { core.log.write(.notice, "Ready to accept connections unix") }
        if !tlsListeners.isEmpty { core.log.write(.notice, "Ready to accept connections tls") }
    }

    // MARK: Who is let in

    /// Protected mode: without a password only this machine's clients are welcome.
    func refuseStrangers() {
        core.refusal = { [unowned core] host, isUnix in
            guard core.configuration.protectedMode, !isUnix,
                  core.engine.access.defaultUser.rules.needsNoPassword else { return nil }
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
