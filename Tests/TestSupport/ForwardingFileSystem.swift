import Primitives
import Storage
import Synchronization
#if canImport(Glibc)
import Glibc
#endif

/// Passes everything on. Subclasses change what they are about.
package class ForwardingFileSystem: FileSystem, @unchecked Sendable {
    // @unchecked: for subclasses, which say what guards their state.
    package let inner: any FileSystem

    package init(_ inner: any FileSystem) { self.inner = inner }

    package func open(_ path: String, _ mode: FileMode) throws(StorageError) -> File { try inner.open(path, mode) }
    package func close(_ file: File) { inner.close(file) }
    package func read(_ file: File, into buffer: UnsafeMutableRawBufferPointer) throws(StorageError) -> Int {
        try inner.read(file, into: buffer)
    }
    package func read(_ file: File, at offset: Int,
                      into buffer: UnsafeMutableRawBufferPointer) throws(StorageError) -> Int {
        try inner.read(file, at: offset, into: buffer)
    }
    package func write(_ file: File, _ head: Bytes, _ body: Bytes) throws(StorageError) {
        try inner.write(file, head, body)
    }
    package func write(_ file: File, at offset: Int, _ head: Bytes, _ body: Bytes,
                       _ tail: Bytes) throws(StorageError) {
        try inner.write(file, at: offset, head, body, tail)
    }
    package func truncate(_ file: File, to size: Int) throws(StorageError) { try inner.truncate(file, to: size) }
    package func syncData(_ file: File) throws(StorageError) { try inner.syncData(file) }
    package func sync(_ file: File) throws(StorageError) { try inner.sync(file) }
    package func dropCache(_ file: File) { inner.dropCache(file) }
    package func size(_ file: File) throws(StorageError) -> Int { try inner.size(file) }
    package func rename(_ source: String, _ target: String) throws(StorageError) { try inner.rename(source, target) }
    package func link(_ existing: String, _ name: String) throws(StorageError) { try inner.link(existing, name) }
    package func unlink(_ path: String) throws(StorageError) { try inner.unlink(path) }
    package func makeDirectory(_ path: String) throws(StorageError) { try inner.makeDirectory(path) }
    package func list(_ directory: String) throws(StorageError) -> [String] { try inner.list(directory) }
    package func status(_ path: String) throws(StorageError) -> FileStatus? { try inner.status(path) }
    package func syncDirectory(_ directory: String) throws(StorageError) { try inner.syncDirectory(directory) }
    package func space(_ path: String) throws(StorageError) -> FileSystemSpace { try inner.space(path) }
}

/// A memory disk on which everything fails that would change it, after so many changes: the process died there. Crash
/// clones of `memory` are what the next start finds.
package final class StoppingFileSystem: ForwardingFileSystem, @unchecked Sendable {
    package let memory: MemoryFileSystem
    private let left: Atomic<Int>

    package convenience init(_ memory: MemoryFileSystem = MemoryFileSystem(), after changes: Int) {
        self.init(memory, through: memory, after: changes)
    }

    /// - Parameter through: what lies over `memory`, with bugs of its own.
    package init(_ memory: MemoryFileSystem, through inner: any FileSystem, after changes: Int) {
        self.memory = memory
        left = Atomic(changes)
        super.init(inner)
    }

    /// Something was tried after the end: whatever the process does now happened to nobody.
    package var hasStopped: Bool { left.load(ordering: .relaxed) < 0 }
    /// Lets so many more changes through.
    package func stop(after changes: Int) { left.store(changes, ordering: .relaxed) }

    private func step(_ path: String) throws(StorageError) {
        if left.wrappingSubtract(1, ordering: .relaxed).newValue < 0 { throw StorageError(.write, path, errno: EIO) }
    }

    package override func open(_ path: String, _ mode: FileMode) throws(StorageError) -> File {
        if mode != .read { try step(path) }
        return try super.open(path, mode)
    }
    package override func write(_ file: File, _ head: Bytes, _ body: Bytes) throws(StorageError) {
        try step(file.path)
        try super.write(file, head, body)
    }
    package override func write(_ file: File, at offset: Int, _ head: Bytes, _ body: Bytes,
                                _ tail: Bytes) throws(StorageError) {
        try step(file.path)
        try super.write(file, at: offset, head, body, tail)
    }
    package override func truncate(_ file: File, to size: Int) throws(StorageError) {
        try step(file.path)
        try super.truncate(file, to: size)
    }
    package override func syncData(_ file: File) throws(StorageError) {
        try step(file.path)
        try super.syncData(file)
    }
    package override func sync(_ file: File) throws(StorageError) {
        try step(file.path)
        try super.sync(file)
    }
    package override func rename(_ source: String, _ target: String) throws(StorageError) {
        try step(source)
        try super.rename(source, target)
    }
    package override func link(_ existing: String, _ name: String) throws(StorageError) {
        try step(name)
        try super.link(existing, name)
    }
    package override func unlink(_ path: String) throws(StorageError) {
        try step(path)
        try super.unlink(path)
    }
    package override func makeDirectory(_ path: String) throws(StorageError) {
        try step(path)
        try super.makeDirectory(path)
    }
    package override func syncDirectory(_ directory: String) throws(StorageError) {
        try step(directory)
        try super.syncDirectory(directory)
    }
}

/// Reads from some byte of a file on fail.
package final class FailingReads: ForwardingFileSystem, @unchecked Sendable {
    // @unchecked: a constant alone.
    private let limit: Int

    package init(_ inner: any FileSystem, behind limit: Int) {
        self.limit = limit
        super.init(inner)
    }

    package override func read(_ file: File, at offset: Int,
                               into buffer: UnsafeMutableRawBufferPointer) throws(StorageError) -> Int {
        if offset + buffer.count > limit { throw StorageError(.read, file.path, at: offset, errno: EIO) }
        return try super.read(file, at: offset, into: buffer)
    }
}
