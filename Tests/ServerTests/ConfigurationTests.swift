import Foundation
import Storage
import Testing
import TestSupport
@testable import Server

struct ConfigurationTests {
    private func read(_ text: String) throws -> Configuration {
        let configuration = Configuration()
        try ConfigurationReader(configuration).read(Array(text.utf8))
        return configuration
    }

    private func failure(_ text: String) -> ConfigurationFileError? {
        do {
            _ = try read(text)
            return nil
        } catch {
            return error as? ConfigurationFileError
        }
    }

    // MARK: Files

    @Test func commentsQuotesAndEscapes() throws {
        let configuration = try read("""
            # a comment
              # an indented one

            requirepass "a b\\x41\\n"\t
            DBFILENAME 'it\\'s.rdb'\r
            maxmemory 100mb
            """)
        #expect(configuration.requirepass == "a bA\n")
        #expect(configuration.dbfilename == "it's.rdb")
        #expect(configuration.maxmemory == 100 << 20)
    }

    @Test func laterLinesOverride() throws {
        #expect(try read("hz 20\nhz 30\n").hz == 30)
    }

    @Test func oldNamesAreAliases() throws {
        let configuration = try read("""
            slaveof 127.0.0.1 7000
            hash-max-ziplist-entries 7
            slave-read-only no
            lua-time-limit 9
            list-max-ziplist-entries 512
            """)
        #expect(configuration.replicaof == PrimaryAddress(host: "127.0.0.1", port: 7000))
        #expect(configuration.hashMaxListpackEntries == 7)
        #expect(!configuration.replicaReadOnly)
        #expect(configuration.busyReplyThreshold == 9)
    }

    @Test func firstSaveLineReplacesTheDefaultsAndOthersAdd() throws {
        let points = [SaveParameter(seconds: 900, changes: 1), SaveParameter(seconds: 300, changes: 10)]
        #expect(try read("save 900 1\nsave 300 10\n").saveParameters == points)
        #expect(try read("save 900 1 300 10\n").saveParameters == points)
        #expect(try read("save \"900 1 300 10\"\n").saveParameters == points)
        #expect(try read("save 900 1\nsave ''\n").saveParameters.isEmpty)
        #expect(try read("port 1\n").saveParameters == SaveParameter.standard)
    }

    @Test func linesThatOnlyFilesHold() throws {
        let configuration = try read("""
            user alice on >secret ~* +@all
            rename-command FLUSHALL ""
            loadmodule /a.so x
            """)
        #expect(configuration.users == [["alice", "on", ">secret", "~*", "+@all"].map { Array($0.utf8) }])
        #expect(configuration.renamedCommands.map(\.old) == ["FLUSHALL"])
        #expect(configuration.modules == [["/a.so", "x"]])
    }

    @Test func errorsNameLineAndText() {
        #expect(failure("port 1\n\nfoo bar\n") == .line(3, text: "foo bar",
                                                       reason: "Bad directive or wrong number of arguments"))
        #expect(failure("port\n") == .line(1, text: "port", reason: "wrong number of arguments"))
        #expect(failure("a \"b\n") == .line(1, text: "a \"b", reason: "Unbalanced quotes in configuration line"))
        #expect(failure("hz x") == .line(1, text: "hz x", reason: "argument couldn't be parsed into an integer"))
        #expect(failure("port 65536") == .line(1, text: "port 65536",
                                               reason: "argument must be between 0 and 65535 inclusive"))
        #expect(failure("dbfilename a/b") == .line(1, text: "dbfilename a/b",
                                                   reason: "dbfilename can't be a path, just a filename"))
        #expect(failure("save 1") == .line(1, text: "save 1", reason: "Invalid save parameters"))
    }

    @Test func bytesThatAreNoTextAreRefusedRatherThanChanged() {
        let configuration = Configuration()
        #expect(throws: ConfigurationFileError.self) {
            try ConfigurationReader(configuration).read(Array("requirepass \"\\xff\\xfe\"\n".utf8))
        }
        #expect(configuration.requirepass.isEmpty)
    }

    @Test func includesWithWildcards() throws {
        let directory = try TemporaryDirectory()
        try write("hz 20\n", directory.path("a.conf"))
        try write("maxmemory 5\n", directory.path("b.conf"))
        let configuration = try read("hz 10\ninclude \(directory.path)/*.conf\ninclude \(directory.path)/none*\n")
        #expect(configuration.hz == 20)
        #expect(configuration.maxmemory == 5)
        let missing = directory.path("missing.conf")
        #expect(failure("include \(missing)") == .unreadable(path: missing, errno: 2))
    }

    @Test func anIncludeOfItselfEnds() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path("loop.conf")
        try write("include \(path)\n", path)
        #expect(throws: ConfigurationFileError.self) {
            try ConfigurationReader(Configuration()).read(Array("include \(path)\n".utf8))
        }
    }

    // MARK: Values

    @Test func unitsPercentagesAndOctal() throws {
        let configuration = try read("""
            maxmemory 1gb
            maxmemory-clients 20%
            unixsocketperm 755
            repl-backlog-size 3k
            """)
        #expect(configuration.maxmemory == 1 << 30)
        #expect(configuration.maxmemoryClients == -20)
        #expect(configuration.value(of: "maxmemory-clients") == "20%")
        #expect(configuration.unixsocketperm == 0o755)
        #expect(configuration.value(of: "unixsocketperm") == "755")
        #expect(configuration.replBacklogSize == 3000)
    }

    @Test func keyspaceEventLetters() throws {
        let configuration = try read("notify-keyspace-events KEg$lshzxetd\n")
        #expect(configuration.value(of: "notify-keyspace-events") == "AKE")
        try configuration.set("notify-keyspace-events", ["xEm"])
        #expect(configuration.value(of: "notify-keyspace-events") == "xEm")
    }

    @Test func outputBufferLimitsOfOneClassLeaveTheOthers() throws {
        let configuration = try read("client-output-buffer-limit replica 1mb 2kb 3\n")
        #expect(configuration.value(of: "client-output-buffer-limit")
            == "normal 0 0 0 slave 1048576 2048 3 pubsub 33554432 8388608 60")
    }

    @Test func everyNameIsKnownOnce() throws {
        let configuration = Configuration()
        let names = configuration.directives.flatMap { [$0.name] + ($0.alias.map { [$0] } ?? []) }
        #expect(Set(names).count == names.count)
        let rows = try String(contentsOfFile: Fixture.path("config.tsv"), encoding: .utf8).split(separator: "\n")
            .filter { !$0.hasPrefix("#") && !$0.contains("\tfile-directive\t") }
        #expect(rows.count > 180)
        for row in rows {
            let columns = row.split(separator: "\t").map(String.init)
            #expect(names.contains(columns[0]), "\(row)")
            #expect(columns[1] == "-" || names.contains(columns[1]), "\(row)")
        }
    }

    // MARK: CONFIG SET

    private let rights = Configuration.ChangeRights(mayChangeProtected: false, isLoading: false)

    @Test func aRefusedPairUndoesTheOthers() throws {
        let configuration = Configuration()
        #expect(throws: Configuration.ChangeRefusal(name: "maxmemory", reason: .refused(
            "argument must be a memory value"))) {
            try configuration.change([("hz", "50"), ("save", "1 1"), ("maxmemory", "x")], rights: rights)
        }
        #expect(configuration.hz == 10)
        #expect(configuration.saveParameters == SaveParameter.standard)
    }

    @Test func refusals() {
        func reason(_ pairs: [(name: String, value: String)], loading: Bool = false)
            -> Configuration.ChangeRefusal.Reason? {
            do throws(Configuration.ChangeRefusal) {
                try Configuration().change(pairs, rights: .init(mayChangeProtected: false, isLoading: loading))
                return nil
            } catch {
                return error.reason
            }
        }
        #expect(reason([("nosuch", "1")]) == .unknown)
        #expect(reason([("databases", "1")]) == .refused("can't set immutable config"))
        #expect(reason([("dbfilename", "a")]) == .refused("can't set protected config"))
        #expect(reason([("hz", "20"), ("HZ", "30")]) == .refused("duplicate parameter"))
        #expect(reason([("lua-time-limit", "20"), ("busy-reply-threshold", "30")]) == .refused("duplicate parameter"))
        #expect(reason([("appendonly", "yes")], loading: true) == .loading)
        #expect(reason([("appendonly", "yes")]) == nil)
    }

    private func write(_ text: String, _ path: String) throws {
        var text = text
        try text.withUTF8 { try PosixFileSystem().replace(path, with: .init($0), through: path + ".tmp") }
    }
}
