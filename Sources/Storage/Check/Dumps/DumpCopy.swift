import Keyspace
import Primitives

// A dump written anew, key by key: in another version of the format (`--convert`), or what can be read of a damaged one
// (`--salvage`). Memory is taken for one key at a time. Every value is decoded and encoded again: what is written is
// well-formed whatever was read.

package struct DumpCopyReport: Sendable {
    package var path = ""
    package var output = ""
    package var version = 0
    package var dialect = RDBDialect.redis
    package var keysWritten = 0
    /// Keys that the selection leaves out.
    package var keysPassedOver = 0
    package var functions = 0
    /// What is not in the output and was in the input: the first thousand.
    package var losses: [RDBLoss] = []
    package var lossCount = 0
    package var bytesLost = 0
    /// Damage that was passed, if any: where reading failed, and where it went on (nil: nowhere).
    package var gaps: [Gap] = []
    package var gapCount = 0

    package struct Gap: Sendable {
        package var start: Int
        package var end: Int?
        package var reason: String
    }

    package init() {}

    mutating func add(_ loss: RDBLoss) {
        lossCount += 1
        if !loss.isPart { bytesLost += loss.bytes }
        if losses.count < RDBLimits.findings { losses.append(loss) }
    }

    mutating func add(_ gap: Gap) {
        gapCount += 1
        if gaps.count < RDBLimits.findings { gaps.append(gap) }
    }
}

package struct DumpCopyOptions: Sendable {
    /// Nil: the newest that this server writes.
    package var version: Int?
    package var selection = DumpSelection()
    package var skipsUnsupported = false
    package var overwrites = false
    package var compresses = true

    package init() {}
}

package enum DumpConvert {
    /// - Throws: damage, something that can't be represented (without `skipsUnsupported`), or an output that can't be
    ///   written. Then there is no output.
    package static func run(_ path: String, to output: String, _ options: DumpCopyOptions,
                            in fileSystem: any FileSystem,
                            _ progress: @escaping (Int) -> Void) throws(StorageError) -> DumpCopyReport {
        let file = try fileSystem.open(path, .read)
        defer { fileSystem.close(file) }
        var walker = RDBWalker(RDBInput(path, try RDBCompressedFile.source(file, in: fileSystem)))
        walker.input.skipsUnsupported = options.skipsUnsupported
        let target = try DumpOutput(output, overwrites: options.overwrites, in: fileSystem)
        var visitor = DumpCopyVisitor(target.file.descriptor, options, progress)
        visitor.report.path = path
        visitor.report.output = output
        do throws(StorageError) {
            try walker.walk(&visitor)
        } catch {
            target.discard()
            throw RDBLoader.told(error, walker)
        }
        let failure = visitor.finish()
        try target.finish(failure)
        visitor.report.dialect = walker.input.dialect
        return visitor.report
    }
}

/// Writes what a walk tells.
struct DumpCopyVisitor: RDBVisitor, ~Copyable {
    var report = DumpCopyReport()
    private var output: RDBOutput
    private var scratch = DumpScratch()
    private let options: DumpCopyOptions
    let version: RDBVersion
    private let progress: (Int) -> Void
    private var isBegun = false
    private var database = 0
    /// Of the output so far; nil: none was chosen.
    private var writtenDatabase: Int?
    /// The key in `scratch`, which is not written yet: fields' expires may follow it.
    private var pending: RDBKeyAttributes?
    private var pendingPlace = (offset: 0, bytes: 0)
    /// What the next key's producers sent, if it is a stream of an older type.
    private var producers = OwnedBytes()
    /// Set while salvaging: keys that were written already.
    var known: DumpKeys?

    init(_ descriptor: Int32, _ options: DumpCopyOptions, _ progress: @escaping (Int) -> Void) {
        self.options = options
        self.progress = progress
        version = RDBVersion(options.version ?? RDBVersion.redis7_4.number)
        output = RDBOutput(descriptor: descriptor, compresses: options.compresses, computesChecksum: true,
                           syncsIncrementally: false)
        report.version = version.number
    }

    mutating func begin(_ version: RDBVersion) {
        if isBegun { return }
        isBegun = true
        output.put(("REDIS00" as StaticString).bytes)
        output.put(UInt8(48 + self.version.number / 10 % 10))
        output.put(UInt8(48 + self.version.number % 10))
        put(aux: ("redis-ver" as StaticString).bytes, RDBSnapshotWriter.serverVersion.bytes)
    }

    /// The end of the file. Answers an errno, or 0.
    mutating func finish() -> Int32 {
        begin(version)
        flush()
        output.put(.eof)
        output.put(output.checksum)
        output.flush()
        return output.failure
    }

    // MARK: What is not a key

    private mutating func put(aux name: Bytes, _ value: Bytes) {
        output.put(.aux)
        output.put(string: name)
        output.put(string: value)
    }

    mutating func aux(_ name: Bytes, _ value: Bytes, at offset: Int) {
        flush()
        if name.equals(StreamCodec.producersField.bytes) {
            producers.removeAll()
            producers.append(value)
            return
        }
        // The version is told anew, and what other servers say of themselves means nothing in the new file.
        let kept = ["redis-bits", "ctime", "used-mem", "repl-stream-db", "repl-id", "repl-offset", "aof-base",
                    "aof-preamble", "lua"]
        let text = String(decoding: name, as: UTF8.self)
        if kept.contains(text) { put(aux: name, value) }
    }

    mutating func selectDatabase(_ index: Int, at offset: Int) {
        flush()
        database = index
    }

    mutating func resizeDatabase(keys: UInt64, expires: UInt64) {
        guard options.selection.isEverything, known == nil else { return }
        choose(database)
        output.put(.resizeDatabase)
        output.put(length: keys)
        output.put(length: expires)
    }

    mutating func function(_ code: Bytes) {
        report.functions += 1
        if version >= .redis7_0 {
            output.put(.function)
            output.put(string: code)
        } else {
            report.functions -= 1
            report.add(RDBLoss(database: 0, key: nil, offset: 0, bytes: code.count,
                               reason: "a library of functions, which version \(version.number) can't hold"))
        }
    }

    mutating func moduleAux(_ module: RDBModuleID, _ parts: Bytes, at offset: Int) {
        flush()
        output.put(.moduleAux)
        output.put(length: module.rawValue)
        output.put(parts)
    }

    mutating func memberExpire(_ member: Bytes, _ time: UnixMilliseconds, of key: Bytes) -> Bool {
        pending == nil || scratch.setExpire(of: member, time)
    }

    mutating func lost(_ loss: RDBLoss) { report.add(loss) }

    private mutating func choose(_ index: Int) {
        if writtenDatabase == index { return }
        writtenDatabase = index
        output.put(.selectDatabase)
        output.put(length: index)
    }

    // MARK: Keys

    mutating func value(of key: Bytes, _ attributes: RDBKeyAttributes, _ type: RDBType,
                        _ input: inout RDBInput) throws(StorageError) {
        flush()
        let start = input.offset
        progress(start)
        defer { producers.truncate(to: 0) }
        guard options.selection.includes(key, type, database) else {
            report.keysPassedOver += 1
            try input.skipValue(type)
            return
        }
        guard let entry = try scratch.decode(key, attributes, type, &input) else {
            report.add(loss(key, start, input.offset - start, "an empty collection"))
            return
        }
        if producers.count > 0, entry.type == .stream {
            try StreamCodec.applyProducers(producers.bytes, to: StreamValue(entry))
        }
        if known?.insert(key, database) == false {
            scratch.clear()
            report.add(loss(key, start, input.offset - start, "a key that was there already"))
            return
        }
        pending = attributes
        pendingPlace = (start, input.offset - start)
    }

    private func loss(_ key: Bytes, _ offset: Int, _ bytes: Int, _ reason: String) -> RDBLoss {
        RDBLoss(database: database, key: String(decoding: key.prefix(256), as: UTF8.self), offset: offset, bytes: bytes,
                reason: reason)
    }

    /// Writes the key that waits.
    mutating func flush() {
        guard let attributes = pending else { return }
        pending = nil
        guard let entry = scratch.last() else { return }
        choose(database)
        if entry.type == .stream, StreamValue(entry).producers != nil {
            var field = RDBOutput(compresses: false)
            if StreamCodec.encodeProducers(entry, version, &field) {
                put(aux: StreamCodec.producersField.bytes, field.bytes)
            }
        }
        if let expire = attributes.expire, expire.rawValue != -1 {
            output.put(.expireMilliseconds)
            output.put(expire.rawValue)
        }
        if version >= .redis5 {
            if let idle = attributes.idleSeconds {
                output.put(.idle)
                output.put(length: idle)
            }
            if let frequency = attributes.frequency {
                output.put(.frequency)
                output.put(frequency)
            }
        }
        if entry.hasFieldExpires, version < .redis7_4 {
            var part = loss(entry.key, pendingPlace.offset, pendingPlace.bytes,
                            "the expires of its fields, which version \(version.number) can't hold")
            part.isPart = true
            report.add(part)
        }
        let type = RDBOutput.type(of: entry, version)
        output.put(type)
        output.put(string: entry.key)
        output.put(valueOf: entry, type, version)
        report.keysWritten += 1
    }

    var currentDatabase: Int { database }

    /// Forgets a key whose reading failed.
    mutating func abandon() {
        flush()
        scratch.clear()
    }
}
