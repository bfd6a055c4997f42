#if canImport(Glibc)
import Glibc
#endif

/// The system's log, beside the server's own.
enum Syslog {
    static func open(_ name: String, facility: String) {
        // openlog keeps the pointer for as long as the process lives.
        openlog(strdup(name), LOG_PID | LOG_NDELAY | LOG_NOWAIT, code(facility))
    }

    static func write(_ level: LogLevel, _ text: String) {
        let priority = switch level {
        case .debug: LOG_DEBUG
        case .verbose: LOG_INFO
        case .notice: LOG_NOTICE
        case .warning, .nothing: LOG_WARNING
        }
        text.withCString { text in withVaList([text]) { vsyslog(priority, "%s", $0) } }
    }

    /// Facilities are numbers shifted by three bits: user is 1, local0 to local7 are 16 to 23.
    private static func code(_ facility: String) -> Int32 {
        guard facility.hasPrefix("local"), let number = Int32(facility.dropFirst(5)) else { return 1 << 3 }
        return (16 + number) << 3
    }
}
