import Engine
import Keyspace
import Primitives
import Storage
#if canImport(Glibc)
import Glibc
#endif

// The server without threads and children of its own: whoever drives it takes their steps, one at a time, in an order
// of its choice. All of it runs on one thread, so that what happened can happen again.
//
// What a child would write is taken down at the moment of its fork, call by call, and played later against the file
// system, a call a step: the image is that moment's, and the log's writes come in between.

/// Of whom a step can be taken.
package enum ServerWorker: CaseIterable, Sendable {
    /// The log's thread: a batch, an fsync, a switch of files.
    case log
    /// The disk queue's thread: manifests, renames, unlinks.
    case disk
    /// The snapshot child: one call.
    case child
}

extension ServerCore {
    /// What a start does before the first client. False: the files can't be read, and the log says why.
    package func loadData() -> Bool { Recovery.loadAtStart(self) }

    /// Takes a worker's next step. False: it has none at present.
    package func takeStep(of worker: ServerWorker) -> Bool {
        switch worker {
        case .log: persistence.log?.step() ?? false
        case .disk: persistence.disk.takeStep()
        case .child: persistence.child?.stepped?.step() ?? false
        }
    }

    /// A signature of all data, as DEBUG DIGEST.
    package var dataDigest: String { KeyspaceDigest.whole(engine.keyspace).hex }
    /// What the log says is durable; nil: nothing is promised, for there is no log or its first base is not there yet.
    package var durableLogOffset: LogOffset? {
        persistence.logMode == .on ? persistence.log?.durableOffset : nil
    }
    package var logPolicy: FsyncPolicy? { persistence.log?.policy }
    package var logState: LogState? { persistence.log?.currentState }
    /// Nothing is under way, and what can be durable is.
    package var isIdle: Bool {
        if persistence.operation != .none || persistence.child != nil || persistence.rewriteIsScheduled
            || persistence.logMode == .awaitingBase || persistence.disk.hasSteps { return false }
        guard let log = persistence.log else { return true }
        return log.isHealthy && engine.pendingLog.isEmpty && log.currentCounters.pendingBytes == 0
            && (log.policy == .no || log.durableOffset == log.writtenOffset)
    }
    /// SHUTDOWN, but for the exit. False: data would be lost.
    package func prepareShutdown(save: Bool) -> Bool { persistence.prepareShutdown(save: save) }

    /// The end of a life: whatever the server holds of files is let go, and nothing is written.
    package func abandon() {
        persistence.log?.close()
        persistence.dropPendingFile()
        persistence.disk.dropSteps()
    }
}

/// A child that is no process.
final class SteppedChild {
    enum Call {
        case create(String)
        case write([UInt8])
        case sync
        case rename(String, String)
        case syncDirectory(String)
    }

    private let fileSystem: any FileSystem
    private var calls: [Call] = []
    private var next = 0
    private var file: File?
    private var temporary = ""
    private(set) var report = ChildReport()
    /// Nil while it has calls to make.
    private(set) var end: ForkedChild.End?

    init(_ fileSystem: any FileSystem) { self.fileSystem = fileSystem }

    func step() -> Bool {
        guard end == nil else { return false }
        guard next < calls.count else {
            finish(.success)
            return true
        }
        let call = calls[next]
        next += 1
        do throws(StorageError) {
            try make(call)
        } catch {
            report.stage = Self.stage(call).rawValue
            report.error = error.code
            finish(.failure)
            try? fileSystem.unlink(temporary)
        }
        return true
    }

    private func make(_ call: Call) throws(StorageError) {
        switch call {
        case .create(let path):
            temporary = path
            file = try fileSystem.open(path, .createOrEmpty)
        case .write(let bytes):
            guard let file else { return }
            let failure = bytes.withUnsafeBytes { raw -> StorageError? in
                do throws(StorageError) {
                    try fileSystem.write(file, raw)
                    return nil
                } catch {
                    return error
                }
            }
            if let failure { throw failure }
        case .sync: if let file { try fileSystem.sync(file) }
        case .rename(let source, let target): try fileSystem.rename(source, target)
        case .syncDirectory(let path): try fileSystem.syncDirectory(path)
        }
    }

    private static func stage(_ call: Call) -> SnapshotStage {
        switch call {
        case .create: .open
        case .write: .write
        case .sync: .sync
        case .rename: .rename
        case .syncDirectory: .syncDirectory
        }
    }

    private func finish(_ end: ForkedChild.End) {
        if let file { fileSystem.close(file) }
        file = nil
        self.end = end
    }

    func kill() { if end == nil { finish(.signal(SIGKILL)) } }

    /// Takes calls down; each answers that it went well.
    var recorder: ImageDisk {
        ImageDisk(
            context: Unmanaged.passUnretained(self).toOpaque(),
            create: { context, path in SteppedChild.note(context, .create(String(cString: path))) },
            write: { context, _, bytes, count in
                let copy = Array(UnsafeRawBufferPointer(start: bytes, count: count))
                _ = SteppedChild.note(context, .write(copy))
                return count
            },
            syncData: { context, _ in SteppedChild.note(context, .sync) },
            sync: { context, _ in SteppedChild.note(context, .sync) },
            close: { _, _ in 0 },
            rename: { context, source, target in
                SteppedChild.note(context, .rename(String(cString: source), String(cString: target)))
            },
            unlink: { _, _ in 0 },
            syncDirectory: { context, path in SteppedChild.note(context, .syncDirectory(String(cString: path))) })
    }

    private static func note(_ context: UnsafeMutableRawPointer?, _ call: Call) -> Int32 {
        guard let context else { return 0 }
        Unmanaged<SteppedChild>.fromOpaque(context).takeUnretainedValue().calls.append(call)
        return 0
    }
}

extension StorageError {
    /// The errno, or the nearest there is.
    package var code: Int32 { if case .system(let code) = reason { code } else { EIO } }
}

extension SnapshotImage {
    /// What `fork` gives, without a process.
    func step(prefix: String, suffix: String, _ core: ServerCore, keys: Int) -> ForkedChild {
        core.persistence.steppedChildren += 1
        // Beyond what the kernel gives: no process has it.
        let pid = pid_t(0x4000_0000 + core.persistence.steppedChildren)
        let child = SteppedChild(core.environment.fileSystem)
        paths.complete(pid)
        var image = self
        image.disk = child.recorder
        _ = image.write(report: { _ in })
        let now = MonotonicNanoseconds.now()
        return ForkedChild(pid: pid, purpose: purpose, temporary: "\(prefix)\(pid)\(suffix)", reports: -1,
                           startedAt: now, keysTotal: keys, changesAtStart: core.engine.changesSinceSave,
                           lastReportAt: now, stepped: child)
    }
}
