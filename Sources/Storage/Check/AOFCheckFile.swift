import Primitives

// One file of a check: reading it, judging its end, cutting it.

extension AOFCheck {
    mutating func checkFile(_ path: String, _ name: String, _ role: AOFCheckReport.Role, isLast: Bool,
                            _ entry: AOFManifest.Entry?) throws(Failed) {
        let place = report.files.count
        positions.append(chain.position)
        report.files.append(.init(path: path, name: name, role: role))
        let stop = try attempt { check throws(StorageError) in try check.read(path, place, entry) }
        let file = report.files[place]
        if let objection = file.objection {
            throw fail("\(name): \(objection), somewhere from offset 0 to \(file.size)")
        }
        if file.isEmpty && file.end == nil {
            tell("\(role.label) \(name) is empty")
            return
        }
        if file.rdb?.isGood == false { throw fail("RDB preamble of AOF file is not sane, aborting.") }
        if let stop { return try cutAtTimestamp(place, stop, isLast: isLast) }
        guard let end = file.end else { throw fail("\(role.label) \(name) was not read to its end") }
        if end.kind == .whole, let timestamp = options.timestamp {
            tell("Truncate nothing in AOF \(name) to timestamp \(timestamp)")
        } else {
            tellEnd(file, end)
        }
        if end.kind == .whole {
            tellSeals(file)
            try objectToRecords(file)
            tell("\(role.label) \(name) is valid")
            return
        }
        if report.manifestIsMended {
            throw fail("The manifest is damaged as well, and may be all that is wrong: nothing was changed. Write the "
                       + "manifest by hand (docs/FORMATS.md), without the keys behind type, and check again.")
        }
        if end == .missingPreamble || end == .misplacedPreamble {
            throw fail("\(name) at byte 0: \(end.reason). It may have changed places with another file: nothing was "
                       + "changed")
        }
        try attempt { check throws(StorageError) in try check.noteLoss(place, end) }
        if try replaceIfNeeded(place, end, isLast: isLast) { return }
        try fix(place, end, isLast: isLast)
        try objectToRecords(file)
    }

    /// A well-formed record that no server takes isn't cut off: it may be of a module, or of a later version.
    private mutating func objectToRecords(_ file: AOFCheckReport.FileReport) throws(Failed) {
        guard let strange = file.strange, strange.offset < file.end?.keep ?? file.size else { return }
        throw fail("\(file.name) at byte \(strange.offset): \(strange.reason). swift-redis-server refuses this log; a "
                   + "server that knows the command may load it. Otherwise write the record anew by hand.")
    }

    // MARK: Reading

    /// Fills the report. Answers where an annotation later than the wanted time stands, if one does.
    private mutating func read(_ path: String, _ place: Int,
                               _ entry: AOFManifest.Entry?) throws(StorageError) -> Int? {
        let handle = try fileSystem.open(path, .read)
        defer { fileSystem.close(handle) }
        report.files[place].size = try fileSystem.size(handle)
        let needsPreamble = entry?.kind == .base && AOFEnd.needsPreamble(path)
        if needsPreamble, !(try isRDB(path)) {
            report.files[place].end = .missingPreamble
            return nil
        }
        if report.files[place].isEmpty {
            if let entry { chain.read(entry, bytes: 0, SealState(SealExpectation())) }
            return nil
        }
        let source = try AOFSource(handle, in: fileSystem)
        if entry?.whole != nil { source.computeChecksum() }
        var reader = AOFReader(source, seals: entry.map { chain.expectation(for: $0) } ?? SealExpectation())
        defer { note(reader, place, entry) }
        var nextProgress = 1 << 22
        while true {
            switch try reader.next() {
            case .record:
                if report.files[place].strange == nil, let reason = options.objection?(reader.arguments) {
                    report.files[place].strange = (reader.offset, reason)
                }
                if reader.consumed >= nextProgress {
                    nextProgress = reader.consumed + 1 << 22
                    tellProgress(reader.consumed)
                }
            case .annotation:
                // A seal knows the time, whether there are annotations or not.
                if let wanted = options.timestamp, let batch = reader.seals.last, !batch.isMark,
                   reader.offset == reader.seals.batchStart, batch.time.seconds > wanted {
                    return reader.offset
                }
                guard let timestamp = reader.timestamp else {
                    if options.timestamp != nil, reader.annotation.starts(with: "#TS:".utf8) {
                        throw StorageError(.load, path, at: reader.offset, .corrupt("Invalid timestamp annotation"))
                    }
                    break
                }
                if report.files[place].firstTimestamp == nil { report.files[place].firstTimestamp = timestamp }
                report.files[place].lastTimestamp = timestamp
                if let wanted = options.timestamp, timestamp > wanted {
                    // Within a unit: the unit is not whole before that time.
                    if reader.seals.mode == .sealed { return reader.seals.batchStart }
                    return reader.isInUnit ? reader.wholeEnd : reader.offset
                }
            case .preamble:
                if report.files[place].role == .increment {
                    report.files[place].end = .misplacedPreamble
                    return nil
                }
                let rdb = checkPreamble(reader.beginPreamble(), report.files[place].name)
                report.files[place].rdb = rdb
                if !rdb.isGood { return nil }
                reader.endPreamble(rdb.size)
            case .end:
                report.files[place].end = reader.end
                return nil
            }
        }
    }

    private mutating func note(_ reader: borrowing AOFReader, _ place: Int, _ entry: AOFManifest.Entry?) {
        report.files[place].seals = .init(reader.seals)
        report.files[place].blocks = reader.blocks.count
        if let entry {
            let kept = reader.end?.keep ?? report.files[place].size
            chain.read(entry, bytes: kept, reader.seals)
            if reader.end?.kind == .whole {
                report.files[place].objection = SealChain.objection(to: entry, checksum: reader.source.checksum)
            }
        }
        tellProgress(report.files[place].size, ended: true)
        report.files[place].records = reader.recordCount
        report.files[place].units = reader.unitCount
        report.files[place].annotations = reader.annotationCount
        // Of a compressed file what it holds counts.
        if reader.source.size == nil { report.files[place].size = max(reader.consumed, reader.source.offset) }
        line += reader.lineCount
    }

    private func checkPreamble(_ input: consuming RDBInput, _ name: String) -> RDBCheckReport {
        tell("[offset 0] Checking RDB file \(name)")
        let tell = dialogue.tell
        let rdb = RDBCheck.run(input, now: options.now) { finding in
            if let line = finding.line { tell(line) }
        }
        rdb.closingLines.forEach(tell)
        if rdb.isGood { tell("RDB preamble is OK, proceeding with AOF tail...") }
        return rdb
    }

    private func tellEnd(_ file: AOFCheckReport.FileReport, _ end: AOFEnd) {
        if end.kind != .whole {
            if end.zeros > 0 || end.reason.hasPrefix("format error") { tell("AOF \(file.name) format error") }
            let digits = String(end.offset, radix: 16)
            tell("0x\(String(repeating: " ", count: max(0, 16 - digits.count)))\(digits): \(end.reason)")
        }
        let good = end.keep + end.filler
        tell("AOF analyzed: filename=\(file.name), size=\(file.size), ok_up_to=\(good), ok_up_to_line=\(line), "
            + "diff=\(file.size - good)")
        if end.filler > 0 {
            tell("The log ends at offset \(end.keep); the \(end.filler) bytes behind it were allocated ahead of its "
                + "end and hold nothing")
        }
    }

    // MARK: Cutting

    private mutating func fix(_ place: Int, _ end: AOFEnd, isLast: Bool) throws(Failed) {
        let file = report.files[place]
        if !options.fixes && !options.salvages {
            throw fail("AOF \(file.name) is not valid. Use the --fix option to try fixing it.")
        }
        if !isLast { throw fail("Failed to truncate AOF \(file.name) because it is not the last file") }
        let excess = file.size - end.keep
        report.files[place].cut = .init(offset: end.keep, bytes: excess)
        tell("This will shrink the AOF \(file.name) from \(file.size) bytes, with \(excess) bytes, "
            + "to \(end.keep) bytes")
        if options.isDryRun { throw fail("Dry run: AOF \(file.name) was not changed.") }
        if !dialogue.ask("Continue? [y/N]: ") { throw fail("Aborting...") }
        try cut(place)
        tell("Successfully truncated \(file.role.label) \(file.name)")
    }

    private mutating func cutAtTimestamp(_ place: Int, _ offset: Int, isLast: Bool) throws(Failed) {
        let file = report.files[place]
        let timestamp = options.timestamp ?? 0
        if offset == 0 {
            throw fail("AOF \(file.name) has nothing before timestamp \(timestamp), aborting...")
        }
        if !isLast {
            tell("Failed to truncate AOF \(file.path) to timestamp \(timestamp) to offset \(offset) "
                + "because it is not the last file.")
            throw fail("If you insist, please delete all files after this file according to the manifest file and "
                + "delete the corresponding records in manifest file manually. Then re-run redis-check-aof.")
        }
        report.files[place].cut = .init(offset: offset, bytes: file.size - offset)
        report.files[place].end = .whole(offset)
        if options.isDryRun {
            tell("Dry run: AOF \(file.name) would be truncated to timestamp \(timestamp) at byte \(offset), "
                + "by \(file.size - offset) bytes.")
            return
        }
        try cut(place)
        tell("Successfully truncated \(file.role.label) \(file.name) to timestamp \(timestamp)")
    }

    private mutating func cut(_ place: Int) throws(Failed) {
        let file = report.files[place]
        guard let cut = file.cut else { return }
        let isPlain = try attempt { check throws(StorageError) in try check.fileSystem.status(file.path)?.size }
        if isPlain != file.size { throw fail("Failed to truncate AOF \(file.name): a compressed file is only read") }
        let now = options.now
        let kept = try attempt { check throws(StorageError) in
            try AOFCut.cut(file.path, at: cut.offset, in: check.fileSystem, now: now)
        }
        report.files[place].cut?.isDone = true
        report.files[place].cut?.keptAt = kept.path
        tell("The \(kept.bytes) bytes cut off are kept in \(kept.path)")
    }
}

extension AOFCheckReport.Role {
    /// As in redis-check-aof's lines.
    var label: StaticString {
        switch self {
        case .single: "AOF"
        case .base: "BASE AOF"
        case .increment: "INCR AOF"
        }
    }
}
