import Primitives
#if canImport(Glibc)
import Glibc
#endif

/// The whole of a dump as bytes in memory: mapped, if it is plain; else decompressed. For tools that go back and
/// forth, and for several threads. A file that is cut while it is mapped kills the process: look at copies.
package final class MappedFile: @unchecked Sendable {
    // @unchecked: immutable after init.
    package let path: String
    private let mapping: UnsafeRawBufferPointer?
    private let buffer: UnsafeMutablePointer<OwnedBytes>?
    /// A compressed file that could not be read to its end: what there is was read.
    package let damage: StorageError?

    package init(_ path: String, in fileSystem: any FileSystem) throws(StorageError) {
        self.path = path
        let file = try fileSystem.open(path, .read)
        defer { fileSystem.close(file) }
        let size = try fileSystem.size(file)
        if try RDBCompressedFile.isPlain(file, in: fileSystem) {
            buffer = nil
            damage = nil
            if size == 0 {
                mapping = nil
                return
            }
            guard let base = mmap(nil, size, PROT_READ, MAP_PRIVATE, file.descriptor, 0), base != MAP_FAILED else {
                throw StorageError(.read, path, errno: errno)
            }
            madvise(base, size, MADV_SEQUENTIAL)
            mapping = UnsafeRawBufferPointer(start: base, count: size)
            return
        }
        mapping = nil
        let source = try RDBCompressedFile.source(file, in: fileSystem)
        var bytes = OwnedBytes(capacity: max(size * 2, 1 << 16))
        var failure: StorageError?
        do throws(StorageError) {
            while true {
                bytes.reserve(1 << 18)
                let room = UnsafeMutableRawBufferPointer(start: bytes.base + bytes.count,
                                                         count: bytes.capacity - bytes.count)
                let count = try source(room)
                if count == 0 { break }
                bytes.commit(count)
            }
        } catch {
            failure = error
        }
        damage = failure
        let place = UnsafeMutablePointer<OwnedBytes>.allocate(capacity: 1)
        place.initialize(to: bytes)
        buffer = place
    }

    deinit {
        if let mapping { munmap(UnsafeMutableRawPointer(mutating: mapping.baseAddress), mapping.count) }
        buffer?.deinitialize(count: 1)
        buffer?.deallocate()
    }

    package var bytes: Bytes { buffer?.pointee.bytes ?? mapping ?? Bytes(start: nil, count: 0) }
}
