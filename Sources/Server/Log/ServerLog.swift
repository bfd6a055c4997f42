import Primitives
import Synchronization
#if canImport(Glibc)
import Glibc
#endif

// The server's log: lines (LogLine.swift) to standard output or a file.
//
// The file is opened for every line, so that whoever rotates it needs to tell nobody. A line is one write(2). No lock
// and no time zone database is touched, so that a forked child may log too.

package final class ServerLog: @unchecked Sendable {
    // @unchecked: what changes after the start is atomic, for the signals' thread writes lines, too.

    /// Lines below it are dropped.
    private let level = AtomicChoice(LogLevel.notice)
    private let chosenFormat = AtomicChoice(LogFormat.legacy)
    private let timestamps = AtomicChoice(LogTimestampFormat.legacy)
    private let utcOffset = Atomic<Int>(0)
    /// Empty: standard output.
    package var path = ""
    package var writesToSyslog = false
    package var isReplica = false
    private let mainProcess = LogProcess()

    package init() { refreshTimeZone() }

    package var format: LogFormat { chosenFormat.value }
    /// East of UTC.
    package var utcOffsetSeconds: Int { utcOffset.load(ordering: .relaxed) }

    /// Takes note of the time zone; from time to time, for daylight saving. Not in a forked child.
    package func refreshTimeZone() {
        var now = time(nil)
        var parts = tm()
        localtime_r(&now, &parts)
        utcOffset.store(parts.tm_gmtoff, ordering: .relaxed)
    }

    package func follow(_ configuration: Configuration) {
        level.value = configuration.loglevel
        chosenFormat.value = configuration.logFormat
        timestamps.value = configuration.logTimestampFormat
    }

    /// The process was forked to go on as a daemon.
    package func becameDaemon() { mainProcess.identifier = getpid() }

    package func write(_ level: LogLevel, _ text: String) {
        let least = self.level.value
        if level.rank < least.rank || least == .nothing { return }
        let process = getpid(), format = format
        let line = LogLine(process: process,
                           role: process != mainProcess.identifier ? .child : isReplica ? .replica : .primary,
                           level: level, time: UnixMilliseconds.now(), utcOffsetSeconds: utcOffsetSeconds,
                           // Longer lines are cut, as readers of the log expect of it.
                           text: String(decoding: text.utf8.prefix(Self.longestText), as: UTF8.self))
        let written = line.write(format, timestamps.value)
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

/// One of a setting's values, which one thread chooses and any thread reads.
private struct AtomicChoice<Choice: CaseIterable & Equatable>: ~Copyable {
    private let choices = Array(Choice.allCases)
    private let index: Atomic<Int>

    init(_ choice: Choice) {
        index = Atomic(choices.firstIndex(of: choice) ?? 0)
    }

    var value: Choice {
        get { choices[index.load(ordering: .relaxed)] }
        nonmutating set { index.store(choices.firstIndex(of: newValue) ?? 0, ordering: .relaxed) }
    }
}

private final class LogProcess {
    var identifier = getpid()
}
