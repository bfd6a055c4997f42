import Primitives
import Storage
#if canImport(Glibc)
import Glibc
#endif

// One line of the log, in the format that `log-format` and `log-timestamp-format` choose. Field names and words are
// Valkey's; values are quoted so that a line is always one line and always what it says.
//
//     legacy    12345:M 25 Nov 2026 20:40:01.123 * Server initialized
//     logfmt    pid=12345 role=primary timestamp="25 Nov 2026 20:40:01.123" level=notice message="Server initialized"
//     json      {"pid":12345,"role":"primary","timestamp":"…","level":"notice","message":"Server initialized"}
//
//     legacy 25 Nov 2026 20:40:01.123    iso8601 2026-11-25T20:40:01.123+00:00    milliseconds 1795639201123

struct LogLine {
    enum Role { case primary, replica, child }

    let process: pid_t
    let role: Role
    let level: LogLevel
    let time: UnixMilliseconds
    let utcOffsetSeconds: Int
    let text: String

    func write(_ format: LogFormat, _ timestamps: LogTimestampFormat) -> String {
        let stamp = timestamp(timestamps)
        switch format {
        case .legacy: return "\(process):\(roleLetter) \(stamp) \(mark) \(text)"
        case .logfmt:
            return "pid=\(process) role=\(roleName) timestamp=\"\(stamp)\" level=\(levelName) "
                + "message=\(JSONText.quoted(text))"
        case .json:
            let value = timestamps == .milliseconds ? stamp : JSONText.quoted(stamp)
            return "{\"pid\":\(process),\"role\":\"\(roleName)\",\"timestamp\":\(value),\"level\":\"\(levelName)\","
                + "\"message\":\(JSONText.quoted(text))}"
        }
    }

    private func timestamp(_ format: LogTimestampFormat) -> String {
        switch format {
        case .legacy: LogDate.text(time, utcOffsetSeconds)
        case .iso8601: LogDate.iso8601(time, utcOffsetSeconds)
        case .milliseconds: "\(time.rawValue)"
        }
    }

    private var roleLetter: String {
        switch role {
        case .primary: "M"
        case .replica: "S"
        case .child: "C"
        }
    }

    private var roleName: String {
        switch role {
        case .primary: "primary"
        case .replica: "replica"
        case .child: "RDB/AOF"
        }
    }

    private var mark: String {
        switch level {
        case .debug: "."
        case .verbose: "-"
        case .notice: "*"
        case .warning, .nothing: "#"
        }
    }

    private var levelName: String {
        switch level {
        case .debug: "debug"
        case .verbose: "info"
        case .notice: "notice"
        case .warning, .nothing: "warning"
        }
    }
}

/// Dates as the log prints them, computed without the C library's time zone lock.
enum LogDate {
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    /// `25 Nov 2026 20:40:01.123`
    static func text(_ time: UnixMilliseconds, _ utcOffsetSeconds: Int) -> String {
        let (days, clock) = split(time, utcOffsetSeconds)
        let (year, month, day) = date(days)
        return "\(two(day)) \(months[month - 1]) \(year) \(clock)"
    }

    /// `2026-11-25T20:40:01.123+00:00`
    static func iso8601(_ time: UnixMilliseconds, _ utcOffsetSeconds: Int) -> String {
        let (days, clock) = split(time, utcOffsetSeconds)
        let (year, month, day) = date(days)
        let minutes = abs(utcOffsetSeconds) / 60
        let zone = "\(utcOffsetSeconds < 0 ? "-" : "+")\(two(minutes / 60)):\(two(minutes % 60))"
        return "\(year)-\(two(month))-\(two(day))T\(clock)\(zone)"
    }

    private static func split(_ time: UnixMilliseconds, _ utcOffsetSeconds: Int) -> (days: Int, clock: String) {
        let milliseconds = Int(time.rawValue) + utcOffsetSeconds * 1000
        let seconds = milliseconds / 1000, rest = seconds % 86400
        return (seconds / 86400,
                "\(two(rest / 3600)):\(two(rest / 60 % 60)):\(two(rest % 60)).\(three(milliseconds % 1000))")
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
