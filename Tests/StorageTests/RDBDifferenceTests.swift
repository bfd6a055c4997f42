import Foundation
import Keyspace
import Primitives
@testable import Storage
import Testing
import TestSupport

/// Whole and damaged dumps, loaded key by key and in stretches of all sizes by one thread and by several, from a file
/// that gives what pieces it likes: the same keys, or the same error at the same place.
///
/// `LOAD_CASES` says how many damaged copies of each kind there are; `LOAD_SEED` which.
@Suite struct RDBDifferenceTests {
    private struct Way: CustomStringConvertible {
        var readsStretches = true
        var workers = 0
        var chunkBytes = 1 << 17
        /// Bytes that the source gives at once; 0: all is in memory.
        var pieces = 0

        var description: String {
            readsStretches ? "\(workers) workers, chunks of \(chunkBytes), pieces of \(pieces)" : "key by key"
        }
    }

    private static let given = ProcessInfo.processInfo.environment["LOAD_CASES"].flatMap { Int($0) }
    private static let cases = given ?? 20
    private static let seed = ProcessInfo.processInfo.environment["LOAD_SEED"].flatMap { UInt64($0) } ?? 31

    /// Everything that a load shows; what was added before an error counts, too.
    private func outcome(_ bytes: OwnedBytesBox, _ way: Way, _ options: RDBLoadOptions) -> String {
        var options = options
        options.readsStretches = way.readsStretches
        options.plan.workers = way.workers
        options.plan.chunkBytes = way.chunkBytes
        let target = LoadTarget()
        var text: String
        do throws(StorageError) {
            let result = try RDBLoader.load(bytes.input(way.pieces), into: &target.keyspace, options: options) { _ in }
            text = "\(result.keysLoaded) loaded, \(result.keysExpired) expired, \(result.emptyKeysSkipped) empty, "
                + "\(result.aux.count) aux, \(result.losses.map(\.line)) up to \(result.endOffset), \(result.checksum)"
        } catch {
            text = "\(error)"
        }
        return "\(text) \(KeyspaceDigest.whole(target.keyspace).hex)"
    }

    private func options(_ random: inout RandomSource) -> RDBLoadOptions {
        var options = RDBLoadOptions()
        options.now = UnixMilliseconds(1_790_000_000_000)
        let bits = random.next()
        options.dropsExpired = bits & 1 == 0
        // Most damage is no more than a wrong checksum otherwise.
        options.verifiesChecksum = bits & 6 == 0
        options.isThorough = bits & 8 == 0
        options.skipsUnsupported = bits & 16 == 0
        options.replacesKeys = bits & 96 == 0
        return options
    }

    private func way(_ random: inout RandomSource) -> Way {
        let sizes = [1, 50, 700, 20_000, 1 << 17], pieces = [0, 1000, 7777, 1 << 16]
        return Way(workers: Int(random.next(below: 4)), chunkBytes: sizes[Int(random.next(below: 5))],
                   pieces: pieces[Int(random.next(below: 4))])
    }

    /// - Returns: whether it was loaded.
    private func expectSame(_ bytes: [UInt8], _ note: String, ways: Int, _ random: inout RandomSource) -> Bool {
        let file = OwnedBytesBox(bytes), options = options(&random)
        let wanted = outcome(file, Way(readsStretches: false), options)
        for _ in 0..<ways {
            let way = way(&random)
            #expect(outcome(file, way, options) == wanted, "seed \(Self.seed), \(note), \(way)")
        }
        return wanted.contains(" loaded, ")
    }

    private func run(_ files: [(name: String, bytes: [UInt8])], cases: Int, ways: Int, _ stream: UInt64) {
        var random = RandomSource(seed: Self.seed &+ stream), loaded = 0
        for (name, bytes) in files { _ = expectSame(bytes, name, ways: ways, &random) }
        for number in 0..<cases {
            let file = files[number % files.count]
            var (bytes, what) = Damage.of(file.bytes, &random)
            while random.next(below: 3) == 0 {
                let more = Damage.of(bytes, &random)
                bytes = more.bytes
                what += ", \(more.what)"
            }
            if expectSame(bytes, "\(file.name): \(what)", ways: ways, &random) { loaded += 1 }
        }
        print("\(cases) damaged dumps, each loaded in \(ways + 1) ways: \(loaded) loaded, the others refused")
    }

    @Test func oldDumpsLoadAlike() throws {
        let files = try RDBFixture.old().map { (name: $0, bytes: try RDBFixture.bytes($0)) }
        run(files.filter { $0.bytes.count < 40_000 }, cases: Self.cases * 4, ways: 3, 0)
    }

    /// Whole, they are `RDBStretchTests`'.
    @Test(.enabled(if: given != nil, "takes long")) func dumpsOfServersLoadAlike() throws {
        let files = try RDBFixture.servers.map {
            (name: $0, bytes: try RDBFixture.bytes("\(RDBFixture.directory)/\($0)/dump.rdb"))
        }
        run(files, cases: Self.cases / 10, ways: 2, 1)
    }

    @Test func smallKeysLoadAlike() throws {
        let target = LoadTarget()
        for number in 0..<400 {
            let key = owned(Array("key:\(number)".utf8))
            let expire = number % 6 == 0 ? UnixMilliseconds(number % 12 == 0 ? 1_600_000_000_000 : 1_900_000_000_000)
                : nil
            target.keyspace.setString(key.bytes, to: key.bytes, in: number % 7 == 6 ? 1 : 0, keepExpire: false,
                                      expire: expire)
        }
        run([("small keys", target.snapshot())], cases: Self.cases, ways: 3, 2)
    }

    /// What can't be decompressed is told alike, wherever reading ahead came upon it.
    @Test func compressedDumpsLoadAlike() throws {
        var random = RandomSource(seed: Self.seed &+ 3), refused = 0
        let plain = try RDBFixture.bytes("\(RDBFixture.directory)/old-rdb/dictionary.rdb")
        for compression in [AOFArchive.Compression.gzip, .lz4] {
            let disk = MemoryFileSystem(directories: ["data"])
            let whole = try compressed(plain, compression, disk)
            for number in 0...max(2, Self.cases / 10) {
                let (bytes, what) = number == 0 ? (whole, "whole") : Damage.of(whole, &random)
                disk.put("data/dump.rdb", bytes)
                let options = options(&random)
                let wanted = outcome(disk, Way(readsStretches: false), options)
                if !wanted.contains(" loaded") { refused += 1 }
                for _ in 0..<2 {
                    let way = way(&random)
                    #expect(outcome(disk, way, options) == wanted, "\(compression), \(what), \(way)")
                }
            }
        }
        #expect(refused > 0)
    }

    private func compressed(_ bytes: [UInt8], _ compression: AOFArchive.Compression,
                            _ disk: MemoryFileSystem) throws -> [UInt8] {
        let file = try disk.open("data/compressed", .createOrEmpty)
        defer { disk.close(file) }
        var writer = try CompressedWriter(file, in: disk, compression)
        let copy = owned(bytes)
        try writer.write(copy.bytes)
        try writer.finish()
        return try #require(disk.bytes("data/compressed"))
    }

    private func outcome(_ disk: MemoryFileSystem, _ way: Way, _ options: RDBLoadOptions) -> String {
        var options = options
        options.readsStretches = way.readsStretches
        options.plan.workers = way.workers
        options.plan.chunkBytes = way.chunkBytes
        let target = LoadTarget()
        do throws(StorageError) {
            let file = try disk.open("data/dump.rdb", .read)
            defer { disk.close(file) }
            let input = RDBInput("dump.rdb", try RDBCompressedFile.source(file, in: disk))
            let result = try RDBLoader.load(input, into: &target.keyspace, options: options) { _ in }
            return "\(result.keysLoaded) loaded \(KeyspaceDigest.whole(target.keyspace).hex)"
        } catch {
            return "\(error)"
        }
    }
}

/// A file's bytes, for inputs that read them.
private final class OwnedBytesBox {
    private let bytes: OwnedBytes

    init(_ bytes: [UInt8]) { self.bytes = owned(bytes) }

    func input(_ pieces: Int) -> RDBInput {
        if pieces == 0 { return RDBInput(bytes.bytes, named: "dump.rdb") }
        var place = 0
        return RDBInput("dump.rdb") { (buffer) throws(StorageError) in
            let count = min(buffer.count, pieces, self.bytes.count - place)
            if count > 0 {
                UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
                    .copyMemory(from: Bytes(rebasing: self.bytes.bytes[place..<(place + count)]))
            }
            place += count
            return count
        }
    }
}
