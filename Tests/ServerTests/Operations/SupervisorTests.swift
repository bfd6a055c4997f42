import Foundation
import Testing

/// What systemd hears of the server, and what the kernel and ps are told.
struct SupervisorTests {
    private static func notifySocket(_ name: String) throws -> DatagramSocket {
        let path = "/tmp/swift-redis-notify-\(getpid())-\(name)"
        unlink(path)
        return try DatagramSocket(path)
    }

    @Test func systemdHearsOfStartReloadAndEnd() throws {
        let systemd = try Self.notifySocket("life")
        let server = try ServerRun(file: nil, arguments: ["--supervised", "systemd", "--save", "", "--daemonize", "yes",
                                                          "--enable-debug-command", "yes"],
                                   environment: ["NOTIFY_SOCKET": systemd.path, "WATCHDOG_USEC": "200000"])
        #expect(systemd.hears { $0.hasPrefix("STATUS=Ready to accept connections\nREADY=1") })
        #expect(systemd.records.first?.hasPrefix("STATUS=Redis is loading...\nEXTEND_TIMEOUT_USEC=") == true)
        #expect(systemd.hears { $0 == "WATCHDOG=1\n" })
        #expect(server.log.contains("Supervised by systemd."))
        #expect(server.answer("INFO server\r\n")?.contains("process_supervised:systemd\r\n") == true)
        // A supervised server does not leave for the background.
        #expect(server.process.isRunning)
        #expect(server.answer("DEBUG RELOAD\r\n") == "+OK\r\n")
        #expect(systemd.hears { $0.hasPrefix("RELOADING=1\nMONOTONIC_USEC=") })
        #expect(systemd.hears { $0.hasPrefix("STATUS=Ready") })
        kill(server.process.processIdentifier, SIGTERM)
        #expect(systemd.hears { $0.hasPrefix("STOPPING=1\n") })
        #expect(server.exitStatus() == 0)
    }

    @Test func systemdHearsHowFarLoadingIs() throws {
        let systemd = try Self.notifySocket("load")
        let data = try DurableServer()
        #expect(try data.start("--appendonly", "no"))
        #expect(data.pipelinedSets(2_000, bytes: 100) == 2_000)
        #expect(data.call("SAVE") == "OK")
        data.kill9()
        let server = try ServerRun(file: nil, arguments: ["--supervised", "auto", "--save", "", "--dir",
                                                          data.directory.path, "--key-load-delay", "1000",
                                                          "--loading-process-events-interval-bytes", "1024"],
                                   environment: ["NOTIFY_SOCKET": systemd.path])
        #expect(systemd.hears {
            $0.hasPrefix("STATUS=Loading: ") && $0.contains("%") && $0.contains("EXTEND_TIMEOUT_USEC=")
        })
        #expect(systemd.hears { $0.contains("READY=1") })
        #expect(server.answer("DBSIZE\r\n") == ":2000\r\n")
    }

    @Test func withoutBeingToldNobodyIsTold() throws {
        let systemd = try Self.notifySocket("no")
        let server = try ServerRun(file: nil, arguments: ["--save", ""], environment: ["NOTIFY_SOCKET": systemd.path])
        #expect(server.becomesReady())
        kill(server.process.processIdentifier, SIGTERM)
        #expect(server.exitStatus() == 0)
        #expect(systemd.records.isEmpty)
    }

    @Test func theUnitIsInOrder() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let unit = try String(contentsOf: root.appendingPathComponent("packaging/swift-redis-server.service"),
                              encoding: .utf8)
        for setting in ["Type=notify", "--supervised systemd", "NoNewPrivileges=yes", "ProtectSystem=strict",
                        "TimeoutStopSec=infinity", "WatchdogSec=", "WantedBy=multi-user.target"] {
            #expect(unit.contains(setting))
        }
    }

    @Test func theKillerOfTheKernelIsTold() throws {
        let server = try ServerRun(file: nil, arguments: ["--save", "", "--oom-score-adj", "absolute",
                                                          "--oom-score-adj-values", "300", "400", "900"])
        #expect(server.becomesReady())
        func score(_ pid: Int32) -> String? {
            (try? String(contentsOfFile: "/proc/\(pid)/oom_score_adj", encoding: .utf8))?
                .trimmingCharacters(in: .whitespacesAndNewlines)
        }
        let pid = server.process.processIdentifier
        #expect(score(pid) == "300")
        #expect(server.answer("CONFIG SET oom-score-adj-values \"350 450 950\"\r\n") == "+OK\r\n")
        #expect(score(pid) == "350")
        // A child gets its own.
        _ = server.answer("CONFIG SET rdb-key-save-delay 100000000\r\nSET a 1\r\nBGSAVE\r\n")
        let children = try String(contentsOfFile: "/proc/\(pid)/task/\(pid)/children", encoding: .utf8)
        let child = try #require(Int32(children.split(separator: " ").first ?? ""))
        #expect(ServerRun.waits { score(child) == "950" })
        #expect(server.answer("CONFIG SET oom-score-adj no\r\n") == "+OK\r\n")
    }

    @Test func psShowsTheTitle() throws {
        let server = try ServerRun(file: nil, arguments: ["--save", "", "--bind", "127.0.0.1", "--proc-title-template",
                                                          "redis {listen-addr} p{port} {server-mode}"])
        #expect(server.becomesReady())
        func title() -> String? {
            let path = "/proc/\(server.process.processIdentifier)/cmdline"
            return (try? Data(contentsOf: URL(fileURLWithPath: path)))
                .map { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        }
        #expect(title() == "redis 127.0.0.1:\(server.port) p\(server.port)")
        #expect(server.answer("CONFIG SET proc-title-template \"other {config-file}\"\r\n") == "+OK\r\n")
        #expect(title() == "other")
        #expect(server.answer("CONFIG SET proc-title-template {nosuch}\r\n")?.hasPrefix("-ERR") == true)
    }
}
