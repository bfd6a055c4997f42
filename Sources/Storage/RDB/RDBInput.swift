import Encodings
import Primitives
#if canImport(Glibc)
import Glibc
#endif

// Reading what an RDB file or a DUMP payload is made of: bytes, lengths, strings, doubles. One buffer that is
// refilled from a file, a pipe or a decompressor, or the whole in memory.
//
// Invariants
//  1. `offset` is the number of bytes consumed; an operation that throws has consumed whole parts
//     only, except `skip`.
//  2. `checksum` covers exactly the consumed bytes (it is caught up lazily, in long runs).
//  3. Nothing is allocated on the word of a length: the buffer doubles as bytes really arrive, and something
//     compressed may not claim more than its bytes can stand for.

/// Fills a buffer; 0: the end.
package typealias RDBSource = (UnsafeMutableRawBufferPointer) throws(StorageError) -> Int

package struct RDBInput: ~Copyable {
    /// The bytes at hand: borrowed for memory, `owned` otherwise.
    private var window: UnsafeRawPointer
    private var position = 0
    private var limit: Int
    private var owned: UnsafeMutableRawPointer?
    private var capacity = 0
    private let source: RDBSource?
    /// What `source` threw: it is not asked again, or bytes might seem to go on behind those it could not read.
    private var sourceFailure: StorageError?
    /// Offset in the file of the window's first byte.
    private var windowOffset = 0
    private var crc: UInt64 = 0
    private var crcPosition = 0
    /// Added to offsets: where in the file the bytes are that this input reads from memory.
    var base = 0
    /// Set: every place is told as this one, for the bytes are not those of the file.
    var fixedOffset: Int?
    /// Integers as text, and strings uncompressed; good until the next string is read.
    private var scratch = OwnedBytes(capacity: 64)
    /// For messages.
    package let path: String
    /// Whose numbers these are.
    package var dialect = RDBDialect.redis
    package var version = RDBVersion.redis7_4
    /// What can't be represented here is left out, and named; false: it is an error.
    package var skipsUnsupported = false
    /// What was left out of the value that is being read.
    var lostParts: [String] = []
    /// Field names of Redis 8.10's hash templates by template id.
    var templates = RDBHashTemplates()
    /// What `endRecording` will give: the consumed bytes since `startRecording` that left the window already.
    private var record = OwnedBytes(capacity: 16)
    private var recordPosition: Int?
    /// Recording more is an error.
    var recordLimit = Int.max
    /// For files without a checksum: don't compute one.
    package var computesChecksum = true

    /// Reads what `source` gives until it ends.
    package init(_ path: String, _ source: @escaping RDBSource) {
        self.path = path
        self.source = source
        let buffer = Heap.allocate(RDBLimits.bufferBytes)
        owned = buffer
        window = UnsafeRawPointer(buffer)
        capacity = RDBLimits.bufferBytes
        limit = 0
    }

    /// Reads an open file from where it stands; closing it is the caller's.
    package init(_ file: File, in fileSystem: any FileSystem) {
        self.init(file.path) { (buffer) throws(StorageError) in try fileSystem.read(file, into: buffer) }
    }

    /// Reads bytes that stay until the input is done with.
    package init(_ bytes: Bytes, named path: String = "payload") {
        self.path = path
        source = nil
        window = bytes.baseAddress ?? UnsafeRawPointer(scratch.base)
        limit = bytes.count
    }

    deinit { if let owned { Heap.free(owned) } }

    /// Bytes consumed so far.
    @inline(__always)
    package var offset: Int {
        if let fixedOffset { return fixedOffset }
        return base &+ windowOffset &+ position
    }

    /// CRC-64 of the bytes consumed so far.
    package var checksum: UInt64 {
        mutating get {
            catchUp()
            return crc
        }
    }

    private mutating func catchUp() {
        // Behind `position` already: after `rewind`.
        guard crcPosition < position else { return }
        if computesChecksum {
            crc = CRC64.update(crc, Bytes(start: window + crcPosition, count: position &- crcPosition))
        }
        crcPosition = position
    }

    // MARK: Errors

    package func corrupt(_ text: String) -> StorageError { StorageError(.load, path, at: offset, .corrupt(text)) }
    package func unsupported(_ text: String) -> StorageError {
        StorageError(.load, path, at: offset, .unsupported(text))
    }
    /// A part of a value that no value of this server can hold.
    mutating func lose(_ part: String) throws(StorageError) {
        guard skipsUnsupported else { throw unsupported(part) }
        if lostParts.count < 16 { lostParts.append(part) }
    }

    package func truncated() -> StorageError {
        StorageError(.load, path, at: offset, .truncated("unexpected end of file"))
    }

    // MARK: Bytes

    /// Whether at least one more byte follows.
    package mutating func hasMore() throws(StorageError) -> Bool {
        if position < limit { return true }
        return try fill(1)
    }

    /// At least `count` bytes in the window; false at the end.
    @inline(never)
    private mutating func fill(_ count: Int) throws(StorageError) -> Bool {
        guard let source, let buffer = owned else { return limit &- position >= count }
        catchUp()
        if let start = recordPosition {
            record.append(Bytes(start: window + start, count: position &- start))
            recordPosition = 0
        }
        let rest = limit &- position
        if rest > 0 { memmove(buffer, buffer + position, rest) }
        windowOffset &+= position
        crcPosition &-= position
        position = 0
        limit = rest
        shrinkIfIdle(count)
        if record.count > recordLimit, recordPosition != nil { throw corrupt("more than was to be recorded") }
        while limit < count {
            if limit == capacity { grow() }
            guard let target = owned else { return false }
            let got = try ask(source, UnsafeMutableRawBufferPointer(start: target + limit, count: capacity &- limit))
            precondition(got >= 0 && got <= capacity &- limit)
            if got == 0 { return false }
            limit &+= got
        }
        return true
    }

    private mutating func ask(_ source: RDBSource,
                              _ buffer: UnsafeMutableRawBufferPointer) throws(StorageError) -> Int {
        if let sourceFailure { throw sourceFailure }
        do throws(StorageError) {
            return try source(buffer)
        } catch {
            sourceFailure = error
            throw error
        }
    }

    private mutating func grow() {
        capacity *= 2
        let moved = Heap.reallocate(owned.unsafelyUnwrapped, capacity)
        owned = moved
        window = UnsafeRawPointer(moved)
    }

    /// After a string much longer than usual.
    private mutating func shrinkIfIdle(_ wanted: Int) {
        guard capacity > RDBLimits.bufferBytes * 4, limit < RDBLimits.bufferBytes,
              wanted <= RDBLimits.bufferBytes else { return }
        capacity = RDBLimits.bufferBytes
        let moved = Heap.reallocate(owned.unsafelyUnwrapped, capacity)
        owned = moved
        window = UnsafeRawPointer(moved)
    }

    @inline(__always)
    private mutating func need(_ count: Int) throws(StorageError) {
        if limit &- position >= count { return }
        if try !fill(count) { throw truncated() }
    }

    /// The next `count` bytes; good until the next read.
    @inline(__always)
    package mutating func take(_ count: Int) throws(StorageError) -> Bytes {
        try need(count)
        let bytes = Bytes(start: window + position, count: count)
        position &+= count
        return bytes
    }

    /// The error, if any, tells where the skipped part began.
    package mutating func skip(_ count: Int) throws(StorageError) {
        let start = offset
        var left = count
        while left > 0 {
            if position == limit, try !fill(1) {
                throw StorageError(.load, path, at: start, .truncated("unexpected end of file"))
            }
            let step = min(left, limit &- position)
            position &+= step
            left &-= step
        }
    }

    @inline(__always)
    package mutating func byte() throws(StorageError) -> UInt8 {
        try need(1)
        let byte = window.load(fromByteOffset: position, as: UInt8.self)
        position &+= 1
        return byte
    }

    package mutating func uint32() throws(StorageError) -> UInt32 {
        UInt32(littleEndian: try take(4).loadUnaligned(as: UInt32.self))
    }

    package mutating func uint64() throws(StorageError) -> UInt64 {
        UInt64(littleEndian: try take(8).loadUnaligned(as: UInt64.self))
    }

    package mutating func int64() throws(StorageError) -> Int64 { Int64(bitPattern: try uint64()) }

    // MARK: Recording

    /// From here on the consumed bytes are kept, for values that are stored as they are.
    mutating func startRecording() {
        record.removeAll(keeping: 1 << 12)
        recordPosition = position
    }

    /// The bytes consumed since `startRecording`; good until the next read.
    mutating func endRecording() -> Bytes {
        if let start = recordPosition { record.append(Bytes(start: window + start, count: position &- start)) }
        recordPosition = nil
        return record.bytes
    }

    /// Bytes recorded so far.
    var recordedCount: Int { record.count &+ (recordPosition.map { position &- $0 } ?? 0) }

    /// Goes back to where so many bytes were recorded; recording goes on from there. No byte is counted twice in the
    /// checksum.
    mutating func rewind(toRecorded count: Int) {
        guard let start = recordPosition else { return }
        let excess = recordedCount &- count
        if excess <= position &- start {
            position &-= excess
            return
        }
        // What left the window comes back before what is in it.
        record.append(Bytes(start: window + start, count: position &- start))
        let rest = limit &- position
        while capacity < excess &+ rest { grow() }
        guard let buffer = owned else { return }
        memmove(buffer + excess, buffer + position, rest)
        memcpy(buffer, record.base + count, excess)
        windowOffset &+= position &- excess
        crcPosition &+= excess &- position
        position = 0
        limit = excess &+ rest
        record.truncate(to: count)
        recordPosition = 0
    }

    /// As `startRecording`, into memory that the caller gives, and takes with `endRecording(into:)`.
    mutating func startRecording(into bytes: inout OwnedBytes) {
        swap(&record, &bytes)
        record.truncate(to: 0)
        recordPosition = position
    }

    mutating func endRecording(into bytes: inout OwnedBytes) {
        _ = endRecording()
        swap(&record, &bytes)
    }

    // MARK: Lengths

    enum Length {
        case plain(UInt64)
        case encoding(UInt8)
    }

    @inline(__always)
    mutating func lengthOrEncoding() throws(StorageError) -> Length {
        let lead = try byte()
        switch lead >> 6 {
        case 0: return .plain(UInt64(lead))
        case 1: return .plain(UInt64(lead & 0x3f) << 8 | UInt64(try byte()))
        case 3: return .encoding(lead & 0x3f)
        default: return .plain(try wideLength(lead))
        }
    }

    private mutating func wideLength(_ lead: UInt8) throws(StorageError) -> UInt64 {
        switch lead {
        case 0x80: return UInt64(UInt32(bigEndian: try take(4).loadUnaligned(as: UInt32.self)))
        case 0x81: return UInt64(bigEndian: try take(8).loadUnaligned(as: UInt64.self))
        default: throw corrupt("Unknown length encoding \(lead) in rdbLoadLen()")
        }
    }

    /// A length used as a number, any 64 bits.
    @inline(__always)
    package mutating func length() throws(StorageError) -> UInt64 {
        switch try lengthOrEncoding() {
        case .plain(let value): return value
        case .encoding: throw corrupt("a string where a length belongs")
        }
    }

    /// A number of elements. Says nothing about whether they are there.
    package mutating func count() throws(StorageError) -> Int {
        guard let count = Int(exactly: try length()) else { throw corrupt("a count beyond all bounds") }
        return count
    }

    /// What to reserve room for when `count` elements are announced.
    package static func reservation(_ count: Int) -> Int { min(count, RDBLimits.elementsPerReservation) }

    // MARK: Strings

    /// The next string; good until the next read.
    @inline(__always)
    package mutating func string() throws(StorageError) -> Bytes {
        switch try lengthOrEncoding() {
        case .plain(let length):
            guard length <= UInt64(RDBLimits.stringBytes) else { throw tooLong(length) }
            return try take(Int(length))
        case .encoding(let code):
            return try encodedString(code)
        }
    }

    private func tooLong(_ length: UInt64) -> StorageError { corrupt("a string of \(length) bytes") }

    private mutating func encodedString(_ code: UInt8) throws(StorageError) -> Bytes {
        if let integer = try integer(code) {
            scratch.truncate(to: 0)
            scratch.append(decimal: integer)
            return scratch.bytes
        }
        let (compressed, size) = try compressedSizes()
        let input = try take(compressed)
        scratch.truncate(to: 0)
        scratch.reserve(size)
        let target = UnsafeMutableRawBufferPointer(start: scratch.base, count: size)
        guard LZF.decompress(input, into: target) else { throw corrupt("Invalid LZF compressed string") }
        scratch.commit(size)
        return scratch.bytes
    }

    private mutating func integer(_ code: UInt8) throws(StorageError) -> Int64? {
        switch code {
        case RDBStringEncoding.int8: return Int64(Int8(bitPattern: try byte()))
        case RDBStringEncoding.int16: return Int64(Int16(littleEndian: try take(2).loadUnaligned(as: Int16.self)))
        case RDBStringEncoding.int32: return Int64(Int32(littleEndian: try take(4).loadUnaligned(as: Int32.self)))
        case RDBStringEncoding.lzf: return nil
        default: throw corrupt("Unknown RDB string encoding type \(code)")
        }
    }

    private mutating func compressedSizes() throws(StorageError) -> (compressed: Int, size: Int) {
        let compressed = try length(), size = try length()
        guard compressed <= UInt64(RDBLimits.stringBytes), size <= UInt64(RDBLimits.stringBytes),
              Int(size) <= LZF.maximumSize(ofCompressed: Int(compressed)) else {
            throw corrupt("Invalid LZF compressed string")
        }
        return (Int(compressed), Int(size))
    }

    /// Gives memory back after a long string.
    package mutating func releaseScratch() {
        if scratch.capacity > RDBLimits.trustedBytes { scratch.removeAll(keeping: 1 << 12) }
    }

    /// Passes over a string without looking at it.
    package mutating func skipString() throws(StorageError) {
        switch try lengthOrEncoding() {
        case .plain(let length):
            guard length <= UInt64(RDBLimits.stringBytes) else { throw tooLong(length) }
            try skip(Int(length))
        case .encoding(let code):
            if try integer(code) == nil { try skip(try compressedSizes().compressed) }
        }
    }

    // MARK: Doubles

    package mutating func double() throws(StorageError) -> Double { Double(bitPattern: try uint64()) }

    /// The form of type 3: a length byte and decimal digits; 253 nan, 254 inf, 255 -inf.
    package mutating func textDouble() throws(StorageError) -> Double {
        let length = try byte()
        switch length {
        case 253: return .nan
        case 254: return .infinity
        case 255: return -.infinity
        default:
            guard let value = DoubleText.parse(try take(Int(length))) else {
                throw corrupt("a score that is no number")
            }
            return value
        }
    }
}
