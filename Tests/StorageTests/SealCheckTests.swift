import Primitives
@testable import Storage
import Testing
import TestSupport

/// A sealed log of two increments on a disk in memory.
struct SealedDirectory {
    var disk = MemoryFileSystem(directories: ["data", "data/log"])
    let path = "data/log/a.manifest"
    var files: [SealedLog] = []

    init() throws {
        var manifest = AOFManifest(filename: "a")
        var first = SealedLog(id: manifest.addIncrement(id: 11).id ?? 0)
        first.add(AOFText.record("SELECT", "0") + AOFText.record("SET", "a", "1"))
        for index in 2...10 { first.add(AOFText.record("SET", "key\(index)", "value \(index)")) }
        var second = SealedLog(id: manifest.addIncrement(id: 22).id ?? 0, file: 2, follows: first)
        second.add(AOFText.record("SELECT", "0") + AOFText.record("SET", "b", "1"))
        for index in 12...20 { second.add(AOFText.record("SET", "key\(index)", "value \(index)")) }
        second.mark()
        files = [first, second]
        let text = manifest.format()
        disk.put(path, withExtendedLifetime(text.count) { text.bytes.map { $0 } })
        for (index, file) in files.enumerated() { disk.put(name(index + 1), file.bytes) }
    }

    func name(_ number: Int) -> String { "data/log/a.\(number).incr.aof" }

    func flip(_ number: Int, batch: Int, _ offset: Int = 40) {
        var bytes = disk.bytes(name(number)) ?? []
        bytes[files[number - 1].edges[batch - 1] + offset] ^= 1
        disk.put(name(number), bytes)
    }

    /// The records of all files of the manifest.
    func records() throws -> [[String]] {
        let text = Array(disk.bytes(path) ?? [])
        let manifest = try text.withUnsafeBytes { try AOFManifest.parse($0, filename: "a") }
        return try manifest.increments.flatMap { try AOFReading("data/log/\($0.name)", in: disk).records }
    }
}

@Suite struct SealCheckTests {
    @Test func aSealedLogIsValidAndTold() throws {
        let log = try SealedDirectory()
        let run = CheckRun(log.path, on: log.disk)
        #expect(run.report.status == 0, "\(run.lines)")
        #expect(run.lines.contains { $0.hasPrefix("Sealed: batches 11 to 20, ") })
        #expect(run.report.json.contains("\"seals\":{\"batches\":10,\"first_sequence\":1,\"last_sequence\":10"))
    }

    @Test func aSwappedOrCutFileIsFound() throws {
        var log = try SealedDirectory()
        log.disk.put(log.name(1), Array(log.files[0].bytes[..<log.files[0].edges[9]]))
        #expect(CheckRun(log.path, on: log.disk).report.status == 1)
        log = try SealedDirectory()
        log.disk.put(log.name(2), log.files[0].bytes)
        #expect(CheckRun(log.path, on: log.disk).report.status == 1)
    }

    @Test func whatIsLostIsToldByPlaceNumberTimeAndKeys() throws {
        let log = try SealedDirectory()
        // Within the value.
        log.flip(2, batch: 5, log.files[1].edges[5] - log.files[1].edges[4] - 4)
        let run = CheckRun(log.path, on: log.disk)
        #expect(run.report.status == 1)
        let lost = try #require(run.report.files[1].lost)
        #expect(lost.firstSequence == 15 && lost.lastSequence == 15 && lost.offset == log.files[1].edges[4])
        #expect(lost.keys.count == 1 && lost.after != nil)
        #expect(run.lines.contains { $0.contains("Whole behind it: 5 batches up to 20") })
    }

    @Test func aRepairEndsTheLogBeforeTheDamage() throws {
        let log = try SealedDirectory()
        log.flip(2, batch: 5)
        let before = log.disk.bytes(log.name(2))
        let run = CheckRun(log.path, on: log.disk) { $0.fixes = true }
        #expect(run.report.status == 0 && run.report.files[1].cut?.isDone == true)
        #expect(CheckRun(log.path, on: log.disk).report.status == 0)
        #expect(try log.records().count == 16)
        let kept = log.disk.bytes(log.name(2) + ".torn-1700000000") ?? []
        #expect((log.disk.bytes(log.name(2)) ?? []) + kept == before)
    }

    @Test func aRepairOfAnEarlierFilePutsTheOthersAside() throws {
        let log = try SealedDirectory()
        log.flip(1, batch: 5)
        let run = CheckRun(log.path, on: log.disk) { $0.fixes = true }
        #expect(run.report.status == 0 && run.report.replacement == "a.3.incr.aof", "\(run.lines)")
        #expect(CheckRun(log.path, on: log.disk).report.status == 0)
        #expect(try log.records().count == 5)
        #expect(log.disk.bytes(log.name(2) + ".damaged-1700000000") == log.files[1].bytes)
    }

    @Test func aSalvageKeepsWhatIsWholeBehindDamage() throws {
        let log = try SealedDirectory()
        log.flip(1, batch: 5)
        log.flip(2, batch: 10)
        let run = CheckRun(log.path, on: log.disk) { $0.salvages = true }
        #expect(run.report.status == 0 && run.report.replacement == "a.3.incr.aof", "\(run.lines)")
        #expect(CheckRun(log.path, on: log.disk).report.status == 0)
        let records = try log.records()
        // 20 batches but two, each file's SELECT, and one behind each gap that batches follow.
        #expect(records.count == 18 + 2 + 1 && !records.contains { $0.contains("key5") || $0.contains("key20") })
        #expect(log.disk.bytes(log.name(1) + ".damaged-1700000000") != nil)
    }

    @Test func aDryRunChangesNothing() throws {
        let log = try SealedDirectory()
        log.flip(1, batch: 5)
        log.disk.clearEvents()
        _ = CheckRun(log.path, on: log.disk) { $0.salvages = true; $0.isDryRun = true }
        #expect(log.disk.events.isEmpty)
    }

    @Test func everyFlippedBitOfTheManifestIsFoundAndMended() throws {
        let log = try SealedDirectory()
        let good = log.disk.bytes(log.path) ?? []
        for index in good.indices {
            for bit in 0..<8 {
                var bytes = good
                bytes[index] ^= 1 << bit
                let parsed = bytes.withUnsafeBytes { try? AOFManifest.parse($0, filename: "a") }
                #expect(parsed == nil, "bit \(bit) of byte \(index)")
            }
        }
        var bytes = good
        bytes[good.count - 3] ^= 1
        log.disk.put(log.path, bytes)
        #expect(CheckRun(log.path, on: log.disk).report.status == 1)
        #expect(CheckRun(log.path, on: log.disk) { $0.fixes = true }.report.status == 0)
        #expect(log.disk.bytes(log.path) == good)
    }

    /// A line of the manifest was lost, or an increment's type became HISTORY; --fix wrote it anew without that file.
    @Test func aMendedManifestNamesAllThatTheGoodOneNamed() throws {
        let log = try SealedDirectory()
        let good = log.disk.bytes(log.path) ?? [], all = try log.records()
        var damaged: [[UInt8]] = []
        for index in good.indices {
            for bit in 0..<8 {
                var bytes = good
                bytes[index] ^= 1 << bit
                damaged.append(bytes)
            }
        }
        let lines = good.split(separator: 10)
        for line in lines.indices {
            damaged.append(Array(lines.indices.filter { $0 != line }.map { lines[$0] + [10] }.joined()))
            damaged.append(Array(lines[..<line].map { $0 + [10] }.joined()))
        }
        var mended = 0
        for bytes in damaged {
            let log = try SealedDirectory()
            log.disk.put(log.path, bytes)
            let text = String(decoding: bytes, as: UTF8.self)
            guard CheckRun(log.path, on: log.disk, { $0.fixes = true }).report.status == 0 else { continue }
            mended += 1
            #expect(try log.records() == all, "\(text)")
        }
        #expect(mended > 0)
    }
}
