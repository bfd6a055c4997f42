import Primitives
import Storage
import Testing
import TestSupport
#if canImport(Glibc)
import Glibc
#endif

@Suite struct FileSystemTests {
    private func text(_ disk: any FileSystem, _ path: String, limit: Int = 10) throws -> String {
        let bytes = try disk.contents(path, limit: limit)
        return String(decoding: bytes.bytes, as: UTF8.self)
    }

    /// What both disks must do alike.
    private func exercise(_ disk: any FileSystem, _ directory: String) throws {
        let path = FilePath.join(directory, "a")
        #expect(try disk.status(path) == nil)
        #expect(throws: StorageError(.open, path, errno: ENOENT)) { try disk.open(path, .read) }
        let file = try disk.open(path, .createNew)
        #expect(throws: StorageError(.create, path, errno: EEXIST)) { try disk.open(path, .createNew) }
        try disk.write(file, ("head " as StaticString).bytes, ("body" as StaticString).bytes)
        try disk.write(file, (" more" as StaticString).bytes)
        try disk.syncData(file)
        try disk.sync(file)
        #expect(try disk.size(file) == 14)
        try disk.truncate(file, to: 9)
        try disk.write(file, ("!" as StaticString).bytes)
        disk.close(file)
        #expect(try text(disk, path) == "head body!")
        #expect(throws: StorageError.self) { _ = try text(disk, path, limit: 9) }
        let reader = try disk.open(path, .read)
        var room = [UInt8](repeating: 0, count: 6)
        func take(at offset: Int? = nil) throws -> Int {
            try room.withUnsafeMutableBytes { buffer in
                if let offset { return try disk.read(reader, at: offset, into: buffer) }
                return try disk.read(reader, into: buffer)
            }
        }
        #expect(try take(at: 5) == 5)
        #expect(try take(at: 50) == 0)
        #expect(try take() == 6)
        #expect(try take() == 4)
        #expect(try take() == 0)
        disk.close(reader)
        let other = FilePath.join(directory, "b")
        try disk.link(path, other)
        try disk.rename(path, FilePath.join(directory, "c"))
        #expect(try disk.list(directory) == ["b", "c"])
        try disk.unlink(other)
        #expect(throws: StorageError(.unlink, other, errno: ENOENT)) { try disk.unlink(other) }
        try disk.syncDirectory(directory)
        let inner = FilePath.join(directory, "d")
        try disk.makeDirectory(inner)
        try disk.makeDirectory(inner)
        #expect(try disk.status(inner)?.kind == .directory)
        try disk.replace(other, with: ("new" as StaticString).bytes, through: FilePath.join(directory, "t"))
        #expect(try text(disk, other) == "new")
        #expect(try disk.status(other)?.size == 3)
    }

    @Test func memoryAndRealDiskAgree() throws {
        try exercise(MemoryFileSystem(), "data")
        let directory = try TemporaryDirectory()
        try exercise(PosixFileSystem(), directory.path)
    }

    @Test func paths() {
        #expect(FilePath.join("a", "b") == "a/b" && FilePath.join("a/", "b") == "a/b" && FilePath.join("", "b") == "b")
        #expect(FilePath.join("a", "/b") == "/b")
        #expect(FilePath.directory("a/b") == "a" && FilePath.directory("/b") == "/" && FilePath.directory("b") == ".")
        #expect(FilePath.name("a/b") == "b" && FilePath.name("b") == "b")
    }

    @Test func errorsSayWhatWhereAndWhatToDo() {
        let full = StorageError(.write, "data/log", at: 12, errno: ENOSPC)
        #expect(full.description == "Can't write data/log at byte 12: No space left on device. "
            + "Free space on that disk; writing goes on by itself.")
        let short = StorageError(.load, "x", .truncated("ends within a record"))
        #expect(short.isTruncated && !short.isCorrupt)
    }

    @Test func crashLosesWhatWasNotSynced() throws {
        let disk = MemoryFileSystem()
        let a = try disk.open("data/a", .createNew)
        try disk.write(a, ("12" as StaticString).bytes)
        try disk.sync(a)
        #expect(disk.crashed(.nothing).bytes("data/a") == nil)  // Its name was not durable.
        try disk.syncDirectory("data")
        try disk.write(a, ("34" as StaticString).bytes)
        #expect(disk.crashed(.nothing).bytes("data/a") == Array("12".utf8))
        #expect(disk.crashed(.everything).bytes("data/a") == Array("1234".utf8))
        try disk.rename("data/a", "data/b")
        #expect(disk.crashed(.nothing).bytes("data/b") == nil)
        disk.faults.failSync = 2
        try disk.sync(a)
        #expect(throws: StorageError.self) { try disk.sync(a) }
        try disk.sync(a)
    }

    @Test func aFailedSyncDropsPagesAndTheNextOneSeemsToWork() throws {
        let disk = MemoryFileSystem()
        let a = try disk.open("data/a", .createNew)
        try disk.syncDirectory("data")
        disk.faults.failSync = 1
        try disk.write(a, ("lost" as StaticString).bytes)
        #expect(throws: StorageError.self) { try disk.sync(a) }
        try disk.write(a, ("kept" as StaticString).bytes)
        try disk.sync(a)
        #expect(disk.bytes("data/a") == Array("lostkept".utf8))
        #expect(disk.crashed(.nothing).bytes("data/a") == [0, 0, 0, 0] + Array("kept".utf8))
        // A killed program's successor sees memory, until it asks for the disk.
        let after = disk.crashed(.killed)
        #expect(after.bytes("data/a") == Array("lostkept".utf8))
        after.dropCache(try after.open("data/a", .read))
        #expect(after.bytes("data/a") == [0, 0, 0, 0] + Array("kept".utf8))
    }

    @Test func sectorsAreLostOneByOneWithHolesBetween() throws {
        let disk = MemoryFileSystem()
        let a = try disk.open("data/a", .createNew)
        try disk.syncDirectory("data")
        let bytes = [UInt8](repeating: 7, count: 512 * 6 + 100)
        try bytes.withUnsafeBytes { try disk.write(a, $0) }
        var holes = 0
        for seed in 0..<200 as Range<UInt64> {
            let left = try #require(disk.crashed(.torn(seed)).bytes("data/a"))
            #expect(left.count <= bytes.count)
            for start in stride(from: 0, to: left.count, by: 512) {
                let sector = left[start..<min(start + 512, left.count)]
                #expect(sector.allSatisfy { $0 == 7 } || sector.allSatisfy { $0 == 0 })
            }
            if let gap = left.firstIndex(of: 0), left[gap...].contains(7) { holes += 1 }
        }
        #expect(holes > 20)
    }

    @Test func namesAreLostOneByOne() throws {
        let disk = MemoryFileSystem()
        for name in ["data/a", "data/b"] { disk.close(try disk.open(name, .createNew)) }
        try disk.makeDirectory("data/new")
        disk.close(try disk.open("data/new/c", .createNew))
        try disk.syncDirectory("data/new")
        var found: Set<[String]> = []
        for seed in 0..<200 as Range<UInt64> { found.insert(disk.crashed(.torn(seed)).paths) }
        #expect(found.contains(["data", "data/a"]) && found.contains(["data", "data/b"]))
        // What lies in a directory goes with it.
        #expect(found.allSatisfy { !$0.contains("data/new/c") || $0.contains("data/new") })
        #expect(disk.crashed(.nothing).paths == ["data"])
    }

    @Test func aRenameBetweenDirectoriesNeverLosesTheFile() throws {
        let disk = MemoryFileSystem(directories: ["data", "other"])
        disk.put("data/a", [1])
        try disk.rename("data/a", "other/a")
        var found: Set<[String]> = []
        for seed in 0..<100 as Range<UInt64> { found.insert(disk.crashed(.torn(seed)).paths) }
        #expect(found == [["data", "data/a", "other"], ["data", "data/a", "other", "other/a"],
                          ["data", "other", "other/a"]])
    }

    @Test func writesAreCarriedThroughInterruptionsAndShortCounts() throws {
        let disk = MemoryFileSystem()
        disk.faults.disturbWritesOneIn = 2
        let a = try disk.open("data/a", .createNew)
        var expected: [UInt8] = []
        for count in 0..<200 {
            let head = [UInt8](repeating: 1, count: count % 7), body = [UInt8](repeating: 2, count: count)
            try head.withUnsafeBytes { head in try body.withUnsafeBytes { try disk.write(a, head, $0) } }
            expected += head + body
        }
        #expect(disk.bytes("data/a") == expected && disk.events.count > 250)
    }

    @Test func roomComesBackWhenFilesGo() throws {
        let disk = MemoryFileSystem()
        disk.faults.capacity = 10
        let a = try disk.open("data/a", .createNew)
        try disk.write(a, ("12345678" as StaticString).bytes)
        let b = try disk.open("data/b", .createNew)
        #expect(throws: StorageError.self) { try disk.write(b, ("1234" as StaticString).bytes) }
        #expect(disk.bytes("data/b") == Array("12".utf8))
        try disk.unlink("data/a")
        #expect(throws: StorageError.self) { try disk.write(b, ("3" as StaticString).bytes) }  // Still open.
        disk.close(a)
        try disk.write(b, ("345" as StaticString).bytes)
        #expect(disk.usedBytes == 5)
    }
}
