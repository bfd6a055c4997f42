import Engine
import Primitives
import Storage
#if canImport(Glibc)
import Glibc
#endif

// BACKUP: a consistent copy of the data set while the server runs, as Redis 8.10 has it. What is done to the disk, and
// what a crash leaves of it: BackupFiles.swift.
//
//     idle ── START ──> pending ──> snapshotting ──> incrementing ── SEAL ──> sealing ──> sealed ── CLEANUP ──> idle
//                       another      the rewrite      the base is              what SEAL    read back, with
//                       child        that makes       here, and read           left to do   its manifest
//                       lives        the base         back
//     any of them ── ABORT, or an error ──> failed ── START, CLEANUP ──>
//
// The backup stands for the moment of SEAL: every record that was logged before it is in it, none later. The engine
// waits for no disk: records after it are held back, and so are the replies of their clients, until those before it are
// written, which under `always` takes an fsync.
//
// Without a log (`appendonly no`) there is nothing to keep since START: the base is written at SEAL, by a child.
//
// The directory is made and emptied, and increments that a rewrite makes superfluous are linked (`keep`) before they
// are unlinked, by steps of the disk queue, which does them in order. Reading back goes on in a thread of its own.
// While START makes the directory, or CLEANUP empties it, the state is the one before, and the client waits.

final class Backup {
    enum State: String {
        case idle, pending, snapshotting, incrementing, sealing, sealed, failed
    }

    private unowned let persistence: Persistence
    private(set) var state = State.idle
    private(set) var error = ""
    /// Unix seconds; 0: none.
    private(set) var startTime: Int64 = 0
    private(set) var endTime: Int64 = 0
    /// Names in the directory that are complete.
    private(set) var names: [String] = []
    private var files: BackupFiles
    private var base: AOFManifest.Entry?
    private var firstIncrement: Int64 = 0
    /// Increments in the directory, in order.
    private var kept: [AOFManifest.Entry] = []
    /// Changes with every backup, so that steps of an earlier one do not go on.
    private var generation = 0
    /// What is to be copied and read back at SEAL is so little that its client waits for it.
    private(set) var isShort = false
    private static let shortBytes = 4 << 20
    /// Where the log ended at SEAL, until it is written up to there.
    private var sealOffset: LogOffset?
    /// The child that writes the base of a server without a log.
    private var childIsOurs = false
    /// What START and CLEANUP do to the directory is under way.
    private(set) var changesDirectory = false
    /// What came of it the last time; nil: it was done.
    private(set) var directoryError: StorageError?

    init(_ persistence: Persistence) {
        self.persistence = persistence
        files = BackupFiles(persistence.fileSystem, directory: "", filename: "")
    }

    private var configuration: Configuration { persistence.configuration }
    private var log: ServerLog { persistence.core.log }
    private var hasLog: Bool { persistence.logMode != .off }

    var directory: String { files.directory }
    var paths: [String] { names.map { files.path($0) } }

    private func makeFiles() -> BackupFiles {
        BackupFiles(persistence.fileSystem,
                    directory: FilePath.join(WorkingDirectory.absolute(configuration.dir), configuration.backupdirname),
                    filename: configuration.appendfilename)
    }

    /// What an earlier life of the server left.
    func recover() {
        guard !configuration.backupdirname.isEmpty else { return }
        files = makeFiles()
        guard let found = try? files.fileSystem.list(files.directory).filter(files.isOurs), !found.isEmpty else {
            return
        }
        names = found
        if let manifest = try? files.fileSystem.status(files.manifestPath) {
            state = .sealed
            endTime = manifest.modified.seconds
        } else {
            state = .failed
            error = "the server ended before the backup was sealed"
        }
    }

    // MARK: Commands

    func start() throws(StorageError) {
        guard !changesDirectory, state == .idle || state == .failed else {
            throw refusal(state == .sealed ? "A sealed backup is there. Remove it by BACKUP CLEANUP"
                          : "A backup is already in progress")
        }
        guard !configuration.backupdirname.isEmpty else { throw refusal("backupdirname is empty") }
        let old = state == .failed ? files : nil, new = makeFiles()
        changeDirectory { () throws(StorageError) in
            try old?.remove()
            try new.create()
        } then: { [self] in
            files = new
            begin()
        }
    }

    private func begin() {
        generation += 1
        names = []
        kept = []
        base = nil
        error = ""
        startTime = UnixMilliseconds.now().seconds
        endTime = 0
        if !hasLog {
            state = .incrementing
        } else if persistence.isRewriting || persistence.logMode == .awaitingBase {
            state = persistence.healing == nil ? .snapshotting : .pending
        } else {
            state = .pending
            startBase()
        }
        log.write(.notice, "Backup started in \(files.directory)")
    }

    /// On the disk's thread; `then` if it went well.
    private func changeDirectory(_ step: @escaping () throws(StorageError) -> Void, then: @escaping () -> Void) {
        changesDirectory = true
        persistence.disk.run(step) { [self] (result: Result<Void, StorageError>) in
            changesDirectory = false
            switch result {
            case .success:
                directoryError = nil
                then()
            case .failure(let failure):
                directoryError = failure
                error = "\(failure)"
            }
            persistence.engine.retryKeylessWaiters()
        }
    }

    private func startBase() {
        guard state == .pending, !persistence.isRewriting, persistence.startRewrite() else { return }
        state = .snapshotting
    }

    func seal() throws(StorageError) {
        guard state == .incrementing else { throw refusal("No backup to seal: it is \(state.rawValue)") }
        if hasLog { try sealLog() } else { try sealSnapshot() }
    }

    func abort() throws(StorageError) {
        switch state {
        case .pending, .snapshotting, .incrementing, .sealing: fail("aborted by BACKUP ABORT")
        case .idle, .sealed, .failed: throw refusal("No backup is in progress")
        }
    }

    func cleanUp() throws(StorageError) {
        guard !changesDirectory, state == .sealed || state == .failed else {
            throw refusal("No sealed or failed backup to clean up")
        }
        let files = files
        changeDirectory { () throws(StorageError) in try files.remove() } then: { [self] in
            state = .idle
            names = []
            error = ""
            startTime = 0
            endTime = 0
            log.write(.notice, "Backup removed from \(files.directory)")
        }
    }

    private func refusal(_ text: String) -> StorageError { StorageError(.create, files.directory, .unsupported(text)) }

    // MARK: What happens meanwhile

    /// Ten times a second.
    func cron() {
        if state == .pending, persistence.child == nil { startBase() }
        if sealOffset != nil { logProgressed() }
        let lifetime = Int64(configuration.backupSealedTtl)
        if state == .sealed, lifetime > 0, UnixMilliseconds.now().seconds - endTime >= lifetime { try? cleanUp() }
    }

    /// A rewrite's base is durable and named.
    func baseIsDurable() {
        guard state == .snapshotting, let made = persistence.manifest.base,
              let first = persistence.manifest.increments.first else { return }
        base = made
        firstIncrement = first.sequence
        let files = files, source = persistence.directory.path(made), begun = generation
        persistence.disk.run { () throws(StorageError) in
            try files.keep(source, as: made.name)
        } then: { [self] result in
            guard begun == generation, state == .snapshotting else { return }
            if case .failure(let error) = result { return fail("\(error)") }
            inBackground { () throws(StorageError) in try files.verify(made.name) } then: { [self] in
                names = [made.name]
                state = .incrementing
                log.write(.notice, "Backup: the base \(made.name) is kept and was read back")
            }
        }
    }

    /// Increments that will be unlinked: those that belong to the backup are kept first.
    func keep(_ history: [AOFManifest.Entry]) {
        guard base != nil, state == .snapshotting || state == .incrementing else { return }
        for entry in history.sorted(by: { $0.sequence < $1.sequence }) { keep(entry) }
    }

    private func keep(_ entry: AOFManifest.Entry) {
        guard isIncrement(entry), entry.sequence >= firstIncrement,
              !kept.contains(where: { $0.sequence == entry.sequence }) else { return }
        var increment = entry
        increment.kind = .increment
        kept.append(increment)
        let files = files, source = persistence.directory.path(entry), begun = generation
        persistence.disk.run { () throws(StorageError) in
            try files.keep(source, as: entry.name)
        } then: { [self] result in
            guard begun == generation, case .failure(let error) = result else { return }
            fail("\(error)")
        }
    }

    private func isIncrement(_ entry: AOFManifest.Entry) -> Bool {
        entry.kind == .increment || entry.name.hasSuffix(".incr.aof")
    }

    func rewriteFailed() {
        if state == .snapshotting { fail("the rewrite that makes the base failed") }
    }

    /// The log is not the one that the backup began with.
    func logBroke(_ reason: String) {
        switch state {
        case .pending, .snapshotting, .incrementing: fail(reason)
        case .sealing: if sealOffset != nil { fail(reason) }
        case .idle, .sealed, .failed: break
        }
    }

    private func fail(_ reason: String) {
        generation += 1
        releaseLog()
        state = .failed
        error = reason
        names = []
        log.write(.warning, "Backup failed: \(reason)")
        if childIsOurs { persistence.cancelChild() }
        childIsOurs = false
        let files = files
        persistence.disk.run { try? files.remove() }
    }

    // MARK: Sealing

    /// What is logged up to here is the backup. The engine does not wait: records behind this point are held back until
    /// those before it are in their file, whose size is then the backup's end.
    private func sealLog() throws(StorageError) {
        guard let log = persistence.log, base != nil else { throw refusal("the log is not there") }
        guard log.isHealthy else { throw refusal("the log can't be written now") }
        persistence.flush()
        state = .sealing
        isShort = kept.isEmpty && log.currentCounters.fileBytes <= Self.shortBytes
        sealOffset = persistence.engine.logEnd
        persistence.holdsLog = true
        logProgressed()
    }

    /// The log wrote something; while it is held.
    func logProgressed() {
        guard let target = sealOffset, let log = persistence.log else { return }
        if !log.isHealthy { return fail("the log can't be written: \(persistence.logError ?? "")") }
        if log.takenOffset < target {
            // It could not take all of it at once.
            _ = log.flush(&persistence.engine.pendingLog, writers: 0)
            persistence.engine.pendingLogStart = log.takenOffset
        }
        guard log.writtenOffset >= target, let current = log.currentFile else { return }
        releaseLog()
        do throws(StorageError) {
            try sealFiles(current)
        } catch {
            fail("\(error)")
        }
    }

    private func releaseLog() {
        sealOffset = nil
        persistence.holdsLog = false
    }

    /// - Parameter current: the file that is written to, and where the log ends in it.
    private func sealFiles(_ current: (path: String, bytes: Int)) throws(StorageError) {
        guard let base else { throw refusal("the log is not there") }
        let files = files
        // The last increment, and while the log is yet to take it the one before, may be written to.
        let live = persistence.manifest.increments.filter { $0.sequence >= firstIncrement }
        let isSwitching = persistence.operation == .preparing || persistence.operation == .switching
        let openCount = min(isSwitching ? 2 : 1, live.count)
        for entry in live.dropLast(openCount) { keep(entry) }
        var held: [(entry: AOFManifest.Entry, size: Int, path: String)] = []
        for entry in live.suffix(openCount) {
            let path = persistence.directory.path(entry)
            // A mark may be on its way behind what counts, and filler stand there.
            let size = path == current.path ? current.bytes : try files.fileSystem.status(path)?.size ?? 0
            held.append((entry, size, files.path("\(entry.name).open")))
        }
        // They must not vanish before they are copied.
        for item in held { try files.fileSystem.link(persistence.directory.path(item.entry), item.path) }
        let increments = (kept + held.map { $0.entry }).sorted { $0.sequence < $1.sequence }
        let opened = held
        let step: @Sendable () throws(StorageError) -> Void = { () throws(StorageError) in
            for item in opened {
                try files.copy(item.path, as: item.entry.name, upTo: item.size)
                try files.fileSystem.unlink(item.path)
            }
            for entry in increments { try files.verify(entry.name) }
            try files.seal(base, increments)
        }
        let names = ([base] + increments).map { $0.name } + [FilePath.name(files.manifestPath)]
        let begun = generation
        // Links that are under way come first.
        persistence.disk.run({ () throws(StorageError) in }, then: { [self] (_: Result<Void, StorageError>) in
            guard begun == generation, state == .sealing else { return }
            inBackground(step) { [self] in
                self.names = names
                state = .sealed
                endTime = UnixMilliseconds.now().seconds
                self.log.write(.notice, "Backup sealed: \(names.count) files in \(files.directory), each read back")
                persistence.engine.retryKeylessWaiters()
            }
        })
    }

    /// Runs on a thread of its own; what goes wrong fails the backup.
    private func inBackground(_ step: @escaping @Sendable () throws(StorageError) -> Void,
                              then: @escaping () -> Void) {
        let begun = generation
        if persistence.core.environment.isStepped {
            return persistence.disk.run(step) { [self] result in
                guard generation == begun else { return }
                if case .failure(let error) = result { fail("\(error)") } else { then() }
            }
        }
        let core = UncheckedReference(persistence.core), after = UncheckedReference(then)
        let own = UncheckedReference(self)
        let thread = WorkerThread("backup") {
            var failure: StorageError?
            do throws(StorageError) {
                try step()
            } catch {
                failure = error
            }
            let outcome = failure
            core.value.runOnEngine {
                guard own.value.generation == begun else { return }
                if let outcome { own.value.fail("\(outcome)") } else { after.value() }
            }
        }
        do throws(StorageError) {
            try thread.start()
        } catch {
            fail("\(error)")
        }
    }

    // MARK: Without a log

    private func sealSnapshot() throws(StorageError) {
        isShort = false
        guard persistence.child == nil else { throw refusal("Another child process is active: try again") }
        let name = "\(configuration.appendfilename).1.base.rdb"
        guard persistence.forkChild(.dump, prefix: FilePath.join(configuration.dir, "temp-"), suffix: ".rdb",
                                    final: files.path(name)) else { throw refusal("fork failed") }
        childIsOurs = true
        state = .sealing
    }

    /// True: the child that ended was ours.
    func childEnded(_ end: ForkedChild.End) -> Bool {
        guard childIsOurs else { return false }
        childIsOurs = false
        guard end == .success else {
            fail("the child that writes the base ended by \(end)")
            return true
        }
        let entry = AOFManifest.Entry("\(configuration.appendfilename).1.base.rdb", 1, .base)
        let files = files
        inBackground { () throws(StorageError) in
            try files.verify(entry.name)
            try files.seal(entry, [])
        } then: { [self] in
            names = [entry.name, FilePath.name(files.manifestPath)]
            state = .sealed
            endTime = UnixMilliseconds.now().seconds
            log.write(.notice, "Backup sealed: \(entry.name) in \(files.directory), read back")
        }
        return true
    }
}
