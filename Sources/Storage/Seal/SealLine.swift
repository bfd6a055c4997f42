import Primitives
#if canImport(Glibc)
import Glibc
#endif

// The seal of a log, in bytes. A sealed file begins with an opening line; before each batch stands a seal line; a mark
// is a seal line of no bytes. All are annotations, which stock servers skip: they begin with `#` and have fewer than
// 128 bytes.
//
//     #O:1 b7c1d0fa2e559301 2 18 1795639920123 93 5d2c11f0 0e8f3b7a\r\n
//        |  |                | |  |            |  |        CRC-32C of the line up to here
//        |  |                | |  |            |  the last CRC of the file before; 0: it has none
//        |  |                | |  |            bytes of the file before; 0: nothing before it counts
//        |  |                | |  Unix time in milliseconds
//        |  |                | sequence number of its first batch
//        |  |                number of the file, as in the manifest
//        |  identity of the file, which the manifest names too
//        version of the format
//
//     #S:18 2250 1795639920140 1 0e8f3b7a 8f3a22bc\r\n      then 2250 bytes: records, and `#TS:` lines
//     |  |  |    |             | |        CRC-32C of the identity, this line up to here, and the batch
//     |  |  |    |             | the CRC before it in this file
//     |  |  |    |             how many batches up to this one may not be on the disk yet; 0 in a mark
//     |  |  |    Unix time in milliseconds
//     |  |  bytes of the batch
//     |  sequence number; one more than that of the batch before, also across files. A mark has the last batch's
//     S: nothing is written behind this batch before it is on the disk; U: something may be
//
// Invariants
//  1. Each number has one spelling (no leading zeros, hexadecimal in small letters), so that each bit of a line counts.
//  2. A seal line can be checked by itself, given the file's identity; its place in the log by its neighbours.

package enum SealTag: UInt8, Sendable {
    /// The batch is synced before anything is written behind it.
    case synced = 83
    case unsynced = 85
    case opening = 79
}

package struct SealOpening: Equatable, Sendable {
    package static let version = 1

    package var id: UInt64
    /// As in the manifest.
    package var file: Int
    package var firstSequence: Int
    package var time: UnixMilliseconds
    package var previousBytes = 0
    package var previousCRC: UInt32 = 0
    package var crc: UInt32 = 0

    package init(id: UInt64, file: Int, firstSequence: Int, time: UnixMilliseconds) {
        self.id = id
        self.file = file
        self.firstSequence = firstSequence
        self.time = time
    }

    /// Appends the line and notes its checksum.
    package mutating func append(to out: inout OwnedBytes) {
        let start = out.count
        out.append("#O:")
        out.append(decimal: Int64(Self.version))
        out.append(UInt8(ascii: " "))
        SealText.append(hex: id, digits: 16, to: &out)
        for number in [file, firstSequence, Int(time.rawValue), previousBytes] {
            out.append(UInt8(ascii: " "))
            out.append(decimal: Int64(number))
        }
        out.append(UInt8(ascii: " "))
        SealText.append(hex: UInt64(previousCRC), digits: 8, to: &out)
        out.append(UInt8(ascii: " "))
        crc = CRC32C.of(out.bytes.from(start))
        SealText.append(hex: UInt64(crc), digits: 8, to: &out)
        out.append("\r\n")
    }

    /// - Parameter line: with its line end. Nil unless it is an opening whose checksum is right.
    package init?(_ line: Bytes) {
        var text = SealText(line)
        guard text.take("#O:1 "), let id = text.hex(16), let file = text.decimal(), let first = text.decimal(),
              let time = text.decimal(), let bytes = text.decimal(), let before = text.hex(8) else { return nil }
        let covered = text.position
        guard let crc = text.lastHex(8), CRC32C.of(Bytes(rebasing: line[..<covered])) == UInt32(crc) else { return nil }
        self.init(id: id, file: file, firstSequence: first, time: UnixMilliseconds(Int64(time)))
        previousBytes = bytes
        previousCRC = UInt32(before)
        self.crc = UInt32(crc)
    }
}

package struct SealBatch: Equatable, Sendable {
    package var tag: SealTag
    package var sequence: Int
    package var bytes: Int
    package var time: UnixMilliseconds
    package var unsynced: Int
    package var previous: UInt32
    package var crc: UInt32 = 0

    package init(_ tag: SealTag, sequence: Int, bytes: Int, time: UnixMilliseconds, unsynced: Int, previous: UInt32) {
        self.tag = tag
        self.sequence = sequence
        self.bytes = bytes
        self.time = time
        self.unsynced = unsynced
        self.previous = previous
    }

    package var isMark: Bool { bytes == 0 }
    /// The last batch that was on the disk when this was written.
    package var durableSequence: Int { sequence - unsynced }

    /// What checksums of a file begin with.
    package static func seed(_ id: UInt64) -> UInt32 {
        withUnsafeBytes(of: id.littleEndian) { CRC32C.of($0) }
    }

    /// Appends the line for a batch that consists of `first`, which will follow it in `out`, and `rest`; notes its
    /// checksum.
    package mutating func append(to out: inout OwnedBytes, seed: UInt32, _ first: Bytes, _ rest: Bytes) {
        let start = out.count
        out.append("#")
        out.append(tag.rawValue)
        out.append(UInt8(ascii: ":"))
        out.append(decimal: Int64(sequence))
        out.append(UInt8(ascii: " "))
        out.append(decimal: Int64(bytes))
        out.append(UInt8(ascii: " "))
        out.append(decimal: time.rawValue)
        out.append(UInt8(ascii: " "))
        out.append(decimal: Int64(unsynced))
        out.append(UInt8(ascii: " "))
        SealText.append(hex: UInt64(previous), digits: 8, to: &out)
        out.append(UInt8(ascii: " "))
        crc = CRC32C.update(CRC32C.update(CRC32C.update(seed, out.bytes.from(start)), first), rest)
        SealText.append(hex: UInt64(crc), digits: 8, to: &out)
        out.append("\r\n")
    }

    /// - Parameter line: with its line end. Nil unless it is spelled as a seal; whether the checksum is right shows
    ///   `covered`, with which the batch's bytes go on.
    package init?(_ line: Bytes) {
        var text = SealText(line)
        guard line.count > 3, line[0] == UInt8(ascii: "#"), line[2] == UInt8(ascii: ":"),
              let tag = SealTag(rawValue: line[1]), tag != .opening else { return nil }
        text.position = 3
        guard let sequence = text.decimal(), let bytes = text.decimal(), let time = text.decimal(),
              let unsynced = text.decimal(), let previous = text.hex(8) else { return nil }
        let covered = text.position
        guard let crc = text.lastHex(8), sequence >= unsynced, (bytes == 0) == (unsynced == 0) else { return nil }
        self.init(tag, sequence: sequence, bytes: bytes, time: UnixMilliseconds(Int64(time)), unsynced: unsynced,
                  previous: UInt32(previous))
        self.crc = UInt32(crc)
        coveredBytes = covered
    }

    /// Of the line as read: what comes before its own checksum.
    private var coveredBytes = 0

    /// The checksum of what stands before the batch.
    package func headChecksum(_ line: Bytes, seed: UInt32) -> UInt32 {
        CRC32C.update(seed, Bytes(rebasing: line[..<coveredBytes]))
    }
}

/// Reads a line word by word, each with the blank behind it.
struct SealText {
    let line: Bytes
    var position = 0

    init(_ line: Bytes) { self.line = line }

    mutating func take(_ word: StaticString) -> Bool {
        let word = word.bytes
        guard line.count >= position + word.count,
              Bytes(rebasing: line[position..<(position + word.count)]).equals(word) else { return false }
        position += word.count
        return true
    }

    mutating func decimal() -> Int? {
        var value = 0, place = position
        while place < line.count, ASCII.isDigit(line[place]), place - position < 18 {
            value = value * 10 + Int(line[place] - 48)
            place += 1
        }
        guard place > position, place < line.count, line[place] == 32 else { return nil }
        if line[position] == 48 && place - position > 1 { return nil }
        position = place + 1
        return value
    }

    mutating func hex(_ digits: Int) -> UInt64? {
        guard let value = digitsValue(digits), line.count > position + digits, line[position + digits] == 32 else {
            return nil
        }
        position += digits + 1
        return value
    }

    /// The number that ends the line.
    mutating func lastHex(_ digits: Int) -> UInt64? {
        guard let value = digitsValue(digits), line.count == position + digits + 2, line[line.count - 2] == 13,
              line[line.count - 1] == 10 else { return nil }
        return value
    }

    private func digitsValue(_ digits: Int) -> UInt64? {
        guard line.count >= position + digits else { return nil }
        var value: UInt64 = 0
        for place in position..<(position + digits) {
            let byte = line[place]
            guard ASCII.isDigit(byte) || (byte >= 97 && byte <= 102), let digit = ASCII.hexDigitValue(byte) else {
                return nil
            }
            value = value << 4 | UInt64(digit)
        }
        return value
    }

    static func append(hex value: UInt64, digits: Int, to out: inout OwnedBytes) {
        out.reserve(digits)
        let start = out.base + out.count
        for place in 0..<digits {
            let shift = UInt64(digits - 1 - place) &* 4
            start.storeBytes(of: ASCII.hexDigit(UInt8(truncatingIfNeeded: value >> shift & 15)), toByteOffset: place,
                             as: UInt8.self)
        }
        out.commit(digits)
    }

    /// For messages and the manifest.
    static func hex(_ value: UInt64, _ digits: Int) -> String {
        let text = String(value, radix: 16)
        return String(repeating: "0", count: max(0, digits - text.count)) + text
    }
}

extension Bytes {
    /// Where the first line that may be an annotation ends: its line feed.
    var annotationEnd: Int? {
        guard let base = baseAddress,
              let found = memchr(base, 10, Swift.min(count, AOFLimits.annotationBytes - 1)) else { return nil }
        return UnsafeRawPointer(found) - base
    }
}

extension UnixMilliseconds {
    /// `2026-11-26 00:33:00.123 UTC`.
    package var text: String {
        let seconds = rawValue >= 0 ? rawValue / 1000 : 0
        let (day, second) = (seconds / 86400, seconds % 86400)
        // Days since 0000-03-01, in eras of 400 years (the civil calendar's period).
        let z = day + 719_468
        let era = z / 146_097, dayOfEra = z % 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        func two(_ value: Int64) -> String { value < 10 ? "0\(value)" : "\(value)" }
        let thousandths = String(1000 + (rawValue >= 0 ? rawValue % 1000 : 0)).dropFirst()
        return "\(year)-\(two(month))-\(two(dayOfYear - (153 * monthFromMarch + 2) / 5 + 1)) \(two(second / 3600)):"
            + "\(two(second / 60 % 60)):\(two(second % 60)).\(thousandths) UTC"
    }
}
