import Foundation
import Glibc
import Primitives
@testable import Storage
import Testing
import TestSupport

/// Damage that is put aside, files that are archived, dumps that come compressed: on the real program.
@Suite(.serialized) struct KeptFilesTests {
    private func fact(_ server: DurableServer, _ name: String) -> String {
        let line = server.call("INFO", "persistence").split(separator: "\r\n").first { $0.hasPrefix(name + ":") }
        return line.map { String($0.dropFirst(name.count + 1)) } ?? ""
    }

    private func waits(_ condition: () -> Bool) -> Bool {
        let end = Date().addingTimeInterval(60)
        while Date() < end {
            if condition() { return true }
            usleep(20_000)
        }
        return false
    }

    /// The newest increment with a bit flipped at `share` of what it holds.
    private func damage(_ server: DurableServer, at share: Double) throws -> String {
        let name = try #require(server.files("appendonlydir").sorted().last { $0.hasSuffix(".incr.aof") })
        let path = server.directory.path("appendonlydir/\(name)")
        var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
        // Zeros at the end are room, not log.
        let length = (bytes.lastIndex { $0 != 0 } ?? 0) + 1
        bytes[Int(Double(length) * share)] ^= 4
        try server.write(bytes, to: "appendonlydir/\(name)")
        return name
    }

    @Test func damageIsQuarantinedWhenThatIsThePolicy() throws {
        let server = try DurableServer()
        try #require(try server.start("--appendonly", "yes", "--appendfsync", "always"))
        for number in 0..<100 { server.call("SET", "key:\(number)", "value \(number)") }
        #expect(server.call("DBSIZE") == "100")
        server.kill9()
        let name = try damage(server, at: 0.5)
        #expect(try !server.start("--appendonly", "yes"))
        #expect(server.status() == 1 && server.logs("swift-redis-check-aof --fix") && server.logs(name))
        try #require(try server.start("--appendonly", "yes", "--aof-on-corruption", "quarantine"), "\(server.log)")
        let left = Int(server.call("DBSIZE")) ?? 0
        #expect((40...60).contains(left))
        for number in 0..<left { #expect(server.call("GET", "key:\(number)") == "value \(number)") }
        #expect(server.logs("DAMAGED: ") && server.logs("aof-on-corruption quarantine"))
        #expect(server.files("appendonlydir").contains { $0.hasPrefix("\(name).damaged-") })
        #expect(fact(server, "aof_seal_errors") == "1" && fact(server, "aof_quarantined") == "1")
        #expect(fact(server, "aof_quarantine_files") == "1")
        #expect(fact(server, "aof_quarantine_last").contains(".damaged-"))
        let status = server.list("DURABILITY", "STATUS")
        // What is written goes on behind it, and what was put aside stays.
        #expect(server.call("SET", "after", "all") == "OK")
        server.kill9()
        try #require(try server.start("--appendonly", "yes"), "\(server.log)")
        #expect(server.call("DBSIZE") == "\(left + 1)" && fact(server, "aof_seal_errors") == "0")
        #expect(fact(server, "aof_quarantine_files") == "1" && fact(server, "aof_quarantined") == "0")
        #expect((Int(fact(server, "aof_seal_last_sequence")) ?? 0) > 40 && fact(server, "aof_sealed") == "1")
        #expect(status.contains("aof_quarantined") && status.contains("aof_scrub_errors"), "\(status)")
    }

    /// The hook is told of every file that goes, also of those for which it failed before, and nothing goes before.
    @Test func theArchiveHookIsToldOfEachFileUntilItSucceeds() throws {
        let server = try DurableServer()
        let done = server.directory.path("done"), allowed = server.directory.path("allowed")
        let hook = "test -e \(allowed) && test -s \"$1\" && echo \"$2\" >> \(done)"
        try #require(try server.start("--appendonly", "yes", "--aof-archive-command", hook))
        func rewrite() {
            server.call("SET", "a", "b")
            let before = Int(fact(server, "aof_rewrites")) ?? 0
            #expect(server.call("BGREWRITEAOF").hasPrefix("Background"))
            #expect(waits { Int(fact(server, "aof_rewrites")) == before + 1
                && fact(server, "aof_rewrite_in_progress") == "0" })
        }
        rewrite()
        #expect(waits { fact(server, "aof_archive_state") == "failing" })
        #expect(fact(server, "aof_archive_last_error").contains("status 1"))
        #expect(fact(server, "aof_archived_files") == "0")
        #expect(server.files("appendonlydir").contains("appendonly.aof.1.incr.aof"))
        FileManager.default.createFile(atPath: allowed, contents: nil)
        rewrite()
        #expect(waits { fact(server, "aof_archive_state") == "ok" && fact(server, "aof_history_files") == "0" })
        let names = try String(contentsOfFile: done, encoding: .utf8).split(separator: "\n").map(String.init)
        #expect(names.sorted() == ["appendonly.aof.1.base.rdb", "appendonly.aof.1.incr.aof",
                                   "appendonly.aof.2.base.rdb", "appendonly.aof.2.incr.aof"])
        #expect(fact(server, "aof_archived_files") == "4" && fact(server, "aof_archive_errors") == "1")
        #expect(!server.files("appendonlydir").contains("appendonly.aof.1.incr.aof"))
    }

    /// An RDB file of strings; big enough for a progress bar if asked for.
    static func dump(keys: Int, bytes: Int) -> [UInt8] {
        var dump = Array("REDIS0011".utf8) + [0xfe, 0]
        let value = Array(repeating: UInt8(ascii: "v"), count: bytes)
        for number in 0..<keys {
            let key = Array("key:\(number)".utf8)
            dump += [0, UInt8(key.count)] + key + [0x80]
            dump += withUnsafeBytes(of: UInt32(bytes).bigEndian) { Array($0) } + value
        }
        return dump + [0xff] + Array(repeating: 0, count: 8)
    }

    /// As many keys, in a log that an old server wrote.
    private static func log(keys: Int, bytes: Int) -> [UInt8] {
        let value = String(repeating: "v", count: bytes)
        return Array((0..<keys).map { number in
            let key = "key:\(number)"
            return "*3\r\n$3\r\nSET\r\n$\(key.utf8.count)\r\n\(key)\r\n$\(bytes)\r\n\(value)\r\n"
        }.joined().utf8)
    }

    static func compress(_ bytes: [UInt8], _ compression: AOFArchive.Compression, to path: String) throws {
        let disk = PosixFileSystem()
        let file = try disk.open(path, .createOrEmpty)
        defer { disk.close(file) }
        var writer = try CompressedWriter(file, in: disk, compression)
        try bytes.withUnsafeBytes { try writer.write(Bytes($0)) }
        try writer.finish()
    }

    @Test(arguments: [AOFArchive.Compression.gzip, .lz4]) func aCompressedDumpIsLoaded(
        _ compression: AOFArchive.Compression) throws {
        let suffix = compression == .gzip ? ".gz" : ".lz4"
        for appendonly in ["no", "yes"] {
            let server = try DurableServer()
            try Self.compress(Self.dump(keys: 50, bytes: 300), compression,
                              to: server.directory.path("dump.rdb" + suffix))
            try #require(try server.start("--appendonly", appendonly), "\(server.log)")
            #expect(server.call("DBSIZE") == "50" && server.call("STRLEN", "key:49") == "300")
            server.kill9()
            // Imported into the log once: it is not read again.
            try #require(try server.start("--appendonly", appendonly), "\(server.log)")
            #expect(server.call("DBSIZE") == "50")
        }
    }

    /// What clients and INFO are told while a slow load goes on, of a file that is long enough to be read ahead.
    @Test(arguments: ["dump.rdb", "appendonly.aof"]) func loadingTellsHowFarItIs(_ file: String) throws {
        let server = try DurableServer(), keys = 720, isLog = file == "appendonly.aof"
        try server.write(isLog ? Self.log(keys: keys, bytes: 3000) : Self.dump(keys: keys, bytes: 3000), to: file)
        let run = try server.startWithoutWaiting("--key-load-delay", "10000", "--loading-process-events-interval-bytes",
                                                 "1024", "--appendonly", isLog ? "yes" : "no")
        #expect(run)
        var refusals: [String] = [], percents: [Double] = []
        let began = Date()
        while Date().timeIntervalSince(began) < 120 {
            let reply = server.call("GET", "key:1")
            if reply.hasPrefix("-LOADING") { refusals.append(reply) } else if !reply.isEmpty { break }
            let info = server.call("INFO", "persistence")
            if let line = info.split(separator: "\r\n").first(where: { $0.hasPrefix("loading_loaded_perc:") }) {
                percents.append(Double(line.dropFirst("loading_loaded_perc:".count)) ?? -1)
                #expect(info.contains("loading_eta_seconds:") && info.contains("loading:1"))
            }
            usleep(100_000)
        }
        #expect(refusals.contains { $0.range(of: #"\(\d+ %\)"#, options: .regularExpression) != nil }, "\(refusals)")
        #expect(percents.count > 2 && percents == percents.sorted() && (percents.last ?? 0) > (percents.first ?? 0))
        #expect(server.logs(" seconds left") && server.call("DBSIZE") == "\(keys)")
    }
}
