import Primitives

// How far the log has come: NAME.reached, in the directory of the log.
//
//     50b1f56b189f9289 000000000000002a 000000000000002b 7d1e04c2
//
//     the last file's identity, its last batch that is durable, the last one that is written, CRC-32C
//
// A log that is cut off where a batch ends, or whose last file is an older copy of itself, is whole in itself: only
// this file tells that there was more. It is one line of 60 bytes, written over itself up to a hundred times a second
// and at a shutdown, without fsync. So it may lag behind the log; what it calls durable is. When it is not there, can't
// be read, or speaks of a file that the log does not have, it says nothing.
//
// Power lost at any moment: an older line, or one that can't be read.

package struct LogReach: Equatable, Sendable {
    package var id: UInt64
    package var durable: Int
    package var written: Int

    package init(id: UInt64, durable: Int, written: Int) {
        self.id = id
        self.durable = durable
        self.written = written
    }

    private static let bytes = 60

    package static func name(_ filename: String) -> String { filename + ".reached" }

    package var text: OwnedBytes {
        var out = OwnedBytes(capacity: Self.bytes)
        for number in [id, UInt64(durable), UInt64(written)] {
            SealText.append(hex: number, digits: 16, to: &out)
            out.append(UInt8(ascii: " "))
        }
        let crc = CRC32C.of(out.bytes)
        SealText.append(hex: UInt64(crc), digits: 8, to: &out)
        out.append(UInt8(ascii: "\n"))
        return out
    }

    package init?(_ text: Bytes) {
        let line = Bytes(rebasing: text.prefix(Self.bytes))
        var words = SealText(line)
        guard let id = words.hex(16), let durable = words.hex(16), let written = words.hex(16),
              durable < 1 << 62, written < 1 << 62 else { return nil }
        self.init(id: id, durable: Int(durable), written: Int(written))
        if !line.elementsEqual(self.text.bytes) { return nil }
    }

    /// Batches that are missing at the end of a log.
    package struct Shortfall: Sendable {
        package var text: String
        /// Some of them had been on the disk.
        package var wasDurable: Bool
    }

    /// What is missing at the end of a log that was read; nil: nothing that is known of.
    package func shortfall(_ chain: SealChain, _ filename: String) -> Shortfall? {
        guard chain.knows(id), let last = chain.sequence, last < max(durable, written) else { return nil }
        let end = max(durable, written)
        var text = "the log ends with batch \(last), and "
            + (last + 1 == end ? "batch \(end) is missing" : "batches \(last + 1) to \(end) are missing")
        if last < durable {
            text += durable < end ? ", of which those up to \(durable)" : ", which"
            text += " had been on the disk"
            text += " (\(Self.name(filename)) knows): its last file was cut off, or is an older copy"
        } else {
            text += ", which had been written, but not synced (\(Self.name(filename)) knows): a power loss takes such, "
                + "or its last file was cut off"
        }
        return Shortfall(text: text, wasDurable: last < durable)
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
