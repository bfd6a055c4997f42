import Foundation
import Glibc
import Testing

@Suite(.serialized) struct RecoveryTests {
    private let log = ["--appendonly", "yes", "--appendfsync", "always"]

    private func started(_ server: DurableServer) throws {
        try #require(try server.start("--appendonly", "yes", "--appendfsync", "always"), "\(server.log)")
    }

    private func damage(_ server: DurableServer, _ name: String, at place: Int) throws {
        var bytes = server.contents(name)
        bytes[place < 0 ? bytes.count + place : place] ^= 0xff
        try server.write(bytes, to: name)
    }

    // MARK: What is there after a kill

    @Test func acknowledgedWritesSurviveKill9() throws {
        let server = try DurableServer()
        for round in 1...3 {
            try started(server)
            #expect(server.call("GET", "n") == (round == 1 ? "nil" : "\((round - 1) * 100)"))
            for _ in 0..<100 { server.call("INCR", "n") }
            server.call("SELECT", "3")
            #expect(server.call("RPUSH", "list", "\(round)") == "\(round)")
            server.kill9()
        }
    }

    /// What was sent of a long output was dropped from it, and then the replies behind a gate passed for sent.
    @Test func repliesBehindAGateAreNotForgottenWhenThoseBeforeAreSent() throws {
        let server = try DurableServer()
        try started(server)
        #expect(server.pipelinedSets(40_000, bytes: 100) == 40_000)
        #expect(server.call("DBSIZE") == "40000")
    }

    @Test func rewritesKeepEveryWrite() throws {
        let server = try DurableServer()
        try started(server)
        for number in 1...300 {
            server.call("INCR", "n")
            if number % 60 == 0 { server.call("BGREWRITEAOF") }
        }
        server.kill9()
        try started(server)
        #expect(server.call("GET", "n") == "300")
        #expect(!server.files("appendonlydir").contains { $0.hasPrefix("temp-") })
    }

    @Test func aBaseOfCommandsIsLoadedToo() throws {
        let server = try DurableServer()
        try #require(try server.start("--appendonly", "yes", "--aof-use-rdb-preamble", "no"))
        server.call("RPUSH", "l", "a", "b")
        server.call("BGREWRITEAOF")
        #expect(server.logs("Background AOF rewrite finished successfully"))
        server.call("RPUSH", "l", "c")
        server.kill9()
        try started(server)
        #expect(server.call("LLEN", "l") == "3")
        #expect(server.files("appendonlydir").contains("appendonly.aof.2.base.aof"))
    }

    @Test func transactionsAreWholeOrNothing() throws {
        let server = try DurableServer()
        try started(server)
        server.call("SET", "a", "1")
        server.kill9()
        let name = "appendonlydir/appendonly.aof.1.incr.aof"
        let whole = server.contents(name)
        let half = "*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n2\r\n*3\r\n$3\r\nSET\r\n$1\r\nb\r\n"
        try server.write(whole + Array(half.utf8), to: name)
        try started(server)
        #expect(server.call("GET", "a") == "1")
        #expect(server.contents(name) == whole)
        #expect(server.log.contains("!!! Truncating the AOF"))
    }

    // MARK: Dumps

    @Test func aDumpIsTakenIntoANewLog() throws {
        let server = try DurableServer()
        try #require(try server.start())
        server.call("SET", "a", "from the dump")
        #expect(server.call("SAVE") == "OK")
        server.kill9()
        try started(server)
        #expect(server.call("GET", "a") == "from the dump")
        server.call("SET", "b", "2")
        server.kill9()
        // From here on the log counts, not the dump.
        unlink(server.directory.path("dump.rdb"))
        try started(server)
        #expect(server.call("GET", "a") == "from the dump")
        #expect(server.call("GET", "b") == "2")
    }

    @Test func anUnfinishedFirstStartIsBegunAgain() throws {
        let server = try DurableServer()
        try #require(try server.start())
        server.call("SET", "a", "1")
        server.call("SAVE")
        server.kill9()
        mkdir(server.directory.path("appendonlydir"), 0o755)
        try server.write([], to: "appendonlydir/temp-appendonly.aof.creating")
        try server.write(Array("REDIS0012".utf8), to: "appendonlydir/appendonly.aof.1.base.rdb")
        try started(server)
        #expect(server.call("GET", "a") == "1")
        #expect(server.files("appendonlydir").contains("temp-appendonly.aof.creating") == false)
    }

    @Test func aDamagedDumpStopsTheStartUntouched() throws {
        let server = try DurableServer()
        try #require(try server.start())
        server.call("SET", "a", "some value that is long enough")
        server.call("SAVE")
        server.kill9()
        try damage(server, "dump.rdb", at: -12)
        let before = server.contents("dump.rdb")
        for arguments in [[], log] {
            let isUp = arguments.isEmpty ? try server.start() : try server.start("--appendonly", "yes")
            #expect(!isUp)
            #expect(server.status() == 1)
            #expect(server.log.contains("dump.rdb"))
            #expect(server.contents("dump.rdb") == before)
            #expect(server.files("appendonlydir").isEmpty)
        }
    }

    // MARK: Logs that can't be read

    @Test func aDamagedLogStopsTheStartUntouched() throws {
        let server = try DurableServer()
        try started(server)
        for number in 0..<50 { server.call("SET", "key\(number)", "value") }
        server.kill9()
        let name = "appendonlydir/appendonly.aof.1.incr.aof"
        // The length of the first key; a flipped byte of a value is found only in a sealed log.
        try damage(server, name, at: 37)
        let before = server.contents(name), files = server.files("appendonlydir")
        #expect(try !server.start("--appendonly", "yes"))
        #expect(server.status() == 1)
        #expect(server.log.contains("appendonly.aof.1.incr.aof at byte"))
        #expect(server.contents(name) == before)
        #expect(server.files("appendonlydir") == files)
    }

    @Test func filesWithoutAManifestStopTheStart() throws {
        let server = try DurableServer()
        try started(server)
        server.call("SET", "a", "1")
        server.kill9()
        unlink(server.directory.path("appendonlydir/appendonly.aof.manifest"))
        let files = server.files("appendonlydir")
        #expect(try !server.start("--appendonly", "yes"))
        #expect(server.log.contains("no manifest"))
        #expect(server.files("appendonlydir") == files)
    }

    /// It was loaded, and the increments that a damaged manifest had lost were not missed.
    @Test func aBaseThatTheManifestCallsAnIncrementStopsTheStart() throws {
        let server = try DurableServer()
        try #require(try server.start("--appendonly", "yes", "--aof-seal", "no"))
        server.call("SET", "a", "1")
        server.call("BGREWRITEAOF")
        #expect(server.logs("Background AOF rewrite finished successfully"))
        server.call("SET", "a", "2")
        server.kill9()
        try server.write(Array("file appendonly.aof.2.base.rdb seq 2 type i\n".utf8),
                         to: "appendonlydir/appendonly.aof.manifest")
        #expect(try !server.start("--appendonly", "yes"))
        #expect(server.log.contains("appendonly.aof.2.base.rdb at byte 0: an RDB file where records belong"))
    }

    /// What was left of it named the base alone, in a form that other servers might have written; the increment was put
    /// aside and its writes were gone without a word.
    @Test(arguments: ["file appendonly.aof.2.base.rdb seq 2 type b size32c b42bac06\n",
                      "file appendonly.aof.2.base.rdb seq 2 type b\n",
                      "file appendonly.aof.2.base.rdb seq 2 type b\nfile appendonly.aof.1.incr.aof seq 1 type h\n"])
    func aManifestThatLostItsNewestLineStopsTheStart(text: String) throws {
        let server = try DurableServer()
        try started(server)
        server.call("SET", "a", "1")
        server.call("BGREWRITEAOF")
        #expect(server.logs("Background AOF rewrite finished successfully"))
        server.call("SET", "a", "2")
        server.kill9()
        let manifest = "appendonlydir/appendonly.aof.manifest"
        try server.write(Array(text.utf8), to: manifest)
        let files = server.files("appendonlydir"), log = server.contents("appendonlydir/appendonly.aof.2.incr.aof")
        #expect(try !server.start("--appendonly", "yes"))
        let advice = "Add the line 'file appendonly.aof.2.incr.aof seq 2 type i'"
        let place = "at byte \(text.utf8.count): it ends"
        #expect(server.log.contains("appendonly.aof.manifest \(place)") && server.log.contains(advice))
        let (status, said) = try CheckToolTests.run("aof", "--fix", "--yes", server.directory.path(manifest))
        #expect(status == 1 && said.contains(advice) && said.contains(place))
        #expect(server.files("appendonlydir") == files && server.contents(manifest) == Array(text.utf8))
        #expect(server.contents("appendonlydir/appendonly.aof.2.incr.aof") == log)
        try server.write(Array((text + "file appendonly.aof.2.incr.aof seq 2 type i\n").utf8), to: manifest)
        try started(server)
        #expect(server.call("GET", "a") == "2")
    }

    @Test func aMissingFileStopsTheStart() throws {
        let server = try DurableServer()
        try started(server)
        server.kill9()
        unlink(server.directory.path("appendonlydir/appendonly.aof.1.base.rdb"))
        #expect(try !server.start("--appendonly", "yes"))
        #expect(server.log.contains("is not there"))
    }

    @Test func anOldServersSingleFileMovesIn() throws {
        let server = try DurableServer()
        let old = "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n"
        try server.write(Array(old.utf8), to: "appendonly.aof")
        try started(server)
        #expect(server.call("INCR", "a") == "2")
        server.kill9()
        #expect(!server.files().contains("appendonly.aof"))
        try started(server)
        #expect(server.call("GET", "a") == "2")
    }

    // MARK: Children

    private func eventually(_ condition: () -> Bool) -> Bool { ServerRun.waits(condition) }

    @Test func aKilledChildIsNoHarm() throws {
        let server = try DurableServer()
        try #require(try server.start("--appendonly", "yes", "--rdb-key-save-delay", "1000000"))
        for number in 0..<100 { server.call("SET", "key\(number)", "value") }
        #expect(server.call("BGSAVE") == "Background saving started")
        #expect(server.call("BGSAVE") == "ERR Background save already in progress"
                || server.call("BGSAVE").hasPrefix("-ERR Background save"))
        let prefix = "Background saving started by pid "
        #expect(server.logs(prefix))
        let text = try #require(server.log.range(of: prefix)).upperBound
        let child = try #require(pid_t(server.log[text...].prefix { $0.isNumber }))
        #expect(eventually { server.files().contains("temp-\(child).rdb") })
        kill(child, SIGKILL)
        #expect(server.logs("Background saving terminated by signal 9"))
        #expect(eventually { !server.files().contains("temp-\(child).rdb") })
        #expect(server.call("SET", "a", "1") == "OK")
        #expect(server.call("CONFIG", "SET", "rdb-key-save-delay", "0") == "OK")
        server.call("BGREWRITEAOF")
        #expect(server.logs("Background AOF rewrite finished successfully"))
    }

    @Test func leftoversOfDeadChildrenGo() throws {
        let server = try DurableServer()
        try server.write([1], to: "temp-999999.rdb")
        try server.write([1], to: "temp-notes.rdb")
        try started(server)
        #expect(!server.files().contains("temp-999999.rdb"))
        #expect(server.files().contains("temp-notes.rdb"))
    }

    // MARK: On and off

    @Test func theLogIsTurnedOnWhileRunning() throws {
        let server = try DurableServer()
        try #require(try server.start())
        server.call("SET", "before", "1")
        #expect(server.call("CONFIG", "SET", "appendonly", "yes") == "OK")
        server.call("SET", "meanwhile", "2")
        #expect(server.logs("Background AOF rewrite finished successfully"))
        server.call("SET", "after", "3")
        server.kill9()
        try started(server)
        server.kill9()
        try started(server)
        #expect(server.call("GET", "before") == "1")
        #expect(server.call("GET", "meanwhile") == "2")
        #expect(server.call("GET", "after") == "3")
        #expect(server.call("CONFIG", "SET", "appendonly", "no") == "OK")
        #expect(server.call("SET", "unlogged", "4") == "OK")
        #expect(server.call("CONFIG", "SET", "appendonly", "yes") == "OK")
        #expect(server.logs("Background AOF rewrite finished successfully"))
        server.kill9()
        try started(server)
        #expect(server.call("GET", "unlogged") == "4")
        #expect(server.call("GET", "after") == "3")
    }
}
