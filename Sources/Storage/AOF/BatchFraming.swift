import Primitives

/// What stands before each batch in the file: annotation lines, which begin with `#`, are shorter than 128 bytes and
/// are skipped by every reader of AOFs. Has state (the last second, a chained checksum), which belongs to whoever
/// writes the batch at the moment: the log thread or, on its fast path, the engine; never both.
package protocol BatchFraming: AnyObject, Sendable {
    /// Appends the lines for a batch that begins at `offset`. What it notes is kept only when `wrote` follows.
    func frame(_ batch: Bytes, at offset: LogOffset, _ now: UnixMicroseconds, into head: inout OwnedBytes)
    /// The batch just framed is in the file (not: durable). Not called when the write failed.
    func wrote()
    /// The next batch is the first of a new file.
    func fileChanged()
}

/// `aof-timestamp-enabled`: `#TS:<unix seconds>` before the first batch of each second, or nothing at all.
package final class TimestampFraming: BatchFraming, @unchecked Sendable {
    // @unchecked: see the protocol; AppendLog hands the framing over under its lock.
    private let isEnabled: Bool
    private var lastSecond: Int64 = 0
    private var framedSecond: Int64 = 0

    package init(enabled: Bool) { isEnabled = enabled }

    package func frame(_ batch: Bytes, at offset: LogOffset, _ now: UnixMicroseconds, into head: inout OwnedBytes) {
        guard isEnabled else { return }
        let second = now.milliseconds.seconds
        framedSecond = second
        if second > lastSecond { Self.append(second, into: &head) }
    }

    package func wrote() { lastSecond = max(lastSecond, framedSecond) }
    package func fileChanged() { lastSecond = 0 }

    package static func append(_ second: Int64, into head: inout OwnedBytes) {
        head.append("#TS:")
        head.reserve(24)
        head.commit(Decimal.write(second, to: head.base + head.count))
        head.append("\r\n")
    }
}
