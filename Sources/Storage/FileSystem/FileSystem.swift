import Primitives

// The seam between storage and the disk. Everything that Storage does to files goes through here, so that tests can
// lose unsynced bytes, fail the nth sync, and fill the disk. What is durable when:
//
//     bytes of a file      after `syncData` or `sync` of that file returned
//     a name in a directory (create, rename, link, unlink)   after `syncDirectory` of that directory returned
//
// Neither implies the other: a new file needs both.

/// An open file: a trivial handle, whose owner is whoever opened it and must `close` it.
package struct File: Sendable, Equatable {
    package let descriptor: Int32
    /// As given to `open`; for messages.
    package let path: String

    package init(descriptor: Int32, path: String) {
        self.descriptor = descriptor
        self.path = path
    }
}

package enum FileMode: Sendable {
    /// Must exist.
    case read
    /// Must exist; writes go to the end.
    case append
    /// Created when missing; writes go to the end.
    case appendOrCreate
    /// Must not exist; writes go to the end.
    case createNew
    /// Created, or emptied; writes go to the end.
    case createOrEmpty
    /// Must exist; for `write(at:)`.
    case update
    /// Created, or emptied; for `write(at:)`, and for `write` as long as that is not used.
    case createToUpdate
}

package struct FileStatus: Sendable, Equatable {
    package enum Kind: Sendable { case file, directory, other }
    package var kind: Kind
    /// Bytes.
    package var size: Int
    package var modified: UnixMilliseconds

    package init(kind: Kind, size: Int, modified: UnixMilliseconds) {
        self.kind = kind
        self.size = size
        self.modified = modified
    }
}

/// Bytes.
package struct FileSystemSpace: Sendable, Equatable {
    /// What an ordinary user may still write.
    package var free: Int
    package var total: Int

    package init(free: Int, total: Int) {
        self.free = free
        self.total = total
    }
}

/// All calls may come from any thread, and block as long as the disk does.
package protocol FileSystem: AnyObject, Sendable {
    func open(_ path: String, _ mode: FileMode) throws(StorageError) -> File
    /// Closes; nothing can be learned from a close that fails.
    func close(_ file: File)

    /// Reads at the file's own position, which moves. Fewer bytes than asked for may come; 0 at the end.
    func read(_ file: File, into buffer: UnsafeMutableRawBufferPointer) throws(StorageError) -> Int
    /// Reads at `offset`. Fewer bytes than asked for only at the end of the file.
    func read(_ file: File, at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(StorageError) -> Int

    /// Writes all of `head`, then all of `body`. When it throws, any part of them may be in the file.
    func write(_ file: File, _ head: Bytes, _ body: Bytes) throws(StorageError)
    /// Likewise `head`, `body` and `tail`, from `offset` on, over what stands there. The file must be one to update:
    /// Linux writes to the end of one that is open for appending.
    func write(_ file: File, at offset: Int, _ head: Bytes, _ body: Bytes, _ tail: Bytes) throws(StorageError)
    func truncate(_ file: File, to size: Int) throws(StorageError)

    /// fdatasync: contents and size. After a failure the pages may be gone: never retry on the same file.
    func syncData(_ file: File) throws(StorageError)
    /// fsync: all of the file.
    func sync(_ file: File) throws(StorageError)
    /// Forgets what memory has of the file, as far as it is on the disk: later reads show what the disk has. (After a
    /// failed fsync memory may have more.) A request to the kernel, which nothing answers.
    func dropCache(_ file: File)
    func size(_ file: File) throws(StorageError) -> Int

    /// Atomically replaces `target` if it exists.
    func rename(_ source: String, _ target: String) throws(StorageError)
    func link(_ existing: String, _ name: String) throws(StorageError)
    func unlink(_ path: String) throws(StorageError)
    /// Does nothing if there is one already.
    func makeDirectory(_ path: String) throws(StorageError)
    /// Names in a directory, without `.` and `..`, sorted.
    func list(_ directory: String) throws(StorageError) -> [String]
    /// Nil when nothing has that path.
    func status(_ path: String) throws(StorageError) -> FileStatus?
    func syncDirectory(_ directory: String) throws(StorageError)
    /// Of the file system that has `path`.
    func space(_ path: String) throws(StorageError) -> FileSystemSpace
}

extension FileSystem {
    package func write(_ file: File, _ body: Bytes) throws(StorageError) {
        try write(file, Bytes(start: nil, count: 0), body)
    }

    /// The whole file, which must not be larger than `limit` bytes.
    package func contents(_ path: String, limit: Int) throws(StorageError) -> OwnedBytes {
        let file = try open(path, .read)
        defer { close(file) }
        var bytes = OwnedBytes(capacity: min(limit, 1 << 16) + 1)
        while true {
            bytes.reserve(min(1 << 16, limit + 1 - bytes.count))
            let room = UnsafeMutableRawBufferPointer(start: bytes.base + bytes.count,
                                                     count: bytes.capacity - bytes.count)
            let count = try read(file, at: bytes.count, into: room)
            if count == 0 { return bytes }
            bytes.commit(count)
            if bytes.count > limit {
                throw StorageError(.read, path, .unsupported("it is larger than \(limit) bytes"))
            }
        }
    }

    /// Puts a whole new file at `path`, so that after a crash either the old or the new one is there, whole: written
    /// and synced as `temporary` (same directory), renamed, directory synced.
    package func replace(_ path: String, with bytes: Bytes, through temporary: String) throws(StorageError) {
        let file = try open(temporary, .createOrEmpty)
        do throws(StorageError) {
            try write(file, bytes)
            try sync(file)
        } catch {
            close(file)
            try? unlink(temporary)
            throw error
        }
        close(file)
        do throws(StorageError) {
            try rename(temporary, path)
        } catch {
            try? unlink(temporary)
            throw error
        }
        try syncDirectory(FilePath.directory(path))
    }
}

/// Paths as text, `/` between names.
package enum FilePath {
    package static func join(_ directory: String, _ name: String) -> String {
        if directory.isEmpty || name.utf8.first == UInt8(ascii: "/") { return name }
        return directory.utf8.last == UInt8(ascii: "/") ? directory + name : directory + "/" + name
    }

    /// What stands before the last `/`; `.` when there is none.
    package static func directory(_ path: String) -> String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
        return slash == path.utf8.startIndex ? "/" : String(path[..<slash])
    }

    /// What stands behind the last `/`.
    package static func name(_ path: String) -> String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return path }
        return String(path[path.utf8.index(after: slash)...])
    }
}
