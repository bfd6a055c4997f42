import Primitives
@testable import Server
import Simulation
import Storage
import Testing
import TestSupport

/// What clients see while the disk fails or fills up.
@Suite struct DiskTroubleTests {
    private func started(_ policy: FsyncPolicy = .always,
                         _ configure: @escaping @Sendable (Configuration) -> Void = { _ in }) throws -> Simulation {
        var settings = SimulationSettings(policy)
        settings.configure = configure
        let simulation = Simulation(settings, Simulation.makeTable())
        try simulation.start()
        #expect(simulation.ask(0, "SET", "old", "1") == (policy == .always ? nil : "+OK\r\n"))
        simulation.settle()
        #expect(simulation.answer(0) == "+OK\r\n")
        return simulation
    }

    private func seconds(_ count: Int, _ simulation: Simulation) {
        for _ in 0..<(count * 10) {
            simulation.pass(milliseconds: 100)
            for worker in ServerWorker.allCases { while simulation.step(worker) { simulation.round() } }
        }
    }

    // MARK: A failed fsync

    @Test func afterAFailedFsyncNothingIsAcknowledgedUntilANewBaseIsDurable() throws {
        defer { SimulatedClock.release() }
        let simulation = try started()
        simulation.disk.faults.failAllSyncs = true
        #expect(simulation.ask(0, "SET", "a", "2") == nil)
        _ = simulation.step(.log)
        simulation.round()
        // The waiting reply stays, writes are refused with the reason, reads are served.
        #expect(simulation.answer(0) == nil)
        let refusal = simulation.ask(1, "SET", "b", "3")
        #expect(refusal == "-MISCONF Errors writing to the AOF file: fsync failed: Input/output error; "
            + "a new file is being written from memory\r\n")
        #expect(simulation.ask(2, "GET", "old") == "$1\r\n1\r\n")
        #expect(simulation.ask(2, "GET", "a") == nil)  // Nobody is shown what may be lost.
        seconds(20, simulation)
        #expect(simulation.answer(0) == nil && simulation.answer(2) == nil)
        simulation.disk.faults = .init()
        seconds(70, simulation)
        #expect(simulation.answer(0) == "+OK\r\n" && simulation.answer(2) == "$1\r\n2\r\n")
        #expect(simulation.ask(1, "SET", "b", "3") == nil)
        simulation.settle()
        #expect(simulation.answer(1) == "+OK\r\n")
        try simulation.tryCrash(.nothing)
    }

    @Test func refuseServesReadsUntilARewriteIsAskedFor() throws {
        defer { SimulatedClock.release() }
        let simulation = try started { $0.aofFsyncError = .refuse }
        simulation.disk.faults.failSync = 1
        #expect(simulation.ask(0, "SET", "a", "2") == nil)
        seconds(100, simulation)
        #expect(simulation.answer(0) == nil)
        let refusal = simulation.ask(1, "SET", "b", "3") ?? ""
        #expect(refusal.hasPrefix("-MISCONF") && refusal.contains("aof-fsync-error is refuse"))
        #expect(simulation.ask(2, "GET", "old") == "$1\r\n1\r\n")
        try simulation.tryCrash(.nothing)
        #expect(simulation.ask(1, "BGREWRITEAOF")?.hasPrefix("+") == true)
        seconds(3, simulation)
        #expect(simulation.answer(0) == "+OK\r\n")
        try simulation.tryCrash(.nothing)
    }

    @Test func refuseBecomesHealWhileItRefuses() throws {
        defer { SimulatedClock.release() }
        let simulation = try started { $0.aofFsyncError = .refuse }
        simulation.disk.faults.failSync = 1
        #expect(simulation.ask(0, "SET", "a", "2") == nil)
        seconds(3, simulation)
        #expect(simulation.ask(1, "CONFIG", "SET", "aof-fsync-error", "heal") == "+OK\r\n")
        seconds(3, simulation)
        #expect(simulation.answer(0) == "+OK\r\n")
    }

    @Test func exitEndsTheProcessWithoutAnAnswer() throws {
        defer { SimulatedClock.release() }
        let simulation = try started { $0.aofFsyncError = .exit }
        simulation.disk.faults.failSync = 1
        #expect(simulation.ask(0, "SET", "a", "2") == nil)
        #expect(simulation.server?.exitStatus == nil)
        _ = simulation.step(.log)
        simulation.server?.round()
        #expect(simulation.server?.exitStatus == 1 && simulation.answer(0) == nil)
        try simulation.tryCrash(.nothing)
    }

    // MARK: A disk that fills up

    private func fill(_ simulation: Simulation, _ rounds: Int) {
        for number in 0..<rounds {
            _ = simulation.ask(0, "SET", "key:\(number)", String(repeating: "v", count: 1000))
            simulation.pass(milliseconds: 20)
            while simulation.step(.disk) { simulation.round() }
        }
    }

    @Test func writesAreRefusedWhileARewriteStillFitsAndAcceptedWhenThereIsRoom() throws {
        defer { SimulatedClock.release() }
        let simulation = try started(.everysec) {
            $0.diskSoftLimit = .bytes(60_000)
            $0.diskHardLimit = .bytes(40_000)
        }
        simulation.disk.faults.capacity = 100_000
        fill(simulation, 20)
        #expect(simulation.ask(0, "SET", "a", "1") == "+OK\r\n")
        fill(simulation, 60)
        let refusal = simulation.ask(0, "SET", "a", "2") ?? ""
        #expect(refusal.hasPrefix("-MISCONF The disk is nearly full: ") && refusal.contains("disk-hard-limit"))
        #expect(simulation.ask(1, "GET", "a") == "$1\r\n1\r\n")
        let free = 100_000 - simulation.disk.usedBytes
        #expect(free > 34_000 && free < 40_000, "\(free)")
        // The log itself never met the full disk.
        #expect(simulation.server?.core.logState == .healthy)
        simulation.disk.faults.capacity = 300_000
        seconds(3, simulation)
        #expect(simulation.ask(0, "SET", "a", "3") == "+OK\r\n")
    }

    @Test func aLogOfMuchRubbishIsRewrittenToMakeRoom() throws {
        defer { SimulatedClock.release() }
        let simulation = try started(.everysec) {
            $0.diskSoftLimit = .bytes(60_000)
            $0.diskHardLimit = .bytes(20_000)
        }
        simulation.disk.faults.capacity = 150_000
        for _ in 0..<300 {
            _ = simulation.ask(0, "SET", "same", String(repeating: "v", count: 1000))
            seconds(1, simulation)
        }
        #expect(simulation.refusals == 0 && (simulation.server?.core.persistence.rewriteCount ?? 0) > 0)
        try simulation.tryCrash(.killed)
    }

    @Test func theDefaultKeepsRoomForARewrite() throws {
        defer { SimulatedClock.release() }
        let simulation = try started(.everysec) { $0.rdbcompression = false }
        simulation.disk.faults.capacity = 3 << 20
        var written = 0
        for number in 0..<100 {
            let reply = simulation.ask(0, "SET", "key:\(number)", String(repeating: "v", count: 50_000)) ?? ""
            seconds(1, simulation)
            if reply.hasPrefix("-MISCONF The disk is nearly full") { break }
            #expect(reply == "+OK\r\n")
            written += 1
        }
        #expect(written > 10 && written < 60)
        #expect(simulation.ask(1, "BGREWRITEAOF")?.hasPrefix("+") == true)
        seconds(3, simulation)
        #expect(simulation.server?.core.persistence.lastRewriteSucceeded == true)
        try simulation.tryCrash(.nothing)
    }

    @Test func aRewriteThatDoesNotFitEndsAndLeavesTheLogAlone() throws {
        defer { SimulatedClock.release() }
        let simulation = try started(.everysec) {
            $0.diskHardLimit = .bytes(0)
            $0.diskSoftLimit = .bytes(0)
        }
        fill(simulation, 30)
        simulation.disk.faults.capacity = simulation.disk.usedBytes + 200
        #expect(simulation.ask(1, "BGREWRITEAOF")?.hasPrefix("+") == true)
        seconds(3, simulation)
        #expect(simulation.server?.core.persistence.lastRewriteSucceeded == false)
        #expect(!simulation.disk.paths.contains { $0.contains("temp-rewriteaof-bg") })
        simulation.disk.faults.capacity = nil
        #expect(simulation.ask(0, "SET", "a", "3") == "+OK\r\n")
        try simulation.tryCrash(.killed)
    }

    // MARK: A slow disk

    @Test func everysecNeverWaitsForAnFsyncAndItsBacklogIsBounded() throws {
        defer { SimulatedClock.release() }
        let simulation = try started(.everysec) { $0.aofBacklogLimit = 10_000 }
        let core = try #require(simulation.server?.core)
        _ = simulation.ask(0, "SET", "a", "1")
        simulation.clock.advance(milliseconds: 2000)
        var heldBack = false, largest = 0
        simulation.disk.whileSyncing {
            simulation.disk.whileSyncing(nil)
            // The fsync takes ten seconds; the engine goes on.
            for number in 0..<40 {
                simulation.send(1, ["SET", "b\(number)", String(repeating: "v", count: 500)])
                simulation.round()
                #expect(simulation.ask(2, "GET", "a") == "$1\r\n1\r\n")
                simulation.clock.advance(milliseconds: 250)
                heldBack = heldBack || core.logIsBehind
                largest = max(largest, core.persistence.logBufferBytes)
                if core.logIsBehind { break }
            }
        }
        #expect(simulation.step(.log))
        #expect(heldBack && largest > 10_000 && largest < 12_000)
        simulation.settle()
        #expect(!core.logIsBehind && core.persistence.logBufferBytes == 0)
        #expect(core.persistence.backlogHolds == 1 && simulation.answer(1) == "+OK\r\n")
    }
}
