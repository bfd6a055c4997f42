import Primitives

// What can be read of a damaged dump.
//
//     a record reads well          it is copied
//     a value is damaged, but its layout leads to a place where records follow
//                                  that key is left out, by name
//     anything else                every offset behind it is tried until records follow one another from there
//
// "Follow one another": the next `proofRecords` records read well and hold keys that are not empty, or the file's end
// comes before. Bytes within a value that look like that many records can't be told from records: keys that were
// stored behind damage may be pieces of a value that holds a dump itself. Each gap is told with its offsets.

package enum DumpSalvage {
    private static let proofRecords = 6

    /// - Throws: when the input can't be opened, or the output can't be written.
    package static func run(_ path: String, to output: String, _ options: DumpCopyOptions,
                            in fileSystem: any FileSystem,
                            _ progress: @escaping (Int) -> Void) throws(StorageError) -> DumpCopyReport {
        let file = try MappedFile(path, in: fileSystem)
        let target = try DumpOutput(output, overwrites: options.overwrites, in: fileSystem)
        var visitor = DumpCopyVisitor(target.file.descriptor, options, progress)
        visitor.report.path = path
        visitor.report.output = output
        read(file, &visitor)
        if let damage = file.damage {
            visitor.report.add(DumpCopyReport.Gap(start: file.bytes.count, end: nil,
                                                  reason: "\(damage.cause): what follows could not be decompressed"))
        }
        let failure = visitor.finish()
        try target.finish(failure)
        return visitor.report
    }

    static func read(_ file: MappedFile, _ visitor: inout DumpCopyVisitor) {
        let bytes = file.bytes
        var walker = RDBWalker(RDBInput(bytes, named: file.path))
        walker.input.skipsUnsupported = true
        visitor.known = DumpKeys()
        var proof = ProofVisitor()
        do throws(StorageError) {
            try walker.readMagic(&visitor)
        } catch {
            visitor.begin(visitor.version)
            guard pass(error, 0, bytes, &walker, &visitor, &proof) else { return }
        }
        while true {
            do throws(StorageError) {
                while try walker.readRecord(&visitor) {}
                visitor.flush()
                try checkEnd(&walker, &visitor)
                break
            } catch {
                let start = walker.keyOffset ?? error.offset ?? walker.input.offset
                guard pass(error, start, bytes, &walker, &visitor, &proof) else { break }
            }
        }
        visitor.report.dialect = walker.input.dialect
    }

    /// A checksum that is wrong when all records were read well: something changed, nobody knows what.
    private static func checkEnd(_ walker: inout RDBWalker, _ visitor: inout DumpCopyVisitor) throws(StorageError) {
        var silent = SilentVisitor()
        let place = walker.input.offset
        do throws(StorageError) {
            if visitor.report.gapCount == 0 { try walker.readChecksum(&silent) }
        } catch {
            visitor.report.add(DumpCopyReport.Gap(start: place, end: place + 8, reason: error.cause))
        }
    }

    /// Leads the walker past damage in the record at `start`. False: nothing more follows.
    private static func pass(_ error: StorageError, _ start: Int, _ bytes: Bytes, _ walker: inout RDBWalker,
                             _ visitor: inout DumpCopyVisitor, _ proof: inout ProofVisitor) -> Bool {
        let name = walker.hasKey ? String(decoding: walker.key.prefix(256), as: UTF8.self) : nil
        let database = visitor.currentDatabase
        visitor.abandon()
        let start = min(start, bytes.count)
        var next: Int?
        if let end = layoutEnd(start, bytes, &walker), isProven(end, bytes, &walker, &proof, least: 1) { next = end }
        if next == nil { next = scan(from: start + 1, bytes, &walker, &proof) }
        let end = next ?? bytes.count
        visitor.report.add(RDBLoss(database: database, key: name, offset: start, bytes: end - start,
                                   reason: error.cause))
        visitor.report.add(DumpCopyReport.Gap(start: start, end: next, reason: error.cause))
        guard let next else { return false }
        walker.restart(at: next, in: bytes)
        return true
    }

    /// Where the record at `offset` ends, by its layout alone.
    private static func layoutEnd(_ offset: Int, _ bytes: Bytes, _ walker: inout RDBWalker) -> Int? {
        let templates = walker.input.templates
        walker.restart(at: offset, in: bytes)
        defer { walker.input.templates = templates }
        var visitor = SilentVisitor()
        while visitor.keys == 0 {
            guard let goesOn = try? walker.readRecord(&visitor), goesOn else { return nil }
        }
        return walker.input.offset
    }

    private static func scan(from start: Int, _ bytes: Bytes, _ walker: inout RDBWalker,
                             _ proof: inout ProofVisitor) -> Int? {
        var offset = start
        while offset < bytes.count {
            if mayBegin(bytes[offset], walker), isProven(offset, bytes, &walker, &proof, least: proofRecords) {
                return offset
            }
            offset += 1
        }
        return nil
    }

    private static func mayBegin(_ byte: UInt8, _ walker: borrowing RDBWalker) -> Bool {
        if RDBType(number: byte, walker.input.dialect, walker.input.version) != nil { return true }
        return RDBOpcode(rawValue: byte)?.isKnown(walker.input.dialect, walker.input.version) == true
    }

    /// Whether records follow one another from `offset` on.
    private static func isProven(_ offset: Int, _ bytes: Bytes, _ walker: inout RDBWalker,
                                 _ proof: inout ProofVisitor, least: Int) -> Bool {
        if offset == bytes.count { return true }
        let trailer = walker.input.version.hasChecksum ? 8 : 0
        let templates = walker.input.templates, dialect = walker.input.dialect
        walker.restart(at: offset, in: bytes)
        defer {
            walker.input.templates = templates
            walker.input.dialect = dialect
        }
        proof.reset()
        let goesOn = try? walker.readProof(&proof, least)
        // The end mark counts where a file ends.
        return goesOn == true || goesOn == false && walker.input.offset + trailer == bytes.count
    }
}

/// Goes by layout.
private struct SilentVisitor: RDBVisitor {
    var keys = 0

    mutating func value(of key: Bytes, _ attributes: RDBKeyAttributes, _ type: RDBType,
                        _ input: inout RDBInput) throws(StorageError) {
        try input.skipValue(type)
        keys += 1
    }

    mutating func lost(_ loss: RDBLoss) { keys += 1 }
}

/// Decodes, and holds for improbable what servers hardly ever store.
struct ProofVisitor: RDBVisitor, ~Copyable {
    private var scratch = DumpScratch()
    private(set) var keys = 0
    private var last = OwnedBytes(capacity: 64)

    init() {}

    mutating func reset() {
        keys = 0
        last.truncate(to: 0)
    }

    mutating func value(of key: Bytes, _ attributes: RDBKeyAttributes, _ type: RDBType,
                        _ input: inout RDBInput) throws(StorageError) {
        if key.count == 0 || key.equals(last.bytes) { throw input.corrupt("no key") }
        last.truncate(to: 0)
        last.append(key)
        _ = try scratch.decode(key, attributes, type, &input)
        keys += 1
    }
}

extension RDBWalker {
    /// True: `least` keys read well; false: the end mark came first.
    mutating func readProof(_ visitor: inout ProofVisitor, _ least: Int) throws(StorageError) -> Bool {
        var records = 0
        while visitor.keys < least {
            guard try readRecord(&visitor) else { return false }
            records += 1
            // Opcodes alone prove nothing.
            if records > least + 64 { throw input.corrupt("no keys") }
        }
        return true
    }
}
