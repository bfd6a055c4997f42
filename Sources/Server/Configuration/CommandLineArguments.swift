import Primitives

// The command line:
//
//     swift-redis-server [/path/redis.conf | -] [--directive word ...] [-]
//
// Directives become lines of configuration, read behind the file's: an argument that begins with `--` starts one, the
// words behind it are its values. As with redis-server:
//
// 1. `--name` takes the next argument as a value whatever it begins with; only then may the next directive begin.
// 2. An argument may hold name and values ("--port 7000"), also lines of more directives.
// 3. `--save` with nothing or another directive behind it means `save ""`.

package struct CommandLineArguments {
    package enum Request: Equatable { case serve, version, help, checkSystem, testMemory }

    package var request = Request.serve
    package var file: String?
    package var readsStandardInput = false
    /// Lines of configuration.
    package var options = ""

    /// - Parameter arguments: without the program's name.
    package init(_ arguments: [String]) {
        var rest = arguments[...]
        switch arguments.first {
        case "-v", "--version": request = .version
        case "-h", "--help": request = .help
        case "--check-system": request = .checkSystem
        case "--test-memory": request = .testMemory
        default: break
        }
        if request != .serve { return }
        if let first = rest.first, !first.hasPrefix("-") {
            file = first
            rest = rest.dropFirst()
        }
        readDirectives(rest, isFirst: arguments.startIndex)
    }

    private mutating func readDirectives(_ rest: ArraySlice<String>, isFirst first: Int) {
        var mayBeginDirective = true
        var index = rest.startIndex
        while index < rest.endIndex {
            let argument = rest[index]
            let isLast = index == rest.endIndex - 1
            if argument == "-" && (index == first || isLast) {
                readsStandardInput = true
            } else if mayBeginDirective && argument.hasPrefix("--") {
                options += (options.isEmpty ? "" : "\n") + argument.dropFirst(2) + " "
                mayBeginDirective = !Self.isOneWord(argument)
                let nextIsDirective = !isLast && rest[index + 1].hasPrefix("--")
                if argument.lowercased() == "--save" && (isLast || nextIsDirective) {
                    options += "\"\""
                    mayBeginDirective = true
                }
            } else {
                options += Directive.quoted(argument) + " "
                mayBeginDirective = true
            }
            index += 1
        }
    }

    private static func isOneWord(_ argument: String) -> Bool {
        guard let words = try? ConfigurationReader.words(ArraySlice(Array(argument.utf8))) else { return false }
        return words.count == 1
    }

    /// The whole text to read: the file, standard input, then the directives of the command line.
    package func text(readFile: (String) throws(ConfigurationFileError) -> [UInt8],
                      readStandardInput: () throws(ConfigurationFileError) -> [UInt8])
        throws(ConfigurationFileError) -> [UInt8] {
        var text: [UInt8] = []
        if let file { text += try readFile(file) }
        if readsStandardInput { text += try readStandardInput() }
        if !options.isEmpty { text += Array("\n\(options)".utf8) }
        return text
    }
}
