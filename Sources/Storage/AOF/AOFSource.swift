import Primitives

/// Where an AOF's bytes come from: an open file, plain or compressed. One reader at a time takes them in order; a
/// plain file can be looked at anywhere besides.
package final class AOFSource {
    package let path: String
    /// Bytes of the file when it was opened; later ones are not read. Nil when the file is compressed: who knows.
    package let size: Int?
    private let file: File
    private let fileSystem: any FileSystem
    private let decompressed: RDBSource?
    /// Offset of the next byte to be read.
    private var position: Int
    /// While somebody else reads ahead: a copy of what they were given last.
    private var keepsLastChunk = false
    private var lastChunk = OwnedBytes(capacity: 16)
    /// Bytes that `read` gives at once, at most.
    package var readLimit = Int.max
    /// Given back: comes before what is still to be read.
    private var returned = OwnedBytes(capacity: 16)
    private var returnedStart = 0
    /// CRC-32C of the bytes of a plain file that were read so far; nil: it is not computed.
    package private(set) var checksum: UInt32?

    /// The most that is handed out at once while chunks are copied.
    private static let chunkBytes = 1 << 18

    /// - Parameter file: stays open, and the caller's, as long as the source is used.
    package init(_ file: File, in fileSystem: any FileSystem) throws(StorageError) {
        self.file = file
        self.fileSystem = fileSystem
        path = file.path
        position = 0
        if try Self.isCompressed(file, fileSystem) {
            size = nil
            decompressed = try RDBCompressedFile.source(file, in: fileSystem)
        } else {
            size = try fileSystem.size(file)
            decompressed = nil
        }
    }

    /// Before anything is read. Of compressed files there is none.
    package func computeChecksum() { if size != nil { checksum = 0 } }

    /// The same plain file from `start` on.
    init(_ other: AOFSource, from start: Int) {
        file = other.file
        fileSystem = other.fileSystem
        path = other.path
        size = other.size
        decompressed = nil
        position = start
    }

    private static func isCompressed(_ file: File, _ fileSystem: any FileSystem) throws(StorageError) -> Bool {
        var word: UInt32 = 0
        let count = try withUnsafeMutableBytes(of: &word) { (magic) throws(StorageError) in
            try fileSystem.read(file, at: 0, into: magic)
        }
        return withUnsafeBytes(of: &word) { RDBCompressedFile.Format(Bytes(rebasing: $0[..<count])) } != .plain
    }

    /// Offset of the byte that `read` gives next.
    package var offset: Int { position - (returned.count - returnedStart) }

    /// The next bytes; 0: the end.
    package func read(into buffer: UnsafeMutableRawBufferPointer) throws(StorageError) -> Int {
        guard let base = buffer.baseAddress, buffer.count > 0 else { return 0 }
        var room = min(buffer.count, readLimit, keepsLastChunk ? Self.chunkBytes : .max)
        let count: Int
        if returnedStart < returned.count {
            count = min(room, returned.count - returnedStart)
            base.copyMemory(from: returned.base + returnedStart, byteCount: count)
            returnedStart += count
            if returnedStart == returned.count { discardReturned() }
        } else if let decompressed {
            count = try decompressed(UnsafeMutableRawBufferPointer(start: base, count: room))
            position += count
        } else {
            room = min(room, max(0, (size ?? 0) - position))
            count = room == 0 ? 0
                : try fileSystem.read(file, at: position, into: UnsafeMutableRawBufferPointer(start: base, count: room))
            position += count
            if let crc = checksum { checksum = CRC32C.update(crc, Bytes(start: base, count: count)) }
        }
        if keepsLastChunk, count > 0 {
            lastChunk.truncate(to: 0)
            lastChunk.append(Bytes(start: base, count: count))
        }
        return count
    }

    private func discardReturned() {
        returned.removeAll(keeping: 16)
        returnedStart = 0
    }

    /// Bytes of a plain file at any place: as many as there is room for, and fewer only at the file's end.
    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(StorageError) -> Int {
        let room = min(buffer.count, max(0, (size ?? 0) - offset))
        return try fileSystem.read(file, at: offset, into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<room]))
    }

    /// These bytes, read already, come next.
    func giveBack(_ bytes: Bytes) {
        precondition(returnedStart == returned.count)
        discardReturned()
        returned.append(bytes)
    }

    /// Lends the bytes to a reader of its own kind that reads ahead; `endLoan` takes back what it read too far.
    func beginLoan() { keepsLastChunk = true }

    /// - Parameter offset: how far the other reader really came.
    /// - Precondition: everything it read beyond that came in its last read.
    func endLoan(at offset: Int) {
        keepsLastChunk = false
        let excess = self.offset - offset
        precondition(excess >= 0 && excess <= lastChunk.count, "a reader that read ahead by more than one chunk")
        if excess > 0 {
            var rest = OwnedBytes(copying: lastChunk.bytes.from(lastChunk.count - excess))
            if returnedStart < returned.count { rest.append(returned.bytes.from(returnedStart)) }
            returnedStart = returned.count
            giveBack(rest.bytes)
        }
        lastChunk.removeAll(keeping: 16)
    }
}
