import Primitives

// The seal of a log, in bytes. A sealed file begins with an opening line; before each batch stands a seal line; a mark
// is a seal line of no bytes. All are annotations, which stock servers skip: they begin with `#` and have fewer than
// 128 bytes.
//
//     #O:2 b7c1d0fa2e559301 2 18 1795639920123 93 5d2c11f0 0e8f3b7a\r\n
//        |  |                | |  |            |  |        CRC-32C of the line up to here
//        |  |                | |  |            |  the last link of the file before; 0: it has none
//        |  |                | |  |            bytes of the file before; 0: nothing before it counts
//        |  |                | |  Unix time in milliseconds
//        |  |                | sequence number of its first batch
//        |  |                number of the file, as in the manifest
//        |  identity of the file, which the manifest names too
//        version of the format
//
// Seal lines are many, and so they are short. Numbers are written to the base of 64, with the digits `0`-`9`, `A`-`Z`,
// `a`-`z`, `-`, `_`. A whole line has all that is to be known; it comes first in a file, when the clock moved by more
// than two seconds, for every 64th batch, and in a mark. The others leave out what follows from the line before.
//
//     #=Xo 3 Q8M9bQS wudcR8kA\n        whole        #XR4YNSBmx-xXd\n        short
//       || | |       |                             |||| |
//       || | |       check                         |||| check
//       || | Unix time in milliseconds             |||time, its last 12 bits (4.096 seconds)
//       || sequence number                         ||sequence number, its last 6 bits
//       |bytes of the batch                        |bytes of the batch
//       flags                                      flags
//
//     flags     32 is set: nothing is written behind this batch before it is on the disk. The rest, n: of the batches
//               up to this one the last 2^(n-1) may not be on the disk yet; 31: any; 0: none, in a mark
//     bytes     of the batch: records, and `#TS:` lines
//     sequence  one more than that of the batch before, also across files. A mark has the last batch's
//     check     48 bits: 16 of the link before it, then a CRC-32C (32 bits)
//
// The CRC-32C goes over the identity (8 bytes, little endian), the line up to the check, the batch, then sequence and
// time (8 bytes each) and the 16 bits of the link (2 bytes). So what a short line leaves out is checked as well. The
// link of a batch is the CRC-32C of the link before it, continued over the batch's CRC (4 bytes); the first link of a
// file is the CRC of its opening line, so that a link stands for all that was written before.
//
// Invariants
//  1. Each number has one spelling (no leading zeros), so that each bit of a line counts.
//  2. A seal line can be checked by itself, given the file's identity and, if it is short, roughly where it stands; its
//     exact place in the log by the links.

package enum SealTag: Sendable {
    /// The batch is synced before anything is written behind it.
    case synced
    case unsynced
}

/// Where a short line is looked at from: the line before it, or whatever is known to be near.
package struct SealReference: Sendable {
    package var sequence: Int
    /// Nil: unknown; then short lines tell nothing.
    package var time: UnixMilliseconds?

    package init(sequence: Int, time: UnixMilliseconds?) {
        self.sequence = sequence
        self.time = time
    }
}

package struct SealBatch: Equatable, Sendable {
    package var tag: SealTag
    package var sequence: Int
    package var bytes: Int
    package var time: UnixMilliseconds
    /// At least so many batches up to this one may not be on the disk. Read from a line: rounded up to a power of two.
    package var unsynced: Int
    /// 16 bits of the link before it.
    package var previous: UInt16
    package var crc: UInt32 = 0

    package init(_ tag: SealTag, sequence: Int, bytes: Int, time: UnixMilliseconds, unsynced: Int,
                 behind link: UInt32) {
        self.tag = tag
        self.sequence = sequence
        self.bytes = bytes
        self.time = time
        self.unsynced = unsynced
        previous = UInt16(truncatingIfNeeded: link)
    }

    package var isMark: Bool { bytes == 0 }
    func isBehind(_ link: UInt32) -> Bool { previous == UInt16(truncatingIfNeeded: link) }
    /// The last batch that was on the disk when this was written.
    package var durableSequence: Int { max(sequence - unsynced, 0) }

    /// What checksums of a file begin with.
    package static func seed(_ id: UInt64) -> UInt32 {
        withUnsafeBytes(of: id.littleEndian) { CRC32C.of($0) }
    }

    /// The link behind this batch.
    package func link(behind link: UInt32) -> UInt32 {
        withUnsafeBytes(of: crc.littleEndian) { CRC32C.update(link, $0) }
    }

    /// - Parameter crc: of the identity, the line up to its check, and the batch.
    @inline(__always)
    func completed(_ crc: UInt32) -> UInt32 {
        let words = (UInt64(bitPattern: Int64(sequence)).littleEndian, UInt64(bitPattern: time.rawValue).littleEndian)
        let covered = withUnsafeBytes(of: words) { CRC32C.update(crc, $0) }
        return withUnsafeBytes(of: previous.littleEndian) { CRC32C.update(covered, $0) }
    }

    // MARK: Writing

    /// Milliseconds from the line before up to which a line may be short.
    private static let shortSpan: Int64 = 2000
    static let shortNumbers = 64

    private var flags: UInt8 {
        let exponent = unsynced == 0 ? 0 : Int.bitWidth - (unsynced - 1).leadingZeroBitCount + 1
        return UInt8(min(exponent, SealLine.anyExponent)) + (tag == .synced ? 32 : 0)
    }

    /// Appends the line for a batch that consists of `first`, which will follow it in `out`, and `rest`; notes its
    /// checksum.
    /// - Parameter before: when the line before it in the file was written; nil: the line is to be whole.
    package mutating func append(to out: inout OwnedBytes, seed: UInt32, after before: UnixMilliseconds?,
                                 _ first: Bytes, _ rest: Bytes) {
        let isShort = before.map { abs(time.rawValue &- $0.rawValue) <= Self.shortSpan } ?? false
            && sequence % Self.shortNumbers != 0
        out.reserve(64)
        let start = out.count
        out.append(UInt8(ascii: "#"))
        if !isShort { out.append(UInt8(ascii: "=")) }
        out.append(SealDigits.digit(flags))
        SealDigits.append(UInt64(bytes), to: &out)
        if isShort {
            out.append(SealDigits.digit(UInt8(truncatingIfNeeded: sequence & 63)))
            SealDigits.append(UInt64(time.rawValue & 4095), digits: 2, to: &out)
        } else {
            out.append(32)
            SealDigits.append(UInt64(sequence), to: &out)
            out.append(32)
            SealDigits.append(UInt64(time.rawValue), to: &out)
            out.append(32)
        }
        crc = completed(CRC32C.update(CRC32C.update(CRC32C.update(seed, out.bytes.from(start)), first), rest))
        SealDigits.append(UInt64(previous) << 32 | UInt64(crc), digits: SealLine.checkDigits, to: &out)
        out.append(10)
    }
}

/// A seal line as it was read, before it is known what it leaves out.
package struct SealLine: Sendable {
    static let checkDigits = 8
    /// What the time of a short line is told modulo.
    static let shortMilliseconds: Int64 = 4096
    /// A flag: how many batches may not be on the disk is not told.
    static let anyExponent = 31

    let isShort: Bool
    let tag: SealTag
    private let exponent: Int
    package let bytes: Int
    /// Of a short line: the last bits.
    private let sequence: Int
    private let time: Int64
    private let previous: UInt16
    let crc: UInt32
    /// What comes before the check.
    private let coveredBytes: Int

    package var isMark: Bool { bytes == 0 }

    /// - Parameter line: with its line end. Nil unless it is spelled as a seal.
    package init?(_ line: Bytes) {
        // `#`, flags, bytes, sequence, time, check, line feed: a short line has 15 bytes at least.
        guard line.count >= 15, line[0] == UInt8(ascii: "#"), line[line.count - 1] == 10 else { return nil }
        isShort = line[1] != UInt8(ascii: "=")
        var text = SealDigits(line, at: isShort ? 1 : 2)
        coveredBytes = line.count - 1 - Self.checkDigits
        guard let flags = text.number(digits: 1) else { return nil }
        tag = flags & 32 != 0 ? .synced : .unsynced
        exponent = Int(flags & 31)
        if isShort {
            guard let bytes = text.number(upTo: coveredBytes - 3), let bits = text.number(digits: 1),
                  let time = text.number(digits: 2) else { return nil }
            (self.bytes, sequence, self.time) = (Int(bytes), Int(bits), Int64(time))
        } else {
            guard let bytes = text.word(), let sequence = text.word(), let time = text.word() else { return nil }
            (self.bytes, self.sequence, self.time) = (Int(bytes), Int(sequence), Int64(time))
        }
        guard text.position == coveredBytes, let check = text.number(digits: Self.checkDigits),
              (bytes == 0) == (exponent == 0) else { return nil }
        previous = UInt16(truncatingIfNeeded: check >> 32)
        crc = UInt32(truncatingIfNeeded: check)
    }

    /// The checksum of what stands before the batch.
    package func headChecksum(_ line: Bytes, seed: UInt32) -> UInt32 {
        CRC32C.update(seed, Bytes(rebasing: line[..<coveredBytes]))
    }

    private func batch(_ sequence: Int, _ time: Int64) -> SealBatch {
        let unsynced = exponent == 0 ? 0 : exponent == Self.anyExponent ? sequence : min(1 << (exponent - 1), sequence)
        var batch = SealBatch(tag, sequence: sequence, bytes: bytes, time: UnixMilliseconds(time), unsynced: unsynced,
                              behind: UInt32(previous))
        batch.crc = crc
        return batch
    }

    /// What it means behind `reference`, if it is right; nil: that can't be told.
    package func nearest(_ reference: SealReference) -> SealBatch? {
        if !isShort { return batch(sequence, time) }
        guard let before = reference.time?.rawValue else { return nil }
        return batch(reference.sequence + (sequence - reference.sequence) & 63, Self.nearest(time, before))
    }

    /// The time with these last bits that is closest.
    private static func nearest(_ bits: Int64, _ reference: Int64) -> Int64 {
        reference + ((bits - reference + shortMilliseconds / 2) & (shortMilliseconds - 1)) - shortMilliseconds / 2
    }

    /// What it means, as its check proves; nil: it does not stand near, or is damaged.
    /// - Parameter content: the CRC of the identity, the line up to its check, and the batch.
    package func verified(_ content: UInt32, near reference: SealReference) -> SealBatch? {
        guard let first = nearest(reference) else { return nil }
        if first.completed(content) == crc { return first }
        if !isShort { return nil }
        // Behind damage: so many batches, and so much time, may be missing; or it stands a second time.
        for turn in [0, 1, 2, 3, 4, 5, 6, 7, -1] where first.sequence + turn * 64 >= 0 {
            for span in [0, 1, 2, 3, 4, 5, 6, 7, -1] as [Int64] {
                let other = batch(first.sequence + turn * 64, first.time.rawValue + span * Self.shortMilliseconds)
                if other.completed(content) == crc { return other }
            }
        }
        return nil
    }
}
