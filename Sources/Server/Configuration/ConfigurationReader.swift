import Primitives
import Storage
#if canImport(Glibc)
import Glibc
#endif

// Reads the text of a configuration file into a Configuration.
//
//     # comment
//     directive word "quoted \x41\n" 'quoted'
//     include /etc/redis/conf.d/*.conf
//
// A later line overrides an earlier one; only `save`, `user`, `loadmodule`, `rename-command` and `include` add up.

/// Why the server does not start.
package enum ConfigurationFileError: Error, Equatable {
    /// A line that can't be understood; numbers start at 1.
    case line(Int, text: String, reason: String)
    case unreadable(path: String, errno: Int32)

    /// As printed to standard error.
    package var report: String {
        switch self {
        case .line(let number, let text, let reason):
            """

            *** FATAL CONFIG FILE ERROR (Redis \(ServerVersion.redis)) ***
            Reading the configuration file, at line \(number)
            >>> '\(text)'
            \(reason)

            """
        case .unreadable(let path, let code):
            "Fatal error, can't open config file '\(path)': \(String(cString: strerror(code)))\n"
        }
    }
}

package struct ConfigurationReader {
    let configuration: Configuration
    /// Names of commands, to check `rename-command`; nil: any.
    var isCommand: ((String) -> Bool)?
    /// What is wrong with the words behind `user`; nil: nothing.
    var refusalOfUser: (([[UInt8]]) -> String?)?

    package init(_ configuration: Configuration, isCommand: ((String) -> Bool)? = nil,
                 refusalOfUser: (([[UInt8]]) -> String?)? = nil) {
        self.configuration = configuration
        self.isCommand = isCommand
        self.refusalOfUser = refusalOfUser
    }

    /// Includes within includes.
    private static let deepestInclude = 32

    package func read(_ text: [UInt8]) throws(ConfigurationFileError) {
        configuration.isReadingFile = true
        configuration.hasReadSave = false
        defer { configuration.isReadingFile = false }
        try read(text, depth: 0)
    }

    private func read(_ text: [UInt8], depth: Int) throws(ConfigurationFileError) {
        var number = 0
        for raw in text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            number += 1
            let line = Self.trim(raw)
            guard let first = line.first, first != UInt8(ascii: "#") else { continue }
            let words: [String]
            do throws(ConfigurationError) {
                let raw = try Self.byteWords(line)
                if try applyUser(raw, depth) { continue }
                words = try Self.text(raw)
                if words.isEmpty { continue }
                if words[0].lowercased() != "include" {
                    try apply(words)
                    continue
                }
                if words.count != 2 { throw Self.badDirective }
                if depth == Self.deepestInclude { throw ConfigurationError("includes are nested too deeply") }
            } catch {
                throw .line(number, text: String(decoding: line, as: UTF8.self), reason: error.text)
            }
            for path in Self.matches(words[1]) { try read(Self.contents(path), depth: depth + 1) }
        }
    }

    private static let badDirective = ConfigurationError("Bad directive or wrong number of arguments")

    private static func trim(_ line: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        func isBlank(_ byte: UInt8) -> Bool { byte == 32 || byte == 9 || byte == 13 }
        var line = line.drop(while: isBlank)
        while let last = line.last, isBlank(last) { line.removeLast() }
        return line
    }

    /// `user NAME RULE ...`; false: the line is another one.
    private func applyUser(_ words: [[UInt8]], _ depth: Int) throws(ConfigurationError) -> Bool {
        let isUser = words.first?.withUnsafeBytes { $0.equalsIgnoringCase("user") } ?? false
        guard isUser, words.count > 1 else { return false }
        let user = Array(words.dropFirst())
        if configuration.users.contains(where: { $0[0] == user[0] }) {
            throw ConfigurationError(UserLineError(word: user[0], error: .duplicateUser).text)
        }
        if let refusal = refusalOfUser?(user) { throw ConfigurationError(refusal) }
        configuration.users.append(user)
        if depth > 0 { configuration.includesUsers = true }
        return true
    }

    /// The words of a line, quotes taken off.
    static func words(_ line: ArraySlice<UInt8>) throws(ConfigurationError) -> [String] {
        try text(byteWords(line))
    }

    private static func byteWords(_ line: ArraySlice<UInt8>) throws(ConfigurationError) -> [[UInt8]] {
        var words: [[UInt8]] = []
        let isBalanced = line.withUnsafeBytes { bytes in
            guard let list = SplitArguments.split(bytes) else { return false }
            for index in 0..<list.count { words.append(Array(list[index])) }
            return true
        }
        guard isBalanced else { throw ConfigurationError("Unbalanced quotes in configuration line") }
        return words
    }

    /// nil: it can't be understood.
    static func firstWord(_ line: ArraySlice<UInt8>) -> String? {
        (try? byteWords(line))?.first.flatMap { String(validating: $0, as: UTF8.self) }
    }

    private static func text(_ words: [[UInt8]]) throws(ConfigurationError) -> [String] {
        let text = words.compactMap { String(validating: $0, as: UTF8.self) }
        guard text.count == words.count else { throw ConfigurationError("a word is not UTF-8 text") }
        return text
    }

    /// One line.
    private func apply(_ words: [String]) throws(ConfigurationError) {
        let name = words[0].lowercased()
        let values = Array(words.dropFirst())
        if let directive = configuration.directive(name) {
            try directive.assign(configuration, Self.values(of: directive, values))
            return
        }
        switch (name, values.count) {
        case ("loadmodule", 1...): configuration.modules.append(values)
        case ("rename-command", 2): try rename(values[0], values[1])
        // Were settings once, and mean nothing any more.
        case ("list-max-ziplist-entries", 1), ("list-max-ziplist-value", 1), ("lua-replicate-commands", 1): break
        case ("sentinel", _): throw ConfigurationError("sentinel directive while not in sentinel mode")
        default: throw Self.badDirective
        }
    }

    /// A list of words may also stand in one pair of quotes.
    private static func values(of directive: Directive, _ values: [String]) throws(ConfigurationError) -> [String] {
        guard directive.flags.contains(.multipleArguments) else { return try [Directive.single(values)] }
        guard !values.isEmpty else { throw ConfigurationError("wrong number of arguments") }
        guard values.count == 1, values[0].contains(" ") else { return values }
        return try words(ArraySlice(Array(values[0].utf8)))
    }

    private func rename(_ old: String, _ new: String) throws(ConfigurationError) {
        if let isCommand {
            guard isCommand(old) else { throw ConfigurationError("No such command in rename-command") }
            if !new.isEmpty && isCommand(new) { throw ConfigurationError("Target command name already exists") }
        }
        configuration.renamedCommands.append((old: old, new: new))
    }

    // MARK: Files

    /// Paths that a pattern stands for, in order; a path without wildcards stands for itself.
    private static func matches(_ pattern: String) -> [String] {
        guard pattern.contains(where: { "*?[".contains($0) }) else { return [pattern] }
        var found = glob_t()
        defer { globfree(&found) }
        guard glob(pattern, 0, nil, &found) == 0 else { return [] }
        return (0..<Int(found.gl_pathc)).compactMap { found.gl_pathv[$0].map { String(cString: $0) } }
    }

    /// All of a file, which may also be a pipe.
    package static func contents(_ path: String) throws(ConfigurationFileError) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .unreadable(path: path, errno: errno) }
        defer { _ = close(descriptor) }
        return try contents(descriptor, path)
    }

    package static func contents(_ descriptor: Int32, _ path: String) throws(ConfigurationFileError) -> [UInt8] {
        var text: [UInt8] = []
        while true {
            var code: Int32 = 0
            let chunk = [UInt8](unsafeUninitializedCapacity: 1 << 14) { buffer, count in
                let got = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
                code = got < 0 ? errno : 0
                count = max(got, 0)
            }
            if code == EINTR { continue }
            if code != 0 { throw .unreadable(path: path, errno: code) }
            if chunk.isEmpty { return text }
            text += chunk
        }
    }
}
