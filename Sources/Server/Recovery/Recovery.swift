import Engine
import Keyspace
import Primitives
import Storage
#if canImport(Glibc)
import Glibc
#endif

// What a start finds on the disk, and what it makes of it.
//
// appendonly yes
//     manifest                        load BASE and increments
//     no manifest, an old server's    load it; then bring it into the directory (AOFDirectory.upgradeIfNeeded)
//     single file
//     no log, a dump                  load the dump, write it as the first base, serve. (Other servers start empty here
//                                     and then overwrite the dump.)
//     files of a log, no manifest     refuse: which of them count, and in which order, is not known
//     nothing                         an empty base
// appendonly no
//     a dump                          load it
//     nothing                         start empty
//
// Rules
//  1. A file that can't be read stops the start: told are file, place, reason, and what to do. Nothing on the disk was
//     changed by then (but for a torn tail, which `aof-load-truncated` allows to be cut off).
//  2. Nothing that holds data is overwritten or removed before its successor is durable.
//  3. Nothing is served before the log that it will be written to is durable.
//
// The first files of a log, each step durable before the next:
//
//     1  the directory                crash: an empty directory
//     2  temp-NAME.creating in it     crash: the marker says that files without a manifest are from an unfinished
//                                     first start; they hold nothing that was ever acknowledged
//     3  the base, as temp-…, then under its name; the empty increment
//     4  the manifest                 crash: the log is there
//     5  the marker is removed        crash: the next start removes it

enum Recovery {
    /// False: what is on the disk can't be read, and the log says why. The disk is as it was.
    static func loadAtStart(_ core: ServerCore) -> Bool {
        core.persistence.followConfiguration()
        do throws(StorageError) {
            try run(core)
            return true
        } catch {
            core.log.write(.warning, "\(error)")
            core.log.write(.warning, "Fatal error loading the DB, check server logs. Exiting.")
            return false
        }
    }

    /// Loads what is there and opens the log. Before the first connection.
    static func run(_ core: ServerCore) throws(StorageError) {
        let persistence = core.persistence
        persistence.directory = persistence.makeDirectory()
        persistence.manifest = AOFManifest(filename: core.configuration.appendfilename)
        core.updateClock()
        let before = core.engine.keyspace.expiryPolicy
        core.engine.state.isLoading = true
        persistence.answersWhileLoading = true
        defer {
            persistence.answersWhileLoading = false
            core.engine.state.isLoading = false
            core.engine.keyspace.expiryPolicy = before
        }
        if core.configuration.appendonly {
            try openLog(core, persistence)
        } else {
            try loadFirst(core)
        }
        core.engine.changesSinceSave = 0
        core.engine.keyspace.expired.removeAll()
        core.engine.keyspace.expiredFields.removeAll()
        try removeTemporaries(core)
        persistence.backup.recover()
        if core.configuration.appendonly { persistence.findings.count(persistence.directory) }
        persistence.loading = nil
    }

    /// The dump; else what `preload-file` names.
    private static func loadFirst(_ core: ServerCore) throws(StorageError) {
        if try loadDump(core) {
            Preload.tellIgnored(core)
        } else {
            _ = try Preload.load(core)
        }
    }

    // MARK: The log

    private static func openLog(_ core: ServerCore, _ persistence: Persistence) throws(StorageError) {
        let directory = persistence.directory
        var loaded: LogReplayResult?
        try syncNames(directory)
        if let found = try findLog(directory) {
            Preload.tellIgnored(core)
            loaded = try replay(core, found)
        } else {
            try loadFirst(core)
        }
        try openFiles(core, persistence, loaded)
    }

    /// A server that was killed may have left names that are not durable, and this one is about to rely on them.
    private static func syncNames(_ directory: AOFDirectory) throws(StorageError) {
        let fileSystem = directory.fileSystem
        try fileSystem.syncDirectory(directory.serverDirectory)
        if try fileSystem.status(directory.path)?.kind == .directory { try fileSystem.syncDirectory(directory.path) }
    }

    /// Likewise for bytes. And should an fsync have failed in its last file, memory may have bytes that the disk does
    /// not: they are read from the disk. (Earlier files were durable before it was begun.)
    private static func syncFiles(_ directory: AOFDirectory, _ manifest: AOFManifest) throws(StorageError) {
        let fileSystem = directory.fileSystem
        var isLast = true
        for entry in manifest.loadOrder.reversed() {
            // Told by whoever loads it.
            guard let status = try fileSystem.status(directory.path(entry)), status.size > 0 else { continue }
            let file = try fileSystem.open(directory.path(entry), .append)
            defer { fileSystem.close(file) }
            try fileSystem.sync(file)
            if isLast { fileSystem.dropCache(file) }
            isLast = false
        }
    }

    /// The manifest of the log that is there, whatever its age; nil: there is none.
    private static func findLog(_ directory: AOFDirectory) throws(StorageError) -> FoundLog? {
        let fileSystem = directory.fileSystem
        let old = FilePath.join(directory.serverDirectory, directory.filename)
        let hasOld = try fileSystem.status(old)?.kind == .file
        if let manifest = try directory.load() {
            // An upgrade that a crash cut off: the file is still at its old place.
            if manifest.isUpgrade, hasOld, try fileSystem.status(directory.path(directory.filename)) == nil {
                return FoundLog(manifest: manifest, isOld: true)
            }
            try AOFDirectory.requireComplete(manifest, at: directory.manifestPath, in: fileSystem)
            return FoundLog(manifest: manifest, isOld: false)
        }
        if hasOld {
            return FoundLog(manifest: AOFManifest.upgrading(filename: directory.filename), isOld: true)
        }
        try refuseStrayFiles(directory)
        return nil
    }

    struct FoundLog {
        var manifest: AOFManifest
        /// The file lies in the server's directory, where old servers had it.
        var isOld: Bool
    }

    private static func refuseStrayFiles(_ directory: AOFDirectory) throws(StorageError) {
        let fileSystem = directory.fileSystem
        guard try fileSystem.status(directory.path)?.kind == .directory else { return }
        let names = try fileSystem.list(directory.path)
        if names.contains(markerName(directory)) { return }
        guard let stray = names.first(where: {
            $0.hasPrefix(directory.filename + ".") && $0 != LogReach.name(directory.filename)
        }) else { return }
        throw StorageError(.load, directory.path(stray), .unsupported(
            "there are files of an append-only log, but no manifest \(directory.manifestPath) that says which of them "
                + "count. Restore the manifest from a backup, or write one by hand (docs/FORMATS.md), or move the "
                + "directory away to start without the log"))
    }

    private static func replay(_ core: ServerCore, _ found: FoundLog) throws(StorageError) -> LogReplayResult {
        let persistence = core.persistence
        let directory = persistence.directory
        // Read where it lies; it is moved when it proved readable.
        let place = found.isOld ? AOFDirectory(directory.fileSystem, serverDirectory: directory.serverDirectory,
                                               name: ".", filename: directory.filename) : directory
        let began = MonotonicNanoseconds.now()
        try syncFiles(place, found.manifest)
        let result = try LogReplay.load(directory: place, manifest: found.manifest, core)
        persistence.lastLoadKeysLoaded = result.keysLoaded
        persistence.lastLoadKeysExpired = result.keysExpired
        core.log.write(.notice, "DB loaded from append only file: \(seconds(since: began)) seconds")
        if found.isOld {
            _ = try directory.upgradeIfNeeded()
            core.log.write(.notice, "Moved \(directory.filename) of an older server into \(directory.path)")
        }
        persistence.manifest = result.manifest
        return result
    }

    /// Makes what the log lacks of files, durably, and opens it for appending.
    /// - Parameter loaded: nil: there is no log yet.
    private static func openFiles(_ core: ServerCore, _ persistence: Persistence,
                                  _ loaded: LogReplayResult?) throws(StorageError) {
        let directory = persistence.directory, fileSystem = directory.fileSystem
        let isFirstStart = loaded == nil
        if isFirstStart {
            try directory.create()
            try mark(directory)
        }
        let format = persistence.baseFormat
        let opening = persistence.openIncrement(format, loaded)
        if let base = opening.createBase {
            core.log.write(.notice, "Creating AOF base file \(base.name) on server start")
            try writeBase(persistence, base, format)
            if core.configuration.aofSeal {
                persistence.manifest.tieBase(try directory.measure(base, isOurs: true), covers: 0)
            }
        }
        let file: File
        if opening.incrementIsNew {
            core.log.write(.notice, "Creating AOF incr file \(opening.increment.name) on server start")
            file = try directory.createFile(opening.increment)
        } else {
            core.log.write(.notice, "Opening AOF incr file \(opening.increment.name) on server start")
            file = try directory.openIncrement(opening.increment)
        }
        if opening.isChanged { try directory.persist(persistence.manifest) }
        try setAside(core, directory, loaded?.dropped ?? [])
        for entry in persistence.manifest.loadOrder where entry != opening.increment {
            persistence.closedBytes += try fileSystem.status(directory.path(entry))?.size ?? 0
        }
        let framing = persistence.framing(for: opening.increment, loaded)
        persistence.startLogging(try persistence.makeLog(file, startingAt: LogOffset(0), framing))
        persistence.logMode = .on
        if loaded?.isShort == true { persistence.noteReachAnew() }
        persistence.sizeAfterRewrite = persistence.logBytes
        if !persistence.manifest.history.isEmpty && !core.configuration.aofDisableAutoGc {
            _ = try directory.removeHistory(&persistence.manifest, persistence.keptHistory)
        }
    }

    /// Files behind a damage, which no manifest names any more.
    private static func setAside(_ core: ServerCore, _ directory: AOFDirectory,
                                 _ dropped: [AOFManifest.Entry]) throws(StorageError) {
        if dropped.isEmpty { return }
        for entry in dropped {
            let kept = try AOFCut.setAside(directory.path(entry), in: directory.fileSystem, now: .now(),
                                           mark: "damaged")
            core.log.write(.warning, "\(entry.name) is put aside as \(kept)")
        }
        try directory.fileSystem.syncDirectory(directory.path)
    }

    private static func writeBase(_ persistence: Persistence, _ entry: AOFManifest.Entry,
                                  _ format: AOFManifest.BaseFormat) throws(StorageError) {
        let directory = persistence.directory
        let prefix = directory.path("temp-rewriteaof-")
        let image = persistence.image(.base(format), prefix: prefix, suffix: ".aof", final: directory.path(entry))
        defer { image.paths.free() }
        image.paths.complete(getpid())
        if let failure = image.write(report: { _ in }) {
            throw StorageError(.write, directory.path(entry), errno: failure.code)
        }
    }

    /// From here until `unmark` files without a manifest are from something unfinished.
    static func mark(_ directory: AOFDirectory) throws(StorageError) {
        let marker = try directory.fileSystem.open(directory.path(markerName(directory)), .createOrEmpty)
        directory.fileSystem.close(marker)
        try directory.fileSystem.syncDirectory(directory.path)
    }

    /// There is a manifest now. A marker that stays beside it is no harm.
    static func unmark(_ directory: AOFDirectory) {
        let path = directory.path(markerName(directory))
        guard (try? directory.fileSystem.status(path)) != nil else { return }
        try? directory.fileSystem.unlink(path)
        try? directory.fileSystem.syncDirectory(directory.path)
    }

    private static func markerName(_ directory: AOFDirectory) -> String { "temp-\(directory.filename).creating" }

    // MARK: The dump

    /// The dump, plain or compressed; nil: there is none.
    static func dumpFile(_ core: ServerCore) throws(StorageError) -> (path: String, size: Int)? {
        let persistence = core.persistence
        for suffix in ["", ".gz", ".lz4"] {
            let path = persistence.dumpPath + suffix
            if let status = try persistence.fileSystem.status(path), status.kind == .file {
                return (path, status.size)
            }
        }
        return nil
    }

    /// False: there is no dump.
    static func loadDump(_ core: ServerCore, replacesKeys: Bool = false) throws(StorageError) -> Bool {
        guard let dump = try dumpFile(core) else { return false }
        try loadDump(core, dump, replacesKeys: replacesKeys)
        return true
    }

    static func loadDump(_ core: ServerCore, _ dump: (path: String, size: Int),
                         replacesKeys: Bool) throws(StorageError) {
        let persistence = core.persistence
        let began = MonotonicNanoseconds.now()
        beginLoading(persistence, totalBytes: dump.size)
        var options = RDBLoadOptions()
        options.now = core.engine.keyspace.now
        options.verifiesChecksum = core.configuration.rdbchecksum && !core.control.skipsChecksums
        options.isThorough = core.configuration.sanitizeDumpPayload == .yes
        options.replacesKeys = replacesKeys
        options.skipsUnsupported = core.configuration.rdbSkipUnsupported
        options.fileBytes = dump.size
        options.progressInterval = progressInterval(core)
        options.delay = keyDelay(core)
        options.plan = persistence.loadPlan
        let file = try persistence.fileSystem.open(dump.path, .read)
        defer { persistence.fileSystem.close(file) }
        let source = try RDBCompressedFile.source(file, in: persistence.fileSystem)
        var result = try RDBLoader.load(RDBInput(dump.path, source), into: &keyspace(core).pointee, options: options) {
            tellProgress(core, loaded: $0.bytes, keys: $0.keys, usedMemory: $0.usedMemory)
        }
        persistence.lastLoadKeysLoaded = result.keysLoaded
        persistence.lastLoadKeysExpired = result.keysExpired
        tell(core, result)
        swap(&persistence.moduleAux, &result.moduleAux)
        try core.take(result.functions, dump.path, replaces: replacesKeys)
        core.log.write(.notice, "DB loaded from disk: \(seconds(since: began)) seconds")
    }

    /// The keyspace for a loader: clients are answered meanwhile (with LOADING), so it may not be held exclusively.
    static func keyspace(_ core: ServerCore) -> UnsafeMutablePointer<Keyspace> {
        withUnsafeMutablePointer(to: &core.engine.keyspace) { $0 }
    }

    /// Logs what a loaded RDB file held.
    static func tell(_ core: ServerCore, _ result: borrowing RDBLoadResult) {
        if let version = result.auxValue("redis-ver") {
            core.log.write(.notice, "Loading RDB produced by version \(version)")
        }
        if let created = result.auxValue("ctime").flatMap({ Int64($0) }) {
            core.log.write(.notice, "RDB age \(max(core.engine.keyspace.now.seconds - created, 0)) seconds")
        }
        if let used = result.auxValue("used-mem").flatMap({ Int64($0) }) {
            core.log.write(.notice, "RDB memory usage when created \(twoDigits(Double(used) / 1_048_576)) Mb")
        }
        for loss in result.losses { core.log.write(.warning, "RDB: \(loss.line)") }
        if result.lossCount > 0 {
            core.log.write(.warning, "RDB: \(result.lossCount) things that can't be represented here were left out "
                           + "(rdb-skip-unsupported yes)")
        }
        let skipped = result.emptyKeysSkipped > 0 ? ", empty keys skipped: \(result.emptyKeysSkipped)" : ""
        core.log.write(.notice, "Done loading RDB, keys loaded: \(result.keysLoaded), keys expired: "
                       + "\(result.keysExpired)\(skipped).")
    }

    // MARK: Progress

    static func beginLoading(_ persistence: Persistence, totalBytes: Int) {
        persistence.loading = Persistence.LoadingProgress(
            startedAt: UnixMilliseconds.now().seconds, totalBytes: totalBytes, lastLog: .now())
    }

    /// `loading-process-events-interval-bytes`; 0: never. Not less than a round of events is worth.
    static func progressInterval(_ core: ServerCore) -> Int {
        let bytes = core.configuration.loadingProcessEventsIntervalBytes
        return bytes == 0 ? Int.max >> 1 : max(bytes, core.configuration.keyLoadDelay == 0 ? 1 << 16 : 1)
    }

    /// `key-load-delay`: microseconds of rest for each key, or, below 0, a microsecond for so many keys.
    static func keyDelay(_ core: ServerCore) -> (() -> Void)? {
        let delay = core.configuration.keyLoadDelay
        if delay == 0 { return nil }
        if delay > 0 { return { usleep(UInt32(delay)) } }
        var keys = 0
        return {
            keys += 1
            if keys % -delay == 0 { usleep(1) }
        }
    }

    /// Answers clients, and tells how far loading is, every five seconds.
    /// - Parameter loaded: of the file at hand; nil: as it was.
    static func tellProgress(_ core: ServerCore, loaded: Int?, keys: Int, usedMemory: Int = 0) {
        guard var loading = core.persistence.loading else { return }
        if usedMemory > 0 { loading.usedMemory = usedMemory }
        if let loaded { loading.loadedBytes = loading.finishedBytes + loaded }
        let now = MonotonicNanoseconds.now()
        if now.nanoseconds(since: loading.lastLog) > 5_000_000_000 {
            loading.lastLog = now
            let elapsed = max(UnixMilliseconds.now().seconds - loading.startedAt, 1)
            let share = Double(loading.loadedBytes) * 100 / Double(max(loading.totalBytes, 1))
            core.log.write(.notice, "Loading: \(keys) keys, \(loading.loadedBytes / 1_048_576) MB of "
                           + "\(loading.totalBytes / 1_048_576) MB (\(twoDigits(min(share, 100))) %), "
                           + "\(loading.loadedBytes / 1_048_576 / Int(elapsed)) MB/s, "
                           + "\(core.persistence.loadingSecondsLeft) seconds left")
        }
        core.persistence.loading = loading
        core.engine.state.loadedPercent = Int(core.persistence.loadingPercent)
        core.tellSupervisorOfLoading()
        if core.persistence.answersWhileLoading { core.measureBlocked { core.loop.runOnce() } }
    }

    static func seconds(since began: MonotonicNanoseconds) -> String {
        let thousandths = MonotonicNanoseconds.now().nanoseconds(since: began) / 1_000_000
        let rest = String(thousandths % 1000)
        return "\(thousandths / 1000)." + String(repeating: "0", count: 3 - rest.count) + rest
    }

    private static func twoDigits(_ value: Double) -> String {
        let hundredths = Int((value * 100).rounded())
        let rest = hundredths % 100
        return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest)"
    }

    // MARK: Leftovers

    /// Unlinks what dead children and cut-off starts left; a temporary whose process lives is its own.
    private static func removeTemporaries(_ core: ServerCore) throws(StorageError) {
        let persistence = core.persistence
        let fileSystem = persistence.fileSystem
        for name in try fileSystem.list(core.configuration.dir) {
            guard let writer = writer(of: name), writer != getpid(), kill(writer, 0) != 0, errno == ESRCH else {
                continue
            }
            try fileSystem.unlink(FilePath.join(core.configuration.dir, name))
        }
        guard core.configuration.appendonly else { return }
        unmark(persistence.directory)
        try persistence.directory.removeTemporaries()
    }

    /// The pid in `temp-<pid>.rdb` and `temp-rewriteaof-[bg-]<pid>.aof`.
    static func writer(of name: String) -> pid_t? {
        guard name.hasPrefix("temp-"), let dot = name.lastIndex(of: "."),
              name[dot...] == ".rdb" || name[dot...] == ".aof" else { return nil }
        var digits = name[..<dot].dropFirst(5)
        for prefix in ["rewriteaof-", "bg-"] where digits.hasPrefix(prefix) { digits = digits.dropFirst(prefix.count) }
        guard !digits.isEmpty, digits.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }) else { return nil }
        return pid_t(digits)
    }
}
