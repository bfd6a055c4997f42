import Commands
import Engine
import Foundation
import Keyspace
import Primitives
@testable import Server
import Storage
import Testing
import TestSupport

/// Whole and damaged logs, replayed by one thread and by two, in chunks and reads of all sizes: the same keys, the same
/// error at the same place, the same files cut and put aside.
///
/// `LOAD_CASES` says how many damaged copies there are; `LOAD_SEED` which.
@Suite struct LogDifferenceTests {
    private struct Way: CustomStringConvertible {
        var workers = 0
        var chunkCommands = 4096
        var chunkBytes = 1 << 17
        /// Bytes that a read gives at most.
        var pieces = Int.max

        var description: String { "\(workers) workers, chunks of \(chunkCommands), reads of \(pieces)" }
    }

    private struct Log {
        var name: String
        var manifest: AOFManifest
        var files: [[UInt8]]
    }

    private static let given = ProcessInfo.processInfo.environment["LOAD_CASES"].flatMap { Int($0) }
    private static let cases = given ?? 12
    private static let seed = ProcessInfo.processInfo.environment["LOAD_SEED"].flatMap { UInt64($0) } ?? 41
    private static let id: UInt64 = 0x1234_5678_9abc_def0

    // MARK: Logs

    private func encoded(_ words: [String]) -> String {
        words.reduce("*\(words.count)\r\n") { $0 + "$\($1.utf8.count)\r\n\($1)\r\n" }
    }

    /// Commands whose order counts, on few keys; whole units.
    private func commands(_ count: Int, _ random: inout RandomSource) -> String {
        var text = encoded(["SELECT", "\(random.next(below: 3))"]), left = 0
        for number in 0..<count {
            if left == 0, random.next(below: 9) == 0 {
                left = 1 + Int(random.next(below: 7))
                text += encoded(["MULTI"])
            }
            let key = "k\(random.next(below: 30))"
            switch random.next(below: 9) {
            case 0: text += encoded(["SELECT", "\(random.next(below: 3))"])
            case 1: text += encoded(["DEL", key])
            case 2: text += encoded(["HSET", "h\(key)", "f\(number % 9)", "\(number)"])
            case 3: text += encoded(["RPUSH", "l\(key)"] + (0...(number % 30)).map { "\($0)" })
            case 4: text += encoded(["PEXPIREAT", key, number % 2 == 0 ? "1500000000000" : "1900000000000"])
            case 5 where number % 40 == 0: text += encoded(["SET", key, String(repeating: "\(number)", count: 3000)])
            case 6 where left == 0: text += "#TS:17\(10_000_000 + number)\r\n"
            case 7: text += encoded(["INCRBY", "n\(key)", "\(number)"])
            default: text += encoded(["APPEND", key, "\(number)"])
            }
            if left > 0 {
                left -= 1
                if left == 0 { text += encoded(["EXEC"]) }
            }
        }
        return left > 0 ? text + encoded(["EXEC"]) : text
    }

    private func plain(_ random: inout RandomSource) -> Log {
        var manifest = AOFManifest(filename: "a")
        for _ in 0..<2 { _ = manifest.addIncrement() }
        return Log(name: "plain", manifest: manifest, files: [commands(300, &random), commands(90, &random)].map {
            Array($0.utf8)
        })
    }

    private func sealed(_ random: inout RandomSource) -> Log {
        var manifest = AOFManifest(filename: "a"), files: [[UInt8]] = [], before: SealFraming?
        for file in 1...2 {
            let id = manifest.addIncrement(id: Self.id + UInt64(file)).id ?? 0
            let framing = SealFraming(id: id, file: file, behind: SealPosition(), timestamps: false)
            if let before { framing.follow(before, bytes: files[0].count) }
            var bytes: [UInt8] = []
            for batch in 0..<30 {
                var text = commands(1 + Int(random.next(below: 20)), &random), head = OwnedBytes(capacity: 256)
                let time = UnixMicroseconds(1_795_639_920_000_000 + Int64(batch * 1000))
                text.withUTF8 { framing.frame(Bytes($0), at: LogOffset(0), time, syncs: true, into: &head) }
                framing.wrote()
                framing.synced()
                bytes += Array(head.bytes) + Array(text.utf8)
            }
            files.append(bytes)
            before = framing
        }
        return Log(name: "sealed", manifest: manifest, files: files)
    }

    /// What a server wrote, with more behind it.
    private func written(by server: String, _ random: inout RandomSource) throws -> Log {
        let place = Fixture.path("servers/\(server)/appendonlydir")
        let manifest = try AOFDirectory.load(PosixFileSystem(), "\(place)/appendonly.aof.manifest",
                                             filename: "appendonly.aof")
        var files = try manifest.loadOrder.map { entry -> [UInt8] in
            let contents = try PosixFileSystem().contents("\(place)/\(entry.name)", limit: 1 << 28)
            return [UInt8](contents.bytes)
        }
        // An old server's log: records behind a dump.
        files[0] += Array(commands(60, &random).utf8)
        files[files.count - 1] += Array(commands(200, &random).utf8)
        return Log(name: server, manifest: manifest, files: files)
    }

    // MARK: Replays

    /// Everything that a replay shows; what was applied before an error counts, too.
    private func outcome(_ log: Log, _ way: Way, _ configure: (Configuration) -> Void) throws -> String {
        let disk = MemoryFileSystem(directories: ["data", "data/log"])
        let keyspace = Keyspace(databaseCount: 16, seed: HashSeed(k0: 5, k1: 6), random: RandomSource(seed: 1))
        let engine = Engine(keyspace: keyspace, table: CommandTable(AllCommands.families))
        let serverLog = ServerLog()
        serverLog.path = "/dev/null"
        let core = ServerCore(engine: engine, loop: try EngineLoop(), configuration: Configuration(), log: serverLog)
        configure(core.configuration)
        core.persistence.loadPlan.workers = way.workers
        core.persistence.loadPlan.chunkCommands = way.chunkCommands
        core.persistence.loadPlan.chunkBytes = way.chunkBytes
        core.persistence.loadPlan.readBytes = way.pieces
        let directory = AOFDirectory(disk, serverDirectory: "data", name: "log", filename: log.manifest.filename)
        for (entry, bytes) in zip(log.manifest.loadOrder, log.files) { disk.put(directory.path(entry), bytes) }
        var text: String
        do throws(StorageError) {
            let result = try LogReplay.load(directory: directory, manifest: log.manifest, core)
            text = "\(result.records) records, \(result.failures) failed, \(result.keysLoaded) keys, "
                + "\(result.position), \(result.last), \(result.manifest), \(result.dropped.map(\.name)), "
                + core.persistence.findings.lastSealError
        } catch {
            text = "\(error)"
        }
        return "\(text) \(KeyspaceDigest.whole(engine.keyspace).hex) \(try left(disk))"
    }

    /// Files with their bytes; names without the times in them.
    private func left(_ disk: MemoryFileSystem) throws -> String {
        try disk.list("data/log").sorted().map { name in
            let kind = name.split(separator: "-").first.map(String.init) ?? name
            let bytes = OneFileBytes(disk.bytes("data/log/\(name)") ?? [])
            return "\(kind): \(bytes.count) bytes, \(bytes.checksum)"
        }.joined(separator: "; ")
    }

    private func way(_ random: inout RandomSource) -> Way {
        let commands = [1, 2, 7, 50, 4096], bytes = [1, 900, 30_000, 1 << 17]
        let pieces = [23, 400, 5000, .max, .max, .max]
        return Way(workers: Int(random.next(below: 2)), chunkCommands: commands[Int(random.next(below: 5))],
                   chunkBytes: bytes[Int(random.next(below: 4))], pieces: pieces[Int(random.next(below: 6))])
    }

    /// - Returns: whether it was loaded.
    private func expectSame(_ log: Log, _ note: String, _ random: inout RandomSource) throws -> Bool {
        let bits = random.next()
        func configure(_ configuration: Configuration) {
            configuration.aofOnCorruption = bits & 1 == 0 ? .quarantine : .refuse
            configuration.aofLoadTruncated = bits & 6 != 0
        }
        let wanted = try outcome(log, Way(), configure)
        for _ in 0..<3 {
            var way = way(&random)
            // Small reads cost too much where the file is large.
            if log.files[0].count > 1 << 19 { way.pieces = max(way.pieces, 5000) }
            let got = try outcome(log, way, configure)
            #expect(got == wanted, "seed \(Self.seed), \(log.name), \(note), \(way)")
        }
        if note == "whole" { #expect(wanted.contains(" records, 0 failed"), "\(wanted.prefix(500))") }
        return wanted.contains(" records, ")
    }

    private func run(_ name: String, cases: Int, _ stream: UInt64,
                     _ make: (Int, inout RandomSource) throws -> Log) throws {
        var random = RandomSource(seed: Self.seed &+ stream), loaded = 0
        for number in 0..<cases {
            var log = try make(number, &random), notes: [String] = []
            if number == 0 { _ = try expectSame(log, "whole", &random) }
            repeat {
                let file = Int(random.next(below: UInt64(log.files.count)))
                let (bytes, what) = Damage.of(log.files[file], &random)
                log.files[file] = bytes
                notes.append("file \(file): \(what)")
            } while random.next(below: 4) == 0
            if try expectSame(log, notes.joined(separator: ", "), &random) { loaded += 1 }
        }
        print("\(cases) damaged \(name) logs, each replayed in 4 ways: \(loaded) loaded, the others refused")
    }

    @Test func plainLogsReplayAlike() throws {
        try run("plain", cases: Self.cases, 0) { plain(&$1) }
    }

    @Test func sealedLogsReplayAlike() throws {
        try run("sealed", cases: Self.cases, 1) { sealed(&$1) }
    }

    @Test(.enabled(if: given != nil, "takes long")) func logsOfServersReplayAlike() throws {
        let servers = ["redis-7.0", "redis-7.4", "redis-8-dev", "valkey-8"]
        try run("servers'", cases: Self.cases / 10, 2) { try written(by: servers[$0 % servers.count], &$1) }
    }
}

private struct OneFileBytes {
    let count: Int
    let checksum: UInt32

    init(_ bytes: [UInt8]) {
        count = bytes.count
        checksum = bytes.withUnsafeBytes { CRC32C.update(0, $0) }
    }
}
