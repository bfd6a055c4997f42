import Primitives

/// What is known of a file before it is read.
package struct SealExpectation: Sendable {
    /// The manifest's: the file is sealed, and by this.
    package var id: UInt64?
    /// Of the last batch before the file; nil: unknown.
    package var sequence: Int?
    /// How the file before ends; nil: nothing to be compared.
    package var previous: SealPosition?

    package init(id: UInt64? = nil, sequence: Int? = nil, previous: SealPosition? = nil) {
        self.id = id
        self.sequence = sequence
        self.previous = previous
    }
}

/// What a reader of one file knows of its seals so far.
package struct SealState: Sendable {
    package enum Mode: Sendable {
        /// Nothing was read yet.
        case start
        /// Batches, each behind its seal line.
        case sealed
        /// A file without seals.
        case unsealed
        /// Records of another server behind what is sealed.
        case foreign
    }

    package internal(set) var mode = Mode.start
    package internal(set) var id: UInt64?
    package internal(set) var opening: SealOpening?
    /// The last batch, or mark, that was read.
    package internal(set) var last: SealBatch?
    /// Chain of what was read.
    package internal(set) var sequence = 0
    package internal(set) var link: UInt32 = 0
    package internal(set) var batches = 0
    package internal(set) var marks = 0
    /// Where the line of the last batch stands.
    package internal(set) var batchStart = 0
    /// Where records of another server begin.
    package internal(set) var foreignStart: Int?
    package internal(set) var firstTime: UnixMilliseconds?
    let expectation: SealExpectation

    init(_ expectation: SealExpectation) { self.expectation = expectation }

    package var isSealed: Bool { mode == .sealed || mode == .foreign }
    package var lastTime: UnixMilliseconds? { last?.time ?? opening?.time }
    var seed: UInt32 { SealBatch.seed(id ?? 0) }
    /// From where the next line is looked at.
    package var reference: SealReference {
        SealReference(sequence: mode == .start ? expectation.sequence ?? 0 : sequence, time: lastTime)
    }

    /// Why a good opening can't stand here; nil: it can.
    func objection(to opening: SealOpening) -> String? {
        if let id = expectation.id, id != opening.id {
            return "this is another file than the manifest means (its identity is \(SealText.hex(opening.id, 16)), "
                + "not \(SealText.hex(id, 16)))"
        }
        if let sequence = expectation.sequence, opening.firstSequence != sequence + 1 {
            return opening.firstSequence > sequence + 1
                ? "batches \(sequence + 1) to \(opening.firstSequence - 1) are missing before this file"
                : "the file begins with batch \(opening.firstSequence), but batches up to \(sequence) were before it"
        }
        guard let previous = expectation.previous else { return nil }
        if previous.link != opening.previousLink || previous.bytes != opening.previousBytes {
            return "the file before it is not the one that it was written behind (that had \(opening.previousBytes) "
                + "bytes, this has \(previous.bytes))"
        }
        return nil
    }

    /// Why a good batch can't stand here; nil: it can.
    func objection(to batch: SealBatch) -> String? {
        let due = batch.isMark ? sequence : sequence + 1
        if batch.sequence > due {
            return batch.sequence == due + 1 ? "batch \(due) is missing"
                : "batches \(due) to \(batch.sequence - 1) are missing"
        }
        if batch.sequence < due {
            return "batch \(batch.sequence) stands again or too late: batch \(due) should be here"
        }
        if !batch.isBehind(link) { return "batch \(batch.sequence) was not written behind what stands before it" }
        return nil
    }

    mutating func open(_ opening: SealOpening) {
        mode = .sealed
        id = opening.id
        self.opening = opening
        sequence = opening.firstSequence - 1
        link = opening.crc
    }

    mutating func take(_ batch: SealBatch, at offset: Int) {
        last = batch
        sequence = batch.sequence
        link = batch.link(behind: link)
        batchStart = offset
        if firstTime == nil { firstTime = batch.time }
        if batch.isMark { marks += 1 } else { batches += 1 }
    }

    /// The first bytes look like what another server appends when it goes on with a file: a SELECT, maybe behind a
    /// time.
    static func isForeign(_ bytes: Bytes) -> Bool {
        var rest = bytes
        if rest.starts(with: "#TS:".utf8), let end = rest.prefix(32).firstIndex(of: 10) { rest = rest.from(end + 1) }
        let select = ("*2\r\n$6\r\nSELECT\r\n$" as StaticString).bytes
        return rest.count >= select.count && Bytes(rebasing: rest[..<select.count]).equalsIgnoringCase(select)
    }
}

/// Where and what a damage is, in a sealed file.
package struct SealDamage: Equatable, Sendable {
    /// The batch that should be there.
    package var sequence: Int
    /// Of the last good batch or opening before it.
    package var timeBefore: UnixMilliseconds?
    /// Its seal line, when that can be read (it may be what is damaged).
    package var line: SealBatch?
    package var behind: SealScan.Finding?
}
