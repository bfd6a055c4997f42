import Primitives
import Storage
import Synchronization
#if canImport(Glibc)
import Glibc
#endif

// Looking for bit rot before it is needed: files that nobody writes to any more (the log's base, its closed
// increments, the dump) are read again on a thread of its own, slowly, and their checksums compared. What is found is
// logged and told by INFO persistence, and healed from memory, which has all of it: a rewrite replaces the log's
// files, a snapshot the dump. Nothing is changed on the disk by the scrub itself.
//
// A file that vanishes meanwhile was replaced by a rewrite: no finding.

final class Scrub {
    /// A file to read, and what replaces it.
    private struct Target: Sendable {
        var path: String
        var isDump: Bool
    }

    private unowned let persistence: Persistence
    private(set) var isRunning = false
    private(set) var passes = 0
    private(set) var filesChecked = 0
    private(set) var errors = 0
    private(set) var lastError = ""
    /// Unix seconds of the end of the last pass; at first, of the start.
    private(set) var lastTime = UnixMilliseconds.now().seconds
    private let bytes = ScrubCounter()

    init(_ persistence: Persistence) { self.persistence = persistence }

    var bytesRead: Int { bytes.value.load(ordering: .relaxed) }

    /// Ten times a second.
    func cron() {
        let configuration = persistence.configuration
        guard configuration.aofScrub, !isRunning,
              UnixMilliseconds.now().seconds - lastTime >= Int64(configuration.aofScrubInterval) else { return }
        start()
    }

    private func targets() -> [Target] {
        var targets: [Target] = []
        if persistence.logMode == .on {
            let directory = persistence.directory
            // The last two may be written to.
            let closed = persistence.manifest.increments.dropLast(persistence.isRewriting ? 2 : 1)
            targets = ((persistence.manifest.base.map { [$0] } ?? []) + closed).map {
                Target(path: directory.path($0), isDump: false)
            }
        }
        if !persistence.isSnapshotting { targets.append(Target(path: persistence.dumpPath, isDump: true)) }
        return targets
    }

    private func start() {
        isRunning = true
        let targets = targets(), fileSystem = persistence.fileSystem, counter = bytes
        let rate = max(persistence.configuration.aofScrubRate, 1 << 16)
        let core = UncheckedReference(persistence.core), own = UncheckedReference(self)
        let thread = WorkerThread("scrub") {
            for target in targets {
                let error = Self.read(target.path, fileSystem, rate, counter)
                core.value.runOnEngine { own.value.checked(target, error) }
            }
            core.value.runOnEngine { own.value.ended() }
        }
        do throws(StorageError) {
            try thread.start()
        } catch {
            ended()
        }
    }

    /// Nil: it is good, or gone.
    private static func read(_ path: String, _ fileSystem: any FileSystem, _ rate: Int,
                             _ counter: ScrubCounter) -> StorageError? {
        do throws(StorageError) {
            guard try fileSystem.status(path)?.kind == .file else { return nil }
            let file = try fileSystem.open(path, .read)
            defer { fileSystem.close(file) }
            // What the disk has is wanted, not what memory still knows of it.
            fileSystem.dropCache(file)
            let paced = PacedFileSystem(fileSystem, bytesPerSecond: rate, counter)
            var options = AOFCheckOptions()
            options.now = .now()
            if path.hasSuffix(".aof") {
                try AOFCheck.run(path, in: paced, options, .silent).throwIfBad(path)
            } else if let damage = RDBCheck.run(RDBInput(file, in: paced), now: .now(), skipsUnsupported: true).damage {
                throw damage.error
            }
            return nil
        } catch {
            return error.isNotFound ? nil : error
        }
    }

    private func checked(_ target: Target, _ error: StorageError?) {
        filesChecked += 1
        guard let error else { return }
        let isReplaced = target.isDump ? persistence.isSnapshotting
            : !persistence.manifest.loadOrder.contains { persistence.directory.path($0) == target.path }
        if isReplaced { return }
        errors += 1
        lastError = "\(error)"
        if !target.isDump { persistence.findings.found(lastError) }
        let remedy = target.isDump ? "a new snapshot" : "a rewrite of the log"
        persistence.core.log.write(.warning, "Scrub: \(error) Memory has all of it: \(remedy) replaces the file.")
        if target.isDump { persistence.snapshotIsScheduled = true } else { persistence.rewriteIsScheduled = true }
    }

    private func ended() {
        isRunning = false
        passes += 1
        lastTime = UnixMilliseconds.now().seconds
    }

    var facts: [Persistence.Fact] {
        var facts: [Persistence.Fact] = [
            ("aof_scrub_in_progress", .integer(isRunning ? 1 : 0)), ("aof_scrub_passes", .integer(Int64(passes))),
            ("aof_scrub_files", .integer(Int64(filesChecked))), ("aof_scrub_bytes", .bytes(bytesRead)),
            ("aof_scrub_errors", .integer(Int64(errors))), ("aof_scrub_last_time", .integer(lastTime)),
        ]
        if errors > 0 { facts.append(("aof_scrub_last_error", .text(lastError))) }
        return facts
    }
}

/// Bytes read so far, by the scrub's thread.
final class ScrubCounter: Sendable {
    let value = Atomic<Int>(0)
}

/// A file system that reads no faster than so many bytes a second, for one thread.
private final class PacedFileSystem: FileSystem {
    private let base: any FileSystem
    private let rate: Int
    private let counter: ScrubCounter

    init(_ base: any FileSystem, bytesPerSecond rate: Int, _ counter: ScrubCounter) {
        self.base = base
        self.rate = rate
        self.counter = counter
    }

    private func pace(_ count: Int) -> Int {
        counter.value.wrappingAdd(count, ordering: .relaxed)
        usleep(UInt32(clamping: count * 1_000_000 / rate))
        return count
    }

    func read(_ file: File, into buffer: UnsafeMutableRawBufferPointer) throws(StorageError) -> Int {
        pace(try base.read(file, into: buffer))
    }
    func read(_ file: File, at offset: Int,
              into buffer: UnsafeMutableRawBufferPointer) throws(StorageError) -> Int {
        pace(try base.read(file, at: offset, into: buffer))
    }

    func open(_ path: String, _ mode: FileMode) throws(StorageError) -> File { try base.open(path, mode) }
    func close(_ file: File) { base.close(file) }
    func write(_ file: File, _ head: Bytes, _ body: Bytes) throws(StorageError) { try base.write(file, head, body) }
    func write(_ file: File, at offset: Int, _ head: Bytes, _ body: Bytes, _ tail: Bytes) throws(StorageError) {
        try base.write(file, at: offset, head, body, tail)
    }
    func truncate(_ file: File, to size: Int) throws(StorageError) { try base.truncate(file, to: size) }
    func syncData(_ file: File) throws(StorageError) { try base.syncData(file) }
    func sync(_ file: File) throws(StorageError) { try base.sync(file) }
    func dropCache(_ file: File) { base.dropCache(file) }
    func space(_ path: String) throws(StorageError) -> FileSystemSpace { try base.space(path) }
    func size(_ file: File) throws(StorageError) -> Int { try base.size(file) }
    func rename(_ source: String, _ target: String) throws(StorageError) { try base.rename(source, target) }
    func link(_ existing: String, _ name: String) throws(StorageError) { try base.link(existing, name) }
    func unlink(_ path: String) throws(StorageError) { try base.unlink(path) }
    func makeDirectory(_ path: String) throws(StorageError) { try base.makeDirectory(path) }
    func list(_ directory: String) throws(StorageError) -> [String] { try base.list(directory) }
    func status(_ path: String) throws(StorageError) -> FileStatus? { try base.status(path) }
    func syncDirectory(_ directory: String) throws(StorageError) { try base.syncDirectory(directory) }
}
