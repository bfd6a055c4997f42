import Primitives

/// The first line of a sealed file (SealLine.swift draws it).
package struct SealOpening: Equatable, Sendable {
    package static let version = 2

    package var id: UInt64
    /// As in the manifest.
    package var file: Int
    package var firstSequence: Int
    package var time: UnixMilliseconds
    package var previousBytes = 0
    package var previousLink: UInt32 = 0
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
        SealText.append(hex: UInt64(previousLink), digits: 8, to: &out)
        out.append(UInt8(ascii: " "))
        crc = CRC32C.of(out.bytes.from(start))
        SealText.append(hex: UInt64(crc), digits: 8, to: &out)
        out.append("\r\n")
    }

    /// - Parameter line: with its line end. Nil unless it is an opening whose checksum is right.
    package init?(_ line: Bytes) {
        var text = SealText(line)
        guard text.take("#O:2 "), let id = text.hex(16), let file = text.decimal(), let first = text.decimal(),
              let time = text.decimal(), let bytes = text.decimal(), let before = text.hex(8) else { return nil }
        let covered = text.position
        guard let crc = text.lastHex(8), CRC32C.of(Bytes(rebasing: line[..<covered])) == UInt32(crc) else { return nil }
        self.init(id: id, file: file, firstSequence: first, time: UnixMilliseconds(Int64(time)))
        previousBytes = bytes
        previousLink = UInt32(before)
        self.crc = UInt32(crc)
    }
}
