import Foundation
import Glibc
import Storage
import Testing

@Suite(.serialized) struct BackupTests {
    private func state(_ server: DurableServer) -> String {
        let reply = server.list("BACKUP", "STATUS")
        return reply.count == 8 ? reply[1] : "\(reply)"
    }

    /// Waits, with `meanwhile` in between.
    private func reaches(_ wanted: String, _ server: DurableServer,
                         _ meanwhile: () -> Void = { usleep(5000) }) -> Bool {
        let end = Date().addingTimeInterval(60)
        while Date() < end {
            let now = state(server)
            if now == wanted { return true }
            if now == "failed" { return false }
            meanwhile()
        }
        return false
    }

    private func restored(_ server: DurableServer, _ check: (DurableServer) -> Void) throws {
        let copy = try DurableServer()
        let manifest = server.directory.path("backupdir/appendonly.aof.manifest")
        try #require(try copy.start("--appendonly", "yes", "--preload-file", "aof:\(manifest)"), "\(copy.log)")
        check(copy)
        copy.kill9()
        // The data are the new server's own by now.
        try #require(try copy.start("--appendonly", "yes", "--preload-file", "aof:\(manifest)"), "\(copy.log)")
        check(copy)
        #expect(copy.logs("preload-file is ignored"))
    }

    /// Writes go on, and rewrites: the backup is what was acknowledged at SEAL, to the last write.
    @Test func aBackupUnderLoadIsTheMomentOfItsSeal() throws {
        let server = try DurableServer()
        try #require(try server.start("--appendonly", "yes", "--appendfsync", "everysec"))
        for round in 0..<4 {
            var count = Int(server.call("GET", "n")) ?? 0
            func write() {
                for _ in 0..<50 {
                    count += 1
                    #expect(server.call("INCR", "n") == "\(count)")
                    server.call("RPUSH", "list:\(count % 7)", String(repeating: "v", count: count % 300))
                }
            }
            write()
            #expect(server.call("BACKUP", "START") == "OK")
            #expect(server.call("BACKUP", "START").hasPrefix("-ERR"))
            #expect(reaches("incrementing", server, write))
            let early = server.list("BACKUP", "LIST")
            #expect(early.count == 1 && early[0].hasSuffix(".base.rdb"))
            for _ in 0..<round {
                write()
                server.call("BGREWRITEAOF")
                for _ in 0..<4 { write() }
            }
            write()
            let sealed = count
            #expect(server.call("BACKUP", "SEAL") == "OK")
            write()
            server.call("BGREWRITEAOF")
            #expect(reaches("sealed", server, write))
            write()
            let paths = server.list("BACKUP", "LIST")
            #expect(paths.count >= 3 && paths.allSatisfy { FileManager.default.fileExists(atPath: $0) })
            let report = BackupCheck.run(server.directory.path("backupdir"), in: PosixFileSystem(), .silent)
            #expect(report.status == 0)
            try restored(server) { copy in
                #expect(copy.call("GET", "n") == "\(sealed)")
                #expect((0..<7).map { Int(copy.call("LLEN", "list:\($0)")) ?? 0 }.reduce(0, +) == sealed)
            }
            #expect(server.call("BACKUP", "CLEANUP") == "OK")
            #expect(server.files("backupdir").isEmpty && state(server) == "idle")
        }
    }

    @Test func withoutALogTheBaseIsMadeAtTheSeal() throws {
        let server = try DurableServer()
        try #require(try server.start())
        server.call("SET", "k", "before")
        #expect(server.call("BACKUP", "START") == "OK")
        #expect(reaches("incrementing", server))
        server.call("SET", "k", "at the seal")
        #expect(server.call("BACKUP", "SEAL") == "OK")
        server.call("SET", "k", "after")
        #expect(reaches("sealed", server))
        try restored(server) { #expect($0.call("GET", "k") == "at the seal") }
    }

    @Test func statesAndErrors() throws {
        let server = try DurableServer()
        try #require(try server.start("--appendonly", "yes"))
        #expect(state(server) == "idle")
        for word in ["SEAL", "ABORT", "CLEANUP"] { #expect(server.call("BACKUP", word).hasPrefix("-ERR")) }
        #expect(server.call("BACKUP", "START") == "OK")
        #expect(server.call("BACKUP", "ABORT") == "OK")
        let status = server.list("BACKUP", "STATUS")
        #expect(status[0] == "state" && status[1] == "failed" && status[3].contains("ABORT") && status[7] == "0")
        #expect(server.call("BACKUP", "START") == "OK")
        #expect(reaches("incrementing", server))
        #expect(server.call("CONFIG", "SET", "appendonly", "no") == "OK")
        #expect(state(server) == "failed")
        #expect(server.call("BACKUP", "CLEANUP") == "OK")
        try FileManager.default.createDirectory(atPath: server.directory.path("backupdir"),
                                                withIntermediateDirectories: true)
        try server.write([1], to: "backupdir/mine")
        #expect(server.call("BACKUP", "START").contains("not empty"))
    }

    /// A backup that was not sealed is told from one that was, also by the next server.
    @Test func aKilledServerLeavesNoHalfBackupForAWholeOne() throws {
        let server = try DurableServer()
        try #require(try server.start("--appendonly", "yes"))
        server.call("SET", "k", "v")
        server.call("BACKUP", "START")
        #expect(reaches("incrementing", server))
        server.kill9()
        try #require(try server.start("--appendonly", "yes"))
        #expect(state(server) == "failed")
        let half = BackupCheck.run(server.directory.path("backupdir"), in: PosixFileSystem(), .silent)
        #expect(half.error != nil && half.status != 0)
        #expect(server.call("BACKUP", "START") == "OK")
        #expect(reaches("incrementing", server))
        #expect(server.call("BACKUP", "SEAL") == "OK")
        #expect(reaches("sealed", server))
        server.kill9()
        try #require(try server.start("--appendonly", "yes"))
        #expect(state(server) == "sealed" && server.list("BACKUP", "LIST").count == 3)
    }

    @Test func damageInABackupIsFound() throws {
        let server = try DurableServer()
        try #require(try server.start("--appendonly", "yes"))
        for number in 0..<200 { server.call("SET", "key:\(number)", "value") }
        server.call("BACKUP", "START")
        #expect(reaches("incrementing", server))
        server.call("SET", "last", "value")
        server.call("BACKUP", "SEAL")
        #expect(reaches("sealed", server))
        let base = try #require(server.files("backupdir").first { $0.hasSuffix(".rdb") })
        var bytes = server.contents("backupdir/\(base)")
        bytes[bytes.count / 2] ^= 4
        // A new file: the log's own base is another name of the old one.
        try FileManager.default.removeItem(atPath: server.directory.path("backupdir/\(base)"))
        try server.write(bytes, to: "backupdir/\(base)")
        let report = BackupCheck.run(server.directory.path("backupdir"), in: PosixFileSystem(), .silent)
        #expect(report.status != 0)
        let copy = try DurableServer()
        let manifest = server.directory.path("backupdir/appendonly.aof.manifest")
        #expect(try !copy.start("--appendonly", "yes", "--preload-file", "aof:\(manifest)"))
    }

    /// Bit rot in the base is found while the server runs, and healed from memory.
    @Test func theScrubFindsAndHealsBitRot() throws {
        let server = try DurableServer()
        try #require(try server.start("--appendonly", "yes", "--aof-scrub-interval", "1"))
        for number in 0..<200 { server.call("SET", "key:\(number)", "value") }
        server.call("BGREWRITEAOF")
        #expect(server.logs("Background AOF rewrite finished successfully"))
        // The base before it goes a moment later.
        func bases() -> [String] { server.files("appendonlydir").filter { $0.hasSuffix(".rdb") } }
        for _ in 0..<3000 where bases().count != 1 { usleep(20_000) }
        let base = try #require(bases().first)
        var bytes = server.contents("appendonlydir/\(base)")
        bytes[bytes.count / 2] ^= 4
        let file = try #require(FileHandle(forUpdatingAtPath: server.directory.path("appendonlydir/\(base)")))
        file.seek(toFileOffset: UInt64(bytes.count / 2))
        file.write(Data([bytes[bytes.count / 2]]))
        try file.close()
        #expect(server.logs("Scrub: "))
        #expect(server.call("INFO", "persistence").contains("aof_scrub_errors:1"))
        for _ in 0..<3000 where server.files("appendonlydir").contains(base) { usleep(20_000) }
        #expect(!server.files("appendonlydir").contains(base))
        server.kill9()
        try #require(try server.start("--appendonly", "yes"), "\(server.log)")
        #expect(server.call("DBSIZE") == "200")
    }
}
