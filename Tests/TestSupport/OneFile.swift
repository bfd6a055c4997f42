import Primitives
import Storage

/// A file system of one file that is only read: for exhaustive tests, which open it ten thousands of times.
package final class OneFile: FileSystem {
    private let bytes: [UInt8]

    package init(_ bytes: [UInt8]) { self.bytes = bytes }

    package func open(_ path: String, _ mode: FileMode) throws(StorageError) -> File {
        File(descriptor: 0, path: path)
    }

    package func close(_ file: File) {}

    package func read(_ file: File, into buffer: UnsafeMutableRawBufferPointer) throws(StorageError) -> Int {
        throw Self.refusal(.read, file.path)
    }

    package func read(_ file: File, at offset: Int,
                      into buffer: UnsafeMutableRawBufferPointer) throws(StorageError) -> Int {
        let count = max(0, min(buffer.count, bytes.count - offset))
        bytes.withUnsafeBytes { source in
            if count > 0 { buffer.copyMemory(from: .init(rebasing: source[offset..<(offset + count)])) }
        }
        return count
    }

    package func size(_ file: File) throws(StorageError) -> Int { bytes.count }

    package func status(_ path: String) throws(StorageError) -> FileStatus? {
        FileStatus(kind: .file, size: bytes.count, modified: UnixMilliseconds(0))
    }

    private static func refusal(_ operation: StorageError.Operation, _ path: String) -> StorageError {
        StorageError(operation, path, .unsupported("a file that is only read"))
    }

    package func write(_ file: File, _ head: Bytes, _ body: Bytes) throws(StorageError) {
        throw Self.refusal(.write, file.path)
    }
    package func write(_ file: File, at offset: Int, _ head: Bytes, _ body: Bytes,
                       _ tail: Bytes) throws(StorageError) {
        throw Self.refusal(.write, file.path)
    }
    package func truncate(_ file: File, to size: Int) throws(StorageError) { throw Self.refusal(.truncate, file.path) }
    package func syncData(_ file: File) throws(StorageError) { throw Self.refusal(.sync, file.path) }
    package func sync(_ file: File) throws(StorageError) { throw Self.refusal(.sync, file.path) }
    package func dropCache(_ file: File) {}
    package func rename(_ source: String, _ target: String) throws(StorageError) { throw Self.refusal(.rename, source) }
    package func link(_ existing: String, _ name: String) throws(StorageError) { throw Self.refusal(.link, existing) }
    package func unlink(_ path: String) throws(StorageError) { throw Self.refusal(.unlink, path) }
    package func makeDirectory(_ path: String) throws(StorageError) { throw Self.refusal(.makeDirectory, path) }
    package func list(_ directory: String) throws(StorageError) -> [String] { throw Self.refusal(.list, directory) }
    package func space(_ path: String) throws(StorageError) -> FileSystemSpace { throw Self.refusal(.stat, path) }
    package func syncDirectory(_ path: String) throws(StorageError) { throw Self.refusal(.syncDirectory, path) }
}
