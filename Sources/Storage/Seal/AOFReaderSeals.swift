import Primitives

// The reader between the batches of a sealed file.
//
// What is damaged is told from what is torn by what stands behind it
//     a whole batch, written when the damaged one was known to be on the disk      damage
//     a whole batch, and before it a hole (zeros up to a block's end)              torn: a power loss under `everysec`
//                                                                                  may lose blocks in any order
//     a whole batch, and no hole                                                   damage
//     text of records, behind a batch that was to be synced before any others      damage
//     nothing whole                                                                torn
//
// Under `always` all but the last batch was on the disk before the next was written, so only the last one can be torn.
// When that one has all its bytes and a wrong checksum, nobody can know whether it was torn, or durable and damaged
// later: it is taken for torn, kept beside the file, and told. A log at rest for a second ends in a mark, which settles
// it; so does one that was shut down.

extension AOFReader {
    /// Where a line of a seal should be. Nil: records follow.
    mutating func sealItem() throws(StorageError) -> AOFItem? {
        if isInUnit { return try corrupt("a batch that ends within a transaction") }
        _ = try fill(AOFLimits.annotationBytes)
        let lineEnd = window.annotationEnd
        if seals.mode == .start { return try firstItem(lineEnd) }
        if SealState.isForeign(window) {
            beginForeign()
            return nil
        }
        if let item = try fillerItem() { return item }
        guard let lineEnd, let line = SealLine(Bytes(rebasing: window[...lineEnd])) else {
            return try damaged(window.first == 0 ? "zeros" : "something", nil)
        }
        return try sealedBatch(line, lineEnd + 1)
    }

    private mutating func firstItem(_ lineEnd: Int?) throws(StorageError) -> AOFItem? {
        let expectsSeal = seals.expectation.id != nil
        guard window.starts(with: "#O:".utf8) || expectsSeal else {
            seals.mode = .unsealed
            _ = try fill(1)
            return nil
        }
        if SealState.isForeign(window) {
            beginForeign()
            return nil
        }
        guard let lineEnd, let opening = SealOpening(Bytes(rebasing: window[...lineEnd])) else {
            return try damaged("no opening line", nil)
        }
        if let objection = seals.objection(to: opening) { return try misplaced(objection, nil) }
        seals.open(opening)
        take(lineEnd + 1)
        limit = position
        annotationCount += 1
        wholeEnd = consumed
        return .annotation
    }

    /// Filler up to the file's end, or up to records of another server. Nil: neither stands here.
    private mutating func fillerItem() throws(StorageError) -> AOFItem? {
        guard window.count > 1, window[0] == UInt8(ascii: "#"), window[1] == UInt8(ascii: "#") || window[1] == 10,
              let size = source.size else { return nil }
        let start = consumed, count = try LogFiller.length(source, from: start)
        if start + count == size {
            end = .whole(start, filler: count)
            return .end
        }
        guard (start + count) % LogFiller.lineBytes == 0, try isForeign(at: start + count) else { return nil }
        // Passed over a window at a time.
        while consumed < start + count {
            guard try fill(1) else { break }
            take(min(window.count, start + count - consumed))
        }
        wholeEnd = consumed
        limit = position
        return .annotation
    }

    private func isForeign(at place: Int) throws(StorageError) -> Bool {
        let chunk = UnsafeMutableRawBufferPointer(start: Heap.allocate(64), count: 64)
        defer { if let base = chunk.baseAddress { Heap.free(base) } }
        let count = try source.read(at: place, into: chunk)
        return SealState.isForeign(Bytes(rebasing: chunk[..<count]))
    }

    private mutating func beginForeign() {
        if seals.mode == .start {
            seals.id = seals.expectation.id
            seals.sequence = seals.expectation.sequence ?? 0
        }
        seals.mode = .foreign
        seals.foreignStart = consumed
        limit = position + window.count
    }

    private mutating func sealedBatch(_ seal: SealLine, _ lineBytes: Int) throws(StorageError) -> AOFItem {
        let reference = seals.reference, supposed = seal.nearest(reference)
        if let size = source.size, seal.bytes > size - consumed - lineBytes {
            return try damaged("only \(size - consumed - lineBytes) of \(seal.bytes) bytes", supposed)
        }
        if try !fill(lineBytes + seal.bytes) { return try damaged("fewer than \(seal.bytes) bytes", supposed) }
        let head = seal.headChecksum(Bytes(rebasing: window[..<lineBytes]), seed: seals.seed)
        let content = CRC32C.update(head, Bytes(rebasing: window[lineBytes..<(lineBytes + seal.bytes)]))
        guard let batch = seal.verified(content, near: reference) else {
            return try damaged("a wrong checksum", supposed)
        }
        if let objection = seals.objection(to: batch) { return try misplaced(objection, batch) }
        seals.take(batch, at: consumed)
        take(lineBytes)
        limit = position + batch.bytes
        annotationCount += 1
        if batch.isMark { wholeEnd = consumed }
        return .annotation
    }

    // MARK: Damage

    /// What is there is good, but does not belong here.
    private mutating func misplaced(_ objection: String, _ batch: SealBatch?) throws(StorageError) -> AOFItem {
        var seal = SealDamage(sequence: nextSequence, timeBefore: seals.lastTime, line: batch)
        if seals.mode == .sealed {
            seal.behind = try SealScan.find(source, after: max(consumed - 1, 0), seed: seals.seed, seals.reference)
        }
        var reason = objection
        if let time = seals.last?.time { reason += "; before it ends batch \(seals.sequence), of \(time.text)" }
        finish(.corrupt, reason, seal)
        return .end
    }

    private var nextSequence: Int {
        (seals.mode == .start ? seals.expectation.sequence ?? 0 : seals.sequence) + 1
    }

    /// Whatever stands here is no whole batch.
    /// - Parameter found: what is there in its place.
    private mutating func damaged(_ found: String, _ line: SealBatch?) throws(StorageError) -> AOFItem {
        let start = consumed, id = seals.id ?? seals.expectation.id
        var seal = SealDamage(sequence: nextSequence, timeBefore: seals.lastTime, line: line)
        if let id { seal.behind = try SealScan.find(source, after: start, seed: SealBatch.seed(id), seals.reference) }
        let kind = try judge(start, seal)
        var reason = "batch \(seal.sequence)"
        if let line, line.sequence == seal.sequence { reason += " of \(line.time.text)" }
        reason += kind == .torn ? " is not whole: " : " is damaged: "
        reason += "there is \(found)"
        if let time = seal.timeBefore { reason += "; before it ends batch \(seal.sequence - 1), of \(time.text)" }
        if let behind = seal.behind {
            reason += "; behind it, from byte \(behind.offset) on, \(behind.batches) batches (\(behind.firstSequence) "
                + "to \(behind.lastSequence), \(behind.bytes) bytes, up to \(behind.lastTime.text)) are whole"
        } else if kind == .torn, let line, line.sequence == seal.sequence, found == "a wrong checksum" {
            reason += ". All its bytes are there: it was torn, or damaged later, and nothing behind it tells which"
        }
        let zeros = kind == .torn && seal.behind == nil ? try zerosAtEnd(start) : 0
        if zeros > 0 { reason += "; the file ends in \(zeros) zero bytes" }
        finish(kind, reason, seal)
        end?.zeros = zeros
        return .end
    }

    private mutating func finish(_ kind: AOFEnd.Kind, _ reason: String, _ seal: SealDamage) {
        wholeEnd = consumed
        end = AOFEnd(kind, keep: consumed, offset: consumed, reason)
        end?.seal = seal
    }

    private func judge(_ start: Int, _ seal: SealDamage) throws(StorageError) -> AOFEnd.Kind {
        guard source.size != nil else { return window.count < AOFLimits.annotationBytes ? .torn : .corrupt }
        // Nothing can be looked for without the file's identity.
        if seals.mode == .start && seals.expectation.id == nil && window.contains(10) { return .corrupt }
        if let behind = seal.behind {
            if behind.durableSequence >= seal.sequence { return .corrupt }
            return try SealScan.hasHole(source, start, behind.offset) ? .torn : .corrupt
        }
        guard let line = seal.line, line.tag == .synced, line.sequence == seal.sequence, line.isBehind(seals.link),
              let lineEnd = window.annotationEnd else { return .torn }
        let end = start + lineEnd + 1 + line.bytes
        return try hasRecords(from: min(end, source.size ?? end)) ? .corrupt : .torn
    }

    /// Whether a batch was written there: what is left of it has lengths of arguments. Zeros, filler, noise have none.
    private func hasRecords(from start: Int) throws(StorageError) -> Bool {
        var matched = 0
        let mark = ("\r\n$" as StaticString).bytes
        return try source.runEnd(from: start) { byte, _ in
            if matched == mark.count { return false }
            matched = byte == mark[matched] ? matched + 1 : byte == mark[0] ? 1 : 0
            return true
        } < (source.size ?? 0) || matched == mark.count
    }

    /// How many zero bytes the file ends in, behind `start`.
    private func zerosAtEnd(_ start: Int) throws(StorageError) -> Int {
        guard let size = source.size else { return 0 }
        return try size - source.runStart(notBefore: start) { byte, _ in byte == 0 }
    }
}

extension SealState {
    /// Why an annotation can't stand where the file is not sealed; nil: it can.
    func objection(toAnnotation line: Bytes) -> String? {
        if mode == .sealed { return nil }
        // The first seal line of a file is a whole one, and stands out.
        if SealLine(line).map({ !$0.isShort }) ?? false || SealOpening(line) != nil {
            return mode == .foreign ? "a seal behind records that are not sealed"
                : "a seal, but the file does not begin with an opening line"
        }
        if mode == .foreign && !line.starts(with: "#TS:".utf8) { return "an annotation that nobody writes" }
        return nil
    }
}
