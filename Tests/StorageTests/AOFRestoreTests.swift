import Primitives
@testable import Storage
import Testing
import TestSupport

@Suite struct AOFRestoreTests {
    /// Two increments of ten batches behind an empty base that was kept; the first is HISTORY, with a later base.
    private func log() throws -> (log: SealedDirectory, manifest: AOFManifest) {
        let log = try SealedDirectory()
        let text = log.disk.bytes(log.path) ?? []
        var manifest = try text.withUnsafeBytes { try AOFManifest.parse($0, filename: "a") }
        let old = AOFText.record("SELECT", "0") + AOFText.record("SET", "base", "1")
        log.disk.put("data/log/a.1.base.aof", Array(old.utf8))
        var first = AOFManifest.Entry("a.1.base.aof", 1, .base)
        first.covers = 0
        manifest.add(first)
        log.disk.put("data/log/a.2.base.aof", Array(old.utf8))
        _ = manifest.rewriteDone(.aof, keepingIncrementsFrom: 2)
        let crc = Array(old.utf8).withUnsafeBytes { CRC32C.of($0) }
        manifest.tieBase(.init(bytes: old.utf8.count, crc: crc), covers: 10)
        put(manifest, log)
        return (log, manifest)
    }

    private func put(_ manifest: AOFManifest, _ log: SealedDirectory) {
        let text = manifest.format()
        log.disk.put(log.path, withExtendedLifetime(text.count) { text.bytes.map { $0 } })
    }

    private func records(_ result: AOFRestore.Result, _ log: SealedDirectory) throws -> [[String]] {
        try result.files.flatMap { try AOFReading("data/new/log/\($0)", in: log.disk).records }
    }

    @Test func everyBatchCanBeGoneBackTo() throws {
        let (log, _) = try log()
        for sequence in 0...20 {
            var options = AOFRestoreOptions(output: "data/new")
            options.sequence = sequence
            let disk = log.disk.crashed(.everything)
            var copy = log
            copy.disk = disk
            let result = try AOFRestore.run(log.path, in: disk, options)
            #expect(result.lastSequence == sequence)
            #expect(CheckRun(result.manifest, on: disk).report.status == 0, "batch \(sequence)")
            let found = try records(result, copy)
            // Behind batch 10 the newer base is taken.
            #expect(result.files[0] == (sequence < 10 ? "a.1.base.aof" : "a.2.base.aof"))
            let batches = sequence < 10 ? sequence : sequence - 10
            #expect(found.count == 2 + (batches > 0 ? batches + 1 : 0), "batch \(sequence)")
            #expect(disk.bytes(log.name(1)) == log.files[0].bytes && disk.bytes(log.name(2)) == log.files[1].bytes)
        }
    }

    @Test func aMomentIsTheLastBatchWrittenByThen() throws {
        let (log, _) = try log()
        var options = AOFRestoreOptions(output: "data/new")
        options.time = UnixMilliseconds(1_795_639_920_000 + 137 * 4 + 5)
        let result = try AOFRestore.run(log.path, in: log.disk, options)
        // The second increment's clock begins anew in this test: batches of both that are old enough.
        #expect(result.lastTime.map { $0 <= UnixMilliseconds(1_795_639_920_000 + 137 * 4 + 5) } == true)
        #expect(throws: StorageError.self) { try AOFRestore.run(log.path, in: log.disk, options) }
    }

    @Test(arguments: AOFArchive.Compression.allCases)
    func anArchiveIsReadWhenTheFilesAreGone(_ compression: AOFArchive.Compression) throws {
        var (log, manifest) = try log()
        let directory = AOFDirectory(log.disk, holding: log.path, filename: "a")
        let archive = AOFArchive(directory: "data/archive", compression: compression)
        let gone = try directory.removeHistory(&manifest, AOFHistory(archive: archive))
        #expect(Set(gone) == ["a.1.base.aof", "a.1.incr.aof"] && log.disk.bytes(log.name(1)) == nil)
        var options = AOFRestoreOptions(output: "data/new")
        options.sequence = 7
        #expect(throws: StorageError.self) { try AOFRestore.run(log.path, in: log.disk, options) }
        options.archive = "data/archive"
        let result = try AOFRestore.run(log.path, in: log.disk, options)
        #expect(try result.lastSequence == 7 && records(result, log).count == 2 + 8)
        log.files = []
    }

    @Test func historyIsKeptByBytesAndByTime() {
        func file(_ name: String, _ sequence: Int64, _ size: Int, _ modified: Int64) -> AOFHistory.Candidate {
            .init(entry: AOFManifest.Entry(name, sequence, .history), size: size, modified: UnixMilliseconds(modified))
        }
        let files = [file("a.1.base.rdb", 1, 100, 1_000), file("a.1.incr.aof", 1, 50, 5_000),
                     file("a.2.base.rdb", 2, 100, 5_100), file("a.2.incr.aof", 2, 50, 9_000)]
        func gone(_ limit: AOFHistory.Limit) -> [String] {
            AOFHistory(limit: limit, now: UnixMilliseconds(10_000)).superfluous(files).map(\.entry.name).sorted()
        }
        #expect(gone(.nothing).count == 4)
        #expect(gone(.bytes(150)) == ["a.1.base.rdb", "a.1.incr.aof"] && gone(.bytes(1000)).isEmpty)
        // Four seconds back: the base of then, and what followed.
        #expect(gone(.seconds(4)) == ["a.1.base.rdb", "a.1.incr.aof"])
        #expect(gone(.seconds(6)).isEmpty)
    }
}
