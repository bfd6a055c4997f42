import Primitives
import RESP

// Reading an AOF: the one reader, of the server's start and of the check tool.
//
//     [RDB]                            a preamble: the file begins with REDIS or VALKEY
//     #TS:1700000000\r\n               annotation: `#`, under 128 bytes with its line feed
//     *3\r\n$3\r\nSET\r\n …            record: one command
//     *1\r\n$5\r\nMULTI\r\n …          unit: the records from MULTI to EXEC; whole or nothing
//     *1\r\n$4\r\nEXEC\r\n
//
// Sealed files (Seal/SealLine.swift) begin with an opening line, and each batch of records stands behind a seal line.
// A batch is read whole and checked before the first of its records is given out (AOFReaderSeals.swift).
//
// Where it ends
//     whole       behind a record, a unit or an annotation
//     torn        the last record, unit or annotation lacks its end; what is there is a prefix of it, maybe with zeros
//                 behind (a crash left the file's new size, but not the last blocks). This is what a power loss or a
//                 full disk leaves: never acknowledged as durable, may be cut off
//     corrupt     bytes that nobody wrote. Cutting there would drop what was acknowledged: for a human to decide
//
// A record whose length points behind the file's end looks torn, also when the length was damaged in the middle of a
// good file. So whole records are looked for behind its start: a damaged length is corrupt, not torn.
//
// An annotation without its line feed is torn as well, though stock servers pass it over at the end of a file: the
// next record would be appended to it and lost with it.
//
// Invariants
//  1. Bytes up to `wholeEnd` are whole annotations, records and units.
//  2. Memory grows with bytes that were read, never on the word of a length.
//  3. Nothing in the file traps: each number is compared with its limit before it is used.
//
// Cost: one copy from the file into the window, one pass over the bytes; arguments are ranges of the window.

package enum AOFLimits {
    /// Of an argument. More than any `proto-max-bulk-len` in use.
    package static let argumentBytes = 1 << 32
    /// Of an annotation, with its line feed: shorter than this.
    package static let annotationBytes = 128
    /// Of the line of a count or a length.
    package static let headerBytes = 127
    /// The window; grows for longer records.
    package static let windowBytes = 1 << 18

    package static var request: RequestLimits {
        var limits = RequestLimits()
        limits.maximumBulkBytes = argumentBytes
        limits.maximumInlineBytes = headerBytes
        return limits
    }
}

package enum AOFItem: Equatable {
    /// See `arguments`, `offset`, `length`.
    case record
    /// See `annotation`.
    case annotation
    /// The file begins with an RDB file: read it with `beginPreamble`, then `endPreamble`.
    case preamble
    /// See `end`.
    case end
}

/// How a file ends.
package struct AOFEnd: Equatable, Sendable {
    package enum Kind: String, Sendable { case whole, torn, corrupt }
    package var kind: Kind
    /// Bytes up to here are whole.
    package var keep: Int
    /// Where the record or unit begins that is not.
    package var offset: Int
    /// Why, in a few words; empty when whole.
    package var reason: String
    /// How many zero bytes the file ends in, when they are why it is torn.
    package var zeros = 0
    /// How many bytes of filler the file ends in, behind what is whole (LogFiller.swift).
    package var filler = 0
    /// In a sealed file: which batch, and what stands behind it.
    package var seal: SealDamage?
    /// In a BASE that is sealed in blocks: which one.
    package var block: SealBlockDamage?

    init(_ kind: Kind, keep: Int, offset: Int, _ reason: String, zeros: Int = 0) {
        self.kind = kind
        self.keep = keep
        self.offset = offset
        self.reason = reason
        self.zeros = zeros
    }

    package static func whole(_ bytes: Int, filler: Int = 0) -> AOFEnd {
        var end = AOFEnd(.whole, keep: bytes, offset: bytes, "")
        end.filler = filler
        return end
    }

    /// Only a BASE may begin with an RDB file: an increment that does is a BASE that a damaged manifest calls one.
    package static let misplacedPreamble =
        AOFEnd(.corrupt, keep: 0, offset: 0, "format error: an RDB file where records belong")

    /// A BASE that its name calls an RDB file: another file, maybe an increment, has its name.
    package static let missingPreamble =
        AOFEnd(.corrupt, keep: 0, offset: 0, "format error: no RDB file, though its name says so")

    package static func needsPreamble(_ path: String) -> Bool { path.hasSuffix(".base.rdb") }

    /// Nil when whole.
    package func error(_ path: String) -> StorageError? {
        switch kind {
        case .whole: nil
        case .torn: StorageError(.load, path, at: offset, .truncated(reason))
        case .corrupt: StorageError(.load, path, at: offset, .corrupt(reason))
        }
    }
}

package struct AOFReader: ~Copyable {
    package let source: AOFSource
    private var parser = RequestParser(limits: AOFLimits.request)
    var buffer: UnsafeMutableRawPointer
    private var capacity = AOFLimits.windowBytes
    var position = 0
    /// Up to here records may be taken: in a sealed file, the end of the batch that was checked.
    var limit = 0
    /// Bytes in the window.
    private var filled = 0
    /// Offset in the file of the window's first byte.
    private var windowOffset: Int
    private var unitStart = 0
    /// Records of the window were handed on: it is not written to any more, but retired.
    private var isLent = false
    private var retired: AOFWindow?
    private var spare: AOFWindow?
    /// Looks whether bytes in the middle of a file are records: units and ends are not judged.
    let isProbe: Bool
    package internal(set) var seals: SealState
    package internal(set) var blocks = SealBlocks()

    /// Where the item just read begins in the file.
    package private(set) var offset = 0
    /// Bytes of the item just read.
    package private(set) var length = 0
    /// Bytes up to here are whole annotations, records and units.
    package internal(set) var wholeEnd: Int
    /// Between MULTI and EXEC; false again at EXEC itself.
    package private(set) var isInUnit = false
    package private(set) var recordCount = 0
    package private(set) var unitCount = 0
    package internal(set) var annotationCount = 0
    /// Lines of the records read: their counts, lengths and arguments.
    package private(set) var lineCount = 0
    /// Set when `next` answered `end`.
    package internal(set) var end: AOFEnd?

    package init(_ source: AOFSource, seals expectation: SealExpectation = SealExpectation()) {
        self.init(source, isProbe: false, seals: expectation)
    }

    init(_ source: AOFSource, isProbe: Bool, seals expectation: SealExpectation = SealExpectation()) {
        self.source = source
        self.isProbe = isProbe
        seals = SealState(expectation)
        if isProbe { seals.mode = .unsealed }
        windowOffset = source.offset
        wholeEnd = source.offset
        buffer = Heap.allocate(AOFLimits.windowBytes)
    }

    deinit {
        Heap.free(buffer)
        if let retired { Heap.free(retired.base) }
        if let spare { Heap.free(spare.base) }
    }

    /// Of the record just read; good until `next`, or, after `lend`, as long as its window.
    @inline(__always)
    package var arguments: Arguments { parser.arguments }

    /// The record just read, as it stands in the file; good until `next`.
    package var raw: Bytes { Bytes(start: buffer + (offset &- windowOffset), count: length) }

    /// The record is byte for byte what our encoder would write.
    package var isCanonical: Bool { parser.isCanonical }

    /// The annotation just read, without its line end; good until `next`.
    package var annotation: Bytes {
        var text = raw.dropLast()
        if text.last == 13 { text = text.dropLast() }
        return Bytes(rebasing: text)
    }

    /// Unix seconds of a `#TS:` annotation just read.
    package var timestamp: Int64? {
        let text = annotation
        guard text.count > 4, text.starts(with: "#TS:".utf8) else { return nil }
        return Decimal.parseInt64(text.from(4))
    }

    /// Bytes taken so far.
    package var consumed: Int { windowOffset &+ position }

    // MARK: Items

    /// The next item. After `end` it answers `end` again.
    /// - Throws: what reading the file throws; never for what the file holds.
    @inline(__always)
    package mutating func next() throws(StorageError) -> AOFItem {
        while true {
            if position < limit, buffer.load(fromByteOffset: position, as: UInt8.self) == UInt8(ascii: "*"),
               end == nil {
                let outcome = parser.parse(Bytes(start: buffer + position, count: limit &- position))
                if case .complete(let count) = outcome, parser.isCanonical { return try record(count) }
                if let item = try unusual(outcome) { return item }
            } else if let item = try other() {
                return item
            }
        }
    }

    @inline(__always)
    private mutating func record(_ count: Int) throws(StorageError) -> AOFItem {
        let arguments = parser.arguments
        if arguments.count == 1, !isProbe, let item = try mark(arguments[0]) { return item }
        take(count)
        recordCount &+= 1
        lineCount &+= 1 &+ 2 &* arguments.count
        if !isInUnit { wholeEnd = consumed }
        return .record
    }

    @inline(__always)
    mutating func take(_ count: Int) {
        offset = windowOffset &+ position
        length = count
        position &+= count
    }

    /// MULTI and EXEC.
    private mutating func mark(_ word: Bytes) throws(StorageError) -> AOFItem? {
        if word.equalsIgnoringCase(("MULTI" as StaticString).bytes) {
            if isInUnit { return try corrupt("Unexpected MULTI") }
            isInUnit = true
            unitStart = consumed
        } else if word.equalsIgnoringCase(("EXEC" as StaticString).bytes) {
            if !isInUnit { return try corrupt("Unexpected EXEC") }
            isInUnit = false
            unitCount += 1
        }
        return nil
    }

    /// A record that is not whole or not as our encoder writes it. Nil: more bytes are there now.
    @inline(never)
    private mutating func unusual(_ outcome: ParseOutcome) throws(StorageError) -> AOFItem? {
        switch outcome {
        case .complete(let count):
            if let reason = brokenLineEnd() { return try corrupt(reason) }
            return try record(count)
        case .incomplete(let needed):
            if seals.mode == .sealed { return try corrupt("a batch that ends within a record") }
            if let size = source.size, needed > size - consumed {
                return try torn("Expected to read a record of at least \(needed) bytes, got \(size - consumed)")
            }
            if try fill(max(needed, limit - position + 1)) { return nil }
            return try torn("the file ends within a record")
        case .empty: return try corrupt("a record without arguments")
        case .failure(let error): return try corrupt(Self.reason(error))
        }
    }

    private static func reason(_ error: ProtocolError) -> String {
        switch error {
        case .expectedDollar(let byte): "Expected prefix '$', got: \(printable(byte))"
        case .invalidMultibulkLength, .tooBigCountString: "a record whose number of arguments is no number"
        case .invalidBulkLength, .tooBigBulkCountString: "an argument whose length is no number in the suitable range"
        case .tooBigInline, .unbalancedQuotes, .unauthenticatedMultibulk, .unauthenticatedBulk: error.line
        }
    }

    private static func printable(_ byte: UInt8) -> String {
        ASCII.isPrintable(byte) ? "'\(String(UnicodeScalar(byte)))'" : "byte \(byte)"
    }

    /// The parser passes over the two bytes behind an argument; here they must be a line end.
    private func brokenLineEnd() -> String? {
        let arguments = parser.arguments
        var header = buffer + position
        while header.load(as: UInt8.self) != 13 { header += 1 }
        if header.load(fromByteOffset: 1, as: UInt8.self) != 10 { return "a count without a line end" }
        for index in 0..<arguments.count {
            let argument = arguments[index]
            guard let start = argument.baseAddress else { continue }
            if start.load(fromByteOffset: -1, as: UInt8.self) != 10 { return "a length without a line end" }
            let end = start + argument.count
            let first = end.load(as: UInt8.self), second = end.load(fromByteOffset: 1, as: UInt8.self)
            if first != 13 || second != 10 {
                return "Expected \\r\\n behind an argument, got: bytes \(first) and \(second)"
            }
        }
        return nil
    }

    /// Whatever is no record. Nil: a record follows now.
    @inline(never)
    private mutating func other() throws(StorageError) -> AOFItem? {
        if end != nil { return .end }
        if position == limit {
            if try !fill(1) { return atEnd() }
            if consumed == 0, try isPreamble() {
                seals.mode = .unsealed
                return .preamble
            }
            if seals.mode == .start || seals.mode == .sealed { return try sealItem() }
        }
        switch buffer.load(fromByteOffset: position, as: UInt8.self) {
        case UInt8(ascii: "*"): return nil
        case UInt8(ascii: "#"): return try readAnnotation()
        case let byte: return try corrupt("format error: a record begins with '*', not with \(Self.printable(byte))")
        }
    }

    private mutating func readAnnotation() throws(StorageError) -> AOFItem {
        if seals.mode != .sealed { _ = try fill(AOFLimits.annotationBytes) }
        let available = Bytes(start: buffer + position, count: limit - position).prefix(AOFLimits.annotationBytes - 1)
        guard let lineFeed = available.firstIndex(of: 10) else {
            if available.count < AOFLimits.annotationBytes - 1 && seals.mode != .sealed {
                return try torn("the file ends within an annotation")
            }
            return try corrupt("an annotation of more than \(AOFLimits.annotationBytes - 1) bytes")
        }
        if !isProbe, let reason = seals.objection(toAnnotation: Bytes(rebasing: available[...lineFeed])) {
            return try corrupt(reason)
        }
        let line = Bytes(rebasing: available[...lineFeed])
        if SealBlock.isLine(line), !isProbe, seals.mode == .unsealed, let damage = blockObjection(line) {
            end = damage
            return .end
        }
        take(lineFeed + 1)
        annotationCount += 1
        if !isInUnit { wholeEnd = consumed }
        return .annotation
    }

    // MARK: Ends

    private mutating func atEnd() -> AOFItem {
        if isInUnit, seals.mode == .sealed {
            end = AOFEnd(.corrupt, keep: seals.batchStart, offset: unitStart, "a batch that ends within a transaction")
        } else if isInUnit, !isProbe {
            end = AOFEnd(.torn, keep: wholeEnd, offset: unitStart, "Reached EOF before reading EXEC for MULTI")
        } else if blocks.isOn && !blocks.hasEnded {
            end = blockDamage(consumed, "the file ends before the block's own end")
        } else {
            end = AOFEnd.whole(wholeEnd)
        }
        return .end
    }

    private mutating func torn(_ reason: String) throws(StorageError) -> AOFItem {
        let start = consumed
        if blocks.isOn && !blocks.hasEnded {
            end = blockDamage(start, "\(reason), at byte \(start)")
            return .end
        }
        if !isProbe, let next = try AOFResync.find(source, after: start) {
            end = AOFEnd(.corrupt, keep: wholeEnd, offset: start,
                         "\(reason), but whole records follow from byte \(next)")
        } else {
            end = AOFEnd(.torn, keep: wholeEnd, offset: isInUnit ? unitStart : start, reason)
        }
        return .end
    }

    /// Bytes that can't be a record; but when nothing but zeros makes it so, up to the file's end, it is torn.
    mutating func corrupt(_ reason: String) throws(StorageError) -> AOFItem {
        let start = consumed
        if seals.mode == .sealed {
            // Its checksum is right: it was written so.
            end = AOFEnd(.corrupt, keep: seals.batchStart, offset: start, reason)
            return .end
        }
        if blocks.isOn && !blocks.hasEnded {
            end = blockDamage(start, "\(reason), at byte \(start)")
            return .end
        }
        end = AOFEnd(.corrupt, keep: wholeEnd, offset: start, reason)
        if isProbe { return .end }
        var good = limit
        while good > position, buffer.load(fromByteOffset: good - 1, as: UInt8.self) == 0 { good -= 1 }
        if good == limit || !isPrefix(good) { return .end }
        var zeros = limit - good
        position = limit
        while try fill(1) {
            for index in position..<limit where buffer.load(fromByteOffset: index, as: UInt8.self) != 0 {
                return .end
            }
            zeros += limit - position
            position = limit
        }
        end = AOFEnd(.torn, keep: wholeEnd, offset: isInUnit ? unitStart : start,
                     "the file ends in \(zeros) zero bytes", zeros: zeros)
        return .end
    }

    /// What stands from `position` to `end` is the beginning of an item.
    private mutating func isPrefix(_ end: Int) -> Bool {
        if end == position { return true }
        if buffer.load(fromByteOffset: position, as: UInt8.self) == UInt8(ascii: "#") { return true }
        guard buffer.load(fromByteOffset: position, as: UInt8.self) == UInt8(ascii: "*") else { return false }
        parser.reset()
        defer { parser.reset() }
        if case .incomplete = parser.parse(Bytes(start: buffer + position, count: end - position)) { return true }
        return false
    }

    // MARK: Preamble

    private mutating func isPreamble() throws(StorageError) -> Bool {
        _ = try fill(6)
        let start = window
        return start.starts(with: "REDIS".utf8) || start.starts(with: "VALKEY".utf8)
    }

    /// The RDB file that the AOF begins with. Read it to its end, then call `endPreamble`.
    package mutating func beginPreamble() -> RDBInput {
        precondition(consumed == 0)
        source.giveBack(Bytes(start: buffer + position, count: filled - position))
        filled = 0
        limit = 0
        position = 0
        source.beginLoan()
        let source = source
        return RDBInput(source.path) { (target) throws(StorageError) in try source.read(into: target) }
    }

    /// - Parameter bytes: how long the RDB file was: the input's offset behind its checksum.
    package mutating func endPreamble(_ bytes: Int) {
        source.endLoan(at: bytes)
        windowOffset = bytes
        wholeEnd = bytes
    }

    // MARK: Window

    /// What is in the window from `position` on.
    var window: Bytes { Bytes(start: buffer + position, count: filled - position) }

    /// At least `count` bytes from `position` on; false when the file ends before. May move the window: ranges
    /// that `arguments` gave are gone.
    @inline(never)
    mutating func fill(_ count: Int) throws(StorageError) -> Bool {
        defer { limit = seals.mode == .start || seals.mode == .sealed ? position : filled }
        if filled - position >= count { return true }
        let rest = filled - position
        if isLent { retire() }
        if position > 0 {
            leaveBlock()
            buffer.copyMemory(from: buffer + position, byteCount: rest)
            windowOffset += position
            position = 0
            filled = rest
        }
        if capacity > AOFLimits.windowBytes * 4, rest < AOFLimits.windowBytes, count < AOFLimits.windowBytes {
            resize(AOFLimits.windowBytes)
        }
        while filled < count {
            if filled == capacity { resize(capacity * 2) }
            let room = UnsafeMutableRawBufferPointer(start: buffer + filled, count: capacity - filled)
            let got = try source.read(into: room)
            if got == 0 { return false }
            filled += got
        }
        return true
    }

    /// What was taken is about to be behind the window's beginning.
    private mutating func leaveBlock() {
        if !blocks.isOn { return }
        absorbBlock()
        blocks.position = 0
    }

    private mutating func resize(_ bytes: Int) {
        capacity = bytes
        buffer = Heap.reallocate(buffer, bytes)
    }

    // MARK: Lending

    /// The record just read is kept where it is by the caller, who will take the window.
    @inline(__always)
    package mutating func lend() { isLent = true }

    /// The window of the records that were lent, once the reader is done with it; the caller's from now on. What was
    /// read since is in another one.
    package mutating func takeRetired() -> AOFWindow? {
        defer { retired = nil }
        return retired
    }

    /// Likewise, at once. Nil: nothing was lent.
    package mutating func retireNow() -> AOFWindow? {
        if isLent { retire() }
        return takeRetired()
    }

    /// A window that nobody needs any more, to be used again.
    package mutating func giveBack(_ window: AOFWindow) {
        if spare == nil && window.capacity == AOFLimits.windowBytes {
            spare = window
        } else {
            Heap.free(window.base)
        }
    }

    /// Goes on in another window, with what was not taken yet.
    private mutating func retire() {
        let rest = filled - position
        leaveBlock()
        var next = AOFWindow(base: buffer, capacity: max(rest, AOFLimits.windowBytes))
        if next.capacity == AOFLimits.windowBytes, let spare {
            next = spare
            self.spare = nil
        } else {
            next.base = Heap.allocate(next.capacity)
        }
        next.base.copyMemory(from: buffer + position, byteCount: rest)
        retired = AOFWindow(base: buffer, capacity: capacity)
        isLent = false
        buffer = next.base
        capacity = next.capacity
        windowOffset += position
        limit -= position
        position = 0
        filled = rest
    }
}

/// Memory that records stand in; whoever holds it frees it, or gives it back to the reader.
package struct AOFWindow {
    package var base: UnsafeMutableRawPointer
    package var capacity: Int
}
