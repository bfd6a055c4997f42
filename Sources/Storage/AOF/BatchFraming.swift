import Primitives

/// What stands before each batch in the file: annotation lines, which begin with `#`, are shorter than 128 bytes and
/// are skipped by every reader of AOFs. Has state (the last second, a chained checksum), which belongs to whoever
/// writes the batch at the moment: the log thread or, on its fast path, the engine; never both.
package protocol BatchFraming: AnyObject, Sendable {
    /// Appends the lines for a batch that begins at `offset`. What it notes is kept only when `wrote` follows.
    /// - Parameter syncs: the batch is synced before anything is written behind it.
    func frame(_ batch: Bytes, at offset: LogOffset, _ now: UnixMicroseconds, syncs: Bool, into head: inout OwnedBytes)
    /// The batch, or the mark, just framed is in the file (not: durable). Not called when the write failed.
    func wrote()
    /// All that was written is durable.
    func synced()
    /// Appends a line that says so, for a log at rest; false: there is none.
    func mark(_ now: UnixMicroseconds, into head: inout OwnedBytes) -> Bool
    /// The next batch is the first of a new file.
    func fileChanged()
    /// The file of this framing comes behind the one of `other`, which has `bytes` bytes.
    func follow(_ other: any BatchFraming, bytes: Int)
    /// A batch that is not whole is told by its seal, whatever stands behind it.
    var isSealed: Bool { get }
    /// Where the chain stands.
    var position: SealPosition { get }
    /// `aof-timestamp-enabled`.
    var writesTimestamps: Bool { get set }
}

extension BatchFraming {
    package var isSealed: Bool { false }
    package func synced() {}
    package func mark(_ now: UnixMicroseconds, into head: inout OwnedBytes) -> Bool { false }
    package func fileChanged() {}
    package func follow(_ other: any BatchFraming, bytes: Int) {}
}

/// `aof-timestamp-enabled`: `#TS:<unix seconds>` before the first batch of each second, or nothing at all.
package final class TimestampFraming: BatchFraming, @unchecked Sendable {
    // @unchecked: see the protocol; AppendLog hands the framing over under its lock.
    package var writesTimestamps: Bool
    package private(set) var position: SealPosition
    private var lastSecond: Int64 = 0
    private var framedSecond: Int64 = 0

    /// - Parameter sequence: of the last sealed batch before; its own batches have no number.
    package init(enabled: Bool, after sequence: Int = 0) {
        writesTimestamps = enabled
        position = SealPosition(sequence: sequence)
    }

    package func frame(_ batch: Bytes, at offset: LogOffset, _ now: UnixMicroseconds, syncs: Bool,
                       into head: inout OwnedBytes) {
        guard writesTimestamps else { return }
        let second = now.milliseconds.seconds
        framedSecond = second
        if second > lastSecond { Self.append(second, into: &head) }
    }

    package func wrote() { lastSecond = max(lastSecond, framedSecond) }
    package func fileChanged() { lastSecond = 0 }
    package func follow(_ other: any BatchFraming, bytes: Int) { position.sequence = other.position.sequence }

    package static func append(_ second: Int64, into head: inout OwnedBytes) {
        head.append("#TS:")
        head.reserve(24)
        head.commit(Decimal.write(second, to: head.base + head.count))
        head.append("\r\n")
    }
}
