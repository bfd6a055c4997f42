import Primitives
import Storage
import Testing
import TestSupport

@Suite struct AOFManifestTests {
    private func parse(_ text: String) throws -> AOFManifest {
        var text = text
        return try text.withUTF8 { try AOFManifest.parse(Bytes($0), filename: "appendonly.aof") }
    }

    private func text(_ manifest: AOFManifest) -> String {
        let bytes = manifest.format()
        return String(decoding: bytes.bytes, as: UTF8.self)
    }

    @Test func formatsAsRedisDoes() throws {
        var manifest = AOFManifest(filename: "appendonly.aof")
        let opening = manifest.openOnStart(.rdb)
        #expect(opening.createBase?.name == "appendonly.aof.1.base.rdb")
        #expect(opening.increment.name == "appendonly.aof.1.incr.aof" && opening.incrementIsNew)
        #expect(text(manifest) == """
            file appendonly.aof.1.base.rdb seq 1 type b
            file appendonly.aof.1.incr.aof seq 1 type i

            """)
        let increment = manifest.addIncrement()
        let base = manifest.rewriteDone(.aof, keepingIncrementsFrom: increment.sequence)
        #expect(base.name == "appendonly.aof.2.base.aof")
        #expect(text(manifest) == """
            file appendonly.aof.2.base.aof seq 2 type b
            file appendonly.aof.1.incr.aof seq 1 type h
            file appendonly.aof.1.base.rdb seq 1 type h
            file appendonly.aof.2.incr.aof seq 2 type i

            """)
        #expect(manifest.forgetHistory().count == 2)
        #expect(manifest.loadOrder.map(\.name) == ["appendonly.aof.2.base.aof", "appendonly.aof.2.incr.aof"])
        #expect(try parse(text(manifest)) == manifest)
    }

    @Test func failedRewriteKeepsEveryIncrement() throws {
        var manifest = AOFManifest(filename: "a")
        _ = manifest.openOnStart(.rdb)
        _ = manifest.addIncrement()  // A rewrite that failed.
        let second = manifest.addIncrement()
        _ = manifest.rewriteDone(.rdb, keepingIncrementsFrom: second.sequence)
        #expect(manifest.loadOrder.map(\.name) == ["a.2.base.rdb", "a.3.incr.aof"])
        #expect(manifest.history.map(\.name) == ["a.1.incr.aof", "a.2.incr.aof", "a.1.base.rdb"])
    }

    @Test func toleratesCommentsQuotesAndUnknownKeys() throws {
        let manifest = try parse("""
            # a comment
            file "odd name\\x21" seq 7 type b color red
              FILE b seq 3 type i startoffset 12 endoffset 99\r
            file c seq 9 type h

            """)
        #expect(manifest.base?.name == "odd name!" && manifest.base?.sequence == 7)
        #expect(manifest.increments[0].startOffset == 12 && manifest.increments[0].endOffset == 99)
        #expect(manifest.history.map(\.name) == ["c"])
        #expect(text(manifest) == """
            file "odd name!" seq 7 type b
            file c seq 9 type h
            file b seq 3 type i startoffset 12 endoffset 99

            """)
    }

    @Test(arguments: [
        ("", 0, "Found an empty AOF manifest"),
        ("file a seq 1\n", 1, "Invalid AOF manifest file format"),
        ("# x\n\n", 2, "Invalid AOF manifest file format"),
        ("file a seq 1 type i x\n", 1, "Invalid AOF manifest file format"),
        ("file a seq 1 type b\u{ff}endonly.aof.2.incr.aof seq 2 type i\n", 1, "Invalid AOF manifest file format"),
        ("file a seq 0 type i\n", 1, "Invalid AOF manifest file format"),
        ("file a seq -4 type i\n", 1, "Invalid AOF manifest file format"),
        ("file a seq 99999999999999999999 type i\n", 1, "Invalid AOF manifest file format"),
        ("file \"a seq 1 type i\n", 1, "Invalid AOF manifest file format"),
        ("file .. seq 1 type i\n", 1, "Invalid AOF manifest file format"),
        ("file a/b seq 1 type i\n", 1, "File can't be a path, just a filename"),
        ("file a seq 1 type i", 1, "The AOF manifest file contains too long line"),
        ("file a seq 1 type x\n", 1, "Unknown AOF file type"),
        ("file a seq 2 type i\nfile b seq 1 type i\n", 2, "Found a non-monotonic sequence number"),
        ("file a seq 1 type b\nfile b seq 1 type b\n", 2, "Found duplicate base file information"),
        ("file " + String(repeating: "a", count: 1100) + " seq 1 type i\n", 1,
         "The AOF manifest file contains too long line"),
    ]) func refuses(_ text: String, _ line: Int, _ reason: String) {
        do {
            _ = try parse(text)
            Issue.record("accepted \(text)")
        } catch {
            let error = error as? AOFManifest.ParseError
            #expect(error?.line == line && error?.reason == reason)
        }
    }

    @Test func fuzzedManifestsNeverTrap() {
        let seed = testSeed()
        print("seed \(seed)")
        var random = RandomSource(seed: seed)
        let sample = Array("file \"a\\x00b\" seq 12 type b\nfile x seq 3 type i startoffset 4\n# c\n".utf8)
        for _ in 0..<20000 {
            var bytes = sample
            for _ in 0..<1 + Int(random.next(below: 4)) {
                bytes[Int(random.next(below: UInt64(bytes.count)))] = UInt8(truncatingIfNeeded: random.next())
            }
            bytes = Array(bytes.prefix(Int(random.next(below: UInt64(bytes.count + 1)))))
            _ = bytes.withUnsafeBytes { try? AOFManifest.parse($0, filename: "a") }
        }
    }

    // MARK: On the disk

    private func directory(_ disk: MemoryFileSystem) -> AOFDirectory {
        AOFDirectory(disk, serverDirectory: "data", name: "appendonlydir", filename: "appendonly.aof")
    }

    @Test func persistingSyncsFileThenNameThenDirectory() throws {
        let disk = MemoryFileSystem()
        let directory = directory(disk)
        try directory.create()
        var manifest = AOFManifest(filename: "appendonly.aof")
        let opening = manifest.openOnStart(.rdb, needsBase: false)
        disk.close(try directory.createFile(opening.increment))
        try directory.persist(manifest)
        #expect(disk.events == [
            "mkdir data/appendonlydir", "syncdir data",
            "create data/appendonlydir/appendonly.aof.1.incr.aof", "syncdir data/appendonlydir",
            "create data/appendonlydir/temp-appendonly.aof.manifest",
            "write data/appendonlydir/temp-appendonly.aof.manifest 44",
            "sync data/appendonlydir/temp-appendonly.aof.manifest",
            "rename data/appendonlydir/temp-appendonly.aof.manifest data/appendonlydir/appendonly.aof.manifest",
            "syncdir data/appendonlydir",
        ])
        #expect(try self.directory(disk.crashed(.nothing)).load() == manifest)
    }

    @Test func failedPersistLeavesTheOldManifest() throws {
        let disk = MemoryFileSystem()
        let directory = directory(disk)
        try directory.create()
        var manifest = AOFManifest(filename: "appendonly.aof")
        _ = manifest.addIncrement()
        try directory.persist(manifest)
        let old = manifest
        _ = manifest.addIncrement()
        for faults: MemoryFileSystem.Faults in [.init(failSync: 1), .init(room: 10), .init(failRename: true)] {
            disk.faults = faults
            #expect(throws: StorageError.self) { try directory.persist(manifest) }
            disk.faults = .init()
            #expect(try directory.load() == old)
            #expect(try disk.status(directory.temporaryManifestPath) == nil)
        }
    }

    /// Every state that a crash can leave the disk in, at each step of the upgrade.
    @Test func upgradeSurvivesACrashAtEveryStep() throws {
        for steps in 0..<40 {
            for seed in 0..<8 as Range<UInt64> {
                let disk = StoppingFileSystem(after: steps)
                disk.memory.put("data/appendonly.aof", Array("*1\r\n$4\r\nPING\r\n".utf8))
                let directory = AOFDirectory(disk, serverDirectory: "data", name: "appendonlydir",
                                             filename: "appendonly.aof")
                _ = try? directory.upgradeIfNeeded()
                let after = disk.memory.crashed(.random(seed))
                let again = self.directory(after)
                _ = try again.upgradeIfNeeded()
                #expect(try again.upgradeIfNeeded() == false)
                let manifest = try #require(try again.load())
                #expect(manifest == .upgrading(filename: "appendonly.aof"))
                #expect(after.bytes(again.path("appendonly.aof"))?.count == 14, "step \(steps) seed \(seed)")
                // A power loss may have kept the new name and the old one; nobody loads it by the old one any more.
                if let old = after.bytes("data/appendonly.aof") { #expect(old.count == 14) }
                #expect(after.crashed(.nothing).bytes(again.path("appendonly.aof"))?.count == 14)
            }
        }
    }

    @Test func upgradeLeavesALogOfItsOwnAlone() throws {
        let disk = MemoryFileSystem()
        let directory = directory(disk)
        try directory.create()
        var manifest = AOFManifest(filename: "appendonly.aof")
        _ = manifest.openOnStart(.rdb)
        try directory.persist(manifest)
        disk.put("data/appendonly.aof", [1])
        #expect(try directory.upgradeIfNeeded() == false)
        #expect(try directory.load() == manifest)
    }

    @Test func historyIsUnlinkedThenForgotten() throws {
        let disk = MemoryFileSystem()
        let directory = directory(disk)
        try directory.create()
        var manifest = AOFManifest(filename: "appendonly.aof")
        let opening = manifest.openOnStart(.rdb)
        disk.put(directory.path(opening.increment), [])
        disk.put(directory.path(opening.createBase?.name ?? ""), [])
        let increment = manifest.addIncrement()
        _ = manifest.rewriteDone(.rdb, keepingIncrementsFrom: increment.sequence)
        try directory.persist(manifest)
        #expect(try directory.removeHistory(&manifest).count == 2)
        #expect(try directory.load() == manifest)
        #expect(try disk.list(directory.path) == ["appendonly.aof.manifest"])
    }

    /// Only what is newer than all that is named, and holds something, was ever named: an unfinished rewrite leaves an
    /// empty file, and a damage that was cut off leaves files which a newer one is named after.
    @Test func filesNewerThanAllNamesMakeAManifestDoubtful() throws {
        let disk = MemoryFileSystem()
        let directory = directory(disk)
        try directory.create()
        var manifest = AOFManifest(filename: "appendonly.aof")
        _ = manifest.openOnStart(.rdb)
        func doubt() -> String? {
            do {
                try AOFDirectory.requireComplete(manifest, at: directory.manifestPath, in: disk)
                return nil
            } catch { return error.description }
        }
        for name in ["appendonly.aof.1.incr.aof", "appendonly.aof.1.base.rdb", "appendonly.aof.9.base.rdb",
                     "other.aof.9.incr.aof", "appendonly.aof..incr.aof", "appendonly.aof.incr.aof",
                     "appendonly.aof.2.incr.aof.damaged-20261126", "appendonly.aof.99999999999999999999.incr.aof"] {
            disk.put(directory.path(name), [1])
        }
        disk.put(directory.path("appendonly.aof.2.incr.aof"), [])
        #expect(doubt() == nil)
        disk.put(directory.path("appendonly.aof.2.incr.aof"), [1])
        #expect(doubt()?.contains("appendonly.aof.2.incr.aof lies beside it with 1 bytes") == true)
        let second = manifest.addIncrement()
        #expect(doubt() == nil)
        let dropped = manifest.dropIncrements(behind: manifest.increments[0])
        #expect(dropped == [second])
        _ = manifest.openOnStart(.rdb, needsBase: false, continues: false)
        #expect(doubt() == nil)
        disk.put(directory.path("appendonly.aof.4.incr.aof"), [1])
        #expect(doubt() != nil)
        manifest.tieBase(.init(bytes: 1, crc: 1), covers: 0)
        #expect(doubt() == nil)
    }

    @Test func fixturesManifestsComeBackByteForByte() throws {
        let disk = PosixFileSystem()
        for server in ["redis-7.0", "redis-7.4", "redis-8-dev", "valkey-8"] {
            let path = Fixture.path("servers/\(server)/appendonlydir/appendonly.aof.manifest")
            let bytes = try disk.contents(path, limit: 4096)
            let manifest = try AOFManifest.parse(bytes.bytes, filename: "appendonly.aof")
            let again = manifest.format()
            let isSame = again.bytes.equals(bytes.bytes)
            #expect(isSame)
        }
    }
}
