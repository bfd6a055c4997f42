import Primitives

// A check's report as text: in redis-check-rdb's words, line by line, and as JSON.

extension RDBCheckReport.Finding {
    /// The line that redis-check-rdb prints; nil for what it is silent about.
    package var line: String? {
        switch self {
        case .aux(let name, let value, let offset): "[offset \(offset)] AUX FIELD \(name) = '\(value)'"
        case .moduleAux(let name, let offset): "[offset \(offset)] MODULE AUX for: \(name)"
        case .database(let index, let offset): "[offset \(offset)] Selecting DB ID \(index)"
        case .checksum(.matches, let offset): "[offset \(offset)] Checksum OK"
        case .checksum(.disabled, let offset):
            "[offset \(offset)] RDB file was saved with checksum disabled: no check performed."
        case .checksum(.absent, _): nil
        }
    }
}

extension RDBCheckReport {
    package var isGood: Bool { damage == nil }

    /// The lines behind those of the findings.
    package var closingLines: [String] {
        var lines: [String] = []
        if let damage {
            lines.append("--- RDB ERROR DETECTED ---")
            let text = damage.error.isTruncated ? "Unexpected EOF reading RDB file" : damage.error.cause
            lines.append("[offset \(damage.error.offset ?? size)] \(text)")
            lines.append("[additional info] While doing: \(damage.stage.rawValue)")
            if let key = damage.key { lines.append("[additional info] Reading key '\(key)'") }
            if let type = damage.type {
                lines.append("[additional info] Reading type \(type.number) (\(type.name))")
            }
        } else {
            lines.append("[offset \(size)] \\o/ RDB looks OK! \\o/")
        }
        lines.append("[info] \(keys) keys read")
        lines.append("[info] \(expires) expires")
        lines.append("[info] \(alreadyExpired) already expired")
        lines += losses.map { $0.line }
        if losses.count < lossCount { lines.append("… and \(lossCount - losses.count) more") }
        return lines
    }

    /// One JSON object.
    package var json: String {
        var fields = ["\"file\":\(JSONText.quoted(path))", "\"ok\":\(isGood)"]
        if let version { fields.append("\"version\":\(version)") }
        fields.append(JSONText.field("dialect", dialect.rawValue))
        fields.append("\"bytes\":\(size),\"keys\":\(keys),\"expires\":\(expires),\"already_expired\":\(alreadyExpired)")
        fields.append("\"functions\":\(functions)")
        let counts = types.sorted { $0.key.rawValue < $1.key.rawValue }
            .map { "\(JSONText.quoted("\($0.key.name)")):\($0.value)" }
        fields.append("\"types\":{\(counts.joined(separator: ","))}")
        var auxFields: [String] = [], checksum = "absent"
        for finding in findings {
            switch finding {
            case .aux(let name, let value, let offset):
                auxFields.append("{\"name\":\(JSONText.quoted(name)),\"value\":\(JSONText.quoted(value)),"
                    + "\"offset\":\(offset)}")
            case .checksum(let outcome, _): checksum = "\(outcome)"
            case .moduleAux, .database: break
            }
        }
        fields.append("\"aux\":[\(auxFields.joined(separator: ","))],\"checksum\":\"\(checksum)\"")
        fields.append(JSONText.field("unsupported", json: JSONText.array(losses.map { $0.json })))
        fields.append(JSONText.field("unsupported_count", lossCount))
        if let statistics { fields.append(JSONText.field("statistics", json: statistics.json)) }
        if let damage {
            let kind = damage.error.isTruncated ? "truncated" : damage.error.isCorrupt ? "corrupt" : "other"
            var parts = ["\"offset\":\(damage.error.offset ?? size)", "\"kind\":\"\(kind)\"",
                         "\"reason\":\(JSONText.quoted(damage.error.cause))", "\"doing\":\"\(damage.stage.rawValue)\""]
            if let key = damage.key { parts.append("\"key\":\(JSONText.quoted(key))") }
            if let type = damage.type { parts.append("\"type\":\(type.number)") }
            fields.append("\"error\":{\(parts.joined(separator: ","))}")
        }
        return "{\(fields.joined(separator: ","))}"
    }
}

extension RDBCheck {
    /// The report on a file that can't even be opened or decompressed.
    package static func json(_ path: String, _ error: StorageError) -> String {
        JSONText.object([JSONText.field("file", path), JSONText.field("ok", false), JSONText.field(error)])
    }
}
