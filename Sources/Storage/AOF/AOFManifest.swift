import Primitives

// The AOF manifest: which files make up the log, in which order.
//
//     file appendonly.aof.2.base.rdb seq 2 type b        at most one BASE: a snapshot (RDB, or an AOF)
//     file appendonly.aof.1.incr.aof seq 1 type h        HISTORY: to be deleted, not to be loaded
//     file appendonly.aof.2.incr.aof seq 2 type i        INCR: records since, in rising order of seq
//
// Text, one file per line, keys and values in turn; `#` begins a comment; a name with odd bytes stands in quotes;
// unknown keys are skipped. Written in the order BASE, HISTORY, INCR, byte for byte as Redis 7 does.
//
// What ties files to a sealed log are keys of ours, which other servers skip, and a comment as the last line:
//
//     … type b size 187 crc32c 5d2c11f0 covers 17        the file as a whole; the last batch that the BASE covers
//     … type i id b7c1d0fa2e559301                        the file is sealed, and its opening line says the same
//     # crc32c 0e8f3b7a                                   CRC-32C of all lines before; must be there if such keys are
//
// A pure value: its functions answer what the next manifest is. `AOFDirectory` puts it on the disk. Life of the log:
//
//     start     openOnStart: a base if there is none, an incr to append to
//     rewrite   addIncrement when the child is forked (persist, then switch the writer to it);
//               when the child's base is durable: rewriteDone (persist), which makes the former base and the
//               increments it covers HISTORY; then the files of HISTORY are unlinked and forgotten (persist)
//
// Invariants
//  1. Increments are in strictly rising order of sequence number.
//  2. Names are names, not paths.
//  3. A number once given to a base or an increment is not given again by the same manifest.

package struct AOFManifest: Equatable, Sendable {
    package enum Kind: UInt8, Sendable {
        case base = 98, history = 104, increment = 105
    }

    package struct Entry: Equatable, Sendable {
        package var name: String
        package var sequence: Int64
        package var kind: Kind
        /// Replication offsets at the file's ends, as Redis 8.2 and later notes them.
        package var startOffset: Int64?
        package var endOffset: Int64?
        /// The file is sealed, and by this.
        package var id: UInt64?
        /// The file as a whole, when no more is written to it.
        package var whole: Whole?
        /// Of a BASE: the last batch that it covers.
        package var covers: Int?

        package var isTied: Bool { id != nil || whole != nil || covers != nil }

        package init(_ name: String, _ sequence: Int64, _ kind: Kind) {
            self.name = name
            self.sequence = sequence
            self.kind = kind
        }
    }

    /// Size in bytes and CRC-32C of a file.
    package struct Whole: Equatable, Sendable {
        package var bytes: Int
        package var crc: UInt32

        package init(bytes: Int, crc: UInt32) {
            self.bytes = bytes
            self.crc = crc
        }
    }

    package enum BaseFormat: Sendable {
        case rdb, aof
        var suffix: String { self == .rdb ? ".base.rdb" : ".base.aof" }
    }

    /// Why a manifest was refused: the words of Redis.
    package struct ParseError: Error, Equatable, Sendable {
        package var line: Int
        /// The line without its end; empty when the file as a whole is to blame.
        package var text: String
        package var reason: String
    }

    /// Bytes of a line with its line feed.
    package static let maximumLineBytes = 1024
    /// Bytes of a manifest.
    package static let maximumBytes = 16 << 20

    /// `appendfilename`.
    package let filename: String
    package private(set) var base: Entry?
    package private(set) var history: [Entry] = []
    package private(set) var increments: [Entry] = []
    /// The highest numbers given so far.
    package private(set) var baseSequence: Int64 = 0
    package private(set) var incrementSequence: Int64 = 0

    /// An empty one: no file yet.
    package init(filename: String) { self.filename = filename }

    package static func manifestName(_ filename: String) -> String { filename + ".manifest" }
    package static func temporaryManifestName(_ filename: String) -> String { "temp-" + filename + ".manifest" }

    /// The files to load, in order.
    package var loadOrder: [Entry] { (base.map { [$0] } ?? []) + increments }
    package var isEmpty: Bool { base == nil && increments.isEmpty && history.isEmpty }

    // MARK: Transitions

    /// What a starting server needs before it can append.
    package struct Opening: Equatable, Sendable {
        /// A base that must be written: an empty (or the current) data set.
        package var createBase: Entry?
        /// The file to append to.
        package var increment: Entry
        package var incrementIsNew: Bool
        /// The manifest changed and must be persisted.
        package var isChanged: Bool { createBase != nil || incrementIsNew }
    }

    /// - Parameter needsBase: false when loading just found the log's files as they should be without a base
    ///   (increments only, as some repairs leave it).
    /// - Parameter continues: the last increment may be appended to; false: a new one is needed.
    /// - Parameter id: of a new increment, if it is to be sealed.
    package mutating func openOnStart(_ format: BaseFormat, needsBase: Bool = true, continues: Bool = true,
                                      id: UInt64? = nil) -> Opening {
        var created: Entry?
        if base == nil && increments.isEmpty && needsBase { created = newBase(format) }
        if continues, let last = increments.last {
            return Opening(createBase: created, increment: last, incrementIsNew: false)
        }
        return Opening(createBase: created, increment: addIncrement(id: id), incrementIsNew: true)
    }

    /// A new, empty increment that comes after all others.
    /// - Parameter id: nil: it is not sealed.
    package mutating func addIncrement(id: UInt64? = nil) -> Entry {
        incrementSequence += 1
        var entry = Entry("\(filename).\(incrementSequence).incr.aof", incrementSequence, .increment)
        entry.id = id
        increments.append(entry)
        return entry
    }

    /// The name that the next base will have; the rewrite's temporary file is renamed to it before the manifest that
    /// names it is persisted.
    package func nextBaseName(_ format: BaseFormat) -> String { "\(filename).\(baseSequence + 1)\(format.suffix)" }

    /// A rewrite succeeded: its base covers everything before the increment `first`, which was added when it began.
    package mutating func rewriteDone(_ format: BaseFormat, keepingIncrementsFrom first: Int64) -> Entry {
        let entry = newBase(format)
        var covered = increments.filter { $0.sequence < first }
        for index in covered.indices { covered[index].kind = .history }
        increments.removeAll { $0.sequence < first }
        history.insert(contentsOf: covered, at: 0)
        return entry
    }

    private mutating func newBase(_ format: BaseFormat) -> Entry {
        if var old = base {
            old.kind = .history
            history.insert(old, at: 0)
        }
        let entry = Entry(nextBaseName(format), baseSequence + 1, .base)
        baseSequence += 1
        base = entry
        return entry
    }

    /// Ties the base as it is now.
    package mutating func tieBase(_ whole: Whole, covers sequence: Int) {
        base?.whole = whole
        base?.covers = sequence
    }

    /// Ties a file to which no more is written.
    package mutating func tie(_ name: String, _ whole: Whole) {
        if base?.name == name { base?.whole = whole }
        for index in increments.indices where increments[index].name == name { increments[index].whole = whole }
    }

    /// Increments behind `entry` are no longer part of the log; their names are not given again.
    package mutating func dropIncrements(behind entry: Entry) -> [Entry] {
        let dropped = increments.filter { entry.kind == .base || $0.sequence > entry.sequence }
        increments.removeAll { entry.kind == .base || $0.sequence > entry.sequence }
        return dropped
    }

    /// A new increment takes the place of `first` and of all behind it.
    package mutating func replaceIncrements(from first: Entry, id: UInt64) -> Entry {
        increments.removeAll { $0.sequence >= first.sequence }
        return addIncrement(id: id)
    }

    /// As it is, behind all of its kind.
    package mutating func add(_ entry: Entry) {
        switch entry.kind {
        case .base:
            base = entry
            baseSequence = entry.sequence
        case .history: history.append(entry)
        case .increment:
            increments.append(entry)
            incrementSequence = max(incrementSequence, entry.sequence)
        }
    }

    package mutating func addHistory(_ entry: Entry) {
        var entry = entry
        entry.kind = .history
        history.append(entry)
    }

    package mutating func forgetHistory(_ names: [String]) { history.removeAll { names.contains($0.name) } }

    /// The files of HISTORY are gone; their entries are answered and forgotten.
    @discardableResult
    package mutating func forgetHistory() -> [Entry] {
        defer { history.removeAll() }
        return history
    }

    /// The manifest that makes a single AOF of an old server the base.
    package static func upgrading(filename: String) -> AOFManifest {
        var manifest = AOFManifest(filename: filename)
        manifest.base = Entry(filename, 1, .base)
        manifest.baseSequence = 1
        return manifest
    }

    /// The manifest of a backup.
    package init(filename: String, base: Entry, increments: [Entry]) {
        self.filename = filename
        self.base = base
        self.increments = increments
        baseSequence = base.sequence
        incrementSequence = increments.last?.sequence ?? 0
    }

    /// The manifest is the one that `upgrading` makes: the old file may still have to be moved.
    package var isUpgrade: Bool {
        increments.isEmpty && history.isEmpty && base?.name == filename
    }

    /// The number in the name of an increment that would come after all that are named here; nil: `name` is no such.
    func newerIncrement(_ name: String) -> Int64? {
        let suffix = ".incr.aof"
        guard name.hasPrefix(filename + "."), name.hasSuffix(suffix),
              name.utf8.count > filename.utf8.count + 1 + suffix.utf8.count,
              let number = Int64(name.dropFirst(filename.count + 1).dropLast(suffix.count)) else { return nil }
        let named = increments + history.filter { $0.name.hasSuffix(suffix) }
        if named.contains(where: { $0.sequence >= number || $0.name == name }) { return nil }
        return number
    }

    /// Without a BASE: the file may be the one that a lost line named. (The first BASE of a log that began without one
    /// is named last: a crash before that leaves it, and two increments.)
    func isLostBase(_ name: String) -> Bool {
        guard base == nil, !isTied, !increments.contains(where: { $0.name == name }) else { return false }
        // An old server's log, moved in.
        if name == filename { return true }
        guard name.hasPrefix(filename + ".") else { return false }
        for suffix in [BaseFormat.rdb.suffix, BaseFormat.aof.suffix] where name.hasSuffix(suffix) {
            let number = Int64(name.dropFirst(filename.count + 1).dropLast(suffix.count)) ?? 0
            return number > 1 || number == 1 && increments.count < 2
        }
        return false
    }

    /// Why no server wrote it so; nil: one may have.
    var contradiction: String? {
        for entry in history {
            if entry.isBaseFile {
                if base == nil { return "the BASE \(entry.name) is of type h, and no other one takes its place" }
            } else if entry.name.hasSuffix(".incr.aof"), entry.sequence >= increments.first?.sequence ?? 0 {
                return "\(entry.name) is of type h, but no later increment than that goes on behind it"
            }
        }
        return nil
    }

    /// The line of a manifest's text that names a file, from 1.
    static func line(naming entry: Entry, in text: Bytes) -> Int? {
        var start = 0, number = 0
        while start < text.count {
            number += 1
            let end = text.from(start).firstIndex(of: 10).map { start + $0 } ?? text.count
            var one = AOFManifest(filename: "")
            if text[start] != UInt8(ascii: "#"), (try? one.add(Bytes(rebasing: text[start..<end]), number)) != nil,
               (one.loadOrder + one.history).first?.name == entry.name { return number }
            start = end + 1
        }
        return nil
    }

    // MARK: Text

    package func format() -> OwnedBytes {
        var out = OwnedBytes(capacity: 256)
        if let base { Self.append(base, to: &out) }
        for entry in history { Self.append(entry, to: &out) }
        for entry in increments { Self.append(entry, to: &out) }
        if isTied {
            let crc = CRC32C.of(out.bytes)
            out.append(Self.checksumLine)
            SealText.append(hex: UInt64(crc), digits: 8, to: &out)
            out.append(UInt8(ascii: "\n"))
        }
        return out
    }

    private static func append(_ entry: Entry, to out: inout OwnedBytes) {
        out.append("file ")
        var name = entry.name
        name.withUTF8 { text in
            let bytes = Bytes(text)
            if bytes.count == 0 || Quote.isNeeded(bytes) || bytes.contains(39) {
                Quote.append(bytes, to: &out)
            } else {
                out.append(bytes)
            }
        }
        out.append(" seq \(entry.sequence) type ")
        out.append(entry.kind.rawValue)
        if let offset = entry.startOffset { out.append(" startoffset \(offset)") }
        if let offset = entry.endOffset { out.append(" endoffset \(offset)") }
        if let id = entry.id { out.append(" id \(SealText.hex(id, 16))") }
        if let whole = entry.whole { out.append(" size \(whole.bytes) crc32c \(SealText.hex(UInt64(whole.crc), 8))") }
        if let sequence = entry.covers { out.append(" covers \(sequence)") }
        out.append(UInt8(ascii: "\n"))
    }

    /// Before the checksum in eight digits; the last line.
    private static let checksumLine: StaticString = "# crc32c "

    /// Files are tied to it.
    package var isTied: Bool { (loadOrder + history).contains(where: \.isTied) }

    /// - Parameter verifies: false: a wrong checksum is passed over, to see what can be made of the rest.
    package static func parse(_ text: Bytes, filename: String,
                              verifies: Bool = true) throws(ParseError) -> AOFManifest {
        var manifest = AOFManifest(filename: filename)
        if text.count == 0 { throw ParseError(line: 0, text: "", reason: "Found an empty AOF manifest") }
        var start = 0, line = 0
        var isVerified = false
        while start < text.count {
            line += 1
            let rest = text.from(start)
            if isVerified && verifies {
                throw ParseError(line: line, text: "", reason: "The AOF manifest goes on behind its checksum")
            }
            if rest.starts(with: checksumLine.bytes) {
                isVerified = true
                if verifies { try verify(text, start, line) }
            }
            let end = rest.prefix(maximumLineBytes).firstIndex(of: 10)
            if rest[0] == UInt8(ascii: "#") {
                // A comment may be longer than a line.
                start += (rest.firstIndex(of: 10) ?? rest.count - 1) + 1
                continue
            }
            guard let end else {
                throw ParseError(line: line, text: "", reason: "The AOF manifest file contains too long line")
            }
            try manifest.add(Bytes(rebasing: rest[0..<end]), line)
            start += end + 1
        }
        if manifest.isTied && !isVerified && verifies {
            throw ParseError(line: line, text: "", reason: "The checksum of the AOF manifest is missing. \(advice)")
        }
        return manifest
    }

    private static let advice = "If you changed it by hand, delete what stands behind the type of each file, and the "
        + "line that begins with '# crc32c'"

    private static func verify(_ text: Bytes, _ start: Int, _ line: Int) throws(ParseError) {
        let rest = text.from(start + checksumLine.bytes.count)
        let right = SealText.hex(UInt64(CRC32C.of(Bytes(rebasing: text[..<start]))), 8) + "\n"
        if rest.elementsEqual(right.utf8) { return }
        throw ParseError(line: line, text: "", reason: "The AOF manifest is damaged: its checksum is wrong. \(advice)")
    }

    private mutating func add(_ raw: Bytes, _ number: Int) throws(ParseError) {
        let line = Self.trimmed(raw)
        func refuse(_ reason: String) -> ParseError {
            ParseError(line: number, text: String(decoding: line, as: UTF8.self), reason: reason)
        }
        let malformed = "Invalid AOF manifest file format"
        guard let words = SplitArguments.split(line), words.count >= 6, words.count % 2 == 0 else {
            throw refuse(malformed)
        }
        // Two lines that became one would lose a file without a word.
        for key in ["file", "seq", "type"] as [StaticString] {
            let places = stride(from: 0, to: words.count, by: 2).filter { words[$0].equalsIgnoringCase(key) }
            if places.count > 1 { throw refuse(malformed) }
        }
        var name: String?, sequence: Int64?, kindByte: UInt8?, startOffset: Int64?, endOffset: Int64?
        var id: UInt64?, bytes: Int64?, crc: UInt64?, covers: Int64?
        for index in stride(from: 0, to: words.count, by: 2) {
            let key = words[index], value = words[index + 1]
            if key.equalsIgnoringCase("file") {
                if value.contains(47) || value.contains(92) {
                    throw refuse("File can't be a path, just a filename")
                }
                name = String(decoding: value, as: UTF8.self)
            } else if key.equalsIgnoringCase("seq") {
                sequence = Decimal.parseInt64(value)
            } else if key.equalsIgnoringCase("type") {
                kindByte = value.first
            } else if key.equalsIgnoringCase("startoffset") {
                startOffset = Decimal.parseInt64(value)
            } else if key.equalsIgnoringCase("endoffset") {
                endOffset = Decimal.parseInt64(value)
            } else if key.equalsIgnoringCase("id") {
                id = Self.hex(value)
            } else if key.equalsIgnoringCase("size") {
                bytes = Decimal.parseInt64(value)
            } else if key.equalsIgnoringCase("crc32c") {
                crc = Self.hex(value)
            } else if key.equalsIgnoringCase("covers") {
                covers = Decimal.parseInt64(value)
            }
        }
        guard let name, let sequence, let kindByte, !name.isEmpty, name != ".", name != "..", sequence > 0,
              sequence < Int64.max else { throw refuse(malformed) }
        guard let kind = Kind(rawValue: kindByte) else { throw refuse("Unknown AOF file type") }
        var entry = Entry(name, sequence, kind)
        entry.startOffset = startOffset
        entry.endOffset = endOffset
        entry.id = id
        if let bytes, let crc { entry.whole = Whole(bytes: Int(bytes), crc: UInt32(truncatingIfNeeded: crc)) }
        entry.covers = covers.map { Int($0) }
        switch kind {
        case .base:
            if base != nil { throw refuse("Found duplicate base file information") }
            base = entry
            baseSequence = sequence
        case .history:
            history.append(entry)
        case .increment:
            if let last = increments.last, sequence <= last.sequence {
                throw refuse("Found a non-monotonic sequence number")
            }
            increments.append(entry)
            incrementSequence = sequence
        }
    }

    private static func hex(_ text: Bytes) -> UInt64? {
        text.count <= 16 ? UInt64(String(decoding: text, as: UTF8.self), radix: 16) : nil
    }

    private static func trimmed(_ line: Bytes) -> Bytes {
        func isBlank(_ byte: UInt8) -> Bool { byte == 32 || byte == 9 || byte == 13 || byte == 10 }
        var start = 0, end = line.count
        while start < end && isBlank(line[start]) { start += 1 }
        while end > start && isBlank(line[end - 1]) { end -= 1 }
        return Bytes(rebasing: line[start..<end])
    }
}
