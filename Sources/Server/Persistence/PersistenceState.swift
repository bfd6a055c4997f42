import Primitives
import Storage
#if canImport(Glibc)
import Glibc
#endif

// What INFO persistence tells beyond plain stored properties.

extension Persistence {
    var isLogEnabled: Bool { logMode != .off }
    /// A child lives, or files are being made ready for one.
    var isBusy: Bool { child != nil || operation == .preparing || operation == .switching }

    // MARK: The child at work

    var currentCopied: Int { Int(child?.last.copied ?? 0) }
    var currentCopiedPeak: Int { Int(child?.copiedPeak ?? 0) }
    /// Seconds since the child's last report.
    var currentCopiedAge: Int {
        guard let child, child.last.copied > 0 else { return 0 }
        return Int(MonotonicNanoseconds.now().nanoseconds(since: child.lastReportAt) / 1_000_000_000)
    }
    var currentKeysDone: Int { Int(child?.last.keys ?? 0) }
    var currentKeysTotal: Int { child?.keysTotal ?? 0 }
    /// Share of the keys that the child has written, in percent.
    var currentForkPercent: Double {
        guard let child, child.keysTotal > 0 else { return 0 }
        return Double(child.last.keys) * 100 / Double(child.keysTotal)
    }
    /// -1: no snapshot is under way.
    var currentSnapshotSeconds: Int { isSnapshotting ? childSeconds : -1 }
    /// -1: no rewrite is under way.
    var currentRewriteSeconds: Int { child?.purpose.isDump == false ? childSeconds : -1 }
    private var childSeconds: Int {
        guard let child else { return -1 }
        return Int(MonotonicNanoseconds.now().nanoseconds(since: child.startedAt) / 1_000_000_000)
    }

    // MARK: The log

    var logCounters: AppendLogCounters { log?.currentCounters ?? AppendLogCounters() }
    /// Bytes of records that are in no file yet.
    var logBufferBytes: Int { core.engine.pendingLog.count + logCounters.pendingBytes }
    /// Why the log can't be written; nil: it can.
    var logError: String? { log?.currentState.error?.description }

    // MARK: Loading

    var loadingPercent: Double {
        guard let loading, loading.totalBytes > 0 else { return 0 }
        return min(Double(loading.loadedBytes) * 100 / Double(loading.totalBytes), 100)
    }
    /// Seconds until loading is done, as the speed so far has it.
    var loadingSecondsLeft: Int {
        guard let loading else { return 0 }
        let elapsed = UnixMilliseconds.now().seconds - loading.startedAt
        if loading.loadedBytes == 0 || elapsed == 0 { return 1 }
        return max(loading.totalBytes - loading.loadedBytes, 0) / max(loading.loadedBytes / Int(elapsed), 1)
    }
}
