import Histogram
import Primitives

/// What the log has seen of the disk: for INFO and DURABILITY STATUS. Kept by whoever writes or syncs, read by the
/// engine, all of it under the log's lock.
package struct AppendLogInsight: Sendable {
    /// Microseconds that fsyncs took, three digits of them kept.
    package private(set) var syncs = Histogram<UInt64>(highestTrackableValue: 3_600_000_000,
                                                       numberOfSignificantValueDigits: .three)
    /// Bytes of records, without annotations.
    package private(set) var lastBatchBytes = 0
    package private(set) var largestBatchBytes = 0
    package private(set) var batchBytes = 0
    package private(set) var batches = 0
    /// Also of what was mended since.
    package private(set) var lastError: StorageError?
    package private(set) var lastErrorAt = UnixMicroseconds(0)
    /// Since when there is something in the file that is not durable; nil: there is nothing.
    package private(set) var exposedSince: MonotonicNanoseconds?
    /// The longest that such a time lasted.
    package private(set) var longestExposure: Int64 = 0
    /// The longest since `takeSlowest`, in nanoseconds.
    private var slowestWrite: Int64 = 0
    private var slowestSync: Int64 = 0

    @inline(__always)
    mutating func wrote(_ bytes: Int) {
        lastBatchBytes = bytes
        largestBatchBytes = max(largestBatchBytes, bytes)
        batchBytes &+= bytes
        batches &+= 1
        if exposedSince == nil { exposedSince = .now() }
    }

    mutating func writeTook(_ nanoseconds: Int64) { slowestWrite = max(slowestWrite, nanoseconds) }

    mutating func synced(_ nanoseconds: Int64) {
        syncs.record(UInt64(clamping: nanoseconds / 1000))
        slowestSync = max(slowestSync, nanoseconds)
        nothingIsExposed()
    }

    mutating func nothingIsExposed() {
        guard let since = exposedSince else { return }
        longestExposure = max(longestExposure, MonotonicNanoseconds.now().nanoseconds(since: since))
        exposedSince = nil
    }

    mutating func failed(_ error: StorageError, at time: UnixMicroseconds) {
        lastError = error
        lastErrorAt = time
    }

    /// The longest write and fsync since the last call, in nanoseconds; 0: none.
    mutating func takeSlowest() -> (write: Int64, sync: Int64) {
        defer { (slowestWrite, slowestSync) = (0, 0) }
        return (slowestWrite, slowestSync)
    }
}

extension AppendLog {
    package var currentInsight: AppendLogInsight { locked { insight } }
    package func takeSlowest() -> (write: Int64, sync: Int64) { locked { insight.takeSlowest() } }
}
