/// Reports of `--convert` and `--salvage` as lines and as JSON.
extension DumpCopyReport {
    package var isWhole: Bool { lossCount == 0 && gapCount == 0 }

    package var lines: [String] {
        var lines = losses.map { $0.line }
        if losses.count < lossCount { lines.append("… and \(lossCount - losses.count) more") }
        for gap in gaps {
            let end = gap.end.map { "reading went on at \($0)" } ?? "nothing behind it could be read"
            lines.append("[offset \(gap.start)] damage: \(gap.reason); \(end)")
        }
        if gaps.count < gapCount { lines.append("… and \(gapCount - gaps.count) more") }
        lines.append("[info] \(keysWritten) keys and \(functions) functions written to \(output) "
                     + "(version \(version), from a dump of \(dialect.rawValue))")
        if keysPassedOver > 0 { lines.append("[info] \(keysPassedOver) keys were not selected") }
        if gapCount > 0 {
            lines.append("[info] the file's checksum does not hold: bytes of keys that were read may have changed, too")
        }
        if !isWhole { lines.append("[info] \(lossCount) things, \(bytesLost) bytes, are not in it") }
        return lines
    }

    package var json: String {
        let lost = losses.map { $0.json }
        let holes = gaps.map { gap in
            var fields = [JSONText.field("start", gap.start), JSONText.field("reason", gap.reason)]
            if let end = gap.end { fields.insert(JSONText.field("end", end), at: 1) }
            return JSONText.object(fields)
        }
        return JSONText.object([
            JSONText.field("file", path), JSONText.field("output", output), JSONText.field("ok", isWhole),
            JSONText.field("version", version), JSONText.field("dialect", dialect.rawValue),
            JSONText.field("keys", keysWritten), JSONText.field("functions", functions),
            JSONText.field("not_selected", keysPassedOver), JSONText.field("lost_count", lossCount),
            JSONText.field("lost_bytes", bytesLost), JSONText.field("lost", json: JSONText.array(lost)),
            JSONText.field("gaps", json: JSONText.array(holes)),
        ])
    }
}

extension RDBLoss {
    package var json: String {
        var fields = [JSONText.field("db", database), JSONText.field("offset", offset), JSONText.field("bytes", bytes),
                      JSONText.field("reason", reason)]
        if isPart { fields.append(JSONText.field("part", true)) }
        if let key { fields.insert(JSONText.field("key", key), at: 0) }
        return JSONText.object(fields)
    }
}
