import Engine
import Keyspace
import Primitives
import Storage

// Everything between the engine and the disk: the append-only log, snapshots, rewrites of the log, and what happens
// when the disk fails. All of it belongs to the engine's thread; the log's thread, the disk queue and the snapshot
// child work for it.
//
//     LogWiring.swift      records to the log at the end of a tick, replies out when they may; health of the log
//     LogRewrite.swift     a new base by a child, new files, turning the log on and off, healing it
//     Snapshots.swift      SAVE, BGSAVE, save points
//     SnapshotImage.swift, ForkedChild.swift     how an image of the keyspace gets written
//     ../Recovery/         what a start finds on the disk
//
// Invariants
//  1. At most one child lives.
//  2. `manifest` is what the disk holds (while `logMode` is `.on`), but for the step that `operation` names.
//  3. At most one operation changes files of the log at a time.

package final class Persistence {
    enum LogMode {
        case off
        /// Turned on while running: records are written, but no base covers what was before them yet.
        case awaitingBase
        case on
    }

    /// What is under way with the log's files.
    enum Operation: Equatable {
        case none
        /// A new increment is being made.
        case preparing
        /// The log has yet to take the new increment.
        case switching
        case child
        /// The base gets its name, the manifest is persisted, history is removed.
        case finishing
    }

    /// It owns this, and outlives it. Unsafe, for a safe one is counted at each use, many times a round.
    unowned(unsafe) let core: ServerCore
    let engine: Engine
    let fileSystem: any FileSystem
    let disk: DiskQueue

    // MARK: The log

    var log: AppendLog? {
        didSet { roundsLog = log.map { .passUnretained($0) } }
    }
    /// The same, for what is done every round: it is called without being retained.
    private(set) var roundsLog: Unmanaged<AppendLog>?
    var logMode = LogMode.off
    var directory: AOFDirectory
    var manifest: AOFManifest
    /// `aof-timestamp-enabled` changed and the log has not taken it yet.
    var framingIsOld = false
    /// Changes when the log is turned off, so that steps begun before do not go on.
    var generation = 0
    /// Bytes of the files before the current increment.
    var closedBytes = 0
    /// Of the last batch of a log that was turned off.
    var closedSequence = 0
    /// What NAME.reached says, or will soon.
    var notedReach: LogReach?
    var reachNotedAt = UnixMilliseconds(0)
    /// Of the last batch that the base covers which is being written.
    var pendingCovers = 0
    /// Bytes of the log when its last rewrite was done.
    var sizeAfterRewrite = 0
    var lastWriteSucceeded = true
    var lastHealthLog = MonotonicNanoseconds(-60_000_000_000)
    /// Whole error lines with which writes are refused: for the log's trouble, and for want of room.
    var logRefusal: String?
    var diskRefusal: String?
    var watch = DiskWatch()
    /// Records that the log at work has not taken are more than this: writes wait (`aof-backlog-limit`).
    var backlogLimit = Int.max
    var backlogHolds = 0
    /// Since when records wait for an fsync under way (monotonic); 0: they don't. While latencies are monitored.
    var heldSince: UInt64 = 0
    /// Some client wants its replies when they are written, though the policy is `always`.
    var announcesWrites = false { didSet { log?.announcesWrites = announcesWrites } }
    /// How often a new base replaced a log that could not be trusted.
    var healings = 0
    /// Records stay in the engine's buffer: a backup is being sealed.
    var holdsLog = false
    var findings = Findings()

    // MARK: The child

    var child: ForkedChild?
    /// The child is to be killed because somebody asked for it: its death is no failure.
    var childIsCancelled = false
    var forkCount = 0
    var lastForkMicroseconds = 0
    var steppedChildren = 0

    // MARK: Rewrites

    var operation = Operation.none
    var rewriteIsScheduled = false
    var rewriteFailures = 0
    var rewriteRetryAt: MonotonicNanoseconds?
    var rewriteCount = 0
    var lastRewriteSucceeded = true
    var lastRewriteSeconds = -1
    var lastRewriteCopied = 0
    /// The increment that comes after the base that is being written, and its file while the log has not taken it.
    var pendingIncrement: AOFManifest.Entry?
    var pendingFile: File?
    var pendingManifest: AOFManifest?
    /// Set while the log is poisoned and a base from memory is being made: the image covers the log up to here.
    var healing: Healing?
    var healFailures = 0
    var healRetryAt = MonotonicNanoseconds(0)

    struct Healing {
        var covered = LogOffset(0)
        /// Base and manifest are durable; the log has yet to take the new file.
        var isDurable = false
    }

    // MARK: Snapshots

    /// Function libraries as the last loaded file had them, for the next.
    var functions = RDBFunctions()
    /// What modules had saved beside the keys, likewise.
    var moduleAux = RDBModuleAux()
    var snapshotIsScheduled = false
    /// Unix time in seconds of the last good one; at first, of the start.
    var lastSave = UnixMilliseconds.now().seconds
    var lastSnapshotTry: Int64 = 0
    var lastSnapshotSucceeded = true
    var lastSnapshotSeconds = -1
    var lastSnapshotCopied = 0
    var snapshotCount = 0

    // MARK: Backups and the scrub

    private(set) lazy var backup = Backup(self)
    private(set) lazy var scrub = Scrub(self)

    // MARK: Loading

    var loading: LoadingProgress?
    /// At the start; not in DEBUG RELOAD, which is a command of one of the clients.
    var answersWhileLoading = false
    var loadPlan = LoadPlan()
    var lastLoadKeysLoaded = 0
    var lastLoadKeysExpired = 0

    struct LoadingProgress {
        /// Unix time in seconds.
        var startedAt: Int64
        var totalBytes: Int
        var loadedBytes = 0
        /// `used_memory` that the file says its data set took; 0: unknown.
        var usedMemory = 0
        /// Files before the one that is being read.
        var finishedBytes = 0
        var lastLog: MonotonicNanoseconds
    }

    init(_ core: ServerCore, fileSystem: any FileSystem) {
        self.core = core
        engine = core.engine
        self.fileSystem = fileSystem
        disk = DiskQueue(core)
        directory = AOFDirectory(fileSystem, serverDirectory: ".", name: "appendonlydir", filename: "appendonly.aof")
        manifest = AOFManifest(filename: "appendonly.aof")
    }

    var configuration: Configuration { core.configuration }

    /// Ten times a second, or as `hz` says.
    func cron() {
        pollChild()
        backup.cron()
        retryArchive()
        scrub.cron()
        noteReach()
        if log?.isHealthy == false { healthChanged() }
        if framingIsOld { framingChanged() }
        if healing?.isDurable == true { finishHealing() }
        if operation == .switching { finishSwitch() }
        watchDisk()
        log?.measuresWrites = engine.latencyMonitor.threshold > 0
        if log?.measuresWrites == true { noteLatencies() }
        if announcesWrites && !core.environment.isStepped {
            announcesWrites = core.connections.values.contains { $0.session.wantedDurability == .everysec }
        }
        if logNeedsHealing {
            // Under `refuse`, when BGREWRITEAOF asked for it.
            if configuration.aofFsyncError == .heal || rewriteIsScheduled { startHealing() }
        } else if child == nil && operation == .none {
            startScheduledWork()
        }
    }

    private func startScheduledWork() {
        if rewriteIsScheduled || logMode == .awaitingBase {
            // Asked for, it starts at once; what nobody waits for keeps the limit.
            if rewriteIsScheduled || rewriteIsDue { _ = startRewrite() }
            if operation != .none { return }
        }
        if snapshotIsScheduled { _ = startSnapshot() }
        if child == nil { checkSavePoints() }
        if child == nil && operation == .none { checkGrowth() }
    }

    // MARK: The child's end

    func pollChild() {
        guard child != nil else { return }
        child?.readReports()
        guard let ended = child, let end = ended.reap() else { return }
        child?.readReports()
        guard let done = child else { return }
        child = nil
        done.close()
        engine.keyspace.context.pointee.avoidResize = false
        log?.suspendsSyncs = false
        let cancelled = childIsCancelled
        childIsCancelled = false
        if end != .success { unlinkTemporary(of: done) }
        if end == .success {
            let copied = done.last.copied / 1_048_576, peak = max(done.copiedPeak, done.last.copied) / 1_048_576
            core.log.write(.notice, "Fork CoW for \(done.purpose.title): current \(copied) MB, peak \(peak) MB, "
                           + "average \(copied) MB")
        }
        if backup.childEnded(end) { return }
        if done.purpose.isDump { snapshotEnded(done, end, cancelled) } else { baseEnded(done, end, cancelled) }
    }

    /// Forks a child that writes the keyspace as it is now.
    func forkChild(_ purpose: SnapshotPurpose, prefix: String, suffix: String, final: String?) -> Bool {
        let image = image(purpose, prefix: prefix, suffix: suffix, final: final)
        defer { image.paths.free() }
        var keys = 0
        for index in 0..<engine.keyspace.databaseCount { keys += engine.keyspace.databases[index].keys.count }
        let began = MonotonicNanoseconds.now()
        child = core.environment.isStepped ? image.step(prefix: prefix, suffix: suffix, core, keys: keys)
            : image.fork(prefix: prefix, suffix: suffix, changes: engine.changesSinceSave, keys: keys)
        guard child != nil else { return false }
        lastForkMicroseconds = Int(MonotonicNanoseconds.now().nanoseconds(since: began) / 1000)
        engine.noteLatency("fork", since: UInt64(bitPattern: began.rawValue))
        forkCount += 1
        engine.keyspace.context.pointee.avoidResize = true
        log?.suspendsSyncs = configuration.noAppendfsyncOnRewrite
        return true
    }

    func cancelChild() {
        guard let child else { return }
        childIsCancelled = true
        child.kill()
    }

    /// Kills the child and waits for it (shutdown, DEBUG RELOAD).
    func endChild() {
        cancelChild()
        while child != nil { pollChild() }
    }

    func image(_ purpose: SnapshotPurpose, prefix: String, suffix: String, final: String?) -> SnapshotImage {
        SnapshotImage(databases: engine.keyspace.databases, databaseCount: engine.keyspace.databaseCount,
                      purpose: purpose, options: snapshotOptions(purpose),
                      keyDelay: configuration.rdbKeySaveDelay,
                      paths: SnapshotPaths(prefix: prefix, suffix: suffix, final: final),
                      disk: core.environment.imageDisk,
                      oomScore: OOMScore.value(configuration, .child, base: core.lifecycle.oomScoreBase))
    }

    /// Takes part in CONFIG SET.
    func followConfiguration() {
        core.onCron { [unowned self] in if !engine.state.isLoading { cron() } }
        core.lifecycle.prepareShutdown = { [unowned self] in prepareShutdown(save: $0, force: $1) }
        configuration.onChange("appendonly") { core throws(ConfigurationError) in
            core.configuration.appendonly ? core.persistence.turnOn() : core.persistence.turnOff()
        }
        configuration.onChange("appendfsync") { core throws(ConfigurationError) in core.persistence.policyChanged() }
        configuration.onChange("aof-timestamp-enabled") { core throws(ConfigurationError) in
            core.persistence.framingChanged()
        }
        configuration.onChange("aof-preallocate") { core throws(ConfigurationError) in
            core.persistence.log?.setPreallocation(core.configuration.aofPreallocate)
        }
        backlogLimit = configuration.aofBacklogLimit == 0 ? .max : configuration.aofBacklogLimit
        configuration.onChange("aof-backlog-limit") { core throws(ConfigurationError) in
            let bytes = core.configuration.aofBacklogLimit
            core.persistence.backlogLimit = bytes == 0 ? .max : bytes
        }
        configuration.onChange("aof-fsync-error") { core throws(ConfigurationError) in
            core.persistence.healthChanged()
        }
        configuration.onChange("no-appendfsync-on-rewrite") { core throws(ConfigurationError) in
            guard core.persistence.child != nil else { return }
            core.persistence.log?.suspendsSyncs = core.configuration.noAppendfsyncOnRewrite
        }
        configuration.onChange("save", "stop-writes-on-bgsave-error") { core throws(ConfigurationError) in
            core.persistence.updateRefusal()
        }
    }

    /// Where the configuration says the log is, as an absolute path.
    func makeDirectory() -> AOFDirectory {
        AOFDirectory(fileSystem, serverDirectory: WorkingDirectory.absolute(configuration.dir),
                     name: configuration.appenddirname, filename: configuration.appendfilename)
    }
}
