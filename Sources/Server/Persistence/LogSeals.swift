import Primitives
import Storage

// Which files of the log are sealed, and how they are tied together (docs/FORMATS.md). A file is sealed from its first
// byte to its last, or not at all: `aof-seal` takes effect with the next file.

extension Persistence {
    /// For a new increment; nil: it is not to be sealed.
    func newFileID() -> UInt64? { configuration.aofSeal ? core.environment.makeID() : nil }

    /// The increment to append to after a start, and what else is missing.
    /// - Parameter loaded: nil: there is no log yet.
    func openIncrement(_ format: AOFManifest.BaseFormat, _ loaded: LogReplayResult?) -> AOFManifest.Opening {
        let seals = configuration.aofSeal
        let continues: Bool
        switch loaded?.last ?? .none {
        case .none: continues = false
        case .empty(let sealed): continues = sealed == seals
        case .sealed: continues = seals
        case .unsealed: continues = !seals
        }
        return manifest.openOnStart(format, needsBase: loaded == nil, continues: continues, id: newFileID())
    }

    /// After a start.
    func framing(for entry: AOFManifest.Entry, _ loaded: LogReplayResult?) -> any BatchFraming {
        core.environment.overFraming(plainFraming(for: entry, loaded))
    }

    private func plainFraming(for entry: AOFManifest.Entry, _ loaded: LogReplayResult?) -> any BatchFraming {
        let position = loaded?.position ?? SealPosition()
        if case .sealed(let id) = loaded?.last ?? .none, configuration.aofSeal {
            return SealFraming(id: id, file: Int(entry.sequence), resumingAt: position,
                               timestamps: configuration.aofTimestampEnabled)
        }
        return plainFraming(for: entry, behind: position)
    }

    /// For a new file.
    /// - Parameter position: where the file before ends; a log that is at work knows better (`follow`).
    func framing(for entry: AOFManifest.Entry, behind position: SealPosition) -> any BatchFraming {
        core.environment.overFraming(plainFraming(for: entry, behind: position))
    }

    private func plainFraming(for entry: AOFManifest.Entry, behind position: SealPosition) -> any BatchFraming {
        let stamps = configuration.aofTimestampEnabled
        guard let id = entry.id else { return TimestampFraming(enabled: stamps, after: position.sequence) }
        return SealFraming(id: id, file: Int(entry.sequence), behind: position, timestamps: stamps)
    }

    /// For the increment that is pending. When a healing is to be finished, it is the last one of the manifest.
    var pendingFraming: (any BatchFraming)? {
        let sequence = healing == nil ? lastSequence : pendingCovers
        let entry = pendingIncrement ?? manifest.increments.last
        return entry.map { framing(for: $0, behind: SealPosition(sequence: sequence)) }
    }

    /// Of the last batch, when all that the log took is written.
    var lastSequence: Int { log?.lastSequence ?? closedSequence }

    /// Whether the current increment is as the next one would be.
    var currentIncrementSuits: Bool { (manifest.increments.last?.id != nil) == configuration.aofSeal }

    /// What becomes of HISTORY.
    var keptHistory: AOFHistory {
        let configuration = configuration
        let hasArchive = !configuration.aofArchiveDir.isEmpty || !configuration.aofArchiveCommand.isEmpty
        let directory = configuration.aofArchiveDir.isEmpty ? ""
            : FilePath.join(WorkingDirectory.absolute(configuration.dir), configuration.aofArchiveDir)
        let archive = AOFArchive(directory: directory, compression: configuration.aofArchiveCompression,
                                 command: configuration.aofArchiveCommand)
        return AOFHistory(limit: configuration.aofHistoryKeep, archive: hasArchive ? archive : nil, now: .now())
    }

    /// How far the log has come; nil: nothing is to be noted.
    private var reach: LogReach? {
        guard logMode == .on, let log, let id = manifest.increments.last?.id else { return nil }
        let (durable, written) = log.reach
        return LogReach(id: id, durable: durable, written: written)
    }

    /// At every turn of the cron and, when `reachInterval` has passed, behind what was handed to the log (a stepped
    /// server leaves it at the cron). One that fails is not worth a word: the next one follows.
    /// - Parameter isLast: at a shutdown, behind what the disk has still to do; else that comes first.
    func noteReach(isLast: Bool = false) {
        reachNotedAt = engine.keyspace.now
        guard let reach, reach != notedReach, isLast || !disk.hasSteps else { return }
        notedReach = reach
        let directory = directory
        disk.run { try? directory.note(reach) }
    }

    /// Milliseconds.
    static var reachInterval: Int64 { 10 }

    /// At a start whose log ends too early: it begins anew from there.
    func noteReachAnew() {
        guard let reach else { return }
        try? directory.note(reach)
    }

    /// Makes what is durable known to be so, at the end of a log that was drained.
    func sealEnd() {
        log?.sealEnd()
        closedSequence = lastSequence
    }
}
