import ArgumentParser
import Primitives
import Storage
#if canImport(Glibc)
import Glibc
#endif

/// `swift-redis-check-rdb FILE`: tells whether an RDB file is good, what is in it, and makes others from it. Lines that
/// redis-check-rdb has are its own.
struct CheckRDB: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "swift-redis-check-rdb",
        abstract: "Checks RDB files of Redis, Valkey, KeyDB and Dragonfly; counts, compares, converts, salvages.",
        discussion: """
            Files compressed by gzip or lz4 are read as they are. No file is ever changed; an output that exists is \
            overwritten with --force alone, and comes into being whole and checked, or not at all.

            \(CheckStatus.help)
            """)

    @Flag(help: "Print one JSON object (a line for each file) instead of lines.")
    var json = false
    @Flag(help: "Tell keys, elements, bytes and memory by type and prefix, the biggest keys, times to live.")
    var stats = false
    @Option(help: "How many of the biggest keys --stats tells.")
    var top = 10
    @Option(help: "How many parts of a key's name, split at colons, are its prefix.")
    var prefixDepth = 1
    @Flag(help: "Check with all cores; any number of files.")
    var verify = false
    @Option(help: "Cores for --verify; all of them if not given.")
    var threads: Int?
    @Option(help: ArgumentHelp("Write what can be read of a damaged file to a new one, and tell what is lost.",
                               valueName: "out"))
    var salvage: String?
    @Option(help: ArgumentHelp("Write the file anew, in the version that --rdb-version says.", valueName: "out"))
    var convert: String?
    @Option(help: "Version to write: 9 (Redis 5), 10 (7.0), 11 (7.2), 12 (7.4, the default), 13 (8.6) or 14 (8.8).")
    var rdbVersion: Int?
    @Option(help: ArgumentHelp("Tell what another file has that this one has not, and the other way round.",
                               valueName: "other"))
    var diff: String?
    @Option(name: .customLong("db"), help: "Only keys of this database; may be given several times.")
    var databases: [Int] = []
    @Option(name: .customLong("type"),
            help: "Only keys of this type: string, list, set, zset, hash, stream, module or other.")
    var types: [String] = []
    @Option(help: "Only keys that match this glob pattern.")
    var pattern: String?
    @Flag(help: "Leave out what can't be represented here, and tell it, instead of stopping there.")
    var skipUnsupported = false
    @Flag(help: "Overwrite the output.")
    var force = false
    @Flag(name: [.customShort("v"), .long], help: "Print the version.")
    var version = false
    @Argument(help: ArgumentHelp("The file to check.", valueName: "rdb-file-name"))
    var files: [String] = []

    private static let usage = "Usage: swift-redis-check-rdb [--json] [--stats] [--verify] [--convert OUT "
        + "--rdb-version N] [--salvage OUT] [--diff OTHER] <rdb-file-name>"

    func run() throws {
        if version {
            print("swift-redis-check-rdb 7.4.1")
            return
        }
        let actions = [salvage, convert, diff].compactMap { $0 }.count + (verify ? 1 : 0)
        guard let path = files.first, verify || files.count == 1, actions <= 1,
              rdbVersion.map({ 9...14 ~= $0 }) ?? true, types.allSatisfy(DumpSelection.typeNames.contains) else {
            Self.complain(Self.usage)
            throw ExitCode(CheckStatus.usage)
        }
        let status: Int32
        if verify {
            status = verifyAll()
        } else if let other = diff {
            status = compare(path, other)
        } else if let output = convert ?? salvage {
            status = copy(path, output)
        } else {
            status = check(path)
        }
        if status != 0 { throw ExitCode(status) }
    }

    private var selection: DumpSelection {
        var selection = DumpSelection()
        if !databases.isEmpty { selection.databases = Set(databases) }
        if !types.isEmpty { selection.types = Set(types) }
        selection.pattern = pattern.map { Array($0.utf8) }
        return selection
    }

    // MARK: Checking

    private func check(_ path: String) -> Int32 {
        let fileSystem = PosixFileSystem()
        if !json { print("[offset 0] Checking RDB file \(path)") }
        do throws(StorageError) {
            let file = try fileSystem.open(path, .read)
            defer { fileSystem.close(file) }
            let input = RDBInput(path, try RDBCompressedFile.source(file, in: fileSystem))
            let bar = ProgressBar(path, try fileSystem.size(file))
            var options = RDBCheckOptions()
            options.now = .now()
            options.skipsUnsupported = skipUnsupported
            options.selection = selection
            options.progress = { bar.tell($0) }
            if stats || json { options.statistics = DumpStatistics(now: .now(), biggest: top, depth: prefixDepth) }
            let prints = !json
            let report = RDBCheck.run(input, options) { finding in
                guard prints, let line = finding.line else { return }
                bar.clear()
                print(line)
            }
            bar.clear()
            tell(report)
            if !report.isGood { return CheckStatus.damaged }
            return report.lossCount > 0 ? CheckStatus.incomplete : CheckStatus.good
        } catch {
            return failed(path, error)
        }
    }

    private func tell(_ report: RDBCheckReport) {
        if json { return print(report.json) }
        report.closingLines.forEach { print($0) }
        if stats { report.statistics?.lines.forEach { print($0) } }
    }

    private func failed(_ path: String, _ error: StorageError) -> Int32 {
        if json { print(RDBCheck.json(path, error)) }
        Self.complain(error.description)
        return CheckStatus.of(error)
    }

    private func verifyAll() -> Int32 {
        var status: Int32 = 0
        for path in files {
            if !json { print("[offset 0] Checking RDB file \(path)") }
            do throws(StorageError) {
                let fileSystem = PosixFileSystem()
                let report = try DumpVerify.run(path, threads: threads ?? ParallelRun.cores,
                                                skipsUnsupported: skipUnsupported, now: .now(), in: fileSystem)
                tell(report)
                worsen(&status, report.isGood ? report.lossCount > 0 ? CheckStatus.incomplete : CheckStatus.good
                       : CheckStatus.damaged)
            } catch {
                worsen(&status, failed(path, error))
            }
        }
        return status
    }

    /// Of several files: damage counts most, what is left out least.
    private func worsen(_ status: inout Int32, _ other: Int32) {
        let order = [CheckStatus.good, CheckStatus.incomplete, CheckStatus.unreadable, CheckStatus.damaged]
        if (order.firstIndex(of: other) ?? 0) > (order.firstIndex(of: status) ?? 0) { status = other }
    }

    // MARK: Others

    private func copy(_ path: String, _ output: String) -> Int32 {
        let fileSystem = PosixFileSystem()
        var options = DumpCopyOptions()
        options.version = rdbVersion
        options.selection = selection
        options.skipsUnsupported = skipUnsupported
        options.overwrites = force
        let size = (try? fileSystem.status(path))?.size ?? 0
        let bar = ProgressBar(path, size)
        do throws(StorageError) {
            let report = convert != nil
                ? try DumpConvert.run(path, to: output, options, in: fileSystem) { bar.tell($0) }
                : try DumpSalvage.run(path, to: output, options, in: fileSystem) { bar.tell($0) }
            bar.clear()
            if json { print(report.json) } else { report.lines.forEach { print($0) } }
            return report.isWhole ? CheckStatus.good : CheckStatus.incomplete
        } catch {
            bar.clear()
            let isOutput = error.path == output || error.path.hasPrefix(output + ".tmp-")
            let status = failed(path, error)
            return isOutput ? CheckStatus.notWritten : status
        }
    }

    private func compare(_ path: String, _ other: String) -> Int32 {
        let fileSystem = PosixFileSystem()
        let bar = ProgressBar(path, (try? fileSystem.status(path))?.size ?? 0)
        do throws(StorageError) {
            let report = try DumpDiff.run(path, other, selection, skipsUnsupported: skipUnsupported,
                                          in: fileSystem) { bar.tell($0) }
            bar.clear()
            if json { print(report.json) } else { report.lines.forEach { print($0) } }
            return report.isEqual ? CheckStatus.good : CheckStatus.different
        } catch {
            bar.clear()
            return failed(error.path, error)
        }
    }

    static func complain(_ text: String) {
        var line = text + "\n"
        line.withUTF8 { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }

    /// Whatever is wrong with the arguments: usage and its status.
    static func start() {
        do {
            let command = try parse()
            try command.run()
        } catch let status as ExitCode {
            fflush(nil)
            Glibc.exit(status.rawValue)
        } catch {
            if exitCode(for: error) == .success { exit(withError: error) }
            complain(message(for: error))
            complain(usage)
            Glibc.exit(CheckStatus.usage)
        }
    }
}

CheckRDB.start()
