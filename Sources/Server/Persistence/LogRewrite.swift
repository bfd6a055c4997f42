import Engine
import Keyspace
import Primitives
import Storage
#if canImport(Glibc)
import Glibc
#endif

// A new base for the log, and what else changes which files the log is made of.
//
//     step                                       a crash after it leaves
//  1  create the new increment, sync its name    the old log, and a file that no manifest names
//  2  persist the manifest with it               the old log and an empty increment: the same data
//  3  the log switches to it; at the same        old base, old increments, new increment: all in the manifest, nothing
//     moment the child is forked                 is repeated, nothing is missing
//  4  the child writes and syncs temp-…          as after 3; the next start removes the temporary
//  5  rename it to the base's name, sync         as after 3, and a file that no manifest names
//  6  persist the manifest: new base, the        the new base and the increments from 3 on: what the base covers and
//     covered files HISTORY                      what came after. The old files are still there
//  7  unlink HISTORY, persist without it         as after 6
//
// 1, 2 and 5 to 7 run on the disk queue; the engine goes on meanwhile. Between 3's two halves no command runs.
//
// When a manifest could not be persisted, the disk may show the old or the new one: it is read back and believed, so
// that no name that it may hold is given to another file.
//
// Turning the log on while the server runs: the increment of 1 is not persisted by itself (2 falls away): the manifest
// on the disk, if there is one, is that of an earlier life until 6 replaces it whole; if there is none, a marker says
// so (Recovery.swift). Until then a start finds what it would have found without the log.
//
// Healing a poisoned log: likewise 1, then the fork, 4 to 6, and only then the log takes the new file
// (AppendLog.replaceFile): the old increment can't be trusted, so the manifest may name the new one only together with
// the base that replaces it.

/// What step 1 made.
struct PreparedFiles {
    var manifest: AOFManifest
    var increment: AOFManifest.Entry?
    var file: File?
}

/// What steps 5 and 6 came to.
struct AdoptedBase {
    var manifest: AOFManifest
    var size: Int
}

extension Persistence {
    var isRewriting: Bool { operation != .none }
    var baseFormat: AOFManifest.BaseFormat { configuration.aofUseRdbPreamble ? .rdb : .aof }

    /// False: not now, for a child lives or files are being changed.
    func startRewrite() -> Bool {
        guard child == nil, operation == .none, !logNeedsHealing else { return false }
        rewriteIsScheduled = false
        operation = .preparing
        // Not from within a command: it may be part of a transaction whose records are not in the log yet.
        core.runOnEngine { [self] in
            guard operation == .preparing else { return }
            if logMode == .on, currentIncrementIsEmpty, currentIncrementSuits, let last = manifest.increments.last {
                pendingIncrement = last
                engine.logDatabase = -1
                forkBase()
            } else {
                prepareFiles(persists: logMode == .on)
            }
        }
        return true
    }

    /// A base taken now goes with the increment that is there: no other is needed.
    private var currentIncrementIsEmpty: Bool {
        guard let log, engine.pendingLog.isEmpty, !log.isSwitching else { return false }
        let counters = log.currentCounters
        return counters.fileBytes == 0 && counters.pendingBytes == 0
    }

    // MARK: 1 and 2

    private func prepareFiles(persists: Bool) {
        operation = .preparing
        if log == nil { directory = makeDirectory() }
        let directory = directory, known = manifest
        let isKnown = log != nil, needsIncrement = logMode != .off
        let begun = generation, id = newFileID()
        disk.run { () throws(StorageError) -> PreparedFiles in
            try directory.create()
            var next = known
            if !isKnown {
                let found = try directory.load()
                if found == nil { try Recovery.mark(directory) }
                next = found ?? AOFManifest(filename: directory.filename)
            }
            guard needsIncrement else { return PreparedFiles(manifest: next) }
            let entry = next.addIncrement(id: id)
            let file = try directory.createFile(entry)
            if persists {
                do throws(StorageError) {
                    try directory.persist(next)
                } catch {
                    directory.fileSystem.close(file)
                    throw error
                }
            }
            return PreparedFiles(manifest: next, increment: entry, file: file)
        } then: { [self] result in
            prepared(result, persisted: persists, begun)
        }
    }

    private func prepared(_ result: Result<PreparedFiles, StorageError>, persisted: Bool, _ begun: Int) {
        switch result {
        case .failure(let error):
            core.log.write(.warning, "Can't prepare the AOF rewrite: \(error)")
            if persisted { rereadManifest() }
            rewriteFailed()
        case .success(let files):
            if persisted || logMode != .on { manifest = files.manifest }
            guard begun == generation else {
                if let file = files.file { fileSystem.close(file) }
                operation = .none
                return
            }
            if let increment = files.increment, healing == nil {
                core.log.write(.notice, "Creating AOF incr file \(increment.name) on background rewrite")
            }
            pendingManifest = files.manifest
            pendingIncrement = files.increment
            pendingFile = files.file
            operation = .switching
            finishSwitch()
        }
    }

    private func rereadManifest() {
        do throws(StorageError) {
            if let found = try directory.load() { manifest = found }
        } catch {
            core.log.write(.warning, "\(error)")
        }
    }

    // MARK: 3

    /// Tries to give the log its new file; as soon as it took it, the child is forked.
    func finishSwitch() {
        if healing != nil {
            healing?.covered = engine.logEnd
            engine.logDatabase = -1
            forkBase()
            return
        }
        guard let file = pendingFile else {
            // The log is off: a base alone is wanted.
            forkBase()
            return
        }
        if let log {
            if log.currentState.isPoisoned {
                rewriteFailed()
                return
            }
            let before = log.currentCounters.fileBytes
            guard log.switchFile(to: file, framing: pendingFraming, &engine.pendingLog) else { return }
            closedBytes += before
            engine.pendingLogStart = log.takenOffset
            engine.logDatabase = -1
        } else {
            do throws(StorageError) {
                startLogging(try makeLog(file, startingAt: engine.logEnd,
                                         pendingFraming ?? TimestampFraming(enabled: false)))
            } catch {
                core.log.write(.warning, "\(error)")
                rewriteFailed()
                return
            }
        }
        pendingFile = nil
        forkBase()
    }

    private func forkBase() {
        operation = .child
        pendingCovers = lastSequence
        let purpose = SnapshotPurpose.base(baseFormat)
        guard forkChild(purpose, prefix: directory.path("temp-rewriteaof-bg-"), suffix: ".aof", final: nil),
              let child else {
            core.log.write(.warning, "Can't rewrite append only file in background: fork: "
                           + String(cString: strerror(errno)))
            rewriteFailed()
            return
        }
        core.log.write(.notice, "Background append only file rewriting started by pid \(child.pid)")
    }

    // MARK: 4 to 6

    func baseEnded(_ done: ForkedChild, _ end: ForkedChild.End, _ cancelled: Bool) {
        lastRewriteSeconds = Int(MonotonicNanoseconds.now().nanoseconds(since: done.startedAt) / 1_000_000_000)
        guard operation == .child else { return }
        switch end {
        case .success:
            core.log.write(.notice, "Background AOF rewrite terminated with success")
            lastRewriteCopied = Int(done.last.copied)
            adoptBase(done)
        case .failure:
            core.log.write(.warning, "Background AOF rewrite terminated with error\(reason(done))")
            rewriteFailed()
        case .signal(let number):
            core.log.write(.warning, "Background AOF rewrite terminated by signal \(number)")
            rewriteFailed(isFailure: !cancelled)
        }
    }

    private func adoptBase(_ done: ForkedChild) {
        guard case .base(let format) = done.purpose else { return }
        operation = .finishing
        let directory = directory
        var next = pendingManifest ?? manifest
        let entry = next.rewriteDone(format, keepingIncrementsFrom: pendingIncrement?.sequence ?? Int64.max)
        let renamed = next
        let begun = generation, seals = configuration.aofSeal, covers = pendingCovers
        let renaming = LatencyStopwatch("aof-rename", core)
        disk.run { () throws(StorageError) -> AdoptedBase in
            try renaming.measure { () throws(StorageError) in try directory.adopt(done.temporary, as: entry) }
            var tied = renamed
            if seals { tied.tieBase(try directory.measure(entry, isOurs: true), covers: covers) }
            try directory.persist(tied)
            Recovery.unmark(directory)
            return AdoptedBase(manifest: tied, size: try directory.fileSystem.status(directory.path(entry))?.size ?? 0)
        } then: { [self] result in
            switch result {
            case .success(let base):
                core.log.write(.notice, "Successfully renamed the temporary AOF base file "
                               + "\(FilePath.name(done.temporary)) into \(entry.name)")
                manifest = base.manifest
                baseIsDurable(base.size, begun)
            case .failure(let error):
                core.log.write(.warning, "Can't finish the AOF rewrite: \(error)")
                disk.run { try? directory.fileSystem.unlink(done.temporary) }
                rereadManifest()
                rewriteFailed()
            }
        }
    }

    private func baseIsDurable(_ size: Int, _ begun: Int) {
        guard begun == generation else {
            endOperation()
            return
        }
        if logMode == .awaitingBase { logMode = .on }
        closedBytes = size
        sizeAfterRewrite = logBytes
        rewriteCount += 1
        rewriteFailures = 0
        rewriteRetryAt = nil
        lastRewriteSucceeded = true
        if healing != nil {
            healing?.isDurable = true
            finishHealing()
        }
        core.log.write(.notice, "Background AOF rewrite finished successfully")
        backup.baseIsDurable()
        removeHistory()
    }

    // MARK: 7

    private func removeHistory() {
        guard !manifest.history.isEmpty, !configuration.aofDisableAutoGc else {
            endOperation()
            return
        }
        backup.keep(manifest.history)
        let directory = directory, kept = keptHistory
        let before = manifest
        disk.run { () throws(StorageError) -> (AOFManifest, Int) in
            var after = before
            let archived = try directory.archiveHistory(after, kept)
            _ = try directory.removeHistory(&after, kept)
            return (after, archived)
        } then: { [self] result in
            switch result {
            case .success((let after, let archived)):
                for entry in before.history where !after.history.contains(entry) {
                    core.log.write(.notice, "Removing the history file \(entry.name) in the background")
                }
                manifest = after
                findings.archived(archived)
            case .failure(let error):
                core.log.write(.warning, "Can't remove history files of the AOF: \(error)")
                findings.archiveFailed(error, hasArchive: kept.archive != nil)
                rereadManifest()
            }
            endOperation()
        }
    }

    /// What could not be archived, and so not be removed, is tried again after a minute.
    func retryArchive() {
        guard let retryAt = findings.archiveRetryAt, MonotonicNanoseconds.now() >= retryAt, operation == .none,
              logMode == .on, child == nil else { return }
        findings.archiveRetryAt = nil
        operation = .finishing
        removeHistory()
    }

    private func endOperation() {
        // A durable healing still needs its file.
        if healing == nil { dropPendingFile() }
        pendingManifest = nil
        pendingIncrement = nil
        operation = .none
    }

    func dropPendingFile() {
        if let file = pendingFile { fileSystem.close(file) }
        pendingFile = nil
    }

    // MARK: Failure

    /// Ends the operation. After three failures in a row the next automatic try waits one minute, then two, four … an
    /// hour at most, for each try may leave one more increment.
    func rewriteFailed(isFailure: Bool = true) {
        backup.rewriteFailed()
        if healing != nil {
            healing = nil
            healFailures += 1
            let seconds = Int64(1) << Int64(min(healFailures, 6))
            healRetryAt = MonotonicNanoseconds(MonotonicNanoseconds.now().rawValue &+ seconds * 1_000_000_000)
        }
        endOperation()
        guard isFailure else { return }
        lastRewriteSucceeded = false
        rewriteFailures += 1
        guard rewriteFailures >= 3 else { return }
        let minutes = min(Int64(1) << Int64(min(rewriteFailures - 3, 6)), 60)
        rewriteRetryAt = MonotonicNanoseconds(MonotonicNanoseconds.now().rawValue &+ minutes * 60_000_000_000)
        core.log.write(.warning, "Background AOF rewrite has repeatedly failed and triggered the limit, will retry in "
                       + "\(minutes) minutes")
    }

    var rewriteIsDue: Bool { rewriteRetryAt.map { MonotonicNanoseconds.now() >= $0 } ?? true }

    /// `auto-aof-rewrite-percentage` and `-min-size`.
    func checkGrowth() {
        let percentage = configuration.autoAofRewritePercentage
        guard logMode == .on, percentage > 0, rewriteIsDue, rewriteFits(watch.space) else { return }
        let bytes = logBytes
        guard bytes > configuration.autoAofRewriteMinSize else { return }
        let growth = Double(bytes) * 100 / Double(max(sizeAfterRewrite, 1)) - 100
        guard growth >= Double(percentage) else { return }
        if startRewrite() {
            core.log.write(.notice, "Starting automatic rewriting of AOF on \(Int64(growth))% growth")
        }
    }

    // MARK: Healing

    func startHealing() {
        guard healing == nil, MonotonicNanoseconds.now() >= healRetryAt else { return }
        // Nothing may be written until the log is whole: that goes before any other child.
        if child != nil { cancelChild() }
        guard child == nil, operation == .none else { return }
        core.log.write(.warning, "Writing a new AOF from memory to heal the log.")
        rewriteIsScheduled = false
        healing = Healing()
        backup.logBroke("the log was healed; what it had may not be on the disk")
        prepareFiles(persists: false)
    }

    /// Base and manifest are on the disk: the log goes on in the new file. It may be at work; then later.
    func finishHealing() {
        guard let log, let covered = healing?.covered, let file = pendingFile else { return }
        guard log.replaceFile(file, coveredUpTo: covered, framing: pendingFraming, &engine.pendingLog) else { return }
        pendingFile = nil
        healing = nil
        healings += 1
        healFailures = 0
        engine.pendingLogStart = log.takenOffset
        flush()
        healthChanged()
        core.logProgressed(engine.acknowledged)
    }

    // MARK: On and off

    /// `CONFIG SET appendonly yes`.
    func turnOn() {
        guard logMode == .off else { return }
        logMode = .awaitingBase
        manifest = AOFManifest(filename: configuration.appendfilename)
        if !startRewrite() {
            rewriteIsScheduled = true
            core.log.write(.notice, "AOF was enabled but there is already another background operation. An AOF "
                           + "background was scheduled to start when possible.")
        }
    }

    /// `CONFIG SET appendonly no`: what was logged is made durable, the files stay.
    func turnOff() {
        guard logMode != .off else { return }
        generation += 1
        rewriteIsScheduled = false
        backup.logBroke("the log was turned off")
        if let child, !child.purpose.isDump {
            core.log.write(.notice, "Killing running AOF rewrite child: \(child.pid)")
            cancelChild()
        }
        if let log {
            do throws(StorageError) {
                try log.drain(&engine.pendingLog, sync: true)
                sealEnd()
            } catch {
                core.log.write(.warning, "The AOF was turned off and is not whole: \(error)")
            }
            log.close()
        }
        log = nil
        logMode = .off
        healing = nil
        if operation == .switching { endOperation() }
        stopLogging()
    }
}
