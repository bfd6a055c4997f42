import Encodings
import Primitives
#if canImport(Glibc)
import Glibc
#endif

// Writing what an RDB file or a DUMP payload is made of. One buffer; when it is full its bytes enter the checksum and
// go to a file descriptor. Used by the snapshot child: raw memory only, no reference counting, no locks of ours.
//
// Invariants
//  1. `offset` is the number of bytes put; `checksum` covers exactly those.
//  2. After an error nothing more is written; the error is kept and told once by `finish`. Putting bytes never
//     throws, so that the encoders are plain straight lines.

package struct RDBOutput: ~Copyable {
    private static let bufferBytes = 1 << 16
    /// Every so many bytes the file is synced, so that the last sync is short.
    private static let syncInterval = 4 << 20

    private var buffer: OwnedBytes
    /// -1: everything stays in the buffer.
    private let descriptor: Int32
    private let disk: ImageDisk
    private var flushedBytes = 0
    private var crc: UInt64 = 0
    private var crcPosition = 0
    private var unsyncedBytes = 0
    /// CRC-32C of a part, between `beginSum` and `endSum`.
    private var sums = false
    private var sum: UInt32 = 0
    private var sumPosition = 0
    private let syncsIncrementally: Bool
    private let compresses: Bool
    private let computesChecksum: Bool
    private var compressor = LZFCompressor()
    private var compressed: OwnedBytes
    /// errno of the first failure; 0: none.
    package private(set) var failure: Int32 = 0

    /// Writes to `descriptor`, which stays the caller's.
    package init(descriptor: Int32, on disk: ImageDisk = .system, compresses: Bool, computesChecksum: Bool,
                 syncsIncrementally: Bool) {
        self.descriptor = descriptor
        self.disk = disk
        self.compresses = compresses
        self.computesChecksum = computesChecksum
        self.syncsIncrementally = syncsIncrementally
        buffer = OwnedBytes(capacity: Self.bufferBytes)
        compressed = OwnedBytes(capacity: 64)
    }

    /// Writes to memory.
    package init(compresses: Bool) {
        descriptor = -1
        disk = .system
        self.compresses = compresses
        computesChecksum = true
        syncsIncrementally = false
        buffer = OwnedBytes(capacity: 256)
        compressed = OwnedBytes(capacity: 64)
    }

    /// Bytes put so far.
    package var offset: Int { flushedBytes &+ buffer.count }

    /// What was put, when writing to memory; good until the next change.
    package var bytes: Bytes { buffer.bytes }

    /// CRC-64 of the bytes put so far; 0 when it is not computed.
    package var checksum: UInt64 {
        mutating get {
            catchUp()
            return crc
        }
    }

    /// Uses another compressor from now on, and hands out its own.
    mutating func exchange(_ other: inout LZFCompressor) { swap(&compressor, &other) }

    /// Begins anew, in memory.
    package mutating func reset() {
        precondition(descriptor < 0)
        buffer.removeAll(keeping: 1 << 16)
        crc = 0
        crcPosition = 0
    }

    private mutating func catchUp() {
        if computesChecksum, crcPosition < buffer.count {
            crc = CRC64.update(crc, Bytes(start: buffer.base + crcPosition, count: buffer.count &- crcPosition))
        }
        crcPosition = buffer.count
    }

    // MARK: A sum of a part

    /// From here on a CRC-32C is computed.
    mutating func beginSum() {
        sums = true
        sum = 0
        sumPosition = buffer.count
    }

    /// Up to here.
    mutating func endSum() -> UInt32 {
        addToSum()
        sums = false
        return sum
    }

    private mutating func addToSum() {
        if !sums { return }
        sum = CRC32C.update(sum, Bytes(start: buffer.base + sumPosition, count: buffer.count &- sumPosition))
        sumPosition = buffer.count
    }

    // MARK: Out

    @inline(__always)
    private mutating func flushIfFull() {
        if descriptor >= 0, buffer.count >= Self.bufferBytes { flush() }
    }

    /// Writes the buffer to the file.
    package mutating func flush() {
        guard descriptor >= 0 else { return }
        catchUp()
        addToSum()
        sumPosition = 0
        let bytes = buffer.bytes
        if failure == 0 { writeOut(bytes) }
        flushedBytes &+= bytes.count
        buffer.truncate(to: 0)
        crcPosition = 0
        if buffer.capacity > Self.bufferBytes * 4 { buffer.removeAll(keeping: Self.bufferBytes) }
    }

    private mutating func writeOut(_ bytes: Bytes) {
        guard let base = bytes.baseAddress else { return }
        var done = 0
        while done < bytes.count {
            let count = disk.write(disk.context, descriptor, base + done, bytes.count &- done)
            if count < 0 {
                if count == -Int(EINTR) { continue }
                failure = Int32(truncatingIfNeeded: -count)
                return
            }
            if count == 0 {
                failure = EIO
                return
            }
            done &+= count
        }
        unsyncedBytes &+= bytes.count
        if syncsIncrementally, unsyncedBytes >= Self.syncInterval {
            unsyncedBytes = 0
            failure = -disk.syncData(disk.context, descriptor)
        }
    }

    // MARK: Bytes

    @inline(__always)
    package mutating func put(_ byte: UInt8) {
        buffer.append(byte)
        flushIfFull()
    }

    @inline(__always)
    package mutating func put(_ bytes: Bytes) {
        buffer.append(bytes)
        flushIfFull()
    }

    @inline(__always) package mutating func put(_ opcode: RDBOpcode) { put(opcode.rawValue) }
    @inline(__always) package mutating func put(_ type: RDBType) { put(type.number) }

    package mutating func put(_ value: UInt64) {
        buffer.append(uninitialized: 8) { $0.storeBytes(of: value.littleEndian, as: UInt64.self) }
        flushIfFull()
    }

    package mutating func put(_ value: Int64) { put(UInt64(bitPattern: value)) }
    package mutating func put(_ value: Double) { put(value.bitPattern) }

    package mutating func put(_ id: StreamID) {
        buffer.append(uninitialized: StreamID.byteCount) { id.write(bigEndianTo: $0) }
        flushIfFull()
    }

    // MARK: Lengths and strings

    @inline(__always)
    package mutating func put(length: Int) { put(length: UInt64(length)) }

    package mutating func put(length: UInt64) {
        if length < 64 {
            buffer.append(UInt8(length))
        } else if length < 16384 {
            buffer.append(0x40 | UInt8(length >> 8))
            buffer.append(UInt8(length & 0xff))
        } else if length <= UInt64(UInt32.max) {
            buffer.append(0x80)
            buffer.append(uninitialized: 4) { $0.storeBytes(of: UInt32(length).bigEndian, as: UInt32.self) }
        } else {
            buffer.append(0x81)
            buffer.append(uninitialized: 8) { $0.storeBytes(of: length.bigEndian, as: UInt64.self) }
        }
        flushIfFull()
    }

    /// A string in its shortest form: an integer, compressed, or plain.
    package mutating func put(string bytes: Bytes) {
        if bytes.count <= 11, let integer = Decimal.parseInt64(bytes), put(shortInteger: integer) { return }
        if compresses, bytes.count > 20, putCompressed(bytes) { return }
        put(length: bytes.count)
        put(bytes)
    }

    package mutating func put(string text: StaticString) { put(string: text.bytes) }

    /// The decimal of an integer, as a string.
    package mutating func put(integerString value: Int64) {
        if put(shortInteger: value) { return }
        withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) { scratch in
            let base = scratch.baseAddress.unsafelyUnwrapped
            let count = Decimal.write(value, to: base)
            put(length: count)
            put(Bytes(start: base, count: count))
        }
    }

    private mutating func put(shortInteger value: Int64) -> Bool {
        switch value {
        case -128...127:
            buffer.append(0xc0 | RDBStringEncoding.int8)
            buffer.append(UInt8(truncatingIfNeeded: value))
        case -32768...32767:
            buffer.append(0xc0 | RDBStringEncoding.int16)
            buffer.append(uninitialized: 2) {
                $0.storeBytes(of: Int16(truncatingIfNeeded: value).littleEndian, as: Int16.self)
            }
        case Int64(Int32.min)...Int64(Int32.max):
            buffer.append(0xc0 | RDBStringEncoding.int32)
            buffer.append(uninitialized: 4) {
                $0.storeBytes(of: Int32(truncatingIfNeeded: value).littleEndian, as: Int32.self)
            }
        default: return false
        }
        flushIfFull()
        return true
    }

    /// False if compression saves fewer than four bytes.
    private mutating func putCompressed(_ bytes: Bytes) -> Bool {
        compressed.truncate(to: 0)
        compressed.reserve(bytes.count)
        let room = UnsafeMutableRawBufferPointer(start: compressed.base, count: bytes.count - 4)
        guard let size = compressor.compress(bytes, into: room) else { return false }
        put(0xc0 | RDBStringEncoding.lzf)
        put(length: size)
        put(length: bytes.count)
        put(Bytes(start: compressed.base, count: size))
        if compressed.capacity > Self.bufferBytes * 16 { compressed.removeAll(keeping: Self.bufferBytes) }
        return true
    }
}
