import Foundation
import Testing
import TestSupport

/// `user` lines, `requirepass`, `aclfile`, and what writes them back.
@Suite(.serialized) struct ACLFileTests {
    private func file(_ text: String, _ name: String = "users.acl") throws
        -> (directory: TemporaryDirectory, path: String) {
        let directory = try TemporaryDirectory()
        try write(text, directory.path(name))
        return (directory, directory.path(name))
    }

    private func write(_ text: String, _ path: String) throws {
        try text.write(toFile: path, atomically: false, encoding: .utf8)
    }

    private func text(_ path: String) throws -> String { try String(contentsOfFile: path, encoding: .utf8) }

    private static let bob = "user bob on sanitize-payload "
        + "#2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881 ~b\\*\" resetchannels -@all +get"

    @Test func aFileIsReadWrittenAndReadAgain() throws {
        let (directory, path) = try file("\n  user bob on >x ~b\\*\" +get\r\n\n")
        chmod(path, 0o600)
        let server = try ServerRun("--aclfile", path)
        #expect(server.becomesReady())
        #expect(server.answer("AUTH bob x\r\nGET c\r\n") == "+OK\r\n-NOPERM No permissions to access a key\r\n")
        #expect(server.answer("ACL SETUSER \"\\xffn\" on nopass '(\"~q\\\"\"' '\"~r)\"' +set)\r\nACL SAVE\r\n")
            == "+OK\r\n+OK\r\n")
        let saved = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
        let first = "\(Self.bob)\nuser default on nopass sanitize-payload ~* &* +@all\nuser "
        let last = "n on nopass sanitize-payload resetchannels -@all (\"~q\\\"\" \"~r)\" resetchannels -@all +set)\n"
        let expected: [UInt8] = Array(first.utf8) + [0xff] + Array(last.utf8)
        #expect(saved == expected, "\(String(decoding: saved, as: UTF8.self))")
        #expect(try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int == 0o600)
        #expect(!FileManager.default.fileExists(atPath: path + ".tmp"))
        #expect(server.answer("ACL DELUSER bob\r\nACL LOAD\r\nACL SAVE\r\nACL GETUSER bob\r\n")?
            .hasPrefix(":1\r\n+OK\r\n+OK\r\n*12\r\n") == true)
        #expect([UInt8](try Data(contentsOf: URL(fileURLWithPath: path))) == expected)
        _ = directory
    }

    @Test func aWrongFileStopsTheStartWithFileLineAndReason() throws {
        let (directory, path) =
            try file("user bob on +get\nuser bob off\n# note\nuser carl +@nosuch >ok %z +nosuch\nuser (x (y\n")
        let server = try ServerRun("--aclfile", path)
        #expect(server.exitStatus() == 1)
        let reasons = [
            "2: Duplicate user 'bob' found. ", "3: line should start with user keyword followed by a username. ",
            "4: Error in applying operation '+@nosuch': Unknown command or category name in ACL. ", "4: Syntax error. ",
            "4: Error in applying operation '+nosuch': Unknown command or category name in ACL. ",
            "5: Unmatched parenthesis in selector definition. ",
        ].map { "\(path):\($0)" }.joined()
        let line = "Aborting Redis startup because of ACL errors: \(reasons)WARNING: ACL errors detected"
        #expect(server.log.contains(line), "\(server.log)")
        let missing = try ServerRun("--aclfile", path + ".none")
        #expect(missing.exitStatus() == 1)
        #expect(missing.log.contains("opening file '\(path).none': No such file or directory"))
        _ = directory
    }

    @Test func aWrongFileChangesNothingAtLoad() throws {
        let (directory, path) = try file("user bob on nopass ~* +@all\n")
        let server = try ServerRun("--aclfile", path)
        #expect(server.becomesReady())
        try write("user carl on nopass\nuser dave +nosuch\n", path)
        let answer = try #require(server.answer("ACL LOAD\r\nACL USERS\r\n"))
        #expect(answer.hasPrefix("-ERR \(path):2: Error in applying operation '+nosuch'"))
        #expect(answer.hasSuffix("*2\r\n$3\r\nbob\r\n$7\r\ndefault\r\n"))
        _ = directory
    }

    @Test func loadingEndsTheConnectionsOfUsersThatAreGone() throws {
        let (directory, path) = try file("user bob on nopass ~* +@all\nuser carl on nopass ~* +@all\n")
        let server = try ServerRun("--aclfile", path)
        #expect(server.becomesReady())
        let bob = try TestClient(port: UInt16(server.port)), carl = try TestClient(port: UInt16(server.port))
        #expect(try bob.ask("AUTH", "bob", "", reply: "+OK\r\n"))
        #expect(try carl.ask("AUTH", "carl", "", reply: "+OK\r\n"))
        try write("user carl on nopass ~a +@all\n", path)
        #expect(server.answer("ACL LOAD\r\n") == "+OK\r\n")
        #expect(try bob.textUntilEnd() == "")
        #expect(try carl.ask("GET", "b", reply: "-NOPERM No permissions to access a key\r\n"))
        _ = directory
    }

    @Test func aFileThatCanNotBeWrittenIsToldAndTheOldOneStays() throws {
        let (directory, path) = try file("user bob on nopass\n")
        let server = try ServerRun("--aclfile", path)
        #expect(server.becomesReady())
        // The temporary file's name is taken by a directory.
        try FileManager.default.createDirectory(atPath: path + ".tmp", withIntermediateDirectories: false)
        #expect(server.answer("ACL SAVE\r\n")?.hasPrefix("-ERR There was an error trying to save the ACLs") == true)
        #expect(server.log.contains("Saving ACL file"))
        #expect(try text(path) == "user bob on nopass\n")
        _ = directory
    }

    @Test func linesOfTheConfigurationAreReadAndRewritten() throws {
        let (directory, path) =
            try file("save \"\"\nrequirepass root\nuser bob on >x ~b +get '(~\"q\\'\"' +set)\n", "redis.conf")
        let server = try ServerRun(file: path)
        #expect(server.becomesReady())
        #expect(server.answer("AUTH bob x\r\nACL WHOAMI\r\nGET c\r\n")
            == "+OK\r\n-NOPERM User bob has no permissions to run the 'acl|whoami' command\r\n"
            + "-NOPERM No permissions to access a key\r\n")
        let before = server.answer("AUTH root\r\nACL LIST\r\nCONFIG REWRITE\r\n")
        #expect(before?.hasPrefix("+OK\r\n*2\r\n") == true)
        let rewritten = try text(path)
        #expect(rewritten.contains("\nuser bob on sanitize-payload #2d71"))
        let again = try ServerRun(file: path)
        #expect(again.becomesReady())
        #expect(again.answer("AUTH root\r\nACL LIST\r\nCONFIG REWRITE\r\n") == before)
        // Port and directory are the second server's own.
        func users(_ text: String) -> [Substring] { text.split(separator: "\n").filter { $0.hasPrefix("user ") } }
        #expect(try users(text(path)) == users(rewritten))
        _ = directory
    }

    @Test(arguments: [
        ("user bob +nosuch", "Error in user declaration '+nosuch': Unknown command or category name in ACL"),
        ("user bob on\nuser bob off", "Error in user declaration 'bob': Duplicate user found"),
        ("user bob (+get", "Error in user declaration '(+get': Syntax error"),
        ("user \"b b\" on", "Error in user declaration 'b b': Syntax error"),
    ])
    func aWrongLineOfTheConfigurationStopsTheStart(lines: String, reason: String) throws {
        let (directory, path) = try file(lines + "\n", "redis.conf")
        let (status, _, error) = try ServerRun.run(path)
        #expect(status == 1)
        #expect(error.contains("Reading the configuration file, at line") && error.contains(reason), "\(error)")
        _ = directory
    }

    @Test func thePasswordOfTheDefaultUserIsRequirepass() throws {
        let server = try ServerRun("--save", "", "--requirepass", "one")
        #expect(server.becomesReady())
        #expect(server.answer("PING\r\nAUTH two\r\nAUTH one\r\nCONFIG SET requirepass two\r\nPING\r\n")
            == "-NOAUTH Authentication required.\r\n-WRONGPASS invalid username-password pair or user is disabled.\r\n"
            + "+OK\r\n+OK\r\n+PONG\r\n")
        #expect(server.answer("AUTH one\r\nAUTH two\r\nCONFIG SET requirepass \"\"\r\n")
            == "-WRONGPASS invalid username-password pair or user is disabled.\r\n+OK\r\n+OK\r\n")
        #expect(server.answer("PING\r\n") == "+PONG\r\n")
    }
}
