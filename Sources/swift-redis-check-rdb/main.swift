import ArgumentParser
import Primitives
import Storage
#if canImport(Glibc)
import Glibc
#endif

/// `swift-redis-check-rdb FILE`: tells whether an RDB file is good. Exit status and lines are redis-check-rdb's.
struct CheckRDB: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "swift-redis-check-rdb",
        abstract: "Checks an RDB file, also one compressed by gzip or lz4.",
        discussion: "Exit status 0: the file is good; 1: it is not, or can't be read.")

    @Flag(help: "Print one JSON object instead of lines.")
    var json = false
    @Flag(name: [.customShort("v"), .long], help: "Print the version.")
    var version = false
    @Argument(help: ArgumentHelp("The file to check.", valueName: "rdb-file-name"))
    var files: [String] = []

    func run() throws {
        if version {
            print("swift-redis-check-rdb 7.4.1")
            return
        }
        guard let path = files.first, files.count == 1 else {
            Self.complain("Usage: swift-redis-check-rdb [--json] <rdb-file-name>")
            throw ExitCode(1)
        }
        let fileSystem = PosixFileSystem()
        if !json { print("[offset 0] Checking RDB file \(path)") }
        do throws(StorageError) {
            let file = try fileSystem.open(path, .read)
            let input = RDBInput(path, try RDBCompressedFile.source(file, in: fileSystem))
            let prints = !json
            let report = RDBCheck.run(input, now: .now()) { finding in
                if prints, let line = finding.line { print(line) }
            }
            fileSystem.close(file)
            if json { print(report.json) } else { report.closingLines.forEach { print($0) } }
            if report.isGood { return }
        } catch {
            if json { print(RDBCheck.json(path, error)) }
            Self.complain(error.description)
        }
        throw ExitCode(1)
    }

    private static func complain(_ text: String) {
        var line = text + "\n"
        line.withUTF8 { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
}

CheckRDB.main()
