import Foundation
import Testing

/// Crash reports and the watchdog.
struct DiagnosisTests {
    private func started(_ arguments: String..., environment: [String: String] = [:]) throws -> ServerRun {
        let server = try ServerRun(file: nil, arguments: ["--save", "", "--enable-debug-command", "yes"] + arguments)
        #expect(server.becomesReady())
        return server
    }

    /// The report and nothing else.
    private func report(_ server: ServerRun) throws -> String {
        let log = server.log
        let start = try #require(log.range(of: "=== REDIS BUG REPORT START: Cut & paste starting from here ===\n"))
        let last = "\n=== REDIS BUG REPORT END. Make sure to include from START to END. ===\n"
        let end = try #require(log.range(of: last))
        return String(log[start.upperBound..<end.lowerBound])
    }

    @Test func anInvalidAccessIsReportedWithEverythingThatIsKnown() throws {
        let server = try started()
        _ = server.answer("CLIENT SETNAME teller\r\nDEBUG SEGFAULT\r\n")
        #expect(server.exitStatus() == -SIGSEGV)
        let report = try report(server)
        var last = report.startIndex
        for text in ["Redis 7.4.1 crashed by signal: 11, si_code: 2\n", "Accessing address: 0x",
                     "Crashed running the instruction at: 0x", "------ REGISTERS ------\n",
                     "------ STACK TRACE ------\n", "(sr_crash_by_access+", "DebugCrash",
                     "------ INFO OUTPUT ------\n# Server\nredis_version:7.4.1\n",
                     "------ CLIENT LIST OUTPUT ------\nid=", " name=teller ", "------ CURRENT CLIENT INFO ------\nid=",
                     "argc: '2'\nargv[0]: '\"DEBUG\"'\nargv[1]: '\"SEGFAULT\"'\n",
                     "------ FAST MEMORY TEST ------\nFast memory test PASSED"] {
            let range = try #require(report.range(of: text, range: last..<report.endIndex), "\(text) in\n\(report)")
            last = range.upperBound
        }
        #expect(!report.contains("cut off"))
    }

    @Test func panicsAndFailedAssertionsSayWhatTheyAre() throws {
        let panic = try started("--crash-memcheck-enabled", "no")
        _ = panic.answer("DEBUG PANIC\r\n")
        #expect(panic.exitStatus() == -SIGABRT)
        let text = try report(panic)
        #expect(text.contains("Guru Meditation: ") && text.contains("crashed by signal: 6"))
        #expect(!text.contains("FAST MEMORY TEST"))
        let assertion = try started("--use-exit-on-panic", "yes")
        _ = assertion.answer("DEBUG ASSERT\r\n")
        #expect(assertion.exitStatus() == 1)
        #expect(try report(assertion).contains("=== ASSERTION FAILED ===\n==> "))
    }

    @Test func argumentsAreHiddenWhenUserDataAre() throws {
        let server = try started("--hide-user-data-from-log", "yes")
        _ = server.answer("DEBUG SEGFAULT\r\n")
        #expect(server.exitStatus() == -SIGSEGV)
        #expect(try report(server).contains("argv[0]: '\"DEBUG\"'\nargv[1]: '(redacted)'\n"))
    }

    @Test func withoutACrashLogThereIsNoReport() throws {
        let server = try started()
        #expect(server.answer("CONFIG SET crash-log-enabled no\r\n") == "+OK\r\n")
        _ = server.answer("DEBUG PANIC\r\n")
        #expect(server.exitStatus() == -SIGABRT)
        #expect(!server.log.contains("REPORT START") && server.log.contains("Guru Meditation"))
    }

    /// Nobody reads what the server writes: the report must not keep the process from its end.
    @Test func aReportThatCanNotBeWrittenEndsAnyway() throws {
        let output = Pipe()
        // A full pipe.
        let descriptor = output.fileHandleForWriting.fileDescriptor
        _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
        let filling = [UInt8](repeating: 46, count: 4096)
        while write(descriptor, filling, filling.count) > 0 {}
        _ = fcntl(descriptor, F_SETFL, 0)
        let server = try ServerRun(file: nil, arguments: ["--save", "", "--loglevel", "nothing"], output: output)
        #expect(ServerRun.waits { server.answer("PING\r\n") == "+PONG\r\n" })
        kill(server.process.processIdentifier, SIGSEGV)
        #expect(server.exitStatus() == -SIGSEGV)
    }

    @Test func theWatchdogShowsWhereTheEngineIsStuck() throws {
        let server = try started()
        // Shorter than two turns of the cron can't be.
        #expect(server.answer("CONFIG SET watchdog-period 10\r\n") == "+OK\r\n")
        _ = server.answer("DEBUG SLEEP 1\r\n")
        #expect(server.logs("--- WATCHDOG TIMER EXPIRED ---"))
        #expect(server.logs("DebugCommandsO5sleep"))
        #expect(server.log.contains("------ STACK TRACE ------"))
        #expect(ServerRun.waits { server.answer("CONFIG SET watchdog-period 0\r\n") == "+OK\r\n" })
        let before = server.log
        _ = server.answer("DEBUG SLEEP 1\r\n")
        #expect(ServerRun.waits { server.answer("PING\r\n") == "+PONG\r\n" })
        #expect(server.log == before)
    }
}
