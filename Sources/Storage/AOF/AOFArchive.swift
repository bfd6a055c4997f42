import CLZ4
import CZlib
import Primitives
#if canImport(Glibc)
import Glibc
#endif

// Copies of closed files of the log, in a directory of their own, with a manifest of their own (all HISTORY).
//
//     1  write temp-NAME, compressed, sync it       a crash leaves a temporary, which the next copy overwrites
//     2  rename it to NAME[.lz4|.gz], sync          the copy, which no manifest names: it is made again
//     3  run the hook                               it may run twice for a file, never not at all
//     4  persist the archive's manifest             the copy counts; nothing is done again
//
// Without a directory there is only the hook; what it has taken is noted in the log's directory, in the same way.

package struct AOFArchive: Sendable {
    package enum Compression: String, CaseIterable, Sendable {
        case lz4, gzip, none

        var suffix: String {
            switch self {
            case .lz4: ".lz4"
            case .gzip: ".gz"
            case .none: ""
            }
        }
    }

    package var directory: String
    package var compression: Compression
    /// `sh -c COMMAND sh PATH NAME`; empty: none.
    package var command: String

    package init(directory: String, compression: Compression, command: String = "") {
        self.directory = directory
        self.compression = compression
        self.command = command
    }

    package static func manifestPath(_ directory: String, _ filename: String) -> String {
        FilePath.join(directory, filename + ".archive")
    }

    /// Nil: there is none yet.
    package static func manifest(_ directory: String, _ filename: String,
                                 in fileSystem: any FileSystem) throws(StorageError) -> AOFManifest? {
        let path = manifestPath(directory, filename)
        if try fileSystem.status(path) == nil { return nil }
        return try AOFDirectory.load(fileSystem, path, filename: filename)
    }

    /// Copies those that it does not have, and tells the hook. Answers how many.
    func keep(_ entries: [AOFManifest.Entry], of log: AOFDirectory) throws(StorageError) -> Int {
        let fileSystem = log.fileSystem
        let isHook = directory.isEmpty
        let place = isHook ? log.path : directory
        if !isHook, try fileSystem.status(place) == nil {
            try fileSystem.makeDirectory(place)
            try fileSystem.syncDirectory(FilePath.directory(place))
        }
        var known = try Self.manifest(place, log.filename, in: fileSystem)
        var count = 0
        for entry in entries where known?.history.contains(where: { $0.name == entry.name }) != true {
            if !isHook {
                let target = FilePath.join(directory, entry.name + compression.suffix)
                try copy(log.path(entry), to: target, in: fileSystem)
            }
            if !command.isEmpty { try runHook(log.path(entry), entry.name) }
            var next = known ?? AOFManifest(filename: log.filename)
            // What is gone for good need not be remembered; an archive remembers all.
            if isHook { next.forgetHistory(next.history.map(\.name).filter { name in
                !entries.contains { $0.name == name }
            }) }
            next.addHistory(entry)
            let text = next.format()
            try fileSystem.replace(Self.manifestPath(place, log.filename), with: text.bytes,
                                   through: FilePath.join(place, "temp-archive"))
            known = next
            count += 1
        }
        return count
    }

    private func copy(_ path: String, to target: String, in fileSystem: any FileSystem) throws(StorageError) {
        let temporary = FilePath.join(directory, "temp-" + FilePath.name(target))
        let source = try fileSystem.open(path, .read)
        defer { fileSystem.close(source) }
        let file = try fileSystem.open(temporary, .createOrEmpty)
        do throws(StorageError) {
            var writer = try CompressedWriter(file, in: fileSystem, compression)
            let chunk = UnsafeMutableRawBufferPointer(start: Heap.allocate(1 << 18), count: 1 << 18)
            defer { if let base = chunk.baseAddress { Heap.free(base) } }
            var place = 0
            while true {
                let count = try fileSystem.read(source, at: place, into: chunk)
                if count == 0 { break }
                try writer.write(Bytes(rebasing: chunk[..<count]))
                place += count
            }
            try writer.finish()
            try fileSystem.sync(file)
        } catch {
            fileSystem.close(file)
            try? fileSystem.unlink(temporary)
            throw error
        }
        fileSystem.close(file)
        try fileSystem.rename(temporary, target)
        try fileSystem.syncDirectory(directory)
    }

    private func runHook(_ path: String, _ name: String) throws(StorageError) {
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        let words: [String] = ["sh", "-c", command, "sh", path, name]
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) }
        arguments.append(nil)
        defer { for argument in arguments { free(argument) } }
        var pid: pid_t = 0
        let code = posix_spawn(&pid, "/bin/sh", nil, &attributes, &arguments, environ)
        if code != 0 { throw StorageError(.create, "/bin/sh", errno: code) }
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
        if status != 0 {
            throw StorageError(.write, path, .unsupported(
                "aof-archive-command ended with status \(status >> 8 & 0xff)"))
        }
    }
}

/// Writes a file as it is, as one LZ4 frame or as one gzip member.
struct CompressedWriter: ~Copyable {
    private let file: File
    private let fileSystem: any FileSystem
    private let compression: AOFArchive.Compression
    private var lz4: OpaquePointer?
    private let zlib = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    private var out = OwnedBytes(capacity: 1 << 16)

    init(_ file: File, in fileSystem: any FileSystem, _ compression: AOFArchive.Compression) throws(StorageError) {
        self.file = file
        self.fileSystem = fileSystem
        self.compression = compression
        zlib.initialize(to: z_stream())
        switch compression {
        case .none: break
        case .lz4:
            try check(LZ4F_createCompressionContext(&lz4, UInt32(LZ4F_VERSION)))
            out.reserve(64)
            out.commit(try check(LZ4F_compressBegin(lz4, out.base, out.capacity, nil)))
        case .gzip:
            let size = Int32(MemoryLayout<z_stream>.size)
            if deflateInit2_(zlib, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, size) != Z_OK {
                throw StorageError(.write, file.path, .unsupported("zlib can't be set up"))
            }
        }
    }

    deinit {
        if compression == .gzip { deflateEnd(zlib) }
        if let lz4 { LZ4F_freeCompressionContext(lz4) }
        zlib.deallocate()
    }

    @discardableResult
    private func check(_ code: Int) throws(StorageError) -> Int {
        if LZ4F_isError(code) != 0 { throw StorageError(.write, file.path, .unsupported("LZ4 failed")) }
        return code
    }

    mutating func write(_ bytes: Bytes) throws(StorageError) {
        switch compression {
        case .none:
            try fileSystem.write(file, bytes)
        case .lz4:
            out.reserve(LZ4F_compressBound(bytes.count, nil))
            let room = out.capacity - out.count
            out.commit(try check(LZ4F_compressUpdate(lz4, out.base + out.count, room, bytes.baseAddress, bytes.count,
                                                     nil)))
            try pass()
        case .gzip: try deflate(bytes, Z_NO_FLUSH)
        }
    }

    private mutating func deflate(_ bytes: Bytes, _ flush: Int32) throws(StorageError) {
        zlib.pointee.next_in = UnsafeMutablePointer(
            mutating: bytes.baseAddress?.assumingMemoryBound(to: UInt8.self))
        zlib.pointee.avail_in = UInt32(bytes.count)
        while true {
            out.reserve(1 << 16)
            let room = out.capacity - out.count
            zlib.pointee.next_out = (out.base + out.count).assumingMemoryBound(to: UInt8.self)
            zlib.pointee.avail_out = UInt32(room)
            let status = CZlib.deflate(zlib, flush)
            if status == Z_STREAM_ERROR { throw StorageError(.write, file.path, .unsupported("zlib failed")) }
            let left = Int(zlib.pointee.avail_out)
            out.commit(room - left)
            try pass()
            if left > 0 || status == Z_STREAM_END { return }
        }
    }

    private mutating func pass() throws(StorageError) {
        try fileSystem.write(file, out.bytes)
        out.truncate(to: 0)
    }

    mutating func finish() throws(StorageError) {
        switch compression {
        case .none: break
        case .lz4:
            out.reserve(LZ4F_compressBound(0, nil))
            out.commit(try check(LZ4F_compressEnd(lz4, out.base, out.capacity, nil)))
            try pass()
        case .gzip: try deflate(Bytes(start: nil, count: 0), Z_FINISH)
        }
    }
}
