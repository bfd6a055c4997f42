import Foundation
import Testing

/// Each event of LATENCY, made to occur. (Those of the disk: SimulationTests/SlowDiskTests.swift.)
struct LatencyEventTests {
    private func started() throws -> ServerRun {
        let server = try ServerRun("--save", "", "--enable-debug-command", "yes", "--latency-monitor-threshold", "1")
        #expect(server.becomesReady())
        return server
    }

    private func events(_ server: ServerRun) -> String { server.answer("LATENCY LATEST\r\n") ?? "" }

    private func notes(_ server: ServerRun, _ event: String) -> Bool {
        ServerRun.waits { events(server).contains("\r\n\(event)\r\n") }
    }

    /// Adds `count` members of a set in one command.
    private func sadd(_ server: ServerRun, _ key: String, _ count: Int) throws {
        let client = try TestClient(port: UInt16(server.port))
        try client.send(request(["SADD", key] + (0..<count).map { "member-\($0)" }))
        #expect(try client.text(":\(count)\r\n".utf8.count) == ":\(count)\r\n")
    }

    @Test func slowCommandsAndFastCommandsThatAreSlow() throws {
        let server = try started()
        _ = server.answer("DEBUG SLEEP 0.01\r\n")
        #expect(notes(server, "command"))
        // SADD is a fast command, in theory.
        try sadd(server, "s", 100_000)
        #expect(notes(server, "fast-command"))
    }

    @Test func aClientThatWaitedGetsMuchAtOnce() throws {
        let server = try started()
        let waiter = try TestClient(port: UInt16(server.port)), writer = try TestClient(port: UInt16(server.port))
        try waiter.send(request(["BLMPOP", "0", "1", "list", "LEFT", "COUNT", "1000000"]))
        #expect(ServerRun.waits { server.answer("INFO clients\r\n")?.contains("blocked_clients:1\r\n") == true })
        try writer.send(request(["RPUSH", "list"] + (0..<100_000).map { "element-\($0)" }))
        #expect(notes(server, "command-unblocking"))
    }

    @Test func keysThatExpireTogether() throws {
        let server = try started()
        _ = server.answer("DEBUG SET-ACTIVE-EXPIRE 0\r\n")
        try sadd(server, "big", 200_000)
        let client = try TestClient(port: UInt16(server.port))
        for number in 0..<20_000 { try client.send(request(["SET", "k\(number)", "v", "PX", "1"])) }
        #expect(try client.text(5 * 20_000).hasSuffix("+OK\r\n"))
        _ = server.answer("PEXPIRE big 1\r\nDEBUG SET-ACTIVE-EXPIRE 1\r\n")
        #expect(notes(server, "expire-cycle"))
        #expect(notes(server, "expire-del"))
    }

    @Test func evictionOfABigKey() throws {
        let server = try started()
        try sadd(server, "big", 300_000)
        _ = server.answer("CONFIG SET maxmemory-policy allkeys-random maxmemory 2mb\r\nSET a 1\r\n")
        #expect(notes(server, "eviction-cycle"))
        #expect(notes(server, "eviction-del"))
    }

    @Test func debugMakesTheLogSlow() throws {
        let server = try ServerRun("--save", "", "--appendonly", "yes", "--enable-debug-command", "yes",
                                   "--latency-monitor-threshold", "1")
        #expect(server.becomesReady())
        _ = server.answer("DEBUG AOF-FLUSH-SLEEP 5000\r\nSET a 1\r\n")
        #expect(notes(server, "aof-write"))
        #expect(notes(server, "aof-write-alone"))
    }

    @Test func commandsWhileDataIsLoaded() throws {
        let server = try DurableServer()
        #expect(try server.start("--appendonly", "no"))
        #expect(server.pipelinedSets(2_000, bytes: 100) == 2_000)
        #expect(server.call("SAVE") == "OK")
        server.kill9()
        let loading = try ServerRun("--save", "", "--dir", server.directory.path, "--enable-debug-command", "yes",
                                    "--latency-monitor-threshold", "5", "--key-load-delay", "10000",
                                    "--loading-process-events-interval-bytes", "1024")
        #expect(ServerRun.waits { loading.answer("DEBUG SLEEP 0.02\r\n") == "+OK\r\n" && events(loading) != "*0\r\n" })
        #expect(notes(loading, "while-blocked-cron"))
    }

    @Test func doctorGraphHistoryAndResetSpeakOfThem() throws {
        let server = try started()
        _ = server.answer("DEBUG SLEEP 0.01\r\n")
        #expect(notes(server, "command"))
        #expect(server.answer("LATENCY HISTORY command\r\n")?.hasPrefix("*1\r\n*2\r\n:") == true)
        #expect(server.answer("LATENCY GRAPH command\r\n")?.contains("command - high ") == true)
        #expect(server.answer("LATENCY DOCTOR\r\n")?.contains("command: 1 spikes") == true)
        #expect(server.answer("LATENCY RESET nosuch command\r\n") == ":1\r\n")
        #expect(server.answer("LATENCY HISTORY command\r\n") == "*0\r\n")
        #expect(server.answer("LATENCY HISTOGRAM debug\r\n")?.contains("$14\r\nhistogram_usec\r\n") == true)
    }
}
