import Commands
import Engine
import Keyspace
import Primitives
@testable import Server
import Storage
import Testing
import TestSupport

/// A log that other threads read ahead comes to what one thread makes of it.
@Suite struct ParallelReplayTests {
    private static let workers = [0, 1]

    private func core(_ workers: Int) throws -> ServerCore {
        let keyspace = Keyspace(databaseCount: 16, seed: HashSeed(k0: 5, k1: 6), random: RandomSource(seed: 1))
        let engine = Engine(keyspace: keyspace, table: CommandTable(AllCommands.families))
        let log = ServerLog()
        log.path = "/dev/null"
        let core = ServerCore(engine: engine, loop: try EngineLoop(), configuration: Configuration(), log: log)
        core.persistence.loadPlan.workers = workers
        return core
    }

    private func encoded(_ words: [String]) -> String {
        words.reduce("*\(words.count)\r\n") { $0 + "$\($1.utf8.count)\r\n\($1)\r\n" }
    }

    /// More than one chunk, of commands on few keys whose order counts.
    private func commands(_ count: Int, _ random: inout RandomSource) -> [UInt8] {
        var text = encoded(["SELECT", "0"])
        var isInUnit = false
        for number in 0..<count {
            let key = "key:\(random.next(below: 300))"
            switch random.next(below: 12) {
            case 0: text += encoded(["SELECT", "\(random.next(below: 3))"])
            case 1:
                text += encoded([isInUnit ? "EXEC" : "MULTI"])
                isInUnit.toggle()
            case 2: text += encoded(["DEL", key])
            case 3: text += encoded(["APPEND", key, "\(number)"])
            case 4: text += encoded(["HSET", "h\(key)", "f\(number % 40)", "\(number)"])
            case 5: text += encoded(["RPUSH", "l\(key)", "\(number)", "x"])
            case 6: text += encoded(["INCRBY", "n\(key)", "\(number)"])
            case 7: text += encoded(["PEXPIREAT", key, "1900000000000"])
            case 8 where number % 500 == 0:
                text += encoded(["SET", key, String(repeating: "long \(number)", count: 40_000)])
            default: text += encoded(["SET", key, "value \(number)"])
            }
        }
        return Array((text + (isInUnit ? encoded(["EXEC"]) : "")).utf8)
    }

    /// Everything that a replay shows.
    private func outcome(_ bytes: [UInt8], workers: Int, _ readable: Int = .max) throws -> String {
        let disk = MemoryFileSystem(directories: ["data", "data/log"])
        let core = try core(workers)
        let files: any FileSystem = readable == .max ? disk : FailingReads(disk, behind: readable)
        let directory = AOFDirectory(files, serverDirectory: "data", name: "log", filename: "a")
        var manifest = AOFManifest(filename: "a")
        let path = directory.path(manifest.addIncrement())
        disk.put(path, bytes)
        var text: String
        do throws(StorageError) {
            let result = try LogReplay.load(directory: directory, manifest: manifest, core)
            text = "\(result.records) records, \(result.failures) failures"
        } catch {
            text = "\(error)"
        }
        // What was applied before an error counts, too.
        return text + " \(KeyspaceDigest.whole(core.engine.keyspace).hex) \(disk.bytes(path)?.count ?? -1)"
    }

    @Test func aWholeLogReplaysAlike() throws {
        var random = RandomSource(seed: 21)
        let bytes = commands(15_000, &random)
        let wanted = try outcome(bytes, workers: 0)
        #expect(wanted.contains(" records, ") && !wanted.hasPrefix("0 "), "\(wanted)")
        #expect(try outcome(bytes, workers: 1) == wanted)
    }

    /// Cut anywhere: as much is applied, and the same is cut off the file.
    @Test func aTornLogReplaysAlike() throws {
        var random = RandomSource(seed: 22)
        let bytes = commands(9000, &random)
        for _ in 0..<6 {
            let end = Int(random.next(below: UInt64(bytes.count)))
            let cut = Array(bytes[..<end])
            #expect(try outcome(cut, workers: 1) == outcome(cut, workers: 0), "seed 22, \(end) bytes")
        }
    }

    /// Damaged anywhere: nothing behind the damage is applied, everything before it is, and the error is the same.
    @Test func aDamagedLogReplaysAlike() throws {
        var random = RandomSource(seed: 23)
        let bytes = commands(9000, &random)
        for _ in 0..<8 {
            var damaged = bytes
            let place = Int(random.next(below: UInt64(bytes.count)))
            damaged[place] ^= UInt8(1 << random.next(below: 8))
            #expect(try outcome(damaged, workers: 1) == outcome(damaged, workers: 0), "seed 23, byte \(place)")
        }
    }

    @Test func anUnknownCommandInTheMiddleIsToldWithItsPlace() throws {
        var random = RandomSource(seed: 24)
        let before = commands(6000, &random)
        let bytes = before + Array(encoded(["NOSUCHCOMMAND", "x"]).utf8) + commands(6000, &random)
        for workers in Self.workers {
            let text = try outcome(bytes, workers: workers)
            #expect(text.contains("Unknown command 'NOSUCHCOMMAND'") && text.contains("\(before.count)"), "\(text)")
        }
        #expect(try outcome(bytes, workers: 1) == outcome(bytes, workers: 0))
    }

    /// A disk that fails while another thread reads from it: file, place and errno, and everything before was applied.
    @Test func aReadThatFailsIsTold() throws {
        var random = RandomSource(seed: 25)
        let bytes = commands(12_000, &random)
        for workers in Self.workers {
            let text = try outcome(bytes, workers: workers, 300_000)
            #expect(text.contains("Input/output error") && text.contains("a.1.incr.aof"), "\(text)")
        }
    }

}
