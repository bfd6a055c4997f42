import Primitives
import Storage

/// What was found wrong with files, what was put aside because of it, and how archiving goes: for INFO and DURABILITY
/// STATUS.
struct Findings {
    /// Damage that seals or checksums told: at the start, and by the scrub.
    var sealErrors = 0
    var lastSealError = ""
    /// Kept beside the log: `FILE.torn-…` and `FILE.damaged-…`, also of earlier starts.
    private(set) var keptFiles = 0
    private(set) var keptBytes = 0
    /// Of these, put aside since the start.
    private(set) var quarantined = 0
    private(set) var lastKept = ""
    private(set) var archivedFiles = 0
    private(set) var archiveErrors = 0
    private(set) var archiveError = ""
    /// Unix seconds; 0: never.
    private(set) var lastArchiveTime: Int64 = 0
    var archiveRetryAt: MonotonicNanoseconds?

    private static let retryNanoseconds: Int64 = 60_000_000_000

    mutating func found(_ error: String) {
        sealErrors += 1
        lastSealError = error
    }

    mutating func kept(_ path: String, isDamage: Bool) {
        lastKept = path
        if isDamage { quarantined += 1 }
    }

    /// Counts what lies beside the log.
    mutating func count(_ directory: AOFDirectory) {
        keptFiles = 0
        keptBytes = 0
        guard let names = try? directory.fileSystem.list(directory.path) else { return }
        for name in names where name.contains(".torn-") || name.contains(".damaged-") {
            let path = FilePath.join(directory.path, name)
            keptFiles += 1
            keptBytes += (try? directory.fileSystem.status(path))?.size ?? 0
        }
    }

    mutating func archived(_ files: Int) {
        archiveRetryAt = nil
        archiveError = ""
        archivedFiles += files
        if files > 0 { lastArchiveTime = UnixMilliseconds.now().seconds }
    }

    mutating func archiveFailed(_ error: StorageError, hasArchive: Bool) {
        archiveRetryAt = MonotonicNanoseconds(MonotonicNanoseconds.now().rawValue &+ Self.retryNanoseconds)
        guard hasArchive else { return }
        archiveErrors += 1
        archiveError = "\(error)"
    }
}

extension Persistence {
    var findingFacts: [Fact] {
        let isSealed = manifest.increments.last?.id != nil
        return [
            ("aof_sealed", .integer(isSealed ? 1 : 0)), ("aof_seal_last_sequence", .integer(Int64(lastSequence))),
            ("aof_seal_errors", .integer(Int64(findings.sealErrors))),
            ("aof_seal_last_error", .text(findings.lastSealError)),
            ("aof_corruption_policy", .text(configuration.aofOnCorruption.rawValue)),
            ("aof_quarantined", .integer(Int64(findings.quarantined))),
            ("aof_quarantine_files", .integer(Int64(findings.keptFiles))),
            ("aof_quarantine_bytes", .bytes(findings.keptBytes)), ("aof_quarantine_last", .text(findings.lastKept)),
            ("aof_archive_state", .text(archiveState)), ("aof_archived_files", .integer(Int64(findings.archivedFiles))),
            ("aof_archive_errors", .integer(Int64(findings.archiveErrors))),
            ("aof_archive_last_error", .text(findings.archiveError)),
            ("aof_archive_last_time", .integer(findings.lastArchiveTime)),
            ("aof_history_files", .integer(Int64(manifest.history.count))),
        ]
    }

    private var archiveState: String {
        if keptHistory.archive == nil { return "off" }
        return findings.archiveError.isEmpty ? "ok" : "failing"
    }
}
