import Primitives
import Storage
#if canImport(Glibc)
import Glibc
#endif

/// A disk that takes 20 ms for calls of one kind.
package final class SlowFileSystem: ForwardingFileSystem, @unchecked Sendable {
    // @unchecked: `slow` never changes.
    package enum Call { case write, sync, rename, unlink, size }
    private let slow: Call

    package init(_ slow: Call) {
        self.slow = slow
        super.init(PosixFileSystem())
    }

    private func rest(_ call: Call) { if call == slow { usleep(20_000) } }

    package override func write(_ file: File, _ head: Bytes, _ body: Bytes) throws(StorageError) {
        rest(.write)
        try inner.write(file, head, body)
    }
    package override func write(_ file: File, at offset: Int, _ head: Bytes, _ body: Bytes,
                                _ tail: Bytes) throws(StorageError) {
        rest(.write)
        try inner.write(file, at: offset, head, body, tail)
    }
    package override func syncData(_ file: File) throws(StorageError) {
        rest(.sync)
        try inner.syncData(file)
    }
    package override func rename(_ source: String, _ target: String) throws(StorageError) {
        rest(.rename)
        try inner.rename(source, target)
    }
    package override func unlink(_ path: String) throws(StorageError) {
        rest(.unlink)
        try inner.unlink(path)
    }
    package override func size(_ file: File) throws(StorageError) -> Int {
        rest(.size)
        return try inner.size(file)
    }
}
