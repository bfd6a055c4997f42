import Primitives

// The arguments of a command, for COMMAND DOCS and the hints of command lines. Notation of a declaration:
//
//     schema    ARGUMENT ARGUMENT …
//     ARGUMENT  name:type[#keyspec][@TOKEN][?][*][+][~since][!deprecated][(schema)]
//
//     @""  an empty token    ?  optional    *  may be repeated    +  the token is repeated too

package struct ArgumentSchema: Sendable {
    package var name = ""
    package var type = ""
    package var keySpec: Int?
    package var token: String?
    package var isOptional = false
    package var isMultiple = false
    package var repeatsToken = false
    package var since: String?
    package var deprecatedSince: String?
    package var arguments: [ArgumentSchema] = []

    /// nil: the text does not keep to the notation.
    package static func parse(_ text: StaticString) -> [ArgumentSchema]? {
        var reader = SchemaReader(Array("\(text)".utf8))
        let all = reader.schema()
        return reader.isAtEnd ? all : nil
    }
}

private struct SchemaReader {
    private let text: [UInt8]
    private var place = 0

    init(_ text: [UInt8]) { self.text = text }

    var isAtEnd: Bool { place == text.count }
    private var next: UInt8? { place < text.count ? text[place] : nil }

    /// The most that a declaration nests is three.
    mutating func schema(depth: Int = 0) -> [ArgumentSchema] {
        var all: [ArgumentSchema] = []
        while let byte = next, byte != UInt8(ascii: ")"), depth < 8 {
            if byte == UInt8(ascii: " ") { place += 1; continue }
            let before = place
            all.append(argument(depth))
            if place == before { break }
        }
        return all
    }

    private mutating func take(_ mark: Character) -> Bool {
        guard let byte = next, byte == mark.asciiValue else { return false }
        place += 1
        return true
    }

    /// Everything up to a byte that has a meaning of its own.
    private mutating func word(_ stops: String) -> String {
        let stops = Array(stops.utf8)
        let start = place
        while let byte = next, !stops.contains(byte) { place += 1 }
        return String(decoding: text[start..<place], as: UTF8.self)
    }

    /// A token may be one of the marks itself: `~` and `*` of streams.
    private mutating func token() -> String {
        if let mark = next, "?*+~!".utf8.contains(mark) {
            place += 1
            return String(decoding: [mark], as: UTF8.self)
        }
        let text = word("?*+~!( )")
        return text == "\"\"" ? "" : text
    }

    private mutating func argument(_ depth: Int) -> ArgumentSchema {
        var argument = ArgumentSchema()
        let marks = "#@?*+~!() "
        argument.name = word(":() ")
        if take(":") { argument.type = word(marks) }
        if take("#") { argument.keySpec = Int(word(marks)) }
        if take("@") {
            argument.token = token()
        }
        argument.isOptional = take("?")
        argument.isMultiple = take("*")
        argument.repeatsToken = take("+")
        if take("~") { argument.since = word("!() ") }
        if take("!") { argument.deprecatedSince = word("() ") }
        if take("(") {
            argument.arguments = schema(depth: depth + 1)
            if !take(")") { place = text.count + 1 }
        }
        return argument
    }
}
