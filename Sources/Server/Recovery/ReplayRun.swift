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
    /// Commands of a unit whose end is in a chunk to come, and where each begins in the file.
    private var unit: [(command: StoredCommand, offset: Int)] = []
    private var isInUnit = false
    /// All of the unit is in the chunk at hand, and each of its commands is one that can be run.
    private var unitIsAtHand = false
    private let multi: Int
    private let exec: Int
    private var nextProgress = 0
    /// `key-load-delay`
    private var keyDelay: (() -> Void)?

    /// Commands whose memory is asked for at once.
    private static let prefetched = 32

    init(_ core: ServerCore, _ manifest: AOFManifest) {
        self.core = core
        result = LogReplayResult(manifest: manifest)
        engine = core.engine
        multi = engine.table.findOriginal(("MULTI" as StaticString).bytes) ?? -2
        exec = engine.table.findOriginal(("EXEC" as StaticString).bytes) ?? -2
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
        source.readLimit = core.persistence.loadPlan.readBytes
        var reader = AOFReader(source, seals: expectation)
        engine.ownSession.database = 0
        unit = []
        isInUnit = false
        nextProgress = 0
        keyDelay = Recovery.keyDelay(core)
        var first: AOFItem? = try reader.next()
        if isBase && first != .preamble && AOFEnd.needsPreamble(path),
           let error = AOFEnd.missingPreamble.error(path) { throw error }
        if first == .preamble {
            guard isBase else {
                throw StorageError(.load, path, at: 0, .corrupt("an RDB file where records belong"))
            }
            try loadPreamble(&reader, path)
            first = nil
        }
        let chunks = LogChunks(reader, first: first, Foresight(engine), core.persistence.loadPlan)
        let end = try replay(chunks, source.size, path)
        return File(end: end, seals: chunks.reader.seals, checksum: source.checksum)
    }

    private mutating func replay(_ chunks: LogChunks, _ bytes: Int?, _ path: String) throws(StorageError) -> AOFEnd {
        // One: cutting is most of what is to be done ahead.
        let pipeline = LoadPipeline(chunks, workers: min(core.persistence.loadPlan.workers(forBytes: bytes), 1))
        defer { pipeline.end() }
        while true {
            switch pipeline.next() {
            case .chunk(let chunk):
                try replay(chunk, path)
                switch chunk.end {
                case .more: pipeline.recycle(chunk)
                case .end(let end): return end
                case .failure(let error): throw error
                }
            case .nothing: Recovery.tellProgress(core, loaded: nil, keys: result.keysLoaded)
            // The last chunk says how the file ends.
            case .end: preconditionFailure("a log without an end")
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
        options.plan = core.persistence.loadPlan
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

    private mutating func replay(_ chunk: LogChunk, _ path: String) throws(StorageError) {
        let commands = UnsafePointer(chunk.commands), count = chunk.count
        var asked = 0
        for index in 0..<count {
            let command = commands + index
            if let keyDelay { keyDelay() }
            if command.pointee.end >= nextProgress {
                nextProgress = command.pointee.end + Recovery.progressInterval(core)
                Recovery.tellProgress(core, loaded: command.pointee.end, keys: result.keysLoaded)
            }
            if index == asked {
                let some = min(Self.prefetched, count - index)
                engine.prefetch(command, count: some, in: engine.ownSession.database)
                asked += some
            }
            if command.pointee.arguments.count == 1 {
                if command.pointee.id == multi {
                    beginUnit(commands + index, before: commands + count)
                    continue
                }
                if command.pointee.id == exec {
                    endUnit(path)
                    continue
                }
            }
            if !command.pointee.isSound { throw objection(command.pointee, path) }
            if isInUnit && !unitIsAtHand {
                unit.append((StoredCommand(id: command.pointee.id, command.pointee.arguments), command.pointee.offset))
            } else {
                run(command.pointee, path)
            }
        }
    }

    private mutating func beginUnit(_ start: UnsafePointer<ForeseenCommand>,
                                    before end: UnsafePointer<ForeseenCommand>) {
        isInUnit = true
        var place = start + 1
        while place < end, place.pointee.isSound, place.pointee.id != exec { place += 1 }
        unitIsAtHand = place < end && place.pointee.isSound
    }

    private mutating func endUnit(_ path: String) {
        isInUnit = false
        for (command, offset) in unit {
            var foreseen = ForeseenCommand(command.arguments, offset: offset, end: offset)
            foreseen.id = command.id
            run(foreseen, path)
        }
        unit = []
    }

    private func objection(_ command: ForeseenCommand, _ path: String) -> StorageError {
        guard command.id < 0 else {
            return StorageError(.load, path, at: command.offset, .corrupt(
                "wrong number of arguments for '\(engine.table.rows[command.id].fullName)'"))
        }
        let name = String(decoding: command.arguments[0].prefix(128), as: UTF8.self)
        core.log.write(.warning, "Unknown command '\(name)' reading the append only file \(FilePath.name(path))")
        return StorageError(.load, path, at: command.offset, .unsupported("Unknown command '\(name)'"))
    }

    @inline(__always)
    private mutating func run(_ command: ForeseenCommand, _ path: String) {
        let session = engine.ownSession
        session.output.pointee.truncate(to: 0)
        engine.replay(command)
        result.records += 1
        let reply = session.output.pointee.bytes
        if reply.count > 0, reply[0] == UInt8(ascii: "-") { noteFailure(command, reply, path) }
        if reply.count > 1 << 16 { session.output.pointee.removeAll() }
    }

    private mutating func noteFailure(_ command: ForeseenCommand, _ reply: Bytes, _ path: String) {
        result.failures += 1
        if firstFailure.isEmpty {
            let text = String(decoding: reply.prefix(200).prefix { $0 != 13 }, as: UTF8.self)
            firstFailure = "\(path) at byte \(command.offset): \(engine.table.rows[command.id].fullName): \(text)"
        }
    }
}
