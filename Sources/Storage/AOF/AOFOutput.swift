import Primitives
import RESP

/// Records to a file descriptor, for a forked child: raw memory only. Errors are kept: see `failure`.
struct AOFOutput: ~Copyable {
    private static let recordBytes = 1 << 14

    /// Behind what the sink has.
    private var records = OwnedBytes(capacity: recordBytes + 1024)
    private var sink: RDBOutput
    /// Blocks of records are sealed (SealBlock.swift).
    private let isSealed: Bool
    private var blockCount = 0
    private var blockStart = 0

    init(_ descriptor: Int32, on disk: ImageDisk, syncsIncrementally: Bool, isSealed: Bool) {
        sink = RDBOutput(descriptor: descriptor, on: disk, compresses: false, computesChecksum: false,
                         syncsIncrementally: syncsIncrementally)
        self.isSealed = isSealed
        if isSealed {
            sink.beginSum()
            seal(isLast: false)
        }
    }

    /// Between two records: what was put since the last line is a block.
    private mutating func seal(isLast: Bool) {
        passOn()
        let bytes = sink.offset - blockStart
        let block = SealBlock(number: blockCount, bytes: bytes, isLast: isLast)
        block.append(to: &records, crc: sink.endSum())
        passOn()
        blockCount += 1
        blockStart = sink.offset
        sink.beginSum()
    }

    /// errno of the first failure; 0: none.
    var failure: Int32 { sink.failure }

    /// Begins a record; exactly `argumentCount` arguments must follow.
    @inline(__always)
    mutating func begin(_ argumentCount: Int) {
        if isSealed && sink.offset - blockStart + records.count >= SealBlock.minimumBytes { seal(isLast: false) }
        RequestEncoder.begin(argumentCount: argumentCount, into: &records)
    }

    @inline(__always)
    mutating func argument(_ bytes: Bytes) {
        if bytes.count > Self.recordBytes {
            long(bytes)
        } else {
            RequestEncoder.argument(bytes, into: &records)
            if records.count >= Self.recordBytes { passOn() }
        }
    }

    mutating func argument(_ text: StaticString) { argument(text.bytes) }

    mutating func argument(_ integer: Int64) { RequestEncoder.argument(integer, into: &records) }

    /// The shortest text that reads as the same number.
    mutating func argument(_ number: Double) {
        withUnsafeTemporaryAllocation(byteCount: DoubleText.maximumLength, alignment: 8) { scratch in
            let start = scratch.baseAddress.unsafelyUnwrapped
            argument(Bytes(start: start, count: DoubleText.write(number, to: start)))
        }
    }

    /// In pieces: a copy of the whole could double the child's memory.
    private mutating func long(_ bytes: Bytes) {
        withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) { scratch in
            let start = scratch.baseAddress.unsafelyUnwrapped
            start.storeBytes(of: UInt8(ascii: "$"), as: UInt8.self)
            let digits = Decimal.write(Int64(bytes.count), to: start + 1)
            records.append(Bytes(start: start, count: 1 + digits))
        }
        records.append("\r\n")
        passOn()
        var rest = bytes
        while rest.count > 0 {
            sink.put(Bytes(rebasing: rest.prefix(Self.recordBytes)))
            rest = Bytes(rebasing: rest.dropFirst(Self.recordBytes))
        }
        records.append("\r\n")
    }

    private mutating func passOn() {
        sink.put(records.bytes)
        records.truncate(to: 0)
    }

    /// Records that another writes straight to the sink.
    mutating func withSink(_ body: (inout RDBOutput) -> Void) {
        passOn()
        body(&sink)
    }

    mutating func flush() {
        if isSealed { seal(isLast: true) }
        passOn()
        sink.flush()
    }
}
