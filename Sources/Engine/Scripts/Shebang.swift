import Commands
import Primitives
import RESP
import Scripting

/// The first line of a script or library, `#!lua …`: what it says of the rest.
enum Shebang {
    private static func begins(_ source: Bytes) -> Bool {
        source.count >= 2 && source[0] == UInt8(ascii: "#") && source[1] == UInt8(ascii: "!")
    }

    /// The flags of a script's line `#!lua flags=…`, and the source behind it (its end of line is kept: it counts).
    static func ofScript(_ source: Bytes) throws(CommandError) -> (ScriptFlags, Bytes) {
        guard begins(source) else { return ([], source) }
        guard let end = source.firstIndex(of: UInt8(ascii: "\n")) else { throw .text("ERR Invalid script shebang") }
        let line = String(decoding: source[..<end], as: UTF8.self)
        let words = line.split(whereSeparator: { $0 == " " || $0 == "\r" || $0 == "\t" })
        guard let engine = words.first, engine == "#!lua" else {
            throw .message("ERR Unexpected engine in script shebang: \(words.first ?? "")")
        }
        var flags: ScriptFlags = .declared
        for word in words.dropFirst() {
            guard word.hasPrefix("flags=") else { throw .message("ERR Unknown lua shebang option: \(word)") }
            let list = word.dropFirst(6)
            for name in list.isEmpty ? [] : list.split(separator: ",", omittingEmptySubsequences: false) {
                guard let flag = ScriptFlags.names.first(where: { "\($0.1)" == name })?.0 else {
                    throw .message("ERR Unexpected flag in script shebang: \(name)")
                }
                flags.insert(flag)
            }
        }
        return (flags, source.from(end))
    }

    /// The name in a library's line `#!lua name=…`, and the source behind it, with the end of line.
    static func ofLibrary(_ source: Bytes) throws(CommandError) -> (name: String, body: Bytes) {
        guard begins(source) else { throw .text("ERR Missing library metadata") }
        guard let end = source.firstIndex(of: UInt8(ascii: "\n")),
              let words = SplitArguments.split(Bytes(rebasing: source[..<end]))?.strings(), let engine = words.first
        else { throw .text("ERR Invalid library metadata") }
        var name: String?
        for word in words.dropFirst() {
            guard word.utf8.count >= 5, word.prefix(5).lowercased() == "name=" else {
                throw .message("ERR Invalid metadata value given: \(word)")
            }
            if name != nil { throw .text("ERR Invalid metadata value, name argument was given multiple times") }
            name = String(word.dropFirst(5))
        }
        guard let name else { throw .text("ERR Library name was not given") }
        guard isName(name.utf8) else { throw .text(nameRule) }
        guard engine.lowercased() == "#!lua" else { throw .message("ERR Engine '\(engine.dropFirst(2))' not found") }
        return (name, source.from(end))
    }

    static let nameRule: StaticString = """
        ERR Library names can only contain letters, numbers, or underscores(_) and must be at least one character long
        """

    static func isName(_ name: some Collection<UInt8>) -> Bool {
        !name.isEmpty && name.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                 UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
                true
            case _: false
            }
        }
    }
}
