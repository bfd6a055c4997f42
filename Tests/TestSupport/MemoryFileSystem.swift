import Primitives
import Storage
import Synchronization
#if canImport(Glibc)
import Glibc
#endif

/// A disk in memory that knows what a power loss would take: bytes that no sync covered, names whose directory was
/// not synced. Faults are planted by `faults`.
///
/// Model: a file's durable bytes are those of its last successful sync. A directory remembers the changes of names
/// since its last sync, in order; a crash keeps a prefix of them.
package final class MemoryFileSystem: FileSystem {
    package struct Faults: Sendable {
        /// The nth `sync`/`syncData` from now on fails with EIO (1 is the next); the file's unsynced bytes are dropped.
        package var failSync: Int?
        /// All syncs fail.
        package var failAllSyncs = false
        /// Bytes that may still be written before ENOSPC; the part that fits is written.
        package var room: Int?
        /// A write takes at most so many bytes, then fails with EIO.
        package var tearWriteAfter: Int?
        package var failTruncate = false
        package var failRename = false
        /// Microseconds that each sync takes.
        package var syncMicroseconds: UInt32 = 0

        package init(failSync: Int? = nil, room: Int? = nil, failRename: Bool = false) {
            self.failSync = failSync
            self.room = room
            self.failRename = failRename
        }
    }

    /// What a crash leaves of what was not synced.
    package enum Survival: Sendable {
        case nothing
        case everything
        /// Any prefix of it, maybe with zeros at the end, by this seed.
        case random(UInt64)
    }

    private struct Node: Sendable {
        var bytes: [UInt8] = []
        var durable: [UInt8] = []
        var isDirectory = false
    }

    private struct NameChange: Sendable {
        var removed: [String] = []
        var added: (name: String, node: Int)?
    }

    private struct Disk: Sendable {
        var nodes: [Node] = []
        /// Path to node.
        var names: [String: Int] = [:]
        var durableNames: [String: Int] = [:]
        /// Per directory path, in order.
        var unsynced: [(directories: [String], change: NameChange)] = []
        var open: [Int32: (node: Int, position: Int)] = [:]
        var nextDescriptor: Int32 = 1000
        var faults = Faults()
        var events: [String] = []
        var syncCount = 0
    }

    private let disk: Mutex<Disk>

    /// An empty disk with the directories `directories`, durable.
    package init(directories: [String] = ["data"]) {
        var start = Disk()
        for path in directories {
            start.nodes.append(Node(isDirectory: true))
            start.names[path] = start.nodes.count - 1
        }
        start.durableNames = start.names
        disk = Mutex(start)
    }

    private init(_ disk: Disk) { self.disk = Mutex(disk) }

    package var faults: Faults {
        get { disk.withLock { $0.faults } }
        set { disk.withLock { $0.faults = newValue } }
    }

    /// What was done, one line each: the golden text of a procedure.
    package var events: [String] { disk.withLock { $0.events } }
    package func clearEvents() { disk.withLock { $0.events = [] } }
    package var syncCount: Int { disk.withLock { $0.syncCount } }

    /// The file as it is now; nil if there is none.
    package func bytes(_ path: String) -> [UInt8]? {
        disk.withLock { disk in disk.names[path].map { disk.nodes[$0].bytes } }
    }

    /// Puts a durable file.
    package func put(_ path: String, _ bytes: [UInt8]) {
        disk.withLock { disk in
            disk.nodes.append(Node(bytes: bytes, durable: bytes))
            disk.names[path] = disk.nodes.count - 1
            disk.durableNames[path] = disk.nodes.count - 1
        }
    }

    // MARK: Crash

    /// The disk as the next start would find it, if the power went now.
    package func crashed(_ survival: Survival) -> MemoryFileSystem {
        disk.withLock { disk in
            var random = RandomSource(seed: { if case .random(let seed) = survival { seed } else { 0 } }())
            var after = disk
            after.open = [:]
            after.faults = Faults()
            after.events = []
            after.names = disk.durableNames
            let keep: Int
            switch survival {
            case .nothing: keep = 0
            case .everything: keep = disk.unsynced.count
            case .random: keep = Int(random.next() % UInt64(disk.unsynced.count + 1))
            }
            for (_, change) in disk.unsynced.prefix(keep) { Self.apply(change, &after.names) }
            for index in after.nodes.indices {
                after.nodes[index].bytes = Self.surviving(disk.nodes[index], survival, &random)
                after.nodes[index].durable = after.nodes[index].bytes
            }
            after.durableNames = after.names
            after.unsynced = []
            return MemoryFileSystem(after)
        }
    }

    private static func surviving(_ node: Node, _ survival: Survival, _ random: inout RandomSource) -> [UInt8] {
        switch survival {
        case .nothing: return node.durable
        case .everything: return node.bytes
        case .random:
            guard node.bytes.count > node.durable.count, node.bytes.starts(with: node.durable) else {
                return random.next() & 1 == 0 ? node.durable : node.bytes
            }
            let extra = node.bytes.count - node.durable.count
            let kept = Int(random.next() % UInt64(extra + 1))
            var bytes = Array(node.bytes.prefix(node.durable.count + kept))
            // The size reached the disk, the last block did not.
            if random.next() & 3 == 0 {
                for index in bytes.indices.suffix(min(kept, Int(random.next() % 64))) { bytes[index] = 0 }
            }
            return bytes
        }
    }

    private static func apply(_ change: NameChange, _ names: inout [String: Int]) {
        for name in change.removed { names[name] = nil }
        if let added = change.added { names[added.name] = added.node }
    }

    private static func change(_ disk: inout Disk, _ directories: [String], _ change: NameChange) {
        apply(change, &disk.names)
        disk.unsynced.append((directories, change))
    }

    /// With errors that leave the lock as values, for `Mutex` rethrows untyped ones only.
    private func locked<Value>(
        _ body: (inout Disk) -> Result<Value, StorageError>
    ) throws(StorageError) -> Value {
        let result = disk.withLock { disk in UncheckedBox(body(&disk)) }
        return try result.value.get()
    }

    private struct UncheckedBox<Value>: @unchecked Sendable {
        let value: Value
        init(_ value: Value) { self.value = value }
    }

    private func note(_ disk: inout Disk, _ text: String) { disk.events.append(text) }

    // MARK: FileSystem

    package func open(_ path: String, _ mode: FileMode) throws(StorageError) -> File {
        try locked { disk in
            var node = disk.names[path]
            if let node, disk.nodes[node].isDirectory { return .failure(StorageError(.open, path, errno: EISDIR)) }
            switch mode {
            case .read, .append:
                if node == nil { return .failure(StorageError(.open, path, errno: ENOENT)) }
            case .createNew:
                if node != nil { return .failure(StorageError(.create, path, errno: EEXIST)) }
            case .appendOrCreate: break
            case .createOrEmpty:
                if let node { disk.nodes[node].bytes = [] }
            }
            if node == nil {
                guard disk.names[FilePath.directory(path)].map({ disk.nodes[$0].isDirectory }) == true else {
                    return .failure(StorageError(.create, path, errno: ENOENT))
                }
                disk.nodes.append(Node())
                node = disk.nodes.count - 1
                note(&disk, "create \(path)")
                Self.change(&disk, [FilePath.directory(path)],
                            NameChange(added: (path, disk.nodes.count - 1)))
            }
            disk.nextDescriptor += 1
            disk.open[disk.nextDescriptor] = (node ?? 0, 0)
            return .success(File(descriptor: disk.nextDescriptor, path: path))
        }
    }

    package func close(_ file: File) {
        disk.withLock { disk in
            precondition(disk.open.removeValue(forKey: file.descriptor) != nil, "closed twice: \(file.path)")
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
        let bytes = disk.withLock { disk in disk.open[file.descriptor].map { disk.nodes[$0.node].bytes } } ?? []
        let part = bytes.dropFirst(offset).prefix(buffer.count)
        buffer.copyBytes(from: part)
        return part.count
    }

    package func write(_ file: File, _ head: Bytes, _ body: Bytes) throws(StorageError) {
        var bytes = Array(head)
        bytes.append(contentsOf: body)
        let all = bytes
        try locked { (disk: inout Disk) -> Result<Void, StorageError> in
            guard let node = disk.open[file.descriptor]?.node else {
                return .failure(StorageError(.write, file.path, errno: EBADF))
            }
            var fits = all.count
            var code: Int32 = 0
            if let limit = disk.faults.tearWriteAfter, limit < fits { (fits, code) = (limit, EIO) }
            if let room = disk.faults.room {
                if room < fits { (fits, code) = (room, ENOSPC) }
                disk.faults.room = room - fits
            }
            disk.nodes[node].bytes.append(contentsOf: all.prefix(fits))
            note(&disk, "write \(file.path) \(fits)")
            return code == 0 ? .success(()) : .failure(StorageError(.write, file.path, errno: code))
        }
    }

    package func truncate(_ file: File, to size: Int) throws(StorageError) {
        try locked { (disk: inout Disk) -> Result<Void, StorageError> in
            guard let node = disk.open[file.descriptor]?.node, !disk.faults.failTruncate else {
                return .failure(StorageError(.truncate, file.path, at: size, errno: EIO))
            }
            let now = disk.nodes[node].bytes
            disk.nodes[node].bytes = now.count >= size
                ? Array(now.prefix(size)) : now + Array(repeating: 0, count: size - now.count)
            if let room = disk.faults.room { disk.faults.room = room + max(0, now.count - size) }
            note(&disk, "truncate \(file.path) \(size)")
            return .success(())
        }
    }

    package func syncData(_ file: File) throws(StorageError) { try sync(file) }

    package func sync(_ file: File) throws(StorageError) {
        let pause = disk.withLock { $0.faults.syncMicroseconds }
        if pause > 0 { usleep(pause) }
        try locked { (disk: inout Disk) -> Result<Void, StorageError> in
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
                disk.nodes[node].durable = disk.nodes[node].bytes
                note(&disk, "sync \(file.path)")
                return .success(())
            }
            // The kernel drops the dirty pages: a later sync of this file succeeds and means nothing.
            note(&disk, "sync \(file.path) EIO")
            return .failure(StorageError(.sync, file.path, errno: EIO))
        }
    }

    package func size(_ file: File) throws(StorageError) -> Int {
        disk.withLock { disk in disk.open[file.descriptor].map { disk.nodes[$0.node].bytes.count } ?? 0 }
    }

    package func rename(_ source: String, _ target: String) throws(StorageError) {
        try locked { (disk: inout Disk) -> Result<Void, StorageError> in
            guard let node = disk.names[source], !disk.faults.failRename else {
                let code = disk.faults.failRename ? EIO : ENOENT
                return .failure(StorageError(.rename, "\(source) to \(target)", errno: code))
            }
            note(&disk, "rename \(source) \(target)")
            Self.change(&disk, [FilePath.directory(source), FilePath.directory(target)],
                        NameChange(removed: [source], added: (target, node)))
            return .success(())
        }
    }

    package func link(_ existing: String, _ name: String) throws(StorageError) {
        try locked { (disk: inout Disk) -> Result<Void, StorageError> in
            guard let node = disk.names[existing], disk.names[name] == nil else {
                return .failure(StorageError(.link, "\(existing) as \(name)", errno: EEXIST))
            }
            note(&disk, "link \(existing) \(name)")
            Self.change(&disk, [FilePath.directory(name)], NameChange(added: (name, node)))
            return .success(())
        }
    }

    package func unlink(_ path: String) throws(StorageError) {
        try locked { (disk: inout Disk) -> Result<Void, StorageError> in
            guard disk.names[path] != nil else { return .failure(StorageError(.unlink, path, errno: ENOENT)) }
            note(&disk, "unlink \(path)")
            Self.change(&disk, [FilePath.directory(path)], NameChange(removed: [path]))
            return .success(())
        }
    }

    package func makeDirectory(_ path: String) throws(StorageError) {
        try locked { (disk: inout Disk) -> Result<Void, StorageError> in
            if disk.names[path] != nil { return .success(()) }
            disk.nodes.append(Node(isDirectory: true))
            note(&disk, "mkdir \(path)")
            Self.change(&disk, [FilePath.directory(path)], NameChange(added: (path, disk.nodes.count - 1)))
            return .success(())
        }
    }

    package func list(_ directory: String) throws(StorageError) -> [String] {
        disk.withLock { disk in
            disk.names.keys.filter { $0 != directory && FilePath.directory($0) == directory }
                .map(FilePath.name).sorted()
        }
    }

    package func status(_ path: String) throws(StorageError) -> FileStatus? {
        disk.withLock { disk in
            disk.names[path].map { node in
                FileStatus(kind: disk.nodes[node].isDirectory ? .directory : .file,
                           size: disk.nodes[node].bytes.count, modified: UnixMilliseconds(0))
            }
        }
    }

    /// Makes the changes of names in `directory` durable; a rename between directories becomes so with either.
    package func syncDirectory(_ directory: String) throws(StorageError) {
        disk.withLock { disk in
            note(&disk, "syncdir \(directory)")
            var rest: [(directories: [String], change: NameChange)] = []
            for entry in disk.unsynced {
                if entry.directories.contains(directory) {
                    Self.apply(entry.change, &disk.durableNames)
                } else {
                    rest.append(entry)
                }
            }
            disk.unsynced = rest
        }
    }
}
