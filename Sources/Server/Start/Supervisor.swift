#if canImport(Glibc)
import Glibc
#endif

/// What supervises the process is told of its state: upstart by stopping, systemd by a datagram.
enum Supervisor {
    /// The kind that `supervised` means: `auto` looks for who is there.
    static func resolve(_ supervision: Supervision) -> Supervision {
        guard supervision == .auto else { return supervision }
        if getenv("UPSTART_JOB") != nil { return .upstart }
        return getenv("NOTIFY_SOCKET") != nil ? .systemd : .no
    }

    static func begin(_ supervision: Supervision, _ log: ServerLog) {
        switch resolve(supervision) {
        case .upstart:
            guard getenv("UPSTART_JOB") != nil else {
                log.write(.warning, "upstart supervision requested, but UPSTART_JOB not found!")
                return
            }
            log.write(.notice, "supervised by upstart, will stop to signal readiness.")
            raise(SIGSTOP)
            unsetenv("UPSTART_JOB")
        case .systemd:
            guard notify("STATUS=Redis is loading...\n") else {
                log.write(.warning, "systemd supervision requested or detected, but NOTIFY_SOCKET can't be reached")
                return
            }
            log.write(.notice, "Supervised by systemd. Please make sure you set appropriate values for "
                + "TimeoutStartSec and TimeoutStopSec in your service unit.")
        case .auto, .no: break
        }
    }

    /// Sends `state` to systemd; false: nobody listens.
    @discardableResult
    static func notify(_ state: String) -> Bool {
        guard let name = getenv("NOTIFY_SOCKET").map({ String(cString: $0) }), !name.isEmpty else { return false }
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
