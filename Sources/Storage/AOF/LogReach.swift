import Primitives

// How far the log has come: NAME.reached, in the directory of the log.
//
//     50b1f56b189f9289 000000000000002a 7d1e04c2      the last file's identity, its last durable batch, CRC-32C
//
// A log that is cut off where a batch ends, or whose last file is an older copy of itself, is whole in itself: only
// this file tells that there was more. It is one line of 43 bytes, written over itself ten times a second and at a
// shutdown, without fsync, and never speaks of a batch that is not durable. So it may lag behind the log, and is never
// ahead of it. When it is not there, can't be read, or speaks of a file that the log does not have, it says nothing.
//
// Power lost at any moment: an older line, or one that can't be read.

package struct LogReach: Equatable, Sendable {
    package var id: UInt64
    package var sequence: Int

    package init(id: UInt64, sequence: Int) {
        self.id = id
        self.sequence = sequence
    }

    private static let bytes = 43

    package static func name(_ filename: String) -> String { filename + ".reached" }

    package var text: OwnedBytes {
        var out = OwnedBytes(capacity: Self.bytes)
        SealText.append(hex: id, digits: 16, to: &out)
        out.append(UInt8(ascii: " "))
        SealText.append(hex: UInt64(sequence), digits: 16, to: &out)
        out.append(UInt8(ascii: " "))
        let crc = CRC32C.of(out.bytes)
        SealText.append(hex: UInt64(crc), digits: 8, to: &out)
        out.append(UInt8(ascii: "\n"))
        return out
    }

    package init?(_ text: Bytes) {
        let line = Bytes(rebasing: text.prefix(Self.bytes))
        var words = SealText(line)
        guard let id = words.hex(16), let sequence = words.hex(16), sequence < 1 << 62 else { return nil }
        self.init(id: id, sequence: Int(sequence))
        if !line.elementsEqual(self.text.bytes) { return nil }
    }
}

extension AOFDirectory {
    private var reachPath: String { path(LogReach.name(filename)) }

    package func reach() -> LogReach? {
        guard let text = try? fileSystem.contents(reachPath, limit: 4096) else { return nil }
        return LogReach(text.bytes)
    }

    package func note(_ reach: LogReach) throws(StorageError) {
        let isThere = try fileSystem.status(reachPath) != nil
        let file = try fileSystem.open(reachPath, isThere ? .update : .createToUpdate)
        defer { fileSystem.close(file) }
        let nothing = Bytes(start: nil, count: 0)
        try fileSystem.write(file, at: 0, reach.text.bytes, nothing, nothing)
    }

    package func forgetReach() throws(StorageError) {
        if try fileSystem.status(reachPath) != nil { try fileSystem.unlink(reachPath) }
    }

}

extension LogReach {
    /// What is missing at the end of a log that was read; nil: nothing that is known of.
    package func shortfall(_ chain: SealChain, _ filename: String) -> String? {
        guard chain.knows(id), let last = chain.sequence, last < sequence else { return nil }
        let missing = last + 1 == sequence ? "batch \(sequence) is" : "batches \(last + 1) to \(sequence) are"
        return "the log ends with batch \(last), and \(missing) missing, which had been on the disk "
            + "(\(Self.name(filename)) knows): its last file was cut off, or is an older copy"
    }
}
