import Primitives
import Storage
#if canImport(Glibc)
import Glibc
#endif
import Synchronization

/// A memory disk on which everything fails that would change it, after so many changes: the process died there. Crash
/// clones of `memory` are what the next start finds.
package final class StoppingFileSystem: FileSystem {
    package let memory: MemoryFileSystem
    private let left: Atomic<Int>

    package init(_ memory: MemoryFileSystem = MemoryFileSystem(), after changes: Int) {
        self.memory = memory
        left = Atomic(changes)
    }

    private func step(_ path: String) throws(StorageError) {
        if left.wrappingSubtract(1, ordering: .relaxed).newValue < 0 { throw StorageError(.write, path, errno: EIO) }
    }

    package func open(_ path: String, _ mode: FileMode) throws(StorageError) -> File {
        if mode != .read { try step(path) }
        return try memory.open(path, mode)
    }
    package func close(_ file: File) { memory.close(file) }
    package func read(_ file: File, into buffer: UnsafeMutableRawBufferPointer) throws(StorageError) -> Int {
        try memory.read(file, into: buffer)
    }
    package func read(_ file: File, at offset: Int,
                      into buffer: UnsafeMutableRawBufferPointer) throws(StorageError) -> Int {
        try memory.read(file, at: offset, into: buffer)
    }
    package func write(_ file: File, _ head: Bytes, _ body: Bytes) throws(StorageError) {
        try step(file.path)
        try memory.write(file, head, body)
    }
    package func truncate(_ file: File, to size: Int) throws(StorageError) {
        try step(file.path)
        try memory.truncate(file, to: size)
    }
    package func syncData(_ file: File) throws(StorageError) {
        try step(file.path)
        try memory.syncData(file)
    }
    package func sync(_ file: File) throws(StorageError) {
        try step(file.path)
        try memory.sync(file)
    }
    package func size(_ file: File) throws(StorageError) -> Int { try memory.size(file) }
    package func rename(_ source: String, _ target: String) throws(StorageError) {
        try step(source)
        try memory.rename(source, target)
    }
    package func link(_ existing: String, _ name: String) throws(StorageError) {
        try step(name)
        try memory.link(existing, name)
    }
    package func unlink(_ path: String) throws(StorageError) {
        try step(path)
        try memory.unlink(path)
    }
    package func makeDirectory(_ path: String) throws(StorageError) {
        try step(path)
        try memory.makeDirectory(path)
    }
    package func list(_ directory: String) throws(StorageError) -> [String] { try memory.list(directory) }
    package func status(_ path: String) throws(StorageError) -> FileStatus? { try memory.status(path) }
    package func syncDirectory(_ directory: String) throws(StorageError) {
        try step(directory)
        try memory.syncDirectory(directory)
    }
}
