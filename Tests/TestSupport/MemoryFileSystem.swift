import Primitives
import Storage
import Synchronization
#if canImport(Glibc)
import Glibc
#endif

/// A disk in memory that knows what a power loss would take (MemoryDisk.swift, MemoryDiskCrash.swift), and fails as it
/// is told to by `faults`.
package final class MemoryFileSystem: FileSystem {
    package struct Faults: Sendable {
        /// The nth `sync`/`syncData` from now on fails with EIO (1 is the next); the file's unsynced bytes are dropped.
        package var failSync: Int?
        /// All syncs fail.
        package var failAllSyncs = false
        /// Syncs of directories fail.
        package var failDirectorySyncs = false
        /// Bytes that may still be written before ENOSPC; the part that fits is written.
        package var room: Int?
        /// Bytes that all files together may have before ENOSPC.
        package var capacity: Int?
        /// A write takes at most so many bytes, then fails with EIO.
        package var tearWriteAfter: Int?
        /// One in so many calls of write is interrupted by a signal before it wrote, and as many take only some bytes.
        package var disturbWritesOneIn: UInt64 = 0
        package var failTruncate = false
        package var failRename = false
        /// Microseconds that each sync takes.
        package var syncMicroseconds: UInt32 = 0
        /// Syncs don't end until it is false again (or half a minute is over: tests should fail, not hang).
        package var holdsSyncs = false

        package init(failSync: Int? = nil, room: Int? = nil, failRename: Bool = false) {
            self.failSync = failSync
            self.room = room
            self.failRename = failRename
        }
    }

    private let disk: Mutex<MemoryDisk>
    private let syncHook = Mutex<SyncHook?>(nil)

    private struct SyncHook: @unchecked Sendable {
        // @unchecked: set and called by the one thread that simulates.
        let body: () -> Void
    }

    /// An empty disk with the directories `directories`, durable.
    package init(directories: [String] = ["data"]) { disk = Mutex(MemoryDisk(directories: directories)) }

    private init(_ disk: MemoryDisk) { self.disk = Mutex(disk) }

    package var faults: Faults {
        get { disk.withLock { $0.faults } }
        set { disk.withLock { $0.faults = newValue } }
    }

    /// What was done, one line each: the golden text of a procedure.
    package var events: [String] { disk.withLock { $0.events } }
    package var recordsEvents: Bool {
        get { disk.withLock { $0.recordsEvents } }
        set { disk.withLock { $0.recordsEvents = newValue } }
    }
    package func clearEvents() { disk.withLock { $0.events = [] } }
    package var syncCount: Int { disk.withLock { $0.syncCount } }
    /// Syncs that have begun and not ended.
    package var syncsUnderWay: Int { disk.withLock { $0.syncsUnderWay } }
    /// Calls that changed the disk.
    package var changeCount: Int { disk.withLock { $0.changeCount } }
    /// Bytes of all files.
    package var usedBytes: Int { disk.withLock { $0.used } }
    package var openFileCount: Int { disk.withLock { $0.open.count } }

    /// The file as programs see it; nil if there is none.
    package func bytes(_ path: String) -> [UInt8]? {
        disk.withLock { disk in disk.names[plain(path)].map { disk.nodes[$0].seen } }
    }

    /// All paths, sorted.
    package var paths: [String] { disk.withLock { $0.names.keys.sorted() } }

    /// Puts a durable file.
    package func put(_ path: String, _ bytes: [UInt8]) { disk.withLock { $0.put(plain(path), bytes) } }

    /// The disk as the next start would find it, if the power went now.
    package func crashed(_ survival: Survival) -> MemoryFileSystem {
        disk.withLock { MemoryFileSystem($0.crashed(survival)) }
    }

    /// With errors that leave the lock as values, for `Mutex` rethrows untyped ones only.
    private func locked<Value>(
        _ body: (inout MemoryDisk) -> Result<Value, StorageError>
    ) throws(StorageError) -> Value {
        let result = disk.withLock { disk in UncheckedBox(body(&disk)) }
        return try result.value.get()
    }

    /// Without `.` in between.
    private func plain(_ path: String) -> String {
        guard let range = path.firstRange(of: "/./") else { return path }
        return plain(path[..<range.lowerBound] + "/" + path[range.upperBound...])
    }

    private struct UncheckedBox<Value>: @unchecked Sendable {
        let value: Value
        init(_ value: Value) { self.value = value }
    }

    // MARK: Files

    package func open(_ path: String, _ mode: FileMode) throws(StorageError) -> File {
        try locked { disk in
            let found = disk.names[plain(path)]
            if let found, disk.nodes[found].isDirectory { return .failure(StorageError(.open, path, errno: EISDIR)) }
            switch mode {
            case .read, .append, .update:
                if found == nil { return .failure(StorageError(.open, path, errno: ENOENT)) }
            case .createNew:
                if found != nil { return .failure(StorageError(.create, path, errno: EEXIST)) }
            case .appendOrCreate: break
            case .createOrEmpty, .createToUpdate:
                if let found, !disk.nodes[found].seen.isEmpty {
                    disk.resize(found, to: 0)
                    disk.note("empty \(path)")
                }
            }
            if let found { return .success(File(descriptor: disk.descriptor(for: found), path: path)) }
            guard disk.names[FilePath.directory(plain(path))].map({ disk.nodes[$0].isDirectory }) == true else {
                return .failure(StorageError(.create, path, errno: ENOENT))
            }
            let node = disk.makeNode()
            disk.note("create \(path)")
            disk.add(plain(path), node)
            return .success(File(descriptor: disk.descriptor(for: node), path: path))
        }
    }

    package func close(_ file: File) {
        disk.withLock { disk in
            let isOpen = disk.close(file.descriptor)
            precondition(isOpen, "closed twice: \(file.path)")
        }
    }

    package func read(_ file: File, into buffer: UnsafeMutableRawBufferPointer) throws(StorageError) -> Int {
        let position = disk.withLock { $0.open[file.descriptor]?.position ?? 0 }
        let count = try read(file, at: position, into: buffer)
        disk.withLock { $0.open[file.descriptor]?.position += count }
        return count
    }

    package func read(_ file: File, at offset: Int,
                      into buffer: UnsafeMutableRawBufferPointer) throws(StorageError) -> Int {
        let bytes = disk.withLock { disk in disk.open[file.descriptor].map { disk.nodes[$0.node].seen } } ?? []
        let part = bytes.dropFirst(offset).prefix(buffer.count)
        buffer.copyBytes(from: part)
        return part.count
    }

    package func write(_ file: File, _ head: Bytes, _ body: Bytes) throws(StorageError) {
        try write(file, nil, head, body, Bytes(start: nil, count: 0))
    }

    package func write(_ file: File, at offset: Int, _ head: Bytes, _ body: Bytes,
                       _ tail: Bytes) throws(StorageError) {
        try write(file, Optional(offset), head, body, tail)
    }

    /// - Parameter offset: nil: at the end.
    private func write(_ file: File, _ offset: Int?, _ head: Bytes, _ body: Bytes,
                       _ tail: Bytes) throws(StorageError) {
        var left = disk.withLock { $0.faults.tearWriteAfter }
        try WholeTransfer.write(file.path, head, body, tail) { head, body, tail, done in
            let taken = writeOnce(file, offset.map { $0 + done }, Array(head) + Array(body) + Array(tail), limit: left)
            if let before = left, taken > 0 { left = before - taken }
            return taken
        }
    }

    /// As the system call: bytes taken, or a negated errno. What stands already needs no room.
    private func writeOnce(_ file: File, _ offset: Int?, _ all: [UInt8], limit: Int?) -> Int {
        disk.withLock { disk in
            guard let node = disk.open[file.descriptor]?.node else { return -Int(EBADF) }
            let size = disk.nodes[node].seen.count
            let there = min(max(size - (offset ?? size), 0), all.count)
            var fits = all.count
            var code = EIO
            if let limit, limit < fits { fits = limit }
            if let room = disk.faults.room, there + room < fits { (fits, code) = (there + room, ENOSPC) }
            if let capacity = disk.faults.capacity, there + max(0, capacity - disk.used) < fits {
                (fits, code) = (there + max(0, capacity - disk.used), ENOSPC)
            }
            if disk.faults.disturbWritesOneIn > 0, fits > 0 {
                switch disk.chance.next(below: disk.faults.disturbWritesOneIn * 2) {
                case 0: return -Int(EINTR)
                case 1: fits = 1 + Int(disk.chance.next(below: UInt64(fits)))
                default: break
                }
            }
            if fits == 0 {
                if disk.recordsEvents { disk.note("write \(file.path) failed") }
                return -Int(code)
            }
            if let room = disk.faults.room { disk.faults.room = room - max(0, fits - there) }
            disk.write(all.prefix(fits), to: node, at: offset ?? size)
            disk.note("write \(file.path) \(fits)")
            return fits
        }
    }

    package func truncate(_ file: File, to size: Int) throws(StorageError) {
        try locked { (disk: inout MemoryDisk) -> Result<Void, StorageError> in
            guard let node = disk.open[file.descriptor]?.node, !disk.faults.failTruncate else {
                return .failure(StorageError(.truncate, file.path, at: size, errno: EIO))
            }
            let before = disk.nodes[node].seen.count
            if let room = disk.faults.room { disk.faults.room = room + max(0, before - size) }
            disk.resize(node, to: size)
            disk.note("truncate \(file.path) \(size)")
            return .success(())
        }
    }

    /// Called while a file is being synced, before it is known how that ends: what others do meanwhile. For simulations
    /// on one thread.
    package func whileSyncing(_ body: (() -> Void)?) {
        let hook = body.map { SyncHook(body: $0) }
        syncHook.withLock { $0 = hook }
    }

    package func syncData(_ file: File) throws(StorageError) { try sync(file) }

    package func sync(_ file: File) throws(StorageError) {
        let pause = disk.withLock { disk in
            disk.syncsUnderWay += 1
            return disk.faults.syncMicroseconds
        }
        defer { disk.withLock { $0.syncsUnderWay -= 1 } }
        if pause > 0 { usleep(pause) }
        for _ in 0..<60_000 where disk.withLock({ $0.faults.holdsSyncs }) { usleep(500) }
        if let hook = syncHook.withLock({ $0 }) { hook.body() }
        try locked { (disk: inout MemoryDisk) -> Result<Void, StorageError> in
            guard let node = disk.open[file.descriptor]?.node else {
                return .failure(StorageError(.sync, file.path, errno: EBADF))
            }
            disk.syncCount += 1
            var fails = disk.faults.failAllSyncs
            if let left = disk.faults.failSync {
                fails = fails || left == 1
                disk.faults.failSync = left > 1 ? left - 1 : nil
            }
            if !fails {
                disk.carryOut(node)
                disk.note("sync \(file.path)")
                return .success(())
            }
            disk.dropDirty(node)
            disk.note("sync \(file.path) EIO")
            return .failure(StorageError(.sync, file.path, errno: EIO))
        }
    }

    package func dropCache(_ file: File) {
        disk.withLock { disk in
            if let node = disk.open[file.descriptor]?.node { disk.dropCache(node) }
        }
    }

    package func size(_ file: File) throws(StorageError) -> Int {
        disk.withLock { disk in disk.open[file.descriptor].map { disk.nodes[$0.node].seen.count } ?? 0 }
    }

    // MARK: Names

    package func rename(_ source: String, _ target: String) throws(StorageError) {
        try locked { (disk: inout MemoryDisk) -> Result<Void, StorageError> in
            guard let node = disk.names[plain(source)], !disk.faults.failRename else {
                let code = disk.faults.failRename ? EIO : ENOENT
                return .failure(StorageError(.rename, "\(source) to \(target)", errno: code))
            }
            disk.note("rename \(source) \(target)")
            disk.rename(plain(source), plain(target), node)
            return .success(())
        }
    }

    package func link(_ existing: String, _ name: String) throws(StorageError) {
        try locked { (disk: inout MemoryDisk) -> Result<Void, StorageError> in
            guard let node = disk.names[plain(existing)], disk.names[plain(name)] == nil else {
                return .failure(StorageError(.link, "\(existing) as \(name)", errno: EEXIST))
            }
            disk.note("link \(existing) \(name)")
            disk.add(plain(name), node)
            return .success(())
        }
    }

    package func unlink(_ path: String) throws(StorageError) {
        try locked { (disk: inout MemoryDisk) -> Result<Void, StorageError> in
            guard disk.names[plain(path)] != nil else { return .failure(StorageError(.unlink, path, errno: ENOENT)) }
            disk.note("unlink \(path)")
            disk.remove(plain(path))
            return .success(())
        }
    }

    package func makeDirectory(_ path: String) throws(StorageError) {
        try locked { (disk: inout MemoryDisk) -> Result<Void, StorageError> in
            if disk.names[plain(path)] != nil { return .success(()) }
            let node = disk.makeNode(isDirectory: true)
            disk.note("mkdir \(path)")
            disk.add(plain(path), node)
            return .success(())
        }
    }

    package func list(_ directory: String) throws(StorageError) -> [String] {
        let directory = plain(directory)
        return disk.withLock { disk in
            disk.names.keys.filter { $0 != directory && FilePath.directory($0) == directory }
                .map(FilePath.name).sorted()
        }
    }

    package func status(_ path: String) throws(StorageError) -> FileStatus? {
        disk.withLock { disk in
            disk.names[plain(path)].map { node in
                FileStatus(kind: disk.nodes[node].isDirectory ? .directory : .file,
                           size: disk.nodes[node].seen.count, modified: UnixMilliseconds(0))
            }
        }
    }

    /// Makes the changes of names in `directory` durable.
    package func syncDirectory(_ directory: String) throws(StorageError) {
        try locked { (disk: inout MemoryDisk) -> Result<Void, StorageError> in
            if disk.faults.failDirectorySyncs {
                disk.note("syncdir \(directory) EIO")
                return .failure(StorageError(.syncDirectory, directory, errno: EIO))
            }
            disk.note("syncdir \(directory)")
            disk.carryOutNames(of: plain(directory))
            return .success(())
        }
    }

    /// Without a `capacity` there is a terabyte.
    package func space(_ path: String) throws(StorageError) -> FileSystemSpace {
        disk.withLock { disk in
            let total = disk.faults.capacity ?? 1 << 40
            return FileSystemSpace(free: min(max(0, total - disk.used), disk.faults.room ?? total), total: total)
        }
    }
}
