import Engine
import Primitives
import Storage

// A disk that fills up. Found out when a write fails it is too late: the rewrite that would give room back needs room
// itself. So the free space is watched, and the log stops growing while a new base still fits.
//
//     free space
//       ├── disk-soft-limit     below: a warning, and a rewrite if it gives room back
//       ├── disk-hard-limit     below: writes are refused (MISCONF, with the figures); reads go on
//       └── a quarter of that   below: a child that writes is stopped, for what is left is the log's
//
// `auto`, the default: the hard limit is what a new base may take and a megabyte, the soft one twice as much. All of
// it ends by itself when there is room again. A disk that is full all the same makes writes fail, and then they are
// refused for that (AppendLog.swift).

/// A directive's value: of free space.
enum DiskLimit: Equatable {
    /// By what a rewrite needs.
    case auto
    /// 0: none.
    case bytes(Int)
    /// Of the disk.
    case percent(Int)

    func bytes(total: Int, auto: Int) -> Int {
        switch self {
        case .auto: auto
        case .bytes(let bytes): bytes
        case .percent(let percent): total / 100 * percent
        }
    }

    var text: String {
        switch self {
        case .auto: "auto"
        case .bytes(let bytes): "\(bytes)"
        case .percent(let percent): "\(percent)%"
        }
    }

    var isOff: Bool { self == .bytes(0) || self == .percent(0) }
}

/// What is known of the disk's room.
struct DiskWatch {
    var space: FileSystemSpace?
    var isAsking = false
    var askedAt = MonotonicNanoseconds(0)
    var softBytes = 0
    var hardBytes = 0
    /// Below the soft limit.
    var isLow = false
    /// Below the hard limit: writes are refused.
    var isFull = false
    var refusals = 0
    var lastWarning = MonotonicNanoseconds(-600_000_000_000)
}

extension Persistence {
    private static let margin = 1 << 20

    /// What a new base may take: not more than the log that it replaces, nor than the data in memory.
    var rewriteBytes: Int { min(logBytes, Heap.usedBytes) }

    /// At every turn of the cron; asks the kernel once a second, and each time when there is little room.
    func watchDisk() {
        guard logMode != .off, !(configuration.diskSoftLimit.isOff && configuration.diskHardLimit.isOff) else {
            if watch.isLow || watch.isFull { roomIsBack() }
            return
        }
        let now = MonotonicNanoseconds.now()
        let isPlenty = watch.space.map { $0.free / 4 > watch.softBytes } ?? false
        guard !watch.isAsking, !isPlenty || now.nanoseconds(since: watch.askedAt) >= 1_000_000_000 else { return }
        watch.isAsking = true
        watch.askedAt = now
        let fileSystem = fileSystem, path = directory.path
        disk.run { () throws(StorageError) in
            try fileSystem.space(path)
        } then: { [self] result in
            watch.isAsking = false
            if case .success(let space) = result, logMode != .off { noticed(space) }
        }
    }

    private func noticed(_ space: FileSystemSpace) {
        watch.space = space
        watch.hardBytes = configuration.diskHardLimit.bytes(total: space.total, auto: rewriteBytes + Self.margin)
        watch.softBytes = configuration.diskSoftLimit.bytes(total: space.total, auto: 2 * watch.hardBytes)
        let isLow = space.free < watch.softBytes
        // Not on and off at the limit itself.
        let isFull = space.free < watch.hardBytes + (watch.isFull ? watch.hardBytes / 16 : 0)
        if isFull != watch.isFull { fullnessChanged(isFull, space) }
        if isLow && !isFull { warn(space) }
        if watch.isLow && !isLow && !isFull { core.log.write(.notice, "There is room on the disk again.") }
        watch.isLow = isLow
        watch.isFull = isFull
        if let child, space.free < watch.hardBytes / 4 {
            core.log.write(.warning, "Stopping the child that writes the \(child.purpose.title): "
                           + "\(InfoWriter.human(space.free)) are left on the disk.")
            // Not again at once.
            rewriteRetryAt = MonotonicNanoseconds(MonotonicNanoseconds.now().rawValue &+ 60_000_000_000)
            child.kill()
        } else if isLow || isFull {
            makeRoom()
        }
    }

    private func fullnessChanged(_ isFull: Bool, _ space: FileSystemSpace) {
        if isFull {
            watch.refusals += 1
            diskRefusal = "MISCONF The disk is nearly full: \(InfoWriter.human(space.free)) of "
                + "\(InfoWriter.human(space.total)) are free in \(directory.path), and disk-hard-limit keeps "
                + "\(InfoWriter.human(watch.hardBytes)) for a rewrite of the AOF. Writes are refused until there is "
                + "more room."
            core.log.write(.warning, diskRefusal.map { String($0.dropFirst("MISCONF ".count)) } ?? "")
        } else {
            diskRefusal = nil
            core.log.write(.warning, "There is room on the disk again (\(InfoWriter.human(space.free)) free): writes "
                           + "are accepted.")
        }
        updateWriteRefusal()
    }

    private func warn(_ space: FileSystemSpace) {
        let now = MonotonicNanoseconds.now()
        guard !watch.isLow || now.nanoseconds(since: watch.lastWarning) >= 60_000_000_000 else { return }
        watch.lastWarning = now
        core.log.write(.warning, "The disk fills up: \(InfoWriter.human(space.free)) of "
                       + "\(InfoWriter.human(space.total)) are free in \(directory.path); below "
                       + "\(InfoWriter.human(watch.hardBytes)) (disk-hard-limit) writes will be refused.")
    }

    /// A rewrite, if it may give back more than a little. How big its base gets is seen when it is written; should it
    /// not fit, it is stopped.
    private func makeRoom() {
        guard logMode == .on, child == nil, operation == .none, !logNeedsHealing, rewriteIsDue,
              logBytes - sizeAfterRewrite > max(sizeAfterRewrite / 4, 64 << 10) else { return }
        if startRewrite() { core.log.write(.notice, "Rewriting the AOF to make room on the disk.") }
    }

    /// Whether there is room for a new base, as far as is known.
    func rewriteFits(_ space: FileSystemSpace?) -> Bool {
        guard let space else { return true }
        return space.free >= rewriteBytes
    }

    private func roomIsBack() {
        watch = DiskWatch()
        diskRefusal = nil
        updateWriteRefusal()
    }

    // MARK: Refusals

    /// The log's own trouble goes first.
    func updateWriteRefusal() { engine.state.writeRefusal = logRefusal ?? diskRefusal }
}
