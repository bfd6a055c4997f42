import Primitives
import RESP

// What a check says of seals, and repairs that make a new file of what is whole.
//
// A repair that is more than a cut writes a new increment, which takes the place of the damaged file and of all behind
// it. Order, and what a power loss leaves
//
//     1  write and sync the new increment, sync its name      the log as it was, and a file that no manifest names
//     2  persist the manifest that names it instead           the repaired log; the old files are still there
//     3  rename the old files to NAME.damaged-<unix time>     as after 2

extension AOFCheckReport.FileReport {
    /// Seals of a file, for the report.
    package struct Seals: Sendable {
        package var batches: Int
        package var firstSequence: Int
        package var lastSequence: Int
        package var firstTime: UnixMilliseconds?
        package var lastTime: UnixMilliseconds?
        /// Where records of another server begin.
        package var foreignStart: Int?
        var state: SealState

        init?(_ state: SealState) {
            guard state.isSealed else { return nil }
            self.state = state
            batches = state.batches
            lastSequence = state.sequence
            firstSequence = state.opening?.firstSequence ?? state.sequence
            firstTime = state.firstTime
            lastTime = state.lastTime
            foreignStart = state.foreignStart
        }
    }

    /// What can't be kept.
    package struct Lost: Sendable {
        package var offset: Int
        package var bytes: Int
        package var firstSequence: Int
        package var lastSequence: Int
        package var after: UnixMilliseconds?
        package var before: UnixMilliseconds?
        /// Of a BASE that is sealed in blocks.
        package var block: Int?
        /// As far as they can be read in what is damaged.
        package var keys: [String] = []
    }
}

extension AOFCheck {
    func tellSeals(_ file: AOFCheckReport.FileReport) {
        if file.blocks > 0 { tell("Sealed in \(file.blocks) block\(file.blocks == 1 ? "" : "s")") }
        guard let seals = file.seals else { return }
        if seals.batches == 0 {
            tell("Sealed, and empty so far")
        } else {
            let times = "\(seals.firstTime?.text ?? "?") to \(seals.lastTime?.text ?? "?")"
            tell("Sealed: batches \(seals.firstSequence) to \(seals.lastSequence), \(times)")
        }
        if let start = seals.foreignStart {
            tell("From byte \(start) on another server wrote, without seals: damage within values can't be told there")
        }
    }

    /// Notes and tells what a damage costs.
    mutating func noteLoss(_ place: Int, _ end: AOFEnd) throws(StorageError) {
        let file = report.files[place]
        if let block = end.block { return try noteLoss(place, file, block) }
        guard let seal = end.seal else { return }
        let behind = seal.behind
        let stop = behind?.offset ?? file.size
        var lost = AOFCheckReport.FileReport.Lost(
            offset: end.offset, bytes: max(0, stop - end.offset), firstSequence: seal.sequence,
            lastSequence: max(seal.sequence, (behind?.firstSequence ?? seal.sequence + 1) - 1), after: seal.timeBefore,
            before: behind?.lastTime)
        lost.keys = try keys(file.path, end.offset, stop)
        report.files[place].lost = lost
        let batches = lost.firstSequence == lost.lastSequence ? "Batch \(lost.firstSequence)"
            : "Batches \(lost.firstSequence) to \(lost.lastSequence)"
        let time = lost.after.map { ", written after \($0.text)" } ?? ""
        tell("\(batches) can't be read: \(lost.bytes) bytes from byte \(lost.offset) on\(time)")
        if !lost.keys.isEmpty { tell("Keys named there: \(lost.keys.joined(separator: " "))") }
        if let behind {
            tell("Whole behind it: \(behind.batches) batches up to \(behind.lastSequence), \(behind.bytes) bytes from "
                + "byte \(behind.offset) on, up to \(behind.lastTime.text). --salvage keeps them, --fix does not")
        }
    }

    /// A block of a BASE.
    private mutating func noteLoss(_ place: Int, _ file: AOFCheckReport.FileReport,
                                   _ block: SealBlockDamage) throws(StorageError) {
        var lost = AOFCheckReport.FileReport.Lost(offset: block.start, bytes: block.end - block.start,
                                                  firstSequence: 0, lastSequence: chain.sequence ?? 0)
        lost.block = block.number
        lost.keys = try keys(file.path, block.start, block.end)
        report.files[place].lost = lost
        tell("Block \(block.number) can't be read: \(lost.bytes) bytes from byte \(lost.offset) on")
        if !lost.keys.isEmpty { tell("Keys named there: \(lost.keys.joined(separator: " "))") }
    }

    /// Keys in what is damaged: the first arguments of what still looks like records.
    private func keys(_ path: String, _ start: Int, _ end: Int) throws(StorageError) -> [String] {
        let count = min(end - start, 1 << 20)
        if count <= 0 { return [] }
        let bytes = try read(path, start, count)
        var names: [String] = []
        AOFBatchText.forEachRecord(bytes.bytes) { arguments in
            guard arguments.count > 1, names.count < 20 else { return }
            var name = OwnedBytes(capacity: 64)
            let key = Bytes(rebasing: arguments[1].prefix(64))
            Quote.append(key, to: &name)
            let text = String(decoding: name.bytes, as: UTF8.self)
            if !names.contains(text) { names.append(text) }
        }
        return names
    }

    func read(_ path: String, _ start: Int, _ count: Int) throws(StorageError) -> OwnedBytes {
        let file = try fileSystem.open(path, .read)
        defer { fileSystem.close(file) }
        var bytes = OwnedBytes(capacity: count)
        let got = try fileSystem.read(file, at: start,
                                      into: UnsafeMutableRawBufferPointer(start: bytes.base, count: count))
        bytes.commit(got)
        return bytes
    }

    // MARK: A new file of what is whole

    /// - Parameter place: of the damaged file among `entries`.
    /// - Parameter salvages: batches behind damage are kept, too.
    mutating func replaceFiles(_ manifest: AOFManifest, from place: Int, salvages: Bool) throws(Failed) {
        let entries = manifest.loadOrder
        let name = entries[place].name
        guard entries[place].kind == .increment, report.files[place].seals?.state.id ?? entries[place].id != nil else {
            throw fail("Only a sealed INCR file can be replaced by what is whole of it; \(name) is none")
        }
        let names = entries[place...].map(\.name).joined(separator: ", ")
        tell("This will write a new INCR file with what is whole\(salvages ? ", also behind the damage," : "") and put "
            + "aside \(names)")
        if options.isDryRun { throw fail("Dry run: nothing was changed.") }
        if !dialogue.ask("Continue? [y/N]: ") { throw fail("Aborting...") }
        var next = manifest
        let position = positions[place]
        let entry = next.replaceIncrements(from: entries[place], id: options.newID())
        let directory = AOFDirectory(fileSystem, holding: report.path, filename: manifest.filename)
        let now = options.now
        let kept = try attempt { check throws(StorageError) in
            let kept = try check.reseal(Array(entries[place...]), as: entry, behind: position, in: directory, salvages)
            check.tell("The manifest as it was is kept as \(try check.replaceManifest(next))")
            for old in entries[place...] {
                let aside = try AOFCut.setAside(directory.path(old), in: check.fileSystem, now: now, mark: "damaged")
                check.tell("\(old.name) is kept as \(aside)")
            }
            try check.fileSystem.syncDirectory(directory.path)
            return kept
        }
        report.replacement = entry.name
        tell("\(kept) batches are in \(entry.name) now, which takes their place")
        for place in report.files.indices where report.files[place].end?.kind != .whole {
            report.files[place].isReplaced = true
        }
    }

    private mutating func reseal(_ old: [AOFManifest.Entry], as entry: AOFManifest.Entry, behind position: SealPosition,
                                 in directory: AOFDirectory, _ salvages: Bool) throws(StorageError) -> Int {
        let file = try directory.createFile(entry)
        defer { fileSystem.close(file) }
        var writer = AOFBatchWriter(fileSystem, file, entry, behind: position)
        for (index, entry) in old.enumerated() {
            let handle = try fileSystem.open(directory.path(entry), .read)
            defer { fileSystem.close(handle) }
            let source = try AOFSource(handle, in: fileSystem)
            let opening = try SealOpening(in: source)
            guard let id = entry.id ?? opening?.id else { continue }
            var limit = Int.max
            if !salvages {
                if index > 0 { break }
                limit = report.files.first { $0.name == entry.name }?.end?.keep ?? 0
            }
            var found: [SealPlace] = []
            // Without an opening the first whole line makes clear what those before it are.
            let reference = SealReference(sequence: (opening?.firstSequence ?? 1) - 1, time: opening?.time)
            try SealScan.forEach(source, after: 0, seed: SealBatch.seed(id), reference) { batch, start, end in
                if !batch.isMark && end <= limit { found.append(SealPlace(batch: batch, end: end)) }
                _ = start
            }
            for batch in found { try writer.take(batch, source) }
        }
        try writer.finish()
        return writer.count
    }
}

/// A batch in a file.
struct SealPlace {
    var batch: SealBatch
    /// Of its bytes.
    var end: Int
}

extension SealOpening {
    /// That of a sealed file; nil: it can't be read.
    init?(in source: AOFSource) throws(StorageError) {
        var bytes = OwnedBytes(capacity: 256)
        let count = try source.read(at: 0, into: UnsafeMutableRawBufferPointer(start: bytes.base, count: 128))
        bytes.commit(count)
        guard let end = bytes.bytes.annotationEnd else { return nil }
        self.init(Bytes(rebasing: bytes.bytes[...end]))
    }
}

/// Writes whole batches of damaged files into a new one.
struct AOFBatchWriter: ~Copyable {
    private let fileSystem: any FileSystem
    private let file: File
    private let framing: SealFraming
    private var body = OwnedBytes(capacity: 1 << 16)
    private var head = OwnedBytes(capacity: 256)
    private var database = OwnedBytes(copying: ("0" as StaticString).bytes)
    private var lastSequence: Int?
    private(set) var count = 0

    init(_ fileSystem: any FileSystem, _ file: File, _ entry: AOFManifest.Entry, behind position: SealPosition) {
        self.fileSystem = fileSystem
        self.file = file
        framing = SealFraming(id: entry.id ?? 0, file: Int(entry.sequence), behind: position, timestamps: false)
    }

    /// What stands a second time, or too late, is left out.
    mutating func take(_ place: SealPlace, _ source: AOFSource) throws(StorageError) {
        let batch = place.batch
        if let lastSequence, batch.sequence <= lastSequence { return }
        // Behind a gap nobody knows which database was chosen: the one before.
        if let lastSequence, batch.sequence > lastSequence + 1 { try select(batch.time) }
        lastSequence = batch.sequence
        body.removeAll(keeping: 1 << 20)
        body.reserve(batch.bytes)
        let room = UnsafeMutableRawBufferPointer(start: body.base, count: batch.bytes)
        body.commit(try source.read(at: place.end - batch.bytes, into: room))
        AOFBatchText.forEachRecord(body.bytes) { arguments in
            if arguments.count == 2, arguments[0].equalsIgnoringCase("SELECT") {
                database = OwnedBytes(copying: arguments[1])
            }
        }
        try write(batch.time)
        count += 1
    }

    private mutating func select(_ time: UnixMilliseconds) throws(StorageError) {
        body.truncate(to: 0)
        RequestEncoder.begin(argumentCount: 2, into: &body)
        RequestEncoder.argument(("SELECT" as StaticString).bytes, into: &body)
        RequestEncoder.argument(database.bytes, into: &body)
        try write(time)
    }

    private mutating func write(_ time: UnixMilliseconds) throws(StorageError) {
        head.truncate(to: 0)
        framing.frame(body.bytes, at: LogOffset(0), UnixMicroseconds(time.rawValue * 1000), syncs: false, into: &head)
        try fileSystem.write(file, head.bytes, body.bytes)
        framing.wrote()
    }

    mutating func finish() throws(StorageError) {
        try fileSystem.sync(file)
    }
}

/// The records of a batch, as far as they can be read.
enum AOFBatchText {
    static func forEachRecord(_ bytes: Bytes, _ body: (Arguments) -> Void) {
        var parser = RequestParser(limits: AOFLimits.request)
        var rest = bytes
        while rest.count > 0 {
            if rest[0] == UInt8(ascii: "*") {
                parser.reset()
                if case .complete(let count) = parser.parse(rest) {
                    if parser.arguments.count > 0 { body(parser.arguments) }
                    rest = rest.from(count)
                    continue
                }
            }
            guard let end = rest.firstIndex(of: 10) else { return }
            rest = rest.from(end + 1)
        }
    }
}
