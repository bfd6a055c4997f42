import CShims
import Commands
import Engine
import Keyspace
import Primitives
#if canImport(Glibc)
import Glibc
#endif

// A start, step by step. Lines of the log come in redis-server's order and words, for scripts wait for them:
// `… is starting`, `Configuration loaded`, the mode or the logo (with ` PID: n`), `Server initialized` before any data
// is loaded, `Ready to accept connections` when all of it is.
//
//     configuration → log → daemon → limits → engine → sockets → data → ready
//
// Sockets are opened before data is loaded: a port that is taken is told at once, and clients are answered -LOADING.

package struct Startup {
    let commandLine: CommandLineArguments
    private(set) var table: CommandTable
    let configuration: Configuration
    let log: ServerLog
    let oomScoreBase = OOMScore.read()
    let supervisor: Supervisor

    /// Reads the configuration and readies the log, or ends the process.
    init(_ arguments: [String]) {
        commandLine = CommandLineArguments(arguments)
        Self.answer(commandLine.request)
        table = CommandTable(AllCommands.families)
        configuration = Configuration()
        log = ServerLog()
        do throws(ConfigurationFileError) {
            try configuration.load(commandLine, table)
        } catch {
            FileHandleText.write(error.report, to: STDERR_FILENO)
            exit(1)
        }
        if !configuration.renamedCommands.isEmpty {
            table = CommandTable(table, renaming: configuration.renamedCommands)
        }
        supervisor = Supervisor(configuration.supervised)
        openLog()
        checkSettings()
    }

    private static func answer(_ request: CommandLineArguments.Request) {
        switch request {
        case .serve: return
        case .version: FileHandleText.write(ServerVersion.line + "\n", to: STDOUT_FILENO)
        case .help: FileHandleText.write(ServerVersion.usage, to: STDERR_FILENO)
        case .checkSystem: exit(SystemCheck.report())
        case .testMemory:
            FileHandleText.write("This server has no memory test; memtester(8) is one.\n", to: STDERR_FILENO)
            exit(1)
        }
        exit(request == .help ? 1 : 0)
    }

    private func openLog() {
        if !configuration.logfile.isEmpty {
            log.path = WorkingDirectory.absolute(configuration.logfile)
            let descriptor = open(log.path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o644)
            if descriptor < 0 { refuse("Can't open the log file: \(String(cString: strerror(errno)))") }
            close(descriptor)
        }
        log.follow(configuration)
        if configuration.syslogEnabled {
            Syslog.open(configuration.syslogIdent, facility: configuration.syslogFacility)
            log.writesToSyslog = true
        }
    }

    /// What can't be done with these settings is refused here, rather than ignored.
    private func checkSettings() {
        for (isAsked, reason) in missing where isAsked { refuse(reason) }
        if let module = configuration.modules.first {
            log.write(.warning, "Can't load module from \(module[0]): server aborting")
            exit(1)
        }
        if configuration.clusterEnabled && configuration.replicaof != nil {
            refuse("replicaof directive not allowed in cluster mode")
        }
        if !configuration.aclfile.isEmpty && !configuration.users.isEmpty {
            log.write(.warning, "Configuring Redis with users defined in redis.conf and at the same setting an ACL "
                + "file path is invalid. This setup is very likely to lead to configuration errors.")
            exit(1)
        }
    }

    /// Whoever builds one of these removes its line.
    private var missing: [(isAsked: Bool, reason: String)] { [
        (configuration.clusterEnabled, "cluster-enabled: this server does not form clusters"),
        (configuration.replicaof != nil, "replicaof: this server does not replicate"),
    ] }

    private func refuse(_ reason: String) -> Never {
        FileHandleText.write("\n*** FATAL CONFIG FILE ERROR (Redis \(ServerVersion.redis)) ***\n\(reason)\n",
                             to: STDERR_FILENO)
        exit(1)
    }

    // MARK: The process

    func prepareProcess() {
        sr_prepare_process_title(CommandLine.argc, CommandLine.unsafeArgv)
        SignalThread.block()
        chooseProcessors()
        if configuration.daemonize && supervisor.kind == .no { Daemon.detach(log) }
        announce()
        supervisor.begin(log)
        if configuration.disableThp { _ = sr_disable_huge_pages() }
        SystemCheck.warn(log, backlog: configuration.tcpBacklog, turnsHugePagesOff: configuration.disableThp)
        let clients = ResourceLimits.makeRoom(forClients: configuration.maxclients, log)
        if clients < configuration.maxclients {
            log.write(.warning, "You requested maxclients of \(configuration.maxclients), which the limit of open "
                + "files does not allow. maxclients has been reduced to \(clients) to compensate for low ulimit. "
                + "If you need higher maxclients increase 'ulimit -n'.")
            configuration.maxclients = clients
        }
        log.write(.notice, "monotonic clock: POSIX clock_gettime")
    }

    /// Before other threads run: they inherit where this one does.
    private func chooseProcessors() {
        let lists: [(String, String, sr_runner)] = [
            ("server-cpulist", configuration.serverCpulist, sr_runs_server),
            ("bio-cpulist", configuration.bioCpulist, sr_runs_background),
            ("bgsave-cpulist", configuration.bgsaveCpulist, sr_runs_dump),
            ("aof-rewrite-cpulist", configuration.aofRewriteCpulist, sr_runs_rewrite),
        ]
        for (name, list, runner) in lists where !list.isEmpty {
            if sr_set_processors(runner, list) != 0 {
                log.write(.warning, "\(name) '\(list)' is no list of processors: ignored")
            }
        }
        let status = sr_run_as(sr_runs_server)
        if status != 0 {
            log.write(.warning, "server-cpulist can't be followed: \(String(cString: strerror(status)))")
        }
    }

    private func announce() {
        log.write(.notice, "oO0OoO0OoO0Oo Redis is starting oO0OoO0OoO0Oo")
        log.write(.notice, "Redis version=\(ServerVersion.redis), bits=\(Int.bitWidth), commit=00000000, modified=0, "
            + "pid=\(getpid()), just started")
        if commandLine.file == nil && !commandLine.readsStandardInput && commandLine.options.isEmpty {
            log.write(.warning, "Warning: no config file specified, using the default config. In order to specify a "
                + "config file use \(CommandLine.arguments.first ?? "swift-redis-server") /path/to/redis.conf")
        } else {
            log.write(.notice, "Configuration loaded")
        }
    }

    func showModeOrLogo() {
        let mode = configuration.clusterEnabled ? "cluster" : "standalone"
        let toTerminal = configuration.logfile.isEmpty && !configuration.syslogEnabled && isatty(STDOUT_FILENO) == 1
        if log.format == .legacy && (configuration.alwaysShowLogo || toTerminal) {
            log.writeRaw(Logo.text(mode: mode, port: configuration.port))
        } else {
            log.write(.notice, "Running mode=\(mode), port=\(configuration.port).")
        }
    }

    func makeCore() throws -> ServerCore {
        let engine = Engine(
            keyspace: Keyspace(databaseCount: configuration.databases, seed: .random(),
                               random: RandomSource(seed: .random(in: .min ... .max))), table: table)
        let core = ServerCore(engine: engine, loop: try EngineLoop(), configuration: configuration, log: log)
        core.lifecycle.oomScoreBase = oomScoreBase
        core.lifecycle.supervisor = supervisor
        return core
    }
}
