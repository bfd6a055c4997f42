import Commands
import Engine
import Keyspace
import Primitives
import Storage

// The log's files into the engine.
//
// Records run through the engine as its own session's commands, without the gates meant for clients (ReplayRun.swift).
// What stands between MULTI and EXEC is kept until EXEC is there, and a sealed batch is checked before its first record
// runs: whole or nothing.
//
// Files are checked against each other: what the manifest ties by size and checksum, and that each sealed file goes on
// where the one before it ends. So a file that is missing, swapped, cut or of another day is found.
//
// Filler at a file's end (Storage/AOF/LogFiller.swift) is cut off as well, when all was read.
//
// A torn end is what a crash leaves. It may be in the last file that holds anything: a file after it was created, and
// is empty, when the crash came during a switch of files (AppendLog.swift, invariant 3). It is cut off after all was
// read, if `aof-load-truncated` allows it. Anything else is damage: `aof-on-corruption refuse` stops the start with the
// disk as it was; `quarantine` loads what is before it, and puts aside the rest of the file and all files behind it.

struct LogReplayResult {
    var keysLoaded = 0
    var keysExpired = 0
    var records = 0
    /// Records whose command answered an error: the data set may not be what it was.
    var failures = 0
    /// With the files that were read tied, if they are not sealed, and without those that were put aside.
    var manifest: AOFManifest
    /// Files of the log behind a damage; to be put aside when a manifest without them is durable.
    var dropped: [AOFManifest.Entry] = []
    /// Where the chain of seals stands.
    var position = SealPosition()
    /// Less than had been durable is there.
    var isShort = false
    /// How the last increment is to be appended to.
    var last = LastIncrement.none

    enum LastIncrement {
        /// There is none, or it must not be appended to.
        case none
        case empty(sealed: Bool)
        case sealed(id: UInt64)
        case unsealed
    }
}

struct LogReplay {
    private let directory: AOFDirectory
    private let core: ServerCore
    private let fileSystem: any FileSystem
    /// Torn ends are cut, damage is put aside, as the configuration says.
    private let repairs: Bool
    private var run: ReplayRun
    private var sizes: [Int] = []
    private var chain = SealChain()
    private var isQuarantined = false
    private var torn: (entry: AOFManifest.Entry, end: AOFEnd)?
    private var filled: [(entry: AOFManifest.Entry, end: AOFEnd)] = []

    /// Adds what the files of `manifest` hold. On an error the keyspace is half full: end, or empty it.
    /// - Parameter repairs: false: files are never changed.
    static func load(directory: AOFDirectory, manifest: AOFManifest, _ core: ServerCore,
                     repairs: Bool = true) throws(StorageError) -> LogReplayResult {
        var replay = LogReplay(directory, manifest, core, repairs: repairs)
        return try replay.load(manifest)
    }

    private init(_ directory: AOFDirectory, _ manifest: AOFManifest, _ core: ServerCore, repairs: Bool) {
        self.directory = directory
        self.core = core
        self.repairs = repairs
        fileSystem = directory.fileSystem
        run = ReplayRun(core, manifest)
    }

    private mutating func load(_ manifest: AOFManifest) throws(StorageError) -> LogReplayResult {
        chain.begin(manifest)
        for entry in manifest.loadOrder { sizes.append(try size(entry)) }
        Recovery.beginLoading(core.persistence, totalBytes: sizes.reduce(0, +))
        let before = Counters(core.engine)
        defer { before.restore(core.engine) }
        core.engine.keyspace.expiryPolicy = .ignore
        for (index, entry) in manifest.loadOrder.enumerated() {
            let began = MonotonicNanoseconds.now()
            if try !load(entry, index) { break }
            core.persistence.loading?.finishedBytes += sizes[index]
            let kind = entry.kind == .base ? "base" : "incr"
            core.log.write(.notice, "DB loaded from \(kind) file \(entry.name): "
                           + "\(Recovery.seconds(since: began)) seconds")
        }
        if repairs && !isQuarantined { try directory.requireNewest(manifest, chain) }
        try tellShortfall()
        if let torn { try cut(torn.entry, torn.end) }
        for one in filled { try cutFiller(one.entry, one.end) }
        run.result.position = chain.position
        core.statistics.unexpectedErrors += run.result.failures
        if run.result.failures > 0 {
            core.log.write(.warning, "\(run.result.failures) records of the AOF answered an error when they were "
                           + "replayed; the first: \(run.firstFailure)")
            if core.configuration.propagationErrorBehavior == .panic {
                throw StorageError(.load, directory.manifestPath, .corrupt(
                    "a record answered an error when it was replayed, and propagation-error-behavior is panic: "
                        + run.firstFailure))
            }
        }
        return run.result
    }

    private func size(_ entry: AOFManifest.Entry) throws(StorageError) -> Int {
        let path = directory.path(entry)
        guard let status = try fileSystem.status(path) else {
            throw StorageError(.open, path, .unsupported(
                "\(directory.line(naming: entry).map { "line \($0) of " } ?? "")the manifest "
                    + "\(directory.manifestPath) names this file, and it is not there. Restore it from a backup; "
                    + "without it the data is not whole"))
        }
        if let objection = SealChain.objection(to: entry, size: status.size) {
            throw StorageError(.load, path, at: min(entry.whole?.bytes ?? 0, status.size), .corrupt(objection))
        }
        return status.size
    }

    /// False: files behind this one don't count any more.
    private mutating func load(_ entry: AOFManifest.Entry, _ index: Int) throws(StorageError) -> Bool {
        let path = directory.path(entry)
        let file = try run.load(path, in: fileSystem, isBase: entry.kind == .base, chain.expectation(for: entry))
        guard let failure = file.end.error(path) else {
            if file.end.filler > 0 && repairs {
                filled.append((entry, file.end))
                sizes[index] = file.end.keep
            }
            try check(entry, file)
            note(entry, index, file)
            return true
        }
        let isLast = sizes[(index + 1)...].allSatisfy { $0 == 0 }
        // What the manifest ties as a whole was durable before it was named: nothing of it is ever torn.
        if file.end.kind == .torn, isLast, entry.whole == nil, core.configuration.aofLoadTruncated, repairs {
            torn = (entry, file.end)
            sizes[index] = file.end.keep
            note(entry, index, file)
            return true
        }
        guard repairs, core.configuration.aofOnCorruption == .quarantine, entry.kind == .increment,
              file.end.kind == .corrupt || !isLast else {
            advise(entry.name, file.end, isLast: isLast)
            throw failure
        }
        try quarantine(entry, index, file)
        return false
    }

    /// The manifest ties the file as a whole.
    private func check(_ entry: AOFManifest.Entry, _ file: ReplayRun.File) throws(StorageError) {
        guard let objection = SealChain.objection(to: entry, checksum: file.checksum) else { return }
        core.log.write(.warning, "\(entry.name) can be read, and is not the file that the manifest "
                       + "\(directory.manifestPath) means. Restore it from a backup")
        throw StorageError(.load, directory.path(entry), at: 0, .corrupt(objection))
    }

    /// What is known for the files behind.
    private mutating func note(_ entry: AOFManifest.Entry, _ index: Int, _ file: ReplayRun.File) {
        let size = sizes[index]
        chain.read(entry, bytes: size, file.seals)
        if entry.kind == .base {
            // It is not appended to.
        } else if size == 0 {
            run.result.last = .empty(sealed: entry.id != nil)
        } else if file.seals.mode == .sealed {
            run.result.last = .sealed(id: file.seals.id ?? 0)
        } else {
            if let start = file.seals.foreignStart {
                core.log.write(.warning, "\(entry.name) is not sealed from byte \(start) on: another server wrote "
                               + "\(size - start) bytes there. They were loaded, as far as they are whole; damage "
                               + "within them can't be told")
            }
            run.result.last = file.seals.foreignStart == nil ? .unsealed : .none
        }
        // What was cut is measured then.
        if core.configuration.aofSeal, size > 0, file.seals.mode != .sealed, entry.whole == nil,
           file.end.kind == .whole, let crc = file.checksum {
            run.result.manifest.tie(entry.name, .init(bytes: size, crc: crc))
        }
    }

    /// What no file shows by itself: that the log's end is missing, from the end of a batch on.
    private mutating func tellShortfall() throws(StorageError) {
        guard repairs, !isQuarantined, let last = run.result.manifest.increments.last,
              let shortfall = directory.reach()?.shortfall(chain, directory.filename) else { return }
        let path = directory.path(last), size = sizes.last ?? 0
        if chain.endsForeign && shortfall.wasDurable {
            throw StorageError(.load, path, at: 0, .corrupt(
                "\(shortfall.text). Behind it stand records that are not sealed: they were not written behind this"))
        }
        guard core.configuration.aofLoadTruncated || !shortfall.wasDurable else {
            throw StorageError(.load, path, at: size, .truncated(
                "\(shortfall.text). aof-load-truncated yes, or --fix, takes the log as it is"))
        }
        run.result.isShort = true
        core.persistence.findings.found("\(path) at byte \(size): \(shortfall.text)")
        let text = shortfall.text.prefix(1).uppercased() + shortfall.text.dropFirst()
        core.log.write(.warning, "!!! The AOF \(last.name) ends too early, at offset \(size) !!! \(text). All that is "
                       + "there was loaded; if there is a better copy, stop this server and restore it "
                       + "(aof-load-truncated yes)")
    }

    // MARK: Repair

    /// Ends the file behind its last whole unit; what was there is kept beside it.
    private mutating func cut(_ entry: AOFManifest.Entry, _ end: AOFEnd) throws(StorageError) {
        let path = directory.path(entry), name = FilePath.name(path)
        let kept = try AOFCut.cut(path, at: end.keep, in: fileSystem, now: .now())
        core.persistence.findings.kept(kept.path, isDamage: false)
        core.log.write(.warning, "!!! Truncating the AOF \(name) at offset \(end.keep) !!! It ends torn: "
                       + "\(end.reason). All up to there was loaded; the \(kept.bytes) bytes behind it are kept "
                       + "in \(kept.path) (aof-load-truncated yes)")
        if end.seal == nil { try tie(entry) }
    }

    private func cutFiller(_ entry: AOFManifest.Entry, _ end: AOFEnd) throws(StorageError) {
        try AOFCut.truncate(directory.path(entry), to: end.keep, in: fileSystem)
        core.log.write(.notice, "\(entry.name): \(end.filler) bytes that were allocated ahead of the log's end, at "
                       + "offset \(end.keep), are cut off; they hold nothing")
    }

    /// A file without seals, which has just been cut.
    private mutating func tie(_ entry: AOFManifest.Entry) throws(StorageError) {
        guard core.configuration.aofSeal else { return }
        run.result.manifest.tie(entry.name, try directory.measure(entry, isOurs: false))
    }

    private mutating func quarantine(_ entry: AOFManifest.Entry, _ index: Int,
                                     _ file: ReplayRun.File) throws(StorageError) {
        let path = directory.path(entry), end = file.end
        let (kept, bytes) = try AOFCut.cut(path, at: end.keep, in: fileSystem, now: .now(), mark: "damaged")
        core.persistence.findings.found("\(path) at byte \(end.offset): \(end.reason)")
        core.persistence.findings.kept(kept, isDamage: true)
        sizes[index] = end.keep
        var cut = file
        cut.end = .whole(end.keep)
        cut.checksum = nil
        note(entry, index, cut)
        run.result.last = .none
        isQuarantined = true
        if file.seals.mode != .sealed { try tie(entry) }
        run.result.dropped = run.result.manifest.dropIncrements(behind: entry)
        var text = "DAMAGED: \(path) at byte \(end.offset): \(end.reason). All before it was loaded; the \(bytes) "
            + "bytes from byte \(end.keep) on are kept in \(kept)"
        if !run.result.dropped.isEmpty {
            let names = run.result.dropped.map(\.name).joined(separator: ", ")
            text += "; the files behind it are put aside, too: \(names)"
        }
        core.log.write(.warning, text + " (aof-on-corruption quarantine)")
    }

    /// Logs what an operator can do about a file that is not loaded.
    private func advise(_ name: String, _ end: AOFEnd, isLast: Bool) {
        let check = "swift-redis-check-aof", manifest = directory.manifestPath
        let repair = "make a backup of your AOF files, then use \(check) --fix \(manifest)"
        if end.kind == .corrupt {
            let salvage = end.seal?.behind == nil ? "" : " (it ends the log before the damage; "
                + "\(check) --salvage \(manifest) also keeps what is whole behind it)"
            core.log.write(.warning, "Bad file format reading the append only file \(name): \(repair)\(salvage)")
        } else if isLast {
            core.log.write(.warning, "Unexpected end of file reading the append only file \(name). You can: 1) "
                           + "\(repair). 2) Alternatively you can set the 'aof-load-truncated' configuration option "
                           + "to yes and restart the server.")
        } else {
            core.log.write(.warning, "Unexpected end of file reading the append only file \(name)")
            core.log.write(.warning, "Fatal error: the truncated file is not the last file")
        }
    }

    /// Replay is no traffic: what INFO counts stays as it was.
    private struct Counters {
        let commands: [CommandStatistics]
        let processed: Int
        let errors: [String: Int]
        let keys: KeyspaceStatistics

        init(_ engine: Engine) {
            commands = (0..<engine.table.count).map { engine.statistics[$0] }
            processed = engine.commandsProcessed
            errors = engine.errorCounts
            keys = engine.keyspace.statistics
        }

        func restore(_ engine: Engine) {
            for index in commands.indices { engine.statistics[index] = commands[index] }
            engine.commandsProcessed = processed
            engine.errorCounts = errors
            engine.keyspace.statistics = keys
        }
    }
}
