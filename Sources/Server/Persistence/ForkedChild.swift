import CShims
import Primitives
import Storage
#if canImport(Glibc)
import Glibc
#endif

// The snapshot child: a copy of the process as it was at one moment, which writes that moment out and ends.
//
// The child touches raw memory only (another thread may have held a lock of the runtime at the moment of the fork),
// keeps no socket and no file but its pipe, dies with its parent (a child that outlives a killed server could otherwise
// put an old snapshot over a newer one), and leaves by `_exit`. Everything it needs is made before the fork.
//
// Over the pipe it sends reports: keys done and memory copied on write, now and then and once at the end.

/// What a child, or a step in the foreground, writes.
enum SnapshotPurpose {
    /// A dump of its own, `dbfilename`.
    case dump
    /// The base of the append-only log; the parent renames it.
    case base(AOFManifest.BaseFormat)

    /// As log lines and INFO call it.
    var title: String {
        switch self {
        case .dump: "RDB"
        case .base: "AOF rewrite"
        }
    }
    var isDump: Bool { if case .dump = self { true } else { false } }
}

/// Fixed size, one atomic write into the pipe.
struct ChildReport {
    var keys: Int64 = 0
    /// Bytes of memory that the child no longer shares with its parent.
    var copied: Int64 = 0
    var stage = SnapshotStage.write.rawValue
    var error: Int32 = 0
}

/// Where a snapshot failed.
enum SnapshotStage: Int32 {
    case open, write, sync, rename, syncDirectory
}

/// The parent's side of a living child.
struct ForkedChild {
    let pid: pid_t
    let purpose: SnapshotPurpose
    /// What it writes to; renamed by the child (dump) or by the parent (base).
    let temporary: String
    let reports: Int32
    let startedAt: MonotonicNanoseconds
    let keysTotal: Int
    /// Changes counted when it was forked: a dump that succeeds covers them.
    let changesAtStart: Int
    var last = ChildReport()
    var lastReportAt: MonotonicNanoseconds
    var copiedPeak: Int64 = 0
    /// In simulations: there is no process.
    var stepped: SteppedChild?

    enum End: Equatable {
        case success
        case failure
        case signal(Int32)
    }

    /// Takes the reports that came.
    mutating func readReports() {
        if let stepped {
            last = stepped.report
            return
        }
        var report = ChildReport()
        while withUnsafeMutableBytes(of: &report, { Glibc.read(reports, $0.baseAddress, $0.count) })
            == MemoryLayout<ChildReport>.size {
            last = report
            lastReportAt = .now()
            copiedPeak = max(copiedPeak, report.copied)
        }
    }

    /// Nil while it runs.
    func reap() -> End? {
        if let stepped { return stepped.end }
        var status: Int32 = 0
        let result = waitpid(pid, &status, WNOHANG)
        if result == 0 || (result < 0 && errno == EINTR) { return nil }
        // Somebody else reaped it: how it ended is unknown.
        if result < 0 { return .failure }
        let signal = status & 0x7f
        if signal != 0 { return .signal(signal) }
        return (status >> 8) & 0xff == 0 ? .success : .failure
    }

    func kill() {
        if let stepped { stepped.kill() } else { _ = Glibc.kill(pid, SIGKILL) }
    }
    func close() { if stepped == nil { _ = Glibc.close(reports) } }
}

/// Where a snapshot goes, as C strings made before the fork. The temporary's name holds the pid of its writer.
struct SnapshotPaths {
    let temporary: UnsafeMutablePointer<CChar>
    private let prefixCount: Int
    private let suffix: UnsafeMutablePointer<CChar>
    /// Nil: whoever asked for the snapshot gives it its name.
    let final: UnsafeMutablePointer<CChar>?
    let directory: UnsafeMutablePointer<CChar>

    init(prefix: String, suffix: String, final: String?) {
        prefixCount = prefix.utf8.count
        temporary = strdup(prefix + "00000000000000000000" + suffix)
        self.suffix = strdup(suffix)
        self.final = final.map { strdup($0) }
        directory = strdup(FilePath.directory(final ?? prefix))
    }

    /// Puts the pid in; in a child, too.
    func complete(_ pid: pid_t) {
        let digits = Decimal.write(Int64(pid), to: UnsafeMutableRawPointer(temporary + prefixCount))
        strcpy(temporary + prefixCount + digits, suffix)
    }

    func free() {
        Glibc.free(temporary)
        Glibc.free(suffix)
        Glibc.free(final)
        Glibc.free(directory)
    }
}

/// Private_Dirty of /proc/self/smaps_rollup in bytes: what copy-on-write has cost. Raw memory only.
func copiedOnWriteBytes() -> Int64 {
    let file = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC)
    if file < 0 { return 0 }
    defer { _ = close(file) }
    return withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 8) { buffer -> Int64 in
        let count = read(file, buffer.baseAddress, buffer.count)
        if count <= 0 { return 0 }
        let text = Bytes(start: buffer.baseAddress, count: count)
        let word = ("Private_Dirty:" as StaticString).bytes
        var place = 0
        while place &+ word.count < text.count {
            if Bytes(rebasing: text[place..<(place &+ word.count)]).equals(word) {
                place &+= word.count
                while place < text.count && text[place] == UInt8(ascii: " ") { place &+= 1 }
                var kilobytes: Int64 = 0
                while place < text.count, text[place] >= 48, text[place] <= 57 {
                    kilobytes = kilobytes &* 10 &+ Int64(text[place] &- 48)
                    place &+= 1
                }
                return kilobytes &* 1024
            }
            place &+= 1
        }
        return 0
    }
}
