/// Pieces of JSON for the check tools' reports and the server's log.
package enum JSONText {
    package static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case "\u{0}"..."\u{1f}", "\u{7f}":
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }

    static func object(_ fields: [String]) -> String { "{\(fields.joined(separator: ","))}" }
    static func array(_ elements: [String]) -> String { "[\(elements.joined(separator: ","))]" }
    static func field(_ name: StaticString, _ text: String) -> String { "\"\(name)\":\(quoted(text))" }
    static func field(_ name: StaticString, _ value: Int) -> String { "\"\(name)\":\(value)" }
    static func field(_ name: StaticString, _ value: Bool) -> String { "\"\(name)\":\(value)" }
    static func field(_ name: StaticString, json: String) -> String { "\"\(name)\":\(json)" }

    /// `"error":{…}` of a file that can't be read or holds what it should not.
    static func field(_ error: StorageError) -> String {
        let kind = error.isTruncated ? "truncated" : error.isCorrupt ? "corrupt" : "other"
        var fields = [field("path", error.path), field("kind", kind), field("reason", error.cause)]
        if let offset = error.offset { fields.insert(field("offset", offset), at: 1) }
        if let remedy = error.remedy { fields.append(field("remedy", remedy)) }
        return field("error", json: object(fields))
    }
}
