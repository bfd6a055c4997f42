import Foundation
import Glibc
@testable import Storage
import Testing
import TestSupport

/// The check tools as programs: exit statuses, JSON, progress on a terminal.
@Suite struct CheckToolTests {
    private static func tool(_ name: String) -> URL {
        ServerRun.program.deletingLastPathComponent().appendingPathComponent("swift-redis-check-\(name)")
    }

    static func run(_ name: String, _ arguments: String...) throws -> (status: Int32, out: String) {
        let process = Process(), out = Pipe()
        process.executableURL = Self.tool(name)
        process.arguments = arguments
        process.standardOutput = out
        process.standardError = out
        process.standardInput = FileHandle.nullDevice
        try process.run()
        let text = String(decoding: out.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return (process.terminationStatus, text)
    }

    private let record = "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n"

    private func write(_ bytes: [UInt8], _ place: TemporaryDirectory, _ name: String) throws -> String {
        try Data(bytes).write(to: URL(fileURLWithPath: place.path(name)))
        return place.path(name)
    }

    @Test func exitStatusesOfCheckAOF() throws {
        let place = try TemporaryDirectory()
        let good = try write(Array((record + record).utf8), place, "good.aof")
        let torn = try write(Array((record + record.dropLast(4)).utf8), place, "torn.aof")
        let broken = try write(Array((record + "garbage\r\n" + record).utf8), place, "broken.aof")
        #expect(try Self.run("aof", good).status == 0)
        #expect(try Self.run("aof", torn).status == 1 && Self.run("aof", broken).status == 1)
        for words in [["--no-such-option", good], [], ["--fix", "--salvage", good], ["--to-sequence", "1", good],
                      ["--truncate-to-timestamp", "soon", good]] {
            let status = switch words.count {
            case 0: try Self.run("aof").status
            case 2: try Self.run("aof", words[0], words[1]).status
            case _: try Self.run("aof", words[0], words[1], words[2]).status
            }
            #expect(status == 2, "\(words)")
        }
        #expect(try Self.run("aof", place.path("none.aof")).status == 6)
        #expect(try Self.run("aof", "--dry-run", "--fix", torn).status == 1)
        #expect(try Self.run("aof", "--fix", "--yes", torn).status == 0 && Self.run("aof", torn).status == 0)
        let help = try Self.run("aof", "--help")
        #expect(help.status == 0 && help.out.contains("6  a file can't be opened"))
        #expect(try Self.run("aof", "--verify-backup", place.path("none")).status == 6)
        // Not by root, who may write anywhere.
        let manifest = try write(Array("file good.aof seq 1 type i\n".utf8), place, "a.manifest")
        #expect(try Self.run("aof", "--to-sequence", "1", "--output", place.path, manifest).status == 5)
    }

    /// It was called fine, and the server refused it.
    @Test func aRecordThatNoServerTakesWasCalledFine() throws {
        let place = try TemporaryDirectory()
        let strange = "*3\r\n$4\r\nS\u{5}ET\r\n$1\r\nk\r\n$1\r\nv\r\n"
        let path = try write(Array((record + strange + record).utf8), place, "strange.aof")
        let checked = try Self.run("aof", path)
        #expect(checked.status == 1)
        #expect(checked.out.contains("strange.aof at byte \(record.utf8.count): Unknown command \"S\\x05ET\"."))
        // It is well formed: not for a repair to take it off.
        #expect(try Self.run("aof", "--fix", "--yes", path).status == 1)
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)).count == (record + strange + record).utf8.count)
        let short = try write(Array((record + "*2\r\n$3\r\nSET\r\n$1\r\nk\r\n").utf8), place, "short.aof")
        #expect(try Self.run("aof", short).out.contains("Wrong number of arguments for set"))
        let torn = try write(Array((record + strange.dropLast(3)).utf8), place, "torn.aof")
        #expect(try Self.run("aof", "--fix", "--yes", torn).status == 0)
    }

    @Test func exitStatusesOfCheckRDB() throws {
        let place = try TemporaryDirectory()
        let bytes = KeptFilesTests.dump(keys: 3, bytes: 10)
        let good = try write(bytes, place, "good.rdb")
        let other = try write(KeptFilesTests.dump(keys: 2, bytes: 10), place, "other.rdb")
        let broken = try write(Array(bytes.dropLast(20)), place, "broken.rdb")
        #expect(try Self.run("rdb", good).status == 0 && Self.run("rdb", broken).status == 1)
        #expect(try Self.run("rdb").status == 2 && Self.run("rdb", "--rdb-version", "99", good).status == 2)
        #expect(try Self.run("rdb", "--salvage", place.path("out.rdb"), broken).status == 3)
        #expect(try Self.run("rdb", "--diff", other, good).status == 4)
        #expect(try Self.run("rdb", "--diff", good, good).status == 0)
        #expect(try Self.run("rdb", "--convert", place.path("no/out.rdb"), good).status == 5)
        #expect(try Self.run("rdb", place.path("none.rdb")).status == 6)
        #expect(try Self.run("rdb", "--verify", good, broken, place.path("none.rdb")).status == 1)
        #expect(try Self.run("rdb", "--help").out.contains("6  a file can't be opened"))
    }

    @Test func aRestoreTellsInJSON() throws {
        let server = try DurableServer()
        try #require(try server.start("--appendonly", "yes", "--appendfsync", "always"))
        for number in 0..<20 { server.call("SET", "n", "\(number)") }
        let manifest = server.directory.path("appendonlydir/appendonly.aof.manifest")
        let output = server.directory.path("then")
        let done = try Self.run("aof", "--json", "--to-sequence", "5", "--output", output, manifest)
        #expect(done.status == 0, "\(done.out)")
        let object = try #require(try JSONSerialization.jsonObject(with: Data(done.out.utf8)) as? [String: Any])
        #expect(object["ok"] as? Bool == true && object["last_sequence"] as? Int == 5)
        #expect(object["output"] as? String == output && (object["files"] as? [String])?.count == 2)
        #expect((object["check"] as? [String: Any])?["multi_part"] as? Bool == true)
        let refused = try Self.run("aof", "--json", "--to-sequence", "500", "--output", output + "2", manifest)
        let why = try #require(try JSONSerialization.jsonObject(with: Data(refused.out.utf8)) as? [String: Any])
        #expect(refused.status == 5 && why["ok"] as? Bool == false && why["error"] != nil)
        server.kill9()
        let copy = try DurableServer()
        try FileManager.default.copyItem(atPath: output + "/appendonlydir",
                                         toPath: copy.directory.path("appendonlydir"))
        try #require(try copy.start("--appendonly", "yes"))
        #expect(copy.call("GET", "n") == "4")
    }

    /// A sealed log that was archived, compressed either way, is read as it is; a flipped bit within is found.
    @Test(arguments: [AOFArchive.Compression.gzip, .lz4]) func aCompressedSealedLogIsChecked(
        _ compression: AOFArchive.Compression) throws {
        let server = try DurableServer()
        try #require(try server.start("--appendonly", "yes", "--appendfsync", "always"))
        for number in 0..<50 { server.call("SET", "key:\(number)", "a value, \(number)") }
        let path = server.directory.path("appendonlydir/appendonly.aof.1.incr.aof")
        var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
        let packed = server.directory.path("a.incr.aof" + (compression == .gzip ? ".gz" : ".lz4"))
        try KeptFilesTests.compress(bytes, compression, to: packed)
        let good = try Self.run("aof", "--json", packed)
        #expect(good.status == 0 && good.out.contains("\"seals\":{\"batches\":50"), "\(good.out)")
        #expect(try Self.run("aof", packed).out.contains("Sealed: batches 1 to 50"))
        bytes[bytes.count / 2] ^= 1
        try KeptFilesTests.compress(bytes, compression, to: packed)
        let bad = try Self.run("aof", packed)
        #expect(bad.status == 1 && bad.out.contains("batch"), "\(bad.out)")
    }

    /// What the tool writes to its standard error when that is a terminal.
    private func onTerminal(_ name: String, _ path: String) throws -> (status: Int32, text: String) {
        // TIOCSPTLCK and TIOCGPTN: unlocks the other end, and tells its number.
        let master = Glibc.open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
        var number: UInt32 = 0
        try #require(master >= 0 && ioctl(master, 0x4004_5431, &number) == 0)
        try #require(ioctl(master, 0x8004_5430, &number) == 0)
        let slave = Glibc.open("/dev/pts/\(number)", O_RDWR | O_NOCTTY | O_CLOEXEC)
        try #require(slave >= 0)
        let process = Process()
        process.executableURL = Self.tool(name)
        process.arguments = [path]
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle(fileDescriptor: slave, closeOnDealloc: false)
        try process.run()
        close(slave)
        var text: [UInt8] = [], chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = read(master, &chunk, chunk.count)
            if count <= 0 { break }
            text += chunk[..<count]
        }
        close(master)
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: text, as: UTF8.self))
    }

    @Test func longFilesHaveAProgressBarOnATerminal() throws {
        let place = try TemporaryDirectory()
        let value = String(repeating: "v", count: 100_000)
        let long = "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$100000\r\n\(value)\r\n"
        let log = try write((0..<200).flatMap { _ in Array(long.utf8) }, place, "long.aof")
        let shown = try onTerminal("aof", log)
        #expect(shown.status == 0 && shown.text.contains("%") && shown.text.contains("MB"), "\(shown)")
        let dump = try write(KeptFilesTests.dump(keys: 200, bytes: 100_000), place, "long.rdb")
        let bar = try onTerminal("rdb", dump)
        #expect(bar.status == 0 && bar.text.contains("%") && bar.text.contains("MB/s"), "\(bar)")
        let short = try write(Array(record.utf8), place, "short.aof")
        #expect(try onTerminal("aof", short).text.isEmpty)
        // Not where it would be in the way.
        #expect(try !Self.run("aof", log).out.contains("\u{1b}") && !Self.run("rdb", dump).out.contains("\u{1b}"))
    }
}
