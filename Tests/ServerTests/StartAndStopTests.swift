import Foundation
import Glibc
import Testing

@Suite(.serialized) struct StartAndStopTests {
    // MARK: Start

    @Test func logLinesComeInOrder() throws {
        let server = try ServerRun("--always-show-logo", "yes")
        #expect(server.becomesReady())
        let log = server.log
        var rest = log[...]
        for text in ["Redis is starting", "Redis version=7.4.1, bits=64", "Configuration loaded",
                     " PID: \(server.process.processIdentifier)", "Server initialized",
                     "Ready to accept connections tcp"] {
            let found = try #require(rest.range(of: text), "\(text) in \(log)")
            rest = rest[found.upperBound...]
        }
        let line = /\d+:M \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d\.\d{3} \* Server initialized/
        #expect(log.contains(line))
    }

    @Test func badSettingsEndTheStart() throws {
        let result = try ServerRun.run("-", "--port", "1", input: "# x\nfoo bar\n")
        #expect(result.status == 1)
        #expect(result.error.contains("""
            *** FATAL CONFIG FILE ERROR (Redis 7.4.1) ***
            Reading the configuration file, at line 2
            >>> 'foo bar'
            Bad directive or wrong number of arguments
            """))
        #expect(try ServerRun.run("/nonexistent/redis.conf").status == 1)
        #expect(try ServerRun.run("--dir", "/nonexistent").error.contains("No such file or directory"))
        #expect(try ServerRun.run("--logfile", "/nonexistent/log").error.contains("Can't open the log file"))
        #expect(try ServerRun.run("--loadmodule", "/x.so").status == 1)
        #expect(try ServerRun.run("--tls-port", "1").status == 1)
        #expect(try ServerRun.run("--rename-command", "nosuch", "x").error
            .contains("No such command in rename-command"))
    }

    @Test func questionsAreAnswered() throws {
        let version = try ServerRun.run("--version")
        #expect(version.status == 0)
        #expect(version.out.hasPrefix("Redis server v=7.4.1 "))
        #expect(try ServerRun.run("--help").error.contains("Usage:"))
        #expect(try ServerRun.run("--test-memory", "5").status == 1)
        #expect(try ServerRun.run("--check-system").out.contains("[overcommit]..."))
    }

    @Test func aTakenPortEndsTheStart() throws {
        let first = try ServerRun()
        #expect(first.becomesReady())
        let second = try ServerRun("--port", "\(first.port)")
        #expect(second.exitStatus() == 1)
        #expect(second.log.contains("Failed listening on port \(first.port)"))
        #expect(second.log.contains("Address already in use"))
    }

    @Test func nowhereToListenEndsTheStart() throws {
        let server = try ServerRun("--port", "0")
        #expect(server.exitStatus() == 1)
        #expect(server.log.contains("Configured to not listen anywhere, exiting."))
    }

    @Test func optionalAddressesMayBeMissing() throws {
        let server = try ServerRun("--bind", "127.0.0.1", "-192.0.2.1")
        #expect(server.becomesReady())
        let strict = try ServerRun("--bind", "127.0.0.1", "192.0.2.1")
        #expect(strict.exitStatus() == 1)
    }

    @Test func unixSocketAndPidFileComeAndGo() throws {
        let server = try ServerRun("--unixsocket", "s.sock", "--unixsocketperm", "700", "--pidfile", "s.pid")
        #expect(server.logs("Ready to accept connections unix"))
        var status = stat()
        #expect(stat(server.directory.path("s.sock"), &status) == 0)
        #expect(status.st_mode & 0o777 == 0o700)
        let number = try String(contentsOfFile: server.directory.path("s.pid"), encoding: .utf8)
        #expect(number == "\(server.process.processIdentifier)\n")
        kill(server.process.processIdentifier, SIGTERM)
        #expect(server.exitStatus() == 0)
        #expect(stat(server.directory.path("s.sock"), &status) != 0)
        #expect(stat(server.directory.path("s.pid"), &status) != 0)
    }

    @Test func daemonizeLeavesAServerInTheBackground() throws {
        let server = try ServerRun("--daemonize", "yes", "--pidfile", "d.pid", "--logfile", "d.log")
        let pidFile = server.directory.path("d.pid")
        func number() -> Int32? {
            (try? String(contentsOfFile: pidFile, encoding: .utf8)).flatMap { Int32($0.dropLast()) }
        }
        #expect(ServerRun.waits { server.answer("PING\r\n") == "+PONG\r\n" })
        let daemon = try #require(number())
        #expect(daemon != server.process.processIdentifier)
        // The first process has ended and is not waited for yet. (`Process` sees no end while a descendant lives.)
        func text(_ path: String) -> String { (try? String(contentsOfFile: path, encoding: .utf8)) ?? "" }
        #expect(ServerRun.waits { text("/proc/\(server.process.processIdentifier)/stat").contains(") Z ") })
        kill(daemon, SIGTERM)
        #expect(ServerRun.waits { text(server.directory.path("d.log")).contains("bye bye") })
        #expect(number() == nil && text(server.directory.path("d.log")).contains("\(daemon):M "))
    }

    // MARK: Running

    @Test func clientsOverTheLimitAreRefused() throws {
        let server = try ServerRun("--maxclients", "1")
        #expect(server.becomesReady())
        let holder = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        defer { close(holder) }
        #expect(ServerRun.withAddress(server.port) { connect(holder, $0, $1) } == 0)
        #expect(server.answer("PING\r\n") == "-ERR max number of clients reached\r\n")
    }

    @Test func theListeningPortCanBeMoved() throws {
        let server = try ServerRun()
        #expect(server.becomesReady())
        let other = Int(try ServerProcess.freePort())
        #expect(server.answer("CONFIG SET port \(other)\r\n") == "+OK\r\n")
        #expect(server.answer("PING\r\n") == nil)
        #expect(server.answer("PING\r\n", port: other) == "+PONG\r\n")
        let taken = try ServerRun()
        #expect(taken.becomesReady())
        #expect(server.answer("CONFIG SET port \(taken.port)\r\n", port: other)
            == "-ERR CONFIG SET failed (possibly related to argument 'port') - "
            + "Unable to listen on this port. Check server logs.\r\n")
        #expect(server.answer("PING\r\n", port: other) == "+PONG\r\n")
    }

    @Test func rewriteNeedsAFile() throws {
        let server = try ServerRun()
        #expect(server.becomesReady())
        #expect(server.answer("CONFIG REWRITE\r\n") == "-ERR The server is running without a config file\r\n")
    }

    @Test func protectedSettingsNeedTheirSwitch() throws {
        let closed = try ServerRun()
        #expect(closed.becomesReady())
        #expect(closed.answer("CONFIG SET dbfilename x\r\n") == "-ERR CONFIG SET failed "
            + "(possibly related to argument 'dbfilename') - can't set protected config\r\n")
        let open = try ServerRun("--enable-protected-configs", "local")
        #expect(open.becomesReady())
        #expect(open.answer("CONFIG SET dbfilename x\r\n") == "+OK\r\n")
    }

    // MARK: Stop

    @Test func signalsEndIt() throws {
        for number in [SIGTERM, SIGINT] {
            let server = try ServerRun("--save", "")
            #expect(server.becomesReady())
            kill(server.process.processIdentifier, number)
            #expect(server.exitStatus() == 0)
            #expect(server.log.contains(number == SIGTERM ? "Received SIGTERM scheduling shutdown..."
                                        : "Received SIGINT scheduling shutdown..."))
            #expect(server.log.contains("Redis is now ready to exit, bye bye..."))
        }
    }

    @Test func hangupsAndBrokenPipesDoNot() throws {
        let server = try ServerRun("--save", "")
        #expect(server.becomesReady())
        kill(server.process.processIdentifier, SIGHUP)
        kill(server.process.processIdentifier, SIGPIPE)
        usleep(100_000)
        #expect(server.answer("PING\r\n") == "+PONG\r\n")
    }

    @Test func shutdownEndsConnectionsWithoutReset() throws {
        let server = try ServerRun("--save", "")
        #expect(server.becomesReady())
        // What comes behind it is never read by the server.
        #expect(server.answer("PING\r\nSHUTDOWN NOSAVE\r\nPING\r\nPING\r\n") == "+PONG\r\n")
        #expect(server.exitStatus() == 0)
    }

    @Test func shutdownKnowsItsOptions() throws {
        let server = try ServerRun("--save", "")
        #expect(server.becomesReady())
        #expect(server.answer("SHUTDOWN SAVE NOSAVE\r\n") == "-ERR syntax error\r\n")
        #expect(server.answer("SHUTDOWN ABORT NOW\r\n") == "-ERR syntax error\r\n")
        #expect(server.answer("SHUTDOWN ABORT\r\n") == "-ERR No shutdown in progress.\r\n")
        #expect(server.answer("SHUTDOWN NOW FORCE NOSAVE\r\n") == "")
        #expect(server.exitStatus() == 0)
    }
}
