import Foundation
import Testing

/// What an operator relies on.
struct OperationsTests {
    @Test func flushallWritesAFreshDumpAtOnce() throws {
        let server = try ServerRun("--save", "3600 1", "--rdb-key-save-delay", "10000000")
        #expect(server.becomesReady())
        _ = server.answer("SET a 1\r\nCONFIG SET rdb-key-save-delay 0\r\nSAVE\r\n")
        _ = server.answer("CONFIG SET rdb-key-save-delay 10000000\r\n")
        let before = try Data(contentsOf: URL(fileURLWithPath: server.directory.path("dump.rdb")))
        #expect(before.range(of: Data("a".utf8)) != nil)
        #expect(server.answer("BGSAVE\r\n") == "+Background saving started\r\n")
        #expect(server.answer("FLUSHALL\r\n") == "+OK\r\n")
        let info = try #require(server.answer("INFO persistence\r\n"))
        #expect(info.contains("rdb_bgsave_in_progress:0\r\n"))
        #expect(info.contains("rdb_last_bgsave_status:ok\r\n"))
        // The child is gone before the new dump is written; what it left is removed by the disk's thread.
        func leftovers() throws -> [String] {
            try FileManager.default.contentsOfDirectory(atPath: server.directory.path).filter { $0.hasPrefix("temp-") }
        }
        #expect(ServerRun.waits { (try? leftovers().isEmpty) == true })
        kill(server.process.processIdentifier, SIGKILL)
        let after = try Data(contentsOf: URL(fileURLWithPath: server.directory.path("dump.rdb")))
        #expect(after != before && after.count < before.count)
    }

    @Test func withoutSavePointsFlushallWritesNoDumpButStopsTheChild() throws {
        let server = try ServerRun("--save", "", "--rdb-key-save-delay", "10000000")
        #expect(server.becomesReady())
        _ = server.answer("SET a 1\r\nBGSAVE\r\nFLUSHALL\r\n")
        #expect(ServerRun.waits {
            server.answer("INFO persistence\r\n")?.contains("rdb_bgsave_in_progress:0\r\n") == true
        })
        #expect(!FileManager.default.fileExists(atPath: server.directory.path("dump.rdb")))
    }

    @Test func tooFewReplicasRefuseWrites() throws {
        let server = try ServerRun("--appendonly", "yes")
        #expect(server.becomesReady())
        let refusal = "NOREPLICAS Not enough good replicas to write.\r\n"
        _ = server.answer("SET a 1\r\nMULTI\r\nSET b 1\r\nSET c 1\r\nEXEC\r\n")
        #expect(server.answer("CONFIG SET min-replicas-to-write 1\r\n") == "+OK\r\n")
        #expect(server.answer("SET a 2\r\n") == "-\(refusal)")
        #expect(server.answer("GET a\r\nPING\r\n") == "$1\r\n1\r\n+PONG\r\n")
        #expect(server.answer("EVAL \"return redis.call('set','a','2')\" 1 a\r\n")?.contains("NOREPLICAS") == true)
        #expect(server.answer("MULTI\r\nSET a 2\r\nEXEC\r\n")?.contains("-NOREPLICAS") == true)
        #expect(server.answer("DEBUG LOADAOF\r\nGET c\r\n")?.isEmpty == false)
        #expect(server.answer("CONFIG SET min-replicas-max-lag 0\r\nSET a 2\r\n") == "+OK\r\n+OK\r\n")
        // What is loaded at the start is not written by a client.
        kill(server.process.processIdentifier, SIGKILL)
    }

    @Test func freedMemoryGoesBackToTheSystem() throws {
        let server = try ServerRun("--save", "", "--enable-debug-command", "yes")
        #expect(server.becomesReady())
        func resident() -> Int {
            let text = server.answer("INFO memory\r\n") ?? ""
            let line = text.components(separatedBy: "\r\n").first { $0.hasPrefix("used_memory_rss:") }
            return Int(line?.dropFirst(16) ?? "") ?? 0
        }
        _ = server.answer("CONFIG SET latency-monitor-threshold 1\r\n")
        let empty = resident()
        #expect(ServerRun.waits { server.answer("DEBUG POPULATE 300000 k 200\r\n")?.hasSuffix("+OK\r\n") == true
            || server.answer("DBSIZE\r\n") == ":300000\r\n" })
        let full = resident()
        #expect(full > empty + 60 << 20)
        // The youngest of the heap stays, so that nothing falls off its end by itself.
        #expect(server.answer("SET last v\r\n") == "+OK\r\n")
        _ = server.answer("FLUSHALL\r\nSET last v\r\n")
        #expect(ServerRun.waits { resident() < empty + (full - empty) / 4 }, "\(empty) \(full) \(resident())")
    }
}
