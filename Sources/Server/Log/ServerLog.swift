import Primitives
#if canImport(Glibc)
import Glibc
#endif

// The server's log: `pid:role date * text`, a line each, to standard output or a file.
//
//     12345:M 25 Nov 2026 20:40:01.123 * Server initialized
//
// The file is opened for every line, so that whoever rotates it needs to tell nobody. A line is one write(2). No lock
// and no time zone database is touched, so that a forked child may log too.

package final class ServerLog: @unchecked Sendable {
    /// Lines below it are dropped.
    package var level = LogLevel.notice
    /// Empty: standard output.
    package var path = ""
    package var writesToSyslog = false
    package var isReplica = false
    private let mainProcess = LogProcess()
    /// East of UTC.
    private var utcOffsetSeconds = 0

    package init() { refreshTimeZone() }

    /// Takes note of the time zone; from time to time, for daylight saving. Not in a forked child.
    package func refreshTimeZone() {
        var now = time(nil)
        var parts = tm()
        localtime_r(&now, &parts)
        utcOffsetSeconds = parts.tm_gmtoff
    }

    /// The process was forked to go on as a daemon.
    package func becameDaemon() { mainProcess.identifier = getpid() }

    package func write(_ level: LogLevel, _ text: String) {
        if level.rank < self.level.rank || self.level == .nothing { return }
        var line = OwnedBytes(capacity: 256)
        line.append(prefix(level))
        // Longer lines are cut, as readers of the log expect of it.
        line.append(String(decoding: text.utf8.prefix(Self.longestText), as: UTF8.self))
        line.append(UInt8(ascii: "\n"))
        put(line.bytes)
        if writesToSyslog { Syslog.write(level, text) }
    }

    /// Text as it is: the logo, crash reports.
    package func writeRaw(_ text: String) {
        var text = text
        text.withUTF8 { put(Bytes($0)) }
    }

    private static let longestText = 1024

    private func put(_ bytes: Bytes) {
        let descriptor = path.isEmpty ? STDOUT_FILENO : open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { return }
        _ = Glibc.write(descriptor, bytes.baseAddress, bytes.count)
        if descriptor != STDOUT_FILENO { _ = close(descriptor) }
    }

    private func prefix(_ level: LogLevel) -> String {
        let process = getpid()
        let role = process != mainProcess.identifier ? "C" : isReplica ? "S" : "M"
        let mark = switch level {
        case .debug: "."
        case .verbose: "-"
        case .notice: "*"
        case .warning, .nothing: "#"
        }
        return "\(process):\(role) \(LogDate.text(UnixMilliseconds.now(), utcOffsetSeconds)) \(mark) "
    }
}

private final class LogProcess {
    var identifier = getpid()
}

/// Dates as the log prints them, computed without the C library's time zone lock.
enum LogDate {
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    /// `25 Nov 2026 20:40:01.123`
    static func text(_ time: UnixMilliseconds, _ utcOffsetSeconds: Int) -> String {
        let milliseconds = Int(time.rawValue) + utcOffsetSeconds * 1000
        let seconds = milliseconds / 1000
        let days = seconds / 86400, rest = seconds % 86400
        let (year, month, day) = date(days)
        let clock = "\(two(rest / 3600)):\(two(rest / 60 % 60)):\(two(rest % 60)).\(three(milliseconds % 1000))"
        return "\(two(day)) \(months[month - 1]) \(year) \(clock)"
    }

    /// Year, month and day of the month of a day counted from 1970-01-01, in the Gregorian calendar. Counted in eras of
    /// 400 years that begin in March, so that a leap day is a year's last day.
    static func date(_ days: Int) -> (Int, Int, Int) {
        let shifted = days + 719_468
        let era = shifted / 146_097, dayOfEra = shifted % 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let marchMonth = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * marchMonth + 2) / 5 + 1
        let month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }

    private static func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
    private static func three(_ value: Int) -> String { value < 100 ? "0" + two(value) : "\(value)" }
}
