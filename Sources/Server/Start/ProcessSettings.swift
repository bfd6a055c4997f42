import CShims
import Engine
import Primitives
#if canImport(Glibc)
import Glibc
#endif

// Settings that act on the process and its sockets, at the start and when CONFIG SET changes them.

extension Lifecycle {
    func followSettings() {
        configuration.onChange("bind") { core throws(ConfigurationError) in
            guard core.lifecycle.listenAnew(.tcp), core.lifecycle.listenAnew(.tls) else {
                throw ConfigurationError("Failed to bind to specified addresses.")
            }
            core.lifecycle.showTitle()
        }
        configuration.onChange("port") { core throws(ConfigurationError) in
            guard core.lifecycle.listenAnew(.tcp) else {
                throw ConfigurationError("Unable to listen on this port. Check server logs.")
            }
            core.lifecycle.showTitle()
        }
        configuration.onChange("maxclients") { core throws(ConfigurationError) in
            let wanted = core.configuration.maxclients
            let possible = ResourceLimits.makeRoom(forClients: wanted, core.log)
            if possible < wanted {
                throw ConfigurationError("The operating system is not able to handle the specified number of clients, "
                    + "try with \(possible)")
            }
            core.lifecycle.copyConnectionLimits()
        }
        configuration.onChange("timeout", "tcp-keepalive", "client-query-buffer-limit", "client-output-buffer-limit") {
            core throws(ConfigurationError) in core.lifecycle.copyConnectionLimits()
        }
        configuration.onChange("oom-score-adj", "oom-score-adj-values") { core throws(ConfigurationError) in
            guard core.lifecycle.applyOOMScore() else {
                throw ConfigurationError("Failed to apply new oom_score_adj configuration, check server logs.")
            }
        }
        configuration.onChange("locale-collate") { core throws(ConfigurationError) in
            guard core.lifecycle.applyLocale() else { throw ConfigurationError("Invalid locale name") }
        }
        configuration.onChange("crash-log-enabled", "crash-memcheck-enabled", "use-exit-on-panic") {
            core throws(ConfigurationError) in CrashReport.apply(core)
        }
        configuration.onChange("metrics-port", "metrics-bind") { core throws(ConfigurationError) in
            guard core.lifecycle.listenForMetrics() else {
                throw ConfigurationError("Unable to listen on the metrics port. Check server logs.")
            }
        }
        configuration.onChange("min-replicas-to-write", "min-replicas-max-lag") { core throws(ConfigurationError) in
            core.lifecycle.updateReplicaRefusal()
        }
        configuration.onChange("proc-title-template") { core throws(ConfigurationError) in core.lifecycle.showTitle() }
        configuration.onChange("maxmemory-clients", "maxmemory") { core throws(ConfigurationError) in
            core.applyClientMemoryLimit()
        }
        followEncryption()
        core.applyClientMemoryLimit()
        copyConnectionLimits()
    }

    func copyConnectionLimits() {
        func limit(_ limit: OutputBufferLimit) -> OutputLimit {
            OutputLimit(hardBytes: limit.hard, softBytes: limit.soft, softSeconds: limit.softSeconds)
        }
        core.connectionLimits.maximumClients = configuration.maxclients
        core.connectionLimits.idleSeconds = configuration.timeout
        core.connectionLimits.keepaliveSeconds = configuration.tcpKeepalive
        core.connectionLimits.queryBufferBytes = configuration.clientQueryBufferLimit
        core.engine.longestQueueBytes = configuration.clientQueryBufferLimit
        core.connectionLimits.normalOutput = limit(configuration.clientOutputBufferLimits.normal)
        core.connectionLimits.replicaOutput = limit(configuration.clientOutputBufferLimits.replica)
        core.connectionLimits.pubsubOutput = limit(configuration.clientOutputBufferLimits.pubsub)
    }

    /// `min-replicas-to-write`: writes are refused while fewer replicas are there and up to date. None can be.
    func updateReplicaRefusal() {
        let isAsked = configuration.minReplicasToWrite > 0 && configuration.minReplicasMaxLag > 0
        core.engine.state.replicaRefusal = isAsked ? "NOREPLICAS Not enough good replicas to write." : nil
    }

    func applyOOMScore() -> Bool {
        OOMScore.apply(configuration, core.log.isReplica ? .replica : .primary, base: oomScoreBase)
    }

    /// Empty: as the environment says.
    func applyLocale() -> Bool { setlocale(LC_COLLATE, configuration.localeCollate) != nil }

    /// Tells of crashes, and of an engine that is stuck.
    func startDiagnosis() {
        let path = configuration.logfile.isEmpty ? "" : WorkingDirectory.absolute(core.log.path)
        sr_report_to(path, ServerVersion.redis, core.log.utcOffsetSeconds)
        CrashReport.apply(core)
        core.followWatchdogPeriod()
    }

    func showTitle() {
        guard configuration.setProcTitle else { return }
        let configuration = configuration
        let host = configuration.bind.first.map { $0.host } ?? "*"
        let listenedPort = configuration.listenedPort
        let title = ProcessTitle.expand(configuration.procTitleTemplate) { name in
            switch name {
            case "title": CommandLine.arguments.first ?? ""
            case "listen-addr":
                listenedPort != 0 ? "\(host):\(listenedPort)" : configuration.unixsocket
            case "server-mode": configuration.clusterEnabled ? "[cluster]" : ""
            case "port": "\(configuration.port)"
            case "tls-port": "\(configuration.tls.port)"
            case "unixsocket": configuration.unixsocket
            default: configuration.file ?? ""
            }
        }
        if let title { sr_set_process_title(title) }
    }
}
