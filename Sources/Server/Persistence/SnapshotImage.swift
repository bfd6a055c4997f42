import CShims
import Keyspace
import Primitives
import Storage
#if canImport(Glibc)
import Glibc
#endif

// Writing all of the keyspace to a file: in a child, or in the foreground (SAVE, the base at start).
//
//     write temp-…        crash: a temporary that the next start removes
//     fsync it            crash: as before
//     rename              crash: the old file or the new one, each whole
//     fsync directory     after this the new one stays
//
// A base is not renamed here: its name belongs to the manifest's steps (LogRewrite.swift).

/// Borrowed addresses and values; used before the next change of the keyspace, or in a child that has its own.
struct SnapshotImage {
    let databases: UnsafeMutablePointer<Database>
    let databaseCount: Int
    let purpose: SnapshotPurpose
    let options: RDBSnapshotOptions
    /// Microseconds to rest after each key, for tests (`rdb-key-save-delay`).
    let keyDelay: Int
    let paths: SnapshotPaths
    var disk: ImageDisk
    /// A child's `oom_score_adj`; nil: its parent's.
    var oomScore: Int?

    struct Failure {
        var stage: SnapshotStage
        var code: Int32

        init(stage: SnapshotStage, code: Int32) {
            self.stage = stage
            self.code = code
        }

        /// Nil when a call's result is good.
        init?(_ stage: SnapshotStage, _ result: Int32) {
            if result >= 0 { return nil }
            self.init(stage: stage, code: -result)
        }
    }

    /// Nil: it is there, durable. On failure the temporary is gone.
    func write(report: (Int) -> Void) -> Failure? {
        let file = disk.create(disk.context, paths.temporary)
        if file < 0 { return Failure(stage: .open, code: -file) }
        var failure = fill(file, report)
        if failure == nil { failure = Failure(.sync, disk.sync(disk.context, file)) }
        let closed = disk.close(disk.context, file)
        if failure == nil { failure = Failure(.sync, closed) }
        if failure == nil, let final = paths.final { failure = name(final) }
        if failure != nil { _ = disk.unlink(disk.context, paths.temporary) }
        return failure
    }

    private func fill(_ file: Int32, _ report: (Int) -> Void) -> Failure? {
        var delayed = 0
        func progress(_ keys: Int) {
            if keyDelay > 0 && keys > delayed {
                usleep(UInt32(truncatingIfNeeded: keyDelay &* (keys &- delayed)))
                delayed = keys
            }
            report(keys)
        }
        let code: Int32
        switch purpose {
        case .dump, .base(.rdb):
            code = RDBSnapshotWriter.write(databases: databases, count: databaseCount, to: file, on: disk,
                                           options: options, progress: progress)
        case .base(.aof):
            code = AOFRewriter.write(databases: databases, count: databaseCount, to: file, on: disk,
                                     options: options, progress: progress)
        }
        return code == 0 ? nil : Failure(stage: .write, code: code)
    }

    private func name(_ final: UnsafeMutablePointer<CChar>) -> Failure? {
        Failure(.rename, disk.rename(disk.context, paths.temporary, final))
            ?? Failure(.syncDirectory, disk.syncDirectory(disk.context, paths.directory))
    }

    // MARK: In a child

    /// Forks. Nil, with errno, when there can be no child.
    func fork(prefix: String, suffix: String, changes: Int, keys: Int) -> ForkedChild? {
        var ends: (Int32, Int32) = (0, 0)
        let status = withUnsafeMutableBytes(of: &ends) { pipe($0.assumingMemoryBound(to: Int32.self).baseAddress) }
        if status != 0 { return nil }
        for end in [ends.0, ends.1] { _ = fcntl(end, F_SETFL, O_NONBLOCK) }
        let parent = getpid()
        let pid = sr_fork()
        if pid == 0 { runChild(parent, ends.1) }
        let code = errno
        _ = close(ends.1)
        if pid < 0 {
            _ = close(ends.0)
            errno = code
            return nil
        }
        let now = MonotonicNanoseconds.now()
        return ForkedChild(pid: pid, purpose: purpose, temporary: "\(prefix)\(pid)\(suffix)", reports: ends.0,
                           startedAt: now, keysTotal: keys, changesAtStart: changes, lastReportAt: now)
    }

    private func runChild(_ parent: pid_t, _ pipe: Int32) -> Never {
        let pipe = sr_become_child(parent, pipe, purpose.isDump ? "redis-rdb-save" : "redis-aof-base")
        if let oomScore { _ = OOMScore.write(oomScore) }
        _ = sr_run_as(purpose.isDump ? sr_runs_dump : sr_runs_rewrite)
        paths.complete(getpid())
        var nextReport = MonotonicNanoseconds.now().rawValue
        var calls = 0
        let failure = write { keys in
            calls &+= 1
            if calls & 0x3ff != 0 && keyDelay == 0 { return }
            let now = MonotonicNanoseconds.now().rawValue
            if now < nextReport { return }
            Self.send(ChildReport(keys: Int64(keys), copied: copiedOnWriteBytes()), pipe)
            // Reading the kernel's account of our pages is slow when they are many: a hundredth of the time.
            let cost = MonotonicNanoseconds.now().rawValue &- now
            nextReport = now &+ max(500_000_000, cost &* 100)
        }
        Self.send(ChildReport(keys: -1, copied: copiedOnWriteBytes(), stage: (failure?.stage ?? .write).rawValue,
                              error: failure?.code ?? 0), pipe)
        _exit(failure == nil ? 0 : 1)
    }

    /// A full pipe loses a report; nothing waits for one.
    private static func send(_ report: ChildReport, _ pipe: Int32) {
        var report = report
        withUnsafeBytes(of: &report) { _ = Glibc.write(pipe, $0.baseAddress, $0.count) }
    }
}
