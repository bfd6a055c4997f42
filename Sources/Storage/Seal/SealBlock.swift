import Primitives

// The seal of a BASE that is written as commands: a line behind each block of records, so that damage is told by its
// place. (A BASE is named only when all of it is on the disk, so nothing of it is ever torn, and it need not be checked
// before it is executed: a damaged one is refused as a whole.)
//
//     #B:0 0 c8e1e9a5\r\n                the file's first line: it is sealed so
//     … 262,150 bytes of records
//     #B:1 262150 5d2c11f0\r\n
//     …
//     #E:7 1204 0e8f3b7a\r\n             the last one
//        | |    CRC-32C of the block and of this line up to here
//        | bytes of the block: from behind the line before to here
//        number, from 1
//
// A flipped bit in a line makes the block wrong that ends there, or the one in which the line would have ended.

struct SealBlock {
    /// A block ends with the record that makes it this long.
    static let minimumBytes = 1 << 18

    var number: Int
    var bytes: Int
    var isLast: Bool

    /// Appends the line; `crc` is of the block.
    func append(to out: inout OwnedBytes, crc: UInt32) {
        let start = out.count
        out.append(isLast ? "#E:" : "#B:")
        out.append(decimal: Int64(number))
        out.append(UInt8(ascii: " "))
        out.append(decimal: Int64(bytes))
        out.append(UInt8(ascii: " "))
        SealText.append(hex: UInt64(CRC32C.update(crc, out.bytes.from(start))), digits: 8, to: &out)
        out.append("\r\n")
    }

    /// Nil: it is none, or a damaged one.
    /// - Parameter crc: of the block before it.
    init?(_ line: Bytes, crc: UInt32) {
        var text = SealText(line)
        isLast = line.count > 1 && line[1] == UInt8(ascii: "E")
        guard text.take(isLast ? "#E:" : "#B:"), let number = text.decimal(), let bytes = text.decimal() else {
            return nil
        }
        let covered = text.position
        guard let found = text.lastHex(8), CRC32C.update(crc, Bytes(rebasing: line[..<covered])) == UInt32(found) else {
            return nil
        }
        self.number = number
        self.bytes = bytes
    }

    init(number: Int, bytes: Int, isLast: Bool = false) {
        self.number = number
        self.bytes = bytes
        self.isLast = isLast
    }

    static func isLine(_ bytes: Bytes) -> Bool { bytes.starts(with: "#B:".utf8) || bytes.starts(with: "#E:".utf8) }
}

/// The blocks of a file that is being read.
package struct SealBlocks: Sendable {
    package internal(set) var isOn = false
    package internal(set) var hasEnded = false
    /// Good so far.
    package internal(set) var count = 0
    /// Offset of the block that is being read.
    var start = 0
    /// Of the block, up to `position` in the reader's window.
    var crc: UInt32 = 0
    var position = 0
}

/// Where a block is damaged.
package struct SealBlockDamage: Equatable, Sendable {
    package var number: Int
    package var start: Int
    /// Where what is wrong was noticed.
    package var end: Int
}

extension AOFReader {
    /// The bytes up to `position` leave the window, or are to be compared.
    mutating func absorbBlock() {
        let bytes = Bytes(start: buffer + blocks.position, count: position - blocks.position)
        blocks.crc = CRC32C.update(blocks.crc, bytes)
        blocks.position = position
    }

    /// A line of a block stands at `position`. Nil: it is right.
    mutating func blockObjection(_ line: Bytes) -> AOFEnd? {
        if !blocks.isOn {
            guard consumed == 0, let first = SealBlock(line, crc: 0), first.number == 0, first.bytes == 0 else {
                return blockDamage(consumed, "the file does not begin with the line of block 0")
            }
            blocks.isOn = true
            beginBlock(line)
            return nil
        }
        absorbBlock()
        let bytes = consumed - blocks.start
        guard let block = SealBlock(line, crc: blocks.crc), block.number == blocks.count + 1,
              block.bytes == bytes else {
            return blockDamage(consumed, "its checksum is wrong")
        }
        blocks.count += 1
        blocks.hasEnded = block.isLast
        beginBlock(line)
        return nil
    }

    private mutating func beginBlock(_ line: Bytes) {
        blocks.position = position + line.count
        blocks.start = consumed + line.count
        blocks.crc = 0
    }

    func blockDamage(_ end: Int, _ what: String) -> AOFEnd {
        var result = AOFEnd(.corrupt, keep: blocks.start, offset: blocks.start,
                            "block \(blocks.count + 1), bytes \(blocks.start) to \(end), is damaged: \(what)")
        result.block = SealBlockDamage(number: blocks.count + 1, start: blocks.start, end: end)
        return result
    }
}
