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
}
