import Primitives
#if canImport(Glibc)
import Glibc
#endif

/// The real disk, by libc calls of a dynamically linked binary (so that faults can be injected from outside). EINTR
/// and short transfers are dealt with here and nowhere else.
package final class PosixFileSystem: FileSystem {
    /// Permission bits of new files, before umask.
    private static let permissions: mode_t = 0o644

    package init() {}

    package func open(_ path: String, _ mode: FileMode) throws(StorageError) -> File {
        let flags: Int32
        switch mode {
        case .read: flags = O_RDONLY
        case .append: flags = O_WRONLY | O_APPEND
        case .appendOrCreate: flags = O_WRONLY | O_APPEND | O_CREAT
        case .createNew: flags = O_WRONLY | O_APPEND | O_CREAT | O_EXCL
        case .createOrEmpty: flags = O_WRONLY | O_APPEND | O_CREAT | O_TRUNC
        case .update: flags = O_WRONLY
        case .createToUpdate: flags = O_WRONLY | O_CREAT | O_TRUNC
        }
        let operation: StorageError.Operation = flags & O_CREAT != 0 ? .create : .open
        let descriptor = try call(operation, path) { Glibc.open(path, flags | O_CLOEXEC, Self.permissions) }
        return File(descriptor: descriptor, path: path)
    }

    package func close(_ file: File) { _ = Glibc.close(file.descriptor) }

    package func read(_ file: File, into buffer: UnsafeMutableRawBufferPointer) throws(StorageError) -> Int {
        try call(.read, file.path) { Glibc.read(file.descriptor, buffer.baseAddress, buffer.count) }
    }

    package func read(_ file: File, at offset: Int,
                      into buffer: UnsafeMutableRawBufferPointer) throws(StorageError) -> Int {
        guard let base = buffer.baseAddress else { return 0 }
        var done = 0
        while done < buffer.count {
            let count = try call(.read, file.path, at: offset + done) {
                pread(file.descriptor, base + done, buffer.count - done, offset + done)
            }
            if count == 0 { break }
            done += count
        }
        return done
    }

    package func write(_ file: File, _ head: Bytes, _ body: Bytes) throws(StorageError) {
        try WholeTransfer.write(file.path, head, body) { head, body in
            let written = head.count == 0 ? Glibc.write(file.descriptor, body.baseAddress, body.count)
                : Self.gather(file.descriptor, head, body)
            return written < 0 ? -Int(errno) : written
        }
    }

    private static func gather(_ descriptor: Int32, _ head: Bytes, _ body: Bytes) -> Int {
        var parts = (part(head), part(body))
        return withUnsafeBytes(of: &parts) { raw in
            writev(descriptor, raw.assumingMemoryBound(to: iovec.self).baseAddress, 2)
        }
    }

    package func write(_ file: File, at offset: Int, _ head: Bytes, _ body: Bytes,
                       _ tail: Bytes) throws(StorageError) {
        try WholeTransfer.write(file.path, head, body, tail) { head, body, tail, done in
            var parts = (Self.part(head), Self.part(body), Self.part(tail))
            let written = withUnsafeBytes(of: &parts) { raw in
                pwritev(file.descriptor, raw.assumingMemoryBound(to: iovec.self).baseAddress, 3, offset + done)
            }
            return written < 0 ? -Int(errno) : written
        }
    }

    private static func part(_ bytes: Bytes) -> iovec {
        iovec(iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count)
    }

    package func truncate(_ file: File, to size: Int) throws(StorageError) {
        _ = try call(.truncate, file.path, at: size) { ftruncate(file.descriptor, size) }
    }

    package func syncData(_ file: File) throws(StorageError) {
        _ = try call(.sync, file.path) { fdatasync(file.descriptor) }
    }

    package func sync(_ file: File) throws(StorageError) {
        _ = try call(.sync, file.path) { fsync(file.descriptor) }
    }

    package func dropCache(_ file: File) { _ = posix_fadvise(file.descriptor, 0, 0, POSIX_FADV_DONTNEED) }

    package func size(_ file: File) throws(StorageError) -> Int {
        var status = stat()
        _ = try call(.stat, file.path) { fstat(file.descriptor, &status) }
        return Int(status.st_size)
    }

    package func rename(_ source: String, _ target: String) throws(StorageError) {
        _ = try call(.rename, "\(source) to \(target)") { Glibc.rename(source, target) }
    }

    package func link(_ existing: String, _ name: String) throws(StorageError) {
        _ = try call(.link, "\(existing) as \(name)") { Glibc.link(existing, name) }
    }

    package func unlink(_ path: String) throws(StorageError) {
        _ = try call(.unlink, path) { Glibc.unlink(path) }
    }

    package func makeDirectory(_ path: String) throws(StorageError) {
        do throws(StorageError) {
            _ = try call(.makeDirectory, path) { mkdir(path, 0o755) }
        } catch {
            if error.reason == .system(EEXIST), try status(path)?.kind == .directory { return }
            throw error
        }
    }

    package func list(_ directory: String) throws(StorageError) -> [String] {
        guard let stream = opendir(directory) else { throw StorageError(.list, directory, errno: errno) }
        defer { closedir(stream) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                if errno != 0 { throw StorageError(.list, directory, errno: errno) }
                return names.sorted()
            }
            let name = withUnsafeBytes(of: entry.pointee.d_name) { raw in
                String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != "." && name != ".." { names.append(name) }
        }
    }

    package func status(_ path: String) throws(StorageError) -> FileStatus? {
        var status = stat()
        do throws(StorageError) {
            _ = try call(.stat, path) { stat(path, &status) }
        } catch {
            if error.reason == .system(ENOENT) || error.reason == .system(ENOTDIR) { return nil }
            throw error
        }
        let kind: FileStatus.Kind
        switch status.st_mode & S_IFMT {
        case S_IFREG: kind = .file
        case S_IFDIR: kind = .directory
        default: kind = .other
        }
        let modified = Int64(status.st_mtim.tv_sec) &* 1000 &+ Int64(status.st_mtim.tv_nsec) / 1_000_000
        return FileStatus(kind: kind, size: Int(status.st_size), modified: UnixMilliseconds(modified))
    }

    package func syncDirectory(_ directory: String) throws(StorageError) {
        let descriptor = try call(.syncDirectory, directory) {
            Glibc.open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        }
        defer { _ = Glibc.close(descriptor) }
        _ = try call(.syncDirectory, directory) { fsync(descriptor) }
    }

    package func space(_ path: String) throws(StorageError) -> FileSystemSpace {
        var status = statvfs()
        _ = try call(.stat, path) { statvfs(path, &status) }
        let block = UInt64(status.f_frsize)
        return FileSystemSpace(free: Int(clamping: UInt64(status.f_bavail).multipliedFullWidth(by: block).low),
                               total: Int(clamping: UInt64(status.f_blocks).multipliedFullWidth(by: block).low))
    }

    /// Repeats a call that a signal interrupted.
    @inline(__always)
    private func call<Result: SignedInteger>(_ operation: StorageError.Operation, _ path: @autoclosure () -> String,
                                             at offset: Int? = nil,
                                             _ body: () -> Result) throws(StorageError) -> Result {
        while true {
            let result = body()
            if result >= 0 { return result }
            let code = errno
            if code != EINTR { throw StorageError(operation, path(), at: offset, errno: code) }
        }
    }
}
