import Engine
import Keyspace
import Primitives
import Storage
#if canImport(Glibc)
import Glibc
#endif

// Dumps: SAVE, BGSAVE, save points. What a crash leaves at each step stands in SnapshotImage.swift.

extension MaxmemoryPolicy {
    var usesLRU: Bool { self == .allkeysLru || self == .volatileLru || usesLRM }
}

extension Persistence {
    static let refusal: StaticString = """
        MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands \
        that may modify the data set are disabled, because this instance is configured to report errors during \
        writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for \
        details about the RDB error.
        """

    var dumpPath: String { FilePath.join(configuration.dir, configuration.dbfilename) }
    var isSnapshotting: Bool { child?.purpose.isDump == true }

    func snapshotOptions(_ purpose: SnapshotPurpose) -> RDBSnapshotOptions {
        var options = RDBSnapshotOptions()
        options.version = RDBVersion(configuration.rdbVersion)
        options.compresses = configuration.rdbcompression
        options.computesChecksum = configuration.rdbchecksum
        options.syncsIncrementally = purpose.isDump ? configuration.rdbSaveIncrementalFsync
            : configuration.aofRewriteIncrementalFsync
        options.isAOFBase = !purpose.isDump
        options.sealsBlocks = configuration.aofSeal
        options.createdAt = UnixMilliseconds.now().seconds
        options.usedMemory = Heap.usedBytes
        options.functions = functions.bytes
        options.moduleAux = moduleAux.bytes
        let clock = engine.keyspace.accessClock
        if configuration.maxmemoryPolicy.usesLFU {
            options.access = .frequency(engine.keyspace.lfu, clock: clock)
        } else if configuration.maxmemoryPolicy.usesLRU {
            options.access = .idle(clock: clock)
        }
        return options
    }

    /// SAVE: writes the dump and blocks until it is durable.
    func saveNow() -> Bool {
        let image = image(.dump, prefix: FilePath.join(configuration.dir, "temp-"), suffix: ".rdb", final: dumpPath)
        defer { image.paths.free() }
        image.paths.complete(getpid())
        let began = UnixMilliseconds.now()
        if let failure = image.write(report: { _ in }) {
            tell(failure.stage, failure.code)
            lastSnapshotSucceeded = false
            updateRefusal()
            return false
        }
        core.log.write(.notice, "DB saved on disk")
        engine.changesSinceSave = 0
        snapshotSucceeded(seconds: Int((UnixMilliseconds.now().rawValue - began.rawValue) / 1000))
        return true
    }

    /// FLUSHALL: what dumps hold, or a child is about to put into one, is gone. With save points the dump says so at
    /// once, before the reply leaves.
    func everythingWasFlushed() {
        engine.wasFlushed = false
        let saves = !configuration.saveParameters.isEmpty
        // Waited for only if its file could come after ours.
        if isSnapshotting { if saves { endChild() } else { cancelChild() } }
        if saves { _ = saveNow() }
    }

    /// BGSAVE. False when there can be no child; the log says why.
    func startSnapshot() -> Bool {
        guard child == nil, operation == .none || operation == .finishing else { return false }
        snapshotIsScheduled = false
        lastSnapshotTry = UnixMilliseconds.now().seconds
        guard forkChild(.dump, prefix: FilePath.join(configuration.dir, "temp-"), suffix: ".rdb", final: dumpPath),
              let child else {
            core.log.write(.warning, "Can't save in background: fork: \(String(cString: strerror(errno)))")
            lastSnapshotSucceeded = false
            updateRefusal()
            return false
        }
        core.log.write(.notice, "Background saving started by pid \(child.pid)")
        return true
    }

    func snapshotEnded(_ done: ForkedChild, _ end: ForkedChild.End, _ cancelled: Bool) {
        let seconds = Int(MonotonicNanoseconds.now().nanoseconds(since: done.startedAt) / 1_000_000_000)
        lastSnapshotSeconds = seconds
        switch end {
        case .success:
            core.log.write(.notice, "DB saved on disk")
            core.log.write(.notice, "Background saving terminated with success")
            engine.changesSinceSave -= done.changesAtStart
            lastSnapshotCopied = Int(done.last.copied)
            snapshotSucceeded(seconds: seconds)
        case .failure:
            if done.last.error != 0 { tell(SnapshotStage(rawValue: done.last.stage) ?? .write, done.last.error) }
            core.log.write(.warning, "Background saving error")
            lastSnapshotSucceeded = false
        case .signal(let number):
            core.log.write(.warning, "Background saving terminated by signal \(number)")
            // Killed on purpose, as by SIGUSR1 or for something more urgent: no sign of a bad disk.
            if !cancelled && number != SIGUSR1 { lastSnapshotSucceeded = false }
        }
        updateRefusal()
    }

    private func snapshotSucceeded(seconds: Int) {
        lastSave = UnixMilliseconds.now().seconds
        lastSnapshotSeconds = seconds
        lastSnapshotSucceeded = true
        snapshotCount += 1
        updateRefusal()
    }

    /// Why a snapshot failed, in words.
    private func tell(_ stage: SnapshotStage, _ code: Int32) {
        let why = String(cString: strerror(code)), name = configuration.dbfilename, root = configuration.dir
        switch stage {
        case .open:
            core.log.write(.warning, "Failed opening the temp RDB file for \(name) (in server root dir \(root)) for "
                           + "saving: \(why)")
        case .write, .sync: core.log.write(.warning, "Write error while saving DB to the disk(\(stage)): \(why)")
        case .rename:
            core.log.write(.warning, "Error moving temp DB file on the final destination \(name) (in server root dir "
                           + "\(root)): \(why)")
        case .syncDirectory:
            core.log.write(.warning, "Can't sync the directory \(root) after saving the DB: \(why)")
        }
    }

    func reason(_ done: ForkedChild) -> String {
        guard done.last.error != 0, let stage = SnapshotStage(rawValue: done.last.stage) else { return "" }
        return ": \(stage): \(String(cString: strerror(done.last.error)))"
    }

    /// `stop-writes-on-bgsave-error`: with save points, a failed snapshot stops writes.
    func updateRefusal() {
        let refuses = configuration.stopWritesOnBgsaveError && !configuration.saveParameters.isEmpty
            && !lastSnapshotSucceeded
        engine.state.snapshotRefusal = refuses ? Self.refusal : nil
    }

    /// `save`: so many changes in so many seconds. After a failure it is tried again after five seconds.
    func checkSavePoints() {
        let now = UnixMilliseconds.now().seconds
        for point in configuration.saveParameters {
            guard engine.changesSinceSave >= point.changes, now - lastSave > Int64(point.seconds),
                  lastSnapshotSucceeded || now - lastSnapshotTry > 5 else { continue }
            core.log.write(.notice, "\(point.changes) changes in \(point.seconds) seconds. Saving...")
            _ = startSnapshot()
            return
        }
    }
}
