import Primitives
#if canImport(Glibc)
import Glibc
#endif

/// Looks for whole batches behind a damaged place. A batch proves itself, by the file's identity in its checksum: what
/// merely looks like one (a log stored as a value) does not.
package enum SealScan {
    package struct Finding: Equatable, Sendable {
        /// Where the first whole batch or mark behind the damage begins.
        package var offset: Int
        package var firstSequence: Int
        package var lastSequence: Int
        package var batches = 0
        package var bytes = 0
        package var lastTime: UnixMilliseconds
        /// The highest number of a batch that is known to have been on the disk.
        package var durableSequence: Int
        /// Where what is whole ends.
        package var end: Int
    }

    private static let windowBytes = 1 << 16
    /// How often something may look like a batch and not be one.
    private static let trials = 4096

    /// Only plain files are searched.
    static func find(_ source: AOFSource, after offset: Int, seed: UInt32,
                     _ reference: SealReference) throws(StorageError) -> Finding? {
        guard source.size != nil else { return nil }
        var finding: Finding?
        try forEach(source, after: offset, seed: seed, reference) { batch, place, end in
            var sum = finding ?? Finding(offset: place, firstSequence: batch.sequence, lastSequence: batch.sequence,
                                         lastTime: batch.time, durableSequence: batch.durableSequence, end: end)
            sum.lastSequence = max(sum.lastSequence, batch.sequence)
            sum.durableSequence = max(sum.durableSequence, batch.durableSequence)
            sum.lastTime = batch.time
            sum.batches += batch.isMark ? 0 : 1
            sum.bytes += end - place
            sum.end = end
            finding = sum
        }
        return finding
    }

    /// A short line that could not be told yet.
    private struct Pending {
        var line: SealLine
        var content: UInt32
        var place: Int
        var end: Int
    }

    /// Each whole batch behind `offset`, with where its line begins and it ends.
    /// - Parameter reference: what stands before `offset`. Short lines too far from it are told by the next whole one.
    static func forEach(_ source: AOFSource, after offset: Int, seed: UInt32, _ reference: SealReference,
                        _ body: (SealBatch, Int, Int) -> Void) throws(StorageError) {
        guard let size = source.size else { return }
        let window = UnsafeMutableRawBufferPointer(start: Heap.allocate(windowBytes * 2), count: windowBytes * 2)
        defer { if let base = window.baseAddress { Heap.free(base) } }
        var start = offset, trial = 0
        var reference = reference
        var pending: [Pending] = []
        while start < size && trial < trials {
            let count = try source.read(at: start, into: window)
            if count == 0 { return }
            let bytes = Bytes(rebasing: window[..<count])
            var next = start + min(count, windowBytes)
            var from = start == offset ? 1 : 0
            while let index = nextHash(bytes, from, min(count, windowBytes)) {
                from = index + 1
                let rest = bytes.from(index)
                guard let end = rest.annotationEnd else { continue }
                let text = Bytes(rebasing: rest[...end])
                guard let line = SealLine(text) else { continue }
                let place = start + index, behind = place + text.count
                guard line.bytes <= size - behind else { continue }
                let content = try checksum(source, behind, line.bytes, line.headChecksum(text, seed: seed))
                guard let batch = line.verified(content, near: reference) else {
                    trial += 1
                    if trial >= trials { return }
                    if line.isShort {
                        pending.append(Pending(line: line, content: content, place: place, end: behind + line.bytes))
                    }
                    continue
                }
                if !line.isShort { tell(pending, before: batch, body) }
                pending.removeAll()
                next = behind + line.bytes
                reference = SealReference(sequence: batch.sequence, time: batch.time)
                body(batch, place, next)
                break
            }
            start = next
        }
    }

    /// Those that a whole line makes clear: they stand before it.
    private static func tell(_ pending: [Pending], before batch: SealBatch, _ body: (SealBatch, Int, Int) -> Void) {
        var reference = SealReference(sequence: max(batch.sequence - SealBatch.shortNumbers, 0),
                                      time: UnixMilliseconds(batch.time.rawValue - 6 * SealLine.shortMilliseconds))
        var end = 0
        for one in pending where one.place >= end {
            guard let found = one.line.verified(one.content, near: reference) else { continue }
            body(found, one.place, one.end)
            reference = SealReference(sequence: found.sequence, time: found.time)
            end = one.end
        }
    }

    private static func nextHash(_ bytes: Bytes, _ start: Int, _ end: Int) -> Int? {
        guard start < end, let base = bytes.baseAddress,
              let found = memchr(base + start, Int32(UInt8(ascii: "#")), end - start) else { return nil }
        return UnsafeRawPointer(found) - base
    }

    private static func checksum(_ source: AOFSource, _ offset: Int, _ count: Int,
                                 _ crc: UInt32) throws(StorageError) -> UInt32 {
        if count == 0 { return crc }
        let chunk = UnsafeMutableRawBufferPointer(start: Heap.allocate(windowBytes), count: windowBytes)
        defer { if let base = chunk.baseAddress { Heap.free(base) } }
        var crc = crc, done = 0
        while done < count {
            let room = UnsafeMutableRawBufferPointer(rebasing: chunk[..<min(windowBytes, count - done)])
            let got = try source.read(at: offset + done, into: room)
            if got == 0 { return ~crc }
            crc = CRC32C.update(crc, Bytes(rebasing: chunk[..<got]))
            done += got
        }
        return crc
    }

    /// Whether bytes are missing between two places, as a power loss leaves them: blocks that were never written read
    /// as zeros, up to where the next block begins.
    static func hasHole(_ source: AOFSource, _ start: Int, _ end: Int) throws(StorageError) -> Bool {
        let sector = 512, needed = 16
        let chunk = UnsafeMutableRawBufferPointer(start: Heap.allocate(windowBytes), count: windowBytes)
        defer { if let base = chunk.baseAddress { Heap.free(base) } }
        var place = start
        var zeros = 0
        while place < end {
            let room = UnsafeMutableRawBufferPointer(rebasing: chunk[..<min(windowBytes, end - place)])
            let got = try source.read(at: place, into: room)
            if got == 0 { return false }
            for index in 0..<got {
                zeros = chunk[index] == 0 ? zeros + 1 : 0
                if (place + index + 1) % sector == 0 && zeros >= min(needed, place + index + 1 - start) { return true }
            }
            place += got
        }
        return false
    }
}
