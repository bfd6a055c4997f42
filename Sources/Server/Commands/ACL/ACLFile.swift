import Commands
import Engine
import Primitives
import Storage
#if canImport(Glibc)
import Glibc
#endif

// The ACL file (`aclfile`): a line for each user, as ACL LIST shows it; blank lines count for nothing.
//
//     user alice on sanitize-payload #2bd8… ~cache:* resetchannels -@all +get
//
// It is read at the start and by ACL LOAD, all of it or, with one wrong line, nothing; a start with a wrong file ends.
//
// ACL SAVE on the disk: the lines go to `<aclfile>.tmp` beside it, which has the old file's permissions (0600 without
// one) before it has contents, and is synced; then it is renamed over the file and the directory is synced. A power
// loss leaves the old file or the new one, whole, and at most a temporary file, which the next ACL SAVE overwrites.

struct ACLFile {
    /// Absolute: `dir` may change later.
    let path: String

    static let largest = 64 << 20

    // MARK: Reading

    /// - Returns: what is wrong, with file, line and reason; nil: the users of the file are the server's.
    func load(_ access: AccessControl, _ fileSystem: any FileSystem) -> String? {
        let text: [UInt8]
        do throws(StorageError) {
            let contents = try fileSystem.contents(path, limit: Self.largest)
            text = Array(contents.bytes)
        } catch {
            return "Error loading ACLs, opening file '\(path)': \(error.cause)"
        }
        let (users, errors) = parse(text, access.reader)
        if !errors.isEmpty {
            return errors + "WARNING: ACL errors detected, no change to the previously active ACL rules was performed"
        }
        access.replaceAll(users)
        return nil
    }

    func parse(_ text: [UInt8], _ reader: RuleReader) -> (users: [(name: [UInt8], rules: UserRules)], errors: String) {
        var users: [(name: [UInt8], rules: UserRules)] = []
        var errors = ""
        let lines = text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        for (index, raw) in lines.enumerated() {
            func complain(_ reason: String) { errors += "\(path):\(index + 1): \(reason). " }
            let words = Self.words(raw)
            if words.isEmpty { continue }
            guard words[0] == Array("user".utf8), words.count > 1 else {
                complain("line should start with user keyword followed by a username")
                continue
            }
            let name = words[1]
            if RuleReader.hasSpaces(name) {
                complain("username '\(Self.text(name))' contains invalid characters")
                continue
            }
            if users.contains(where: { $0.name == name }) {
                complain("Duplicate user '\(Self.text(name))' found")
                continue
            }
            let (rules, reasons) = Self.define(Array(words.dropFirst(2)), reader)
            for reason in reasons { complain(reason) }
            users.append((name, rules))
        }
        return (users, errors)
    }

    private static func words(_ line: ArraySlice<UInt8>) -> [[UInt8]] {
        line.split { $0 == 32 || $0 == 9 || $0 == 13 }.map(Array.init)
    }

    /// All that is wrong with a user's rules. A secret may stand where a rule is not understood: only names of commands
    /// that are unknown are shown.
    private static func define(_ words: [[UInt8]], _ reader: RuleReader) -> (UserRules, [String]) {
        var user = reader.nothing
        guard let rules = RuleReader.merged(words).rules else {
            return (user, ["Unmatched parenthesis in selector definition"])
        }
        var reasons: [String] = []
        for rule in rules {
            do throws(RuleError) {
                try reader.apply(rule, to: &user)
            } catch {
                let isCommand = error == .unknownCommand
                reasons.append((isCommand ? "Error in applying operation '\(text(rule))': " : "") + "\(error.text)")
            }
        }
        return (user, reasons)
    }

    private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    // MARK: Writing

    func save(_ access: AccessControl, _ fileSystem: any FileSystem) throws(StorageError) {
        var text = OwnedBytes(capacity: 4096)
        for user in access.usersInOrder {
            user.line.withUnsafeBytes { text.append($0) }
            text.append(UInt8(ascii: "\n"))
        }
        let target = Self.resolved(path), temporary = target + ".tmp"
        fileSystem.close(try fileSystem.open(temporary, .createOrEmpty))
        var status = stat()
        let mode = stat(target, &status) == 0 ? status.st_mode & 0o777 : 0o600
        _ = chmod(temporary, mode)
        try fileSystem.replace(target, with: text.bytes, through: temporary)
    }

    /// The file itself, when `path` is a link to it.
    private static func resolved(_ path: String) -> String {
        guard let resolved = realpath(path, nil) else { return path }
        defer { free(resolved) }
        return String(cString: resolved)
    }
}

/// ACL LOAD and ACL SAVE.
enum ACLFileCommands {
    static func load(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let file = try file(core)
        if let errors = file.load(core.engine.access, core.environment.fileSystem) { throw .message("ERR \(errors)") }
        core.usersChanged()
        call.reply.ok()
    }

    static func save(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let file = try file(core)
        do throws(StorageError) {
            try file.save(core.engine.access, core.environment.fileSystem)
        } catch {
            core.log.write(.warning, "Saving ACL file \(file.path): \(error)")
            throw .text("""
                ERR There was an error trying to save the ACLs. Please check the server logs for more information
                """)
        }
        call.reply.ok()
    }

    private static func file(_ core: ServerCore) throws(CommandError) -> ACLFile {
        if let file = core.aclFile { return file }
        throw .text("""
            ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL \
            SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in \
            order to store users in the Redis configuration.
            """)
    }
}
