import Engine
import Primitives
import Storage

// `preload-file rdb:PATH|aof:MANIFEST`: the data set that a server begins with which has none of its own, for
// restoring a backup. A server that has a log or a dump loads those, and says so: what was acknowledged since the
// restore counts more than what the directive still says. The preloaded files are read, never changed.

enum Preload {
    /// Nil: the text names no file.
    static func parse(_ text: String) -> (isLog: Bool, path: String)? {
        if text.hasPrefix("rdb:"), text.count > 4 { return (false, String(text.dropFirst(4))) }
        if text.hasPrefix("aof:"), text.count > 4 { return (true, String(text.dropFirst(4))) }
        return nil
    }

    /// False: there is nothing to preload.
    static func load(_ core: ServerCore) throws(StorageError) -> Bool {
        guard let (isLog, path) = parse(core.configuration.preloadFile) else { return false }
        core.log.write(.notice, "Preloading \(path)")
        if isLog { try loadLog(path, core) } else { try loadDump(path, core) }
        // Without a log the next snapshot is what makes it this server's own.
        if !core.configuration.appendonly { core.persistence.snapshotIsScheduled = true }
        return true
    }

    static func tellIgnored(_ core: ServerCore) {
        guard !core.configuration.preloadFile.isEmpty else { return }
        core.log.write(.warning, "preload-file is ignored: this server has data of its own")
    }

    private static func loadLog(_ path: String, _ core: ServerCore) throws(StorageError) {
        let fileSystem = core.persistence.fileSystem
        let name = FilePath.name(path), suffix = ".manifest"
        guard name.hasSuffix(suffix), name.count > suffix.count else {
            throw StorageError(.load, path, .unsupported("preload-file aof: takes the path of a manifest"))
        }
        // A torn end would be cut off; a backup has none.
        var options = AOFCheckOptions()
        options.now = .now()
        try AOFCheck.run(path, in: fileSystem, options, .silent).throwIfBad(path)
        let filename = String(name.dropLast(suffix.count))
        let directory = AOFDirectory(fileSystem, serverDirectory: FilePath.directory(path), name: ".",
                                     filename: filename)
        let manifest = try AOFDirectory.load(fileSystem, path, filename: filename)
        let result = try LogReplay.load(directory: directory, manifest: manifest, core)
        core.persistence.lastLoadKeysLoaded = result.keysLoaded
        core.persistence.lastLoadKeysExpired = result.keysExpired
    }

    private static func loadDump(_ path: String, _ core: ServerCore) throws(StorageError) {
        guard let status = try core.persistence.fileSystem.status(path), status.kind == .file else {
            throw StorageError(.load, path, .unsupported("preload-file names no file"))
        }
        try Recovery.loadDump(core, (path, status.size), replacesKeys: false)
    }
}
