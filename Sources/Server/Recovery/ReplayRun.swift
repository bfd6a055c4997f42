import Commands
import Engine
import Keyspace
import Primitives
import RESP
import Storage

/// The state of one replay over all files.
struct ReplayRun {
    let core: ServerCore
    let engine: Engine
    var result: LogReplayResult
    var firstFailure = ""
    private var unit: [StoredCommand] = []
    private var nextProgress = 0
    /// `key-load-delay`
    private var keyDelay: (() -> Void)?

    init(_ core: ServerCore, _ manifest: AOFManifest) {
        self.core = core
        result = LogReplayResult(manifest: manifest)
        engine = core.engine
    }

    /// What one file came to.
    struct File {
        var end: AOFEnd
        var seals: SealState
        /// CRC-32C of the file; nil: it is compressed.
        var checksum: UInt32?
    }

    mutating func load(_ path: String, in fileSystem: any FileSystem, isBase: Bool,
                       _ expectation: SealExpectation) throws(StorageError) -> File {
        let file = try fileSystem.open(path, .read)
        defer { fileSystem.close(file) }
        let source = try AOFSource(file, in: fileSystem)
        source.computeChecksum()
        var reader = AOFReader(source, seals: expectation)
        engine.ownSession.database = 0
        unit = []
        nextProgress = 0
        keyDelay = Recovery.keyDelay(core)
        while true {
            switch try reader.next() {
            case .annotation: break
            case .record: try replay(reader, path)
            case .preamble:
                guard isBase else {
                    throw StorageError(.load, path, at: 0, .corrupt("an RDB file where records belong"))
                }
                try loadPreamble(&reader, path)
            case .end:
                return File(end: reader.end ?? .whole(reader.wholeEnd), seals: reader.seals,
                            checksum: source.checksum)
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
        options.delay = Recovery.keyDelay(core)
        core.log.write(.notice, "Reading RDB base file on AOF loading...")
        let input = reader.beginPreamble()
        let core = core
        var loaded = try RDBLoader.load(input, into: &Recovery.keyspace(core).pointee, options: options) {
            Recovery.tellProgress(core, loaded: $0.bytes, keys: $0.keys, usedMemory: $0.usedMemory)
        }
        reader.endPreamble(loaded.endOffset)
        Recovery.tell(core, loaded)
        result.keysLoaded = loaded.keysLoaded
        result.keysExpired = loaded.keysExpired
        try core.take(loaded.functions, path, replaces: false)
        swap(&core.persistence.moduleAux, &loaded.moduleAux)
    }

    private mutating func replay(_ reader: borrowing AOFReader, _ path: String) throws(StorageError) {
        let arguments = reader.arguments
        if let keyDelay { keyDelay() }
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
        guard let id = engine.table.findRecord(arguments) else {
            let name = String(decoding: arguments[0].prefix(128), as: UTF8.self)
            core.log.write(.warning,
                           "Unknown command '\(name)' reading the append only file \(FilePath.name(path))")
            throw StorageError(.load, path, at: reader.offset, .unsupported("Unknown command '\(name)'"))
        }
        guard engine.table.commands[id].takes(arguments.count) else {
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
