// A check's report as JSON.

extension AOFCheckReport {
    /// One object.
    package var json: String {
        var fields = [JSONText.field("file", path), JSONText.field("ok", status == 0),
                      JSONText.field("status", Int(status)), JSONText.field("multi_part", isMultiPart)]
        fields.append(JSONText.field("files", json: JSONText.array(files.map(\.json))))
        if let error { fields.append(JSONText.field(error)) }
        if manifestIsMended { fields.append(JSONText.field("manifest_mended", status == 0)) }
        if let shortfall { fields.append(JSONText.field("shortfall", shortfall)) }
        if let replacement { fields.append(JSONText.field("replacement", replacement)) }
        if let manifestError {
            fields.append(JSONText.field("manifest_error", json: JSONText.object([
                JSONText.field("line", manifestError.line), JSONText.field("text", manifestError.text),
                JSONText.field("reason", manifestError.reason),
            ])))
        }
        if let complaint { fields.append(JSONText.field("complaint", complaint)) }
        return JSONText.object(fields)
    }
}

extension AOFCheckReport.FileReport {
    var json: String {
        var fields = [JSONText.field("path", path), JSONText.field("name", name), JSONText.field("role", role.rawValue),
                      JSONText.field("bytes", size), JSONText.field("ok", isGood), JSONText.field("records", records),
                      JSONText.field("transactions", units), JSONText.field("annotations", annotations)]
        if let firstTimestamp { fields.append(JSONText.field("first_timestamp", Int(firstTimestamp))) }
        if let lastTimestamp { fields.append(JSONText.field("last_timestamp", Int(lastTimestamp))) }
        if let seals { fields.append(JSONText.field("seals", json: seals.json)) }
        if blocks > 0 { fields.append(JSONText.field("blocks", blocks)) }
        if let lost { fields.append(JSONText.field("lost", json: lost.json)) }
        if let objection { fields.append(JSONText.field("objection", objection)) }
        if isReplaced { fields.append(JSONText.field("replaced", true)) }
        if let rdb { fields.append(JSONText.field("rdb", json: rdb.json)) }
        if let end {
            fields.append(JSONText.field("end", end.kind.rawValue))
            fields.append(JSONText.field("whole_up_to", end.keep))
            if end.kind != .whole {
                fields.append(JSONText.field("damage_offset", end.offset))
                fields.append(JSONText.field("damage", end.reason))
            }
            if end.filler > 0 { fields.append(JSONText.field("preallocated_bytes", end.filler)) }
            if end.zeros > 0 { fields.append(JSONText.field("zero_bytes", end.zeros)) }
        }
        if let cut {
            var parts = [JSONText.field("offset", cut.offset), JSONText.field("bytes", cut.bytes),
                         JSONText.field("done", cut.isDone)]
            if let keptAt = cut.keptAt { parts.append(JSONText.field("kept_at", keptAt)) }
            fields.append(JSONText.field("cut", json: JSONText.object(parts)))
        }
        return JSONText.object(fields)
    }
}

extension AOFCheckReport.FileReport.Seals {
    var json: String {
        var fields = [JSONText.field("batches", batches), JSONText.field("first_sequence", firstSequence),
                      JSONText.field("last_sequence", lastSequence)]
        if let firstTime { fields.append(JSONText.field("first_time_ms", Int(firstTime.rawValue))) }
        if let lastTime { fields.append(JSONText.field("last_time_ms", Int(lastTime.rawValue))) }
        if let foreignStart { fields.append(JSONText.field("unsealed_from", foreignStart)) }
        return JSONText.object(fields)
    }
}

extension AOFCheckReport.FileReport.Lost {
    var json: String {
        var fields = [JSONText.field("offset", offset), JSONText.field("bytes", bytes),
                      JSONText.field("first_sequence", firstSequence), JSONText.field("last_sequence", lastSequence)]
        if let after { fields.append(JSONText.field("after_ms", Int(after.rawValue))) }
        if let block { fields.append(JSONText.field("block", block)) }
        if let before { fields.append(JSONText.field("before_ms", Int(before.rawValue))) }
        fields.append(JSONText.field("keys", json: JSONText.array(keys.map { JSONText.quoted($0) })))
        return JSONText.object(fields)
    }
}

extension AOFRestore.Result {
    /// One object: what was made, and the check of it.
    package func json(_ check: AOFCheckReport) -> String {
        var fields = [JSONText.field("output", output), JSONText.field("manifest", manifest),
                      JSONText.field("ok", check.status == 0), JSONText.field("status", Int(check.status)),
                      JSONText.field("last_sequence", lastSequence)]
        if let lastTime { fields.append(JSONText.field("last_time_ms", Int(lastTime.rawValue))) }
        fields.append(JSONText.field("files", json: JSONText.array(files.map { JSONText.quoted($0) })))
        fields.append(JSONText.field("check", json: check.json))
        return JSONText.object(fields)
    }
}
