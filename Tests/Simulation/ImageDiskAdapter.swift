import Primitives
import Storage
#if canImport(Glibc)
import Glibc
#endif

/// Any file system as the raw calls of whoever writes images. Must outlive the `ImageDisk` it gives.
final class ImageDiskAdapter {
    private let fileSystem: any FileSystem
    private var files: [Int32: File] = [:]

    init(_ fileSystem: any FileSystem) { self.fileSystem = fileSystem }

    var imageDisk: ImageDisk {
        ImageDisk(
            context: Unmanaged.passUnretained(self).toOpaque(),
            create: { context, path in
                ImageDiskAdapter.run(context) { (adapter) throws(StorageError) in
                    let file = try adapter.fileSystem.open(String(cString: path), .createOrEmpty)
                    adapter.files[file.descriptor] = file
                    return file.descriptor
                }
            },
            write: { context, file, bytes, count in
                Int(ImageDiskAdapter.run(context) { (adapter) throws(StorageError) in
                    guard let file = adapter.files[file] else { return -EBADF }
                    try adapter.fileSystem.write(file, Bytes(start: bytes, count: count))
                    return Int32(truncatingIfNeeded: count)
                })
            },
            syncData: { context, file in ImageDiskAdapter.sync(context, file) },
            sync: { context, file in ImageDiskAdapter.sync(context, file) },
            close: { context, file in
                ImageDiskAdapter.run(context) { (adapter) throws(StorageError) in
                    if let file = adapter.files.removeValue(forKey: file) { adapter.fileSystem.close(file) }
                    return 0
                }
            },
            rename: { context, source, target in
                ImageDiskAdapter.run(context) { (adapter) throws(StorageError) in
                    try adapter.fileSystem.rename(String(cString: source), String(cString: target))
                    return 0
                }
            },
            unlink: { context, path in
                ImageDiskAdapter.run(context) { (adapter) throws(StorageError) in
                    try adapter.fileSystem.unlink(String(cString: path))
                    return 0
                }
            },
            syncDirectory: { context, path in
                ImageDiskAdapter.run(context) { (adapter) throws(StorageError) in
                    try adapter.fileSystem.syncDirectory(String(cString: path))
                    return 0
                }
            })
    }

    private static func sync(_ context: UnsafeMutableRawPointer?, _ file: Int32) -> Int32 {
        run(context) { (adapter) throws(StorageError) in
            guard let file = adapter.files[file] else { return -EBADF }
            try adapter.fileSystem.sync(file)
            return 0
        }
    }

    private static func run(_ context: UnsafeMutableRawPointer?,
                            _ body: (ImageDiskAdapter) throws(StorageError) -> Int32) -> Int32 {
        guard let context else { return -EBADF }
        do throws(StorageError) {
            return try body(Unmanaged<ImageDiskAdapter>.fromOpaque(context).takeUnretainedValue())
        } catch {
            return -error.code
        }
    }
}
