import Primitives

/// What happens to files that a rewrite made HISTORY: how much of them is kept, and where copies go before they go.
package struct AOFHistory: Sendable {
    /// `aof-history-keep`.
    package enum Limit: Equatable, Sendable {
        case bytes(Int)
        case seconds(Int)
        package static let nothing = Limit.bytes(0)
    }

    package var limit = Limit.nothing
    package var archive: AOFArchive?
    package var now = UnixMilliseconds(0)

    package init(limit: Limit = .nothing, archive: AOFArchive? = nil, now: UnixMilliseconds = UnixMilliseconds(0)) {
        self.limit = limit
        self.archive = archive
        self.now = now
    }

    struct Candidate {
        var entry: AOFManifest.Entry
        var size: Int
        /// When it was last written to.
        var modified: UnixMilliseconds
    }

    /// The files that may go. What a limit by time keeps includes the base that its oldest increments need.
    func superfluous(_ files: [Candidate]) -> [Candidate] {
        let newestFirst = files.sorted { ($0.modified, $0.entry.sequence) > ($1.modified, $1.entry.sequence) }
        switch limit {
        case .bytes(let room):
            if room == 0 { return newestFirst }
            var left = room
            return newestFirst.filter { file in
                left -= file.size
                return left < 0
            }
        case .seconds(let seconds):
            let cutoff = UnixMilliseconds(now.rawValue - Int64(clamping: seconds) &* 1000)
            let base = newestFirst.first { $0.entry.isBaseFile && $0.modified <= cutoff }
            return newestFirst.filter { $0.modified < (base?.modified ?? cutoff) }
        }
    }
}

extension AOFManifest.Entry {
    /// HISTORY forgets what a file was; its name tells.
    var isBaseFile: Bool { kind == .base || covers != nil || name.contains(".base.") }
}

extension AOFDirectory {
    /// Archives what is new in HISTORY; answers how many files. Slow on big ones.
    package func archiveHistory(_ manifest: AOFManifest, _ history: AOFHistory) throws(StorageError) -> Int {
        guard let archive = history.archive else { return 0 }
        var files: [AOFManifest.Entry] = []
        for entry in manifest.history where try fileSystem.status(path(entry)) != nil { files.append(entry) }
        return try archive.keep(files, of: self)
    }

    /// Archives what is new in HISTORY, unlinks what need not be kept, and persists the manifest without it. A crash in
    /// between leaves entries whose files are missing, which is no error: nothing loads them. Answers the names that
    /// went. Slow on big files.
    package func removeHistory(_ manifest: inout AOFManifest,
                               _ history: AOFHistory = AOFHistory()) throws(StorageError) -> [String] {
        if manifest.history.isEmpty { return [] }
        var files: [AOFHistory.Candidate] = [], gone: [String] = []
        for entry in manifest.history {
            guard let status = try fileSystem.status(path(entry)) else {
                gone.append(entry.name)
                continue
            }
            files.append(.init(entry: entry, size: status.size, modified: status.modified))
        }
        if let archive = history.archive { _ = try archive.keep(files.map(\.entry), of: self) }
        for file in history.superfluous(files) {
            do throws(StorageError) {
                try fileSystem.unlink(path(file.entry))
            } catch {
                if !error.isNotFound { throw error }
            }
            gone.append(file.entry.name)
        }
        if gone.isEmpty { return [] }
        manifest.forgetHistory(gone)
        try persist(manifest)
        return gone
    }
}
