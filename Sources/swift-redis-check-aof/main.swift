import ArgumentParser
import Commands
import Primitives
import RESP
import Server
import Storage
#if canImport(Glibc)
import Glibc
#endif

/// `swift-redis-check-aof FILE|MANIFEST`: tells whether a log is good, and mends its end. Lines are redis-check-aof's.
struct CheckAOF: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "swift-redis-check-aof",
        abstract: "Checks an append-only file, or a manifest and all files it names; mends its end.",
        discussion: """
            Files compressed by gzip or lz4 are read, but not mended. What a repair cuts off is first kept beside the \
            file, as NAME.torn-<unix time>.

            \(CheckStatus.help)
            """)

    @Flag(help: "Truncate a damaged log where its last whole command or transaction ends.")
    var fix = false
    @Flag(help: "Keep whole batches behind damage, too; a new file takes the place of damaged ones.")
    var salvage = false
    @Option(name: .customLong("truncate-to-timestamp"),
            help: ArgumentHelp("Truncate the log before the first annotation later than this (Unix time in seconds).",
                               valueName: "timestamp"))
    var timestamp: String?
    @Option(help: ArgumentHelp(
        "Make a new directory with the state as of then: Unix time in seconds (1764116418.5 is allowed).",
        valueName: "time"))
    var toTimestamp: String?
    @Option(help: ArgumentHelp("Likewise, up to the batch with this number.", valueName: "number"))
    var toSequence: Int?
    @Option(help: ArgumentHelp("The new directory: a server's dir.", valueName: "dir"))
    var output: String?
    @Option(help: ArgumentHelp("Where copies of older files are (aof-archive-dir).", valueName: "dir"))
    var archive: String?
    @Flag(name: [.customShort("y"), .long], help: "Don't ask before truncating.")
    var yes = false
    @Flag(help: "Say what would be done, change nothing.")
    var dryRun = false
    @Flag(help: "Print one JSON object instead of lines; never asks.")
    var json = false
    @Flag(help: "The argument is a directory that BACKUP made: check that it is sealed and whole.")
    var verifyBackup = false
    @Flag(name: [.customShort("v"), .long], help: "Print the version.")
    var version = false
    @Argument(help: ArgumentHelp("The file to check.", valueName: "file.manifest|file.aof"))
    var files: [String] = []

    private static let usage = "Usage: swift-redis-check-aof "
        + "[--fix|--salvage|--truncate-to-timestamp $timestamp] [--yes] "
        + "[--dry-run] [--json] <file.manifest|file.aof>\n"
        + "       swift-redis-check-aof --to-timestamp $time|--to-sequence $number --output $dir [--archive $dir] "
        + "<file.manifest>"

    func run() throws {
        if version {
            print("swift-redis-check-aof 7.4.1")
            return
        }
        guard let path = files.first, files.count == 1,
              [fix, salvage, timestamp != nil].filter({ $0 }).count <= 1 else {
            print(Self.usage)
            throw ExitCode(CheckStatus.usage)
        }
        if toTimestamp != nil || toSequence != nil { return try restore(path) }
        var options = AOFCheckOptions()
        options.fixes = fix
        options.salvages = salvage
        if isatty(2) == 1 && !json { options.progress = Self.showProgress }
        options.isDryRun = dryRun
        options.now = .now()
        options.objection = RecordJudge().objection
        if let timestamp {
            guard let seconds = Int64(timestamp), seconds >= 0 else {
                print("Invalid timestamp, aborting...")
                throw ExitCode(CheckStatus.usage)
            }
            options.timestamp = seconds == 0 ? nil : seconds
        }
        let report: AOFCheckReport
        if verifyBackup {
            report = BackupCheck.run(path, in: PosixFileSystem(), dialogue())
        } else {
            report = AOFCheck.run(path, in: PosixFileSystem(), options, dialogue())
        }
        if json { print(report.json) }
        if report.status != 0 { throw ExitCode(report.status) }
    }

    /// Whole seconds include all that was written within the last of them.
    private static func moment(_ text: String) -> UnixMilliseconds? {
        if let seconds = Int64(text), seconds >= 0, seconds < 1 << 40 { return UnixMilliseconds(seconds * 1000 + 999) }
        guard let seconds = Double(text), seconds >= 0, seconds < 1e12 else { return nil }
        return UnixMilliseconds(Int64((seconds * 1000).rounded(.down)))
    }

    private func restore(_ path: String) throws {
        guard let output, (toTimestamp == nil) != (toSequence == nil) else {
            print("--to-timestamp or --to-sequence need --output DIR")
            throw ExitCode(CheckStatus.usage)
        }
        var options = AOFRestoreOptions(output: output)
        options.sequence = toSequence
        options.archive = archive
        if let toTimestamp {
            guard let time = Self.moment(toTimestamp) else {
                print("Invalid timestamp, aborting...")
                throw ExitCode(CheckStatus.usage)
            }
            options.time = time
        }
        let result: AOFRestore.Result
        do throws(StorageError) {
            result = try AOFRestore.run(path, in: PosixFileSystem(), options)
        } catch {
            print(json ? RDBCheck.json(path, error) : "\(error)")
            if case .unsupported = error.reason { throw ExitCode(CheckStatus.notWritten) }
            throw ExitCode(CheckStatus.of(error))
        }
        var checkOptions = AOFCheckOptions()
        checkOptions.now = .now()
        let report = AOFCheck.run(result.manifest, in: PosixFileSystem(), checkOptions, dialogue())
        if json {
            print(result.json(report))
        } else if report.status == 0 {
            let time = result.lastTime.map { ", written \($0.text)" } ?? ""
            print("\(output) has the state as of batch \(result.lastSequence)\(time). Start it: "
                + "swift-redis-server --dir \(output) --appendonly yes")
        }
        if report.status != 0 { throw ExitCode(report.status) }
    }

    /// One line on the terminal, drawn anew; nothing for files that are read at once.
    private static let showProgress: @Sendable (Int, Int) -> Void = { done, total in
        guard total > 1 << 24 else { return }
        let filled = done * 40 / total
        let bar = String(repeating: "=", count: filled) + String(repeating: " ", count: 40 - filled)
        let end = done >= total ? "\r\u{1b}[K" : ""
        let line = "\r[\(bar)] \(done * 100 / total) %, \(done / 1_048_576) of \(total / 1_048_576) MB\(end)"
        _ = Array(line.utf8).withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
    }

    private func dialogue() -> AOFCheckDialogue {
        let prints = !json, agrees = yes
        return AOFCheckDialogue(tell: { if prints { print($0) } }, ask: { question in
            if agrees || !prints { return agrees }
            print(question, terminator: "")
            fflush(nil)
            return readLine()?.lowercased().hasPrefix("y") == true
        })
    }

    /// Whatever is wrong with the arguments: usage and its status.
    static func start() {
        do {
            let command = try parse()
            try command.run()
        } catch let status as ExitCode {
            exit(status: status)
        } catch {
            if exitCode(for: error) == .success { exit(withError: error) }
            print(usage)
            exit(status: ExitCode(CheckStatus.usage))
        }
    }

    private static func exit(status: ExitCode) -> Never {
        fflush(nil)
        Glibc.exit(status.rawValue)
    }
}

CheckAOF.start()
