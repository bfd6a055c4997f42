#if canImport(Glibc)
import Glibc
#endif

/// The system's log, beside the server's own. It keeps date, process and level itself: under `log-format legacy` it
/// gets the text alone, else the whole line.
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
        oneLine(text).withCString { text in withVaList([text]) { vsyslog(priority, "%s", $0) } }
    }

    /// Control characters, which could end the record or its text, are written as `\n`, `\0` …
    static func oneLine(_ text: String) -> String {
        if !text.utf8.contains(where: { $0 < 32 || $0 == 127 }) { return text }
        var result = ""
        for scalar in text.unicodeScalars {
            if scalar.value >= 32 && scalar.value != 127 {
                result.unicodeScalars.append(scalar)
            } else {
                result += scalar.escaped(asASCII: true)
            }
        }
        return result
    }

    /// Facilities are numbers shifted by three bits: user is 1, local0 to local7 are 16 to 23.
    private static func code(_ facility: String) -> Int32 {
        guard facility.hasPrefix("local"), let number = Int32(facility.dropFirst(5)) else { return 1 << 3 }
        return (16 + number) << 3
    }
}
