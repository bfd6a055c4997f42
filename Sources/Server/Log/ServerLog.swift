import Primitives
#if canImport(Glibc)
import Glibc
#endif

// The server's log: lines (LogLine.swift) to standard output or a file.
//
// The file is opened for every line, so that whoever rotates it needs to tell nobody. A line is one write(2). No lock
// and no time zone database is touched, so that a forked child may log too.

package final class ServerLog: @unchecked Sendable {
    /// Lines below it are dropped.
    package var level = LogLevel.notice
    package var format = LogFormat.legacy
    package var timestamps = LogTimestampFormat.legacy
    /// Empty: standard output.
    package var path = ""
    package var writesToSyslog = false
    package var isReplica = false
    private let mainProcess = LogProcess()
    /// East of UTC.
    package private(set) var utcOffsetSeconds = 0

    package init() { refreshTimeZone() }

    /// Takes note of the time zone; from time to time, for daylight saving. Not in a forked child.
    package func refreshTimeZone() {
        var now = time(nil)
        var parts = tm()
        localtime_r(&now, &parts)
        utcOffsetSeconds = parts.tm_gmtoff
    }

    package func follow(_ configuration: Configuration) {
        level = configuration.loglevel
        format = configuration.logFormat
        timestamps = configuration.logTimestampFormat
    }

    /// The process was forked to go on as a daemon.
    package func becameDaemon() { mainProcess.identifier = getpid() }

    package func write(_ level: LogLevel, _ text: String) {
        if level.rank < self.level.rank || self.level == .nothing { return }
        let process = getpid()
        let line = LogLine(process: process,
                           role: process != mainProcess.identifier ? .child : isReplica ? .replica : .primary,
                           level: level, time: UnixMilliseconds.now(), utcOffsetSeconds: utcOffsetSeconds,
                           // Longer lines are cut, as readers of the log expect of it.
                           text: String(decoding: text.utf8.prefix(Self.longestText), as: UTF8.self))
        let written = line.write(format, timestamps)
        writeRaw(written + "\n")
        if writesToSyslog { Syslog.write(level, format == .legacy ? line.text : written) }
    }

    /// Text as it is: the logo.
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
}

private final class LogProcess {
    var identifier = getpid()
}
