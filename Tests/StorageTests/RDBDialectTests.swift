import CLZ4
import Foundation
import Keyspace
import Primitives
import Storage
import TestSupport
import Testing

/// Writes RDB files as other servers do, knowing nothing of the codecs under test.
struct ForeignFile {
    var bytes: [UInt8]

    init(_ magic: String) { bytes = Array(magic.utf8) }

    mutating func raw(_ more: [UInt8]) { bytes += more }
    mutating func length(_ value: Int) { bytes += Self.length(value) }
    mutating func string(_ text: String) { bytes += Self.string(Array(text.utf8)) }
    mutating func little(_ value: Int64) { bytes += withUnsafeBytes(of: value.littleEndian) { Array($0) } }
    mutating func big(_ value: UInt64) { bytes += withUnsafeBytes(of: value.bigEndian) { Array($0) } }

    mutating func aux(_ name: String, _ value: String) {
        bytes.append(250)
        string(name)
        string(value)
    }

    mutating func key(_ type: UInt8, _ name: String) {
        bytes.append(type)
        string(name)
    }

    mutating func plain(_ name: String, _ value: String) {
        key(0, name)
        string(value)
    }

    /// End mark, and no checksum.
    func finished() -> [UInt8] { bytes + [255] + [UInt8](repeating: 0, count: 8) }

    static func length(_ value: Int) -> [UInt8] {
        if value < 64 { return [UInt8(value)] }
        if value < 16384 { return [0x40 | UInt8(value >> 8), UInt8(value & 255)] }
        return [0x80] + withUnsafeBytes(of: UInt32(value).bigEndian) { Array($0) }
    }

    static func string(_ text: [UInt8]) -> [UInt8] { length(text.count) + text }

    /// Short strings and integers from 0 to 127 alone.
    static func listpack(_ elements: [Any]) -> [UInt8] {
        var body: [UInt8] = []
        for element in elements {
            if let integer = element as? Int {
                body += [UInt8(integer), 1]
            } else if let text = element as? String {
                body += [0x80 | UInt8(text.utf8.count)] + Array(text.utf8) + [UInt8(text.utf8.count + 1)]
            }
        }
        let total = UInt32(body.count + 7)
        return withUnsafeBytes(of: total.littleEndian) { Array($0) }
            + withUnsafeBytes(of: UInt16(elements.count).littleEndian) { Array($0) } + body + [255]
    }

    static func lz4(_ data: [UInt8]) -> [UInt8] {
        var frame = [UInt8](repeating: 0, count: LZ4F_compressFrameBound(data.count, nil))
        let count = LZ4F_compressFrame(&frame, frame.count, data, data.count, nil)
        return Array(frame[..<count])
    }

    /// A Zstandard frame of one raw block, with its size in the header.
    static func zstd(_ data: [UInt8]) -> [UInt8] {
        let size = UInt32(data.count), block = UInt32(data.count) << 3 | 1
        return [0x28, 0xb5, 0x2f, 0xfd, 0xa0] + withUnsafeBytes(of: size.littleEndian) { Array($0) }
            + withUnsafeBytes(of: block.littleEndian) { Array($0.prefix(3)) } + data
    }
}

@Suite struct RDBDialectTests {
    /// What a load of the file came to: values by key, the dialect, what was left out.
    private struct Outcome {
        var texts: [String: String] = [:]
        var losses: [RDBLoss] = []
        var dialect = RDBDialect.redis
        var error: StorageError?
    }

    private func load(_ file: [UInt8], skipping: Bool = false) -> Outcome {
        let target = LoadTarget()
        var options = RDBLoadOptions()
        options.skipsUnsupported = skipping
        options.now = UnixMilliseconds(1_700_000_000_000)
        let copy = owned(file)
        var outcome = Outcome()
        do throws(StorageError) {
            let result = try RDBLoader.load(RDBInput(copy.bytes), into: &target.keyspace, options: options) { _ in }
            outcome.losses = result.losses
            outcome.dialect = result.dialect
        } catch {
            outcome.error = error
        }
        for database in 0..<16 {
            var iterator = target.keyspace.databases[database].keys.makeIterator()
            while let element = iterator.next() {
                let entry = Entry(element)
                outcome.texts[String(decoding: entry.key, as: UTF8.self)] = text(entry)
            }
        }
        return outcome
    }

    private func text(_ entry: Entry) -> String {
        let scratch = UnsafeMutableRawPointer.allocate(byteCount: 24, alignment: 8)
        defer { scratch.deallocate() }
        func text(_ bytes: Bytes) -> String { String(decoding: bytes, as: UTF8.self) }
        var parts: [String] = []
        switch entry.type {
        case .string: return text(entry.string(scratch))
        case .hash:
            HashValue(entry).forEach { field, value, expire in
                let name = text(field.text(scratch)), held = text(value.text(scratch))
                parts.append("\(name)=\(held)\(expire.map { "@\($0)" } ?? "")")
                return true
            }
        case .set: SetValue(entry).forEach { parts.append(text($0)); return true }
        case .stream:
            let stream = StreamValue(entry)
            parts.append("\(stream.count) entries")
            for index in 0..<stream.groups.count {
                parts.append("\(text(stream.groups[index].pointee.name.bytes)): "
                             + "\(stream.groups[index].pointee.pending.count)")
            }
        case .module: parts.append("module")
        case .list, .sortedSet: parts.append("\(entry.type)")
        }
        return parts.sorted().joined(separator: " ")
    }

    // MARK: Valkey

    private func valkey(_ version: String) -> [UInt8] {
        var file = ForeignFile("VALKEY\(version)")
        file.aux("valkey-ver", "9.0.0")
        file.raw([254, 0, 251, 2, 0])
        file.plain("s", "v")
        file.key(22, "h")
        file.length(2)
        file.string("a"); file.string("1"); file.little(-1)
        file.string("b"); file.string("2"); file.little(1_900_000_000_000)
        return file.finished()
    }

    @Test(arguments: ["080", "081"])
    func valkeyByItsMagic(version: String) {
        let outcome = load(valkey(version))
        #expect(outcome.error == nil)
        #expect(outcome.dialect == .valkey)
        #expect(outcome.texts == ["s": "v", "h": "a=1 b=2@1900000000000"])
    }

    @Test func valkeyInAnLZ4Frame() throws {
        let directory = NSTemporaryDirectory() + "swift-redis-lz4-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let path = "\(directory)/dump.rdb"
        try Data(ForeignFile.lz4(valkey("081"))).write(to: URL(fileURLWithPath: path))
        let fileSystem = PosixFileSystem()
        let file = try fileSystem.open(path, .read)
        defer { fileSystem.close(file) }
        let target = LoadTarget()
        let result = try RDBLoader.load(RDBInput(path, try RDBCompressedFile.source(file, in: fileSystem)),
                                        into: &target.keyspace, options: RDBLoadOptions()) { _ in }
        #expect(result.keysLoaded == 2)
    }

    /// Type 22 is another thing in Redis' release candidates and in Valkey.
    @Test func type22GoesByTheDialect() {
        var file = ForeignFile("REDIS0012")
        file.key(22, "h")
        file.length(1)
        file.raw([0x81]); file.big(1_900_000_000_000)
        file.string("a"); file.string("1")
        #expect(load(file.finished()).texts == ["h": "a=1@1900000000000"])
        #expect(load(Array("VALKEY080".utf8) + file.finished().dropFirst(9)).error != nil)
    }

    // MARK: KeyDB

    @Test func keydbMembersExpire() {
        var file = ForeignFile("REDIS0009")
        file.raw([254, 0])
        file.aux("mvcc-tstamp", "1650000000000000")
        file.key(4, "h")
        file.length(2)
        for text in ["a", "1", "b", "2"] { file.string(text) }
        file.aux("keydb-subexpire-key", "b")
        file.aux("keydb-subexpire-when", "1900000000000")
        file.raw([252]); file.little(1_950_000_000_000)
        file.aux("mvcc-tstamp", "1650000000000001")
        file.key(2, "set")
        file.length(2)
        file.string("x"); file.string("y")
        let good = load(file.finished())
        #expect(good.error == nil)
        #expect(good.dialect == .keydb)
        #expect(good.texts == ["h": "a=1 b=2@1900000000000", "set": "x y"])
        file.aux("keydb-subexpire-key", "y")
        let place = file.bytes.count
        file.aux("keydb-subexpire-when", "1900000000000")
        let refused = load(file.finished())
        #expect(refused.error?.cause.contains("'y'") == true && refused.error?.cause.contains("'set'") == true)
        #expect(refused.error?.offset == place + 1)
        let skipped = load(file.finished(), skipping: true)
        #expect(skipped.texts["set"] == "x y")
        #expect(skipped.losses.count == 1 && skipped.losses[0].key == "set")
    }

    @Test func keydbCronIsNamedAndSkipped() {
        var file = ForeignFile("REDIS0009")
        let place = file.bytes.count
        file.key(64, "job")
        file.string("return 1"); file.little(5); file.little(6)
        file.length(1); file.string("k")
        file.length(2); file.string("a"); file.string("b")
        file.plain("after", "1")
        let refused = load(file.finished())
        #expect(refused.error?.cause.contains("cron") == true && refused.error?.cause.contains("'job'") == true)
        let skipped = load(file.finished(), skipping: true)
        #expect(skipped.texts == ["after": "1"])
        #expect(skipped.losses.first?.offset == place && skipped.losses.first?.key == "job")
    }

    // MARK: Dragonfly

    @Test(arguments: ["plain", "lz4", "zstd"])
    func dragonfly(form: String) {
        var inner = ForeignFile("")
        inner.raw([254, 1])
        inner.key(31, "h")
        inner.length(2)
        inner.string("a"); inner.string("1"); inner.string("-1")
        inner.string("b"); inner.string("2"); inner.string("200000000")
        inner.key(32, "set")
        inner.length(1); inner.string("m"); inner.string("-1")
        inner.raw([220, 1, 0, 0, 0])
        inner.plain("s", "v")
        var file = ForeignFile("REDIS0009")
        file.aux("redis-ver", "6.2.11")
        file.aux("df-ver", "df-v1.40.0")
        if form == "plain" {
            file.raw(inner.bytes)
        } else {
            file.raw([form == "lz4" ? 202 : 201])
            file.raw(ForeignFile.string(form == "lz4" ? ForeignFile.lz4(inner.bytes) : ForeignFile.zstd(inner.bytes)))
            file.raw([203])
        }
        file.plain("after", "1")
        file.raw([200] + [UInt8](repeating: 0, count: 8))
        let outcome = load(file.finished())
        #expect(outcome.error == nil)
        #expect(outcome.dialect == .dragonfly)
        #expect(outcome.texts == ["h": "a=1 b=2@1875209600000", "set": "m", "s": "v", "after": "1"])
    }

    @Test func whatDragonflyAloneHasIsNamed() {
        var file = ForeignFile("REDIS0009")
        file.aux("df-ver", "df-v1.40.0")
        file.key(30, "doc"); file.string("{}")
        file.key(33, "bloom")
        file.length(0); file.little(0); file.little(0)
        for _ in 0..<3 { file.length(5) }
        file.length(1); file.length(3); file.string("bits")
        file.key(34, "chunks")
        file.length(0); file.little(0); file.little(0)
        for _ in 0..<3 { file.length(5) }
        file.length(1); file.length(3); file.length(6); file.string("bits"); file.string("xy")
        file.key(32, "set"); file.length(1); file.string("m"); file.string("5")
        file.plain("s", "v")
        #expect(load(file.finished()).error?.cause.contains("'doc'") == true)
        let skipped = load(file.finished(), skipping: true)
        #expect(skipped.error == nil)
        #expect(skipped.losses.map { $0.key } == ["doc", "bloom", "chunks", "set"])
        #expect(skipped.texts == ["set": "m", "s": "v"])
        // A layout that nobody but its server knows ends the reading, at a named place.
        file.key(35, "sketch"); file.raw([1, 2, 3])
        let refused = load(file.finished(), skipping: true)
        #expect(refused.error?.cause.contains("'sketch'") == true)
    }

    // MARK: Redis 8

    @Test func hashTemplatesOfRedis810() {
        var file = ForeignFile("REDIS0015")
        file.raw([242]); file.length(7); file.length(2); file.string("f"); file.string("gg")
        file.key(30, "one"); file.raw(ForeignFile.string(ForeignFile.listpack([7, "x", 5])))
        file.key(32, "two"); file.length(7); file.string("1"); file.string("2")
        file.key(29, "three")
        file.length(1); file.string("a"); file.raw(ForeignFile.string(ForeignFile.listpack(["z"])))
        file.key(31, "four"); file.length(1); file.string("k"); file.string("v")
        let outcome = load(file.finished())
        #expect(outcome.error == nil)
        #expect(outcome.texts == ["one": "f=x gg=5", "two": "f=1 gg=2", "three": "a=z", "four": "k=v"])
        var lonely = ForeignFile("REDIS0015")
        lonely.key(32, "two"); lonely.length(7); lonely.string("1")
        #expect(load(lonely.finished()).error?.isCorrupt == true)
    }

    private func stream(_ type: UInt8, producers: Int, released: Int) -> [UInt8] {
        var file = ForeignFile(type == 26 ? "REDIS0013" : "REDIS0014")
        file.key(type, "st")
        file.length(0)
        file.length(0)
        for value in [5, 0, 0, 0, 0, 0, 3] { file.length(value) }
        file.length(1); file.string("g"); file.length(5); file.length(0); file.length(2)
        file.length(2)
        for id in 1...2 { file.big(UInt64(id)); file.big(0); file.little(9); file.length(1) }
        file.length(1); file.string("c"); file.little(1); file.little(1)
        file.length(2 - released); for id in 0..<(2 - released) { file.big(UInt64(id + 1)); file.big(0) }
        if type == 27 { file.length(released); for _ in 0..<released { file.big(2); file.big(0) } }
        file.length(100); file.length(100); file.length(producers)
        for _ in 0..<producers {
            file.string("p"); file.length(1); file.string("iid"); file.length(1); file.length(0)
        }
        file.plain("after", "1")
        return file.finished()
    }

    @Test func streamsOfRedis86And88() {
        for type in [UInt8(26), 27] {
            let good = load(stream(type, producers: 0, released: 0))
            #expect(good.error == nil)
            #expect(good.texts == ["st": "0 entries g: 2", "after": "1"])
        }
        for (producers, released) in [(1, 0), (0, 1)] {
            let outcome = load(stream(27, producers: producers, released: released))
            #expect(outcome.error == nil && outcome.losses.isEmpty)
            #expect(outcome.texts == ["st": "0 entries g: 2", "after": "1"])
        }
    }

    @Test func arraysAndKeyMetadataAreNamed() {
        var file = ForeignFile("REDIS0016")
        file.key(28, "arr")
        file.length(3); file.length(1); file.length(9)
        file.length(0); file.length(0); file.string("x")
        file.length(4); file.length(1); file.little(-7)
        file.length(5); file.length(2); file.little(0)
        file.raw([243]); file.length(1); file.raw([1, 2, 3, 4]); file.length(2); file.length(5); file.length(0)
        file.plain("meta", "v")
        file.raw([241])
        file.plain("blessed", "v")
        #expect(load(file.finished()).error?.cause.contains("'arr'") == true)
        let skipped = load(file.finished(), skipping: true)
        #expect(skipped.losses.map { $0.key } == ["arr", "meta"])
        #expect(skipped.texts == ["meta": "v", "blessed": "v"])
    }

    /// A newer type in an older file is damage, not news.
    @Test func typesAreThoseOfTheVersion() {
        for (magic, type) in [("REDIS0012", UInt8(26)), ("REDIS0013", 28), ("REDIS0009", 30), ("VALKEY080", 24)] {
            var file = ForeignFile(magic)
            file.key(type, "k")
            file.string("x")
            #expect(load(file.finished(), skipping: true).error != nil, "\(magic) \(type)")
        }
    }

    // MARK: Modules

    @Test func whatModulesSavedIsWrittenBack() throws {
        let target = LoadTarget()
        var file = ForeignFile("REDIS0009")
        let before: [UInt8] = [247, 0x81, 1, 2, 3, 4, 5, 6, 7, 8, 2, 1, 5, 3, 65, 66, 67, 0]
        let behind: [UInt8] = [247, 0x81, 1, 2, 3, 4, 5, 6, 7, 9, 2, 2, 2, 7, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        file.raw(before)
        file.plain("s", "v")
        file.raw(behind)
        let copy = owned(file.finished()), input = RDBInput(copy.bytes)
        let loaded = try RDBLoader.load(input, into: &target.keyspace, options: RDBLoadOptions()) { _ in }
        #expect(loaded.moduleAux.count == 2)
        let path = NSTemporaryDirectory() + "swift-redis-aux-\(UUID().uuidString)"
        defer { unlink(path) }
        let descriptor = open(path, O_RDWR | O_CREAT, 0o600)
        var options = RDBSnapshotOptions()
        options.moduleAux = loaded.moduleAux.bytes
        #expect(RDBSnapshotWriter.write(databases: target.keyspace.databases, count: 16, to: descriptor,
                                        options: options, progress: { _ in }) == 0)
        close(descriptor)
        let written = try RDBFixture.bytes(path)
        let first = try #require(written.firstRange(of: before)), last = try #require(written.firstRange(of: behind))
        let key = try #require(written.firstRange(of: [0, 1, 115, 1, 118]))
        #expect(first.upperBound < key.lowerBound && key.upperBound == last.lowerBound)
    }

    /// Whatever a foreign file holds, reading ends with an answer.
    @Test func damagedForeignFilesNeverTrap() {
        let seed = testSeed()
        var random = SplitMix(state: seed)
        var blob = ForeignFile("REDIS0009")
        blob.aux("df-ver", "1")
        blob.raw([202] + ForeignFile.string(ForeignFile.lz4(Array(valkey("080").dropFirst(9).dropLast(9)))))
        var templates = ForeignFile("REDIS0015")
        templates.raw([242]); templates.length(7); templates.length(2); templates.string("f"); templates.string("gg")
        templates.key(30, "one"); templates.raw(ForeignFile.string(ForeignFile.listpack([7, "x", 5])))
        templates.key(32, "two"); templates.length(7); templates.string("1"); templates.string("2")
        let files = [valkey("081"), blob.finished(), templates.finished(), stream(27, producers: 1, released: 1),
                     stream(26, producers: 1, released: 0)]
        for file in files {
            for _ in 0..<400 {
                let bad = random.damaged(file)
                let outcome = load(bad, skipping: true)
                #expect(outcome.error == nil || outcome.error?.offset != nil, "seed \(seed)")
            }
        }
    }
}
