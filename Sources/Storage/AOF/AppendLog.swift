import CShims
import Primitives
import Synchronization
#if canImport(Glibc)
import Glibc
#endif

// The append-only log's writer: group commit off the engine's back.
//
//     engine thread                                   log thread
//     executes, records gather in `pending`
//     flush(&pending) ── batch ─────────────────────> write(2), and under `always` fdatasync
//     executes, records gather ...                    publishes written/durable offsets, onProgress()
//     woken: releases replies, flush(&pending) ...
//
// At most one batch is under way. What comes meanwhile gathers behind it and is the next one: the busier the disk, the
// bigger the batches. Taking a batch swaps two buffers; only what joins a batch that waits already is copied, up to a
// bound, beyond which it stays in the engine's own buffer.
//
// Policies
//     always     a batch is acknowledged when its fdatasync returned
//     everysec   a batch is acknowledged when it is in the page cache (kill -9 loses nothing). The engine itself calls
//                write(2) while the log thread is idle; an fdatasync once a second is the log thread's; while that
//                runs, the batch is left to the log thread, for a write may block behind an fdatasync
//     no         as everysec, without the fdatasync
//
// Who may touch the file (`file`, `fileSize`, `framing`, `head`): the holder, which changes under the lock only. The
// lock is never held during I/O.
//
// Invariants
//  1. durable <= written <= taken. All bytes before `durable` are on the disk in files that the manifest names.
//  2. The file holds whole batches up to `fileSize`; what may follow is a torn one, and `needsTruncation` is set, or
//     filler (LogFiller.swift), which the batches to come overwrite.
//  3. No byte goes to a new file before all of the old file is durable.
//  4. After a failed fsync no byte is written and nothing more is acknowledged until `replaceFile`.
//  5. A batch that could not be written stays, in its place, until it is written or a new base covers it.
//
// What a power loss leaves, and why the next start is right
//  - before or during a batch's write: a prefix of the batch, maybe none, maybe with zeros or a hole at its end. It was
//    not acknowledged as durable. The reader stops at the last whole record or transaction: a prefix of what was
//    executed, with all that was acknowledged.
//  - between write and fdatasync: as above.
//  - after fdatasync: the batch is there. fdatasync writes the file's new size too.
//  - during a switch of files: the new file was created, its name and the manifest synced before `switchFile` was
//    called; by 3 it is empty until the old one is durable. So a torn record can only be at the very end of the log.
//  - after a failed write: the torn batch is cut off at once; if that fails too, before the next write. Whatever is
//    left at a crash is a torn tail as above.
//  - after a failed fsync: the kernel may have dropped dirty pages and marked them clean: the file may have a hole
//    though a second fsync would succeed. Nothing that is not durable is acknowledged under `always`. The server
//    writes a new base from memory to a new file; only when that is durable and in the manifest does `replaceFile`
//    resume.

package enum FsyncPolicy: String, Sendable {
    case always, everysec, no
}

package enum LogState: Equatable, Sendable {
    case healthy
    /// Writing failed; the batch is tried again by itself. Refuse writes meanwhile.
    case failed(StorageError)
    /// An fsync failed: the file can't be trusted from `durable` on. Only `replaceFile` heals.
    case poisoned(StorageError, durable: LogOffset)

    package var error: StorageError? {
        switch self {
        case .healthy: nil
        case .failed(let error), .poisoned(let error, _): error
        }
    }
    package var isPoisoned: Bool { if case .poisoned = self { true } else { false } }
}

package struct AppendLogCounters: Sendable, Equatable {
    /// Written to files by this log, annotations included.
    package var bytes = 0
    package var batches = 0
    package var syncs = 0
    package var syncFailures = 0
    package var writeFailures = 0
    package var lastSyncNanoseconds: Int64 = 0
    /// Fsyncs that were under way for over two seconds when a batch came.
    package var delayedSyncs = 0
    /// The current file's size.
    package var fileBytes = 0
    /// Taken from the engine and not written yet.
    package var pendingBytes = 0
    package var isSyncing = false

    package init() {}
}

/// Functions are called on the engine thread alone, unless they say otherwise.
package final class AppendLog: @unchecked Sendable {
    // @unchecked: the fields say who owns them.

    // Shared, under `lock`.
    let lock = HandoverLock()
    var holder = Holder.nobody
    var state = LogState.healthy
    var counters = AppendLogCounters()
    var insight = AppendLogInsight()
    /// Under `always`: what is written is told before it is durable, for clients that wait for no more.
    var tellsOfWrites = false
    var sharedPolicy: FsyncPolicy
    var syncsAreSuspended = false
    /// Taken batches, in the order of the log: `batch`, `held`, then the switch of files.
    var batch = OwnedBytes(capacity: 1 << 16)
    var hasBatch = false
    var held = OwnedBytes(capacity: 16)
    var hasHeld = false
    var groupCommit = GroupCommit()
    /// There is a batch, and it waits for more clients until then.
    var gatherDeadline: MonotonicNanoseconds?
    /// Who looks after that time.
    var engineGathers = false
    var logThreadGathers = false
    /// Where the engine ran when it last handed something over; −1: the log thread may run anywhere.
    var engineProcessor: Int32 = -1
    private let sharesProcessor: Bool
    var nextFile: File?
    var nextFraming: (any BatchFraming)?
    var syncIsRequested = false
    var logThreadAwaitsEngine = false
    var isStopping = false
    var retryAt = MonotonicNanoseconds(0)
    var lastSyncStart = MonotonicNanoseconds(0)
    var lastDelayedSync = MonotonicNanoseconds(-1)
    /// Of the framing, as of the last batch written.
    var sealedSequence: Int
    /// Of the last batch that is durable.
    var syncedSequence: Int
    /// Batches were written since the last mark.
    var awaitsMark = false

    // The holder's.
    var file: File
    var fileSize: Int
    var needsTruncation = false
    /// A mark was written since the last sync: half of it may be left by a crash, and so before a switch of files it
    /// must be synced, too.
    var markIsExposed = false
    var framing: any BatchFraming
    var head = OwnedBytes(capacity: 256)
    var preallocation: LogPreallocation
    /// Clients that wait for the batch under way; under `always`, where they are counted.
    var writersOfBatch = 0

    // Anybody's.
    /// `aof-preallocate`.
    let preallocates: Atomic<Bool>
    let written: Atomic<UInt64>
    let durable: Atomic<UInt64>
    let healthy = Atomic<Bool>(true)
    let fileSystem: any FileSystem
    let now: @Sendable () -> UnixMicroseconds
    let onProgress: @Sendable () -> Void

    // The engine's.
    /// Where `pending`, the engine's buffer, begins.
    package private(set) var takenOffset: LogOffset
    private var thread: WorkerThread?
    /// The latency monitor is on: the engine's own writes are timed, too.
    package var measuresWrites = false
    /// Nanoseconds, a moving mean, as of the last batch under `always`; 0: not known.
    package private(set) var syncsUsuallyTake: Int64 = 0
    /// There is no thread: whoever drives the log takes its steps (`step`).
    let isStepped: Bool

    enum Holder { case nobody, engine, log }

    /// A direct write of more than this would keep the engine too long.
    static let maximumDirectBytes = 1 << 20
    static let second: Int64 = 1_000_000_000

    /// - Parameters:
    ///   - file: open to update, in the manifest on the disk; it ends where the log does. The log closes it.
    ///   - start: the offset of the next record.
    ///   - onProgress: called on the log thread after each of its steps (offsets or state may have changed). Must only
    ///     wake the engine, which then looks at the offsets and calls `flush`.
    ///   - isStepped: without a thread, for simulations.
    /// - Throws: when the file can't be synced: what a predecessor left in the page cache must be durable first.
    /// The log and its thread live until `close`.
    package init(_ fileSystem: any FileSystem, _ file: File, startingAt start: LogOffset, policy: FsyncPolicy,
                 framing: any BatchFraming, now: @escaping @Sendable () -> UnixMicroseconds = UnixMicroseconds.now,
                 isStepped: Bool = false, preallocation: LogPreallocation.Rule = .usual,
                 onProgress: @escaping @Sendable () -> Void) throws(StorageError) {
        self.isStepped = isStepped
        self.fileSystem = fileSystem
        self.file = file
        self.framing = framing
        self.now = now
        self.onProgress = onProgress
        self.preallocation = LogPreallocation(preallocation)
        preallocates = Atomic(true)
        sharedPolicy = policy
        sealedSequence = framing.position.sequence
        syncedSequence = sealedSequence
        takenOffset = start
        written = Atomic(start.rawValue)
        durable = Atomic(start.rawValue)
        fileSize = try fileSystem.size(file)
        try fileSystem.syncData(file)
        counters.fileBytes = fileSize
        sharesProcessor = sr_processor_count() == 2
        if isStepped { return }
        let thread = WorkerThread("aof-log") { [self] in runLogThread() }
        try thread.start()
        self.thread = thread
    }

    // MARK: Offsets and state

    /// Any thread.
    package var writtenOffset: LogOffset { LogOffset(written.load(ordering: .acquiring)) }
    /// Any thread.
    package var durableOffset: LogOffset { LogOffset(durable.load(ordering: .acquiring)) }
    /// Replies that wait for offsets up to this may leave.
    package var acknowledgedOffset: LogOffset { acknowledgesDurable ? durableOffset : writtenOffset }
    /// `always`
    package var acknowledgesDurable: Bool { if case .always = sharedPolicy { true } else { false } }
    /// Any thread; no lock.
    @inline(__always)
    package var isHealthy: Bool { healthy.load(ordering: .acquiring) }

    /// Any thread.
    package var currentState: LogState { locked { state } }

    /// Any thread.
    package var currentCounters: AppendLogCounters {
        locked {
            var result = counters
            result.pendingBytes = (hasBatch ? batch.count : 0) + (hasHeld ? held.count : 0)
            return result
        }
    }

    /// `appendfsync`. Changing it to `always` makes what is written durable at once.
    package var policy: FsyncPolicy {
        get { sharedPolicy }
        set {
            locked {
                sharedPolicy = newValue
                if newValue != .no && isDirty { lock.signalWork() }
            }
        }
    }

    /// `no-appendfsync-on-rewrite`, while a child writes: no fsync once a second. `always` stays `always`.
    package var suspendsSyncs: Bool {
        get { syncsAreSuspended }
        set { locked { syncsAreSuspended = newValue; lock.signalWork() } }
    }

    @inline(__always)
    func locked<Result>(_ body: () -> Result) -> Result {
        lock.lock()
        defer { lock.unlock() }
        return body()
    }

    /// Lock held.
    @inline(__always)
    var isDirty: Bool { durable.load(ordering: .relaxed) < written.load(ordering: .relaxed) }

    // MARK: Batches

    /// Hands the records over, if the log is ready for them; `pending` is then empty and begins at `takenOffset`.
    /// Otherwise they stay, and the next batch is bigger. To be called at the end of each tick and when woken. Never
    /// blocks on an fsync.
    /// - Parameter writers: clients with records in it who wait for them.
    /// - Returns: true if the records wait for more clients (GroupCommit.swift) and nobody but the caller looks after
    ///   the time: call again soon.
    package func flush(_ pending: inout OwnedBytes, writers: Int = 0) -> Bool {
        if pending.isEmpty && !engineGathers { return false }
        lock.lock()
        if nextFile != nil || state.isPoisoned {
            noteDelay()
            lock.unlock()
            return false
        }
        let isDirect = sharedPolicy != .always && holder == .nobody && !hasBatch && !hasHeld
            && pending.count <= Self.maximumDirectBytes
        if isDirect {
            holder = .engine
            lock.unlock()
            writeDirectly(&pending)
            return false
        }
        noteDelay()
        queue(&pending, writers)
        if sharesProcessor { engineProcessor = sr_current_processor() }
        syncsUsuallyTake = groupCommit.syncDuration
        let mayBegin = holder == .nobody && !gathers()
        engineGathers = isGathering && !logThreadGathers
        lock.unlock()
        // A thread that is woken while the lock is held would at once wait for it.
        if mayBegin {
            lock.signalWork()
            // It is behind the engine on the same processor: it comes first, for it soon waits for the disk.
            if sharesProcessor { sched_yield() }
        }
        return engineGathers
    }

    /// Lock held. `pending` is the next batch or joins it, so that the log thread need not wait for the engine.
    private func queue(_ pending: inout OwnedBytes, _ writers: Int) {
        if pending.isEmpty { return }
        if hasBatch || hasHeld {
            if hasHeld && held.count + pending.count > Self.maximumDirectBytes { return }
            hold(&pending)
        } else {
            take(&pending)
        }
        if sharedPolicy != .always || isStepped { return }
        groupCommit.came(writers, at: MonotonicNanoseconds.now().rawValue)
    }

    /// Lock held.
    private func hold(_ pending: inout OwnedBytes) {
        takenOffset = takenOffset.advanced(by: pending.count)
        if hasHeld { held.append(pending.bytes) } else { swap(&pending, &held) }
        hasHeld = true
        pending.removeAll(keeping: 1 << 20)
    }

    /// Lock held, nobody at work. The batch waits for more clients; not if an fsync is asked for or a file is waiting.
    func gathers() -> Bool {
        gatherDeadline = nil
        if sharedPolicy == .always, !tellsOfWrites, !isStepped, !isStopping, hasBatch, nextFile == nil,
           !syncIsRequested, state == .healthy {
            gatherDeadline = groupCommit.patience(at: MonotonicNanoseconds.now().rawValue)
        }
        return isGathering
    }

    var isGathering: Bool { gatherDeadline != nil }

    /// Lock held. Makes `pending` the batch.
    private func take(_ pending: inout OwnedBytes) {
        assert(!hasBatch)
        takenOffset = takenOffset.advanced(by: pending.count)
        swap(&pending, &batch)
        hasBatch = true
        pending.removeAll(keeping: 1 << 20)
    }

    private func writeDirectly(_ pending: inout OwnedBytes) {
        let count = pending.count
        let wasClean = isDirty == false
        let began = measuresWrites ? MonotonicNanoseconds.now() : nil
        let failure = writeBatch(pending.bytes, at: takenOffset, syncs: false)
        lock.lock()
        if let began { insight.writeTook(MonotonicNanoseconds.now().nanoseconds(since: began)) }
        holder = .nobody
        if let failure {
            take(&pending)
            writeFailed(failure)
            lock.signalWork()
        } else {
            takenOffset = takenOffset.advanced(by: count)
            pending.removeAll(keeping: 1 << 20)
            wroteBatch(upTo: takenOffset)
            // The log thread sets its timer for the next fsync.
            if logThreadAwaitsEngine || (wasClean && sharedPolicy != .no) { lock.signalWork() }
        }
        logThreadAwaitsEngine = false
        lock.unlock()
    }

    /// Lock held.
    private func noteDelay() {
        guard counters.isSyncing, lastDelayedSync != lastSyncStart,
              MonotonicNanoseconds.now().nanoseconds(since: lastSyncStart) > 2 * Self.second else { return }
        lastDelayedSync = lastSyncStart
        counters.delayedSyncs += 1
    }

    /// By the holder, without the lock. Leaves whole batches in the file, or sets `needsTruncation`.
    /// - Parameter syncs: a sync follows before anything else is written.
    func writeBatch(_ bytes: Bytes, at offset: LogOffset, syncs: Bool) -> StorageError? {
        let now = now()
        head.truncate(to: 0)
        framing.frame(bytes, at: offset, now, syncs: syncs, into: &head)
        preallocation.count(writersOfBatch, now)
        return writeFramed(bytes, syncs: syncs)
    }

    /// Likewise, of `head` and `bytes`.
    private func writeFramed(_ bytes: Bytes, syncs: Bool) -> StorageError? {
        let count = head.count + bytes.count
        do throws(StorageError) {
            if needsTruncation { try truncate() }
            if preallocation.left > 0 && !syncs { try cutFiller() }
            try writeWithTail(bytes, count, syncs: syncs)
        } catch {
            if needsTruncation { try? truncate() }
            var failure = error
            failure.offset = fileSize
            return failure
        }
        framing.wrote()
        fileSize += count
        return nil
    }

    private func writeWithTail(_ bytes: Bytes, _ count: Int, syncs: Bool) throws(StorageError) {
        let mayGrow = framing.isSealed && preallocates.load(ordering: .relaxed)
        let tail = syncs ? preallocation.tail(behind: fileSize + count, count, mayGrow: mayGrow)
            : Bytes(start: nil, count: 0)
        needsTruncation = true
        do throws(StorageError) {
            try fileSystem.write(file, at: fileSize, head.bytes, bytes, tail)
        } catch {
            // The batch alone may have room.
            guard tail.count > 1 else { throw error }
            preallocation.foundNoRoom()
            try truncate()
            needsTruncation = true
            try fileSystem.write(file, at: fileSize, head.bytes, bytes, Bytes(start: nil, count: 0))
            needsTruncation = false
            return
        }
        needsTruncation = false
        preallocation.wrote(count, tail: tail.count)
    }

    /// By the holder, without the lock: the file ends where the log does.
    func truncate() throws(StorageError) {
        try fileSystem.truncate(file, to: fileSize)
        needsTruncation = false
        preallocation.cut()
    }

    /// By the holder, without the lock; all of the log is durable. Durable itself, for what comes next may not be
    /// synced at once (LogFiller.swift).
    private func cutFiller() throws(StorageError) {
        try truncate()
        try fileSystem.syncData(file)
    }

    /// By the holder, without the lock: says at the end of the file that all of it is durable (which a start could
    /// otherwise not know of the last batch). It needs no sync of its own: nothing is lost with it.
    func writeMark() {
        head.truncate(to: 0)
        guard framing.mark(now(), into: &head) else { return }
        markIsExposed = true
        _ = writeFramed(Bytes(start: nil, count: 0), syncs: false)
    }

    // MARK: Files

    /// From here on records go to `file` (in the manifest on the disk already); those in `pending` still go to the old
    /// one, which is synced and closed. The first record of a file must be a SELECT: forget the log's database.
    /// False, with nothing changed, while an earlier switch is under way or the log is poisoned: try again later.
    package func switchFile(to file: File, framing: (any BatchFraming)? = nil, _ pending: inout OwnedBytes) -> Bool {
        lock.lock()
        defer { lock.unlock() }
        if nextFile != nil || state.isPoisoned { return false }
        if !pending.isEmpty {
            if hasBatch || hasHeld {
                hold(&pending)
            } else {
                take(&pending)
            }
        }
        nextFile = file
        nextFraming = framing
        lock.signalWork()
        return true
    }

    /// A switch of files is under way.
    package var isSwitching: Bool { locked { nextFile != nil } }

    /// Heals a failed or poisoned log: a base that covers every record before `covered` is durable, and the manifest on
    /// the disk names it and then `file`, which is empty. Records before `covered` are dropped, those from there on go
    /// to `file`. `covered` is where the base's image was taken: not before `takenOffset`, and at a SELECT (or the
    /// end). False, with nothing changed, while the log thread is at work: try again when woken.
    package func replaceFile(_ file: File, coveredUpTo covered: LogOffset, framing: (any BatchFraming)? = nil,
                             _ pending: inout OwnedBytes) -> Bool {
        lock.lock()
        defer { lock.unlock() }
        if holder != .nobody { return false }
        precondition(covered >= takenOffset && covered <= takenOffset.advanced(by: pending.count))
        fileSystem.close(self.file)
        if let nextFile { fileSystem.close(nextFile) }
        self.file = file
        if let framing { self.framing = framing }
        self.framing.fileChanged()
        sealedSequence = self.framing.position.sequence
        syncedSequence = sealedSequence
        awaitsMark = false
        fileSize = 0
        needsTruncation = false
        preallocation.fileChanged()
        markIsExposed = false
        nextFile = nil
        nextFraming = nil
        hasBatch = false
        hasHeld = false
        pending.dropFirst(Int(covered.rawValue - takenOffset.rawValue))
        takenOffset = covered
        written.store(covered.rawValue, ordering: .releasing)
        durable.store(covered.rawValue, ordering: .releasing)
        counters.fileBytes = 0
        insight.nothingIsExposed()
        setState(.healthy)
        return true
    }

    /// `aof-timestamp-enabled`, from the next batch on; false while the log is at work: try again.
    package func setTimestamps(_ enabled: Bool) -> Bool {
        locked {
            if holder != .nobody || hasBatch || hasHeld || nextFile != nil { return false }
            framing.writesTimestamps = enabled
            return true
        }
    }

    /// `aof-preallocate`, from the next batch on.
    package func setPreallocation(_ enabled: Bool) { preallocates.store(enabled, ordering: .relaxed) }

    /// The file that is written to, and where the log ends in it; nil: a switch of files is under way.
    package var currentFile: (path: String, bytes: Int)? {
        locked { nextFile == nil ? (file.path, counters.fileBytes) : nil }
    }

    /// Under `always` a batch is told of when it is written, and again when it is durable (CLIENT DURABILITY).
    package var announcesWrites: Bool {
        get { tellsOfWrites }
        set { locked { tellsOfWrites = newValue } }
    }

    /// The number that the last batch will have when all that was taken is written (and, of `pending`, is not).
    package var lastSequence: Int { locked { sealedSequence + (hasBatch ? 1 : 0) + (hasHeld ? 1 : 0) } }

    /// Numbers of the last batches.
    package var reach: (durable: Int, written: Int) { locked { (syncedSequence, sealedSequence) } }

    /// Makes what is written or taken durable soon, whatever the policy; `onProgress` tells.
    package func requestSync() {
        locked {
            if !isDirty && !hasBatch && !hasHeld { return }
            syncIsRequested = true
            lock.signalWork()
        }
    }

    // MARK: The end

    /// Blocks until everything, `pending` included, is written, and with `sync` durable.
    /// - Throws: the error that prevents it.
    package func drain(_ pending: inout OwnedBytes, sync: Bool) throws(StorageError) {
        lock.lock()
        defer { lock.unlock() }
        let failuresBefore = counters.writeFailures
        retryAt = MonotonicNanoseconds(0)
        while true {
            if state.isPoisoned, let error = state.error { throw error }
            if counters.writeFailures != failuresBefore, let error = state.error { throw error }
            if !pending.isEmpty && !hasBatch && !hasHeld && nextFile == nil { take(&pending) }
            let isIdle = holder == .nobody && !hasBatch && !hasHeld && nextFile == nil && pending.isEmpty
            if isIdle && !(sync && isDirty) { return }
            if isIdle { syncIsRequested = true }
            if isStepped {
                lock.unlock()
                while step() {}
                lock.lock()
                continue
            }
            lock.signalWork()
            lock.waitForDone()
        }
    }

    /// Behind a `drain` with sync: marks the end of the log as durable, durably if the disk allows it.
    package func sealEnd() {
        lock.lock()
        guard holder == .nobody, state == .healthy, awaitsMark, !isDirty else { return lock.unlock() }
        holder = .engine
        lock.unlock()
        writeMark()
        try? fileSystem.syncData(file)
        lock.lock()
        holder = .nobody
        awaitsMark = false
        counters.fileBytes = fileSize
        lock.unlock()
    }

    /// Ends the log thread and closes the file; `drain` first. Nothing may be called afterwards.
    package func close() {
        guard !isStopping else { return }
        locked {
            isStopping = true
            lock.signalWork()
        }
        thread?.join()
        thread = nil
        fileSystem.close(file)
        if let nextFile { fileSystem.close(nextFile) }
    }

    // MARK: Steps of the state, lock held

    func setState(_ new: LogState) {
        state = new
        healthy.store(new == .healthy, ordering: .releasing)
    }

    func wroteBatch(upTo offset: LogOffset) {
        insight.wrote(Int(offset.rawValue &- written.load(ordering: .relaxed)))
        written.store(offset.rawValue, ordering: .releasing)
        sealedSequence = framing.position.sequence
        awaitsMark = true
        counters.batches += 1
        counters.bytes += fileSize - counters.fileBytes
        counters.fileBytes = fileSize
        if state != .healthy { setState(.healthy) }
    }

    func writeFailed(_ error: StorageError) {
        insight.failed(error, at: now())
        counters.writeFailures += 1
        setState(.failed(error))
        retryAt = MonotonicNanoseconds(MonotonicNanoseconds.now().rawValue &+ Self.second)
    }
}
