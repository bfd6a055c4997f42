import Primitives
#if canImport(Glibc)
import Glibc
#endif

// A new dump that a tool makes beside others.
//
//     create OUT.tmp-<pid>, which must be new    crash: a temporary file, the name says whose; OUT is as it was
//     write it, fsync it                         crash: likewise
//     read it back                               a file that can't be read back never gets the name
//     link it as OUT; with --force, rename it    crash: OUT is there, whole, or not at all. Linking fails if OUT
//                                                exists, even since a moment ago: nothing is ever overwritten
//     unlink the temporary, fsync the directory  crash: OUT may still have its other name

struct DumpOutput: ~Copyable {
    let path: String
    let file: File
    private let temporary: String
    private let overwrites: Bool
    private let fileSystem: any FileSystem

    /// - Throws: when OUT is there and may not be overwritten.
    init(_ path: String, overwrites: Bool, in fileSystem: any FileSystem) throws(StorageError) {
        if !overwrites, try fileSystem.status(path) != nil { throw Self.exists(path) }
        let temporary = "\(path).tmp-\(getpid())"
        let file = try fileSystem.open(temporary, .createNew)
        self.init(path: path, file: file, temporary: temporary, overwrites: overwrites, fileSystem: fileSystem)
    }

    private init(path: String, file: File, temporary: String, overwrites: Bool, fileSystem: any FileSystem) {
        self.path = path
        self.file = file
        self.temporary = temporary
        self.overwrites = overwrites
        self.fileSystem = fileSystem
    }

    private static func exists(_ path: String) -> StorageError {
        StorageError(.create, path, .unsupported("it is there already; --force overwrites it"))
    }

    /// Gives up: nothing is left.
    consuming func discard() {
        fileSystem.close(file)
        try? fileSystem.unlink(temporary)
    }

    /// - Parameter failure: errno of what wrote to the file.
    consuming func finish(_ failure: Int32) throws(StorageError) {
        do throws(StorageError) {
            if failure != 0 { throw StorageError(.write, temporary, errno: failure) }
            try fileSystem.sync(file)
            let back = try fileSystem.open(temporary, .read)
            defer { fileSystem.close(back) }
            let report = RDBCheck.run(RDBInput(back, in: fileSystem), now: .now())
            if let damage = report.damage { throw damage.error }
            if overwrites {
                try fileSystem.rename(temporary, path)
            } else {
                do throws(StorageError) {
                    try fileSystem.link(temporary, path)
                } catch {
                    throw error.reason == .system(EEXIST) ? Self.exists(path) : error
                }
                try fileSystem.unlink(temporary)
            }
        } catch {
            fileSystem.close(file)
            try? fileSystem.unlink(temporary)
            throw error
        }
        fileSystem.close(file)
        try fileSystem.syncDirectory(FilePath.directory(path))
    }
}
