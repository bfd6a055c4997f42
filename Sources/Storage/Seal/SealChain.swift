import Primitives

/// Follows a log over its files: what is expected of the next one. For the server's start, the check tool and restores.
package struct SealChain: Sendable {
    /// Of the last batch so far; nil: unknown.
    package private(set) var sequence: Int?
    /// How the last increment that holds anything ends; nil: there was none.
    package private(set) var previous: SealPosition?
    /// Records of another server stand behind the last batch.
    package private(set) var endsForeign = false
    /// Of sealed files, by the manifest or by themselves.
    private var identities: Set<UInt64> = []

    package init() {}

    package func knows(_ id: UInt64) -> Bool { identities.contains(id) }

    /// Before the first file of a log. Without a BASE its batches begin with the first.
    package mutating func begin(_ manifest: AOFManifest) {
        if manifest.base == nil {
            sequence = 0
            previous = SealPosition()
        }
    }

    /// Behind a base that covers all up to this batch.
    package mutating func restart(at sequence: Int) {
        self.sequence = sequence
        previous = nil
    }

    package var position: SealPosition {
        var result = previous ?? SealPosition()
        result.sequence = sequence ?? 0
        return result
    }

    package func expectation(for entry: AOFManifest.Entry) -> SealExpectation {
        entry.kind == .base ? SealExpectation()
            : SealExpectation(id: entry.id, sequence: sequence, previous: previous)
    }

    /// The file was read.
    /// - Parameter bytes: what of it counts.
    package mutating func read(_ entry: AOFManifest.Entry, bytes: Int, _ seals: SealState) {
        if entry.kind == .base {
            sequence = entry.covers
            previous = nil
            return
        }
        for case let id? in [entry.id, seals.id] { identities.insert(id) }
        endsForeign = bytes > 0 && seals.mode == .foreign
        if bytes == 0 { return }
        if seals.isSealed { sequence = seals.sequence }
        previous = SealPosition(sequence: sequence ?? 0, link: seals.mode == .sealed ? seals.link : 0, bytes: bytes)
    }

    /// Why a file of this size is not the one that the manifest means; nil: it may be.
    package static func objection(to entry: AOFManifest.Entry, size: Int) -> String? {
        guard let whole = entry.whole, whole.bytes != size else { return nil }
        return "it has \(size) bytes, and the manifest says \(whole.bytes): it was cut, or is another file"
    }

    /// Why a file with this checksum is not; nil: it is.
    package static func objection(to entry: AOFManifest.Entry, checksum: UInt32?) -> String? {
        guard let whole = entry.whole, let checksum, whole.crc != checksum else { return nil }
        return "its CRC-32C is not the one in the manifest: a bit of it flipped, or it is another file"
    }
}
