import Primitives

// Filler: what stands in the log's file ahead of its end.
//
// An fdatasync that has to make the file's new size durable, too, costs much more than one of blocks that are there: a
// third more on ext4 without a journal, and a write to the journal where there is one. So while batches come fast under
// `always`, the file is made longer ahead of time, and batches overwrite what was put there: annotation lines.
//
//     … last batch ####…####\n####…####\n …        a line feed at the end of each 64 bytes of the file
//
// Every reader of AOFs passes over them. A server that appends to a file that was left with them begins on a new line.
//
// Invariants
//  1. Filler stands at the end of the file, and each of its bytes follows from where it is. But its first byte is `#`
//     also where a line feed would be (a lone line feed is no annotation), and its last is a line feed.
//  2. It is overwritten by batches alone that are synced before anything else is written. So behind the last durable
//     batch there is filler, or a part of one batch and filler, and no whole batch behind a gap.
//  3. It is cut off, durably, before anything is written that is not synced at once, before another file is written
//     to, when the log has been at rest for a second, and at a shutdown.
//
// What a power loss leaves, and why the next start is right
//  - while a batch overwrites filler: some of its sectors, and filler for the others. It was not acknowledged. The seal
//    tells that it is not whole, and 2 that it is torn, not damaged.
//  - while a batch makes the file longer, too: the same, or the file without what was added, or zeros in its place.
//  - while filler is cut off: the file with it, or without. It holds nothing.

package enum LogFiller {
    /// Bytes of a line, its line feed included.
    package static let lineBytes = 64

    /// What stands at this offset.
    @inline(__always)
    package static func byte(at offset: Int) -> UInt8 {
        offset & (lineBytes - 1) == lineBytes - 1 ? 10 : UInt8(ascii: "#")
    }

    /// How many bytes from `start` on are filler.
    static func length(_ source: AOFSource, from start: Int) throws(StorageError) -> Int {
        try source.runEnd(from: start) { $0 == ($1 == start ? UInt8(ascii: "#") : byte(at: $1)) } - start
    }

    /// Where the filler begins that ends the plain file; its size: there is none.
    /// - Parameter floor: not before it.
    static func start(_ source: AOFSource, size: Int, notBefore floor: Int) throws(StorageError) -> Int {
        // A record may end in a line feed there.
        if size % lineBytes != 0 { return size }
        let start = try source.runStart(notBefore: floor) { $0 == byte(at: $1) }
        return size - start >= 2 ? start : size
    }
}

/// Puts filler into the log's file. Belongs to whoever writes the file at the moment.
package struct LogPreallocation: ~Copyable {
    /// How far ahead, and when it is worth it.
    package struct Rule: Sendable, Equatable {
        /// Bytes by which the file grows at a time; 0: never.
        package var bytes: Int
        /// Batches within a second, that or the one before, from which on it does.
        package var batchesPerSecond: Int
        /// Clients with records in them, on average. Whoever writes alone, and looks at the file after each reply,
        /// finds it as long as what it holds.
        package var writersPerBatch: Int

        package init(bytes: Int, batchesPerSecond: Int, writersPerBatch: Int) {
            self.bytes = bytes
            self.batchesPerSecond = batchesPerSecond
            self.writersPerBatch = writersPerBatch
        }

        /// 256 KB take about as long to write as two fsyncs, and last for some hundred batches.
        package static let usual = Rule(bytes: 256 << 10, batchesPerSecond: 100, writersPerBatch: 3)
    }

    /// A batch of more than this does not care for the file's size.
    private static let largestBatch = 64 << 10

    let rule: Rule
    /// Bytes of filler behind the log's end.
    var left = 0
    /// The disk had no room for it; until the next file.
    private var isTooMuch = false
    /// What there was in this second, and in the one before.
    private struct Load {
        var batches = 0
        var writers = 0
    }

    private var second: Int64 = 0
    private var now = Load()
    private var before = Load()
    /// Filler for any offset: some of its bytes, from the offset's place in a line on. No data, and so not of the Heap.
    private let pattern: UnsafeMutableRawPointer
    private var isFilled = false

    init(_ rule: Rule) {
        self.rule = rule
        pattern = .allocate(byteCount: rule.bytes + 3 * LogFiller.lineBytes, alignment: 64)
    }

    deinit { pattern.deallocate() }

    /// A batch is to be written, with records of so many clients.
    mutating func count(_ writers: Int, _ time: UnixMicroseconds) {
        let time = time.milliseconds.seconds
        if time != second {
            before = time == second + 1 ? now : Load()
            now = Load()
            second = time
        }
        now.batches += 1
        now.writers += writers
    }

    private func isBusy(_ load: Load) -> Bool {
        load.batches >= rule.batchesPerSecond && load.writers >= load.batches * rule.writersPerBatch
    }

    /// What is to be written behind a batch of `count` bytes that ends at `end` and is synced; empty: nothing.
    mutating func tail(behind end: Int, _ count: Int, mayGrow: Bool) -> Bytes {
        let rest = left - count
        if rest >= 2 {
            // A line feed alone would stand there.
            return LogFiller.byte(at: end) == 10 ? filler(from: end, to: end + 1) : Bytes(start: nil, count: 0)
        }
        let grows = mayGrow && !isTooMuch && rule.bytes > 0 && count <= Self.largestBatch
            && (isBusy(now) || isBusy(before))
        // The line feed that would be left needs a line before it.
        if !grows && rest != 1 { return Bytes(start: nil, count: 0) }
        let size = grows ? rule.bytes : 2, line = LogFiller.lineBytes
        return filler(from: end, to: (end + size + line - 1) / line * line)
    }

    /// The batch and its tail were written.
    mutating func wrote(_ count: Int, tail: Int) { left = max(left - count, tail) }

    mutating func cut() { left = 0 }

    mutating func foundNoRoom() { isTooMuch = true }

    mutating func fileChanged() {
        left = 0
        isTooMuch = false
    }

    private mutating func filler(from start: Int, to end: Int) -> Bytes {
        let line = LogFiller.lineBytes, place = start % line
        if !isFilled {
            for offset in 0..<(rule.bytes + 3 * line) {
                pattern.storeBytes(of: LogFiller.byte(at: offset), toByteOffset: offset, as: UInt8.self)
            }
            isFilled = true
        }
        // Only the first byte is ever changed, and only from a line feed.
        if place == line - 1 {
            pattern.storeBytes(of: UInt8(ascii: "#"), toByteOffset: place, as: UInt8.self)
        } else {
            pattern.storeBytes(of: 10, toByteOffset: line - 1, as: UInt8.self)
        }
        return Bytes(start: pattern + place, count: end - start)
    }
}
