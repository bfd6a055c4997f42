import Primitives
@testable import Server
import Simulation
import Storage
import Testing
import TestSupport

/// WAITAOF, CLIENT DURABILITY, DURABILITY STATUS.
@Suite struct DurabilityCommandTests {
    private func started(_ policy: FsyncPolicy, appendonly: Bool = true) throws -> Simulation {
        var settings = SimulationSettings(policy)
        settings.appendonly = appendonly
        let simulation = Simulation(settings, Simulation.makeTable())
        try simulation.start()
        simulation.settle()
        return simulation
    }

    private let durable = "*2\r\n:1\r\n:0\r\n", notDurable = "*2\r\n:0\r\n:0\r\n"

    // MARK: WAITAOF

    @Test func waitsUnderAlwaysForTheBatchThatItsWriteIsIn() throws {
        defer { SimulatedClock.release() }
        let simulation = try started(.always)
        #expect(simulation.ask(0, "WAITAOF", "1", "0", "0") == durable)  // Nothing was written.
        simulation.send(0, ["SET", "a", "1"])
        #expect(simulation.ask(0, "WAITAOF", "1", "0", "0") == nil && simulation.clients[0].isBlocked)
        #expect(simulation.step(.log))
        simulation.round()
        #expect(simulation.answer(0) == durable)
        #expect(simulation.ask(0, "WAITAOF", "1", "0", "0") == durable)
        try simulation.tryCrash(.nothing)
    }

    @Test func waitsUnderEverysecForTheNextFsync() throws {
        defer { SimulatedClock.release() }
        let simulation = try started(.everysec)
        #expect(simulation.ask(0, "SET", "a", "1") == "+OK\r\n")
        while simulation.step(.log) { simulation.round() }
        #expect(simulation.ask(0, "SET", "a", "2") == "+OK\r\n")
        #expect(simulation.ask(0, "WAITAOF", "1", "0", "0") == nil)
        // Others' writes are nobody's business.
        #expect(simulation.ask(1, "WAITAOF", "1", "0", "0") == durable)
        for _ in 0..<9 {
            simulation.pass(milliseconds: 100)
            #expect(simulation.answer(0) == nil)
        }
        simulation.pass(milliseconds: 200)
        #expect(simulation.answer(0) == durable)
        try simulation.tryCrash(.nothing)
    }

    @Test func endsWithItsTimeout() throws {
        defer { SimulatedClock.release() }
        let simulation = try started(.no)
        #expect(simulation.ask(0, "SET", "a", "1") == "+OK\r\n")
        #expect(simulation.ask(0, "WAITAOF", "1", "0", "300") == nil)
        simulation.pass(milliseconds: 200)
        #expect(simulation.answer(0) == nil)
        simulation.pass(milliseconds: 200)
        #expect(simulation.answer(0) == notDurable)
        // A replica that does not exist is waited for as well.
        simulation.send(0, ["WAITAOF", "0", "1", "100"])
        simulation.pass(milliseconds: 200)
        #expect(simulation.answer(0) == notDurable)
    }

    @Test func asksForNothingAtOnceWithZeroAndInTransactions() throws {
        defer { SimulatedClock.release() }
        let simulation = try started(.everysec)
        #expect(simulation.ask(0, "SET", "a", "1") == "+OK\r\n")
        while simulation.step(.log) { simulation.round() }
        #expect(simulation.ask(0, "SET", "a", "2") == "+OK\r\n")
        #expect(simulation.ask(0, "WAITAOF", "0", "0", "0") == notDurable)
        for words in [["MULTI"], ["WAITAOF", "1", "0", "0"]] { simulation.send(0, words) }
        #expect(simulation.ask(0, "EXEC") == "*1\r\n" + notDurable)
    }

    @Test func whatItRefuses() throws {
        defer { SimulatedClock.release() }
        let simulation = try started(.always, appendonly: false)
        #expect(simulation.ask(0, "WAITAOF", "1", "0", "0") == "-ERR WAITAOF cannot be used when numlocal is set but "
            + "appendonly is disabled.\r\n")
        #expect(simulation.ask(0, "WAITAOF", "0", "0", "0") == notDurable)
        #expect(simulation.ask(0, "WAITAOF", "2", "0", "0") == "-ERR value is out of range, value must between 0 and 1"
            + "\r\n")
        #expect(simulation.ask(0, "WAITAOF", "0", "-1", "0") == "-ERR value is out of range, must be positive\r\n")
        #expect(simulation.ask(0, "WAITAOF", "0", "0", "-1") == "-ERR timeout is negative\r\n")
    }

    // MARK: CLIENT DURABILITY

    @Test func aDurableClientOfAnEverysecServerGetsAnFsyncAtOnceAndSharesIt() throws {
        defer { SimulatedClock.release() }
        let simulation = try started(.everysec)
        for client in 0...1 { #expect(simulation.ask(client, "CLIENT", "DURABILITY", "ALWAYS") == "+OK\r\n") }
        let syncs = simulation.disk.syncCount
        #expect(simulation.ask(0, "SET", "a", "1") == nil)
        #expect(simulation.ask(1, "SET", "b", "1") == nil)
        #expect(simulation.ask(2, "SET", "c", "1") == "+OK\r\n")  // Others go on as before.
        #expect(simulation.answer(0) == nil && simulation.answer(1) == nil)
        #expect(simulation.step(.log))
        simulation.round()
        #expect(simulation.answer(0) == "+OK\r\n" && simulation.answer(1) == "+OK\r\n")
        #expect(simulation.disk.syncCount == syncs + 1)
        try simulation.tryCrash(.nothing)
        // It is not shown either what is not durable yet.
        #expect(simulation.ask(2, "SET", "c", "2") == "+OK\r\n")
        #expect(simulation.ask(0, "GET", "c") == nil)
        #expect(simulation.step(.log))
        simulation.round()
        #expect(simulation.answer(0) == "$1\r\n2\r\n")
    }

    @Test func aDurableClientOfAServerThatNeverSyncs() throws {
        defer { SimulatedClock.release() }
        let simulation = try started(.no)
        #expect(simulation.ask(0, "CLIENT", "DURABILITY", "always") == "+OK\r\n")
        #expect(simulation.ask(0, "SET", "a", "1") == nil)
        #expect(simulation.step(.log))
        simulation.round()
        #expect(simulation.answer(0) == "+OK\r\n")
        try simulation.tryCrash(.nothing)
    }

    @Test func anEverysecClientOfAnAlwaysServerIsAnsweredWhenItsBatchIsWritten() throws {
        defer { SimulatedClock.release() }
        let simulation = try started(.always)
        #expect(simulation.ask(0, "CLIENT", "DURABILITY", "EVERYSEC") == "+OK\r\n")
        simulation.send(1, ["SET", "b", "1"])
        #expect(simulation.ask(0, "SET", "a", "1") == nil)
        #expect(simulation.step(.log))  // Written.
        simulation.round()
        #expect(simulation.answer(0) == "+OK\r\n" && simulation.answer(1) == nil)
        // A batch that comes now does not go before the fsync.
        #expect(simulation.ask(0, "SET", "a", "2") == nil)
        let syncs = simulation.disk.syncCount
        #expect(simulation.step(.log))
        simulation.round()
        #expect(simulation.answer(1) == "+OK\r\n" && simulation.disk.syncCount == syncs + 1)
        try simulation.tryCrash(.nothing)
    }

    @Test func aWeakerDurabilityBeginsWhenEarlierRepliesAreOut() throws {
        defer { SimulatedClock.release() }
        let simulation = try started(.always)
        #expect(simulation.ask(1, "CLIENT", "DURABILITY", "EVERYSEC") == "+OK\r\n")
        simulation.send(0, ["SET", "a", "1"])
        #expect(simulation.ask(0, "CLIENT", "DURABILITY", "EVERYSEC") == nil)
        #expect(simulation.step(.log))
        simulation.round()
        #expect(simulation.answer(0) == nil)  // Written, and not what was promised for SET.
        #expect(simulation.step(.log))
        simulation.round()
        #expect(simulation.answer(0) == "+OK\r\n" && simulation.clients[0].session.durability == .everysec)
        // RESET is DEFAULT.
        #expect(simulation.ask(0, "RESET") == "+RESET\r\n")
        #expect(simulation.clients[0].session.durability == .standard)
    }

    @Test func whatClientDurabilityRefuses() throws {
        defer { SimulatedClock.release() }
        let simulation = try started(.always, appendonly: false)
        #expect(simulation.ask(0, "CLIENT", "DURABILITY", "ALWAYS") == "-ERR CLIENT DURABILITY ALWAYS needs a log, but "
            + "appendonly is disabled.\r\n")
        #expect(simulation.ask(0, "CLIENT", "DURABILITY", "perhaps") == "-ERR syntax error\r\n")
        #expect(simulation.ask(0, "CLIENT", "DURABILITY", "default") == "+OK\r\n")
    }

    // MARK: DURABILITY STATUS

    private func facts(_ simulation: Simulation) throws -> [String: String] {
        let core = try #require(simulation.server?.core)
        var result: [String: String] = [:]
        for fact in core.persistence.durabilityFacts {
            result["\(fact.name)"] = switch fact.value {
            case .integer(let value): "\(value)"
            case .text(let value): value
            case .decimal(let value): "\(value)"
            }
        }
        return result
    }

    @Test func everysecExposesASecondAndAnFsync() throws {
        defer { SimulatedClock.release() }
        let simulation = try started(.everysec)
        var longest = 0.0
        for number in 0..<200 {
            #expect(simulation.ask(0, "SET", "a", "\(number)") == "+OK\r\n")
            longest = max(longest, Double(try facts(simulation)["aof_exposure_seconds"] ?? "") ?? 99)
            simulation.pass(milliseconds: 50)
        }
        #expect(longest > 0.9 && longest <= 1.0)
        let found = try facts(simulation)
        #expect(found["aof_fsyncs"] == "10" && found["aof_fsync_usec_max"] == "0")
    }

    @Test func statusTellsTheTruth() throws {
        defer { SimulatedClock.release() }
        let simulation = try started(.everysec)
        #expect(simulation.ask(0, "SET", "a", "1") == "+OK\r\n")
        while simulation.step(.log) { simulation.round() }
        #expect(simulation.ask(0, "SET", "a", "2") == "+OK\r\n")
        simulation.clock.advance(milliseconds: 700)
        var found = try facts(simulation)
        #expect(found["aof_state"] == "healthy" && found["aof_exposure_seconds"] == "0.7")
        #expect(found["aof_written_offset"] == found["aof_log_offset"])
        #expect(found["aof_exposed_bytes"] == "27" && found["aof_last_batch_bytes"] == "27")
        #expect(found["aof_fsyncs"] == "1" && found["aof_last_error"] == "")
        simulation.disk.faults.failSync = 1
        simulation.clock.advance(milliseconds: 400)
        #expect(simulation.step(.log))
        simulation.server?.round()
        found = try facts(simulation)
        #expect(found["aof_state"] == "poisoned" && found["aof_fsync_failures"] == "1")
        #expect(found["aof_last_error"]?.contains("Input/output error") == true)
        #expect(found["aof_last_error_time"] == "1700000001")
        #expect(found["aof_refusal"]?.hasPrefix("MISCONF") == true)
        for _ in 0..<30 { simulation.settle() }
        found = try facts(simulation)
        #expect(found["aof_state"] == "healthy" && found["aof_healings"] == "1" && found["aof_exposed_bytes"] == "0")
        #expect(found["aof_last_error"]?.contains("Input/output error") == true && found["aof_error"] == nil)
        let status = simulation.ask(2, "DURABILITY", "STATUS") ?? ""
        #expect(status.hasPrefix("*") && status.contains("\r\n$9\r\naof_state\r\n$7\r\nhealthy\r\n"), "\(status)")
        // As many as INFO has, and those of the scrub.
        #expect((Int(status.dropFirst().prefix { $0.isNumber }) ?? 0) / 2 >= found.count, "\(status)")
    }
}
