import Primitives

// A log as of a moment, as a new directory: a base from before that moment, and the increments from there up to it.
// Bases and increments may be of the log itself, of its kept HISTORY, or of an archive, also compressed. Only sealed
// increments know their moments. The original is only read.

package struct AOFRestoreOptions: Sendable {
    /// Up to the batch with this number.
    package var sequence: Int?
    /// Up to the last batch that was written by then.
    package var time: UnixMilliseconds?
    /// A server's `dir`, which must not be there yet: the log's directory is made in it.
    package var output: String
    /// `aof-archive-dir`.
    package var archive: String?

    package init(output: String) { self.output = output }
}

package struct AOFRestore {
    package struct Result: Sendable {
        /// The directory made.
        package var output: String
        package var manifest: String
        package var lastSequence: Int
        package var lastTime: UnixMilliseconds?
        package var files: [String]
    }

    private struct Piece {
        var entry: AOFManifest.Entry
        var path: String
        var opening: SealOpening?
        var modified: UnixMilliseconds
    }

    private let fileSystem: any FileSystem
    private let options: AOFRestoreOptions
    private let manifestPath: String

    package static func run(_ manifest: String, in fileSystem: any FileSystem,
                            _ options: AOFRestoreOptions) throws(StorageError) -> Result {
        try AOFRestore(fileSystem: fileSystem, options: options, manifestPath: manifest).run()
    }

    private func refusal(_ reason: String) -> StorageError {
        StorageError(.load, manifestPath, .unsupported(reason))
    }

    private func run() throws(StorageError) -> Result {
        var filename = FilePath.name(manifestPath)
        if filename.hasSuffix(".manifest") { filename = String(filename.dropLast(".manifest".count)) }
        let source = AOFDirectory(fileSystem, holding: manifestPath, filename: filename)
        let manifest = try AOFDirectory.load(fileSystem, manifestPath, filename: filename)
        try AOFDirectory.requireComplete(manifest, at: manifestPath, in: fileSystem)
        let pieces = try collect(manifest, source)
        let increments = pieces.filter { !$0.entry.isBaseFile }.sorted { $0.entry.sequence < $1.entry.sequence }
        let base = try choose(pieces.filter(\.entry.isBaseFile), increments)
        if try fileSystem.status(options.output) != nil {
            throw StorageError(.makeDirectory, options.output, .unsupported("it is there already; give a new name"))
        }
        try fileSystem.makeDirectory(options.output)
        let name = FilePath.name(source.path)
        let target = AOFDirectory(fileSystem, serverDirectory: options.output,
                                  name: name == "." ? "appendonlydir" : name, filename: filename)
        try target.create()
        return try write(base, increments, to: target)
    }

    // MARK: What there is

    private func collect(_ manifest: AOFManifest, _ source: AOFDirectory) throws(StorageError) -> [Piece] {
        var entries = manifest.loadOrder + manifest.history
        if let archive = options.archive,
           let archived = try AOFArchive.manifest(archive, manifest.filename, in: fileSystem) {
            entries += archived.history.filter { entry in !entries.contains { $0.name == entry.name } }
        }
        var pieces: [Piece] = []
        for entry in entries {
            var places = [source.path(entry)]
            if let archive = options.archive {
                places += ["", ".lz4", ".gz"].map { FilePath.join(archive, entry.name + $0) }
            }
            for path in places {
                guard let status = try fileSystem.status(path) else { continue }
                pieces.append(Piece(entry: entry, path: path, opening: entry.isBaseFile ? nil : try opening(path),
                                    modified: status.modified))
                break
            }
        }
        return pieces
    }

    private func opening(_ path: String) throws(StorageError) -> SealOpening? {
        let file = try fileSystem.open(path, .read)
        defer { fileSystem.close(file) }
        var reader = AOFReader(try AOFSource(file, in: fileSystem))
        _ = try reader.next()
        return reader.seals.opening
    }

    /// The newest base from before the moment.
    private func choose(_ bases: [Piece], _ increments: [Piece]) throws(StorageError) -> Piece {
        var best: Piece?
        var earliest: UnixMilliseconds?
        for base in bases {
            let covers = base.entry.covers ?? 0
            let next = increments.first { $0.opening?.firstSequence == covers + 1 }
            // It was whole before the first write behind it, maybe long before.
            let time = min(next?.opening?.time ?? base.modified, base.modified)
            if earliest.map({ time < $0 }) ?? true { earliest = time }
            if let wanted = options.sequence, covers > wanted { continue }
            if let wanted = options.time, time > wanted { continue }
            if covers >= best?.entry.covers ?? -1 { best = base }
        }
        if let best { return best }
        // A first increment begins with the first write behind an empty base.
        if options.time != nil, let first = bases.first(where: { $0.entry.covers == 0 }) { return first }
        let since = earliest.map { "; the oldest base that is kept is of \($0.text)" } ?? ""
        throw refusal("no base is kept from before that moment\(since) (aof-history-keep, aof-archive-dir)")
    }

    // MARK: What is made of it

    private func write(_ base: Piece, _ increments: [Piece], to target: AOFDirectory) throws(StorageError) -> Result {
        var manifest = AOFManifest(filename: target.filename)
        var entry = base.entry
        entry.kind = .base
        manifest.add(entry)
        try copy(base.path, to: target.path(entry), bytes: nil)
        var chain = SealChain()
        chain.restart(at: entry.covers ?? 0)
        var result = Result(output: options.output, manifest: target.manifestPath,
                            lastSequence: entry.covers ?? 0, files: [entry.name])
        for piece in increments {
            guard let opening = piece.opening, opening.firstSequence > (entry.covers ?? 0) else { continue }
            if let wanted = options.sequence, opening.firstSequence > wanted { break }
            if let wanted = options.time, opening.time > wanted { break }
            var increment = piece.entry
            increment.kind = .increment
            increment.id = increment.id ?? opening.id
            let cut = try measure(piece, chain.expectation(for: increment), &result)
            chain.read(increment, bytes: cut.bytes, cut.seals)
            try copy(piece.path, to: target.path(increment), bytes: cut.bytes)
            increment.whole = nil
            manifest.add(increment)
            result.files.append(increment.name)
            if cut.isReached { break }
        }
        if let wanted = options.sequence, result.lastSequence < wanted {
            throw refusal("the log ends at batch \(result.lastSequence), before \(wanted)")
        }
        try fileSystem.syncDirectory(target.path)
        try target.persist(manifest)
        return result
    }

    private struct Cut {
        var bytes: Int
        var seals: SealState
        var isReached: Bool
    }

    /// How far a file goes up to the moment.
    private func measure(_ piece: Piece, _ expectation: SealExpectation,
                         _ result: inout Result) throws(StorageError) -> Cut {
        let file = try fileSystem.open(piece.path, .read)
        defer { fileSystem.close(file) }
        var reader = AOFReader(try AOFSource(file, in: fileSystem), seals: expectation)
        var before = reader.seals
        while true {
            switch try reader.next() {
            case .record, .preamble: break
            case .annotation:
                guard let batch = reader.seals.last, !batch.isMark,
                      reader.offset == reader.seals.batchStart else { break }
                let isLater = options.time.map { batch.time > $0 } ?? false
                let isBehind = options.sequence.map { batch.sequence > $0 } ?? false
                if isLater || isBehind { return Cut(bytes: reader.offset, seals: before, isReached: true) }
                before = reader.seals
                result.lastSequence = batch.sequence
                result.lastTime = batch.time
            case .end:
                guard let end = reader.end else { return Cut(bytes: reader.wholeEnd, seals: before, isReached: true) }
                if end.kind == .corrupt, let failure = end.error(piece.path) { throw failure }
                return Cut(bytes: end.keep, seals: reader.seals, isReached: end.kind == .torn)
            }
        }
    }

    /// - Parameter bytes: of the contents; nil: all of it.
    private func copy(_ path: String, to target: String, bytes: Int?) throws(StorageError) {
        let source = try fileSystem.open(path, .read)
        defer { fileSystem.close(source) }
        let contents = try AOFSource(source, in: fileSystem)
        let file = try fileSystem.open(target, .createNew)
        defer { fileSystem.close(file) }
        let chunk = UnsafeMutableRawBufferPointer(start: Heap.allocate(1 << 18), count: 1 << 18)
        defer { if let base = chunk.baseAddress { Heap.free(base) } }
        var left = bytes ?? Int.max
        while left > 0 {
            let room = UnsafeMutableRawBufferPointer(rebasing: chunk[..<min(chunk.count, left)])
            let count = try contents.read(into: room)
            if count == 0 { break }
            try fileSystem.write(file, Bytes(rebasing: chunk[..<count]))
            left -= count
        }
        try fileSystem.sync(file)
    }
}
