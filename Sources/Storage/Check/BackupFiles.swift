import Primitives
#if canImport(Glibc)
import Glibc
#endif

// What a backup does to the disk: a directory of its own, `dir`/`backupdirname`, with files that nobody writes to.
//
//     base          a hard link of the log's BASE (a copy where links can't be made)
//     increments    hard links of those that are closed; the one that is being written: a copy up to the seal
//     manifest      written last, after all else is durable and was read back: a directory with a manifest is a whole
//                   backup, a directory without one is not
//
// Steps of a seal, and what a crash after each leaves:
//
//     1  link closed increments, copy the open one, fsync it     files without a manifest: no backup, the next start
//     2  fsync the directory                                     says so, BACKUP CLEANUP removes them
//     3  read every file back: checksums, seals, whole records   likewise
//     4  temp-….manifest, fsync, rename, fsync the directory     the backup, whole; or as before
//
// Links cost no room at first, but hold what the log gives up: BACKUP CLEANUP lets it go.

package struct BackupFiles: Sendable {
    package let fileSystem: any FileSystem
    package let directory: String
    /// `appendfilename`.
    package let filename: String

    package init(_ fileSystem: any FileSystem, directory: String, filename: String) {
        self.fileSystem = fileSystem
        self.directory = directory
        self.filename = filename
    }

    package func path(_ name: String) -> String { FilePath.join(directory, name) }
    package var manifestPath: String { path(AOFManifest.manifestName(filename)) }

    /// Makes the directory, which must be empty.
    package func create() throws(StorageError) {
        if try fileSystem.status(directory)?.kind == .directory {
            guard try fileSystem.list(directory).isEmpty else {
                throw StorageError(.create, directory, .unsupported("the backup directory is not empty"))
            }
            return
        }
        try fileSystem.makeDirectory(directory)
        try fileSystem.syncDirectory(FilePath.directory(directory))
    }

    /// Keeps a file that nobody writes to any more.
    package func keep(_ source: String, as name: String) throws(StorageError) {
        do throws(StorageError) {
            try fileSystem.link(source, path(name))
        } catch {
            if error.isNotFound || error.reason == .system(EEXIST) { throw error }
            guard let size = try fileSystem.status(source)?.size else { throw error }
            try copy(source, as: name, upTo: size)
        }
        try fileSystem.syncDirectory(directory)
    }

    /// Keeps the beginning of a file that is being appended to.
    package func copy(_ source: String, as name: String, upTo size: Int) throws(StorageError) {
        let input = try fileSystem.open(source, .read)
        defer { fileSystem.close(input) }
        let output = try fileSystem.open(path(name), .createNew)
        defer { fileSystem.close(output) }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
        defer { buffer.deallocate() }
        var done = 0
        while done < size {
            let step = min(buffer.count, size - done)
            let room = UnsafeMutableRawBufferPointer(rebasing: buffer[..<step])
            let count = try fileSystem.read(input, at: done, into: room)
            guard count == step else {
                throw StorageError(.read, source, at: done + count, .truncated("\(size) bytes were there"))
            }
            try fileSystem.write(output, Bytes(rebasing: Bytes(buffer)[..<step]))
            done += step
        }
        try fileSystem.sync(output)
    }

    /// Reads a file back, to its last byte: an RDB file's checksum, or whole records (and what seals them).
    package func verify(_ name: String) throws(StorageError) {
        var options = AOFCheckOptions()
        options.now = .now()
        let file = try fileSystem.open(path(name), .read)
        defer { fileSystem.close(file) }
        if name.hasSuffix(".rdb") {
            let report = RDBCheck.run(RDBInput(file, in: fileSystem), now: .now(), skipsUnsupported: true)
            if let damage = report.damage { throw damage.error }
        } else {
            let report = AOFCheck.run(path(name), in: fileSystem, options, .silent)
            try report.throwIfBad(path(name))
        }
    }

    /// Writes the manifest: from here on it is a backup.
    package func seal(_ base: AOFManifest.Entry, _ increments: [AOFManifest.Entry]) throws(StorageError) {
        try fileSystem.syncDirectory(directory)
        let manifest = AOFManifest(filename: filename, base: base, increments: increments)
        let text = manifest.format()
        try fileSystem.replace(manifestPath, with: text.bytes,
                               through: path(AOFManifest.temporaryManifestName(filename)))
    }

    /// Removes all of a backup, the manifest first: what is left after a crash is no backup.
    package func remove() throws(StorageError) {
        guard try fileSystem.status(directory)?.kind == .directory else { return }
        if try fileSystem.status(manifestPath) != nil {
            try fileSystem.unlink(manifestPath)
            try fileSystem.syncDirectory(directory)
        }
        for name in try fileSystem.list(directory) where isOurs(name) { try fileSystem.unlink(path(name)) }
        try fileSystem.syncDirectory(directory)
    }

    /// Names that a backup gives.
    package func isOurs(_ name: String) -> Bool {
        name.hasPrefix(filename + ".") || name == AOFManifest.temporaryManifestName(filename)
    }
}

/// `--verify-backup`: whether a directory holds a whole backup.
package enum BackupCheck {
    /// Reads all files of the one manifest in `directory`.
    package static func run(_ directory: String, in fileSystem: any FileSystem,
                            _ dialogue: AOFCheckDialogue) -> AOFCheckReport {
        do throws(StorageError) {
            var options = AOFCheckOptions()
            options.now = .now()
            return AOFCheck.run(try manifest(directory, fileSystem), in: fileSystem, options, dialogue)
        } catch {
            var report = AOFCheckReport(path: directory)
            report.error = error
            report.status = CheckStatus.of(error)
            dialogue.tell("\(error)")
            return report
        }
    }

    private static func manifest(_ directory: String, _ fileSystem: any FileSystem) throws(StorageError) -> String {
        let manifests = try fileSystem.list(directory).filter { $0.hasSuffix(".manifest") && !$0.hasPrefix("temp-") }
        guard manifests.count == 1 else {
            throw StorageError(.load, directory, .unsupported(
                manifests.isEmpty ? "there is no manifest: the backup was never sealed, or is not a backup"
                    : "there are \(manifests.count) manifests"))
        }
        return FilePath.join(directory, manifests[0])
    }
}

extension AOFCheckDialogue {
    package static var silent: AOFCheckDialogue { AOFCheckDialogue(tell: { _ in }, ask: { _ in false }) }
}

extension AOFCheckReport {
    /// - Throws: the first thing that is wrong.
    package func throwIfBad(_ path: String) throws(StorageError) {
        if let error { throw error }
        for file in files where !file.isGood {
            if let damage = file.rdb?.damage { throw damage.error }
            if let end = file.end, let error = end.error(file.path) { throw error }
        }
        if status != 0 { throw StorageError(.load, path, .corrupt("it is not whole")) }
    }
}
