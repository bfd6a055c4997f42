import Foundation
import Testing

/// The HTTP port for those who watch the server.
struct MetricsTests {
    private func get(_ server: ServerRun, _ port: Int, _ path: String, method: String = "GET") -> String {
        server.answer("\(method) \(path) HTTP/1.1\r\nHost: x\r\n\r\n", port: port) ?? ""
    }

    @Test func pagesAreServed() throws {
        let port = Int(try ServerProcess.freePort())
        let server = try ServerRun("--metrics-port", "\(port)", "--appendonly", "yes")
        #expect(server.becomesReady())
        #expect(get(server, port, "/healthz").hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(get(server, port, "/readyz").hasSuffix("\r\n\r\nready\n"))
        #expect(get(server, port, "/readyz", method: "HEAD").hasSuffix("\r\n\r\n"))
        #expect(get(server, port, "/x").hasPrefix("HTTP/1.1 404 "))
        #expect(get(server, port, "/metrics", method: "POST").hasPrefix("HTTP/1.1 405 "))
        #expect(server.answer("hello\r\n\r\n", port: port)?.hasPrefix("HTTP/1.1 400 ") == true)
        let long = "GET /" + String(repeating: "x", count: 5000) + " HTTP/1.1\r\n"
        #expect(server.answer(long, port: port)?.hasPrefix("HTTP/1.1 431 ") == true)
        _ = server.answer("CONFIG SET min-replicas-to-write 1\r\n")
        #expect(get(server, port, "/readyz").contains("writes are refused: NOREPLICAS"))
    }

    @Test func metricsFollowWhatHappens() throws {
        let port = Int(try ServerProcess.freePort())
        let server = try ServerRun("--metrics-port", "\(port)")
        #expect(server.becomesReady())
        _ = server.answer("SET k v EX 1000\r\nGET k\r\nGET none\r\nINCR k\r\n")
        let text = get(server, port, "/metrics")
        for line in ["redis_up 1", "redis_keyspace_hits_total 1", "redis_keyspace_misses_total 1",
                     "redis_db_keys{db=\"db0\"} 1", "redis_db_keys_expiring{db=\"db0\"} 1",
                     "redis_commands_total{cmd=\"get\"} 2", "redis_errors_total{err=\"ERR\"} 1",
                     "redis_commands_failed_calls_total{cmd=\"incr\"} 1"] {
            #expect(text.contains("\n\(line)\n"), "\(line)")
        }
        // Every family is declared once, before its samples.
        var declared: Set<String> = []
        for line in text.components(separatedBy: "\r\n\r\n").last?.split(separator: "\n") ?? [] {
            if line.hasPrefix("# TYPE ") {
                #expect(declared.insert(String(line.split(separator: " ")[2])).inserted, "\(line)")
            } else {
                let name = String(line.prefix { $0 != "{" && $0 != " " })
                let family = ["_bucket", "_sum", "_count"].first { name.hasSuffix($0) && !declared.contains(name) }
                #expect(declared.contains(family.map { String(name.dropLast($0.count)) } ?? name), "\(line)")
            }
        }
    }

    @Test func aLoadingServerIsHealthyButNotReady() throws {
        let port = Int(try ServerProcess.freePort())
        let first = try ServerRun()
        #expect(first.becomesReady())
        let value = String(repeating: "v", count: 1000)
        let keys = "CONFIG SET rdbcompression no\r\n" + (0..<2000).map { "SET k\($0) \(value)\r\n" }.joined()
        #expect(first.answer(keys + "SAVE\r\n")?.hasSuffix("+OK\r\n") == true)
        let server = try ServerRun("--metrics-port", "\(port)", "--key-load-delay", "10000",
                                   "--loading-process-events-interval-bytes", "1024", "--dir",
                                   first.directory.path)
        #expect(ServerRun.waits { !get(server, port, "/healthz").isEmpty })
        #expect(get(server, port, "/healthz").hasPrefix("HTTP/1.1 200 "))
        let answer = get(server, port, "/readyz")
        #expect(answer.hasPrefix("HTTP/1.1 503 ") && answer.contains("loading: "), "\(answer)")
        #expect(get(server, port, "/metrics").contains("\nredis_loading_dump_file 1\n"))
    }

    @Test func silentVisitorsAreSentAway() throws {
        let port = Int(try ServerProcess.freePort())
        let server = try ServerRun("--metrics-port", "\(port)")
        #expect(server.becomesReady())
        let visitors = try (0..<40).map { _ in try TestClient(port: UInt16(port)) }
        // Those beyond the limit are turned away at once, the others after some seconds.
        for visitor in visitors { #expect(try visitor.textUntilEnd() == "") }
        #expect(get(server, port, "/healthz").hasPrefix("HTTP/1.1 200 "))
    }

    @Test func thePortCanBeChangedWhileRunning() throws {
        let port = Int(try ServerProcess.freePort())
        let server = try ServerRun()
        #expect(server.becomesReady())
        #expect(server.answer("CONFIG SET metrics-port \(port)\r\n") == "+OK\r\n")
        #expect(get(server, port, "/healthz").hasPrefix("HTTP/1.1 200 "))
        #expect(server.answer("CONFIG SET metrics-port 0\r\n") == "+OK\r\n")
        #expect(get(server, port, "/healthz").isEmpty)
        #expect(server.answer("CONFIG SET metrics-port \(server.port)\r\n")?.hasPrefix("-ERR") == true)
    }
}
