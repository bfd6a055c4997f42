import Primitives
#if canImport(Glibc)
import Glibc
#endif

// The file calls of whoever writes an image of the keyspace: SAVE, the base at start, and the forked child. A child
// may touch raw memory only, and so these are C functions and a raw pointer for them, made before the fork: nothing
// here counts references or takes a lock. A simulated disk gives functions of its own.
//
// Results: 0 or more is good, below 0 is a negated errno.

package struct ImageDisk {
    package typealias Context = UnsafeMutableRawPointer?
    package typealias Path = UnsafePointer<CChar>

    package var context: Context
    /// Creates or empties a file to append to; gives its descriptor.
    package var create: @convention(c) (Context, Path) -> Int32
    /// One call, which may take fewer bytes than given.
    package var write: @convention(c) (Context, Int32, UnsafeRawPointer, Int) -> Int
    package var syncData: @convention(c) (Context, Int32) -> Int32
    package var sync: @convention(c) (Context, Int32) -> Int32
    package var close: @convention(c) (Context, Int32) -> Int32
    package var rename: @convention(c) (Context, Path, Path) -> Int32
    package var unlink: @convention(c) (Context, Path) -> Int32
    package var syncDirectory: @convention(c) (Context, Path) -> Int32

    package init(
        context: Context, create: @escaping @convention(c) (Context, Path) -> Int32,
        write: @escaping @convention(c) (Context, Int32, UnsafeRawPointer, Int) -> Int,
        syncData: @escaping @convention(c) (Context, Int32) -> Int32,
        sync: @escaping @convention(c) (Context, Int32) -> Int32,
        close: @escaping @convention(c) (Context, Int32) -> Int32,
        rename: @escaping @convention(c) (Context, Path, Path) -> Int32,
        unlink: @escaping @convention(c) (Context, Path) -> Int32,
        syncDirectory: @escaping @convention(c) (Context, Path) -> Int32
    ) {
        self.context = context
        self.create = create
        self.write = write
        self.syncData = syncData
        self.sync = sync
        self.close = close
        self.rename = rename
        self.unlink = unlink
        self.syncDirectory = syncDirectory
    }

    /// The real disk. Computed, for a lazily made constant would take a lock at its first use, maybe in the child.
    package static var system: ImageDisk {
        ImageDisk(
            context: nil,
            create: { _, path in
                let file = Glibc.open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
                return file < 0 ? -errno : file
            },
            write: { _, file, bytes, count in
                let taken = Glibc.write(file, bytes, count)
                return taken < 0 ? -Int(errno) : taken
            },
            syncData: { _, file in fdatasync(file) != 0 ? -errno : 0 },
            sync: { _, file in fsync(file) != 0 ? -errno : 0 },
            close: { _, file in Glibc.close(file) != 0 ? -errno : 0 },
            rename: { _, source, target in Glibc.rename(source, target) != 0 ? -errno : 0 },
            unlink: { _, path in Glibc.unlink(path) != 0 ? -errno : 0 },
            syncDirectory: { _, path in
                let directory = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                if directory < 0 { return -errno }
                let result = fsync(directory) != 0 ? -errno : 0
                _ = Glibc.close(directory)
                return result
            })
    }
}
