import Primitives

/// Where a log's chain stands.
package struct SealPosition: Equatable, Sendable {
    /// Of the last batch; 0: there was none.
    package var sequence = 0
    /// The last link of the file; 0: it has none.
    package var link: UInt32 = 0
    /// Bytes of the file.
    package var bytes = 0

    package init(sequence: Int = 0, link: UInt32 = 0, bytes: Int = 0) {
        self.sequence = sequence
        self.link = link
        self.bytes = bytes
    }
}

/// Seals each batch of one file (SealLine.swift). Costs one CRC-32C over the batch and about 16 bytes.
package final class SealFraming: BatchFraming, @unchecked Sendable {
    // @unchecked: see the protocol; AppendLog hands the framing over under its lock.
    private let id: UInt64
    private let file: Int
    private let seed: UInt32
    private let stamps: TimestampFraming
    /// The opening line is in the file.
    private var isOpen: Bool
    private var previous: SealPosition
    package private(set) var position: SealPosition
    private var syncedSequence: Int
    /// What the lines framed last will make of `position`, once written.
    private var framed = SealPosition()
    /// When the last line of the file was written, by this writer; nil: it wrote none.
    private var lineTime: UnixMilliseconds?
    private var framedTime = UnixMilliseconds(0)
    private var stampText = OwnedBytes(capacity: 32)

    /// A new, empty file with the number `file`, behind another that ends at `previous`; 0 bytes: none counts.
    package init(id: UInt64, file: Int, behind previous: SealPosition, timestamps: Bool) {
        self.id = id
        self.file = file
        seed = SealBatch.seed(id)
        stamps = TimestampFraming(enabled: timestamps)
        isOpen = false
        self.previous = previous
        position = SealPosition(sequence: previous.sequence)
        syncedSequence = previous.sequence
    }

    /// A file that holds batches up to `position`, all of them durable.
    package init(id: UInt64, file: Int, resumingAt position: SealPosition, timestamps: Bool) {
        self.id = id
        self.file = file
        seed = SealBatch.seed(id)
        stamps = TimestampFraming(enabled: timestamps)
        isOpen = true
        previous = SealPosition()
        self.position = position
        syncedSequence = position.sequence
    }

    package var writesTimestamps: Bool {
        get { stamps.writesTimestamps }
        set { stamps.writesTimestamps = newValue }
    }

    package var isSealed: Bool { true }

    package func follow(_ other: any BatchFraming, bytes: Int) {
        position.sequence = other.position.sequence
        syncedSequence = position.sequence
        previous = SealPosition(sequence: position.sequence, link: other.position.link, bytes: bytes)
    }

    package func frame(_ batch: Bytes, at offset: LogOffset, _ now: UnixMicroseconds, syncs: Bool,
                       into head: inout OwnedBytes) {
        framed = position
        if !isOpen { appendOpening(now, to: &head) }
        stampText.truncate(to: 0)
        stamps.frame(batch, at: offset, now, syncs: syncs, into: &stampText)
        framed.sequence += 1
        var seal = SealBatch(syncs ? .synced : .unsynced, sequence: framed.sequence,
                             bytes: stampText.count + batch.count, time: now.milliseconds,
                             unsynced: framed.sequence - syncedSequence, behind: framed.link)
        seal.append(to: &head, seed: seed, after: lineTime, stampText.bytes, batch)
        head.append(stampText.bytes)
        framed.link = seal.link(behind: framed.link)
        framedTime = seal.time
    }

    private func appendOpening(_ now: UnixMicroseconds, to head: inout OwnedBytes) {
        var opening = SealOpening(id: id, file: file, firstSequence: position.sequence + 1, time: now.milliseconds)
        opening.previousBytes = previous.bytes
        opening.previousLink = previous.link
        opening.append(to: &head)
        framed.link = opening.crc
    }

    package func wrote() {
        isOpen = true
        position = framed
        lineTime = framedTime
        stamps.wrote()
    }

    package func synced() { syncedSequence = position.sequence }

    package func mark(_ now: UnixMicroseconds, into head: inout OwnedBytes) -> Bool {
        guard isOpen, syncedSequence == position.sequence else { return false }
        var seal = SealBatch(.synced, sequence: position.sequence, bytes: 0, time: now.milliseconds, unsynced: 0,
                             behind: position.link)
        let nothing = Bytes(start: nil, count: 0)
        // Whole: it is what a scan of damage finds last.
        seal.append(to: &head, seed: seed, after: nil, nothing, nothing)
        framed = position
        framed.link = seal.link(behind: position.link)
        framedTime = seal.time
        return true
    }
}
