import CLZ4
import Primitives
#if canImport(Glibc)
import Glibc
#endif

/// Compressed strings of opcodes and keys in Dragonfly's files: an LZ4 frame, or a Zstandard frame. libzstd is used
/// if the system has it; nothing of it is needed to build.
enum RDBBlob {
    private typealias ZstdDecompress = @convention(c) (
        UnsafeMutableRawPointer?, Int, UnsafeRawPointer?, Int
    ) -> Int
    private typealias ZstdIsError = @convention(c) (Int) -> UInt32
    private typealias ZstdContentSize = @convention(c) (UnsafeRawPointer?, Int) -> UInt64

    static func decompress(_ blob: Bytes, isZstd: Bool, _ input: borrowing RDBInput) throws(StorageError)
        -> OwnedBytes {
        isZstd ? try zstd(blob, input) : try lz4(blob, input)
    }

    private static func lz4(_ blob: Bytes, _ input: borrowing RDBInput) throws(StorageError) -> OwnedBytes {
        var context: OpaquePointer?
        guard LZ4F_isError(LZ4F_createDecompressionContext(&context, UInt32(LZ4F_VERSION))) == 0 else {
            throw input.unsupported("LZ4 can't be set up")
        }
        defer { LZ4F_freeDecompressionContext(context) }
        var output = OwnedBytes(capacity: 1 << 16)
        var consumed = 0
        while true {
            output.reserve(1 << 16)
            var room = output.capacity - output.count, taken = blob.count - consumed
            let status = LZ4F_decompress(context, output.base + output.count, &room,
                                         blob.baseAddress.map { $0 + consumed }, &taken, nil)
            if LZ4F_isError(status) != 0 { throw input.corrupt("damaged LZ4 data") }
            output.commit(room)
            consumed += taken
            if status == 0 { return output }
            if room == 0 && taken == 0 { throw input.corrupt("a compressed blob that ends too early") }
            if output.count > RDBLimits.blobBytes { throw input.corrupt("a blob beyond all bounds") }
        }
    }

    private static func zstd(_ blob: Bytes, _ input: borrowing RDBInput) throws(StorageError) -> OwnedBytes {
        guard let library = dlopen("libzstd.so.1", RTLD_NOW), let decompress = dlsym(library, "ZSTD_decompress"),
              let isError = dlsym(library, "ZSTD_isError"), let size = dlsym(library, "ZSTD_getFrameContentSize")
        else { throw input.unsupported("data compressed by zstd, and there is no libzstd.so.1 on this machine") }
        let contentSize = unsafeBitCast(size, to: ZstdContentSize.self)(blob.baseAddress, blob.count)
        guard contentSize <= UInt64(RDBLimits.blobBytes) else {
            throw input.corrupt("a zstd blob that does not tell its size, or is beyond all bounds")
        }
        var output = OwnedBytes(capacity: Int(contentSize) + 1)
        let count = unsafeBitCast(decompress, to: ZstdDecompress.self)(output.base, Int(contentSize),
                                                                      blob.baseAddress, blob.count)
        guard unsafeBitCast(isError, to: ZstdIsError.self)(count) == 0, count == Int(contentSize) else {
            throw input.corrupt("damaged zstd data")
        }
        output.commit(count)
        return output
    }
}
