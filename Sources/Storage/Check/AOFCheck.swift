import Primitives
import RESP

// Checking and repairing an AOF without a server: an old single file (with or without an RDB preamble), or a manifest
// with the files it names. Everything is read by the server's own readers.
//
// A repair ends one file where its last whole unit ends (`--fix`), or before the first annotation that is later than a
// time (`--truncate-to-timestamp`). Only the log's last file may be ended: records behind a gap belong to another
// history. A file is the last when those behind it are empty: a crash during a switch of files leaves it so.
//
// Order of a repair: everything is read and judged; the question is asked; what is cut off is kept beside the file,
// durably; then the file is truncated, durably. See AOFCut.swift for what a power loss leaves behind each step. The
// manifest is never changed.

package struct AOFCheckOptions: Sendable {
    /// End a damaged file where its last whole unit ends.
    package var fixes = false
    /// End the log before the first annotation later than this, in Unix seconds.
    package var timestamp: Int64?
    /// Say what would be done, do nothing.
    package var isDryRun = false
    /// Keep whole batches behind damage.
    package var salvages = false
    /// What a server has against a record, though it is well formed: that it knows no such command. Nil: nothing.
    package var objection: (@Sendable (Arguments) -> String?)?
    /// Told how many bytes of how many were read, now and then.
    package var progress: (@Sendable (Int, Int) -> Void)?
    /// Identities of new files.
    package var newID: @Sendable () -> UInt64 = { UInt64.random(in: 1...UInt64.max) }
    /// For names of kept bytes, and which keys of an RDB file have expired.
    package var now = UnixMilliseconds(0)

    package init() {}
}

/// What a check came to, and what it did.
package struct AOFCheckReport: Sendable {
    package enum Role: String, Sendable {
        /// A file checked by itself.
        case single, base, increment
    }

    package struct FileReport: Sendable {
        package var path: String
        /// As the report's lines name it.
        package var name: String
        package var role: Role
        package var size = 0
        /// Of the preamble, or the base.
        package var rdb: RDBCheckReport?
        /// Nil when it was not read to its end.
        package var end: AOFEnd?
        package var records = 0
        package var units = 0
        package var annotations = 0
        package var firstTimestamp: Int64?
        package var lastTimestamp: Int64?
        package var seals: Seals?
        /// Good blocks of a BASE that is sealed so.
        package var blocks = 0
        package var lost: Lost?
        /// Why it is not the file that the manifest means.
        package var objection: String?
        /// The first record that a server would not take.
        package var strange: (offset: Int, reason: String)?
        /// Another file with what is whole of it took its place.
        package var isReplaced = false
        /// Where it would be, or was, cut.
        package var cut: Cut?

        package var isEmpty: Bool { size == 0 }
        /// Nothing is wrong with what is (or would be) left of it.
        package var isGood: Bool {
            isReplaced || objection == nil && rdb?.isGood != false && (end.map { $0.kind == .whole } ?? isEmpty)
        }
    }

    package struct Cut: Sendable {
        package var offset: Int
        package var bytes: Int
        package var isDone = false
        /// Where the bytes cut off are.
        package var keptAt: String?
    }

    package var path: String
    package var isMultiPart = false
    package var files: [FileReport] = []
    /// Why the check came to no end: a file that can't be opened, a manifest that makes no sense.
    package var error: StorageError?
    package var manifestError: AOFManifest.ParseError?
    /// The manifest was damaged, and is written anew.
    package var manifestIsMended = false
    /// The file that took the place of damaged ones.
    package var replacement: String?
    /// What is missing at the log's end, though what is there is whole.
    package var shortfall: String?
    /// The check's outcome in a sentence, when it is bad.
    package var complaint: String?
    package var status = CheckStatus.good
}

/// How a check talks.
package struct AOFCheckDialogue {
    /// A line for the user, without its end.
    package var tell: (String) -> Void
    /// True if the user agrees.
    package var ask: (String) -> Bool

    package init(tell: @escaping (String) -> Void, ask: @escaping (String) -> Bool) {
        self.tell = tell
        self.ask = ask
    }
}

package struct AOFCheck {
    let fileSystem: any FileSystem
    let options: AOFCheckOptions
    let dialogue: AOFCheckDialogue
    var report: AOFCheckReport
    /// Lines read in all files so far, from 1.
    var line = 1
    var chain = SealChain()
    /// Where the chain stood before each file.
    var positions: [SealPosition] = []
    private var manifest: AOFManifest?
    /// As it was before the files were read: their server may be at work.
    private var reach: LogReach?
    private var bytesTotal = 0
    private var bytesDone = 0

    /// Says it has been told already.
    struct Failed: Error {}

    package static func run(_ path: String, in fileSystem: any FileSystem, _ options: AOFCheckOptions,
                            _ dialogue: AOFCheckDialogue) -> AOFCheckReport {
        var check = AOFCheck(fileSystem: fileSystem, options: options, dialogue: dialogue,
                             report: AOFCheckReport(path: path))
        do throws(Failed) {
            try check.run()
        } catch {
            check.report.status = check.report.error.map(CheckStatus.of) ?? CheckStatus.damaged
        }
        return check.report
    }

    private mutating func run() throws(Failed) {
        let isManifest = try attempt { check throws(StorageError) in try check.isManifest() }
        if isManifest {
            report.isMultiPart = true
            try checkManifest()
        } else {
            dialogue.tell("Start checking Old-Style AOF")
            try checkFile(report.path, report.path, .single, isLast: true, nil)
        }
    }

    func tell(_ text: String) { dialogue.tell(text) }

    /// Tells why it can't be and gives up.
    mutating func fail(_ text: String) -> Failed {
        tell(text)
        report.complaint = text
        return Failed()
    }

    mutating func attempt<Value: ~Copyable>(
        _ body: (inout AOFCheck) throws(StorageError) -> Value
    ) throws(Failed) -> Value {
        do throws(StorageError) {
            return try body(&self)
        } catch {
            report.error = error
            let verb = error.operation == .open ? "Cannot open file" : "Cannot \(error.operation.rawValue)"
            let place = error.offset.map { " at byte \($0)" } ?? ""
            throw fail("\(verb) \(error.path)\(place): \(error.cause)")
        }
    }

    // MARK: Manifest

    /// By the name, or by the first line that is no comment.
    private func isManifest() throws(StorageError) -> Bool {
        if report.path.hasSuffix(".manifest") { return true }
        let file = try fileSystem.open(report.path, .read)
        defer { fileSystem.close(file) }
        let window = UnsafeMutableRawBufferPointer(start: Heap.allocate(1 << 16), count: 1 << 16)
        defer { if let base = window.baseAddress { Heap.free(base) } }
        var bytes = Bytes(rebasing: window[..<(try fileSystem.read(file, at: 0, into: window))])
        while bytes.first == UInt8(ascii: "#") {
            guard let end = bytes.firstIndex(of: 10) else { return false }
            bytes = bytes.from(end + 1)
        }
        return bytes.starts(with: "file".utf8)
    }

    private mutating func readManifest() throws(Failed) -> AOFManifest {
        let path = report.path
        let text = try attempt { check throws(StorageError) in
            try check.fileSystem.contents(path, limit: AOFManifest.maximumBytes)
        }
        var name = FilePath.name(path)
        if name.hasSuffix(".manifest") { name = String(name.dropLast(".manifest".count)) }
        do throws(AOFManifest.ParseError) {
            return try AOFManifest.parse(text.bytes, filename: name)
        } catch {
            report.manifestError = error
            // Its files may prove it right.
            if options.fixes || options.salvages,
               let manifest = try? AOFManifest.parse(text.bytes, filename: name, verifies: false) {
                tell("\(error.reason)")
                if let name = try attempt({ check throws(StorageError) in try check.orphan(manifest) }) {
                    throw fail("\(name) is in the directory, and the damaged manifest does not count it in: the line "
                               + "that did may be what is lost. Write the manifest by hand (docs/FORMATS.md), or move "
                               + "that file away.")
                }
                report.manifestIsMended = true
                return manifest
            }
            tell("\n*** FATAL AOF MANIFEST FILE ERROR ***\n")
            if error.line > 0 { tell("Reading the manifest file, at line \(error.line)\n") }
            if !error.text.isEmpty { tell(">>> '\(error.text)'\n") }
            throw fail(error.reason)
        }
    }

    /// A file of the log that a damaged manifest does not have loaded, though it may be part of the log.
    private func orphan(_ manifest: AOFManifest) throws(StorageError) -> String? {
        let first = manifest.increments.first?.sequence ?? 0
        for entry in manifest.history where entry.name.hasSuffix(".incr.aof") {
            // Without a BASE nothing has what it held.
            if manifest.base == nil || entry.sequence >= first { return entry.name }
        }
        let named = Set((manifest.loadOrder + manifest.history).map(\.name))
        let directory = FilePath.directory(report.path)
        for name in try fileSystem.list(directory).sorted() where !named.contains(name) {
            guard name.hasPrefix(manifest.filename + "."),
                  [".incr.aof", ".base.rdb", ".base.aof"].contains(where: { name.hasSuffix($0) }) else { continue }
            if let size = try fileSystem.status(FilePath.join(directory, name))?.size, size > 0 { return name }
        }
        return nil
    }

    private mutating func checkManifest() throws(Failed) {
        tell("Start checking Multi Part AOF")
        let manifest = try readManifest()
        self.manifest = manifest
        chain.begin(manifest)
        let directory = FilePath.directory(report.path)
        reach = AOFDirectory(fileSystem, holding: report.path, filename: manifest.filename).reach()
        try attempt { check throws(StorageError) in
            try AOFDirectory.requireComplete(manifest, at: check.report.path, in: check.fileSystem)
        }
        let entries = manifest.loadOrder
        // The last file that holds anything.
        var last = -1
        for (index, entry) in entries.enumerated() {
            let path = FilePath.join(directory, entry.name)
            let size = try attempt { check throws(StorageError) in try check.fileSystem.status(path)?.size }
            if size != 0 { last = index }
            bytesTotal += size ?? 0
            if let size, let objection = SealChain.objection(to: entry, size: size) {
                throw fail("\(entry.name): \(objection); it differs from offset "
                           + "\(min(entry.whole?.bytes ?? 0, size)) on at the latest")
            }
        }
        for (index, entry) in entries.enumerated() {
            let path = FilePath.join(directory, entry.name)
            if entry.kind == .base {
                let format = try attempt { check throws(StorageError) in try check.isRDB(path) } ? "RDB" : "RESP"
                tell("Start to check BASE AOF (\(format) format).")
            } else if index == 0 || entries[index - 1].kind == .base {
                tell("Start to check INCR files.")
            }
            try checkFile(path, entry.name, entry.kind == .base ? .base : .increment, isLast: index >= last, entry)
            if report.replacement != nil { break }
        }
        if report.manifestIsMended { try mendManifest(manifest) }
        if report.replacement == nil {
            try attempt { check throws(StorageError) in
                try AOFDirectory(check.fileSystem, holding: check.report.path, filename: manifest.filename)
                    .requireNewest(manifest, check.chain)
            }
        }
        try checkReach(manifest)
        tell("All AOF files and manifest are valid")
    }

    /// What it says is right, for its files are as it says; its checksum is not.
    private mutating func mendManifest(_ manifest: AOFManifest) throws(Failed) {
        if report.replacement != nil { return }
        if options.isDryRun { throw fail("Dry run: the manifest was not written anew.") }
        if !dialogue.ask("All files are as the manifest says. Write it anew? [y/N]: ") { throw fail("Aborting...") }
        let kept = try attempt { check throws(StorageError) in try check.replaceManifest(manifest) }
        tell("The manifest was written anew; the damaged one is kept as \(kept)")
    }

    /// The one on the disk is kept beside it.
    func replaceManifest(_ manifest: AOFManifest) throws(StorageError) -> String {
        let directory = AOFDirectory(fileSystem, holding: report.path, filename: manifest.filename)
        let kept = try AOFCut.freeName(report.path + ".damaged-\(options.now.seconds)", in: fileSystem)
        try fileSystem.link(report.path, kept)
        try directory.persist(manifest)
        return kept
    }

    /// Whether the log ends where it had come to; when it was cut, or is to be taken as it is, that is forgotten.
    private mutating func checkReach(_ manifest: AOFManifest) throws(Failed) {
        let directory = AOFDirectory(fileSystem, holding: report.path, filename: manifest.filename)
        let found = reach?.shortfall(chain, manifest.filename)
        report.shortfall = found?.text
        if !report.files.contains(where: { $0.cut?.isDone == true }) {
            guard report.replacement == nil, options.timestamp == nil, let shortfall = report.shortfall,
                  let last = report.files.last else { return }
            let text = "\(last.name) at byte \(last.size): \(shortfall)"
            if chain.endsForeign && found?.wasDurable == true {
                throw fail("\(text). Behind it stand records that are not sealed: they were not written behind this. "
                           + "Look for a better copy")
            }
            guard options.fixes || options.salvages else {
                throw fail("\(text). Look for a better copy; --fix takes the log as it is")
            }
            tell(text)
            if options.isDryRun { throw fail("Dry run: the log was not taken as it is.") }
            if !dialogue.ask("Take the log as it is? [y/N]: ") { throw fail("Aborting...") }
        } else if let shortfall = report.shortfall {
            tell("As it is now, \(shortfall)")
        }
        try attempt { _ throws(StorageError) in try directory.forgetReach() }
    }

    /// A damaged file that a cut alone does not mend. False: it does.
    mutating func replaceIfNeeded(_ place: Int, _ end: AOFEnd, isLast: Bool) throws(Failed) -> Bool {
        guard let manifest, end.seal != nil, options.salvages || (options.fixes && !isLast) else { return false }
        if options.salvages && end.seal?.behind == nil && isLast { return false }
        try replaceFiles(manifest, from: place, salvages: options.salvages)
        return true
    }

    mutating func tellProgress(_ bytes: Int, ended: Bool = false) {
        options.progress?(bytesDone + bytes, max(bytesTotal, bytesDone + bytes))
        if ended { bytesDone += bytes }
    }

    func isRDB(_ path: String) throws(StorageError) -> Bool {
        let file = try fileSystem.open(path, .read)
        defer { fileSystem.close(file) }
        var magic: UInt64 = 0
        let count = try withUnsafeMutableBytes(of: &magic) { (bytes) throws(StorageError) in
            try fileSystem.read(file, at: 0, into: bytes)
        }
        return withUnsafeBytes(of: magic) { bytes in
            bytes[..<count].starts(with: "REDIS".utf8) || bytes[..<count].starts(with: "VALKEY".utf8)
        }
    }
}
