import CShims
import Primitives

// The log thread: takes one step at a time (a batch, an fsync, a switch of files), as the holder and without the
// lock, and publishes what came of it.

extension AppendLog {
    private enum Step {
        case write(sync: Bool)
        case sync
        case mark
        case switchFile(File)
    }

    private struct Outcome {
        var writeFailure: StorageError?
        var syncFailure: StorageError?
        var didWrite = false
        var didSync = false
        /// Bytes of the file before, when files were switched.
        var switchedFrom: Int?
        var syncNanoseconds: Int64 = 0
        var writeNanoseconds: Int64 = 0
    }

    func runLogThread() {
        // A group of clients is waited for by the microsecond.
        sr_set_timer_slack(1000)
        lock.lock()
        var processor: Int32 = -1
        while !isStopping {
            if engineProcessor != processor {
                processor = engineProcessor
                followEngine(to: processor)
                continue
            }
            guard let step = nextStep() else {
                logThreadAwaitsEngine = holder == .engine
                logThreadGathers = isGathering
                lock.waitForWork(until: holder == .engine ? nil : deadline())
                logThreadGathers = false
                continue
            }
            take(step)
        }
        lock.signalDone()
        lock.unlock()
    }

    // With two processors, a busy client has one and the engine the other. A log thread that is woken on the client's
    // takes it away from there, and each hand-over wakes a processor from its sleep: SET under `always` by 50 clients
    // went at 0.92 of redis-server's rate, and at 1.18 where the log thread ran behind the engine. With more processors
    // it is left to the scheduler.
    private func followEngine(to processor: Int32) {
        lock.unlock()
        sr_stay_on_processor(processor)
        lock.lock()
    }

    /// Lock held, and let go meanwhile.
    private func take(_ step: Step) {
        holder = .log
        let start = LogOffset(written.load(ordering: .relaxed))
        lock.unlock()
        let outcome = perform(step, at: start)
        lock.lock()
        holder = .nobody
        publish(outcome, step)
        lock.signalDone()
        lock.unlock()
        onProgress()
        lock.lock()
    }

    /// Without a thread: does what it would do next. False: nothing is to be done now.
    package func step() -> Bool {
        lock.lock()
        defer { lock.unlock() }
        guard !isStopping, let next = nextStep() else { return false }
        take(next)
        return true
    }

    // MARK: What to do next, lock held

    private func nextStep() -> Step? {
        if holder != .nobody || state.isPoisoned { return nil }
        if !hasBatch && hasHeld {
            swap(&batch, &held)
            hasBatch = true
            hasHeld = false
        }
        if sharedPolicy == .always && tellsOfWrites && isDirty { return noteSyncStart(.sync) }
        if hasBatch {
            if state != .healthy && MonotonicNanoseconds.now() < retryAt { return nil }
            if gathers() { return nil }
            if sharedPolicy != .always || tellsOfWrites { return .write(sync: false) }
            completeGroup()
            return noteSyncStart(.write(sync: true))
        }
        if let nextFile { return .switchFile(nextFile) }
        guard isDirty else {
            syncIsRequested = false
            guard awaitsMark, MonotonicNanoseconds.now() >= markDue else { return nil }
            awaitsMark = false
            return .mark
        }
        if syncIsRequested || sharedPolicy == .always { return noteSyncStart(.sync) }
        guard let due = syncDue(), MonotonicNanoseconds.now() >= due else { return nil }
        return noteSyncStart(.sync)
    }

    /// What came while the batch waited belongs to it.
    private func completeGroup() {
        if hasHeld && nextFile == nil {
            batch.append(held.bytes)
            held.removeAll(keeping: 1 << 20)
            hasHeld = false
        }
        groupCommit.began()
        writersOfBatch = groupCommit.underWay
    }

    private func noteSyncStart(_ step: Step) -> Step {
        lastSyncStart = MonotonicNanoseconds.now()
        counters.isSyncing = true
        return step
    }

    /// When the next fsync once a second is due; nil if none is.
    private func syncDue() -> MonotonicNanoseconds? {
        guard sharedPolicy == .everysec, !syncsAreSuspended, isDirty else { return nil }
        return MonotonicNanoseconds(lastSyncStart.rawValue &+ Self.second)
    }

    /// A log whose last sync is a second old is at rest.
    private var markDue: MonotonicNanoseconds { MonotonicNanoseconds(lastSyncStart.rawValue &+ Self.second) }

    private func deadline() -> MonotonicNanoseconds? {
        if state.isPoisoned { return nil }
        if hasBatch { return state == .healthy ? gatherDeadline : retryAt }
        if awaitsMark && !isDirty { return markDue }
        return syncDue()
    }

    // MARK: Doing it, without the lock

    private func perform(_ step: Step, at start: LogOffset) -> Outcome {
        var outcome = Outcome()
        switch step {
        case .write(let sync):
            let began = MonotonicNanoseconds.now()
            outcome.writeFailure = writeBatch(batch.bytes, at: start, syncs: sync)
            outcome.writeNanoseconds = MonotonicNanoseconds.now().nanoseconds(since: began)
            outcome.didWrite = outcome.writeFailure == nil
            if outcome.didWrite && sync { syncFile(&outcome) }
        case .sync:
            syncFile(&outcome)
        case .mark:
            cutFillerAtRest(&outcome)
            if outcome.syncFailure == nil { writeMark() }
        case .switchFile(let next):
            // Invariant 3; under `always` there is nothing left to sync.
            if durableOffset < start || needsTruncation || preallocation.left > 0 || markIsExposed {
                finishOldFile(&outcome)
            }
            if outcome.syncFailure != nil || outcome.writeFailure != nil { return outcome }
            fileSystem.close(file)
            file = next
            outcome.switchedFrom = fileSize
            fileSize = 0
            preallocation.fileChanged()
        }
        return outcome
    }

    /// If it can't be cut, it stays: it is no harm.
    private func cutFillerAtRest(_ outcome: inout Outcome) {
        if preallocation.left == 0 || (try? truncate()) == nil { return }
        syncFile(&outcome)
    }

    private func finishOldFile(_ outcome: inout Outcome) {
        if needsTruncation || preallocation.left > 0 {
            do throws(StorageError) {
                try truncate()
            } catch {
                outcome.syncFailure = error
                return
            }
        }
        syncFile(&outcome)
    }

    private func syncFile(_ outcome: inout Outcome) {
        let begin = MonotonicNanoseconds.now()
        do throws(StorageError) {
            try fileSystem.syncData(file)
            framing.synced()
            markIsExposed = false
            outcome.didSync = true
        } catch {
            var failure = error
            failure.offset = fileSize
            outcome.syncFailure = failure
        }
        outcome.syncNanoseconds = MonotonicNanoseconds.now().nanoseconds(since: begin)
    }

    // MARK: What came of it, lock held

    private func publish(_ outcome: Outcome, _ step: Step) {
        counters.isSyncing = false
        if outcome.didWrite {
            let end = LogOffset(written.load(ordering: .relaxed)).advanced(by: batch.count)
            hasBatch = false
            batch.removeAll(keeping: 1 << 20)
            wroteBatch(upTo: end)
            insight.writeTook(outcome.writeNanoseconds)
        }
        if let failure = outcome.writeFailure { writeFailed(failure) }
        if outcome.didSync {
            counters.syncs += 1
            counters.lastSyncNanoseconds = outcome.syncNanoseconds
            durable.store(written.load(ordering: .relaxed), ordering: .releasing)
            syncedSequence = sealedSequence
            syncIsRequested = false
            insight.synced(outcome.syncNanoseconds)
            if !isStepped {
                groupCommit.ended(after: outcome.syncNanoseconds, at: MonotonicNanoseconds.now().rawValue)
            }
        }
        if let failure = outcome.syncFailure {
            insight.failed(failure, at: now())
            counters.syncFailures += 1
            setState(.poisoned(failure, durable: LogOffset(durable.load(ordering: .relaxed))))
        }
        if let bytes = outcome.switchedFrom {
            nextFile = nil
            if let next = nextFraming {
                next.follow(framing, bytes: bytes)
                framing = next
            }
            nextFraming = nil
            framing.fileChanged()
            counters.fileBytes = 0
            needsTruncation = false
            awaitsMark = false
        }
        if case .mark = step { counters.fileBytes = fileSize }
    }
}
