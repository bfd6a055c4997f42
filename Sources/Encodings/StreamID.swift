import Primitives

/// The ID of a stream entry: milliseconds and a sequence number, ordered as a 128-bit number.
package struct StreamID: Comparable, Hashable, Sendable {
    package var milliseconds: UInt64
    package var sequence: UInt64

    package init(_ milliseconds: UInt64, _ sequence: UInt64) {
        self.milliseconds = milliseconds
        self.sequence = sequence
    }

    package static let minimum = StreamID(0, 0)
    package static let maximum = StreamID(.max, .max)
    package static let byteCount = 16

    @inline(__always)
    package static func < (a: StreamID, b: StreamID) -> Bool {
        a.milliseconds != b.milliseconds ? a.milliseconds < b.milliseconds : a.sequence < b.sequence
    }

    /// The ID after this one; nil after the greatest.
    package var successor: StreamID? {
        if sequence < .max { return StreamID(milliseconds, sequence + 1) }
        return milliseconds < .max ? StreamID(milliseconds + 1, 0) : nil
    }

    package var predecessor: StreamID? {
        if sequence > 0 { return StreamID(milliseconds, sequence - 1) }
        return milliseconds > 0 ? StreamID(milliseconds - 1, .max) : nil
    }

    // MARK: 16 bytes, big endian, as RDB files keep it

    package init(bigEndian pointer: UnsafeRawPointer) {
        milliseconds = UInt64(bigEndian: pointer.loadUnaligned(as: UInt64.self))
        sequence = UInt64(bigEndian: pointer.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
    }

    package func write(bigEndianTo pointer: UnsafeMutableRawPointer) {
        pointer.storeBytes(of: milliseconds.bigEndian, as: UInt64.self)
        pointer.storeBytes(of: sequence.bigEndian, toByteOffset: 8, as: UInt64.self)
    }

    // MARK: Text

    /// `ms-seq` or `ms` (then with `missingSequence`).
    package static func parse(_ text: Bytes, missingSequence: UInt64) -> StreamID? {
        guard text.count > 0, text.count <= 41 else { return nil }
        guard let dash = text.firstIndex(of: UInt8(ascii: "-")) else {
            return Decimal.parseUInt64Leniently(text).map { StreamID($0, missingSequence) }
        }
        guard let milliseconds = Decimal.parseUInt64Leniently(Bytes(rebasing: text[..<dash])),
              let sequence = Decimal.parseUInt64Leniently(Bytes(rebasing: text[(dash + 1)...])) else { return nil }
        return StreamID(milliseconds, sequence)
    }

    package static let maximumTextLength = 41

    /// Writes `ms-seq`; returns the length.
    package func write(to target: UnsafeMutableRawPointer) -> Int {
        var count = Decimal.write(milliseconds, to: target)
        target.storeBytes(of: UInt8(ascii: "-"), toByteOffset: count, as: UInt8.self)
        count += 1
        return count + Decimal.write(sequence, to: target + count)
    }
}
