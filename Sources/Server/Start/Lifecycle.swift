import Engine
import Primitives
import Synchronization
#if canImport(Glibc)
import Glibc
#endif

/// The process around the server: where it listens, its regular work, and its way to the end.
package final class Lifecycle {
    unowned let core: ServerCore
    var configuration: Configuration { core.configuration }

    package let startedAt = UnixMilliseconds.now()
    /// Absolute path of the program.
    package let executable = Lifecycle.executablePath()

    package var tcpListeners: [Listener] = []
    package var tlsListeners: [Listener] = []
    package var unixListener: Listener?
    var metrics: MetricsListener?

    /// Turns of the cron in a second: `hz`, or more with many clients and `dynamic-hz`.
    package private(set) var hz = 10
    var cronSteps: [() -> Void] = []
    /// Zero counters for CONFIG RESETSTAT.
    package var statisticsResets: [() -> Void] = []

    // The end (Shutdown.swift).

    /// Makes all data durable; false: the process must not end. Given by whoever keeps data on the disk.
    package var prepareShutdown: (_ save: Bool, _ force: Bool) -> Bool = { _, _ in true }
    /// Replicas that lack some of what was written. Given by replication.
    package var laggingReplicas: () -> Int = { 0 }
    /// All replicas that are connected. Given by replication.
    package var replicaCount: () -> Int = { 0 }
    package internal(set) var pendingShutdown: PendingShutdown?

    /// `oom_score_adj` as the process was started with.
    package var oomScoreBase = 0
    package var supervisor = Supervisor()
    var signals: SignalThread?

    init(_ core: ServerCore) { self.core = core }

    // MARK: The beginning

    /// Opens sockets and makes the process what the settings say. False: the server can't start, and the log says why.
    func begin() -> Bool {
        if let path = pidFile, !Daemon.writePidFile(path) {
            core.log.write(.notice, "Failed to write PID file: \(String(cString: strerror(errno)))")
        }
        guard applyLocale() else {
            core.log.write(.warning, "Failed to configure LOCALE for invalid locale name.")
            return false
        }
        refuseStrangers()
        guard listen(), listenForMetrics() else { return false }
        core.startIOThreads()
        followSettings()
        startDiagnosis()
        showTitle()
        if !applyOOMScore() { core.log.write(.warning, "Unable to write oom_score_adj") }
        waitForSignals()
        return true
    }

    /// All data is there.
    func beReady() {
        updateReplicaRefusal()
        signals?.isLoading.store(false, ordering: .relaxed)
        announceReadiness()
        supervisor.isReady()
    }

    private func waitForSignals() {
        // Lives as long as the process, and is touched on the engine's thread alone.
        nonisolated(unsafe) unowned let lifecycle = self
        let thread = SignalThread(core.loop, core.log) { lifecycle.signalled($0) }
        thread.isLoading.store(true, ordering: .relaxed)
        thread.start()
        signals = thread
    }

    private func signalled(_ number: Int32) {
        let options = number == SIGINT ? configuration.shutdownOnSigint : configuration.shutdownOnSigterm
        if shutDown(options, nil) == .refused {
            core.log.write(.warning, "Errors trying to shut down the server. Check the logs for more information.")
            signals?.refused()
        }
    }

    // MARK: Turn by turn

    func adjustFrequency() { hz = wantedFrequency }

    var frequencyIsOld: Bool { hz != wantedFrequency }

    /// More turns when there are many clients to look after, so that each turn stays short.
    private var wantedFrequency: Int {
        var wanted = configuration.hz
        while configuration.dynamicHz && wanted < 500 && core.connections.count / wanted > 200 {
            wanted = min(wanted * 2, 500)
        }
        return wanted
    }

    func cron() {
        supervisor.giveSign()
        core.log.refreshTimeZone()
        if pendingShutdown != nil { continueShutdown() }
    }

    private static func executablePath() -> String {
        guard let path = realpath("/proc/self/exe", nil) else { return CommandLine.arguments.first ?? "" }
        defer { free(path) }
        return String(cString: path)
    }
}
