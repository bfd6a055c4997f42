import Primitives
import Storage
import Testing
import TestSupport
#if canImport(Glibc)
import Glibc
#endif

/// A check on any disk, with the lines it printed.
struct CheckRun {
    var report: AOFCheckReport
    var lines: [String] = []

    init(_ path: String, on disk: any FileSystem, answer: Bool = true,
         _ change: (inout AOFCheckOptions) -> Void = { _ in }) {
        var options = AOFCheckOptions()
        options.now = UnixMilliseconds(1_700_000_000_000)
        change(&options)
        var told: [String] = []
        let dialogue = AOFCheckDialogue(tell: { told.append($0) }, ask: { told.append($0); return answer })
        report = AOFCheck.run(path, in: disk, options, dialogue)
        lines = told
    }
}

@Suite struct AOFCheckTests {
    private let torn = AOFText.sample + "*3\r\n$3\r\nSET\r\n$1"
    private let path = "data/a.aof"

    private func disk(_ text: String) -> MemoryFileSystem {
        let disk = MemoryFileSystem()
        disk.put(path, Array(text.utf8))
        return disk
    }

    @Test func saysWhatItFound() {
        let good = CheckRun(path, on: disk(AOFText.sample))
        let size = AOFText.sample.utf8.count
        #expect(good.report.status == 0 && good.lines == [
            "Start checking Old-Style AOF",
            "AOF analyzed: filename=data/a.aof, size=\(size), ok_up_to=\(size), ok_up_to_line=58, diff=0",
            "AOF data/a.aof is valid",
        ])
        let bad = CheckRun(path, on: disk(torn))
        #expect(bad.report.status == 1 && bad.lines.suffix(2) == [
            "AOF analyzed: filename=data/a.aof, size=\(size + 15), ok_up_to=\(size), ok_up_to_line=58, diff=15",
            "AOF data/a.aof is not valid. Use the --fix option to try fixing it.",
        ])
        #expect(CheckRun(path, on: disk("")).lines.last == "AOF data/a.aof is empty")
        let missing = CheckRun("data/none", on: disk(""))
        #expect(missing.report.status == CheckStatus.unreadable)
        #expect(missing.lines == ["Cannot open file data/none: No such file or directory"])
    }

    @Test func aRepairKeepsWhatItCutsOff() {
        let disk = disk(torn)
        let refused = CheckRun(path, on: disk, answer: false) { $0.fixes = true }
        #expect(refused.report.status == 1 && refused.lines.last == "Aborting...")
        #expect(disk.bytes(path) == Array(torn.utf8) && disk.events.isEmpty)
        let dry = CheckRun(path, on: disk) { $0.fixes = true; $0.isDryRun = true }
        #expect(dry.report.status == 1 && dry.report.files[0].cut?.isDone == false && disk.events.isEmpty)
        let fixed = CheckRun(path, on: disk) { $0.fixes = true }
        #expect(fixed.report.status == 0 && fixed.lines.last == "Successfully truncated AOF data/a.aof")
        #expect(disk.bytes(path) == Array(AOFText.sample.utf8))
        let kept = "data/a.aof.torn-1700000000"
        #expect(fixed.report.files[0].cut?.keptAt == kept)
        #expect(disk.bytes(kept) == Array(torn.utf8.suffix(15)))
        #expect(disk.events == [
            "create data/temp-a.aof.torn", "write data/temp-a.aof.torn 15", "sync data/temp-a.aof.torn",
            "rename data/temp-a.aof.torn \(kept)", "syncdir data",
            "truncate data/a.aof \(AOFText.sample.utf8.count)", "sync data/a.aof",
        ])
    }

    @Test func aCrashAtAnyStepOfARepairLosesNothing() throws {
        let good = Array(AOFText.sample.utf8), tail = Array(torn.utf8.suffix(15))
        for steps in 0...8 {
            for seed in 0..<20 as Range<UInt64> {
                let stopping = StoppingFileSystem(disk(torn), after: steps)
                let run = CheckRun(path, on: stopping) { $0.fixes = true }
                let expected = steps < 8 ? CheckStatus.notWritten : CheckStatus.good
                #expect(run.report.status == expected, "after \(steps) steps: \(run.lines)")
                let after = stopping.memory.crashed(seed == 0 ? .nothing : .random(seed))
                let log = try #require(after.bytes(path))
                #expect(log == good || log == good + tail, "after \(steps) steps, seed \(seed)")
                let kept = after.bytes("data/a.aof.torn-1700000000")
                if log == good { #expect(kept == tail, "after \(steps) steps, seed \(seed)") }
                // And it can be repaired then.
                #expect(CheckRun(path, on: after) { $0.fixes = true }.report.status == 0)
                #expect(after.bytes(path) == good)
            }
        }
    }

    @Test func aFullDiskLeavesTheLogAlone() {
        let disk = disk(torn)
        disk.faults.room = 10
        let run = CheckRun(path, on: disk) { $0.fixes = true }
        #expect(run.report.status == CheckStatus.notWritten && run.report.error?.isOutOfSpace == true)
        #expect(disk.bytes(path) == Array(torn.utf8) && disk.bytes("data/temp-a.aof.torn") == nil)
    }

    @Test func truncatesToATimestampBetweenUnits() {
        func cut(_ time: Int64) -> (Int32, Int?) {
            let disk = disk(AOFText.sample)
            let run = CheckRun(path, on: disk) { $0.timestamp = time }
            return (run.report.status, disk.bytes(path)?.count)
        }
        let unit = AOFText.sampleParts[0..<4].joined().utf8.count
        #expect(cut(1_700_000_000) == (0, unit))  // Not in the middle of the transaction.
        #expect(cut(1_700_000_001) == (0, AOFText.sample.utf8.count))
        #expect(cut(1_600_000_000) == (1, AOFText.sample.utf8.count))
    }

    // MARK: Manifests

    private func log(_ base: String, _ first: String, _ second: String) -> MemoryFileSystem {
        let disk = MemoryFileSystem()
        disk.put("data/a.manifest", Array(
            "file b seq 1 type b\nfile i1 seq 1 type i\nfile h seq 1 type h\nfile i2 seq 2 type i\n".utf8))
        for (name, text) in [("b", base), ("i1", first), ("i2", second)] { disk.put("data/\(name)", Array(text.utf8)) }
        return disk
    }

    @Test func checksAllFilesOfAManifest() {
        let good = CheckRun("data/a.manifest", on: log(AOFText.sample, AOFText.sample, ""))
        #expect(good.report.status == 0 && good.report.files.map(\.role) == [.base, .increment, .increment])
        #expect(good.lines.filter { !$0.hasPrefix("AOF analyzed") } == [
            "Start checking Multi Part AOF", "Start to check BASE AOF (RESP format).", "BASE AOF b is valid",
            "Start to check INCR files.", "INCR AOF i1 is valid", "INCR AOF i2 is empty",
            "All AOF files and manifest are valid",
        ])
        let bad = log(AOFText.sample, torn, AOFText.sample)
        let run = CheckRun("data/a.manifest", on: bad) { $0.fixes = true }
        #expect(run.report.status == 1)
        #expect(run.lines.last == "Failed to truncate AOF i1 because it is not the last file")
        #expect(bad.bytes("data/i1") == Array(torn.utf8))
    }

    @Test func theLastFileIsTheOneBeforeEmptyOnes() {
        let disk = log(AOFText.sample, torn, "")
        #expect(CheckRun("data/a.manifest", on: disk) { $0.fixes = true }.report.status == 0)
        #expect(disk.bytes("data/i1") == Array(AOFText.sample.utf8))
    }

    @Test func manifestsThatMakeNoSenseAreRefused() {
        for (text, words) in [
            ("", "Found an empty AOF manifest"), ("file b seq 1 type q\n", "Unknown AOF file type"),
            ("file ../b seq 1 type b\n", "File can't be a path, just a filename"),
            ("file none seq 1 type b\n", "Cannot open file data/none: No such file or directory"),
        ] {
            let disk = log("", "", "")
            disk.put("data/a.manifest", Array(text.utf8))
            let run = CheckRun("data/a.manifest", on: disk)
            let status = words.hasPrefix("Cannot open") ? CheckStatus.unreadable : CheckStatus.damaged
            #expect(run.report.status == status && run.lines.last == words, "\(text): \(run.lines)")
        }
    }

    @Test func reportsAsJSON() {
        let disk = disk(torn)
        let json = CheckRun(path, on: disk) { $0.fixes = true }.report.json
        #expect(json.hasPrefix("{\"file\":\"data/a.aof\",\"ok\":true,\"status\":0,\"multi_part\":false,\"files\":[{"))
        #expect(json.contains("\"end\":\"torn\"") && json.contains("\"kept_at\":\"data/a.aof.torn-1700000000\""))
        #expect(json.contains("\"records\":11,\"transactions\":2,\"annotations\":3,\"first_timestamp\":1700000000"))
    }
}

/// The same files before the stock tool: same exit status, same bytes left.
@Suite(.enabled(if: access("/usr/bin/redis-check-aof", X_OK) == 0)) struct AOFCheckComparison {
    private static func contents(_ path: String) throws -> [UInt8] {
        let bytes = try PosixFileSystem().contents(path, limit: 1 << 24)
        return Array(bytes.bytes)
    }

    private struct Outcome: Equatable {
        var status: Int32
        var left: [UInt8]
    }

    private func compare(_ name: String, _ bytes: [UInt8], _ arguments: String,
                         _ change: (inout AOFCheckOptions) -> Void) throws {
        let place = try TemporaryDirectory(), disk = PosixFileSystem()
        func put() throws {
            let file = try disk.open(place.path("a.aof"), .createOrEmpty)
            defer { disk.close(file) }
            try bytes.withUnsafeBytes { try disk.write(file, $0) }
        }
        func left() throws -> [UInt8] { try Self.contents(place.path("a.aof")) }
        try put()
        let command = "echo y | redis-check-aof \(arguments) \(place.path("a.aof")) > /dev/null 2>&1"
        let theirs = Outcome(status: system(command) >> 8, left: try left())
        try put()
        let run = CheckRun(place.path("a.aof"), on: disk, change)
        let ours = Outcome(status: run.report.status, left: try left())
        #expect(ours == theirs, "\(name) \(arguments): \(run.lines)")
    }

    @Test func answersAsTheStockToolDoes() throws {
        let good = Array(AOFText.sample.utf8)
        let annotations = (0..<good.count).filter { cut in
            let line = good[..<cut].split(separator: 10, omittingEmptySubsequences: false).last ?? []
            return line.first == UInt8(ascii: "#")
        }
        var samples: [(String, [UInt8])] = [("good", good), ("empty", []), ("zeros", good + [0, 0, 0])]
        // But for half annotations, which the stock tool lets pass.
        for cut in stride(from: 0, to: good.count, by: 5) where !annotations.contains(cut) {
            samples.append(("cut \(cut)", Array(good[..<cut])))
        }
        var random = RandomSource(seed: 4)
        for _ in 0..<60 {
            let index = Int(random.next(below: UInt64(good.count)))
            var bytes = good
            bytes[index] ^= 1 << UInt8(random.next(below: 8))
            samples.append(("flip at \(index)", bytes))
        }
        let rdb = try Self.contents(Fixture.path("servers/redis-7.0/dump.rdb"))
        samples += [("RDB", rdb), ("RDB and records", rdb + good), ("RDB and half a record", rdb + good.dropLast(3)),
                    ("half an RDB", Array(rdb.dropLast(90)))]
        for (name, bytes) in samples {
            try compare(name, bytes, "") { _ in }
            try compare(name, bytes, "--fix") { $0.fixes = true }
        }
        for time in [1_600_000_000, 1_700_000_001] as [Int64] {
            try compare("good", good, "--truncate-to-timestamp \(time)") { $0.timestamp = time }
        }
    }
}
