import Foundation
import Glibc
import Testing

/// What no file of the log shows by itself: that files behind it, or its end, are missing.
@Suite(.serialized) struct ShortLogTests {
    private let manifest = "appendonlydir/appendonly.aof.manifest"
    private let increment = "appendonlydir/appendonly.aof.1.incr.aof"
    private let reached = "appendonlydir/appendonly.aof.reached"

    private func started(_ server: DurableServer, _ more: String...) throws {
        try #require(try server.start(with: ["--appendonly", "yes", "--appendfsync", "always"] + more), "\(server.log)")
    }

    private func check(_ server: DurableServer, _ options: String...) throws -> (status: Int32, out: String) {
        let path = server.directory.path(manifest)
        return switch options.count {
        case 0: try CheckToolTests.run("aof", path)
        case 1: try CheckToolTests.run("aof", options[0], path)
        case _: try CheckToolTests.run("aof", options[0], options[1], path)
        }
    }

    private func rewrite(_ server: DurableServer) {
        server.call("BGREWRITEAOF")
        #expect(server.logs("Background AOF rewrite finished successfully"))
    }

    /// Twenty batches, of which the file says so, and the log as it was after the tenth; killed.
    private func shortened(_ server: DurableServer) throws -> [UInt8] {
        try started(server, "--aof-preallocate", "no")
        for number in 1...10 { server.call("SET", "n", "\(number)") }
        let older = server.contents(increment)
        for number in 11...20 { server.call("SET", "n", "\(number)") }
        let line = " 0000000000000014 "
        #expect(ServerRun.waits { String(decoding: server.contents(reached), as: UTF8.self).contains(line) })
        server.kill9()
        return older
    }

    /// It is whole in itself: nobody missed what had stood behind it.
    @Test(arguments: [true, false]) func aLogThatEndsTooEarlyIsLoadedAndTold(isEmptied: Bool) throws {
        let server = try DurableServer()
        let older = try shortened(server), kept = isEmptied ? [] : older
        try server.write(kept, to: increment)
        let first = isEmptied ? 1 : 11, said = "batches \(first) to 20 are missing"
        let (status, text) = try check(server)
        let place = "appendonly.aof.1.incr.aof at byte \(kept.count)"
        #expect(status == 1 && text.contains(place + ": ") && text.contains(said))
        #expect(try check(server, "--json").out.contains("\"shortfall\":"))
        #expect(try check(server, "--fix", "--dry-run").status == 1)
        #expect(try !server.start("--appendonly", "yes", "--aof-load-truncated", "no"))
        #expect(server.log.contains(place) && server.log.contains(said))
        try started(server)
        #expect(server.log.contains("ends too early, at offset \(kept.count)") && server.log.contains(said))
        #expect(server.call("GET", "n") == (isEmptied ? "nil" : "10"))
        server.kill9()
        // From then on it is the log.
        #expect(try check(server).status == 0)
        try started(server)
        #expect(!server.log.contains("ends too early"))
    }

    /// Another file in the last one's place, without seals, passed for what another server had appended.
    @Test func recordsWhereBatchesAreMissingStopTheStart() throws {
        let server = try DurableServer()
        _ = try shortened(server)
        let records = Array("*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nSET\r\n$1\r\nn\r\n$1\r\n5\r\n".utf8)
        try server.write(records, to: increment)
        let said = "batches 1 to 20 are missing"
        #expect(try !server.start("--appendonly", "yes"))
        #expect(server.log.contains("appendonly.aof.1.incr.aof at byte 0") && server.log.contains(said))
        let (status, text) = try check(server, "--fix", "--yes")
        #expect(status == 1 && text.contains(said) && server.contents(increment) == records)
    }

    /// The log of an old server that had been moved in was missed by nobody.
    @Test func anOldLogThatIsNoBaseAnyMoreStopsTheStart() throws {
        let server = try DurableServer()
        let old = "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n"
        try server.write(Array(old.utf8), to: "appendonly.aof")
        try started(server)
        server.call("SET", "b", "2")
        server.kill9()
        try server.write(Array("file appendonly.aof.1.incr.aof seq 1 type i\n".utf8), to: manifest)
        #expect(try !server.start("--appendonly", "yes"))
        #expect(server.log.contains("it names no BASE, and appendonly.aof lies beside it"))
        #expect(try check(server).status == 1)
    }

    @Test func aRepairTakesAShortLogAsItIs() throws {
        let server = try DurableServer()
        try server.write(try shortened(server), to: increment)
        #expect(try check(server, "--fix", "--yes").status == 0)
        #expect(try check(server).status == 0)
        try started(server)
        #expect(!server.log.contains("ends too early") && server.call("GET", "n") == "10")
    }

    /// What the tool cuts off on purpose is not missed afterwards.
    @Test func aCutIsNotMissedAfterwards() throws {
        let server = try DurableServer()
        let older = try shortened(server)
        try server.write(older + [35, 36], to: increment)
        #expect(try check(server).status == 1)
        #expect(try check(server, "--fix", "--yes").status == 0)
        #expect(try check(server).status == 0)
        try started(server)
        #expect(!server.log.contains("ends too early") && server.call("GET", "n") == "10")
    }

    @Test func aLogThatGoesOnIsNeverCalledShort() throws {
        let server = try DurableServer()
        for round in 1...3 {
            try started(server)
            #expect(!server.log.contains("ends too early"))
            for _ in 0..<5 { server.call("INCR", "n") }
            if round > 1 { rewrite(server) }
            if round == 3 { server.call("INCR", "n") }
            #expect(ServerRun.waits { !server.contents(reached).isEmpty })
            if round == 2 {
                server.process.terminate()
                #expect(ServerRun.waits { !server.process.isRunning })
            }
            server.kill9()
        }
        // Damaged, it says nothing.
        try server.write(server.contents(reached).map { $0 ^ 1 }, to: reached)
        #expect(try check(server).status == 0)
        try started(server)
        #expect(server.call("GET", "n") == "16")
    }

    /// An older copy of it was believed: what had been written since was put aside as a stray file.
    @Test func aManifestOlderThanItsFilesStopsTheStart() throws {
        let server = try DurableServer()
        try started(server, "--aof-history-keep", "100mb")
        server.call("SET", "a", "1")
        let older = server.contents(manifest)
        rewrite(server)
        server.call("SET", "a", "2")
        server.kill9()
        let newer = server.contents(manifest), files = server.files("appendonlydir")
        try server.write(older, to: manifest)
        #expect(try !server.start("--appendonly", "yes"))
        let said = "appendonly.aof.2.incr.aof lies beside it and goes on with batch 2"
        #expect(server.log.contains("appendonly.aof.manifest at byte \(older.count): ") && server.log.contains(said))
        #expect(server.files("appendonlydir") == files)
        let (status, text) = try check(server, "--fix", "--yes")
        #expect(status == 1 && text.contains(said) && server.files("appendonlydir") == files)
        try server.write(newer, to: manifest)
        try started(server)
        #expect(server.call("GET", "a") == "2")
    }

    /// Its increments were loaded into nothing.
    @Test(arguments: ["file appendonly.aof.2.incr.aof seq 2 type i\n",
                      "file appendonly.aof.2.base.rdb seq 2 type h\nfile appendonly.aof.2.incr.aof seq 2 type i\n"],
          [true, false])
    func aManifestWithoutItsBaseStopsTheStart(text: String, isThere: Bool) throws {
        let server = try DurableServer()
        try started(server)
        server.call("SET", "a", "1")
        rewrite(server)
        server.call("SET", "b", "2")
        server.kill9()
        if !isThere { unlink(server.directory.path("appendonlydir/appendonly.aof.2.base.rdb")) }
        try server.write(Array(text.utf8), to: manifest)
        let log = server.contents("appendonlydir/appendonly.aof.2.incr.aof")
        #expect(try !server.start("--appendonly", "yes"))
        #expect(server.log.contains("BASE") || server.log.contains("batches 1 to 1 are missing before this file"))
        #expect(try check(server).status == 1)
        #expect(server.contents("appendonlydir/appendonly.aof.2.incr.aof") == log)
    }

    /// A BASE with an increment's records was loaded, and a repair cut off what stood in the increment: the BASE.
    @Test func filesOfAnotherServerThatChangedPlacesAreLeftAlone() throws {
        let server = try DurableServer()
        try started(server, "--aof-seal", "no")
        server.call("SET", "a", "1")
        rewrite(server)
        server.call("SET", "b", "2")
        server.kill9()
        let names = ["appendonlydir/appendonly.aof.2.base.rdb", "appendonlydir/appendonly.aof.2.incr.aof"]
        let base = server.contents(names[0]), records = server.contents(names[1])
        let lines = ["file appendonly.aof.2.base.rdb seq 2 type b\n", "file appendonly.aof.2.incr.aof seq 2 type i\n"]
        try server.write(Array(lines.joined().utf8), to: manifest)
        for (swapped, other) in [(records, base), ([], records), (records, [])] {
            try server.write(swapped, to: names[0])
            try server.write(other, to: names[1])
            #expect(try !server.start("--appendonly", "yes"))
            #expect(server.log.contains("appendonly.aof.2.base.rdb at byte 0: format error: no RDB file"))
            let (status, text) = try check(server, "--fix", "--yes")
            #expect(status == 1 && text.contains("appendonly.aof.2.base.rdb at byte 0"))
            #expect(server.contents(names[0]) == swapped && server.contents(names[1]) == other)
        }
        try server.write(base, to: names[0])
        try server.write(base, to: names[1])
        #expect(try check(server, "--fix", "--yes").status == 1)
        #expect(server.contents(names[1]) == base)
    }
}
