#if canImport(Glibc)
import Glibc
#endif

/// Milliseconds since 1970-01-01 UTC: expiry times, LRU, everything that INFO and the RDB date.
@usableFromInline
package struct UnixMilliseconds: RawRepresentable, Comparable, Hashable, Sendable {
    @usableFromInline package var rawValue: Int64

    @inlinable
    @inline(__always)
    package init(rawValue: Int64) { self.rawValue = rawValue }

    @inlinable
    @inline(__always)
    package init(_ value: Int64) { rawValue = value }

    @inlinable
    @inline(__always)
    package static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }

    /// Reads the system's clock. Server alone calls this; below it, time comes in as a value.
    package static func now() -> UnixMilliseconds {
        let time = Clock.read(CLOCK_REALTIME)
        return UnixMilliseconds(Int64(time.tv_sec) &* 1000 &+ Int64(time.tv_nsec) / 1_000_000)
    }

    package var seconds: Int64 { rawValue / 1000 }
}

/// Microseconds since 1970-01-01 UTC: TIME, SLOWLOG, the dates in the sealed log.
@usableFromInline
package struct UnixMicroseconds: RawRepresentable, Comparable, Hashable, Sendable {
    @usableFromInline package var rawValue: Int64

    @inlinable
    @inline(__always)
    package init(rawValue: Int64) { self.rawValue = rawValue }

    @inlinable
    @inline(__always)
    package init(_ value: Int64) { rawValue = value }

    @inlinable
    @inline(__always)
    package static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }

    /// Reads the system's clock. Server alone calls this.
    package static func now() -> UnixMicroseconds {
        let time = Clock.read(CLOCK_REALTIME)
        return UnixMicroseconds(Int64(time.tv_sec) &* 1_000_000 &+ Int64(time.tv_nsec) / 1000)
    }

    package var milliseconds: UnixMilliseconds { UnixMilliseconds(rawValue / 1000) }
}

/// Nanoseconds of a clock that nobody sets: durations, timeouts, latency.
@usableFromInline
package struct MonotonicNanoseconds: RawRepresentable, Comparable, Hashable, Sendable {
    @usableFromInline package var rawValue: Int64

    @inlinable
    @inline(__always)
    package init(rawValue: Int64) { self.rawValue = rawValue }

    @inlinable
    @inline(__always)
    package init(_ value: Int64) { rawValue = value }

    @inlinable
    @inline(__always)
    package static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }

    /// Reads the system's clock. Server alone calls this.
    package static func now() -> MonotonicNanoseconds {
        let time = Clock.read(CLOCK_MONOTONIC)
        return MonotonicNanoseconds(Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec))
    }

    /// From `earlier` to this, in nanoseconds.
    @inlinable
    @inline(__always)
    package func nanoseconds(since earlier: Self) -> Int64 { rawValue &- earlier.rawValue }
}

private enum Clock {
    static func read(_ clock: clockid_t) -> timespec {
        var time = timespec()
        clock_gettime(clock, &time)
        return time
    }
}

/// A place in the append-only log: bytes since the log's first record, over all its files.
@usableFromInline
package struct LogOffset: RawRepresentable, Comparable, Hashable, Sendable {
    @usableFromInline package var rawValue: UInt64

    @inlinable
    @inline(__always)
    package init(rawValue: UInt64) { self.rawValue = rawValue }

    @inlinable
    @inline(__always)
    package init(_ value: UInt64) { rawValue = value }

    @inlinable package static var zero: LogOffset { LogOffset(0) }

    @inlinable
    @inline(__always)
    package static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }

    @inlinable
    @inline(__always)
    package func advanced(by byteCount: Int) -> LogOffset { LogOffset(rawValue &+ UInt64(byteCount)) }
}

/// A place in the replication stream, as primary and replicas count it; -1 before there is one.
@usableFromInline
package struct ReplicationOffset: RawRepresentable, Comparable, Hashable, Sendable {
    @usableFromInline package var rawValue: Int64

    @inlinable
    @inline(__always)
    package init(rawValue: Int64) { self.rawValue = rawValue }

    @inlinable
    @inline(__always)
    package init(_ value: Int64) { rawValue = value }

    @inlinable
    @inline(__always)
    package static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }

    @inlinable
    @inline(__always)
    package func advanced(by byteCount: Int) -> ReplicationOffset { ReplicationOffset(rawValue &+ Int64(byteCount)) }
}
