/// The name under which ps and top show the process.
enum ProcessTitle {
    static let variables = ["title", "listen-addr", "server-mode", "port", "tls-port", "unixsocket", "config-file"]

    /// Puts values into a template with `{variable}`s; nil: a brace is open or a variable unknown.
    static func expand(_ template: String, _ value: (String) -> String) -> String? {
        var result = ""
        var rest = template[...]
        while let open = rest.firstIndex(of: "{") {
            result += rest[..<open]
            guard let close = rest[open...].firstIndex(of: "}") else { return nil }
            let name = String(rest[rest.index(after: open)..<close])
            guard variables.contains(name) else { return nil }
            result += value(name)
            rest = rest[rest.index(after: close)...]
        }
        while let last = result.last, rest.isEmpty, last == " " { result.removeLast() }
        return result + rest
    }
}
