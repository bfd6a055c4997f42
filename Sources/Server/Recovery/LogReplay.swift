import Commands
import Engine
import Keyspace
import Primitives
import RESP
import Storage

// The log's files into the engine.
//
// Records run through the engine as its own session's commands, without the gates meant for clients. What stands
// between MULTI and EXEC is kept until EXEC is there: whole or nothing.
//
// A torn end is what a crash leaves. It may be in the last file that holds anything: a file after it was created, and
// is empty, when the crash came during a switch of files (AppendLog.swift, invariant 3). It is cut off after all was
// read, if `aof-load-truncated` allows it; anywhere else, and whatever is corrupt, stops the start with the disk
// as it was.

struct LogReplayResult {
    var keysLoaded = 0
    var keysExpired = 0
    var records = 0
    /// Records whose command answered an error: the data set may not be what it was.
    var failures = 0
}

enum LogReplay {
    /// Adds what the files of `manifest` hold. On an error the keyspace is half full: end, or empty it.
    static func load(directory: AOFDirectory, manifest: AOFManifest,
                     _ core: ServerCore) throws(StorageError) -> LogReplayResult {
        let fileSystem = directory.fileSystem
        var sizes: [Int] = []
        for entry in manifest.loadOrder {
            guard let status = try fileSystem.status(directory.path(entry)) else {
                throw StorageError(.open, directory.path(entry), .unsupported(
                    "the manifest \(directory.manifestPath) names this file, and it is not there. Restore it from a "
                        + "backup; without it the data is not whole"))
            }
            sizes.append(status.size)
        }
        Recovery.beginLoading(core.persistence, totalBytes: sizes.reduce(0, +))
        let before = Counters(core.engine)
        defer { before.restore(core.engine) }
        core.engine.keyspace.expiryPolicy = .ignore
        var run = ReplayRun(core)
        var torn: (path: String, end: AOFEnd)?
        for (index, entry) in manifest.loadOrder.enumerated() {
            let began = MonotonicNanoseconds.now()
            let path = directory.path(entry)
            let end = try run.load(path, in: fileSystem, isFirst: index == 0)
            if let failure = end.error(path) {
                let isLast = sizes[(index + 1)...].allSatisfy { $0 == 0 }
                guard end.kind == .torn, isLast, core.configuration.aofLoadTruncated else {
                    advise(core, entry.name, end, isLast: isLast, directory.manifestPath)
                    throw failure
                }
                torn = (path, end)
            }
            core.persistence.loading?.finishedBytes += sizes[index]
            let kind = entry.kind == .base ? "base" : "incr"
            core.log.write(.notice, "DB loaded from \(kind) file \(entry.name): "
                           + "\(Recovery.seconds(since: began)) seconds")
        }
        if let torn { try cut(torn.path, torn.end, core, fileSystem) }
        if run.result.failures > 0 {
            core.log.write(.warning, "\(run.result.failures) records of the AOF answered an error when they were "
                           + "replayed; the first: \(run.firstFailure)")
        }
        return run.result
    }

    /// Ends the file behind its last whole unit; what was there is kept beside it.
    private static func cut(_ path: String, _ end: AOFEnd, _ core: ServerCore,
                            _ fileSystem: any FileSystem) throws(StorageError) {
        let name = FilePath.name(path)
        core.log.write(.warning, "!!! Warning: short read while loading the AOF file \(name)!!! \(end.reason)")
        core.log.write(.warning, "!!! Truncating the AOF \(name) at offset \(end.keep) !!!")
        let kept = try AOFCut.cut(path, at: end.keep, in: fileSystem, now: .now())
        core.log.write(.warning, "What was cut off the AOF \(name) is kept in \(kept)")
        core.log.write(.warning, "AOF \(name) loaded anyway because aof-load-truncated is enabled")
    }

    /// Logs what an operator can do about a file that is not loaded.
    private static func advise(_ core: ServerCore, _ name: String, _ end: AOFEnd, isLast: Bool, _ manifest: String) {
        let repair = "make a backup of your AOF files, then use swift-redis-check-aof --fix \(manifest)"
        if end.kind == .corrupt {
            core.log.write(.warning, "Bad file format reading the append only file \(name): \(repair)")
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

/// The state of one replay over all files.
private struct ReplayRun {
    let core: ServerCore
    let engine: Engine
    var result = LogReplayResult()
    var firstFailure = ""
    private var unit: [StoredCommand] = []
    private var nextProgress = 0

    init(_ core: ServerCore) {
        self.core = core
        engine = core.engine
    }

    mutating func load(_ path: String, in fileSystem: any FileSystem, isFirst: Bool) throws(StorageError) -> AOFEnd {
        let file = try fileSystem.open(path, .read)
        defer { fileSystem.close(file) }
        var reader = AOFReader(try AOFSource(file, in: fileSystem))
        engine.ownSession.database = 0
        unit = []
        nextProgress = 0
        while true {
            switch try reader.next() {
            case .annotation: break
            case .record: try replay(reader, path)
            case .preamble:
                guard isFirst else {
                    throw StorageError(.load, path, at: 0, .corrupt("an RDB file where records belong"))
                }
                try loadPreamble(&reader, path)
            case .end: return reader.end ?? .whole(reader.wholeEnd)
            }
        }
    }

    private mutating func loadPreamble(_ reader: inout AOFReader, _ path: String) throws(StorageError) {
        var options = RDBLoadOptions()
        options.now = engine.keyspace.now
        options.dropsExpired = false
        options.verifiesChecksum = core.configuration.rdbchecksum && !core.control.skipsChecksums
        options.skipsUnsupported = core.configuration.rdbSkipUnsupported
        options.fileBytes = reader.source.size
        options.progressInterval = Recovery.progressInterval(core)
        core.log.write(.notice, "Reading RDB base file on AOF loading...")
        let input = reader.beginPreamble()
        let core = core
        var loaded = try RDBLoader.load(input, into: &Recovery.keyspace(core).pointee, options: options) {
            Recovery.tellProgress(core, loaded: $0.bytes, keys: $0.keys)
        }
        reader.endPreamble(loaded.endOffset)
        Recovery.tell(core, loaded)
        result.keysLoaded = loaded.keysLoaded
        result.keysExpired = loaded.keysExpired
        swap(&core.persistence.functions, &loaded.functions)
        swap(&core.persistence.moduleAux, &loaded.moduleAux)
    }

    private mutating func replay(_ reader: borrowing AOFReader, _ path: String) throws(StorageError) {
        let arguments = reader.arguments
        if reader.consumed >= nextProgress {
            nextProgress = reader.consumed + Recovery.progressInterval(core)
            Recovery.tellProgress(core, loaded: reader.consumed, keys: result.keysLoaded)
        }
        if arguments.count == 1 {
            if arguments[0].equalsIgnoringCase("MULTI") { return }
            if arguments[0].equalsIgnoringCase("EXEC") {
                for command in unit { run(command.id, command.arguments, path, reader.offset) }
                unit = []
                return
            }
        }
        guard let id = engine.lookUp(arguments) else {
            let name = String(decoding: arguments[0].prefix(128), as: UTF8.self)
            core.log.write(.warning,
                           "Unknown command '\(name)' reading the append only file \(FilePath.name(path))")
            throw StorageError(.load, path, at: reader.offset, .unsupported("Unknown command '\(name)'"))
        }
        let arity = engine.table.commands[id].arity
        guard arity > 0 ? arguments.count == arity : arguments.count >= -arity else {
            throw StorageError(.load, path, at: reader.offset, .corrupt(
                "wrong number of arguments for '\(engine.table.rows[id].fullName)'"))
        }
        if reader.isInUnit {
            unit.append(StoredCommand(id: id, arguments))
        } else {
            run(id, arguments, path, reader.offset)
        }
    }

    private mutating func run(_ id: Int, _ arguments: Arguments, _ path: String, _ offset: Int) {
        let session = engine.ownSession
        engine.current = session
        session.output.pointee.truncate(to: 0)
        engine.run(session, id, arguments, raw: nil, isRetry: false, mayBlock: false)
        result.records += 1
        let reply = session.output.pointee.bytes
        if reply.count > 0, reply[0] == UInt8(ascii: "-") {
            result.failures += 1
            if firstFailure.isEmpty {
                let text = String(decoding: reply.prefix(200).prefix { $0 != 13 }, as: UTF8.self)
                firstFailure = "\(path) at byte \(offset): \(engine.table.rows[id].fullName): \(text)"
            }
        }
        if reply.count > 1 << 16 { session.output.pointee.removeAll() }
    }
}
