import CLZ4
import CZlib
import Primitives

/// Undoes gzip or the LZ4 frame format while a file is read.
package final class RDBCompressedFile {
    package enum Format: Sendable {
        case plain, gzip, lz4

        /// By the file's first bytes.
        package init(_ magic: Bytes) {
            if magic.count >= 2, magic[0] == 0x1f, magic[1] == 0x8b {
                self = .gzip
            } else if magic.count >= 4, magic.prefix(4).elementsEqual([0x04, 0x22, 0x4d, 0x18]) {
                self = .lz4
            } else {
                self = .plain
            }
        }
    }

    private static let inputBytes = 1 << 16
    private let file: File
    private let fileSystem: any FileSystem
    private let format: Format
    private let input = UnsafeMutableRawBufferPointer.allocate(byteCount: inputBytes, alignment: 16)
    private var start = 0, end = 0
    private var zlib = z_stream()
    private var lz4: OpaquePointer?
    private var isOver = false
    /// Was found behind bytes that were good; told when they were read.
    private var isDamaged = false
    /// Between members or frames, where the file may end.
    private var isAtEdge = true

    /// The file's source, decompressed if need be. `file` must stand at its beginning.
    package static func source(_ file: File, in fileSystem: any FileSystem) throws(StorageError) -> RDBSource {
        let format = try withMagic(file, fileSystem)
        if format == .plain {
            return { (buffer) throws(StorageError) in try fileSystem.read(file, into: buffer) }
        }
        let reader = try RDBCompressedFile(file, fileSystem, format)
        return { (buffer) throws(StorageError) in try reader.read(into: buffer) }
    }

    package static func isPlain(_ file: File, in fileSystem: any FileSystem) throws(StorageError) -> Bool {
        try withMagic(file, fileSystem) == .plain
    }

    private static func withMagic(_ file: File, _ fileSystem: any FileSystem) throws(StorageError) -> Format {
        let magic = UnsafeMutableRawBufferPointer.allocate(byteCount: 4, alignment: 4)
        defer { magic.deallocate() }
        let count = try fileSystem.read(file, at: 0, into: magic)
        return Format(Bytes(rebasing: Bytes(magic)[..<count]))
    }

    private init(_ file: File, _ fileSystem: any FileSystem, _ format: Format) throws(StorageError) {
        self.file = file
        self.fileSystem = fileSystem
        self.format = format
        // 32: a gzip or zlib header, whichever is there.
        let size = Int32(MemoryLayout<z_stream>.size)
        if format == .gzip, inflateInit2_(&zlib, 15 + 32, ZLIB_VERSION, size) != Z_OK {
            throw StorageError(.decompress, file.path, .unsupported("zlib can't be set up"))
        }
        if format == .lz4, LZ4F_isError(LZ4F_createDecompressionContext(&lz4, UInt32(LZ4F_VERSION))) != 0 {
            throw StorageError(.decompress, file.path, .unsupported("LZ4 can't be set up"))
        }
    }

    deinit {
        if format == .gzip { inflateEnd(&zlib) }
        if let lz4 { LZ4F_freeDecompressionContext(lz4) }
        input.deallocate()
    }

    private func corrupt(_ text: String) -> StorageError {
        StorageError(.decompress, file.path, .corrupt(text))
    }

    private func read(into buffer: UnsafeMutableRawBufferPointer) throws(StorageError) -> Int {
        while !isOver {
            if isDamaged { throw corrupt("damaged \(format == .gzip ? "gzip" : "LZ4") data") }
            if start == end {
                start = 0
                end = try fileSystem.read(file, into: input)
                if end == 0 {
                    if !isAtEdge {
                        throw StorageError(.decompress, file.path, .truncated("the compressed file ends too early"))
                    }
                    isOver = true
                    return 0
                }
            }
            let produced = format == .gzip ? try inflateOnce(buffer) : decodeOnce(buffer)
            if produced > 0 { return produced }
        }
        return 0
    }

    private func inflateOnce(_ buffer: UnsafeMutableRawBufferPointer) throws(StorageError) -> Int {
        if isAtEdge, zlib.total_in > 0, inflateReset(&zlib) != Z_OK { throw corrupt("gzip") }
        isAtEdge = false
        zlib.next_in = (input.baseAddress.unsafelyUnwrapped + start).assumingMemoryBound(to: UInt8.self)
        zlib.avail_in = UInt32(end - start)
        zlib.next_out = buffer.baseAddress?.assumingMemoryBound(to: UInt8.self)
        let room = UInt32(clamping: buffer.count)
        zlib.avail_out = room
        let status = inflate(&zlib, Z_NO_FLUSH)
        start = end - Int(zlib.avail_in)
        if status == Z_STREAM_END {
            isAtEdge = true
        } else if status != Z_OK && status != Z_BUF_ERROR {
            isDamaged = true
        }
        return Int(room - zlib.avail_out)
    }

    private func decodeOnce(_ buffer: UnsafeMutableRawBufferPointer) -> Int {
        var produced = buffer.count, consumed = end - start
        let status = LZ4F_decompress(lz4, buffer.baseAddress, &produced,
                                     input.baseAddress.unsafelyUnwrapped + start, &consumed, nil)
        if LZ4F_isError(status) != 0 {
            isDamaged = true
            return 0
        }
        start += consumed
        isAtEdge = status == 0
        return produced
    }
}
