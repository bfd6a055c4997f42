import Engine
import Primitives
#if canImport(Glibc)
import Glibc
#endif

// What supervises the process (`supervised`) is told of its state: upstart by stopping, systemd by datagrams to
// $NOTIFY_SOCKET.
//
//     start      STATUS=Redis is loading...                      EXTEND_TIMEOUT_USEC
//     loading    STATUS=Loading: 41.20% …   once a second        EXTEND_TIMEOUT_USEC
//     ready      STATUS=Ready to accept connections              READY=1
//     DEBUG RELOAD, DEBUG LOADAOF                                RELOADING=1 … READY=1
//     shutdown   STATUS=Shutting down...                         STOPPING=1, EXTEND_TIMEOUT_USEC; refused: READY=1
//     WatchdogSec=    WATCHDOG=1, twice in its time, as long as the engine's cron runs

package struct Supervisor {
    /// Never `auto`.
    package let kind: Supervision
    /// Microseconds within which systemd wants a sign of life; 0: it doesn't.
    private let watchdogMicroseconds: Int64
    private var lastSign: Int64 = 0
    private var lastProgress: Int64 = 0

    /// How long systemd shall wait from now on: loading tells more often, but one huge value may take long.
    private static let patience = "EXTEND_TIMEOUT_USEC=120000000\n"

    init(_ supervision: Supervision = .no) {
        kind = Self.resolve(supervision)
        let watched = Self.number("WATCHDOG_PID").map { $0 == Int64(getpid()) } ?? true
        watchdogMicroseconds = kind == .systemd && watched ? max(Self.number("WATCHDOG_USEC") ?? 0, 0) : 0
    }

    /// The kind that `supervised` means: `auto` looks for who is there.
    private static func resolve(_ supervision: Supervision) -> Supervision {
        guard supervision == .auto else { return supervision }
        if getenv("UPSTART_JOB") != nil { return .upstart }
        return getenv("NOTIFY_SOCKET") != nil ? .systemd : .no
    }

    private static func number(_ name: String) -> Int64? { getenv(name).flatMap { Int64(String(cString: $0)) } }

    func begin(_ log: ServerLog) {
        switch kind {
        case .upstart:
            guard getenv("UPSTART_JOB") != nil else {
                log.write(.warning, "upstart supervision requested, but UPSTART_JOB not found!")
                return
            }
            log.write(.notice, "supervised by upstart, will stop to signal readiness.")
            raise(SIGSTOP)
            unsetenv("UPSTART_JOB")
        case .systemd:
            guard notify("STATUS=Redis is loading...\n" + Self.patience) else {
                log.write(.warning, "systemd supervision requested or detected, but NOTIFY_SOCKET can't be reached")
                return
            }
            log.write(.notice, "Supervised by systemd. Please make sure you set appropriate values for "
                + "TimeoutStartSec and TimeoutStopSec in your service unit.")
        case .auto, .no: break
        }
    }

    func isReady() { notify("STATUS=Ready to accept connections\nREADY=1\n") }

    func isReloading() {
        let microseconds = MonotonicNanoseconds.now().rawValue / 1000
        notify("RELOADING=1\nMONOTONIC_USEC=\(microseconds)\nSTATUS=Loading the data again...\n")
    }

    func isStopping() { notify("STOPPING=1\nSTATUS=Shutting down...\n" + Self.patience) }

    /// At each report of progress.
    mutating func isLoading(_ progress: () -> String) {
        guard kind == .systemd else { return }
        giveSign()
        let now = MonotonicNanoseconds.now().rawValue
        if now - lastProgress < 1_000_000_000 { return }
        lastProgress = now
        notify("STATUS=\(progress())\n" + Self.patience)
    }

    /// `WatchdogSec=`: the engine runs. To be called more often than that asks for.
    mutating func giveSign() {
        if watchdogMicroseconds == 0 { return }
        let now = MonotonicNanoseconds.now().rawValue
        if now - lastSign < watchdogMicroseconds * 500 { return }
        lastSign = now
        notify("WATCHDOG=1\n")
    }

    /// Sends `state` to systemd; false: nobody listens.
    @discardableResult
    private func notify(_ state: String) -> Bool {
        guard kind == .systemd, let name = getenv("NOTIFY_SOCKET").map({ String(cString: $0) }), !name.isEmpty else {
            return false
        }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var bytes = Array(name.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { return false }
        // An abstract name is written with @ for its NUL.
        if bytes[0] == UInt8(ascii: "@") { bytes[0] = 0 }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count)
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var patience = timeval(tv_sec: 1, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        var state = state
        return state.withUTF8 { text in
            withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    sendto(descriptor, text.baseAddress, text.count, Int32(MSG_NOSIGNAL), $0, length) >= 0
                }
            }
        }
    }
}

extension ServerCore {
    func tellSupervisorOfLoading() {
        lifecycle.supervisor.isLoading {
            "Loading: \(InfoWriter.fixed(persistence.loadingPercent, 2))%, "
                + "\(persistence.loadingSecondsLeft) seconds left"
        }
    }
}
