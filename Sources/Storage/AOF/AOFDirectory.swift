import Primitives
#if canImport(Glibc)
import Glibc
#endif

// The AOF's directory on the disk: `dir`/`appenddirname`.
//
// Persisting a manifest: write temp-NAME.manifest, fsync, rename over NAME.manifest, fsync the directory. Whatever
// step a power loss cuts, the next start reads the old manifest or the new one, whole. So a file is created (and its
// name synced) before the manifest that names it, and unlinked after the manifest that no longer loads it.
//
// Upgrade of an old server's single file, each step durable before the next:
//
//     1  make the directory                  crash: it is empty; the next start begins again
//     2  persist a manifest that names the old file as base 1
//                                            crash: manifest there, file not there yet; the next start goes on with 3
//     3  rename dir/NAME to directory/NAME, fsync both directories
//                                            crash: the rename happened or not; done, or as after 2

package struct AOFDirectory: Sendable {
    package let fileSystem: any FileSystem
    /// The server's `dir`.
    package let serverDirectory: String
    /// `dir`/`appenddirname`.
    package let path: String
    /// `appendfilename`.
    package let filename: String

    package init(_ fileSystem: any FileSystem, serverDirectory: String, name: String, filename: String) {
        self.fileSystem = fileSystem
        self.serverDirectory = serverDirectory
        path = FilePath.join(serverDirectory, name)
        self.filename = filename
    }

    /// The directory in which a manifest lies.
    package init(_ fileSystem: any FileSystem, holding manifest: String, filename: String) {
        self.fileSystem = fileSystem
        path = FilePath.directory(manifest)
        serverDirectory = FilePath.directory(path)
        self.filename = filename
    }

    package func path(_ name: String) -> String { FilePath.join(path, name) }
    package func path(_ entry: AOFManifest.Entry) -> String { path(entry.name) }
    package var manifestPath: String { path(AOFManifest.manifestName(filename)) }
    package var temporaryManifestPath: String { path(AOFManifest.temporaryManifestName(filename)) }

    /// The manifest on the disk, nil if there is none.
    package func load() throws(StorageError) -> AOFManifest? {
        if try fileSystem.status(manifestPath) == nil { return nil }
        return try Self.load(fileSystem, manifestPath, filename: filename)
    }

    package static func load(_ fileSystem: any FileSystem, _ path: String,
                             filename: String) throws(StorageError) -> AOFManifest {
        let text = try fileSystem.contents(path, limit: AOFManifest.maximumBytes)
        do throws(AOFManifest.ParseError) {
            return try AOFManifest.parse(text.bytes, filename: filename)
        } catch {
            throw StorageError(.load, path, .corrupt("line \(error.line): \(error.reason)"))
        }
    }

    /// Refuses a manifest that has lost lines, as far as its directory tells. Whoever adds a file to a log has its
    /// manifest durable before the file's first byte: what lies beside it, holds something, and is newer than all it
    /// names was named by a line that is gone. (Behind a sealed manifest `requireNewest` looks at sealed ones.)
    package static func requireComplete(_ manifest: AOFManifest, at path: String,
                                        in fileSystem: any FileSystem) throws(StorageError) {
        let directory = FilePath.directory(path)
        for name in try fileSystem.list(directory) {
            let sequence = manifest.newerIncrement(name), place = FilePath.join(directory, name)
            guard sequence != nil || manifest.isLostBase(name),
                  let size = try fileSystem.status(place)?.size, size > 0 else { continue }
            guard let sequence else {
                throw StorageError(.load, path, at: 0, .corrupt(
                    "it names no BASE, and \(name) lies beside it with \(size) bytes: the line that named it may be "
                        + "lost. Add it in front of all others, or move the file away to go on without it"))
            }
            if manifest.isTied { continue }
            throw StorageError(.load, path, at: try fileSystem.status(path)?.size, .corrupt(
                "it ends, but \(name) lies beside it with \(size) bytes, and is newer than every file it names: "
                    + "the line that named it may be lost. Add the line 'file \(name) seq \(sequence) type i' at "
                    + "its end, and those of others that are missing, or move the file away to go on without it"))
        }
        if let text = manifest.contradiction { throw StorageError(.load, path, at: 0, .corrupt(text)) }
    }

    /// Refuses a sealed manifest that is older than its files: one of them goes on behind all that was read. (What an
    /// unfinished repair leaves begins with batches that were read.)
    package func requireNewest(_ manifest: AOFManifest, _ chain: SealChain) throws(StorageError) {
        guard manifest.isTied, let last = chain.sequence else { return }
        for name in try fileSystem.list(path) where manifest.newerIncrement(name) != nil {
            let file = try fileSystem.open(path(name), .read)
            defer { fileSystem.close(file) }
            guard let opening = try SealOpening(in: AOFSource(file, in: fileSystem)),
                  opening.firstSequence > last else { continue }
            throw StorageError(.load, manifestPath, at: try fileSystem.status(manifestPath)?.size, .corrupt(
                "the log that it names ends with batch \(last), but \(name) lies beside it and goes on with batch "
                    + "\(opening.firstSequence): it is an older manifest than the log's. Restore the newest one, or "
                    + "write it by hand (docs/FORMATS.md), or move the file away to go on without it"))
        }
    }

    /// The line that names a file, from 1, in the manifest as it is on the disk; nil: there is none.
    package func line(naming entry: AOFManifest.Entry) -> Int? {
        guard let text = try? fileSystem.contents(manifestPath, limit: AOFManifest.maximumBytes) else { return nil }
        return AOFManifest.line(naming: entry, in: text.bytes)
    }

    /// Makes the directory, if need be, and its name durable.
    package func create() throws(StorageError) {
        if try fileSystem.status(path)?.kind == .directory { return }
        try fileSystem.makeDirectory(path)
        try fileSystem.syncDirectory(serverDirectory)
    }

    /// After this the next start uses `manifest`. Blocks for two syncs.
    package func persist(_ manifest: AOFManifest) throws(StorageError) {
        precondition(manifest.filename == filename)
        let text = manifest.format()
        try fileSystem.replace(manifestPath, with: text.bytes, through: temporaryManifestPath)
    }

    /// Creates an empty file for `entry` and makes its name durable; persist the manifest that names it next, and
    /// only then append to it. A file of that name can only be left over from an attempt that no manifest knows.
    package func createFile(_ entry: AOFManifest.Entry) throws(StorageError) -> File {
        if let status = try fileSystem.status(path(entry)), status.size > 0 {
            _ = try AOFCut.setAside(path(entry), in: fileSystem, now: status.modified, mark: "stray")
        }
        let file = try fileSystem.open(path(entry), .createToUpdate)
        do throws(StorageError) {
            try fileSystem.syncDirectory(path)
        } catch {
            fileSystem.close(file)
            throw error
        }
        return file
    }

    /// Size and checksum of a finished file, read back.
    /// - Parameter isOurs: we just wrote it: of an RDB file its own checksum is compared, too.
    package func measure(_ entry: AOFManifest.Entry, isOurs: Bool) throws(StorageError) -> AOFManifest.Whole {
        let file = try fileSystem.open(path(entry), .read)
        defer { fileSystem.close(file) }
        let buffer = UnsafeMutableRawBufferPointer(start: Heap.allocate(1 << 18), count: 1 << 18)
        defer { if let base = buffer.baseAddress { Heap.free(base) } }
        var whole = AOFManifest.Whole(bytes: 0, crc: 0)
        let size = try fileSystem.size(file)
        var isRDB = false, crc64: UInt64 = 0
        while true {
            let count = try fileSystem.read(file, at: whole.bytes, into: buffer)
            if count == 0 { break }
            let bytes = Bytes(rebasing: buffer[..<count])
            if whole.bytes == 0 { isRDB = isOurs && size > 18 && bytes.starts(with: "REDIS".utf8) }
            whole.crc = CRC32C.update(whole.crc, bytes)
            let covered = max(0, min(count, size - 8 - whole.bytes))
            if isRDB { crc64 = CRC64.update(crc64, Bytes(rebasing: bytes[..<covered])) }
            whole.bytes += count
        }
        if isRDB {
            var stored: UInt64 = 0
            _ = try withUnsafeMutableBytes(of: &stored) { (target) throws(StorageError) in
                try fileSystem.read(file, at: size - 8, into: target)
            }
            stored = UInt64(littleEndian: stored)
            if stored != 0 && stored != crc64 {
                throw StorageError(.read, path(entry), .corrupt("what was just written reads back differently"))
            }
        }
        return whole
    }

    /// Opens the file that the log goes on with, which a manifest on the disk names.
    package func openIncrement(_ entry: AOFManifest.Entry) throws(StorageError) -> File {
        try fileSystem.open(path(entry), .update)
    }

    /// Gives a finished temporary file of the AOF's directory the base's name, durably. Its contents must be synced.
    package func adopt(_ temporary: String, as entry: AOFManifest.Entry) throws(StorageError) {
        try fileSystem.rename(temporary, path(entry))
        try fileSystem.syncDirectory(path)
    }

    /// Unlinks what interrupted rewrites and persists left: `temp-*` of this AOF, `temp-rewriteaof-*`.
    package func removeTemporaries() throws(StorageError) {
        guard try fileSystem.status(path)?.kind == .directory else { return }
        for name in try fileSystem.list(path)
        where name.hasPrefix("temp-rewriteaof-") || name.hasPrefix("temp-" + filename + ".") {
            try fileSystem.unlink(path(name))
        }
    }

    // MARK: Upgrade

    /// Brings an old server's `dir/appendonly.aof` into the directory. True if there was one to bring. Does nothing
    /// when the directory has a log of its own.
    package func upgradeIfNeeded() throws(StorageError) -> Bool {
        let old = FilePath.join(serverDirectory, filename)
        guard try fileSystem.status(old)?.kind == .file else { return false }
        if let manifest = try load() {
            guard manifest.isUpgrade, try fileSystem.status(path(filename)) == nil else { return false }
        } else {
            try create()
            try persist(AOFManifest.upgrading(filename: filename))
        }
        try fileSystem.rename(old, path(filename))
        try fileSystem.syncDirectory(path)
        try fileSystem.syncDirectory(serverDirectory)
        return true
    }
}
