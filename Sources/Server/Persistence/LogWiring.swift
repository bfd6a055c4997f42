import Engine
import Keyspace
import Primitives
import Storage

// Records to the log, replies out of their gates.
//
//     end of a tick     flush: the log takes the engine's records, or leaves them there for the next batch;
//                       then replies leave whose offset is acknowledged, the others wait in `gatedConnections`
//     log's thread      nudges the engine's loop after each of its steps
//     nudged            flush again (what gathered meanwhile is the next batch), release
//
// Every policy gates, each by its own offset (AppendLog.acknowledgedOffset): under `everysec` and `no` a record is
// nearly always written within `flush`, so that its reply leaves in the same tick; it waits only while an fsync is
// under way or writing fails. So no reply ever tells of something that the log could still lose to a kill.

extension Persistence {
    /// Hands the records over, if the log can take them.
    func flush() {
        guard let roundsLog else {
            engine.pendingLogStart = engine.logEnd
            engine.pendingLog.removeAll()
            return
        }
        roundsLog._withUnsafeGuaranteedRef { flush($0) }
    }

    private func flush(_ log: AppendLog) {
        if holdsLog { backup.logProgressed() }
        if !holdsLog, log.flush(&engine.pendingLog, writers: engine.writersInTick) { core.loop.stayAwake() }
        if engine.pendingLog.isEmpty { engine.beginWriters() }
        if engine.syncWanted > log.durableOffset { log.requestSync() }
        engine.pendingLogStart = log.takenOffset
        engine.acknowledged = log.acknowledgedOffset
        core.awaitsSyncs = log.acknowledgesDurable
        core.syncsUsuallyTake = log.syncsUsuallyTake
        if log.isHealthy != lastWriteSucceeded { healthChanged() }
        let isBehind = engine.logEnd.rawValue &- log.writtenOffset.rawValue > UInt64(backlogLimit)
        if isBehind != core.logIsBehind {
            core.logIsBehind = isBehind
            if isBehind { backlogHolds += 1 }
        }
        if log.measuresWrites { notePendingSync(log) }
        if engine.keyspace.now.rawValue &- reachNotedAt.rawValue >= Self.reachInterval, !core.environment.isStepped {
            noteReach()
        }
    }

    func logProgressed() {
        guard log != nil else { return }
        flush()
        if operation == .switching { finishSwitch() }
        if healing?.isDurable == true { finishHealing() }
        if engine.latencyMonitor.threshold > 0 { noteLatencies() }
        core.logProgressed(engine.acknowledged)
    }

    /// Records are made from here on, and replies gated.
    func startLogging(_ log: AppendLog) {
        self.log = log
        let engine = core.engine
        engine.pendingLogStart = log.takenOffset
        engine.acknowledged = log.acknowledgedOffset
        engine.logDatabase = -1
        engine.isLogging = true
        engine.durableOffset = { [unowned log] in log.durableOffset }
        engine.acknowledgedOtherwise = { [unowned log] durability in
            switch durability {
            case .standard: log.acknowledgedOffset
            case .always: log.durableOffset
            case .everysec: log.writtenOffset
            }
        }
        engine.syncWanted = LogOffset(0)
        log.announcesWrites = announcesWrites
        engine.keyspace.stamps.setEnabled(true, at: log.acknowledgedOffset)
    }

    func stopLogging() {
        let engine = core.engine
        engine.isLogging = false
        engine.durableOffset = { nil }
        engine.acknowledgedOtherwise = { [unowned engine] _ in engine.logEnd }
        core.awaitsSyncs = false
        logRefusal = nil
        diskRefusal = nil
        watch = DiskWatch()
        core.logIsBehind = false
        updateWriteRefusal()
        lastWriteSucceeded = true
        engine.pendingLogStart = engine.logEnd
        engine.pendingLog.removeAll()
        engine.keyspace.stamps.setEnabled(false, at: engine.logEnd)
        engine.acknowledged = engine.logEnd
        core.logProgressed(engine.acknowledged)
    }

    func makeLog(_ file: File, startingAt start: LogOffset,
                 _ framing: any BatchFraming) throws(StorageError) -> AppendLog {
        try LatencyStopwatch("aof-fstat", core).measure { () throws(StorageError) in
            let log = try AppendLog(fileSystem, file, startingAt: start, policy: configuration.appendfsync,
                                    framing: framing, isStepped: core.environment.isStepped,
                                    preallocation: core.environment.preallocation,
                                    onProgress: { [loop = core.loop] in loop.nudge() })
            log.setPreallocation(configuration.aofPreallocate)
            return log
        }
    }

    // MARK: Health

    /// What cannot be made durable is not accepted: writes are refused while the log can't be written; reads go on.
    func healthChanged() {
        guard let log else { return }
        switch log.currentState {
        case .healthy:
            guard !lastWriteSucceeded else { return }
            lastWriteSucceeded = true
            logRefusal = nil
            updateWriteRefusal()
            core.log.write(.warning, "AOF write error looks solved, Redis can write again.")
        case .failed(let error):
            logRefusal = "MISCONF Errors writing to the AOF file: \(error.cause)"
            updateWriteRefusal()
            if tellsHealth() {
                core.log.write(.warning, "Error writing to the AOF file: \(error.cause)")
                core.log.write(.warning, "\(error) Writes are refused until it works again.")
            }
            lastWriteSucceeded = false
        case .poisoned(let error, let durable):
            let heals = configuration.aofFsyncError == .heal
            logRefusal = "MISCONF Errors writing to the AOF file: fsync failed: \(error.cause); "
                + (heals ? "a new file is being written from memory"
                   : "aof-fsync-error is \(configuration.aofFsyncError.rawValue): BGREWRITEAOF heals the log")
            updateWriteRefusal()
            if lastWriteSucceeded || tellsHealth() {
                core.log.write(.warning, "Fail to fsync the AOF file: \(error.cause)")
                core.log.write(.warning, "\(error) What follows log offset \(durable.rawValue) may not be on the disk. "
                               + "Writes are refused until a new base is written from memory.")
            }
            lastWriteSucceeded = false
            if configuration.aofFsyncError == .exit { endForFailedSync() }
        }
    }

    /// `aof-fsync-error exit`. Nothing that waits for the log was acknowledged.
    private func endForFailedSync() {
        core.log.write(.warning, "aof-fsync-error is exit: exiting. What was acknowledged before is on the disk"
                       + (log?.policy == .always ? "." : ", but for what came since the last fsync."))
        child?.kill()
        core.lifecycle.removePidFile()
        core.environment.exit(1)
    }

    /// Twice a minute at most.
    private func tellsHealth() -> Bool {
        let now = MonotonicNanoseconds.now()
        if !lastWriteSucceeded && now.nanoseconds(since: lastHealthLog) < 30_000_000_000 { return false }
        lastHealthLog = now
        return true
    }

    var logNeedsHealing: Bool { logMode != .off && log?.currentState.isPoisoned == true }

    /// Bytes of the log's files.
    var logBytes: Int { closedBytes + (log?.currentCounters.fileBytes ?? 0) }

    // MARK: Settings that change while running

    func policyChanged() { log?.policy = configuration.appendfsync }

    func framingChanged() {
        // A log at work can't change it: it is asked again at every turn of the cron.
        framingIsOld = log.map { !$0.setTimestamps(configuration.aofTimestampEnabled) } ?? false
    }
}
