import Storage
#if canImport(Glibc)
import Glibc
#endif

/// A directory of the real disk that goes away with its owner, with the files in it (one level of directories).
package final class TemporaryDirectory {
    package let path: String

    package init() throws {
        var template = Array("/tmp/swift-redis-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw StorageError(.makeDirectory, "/tmp", errno: errno) }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    package func path(_ name: String) -> String { path + "/" + name }

    deinit { remove(path, depth: 2) }

    private func remove(_ directory: String, depth: Int) {
        let disk = PosixFileSystem()
        for name in (try? disk.list(directory)) ?? [] {
            let child = directory + "/" + name
            if unlink(child) != 0 && depth > 0 { remove(child, depth: depth - 1) }
        }
        rmdir(directory)
    }
}
