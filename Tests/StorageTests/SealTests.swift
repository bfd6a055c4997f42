import Primitives
@testable import Storage
import Testing
import TestSupport

/// Sealed logs made by the writer's own framing.
struct SealedLog {
    var bytes: [UInt8] = []
    /// Offsets between batches, the file's beginning and end included.
    var edges: [Int] = [0]
    private(set) var framing: SealFraming
    private var time: Int64 = 1_795_639_920_000

    init(id: UInt64 = 0xb7c1_d0fa_2e55_9301, file: Int = 1, behind previous: SealPosition = SealPosition()) {
        framing = SealFraming(id: id, file: file, behind: previous, timestamps: false)
    }

    /// Goes on behind another file.
    init(id: UInt64, file: Int, follows other: SealedLog) {
        framing = SealFraming(id: id, file: file, behind: SealPosition(), timestamps: false)
        framing.follow(other.framing, bytes: other.bytes.count)
    }

    mutating func add(_ records: String, syncs: Bool = true, isSynced: Bool = true) {
        var head = OwnedBytes(capacity: 256)
        var text = records
        time += 137
        text.withUTF8 { body in
            framing.frame(Bytes(body), at: LogOffset(0), UnixMicroseconds(time * 1000), syncs: syncs, into: &head)
        }
        framing.wrote()
        if isSynced { framing.synced() }
        bytes += Array(head.bytes) + Array(records.utf8)
        edges.append(bytes.count)
    }

    mutating func mark() {
        var head = OwnedBytes(capacity: 256)
        guard framing.mark(UnixMicroseconds(time * 1000), into: &head) else { return }
        framing.wrote()
        bytes += Array(head.bytes)
        edges.append(bytes.count)
    }

    /// One of `count` small batches, and a mark at the end.
    static func sample(_ count: Int, syncs: Bool = true, isSynced: Bool = true, marked: Bool = true) -> SealedLog {
        var log = SealedLog()
        log.add(AOFText.record("SELECT", "0") + AOFText.record("SET", "k", "v"), syncs: syncs, isSynced: isSynced)
        for index in 1..<count {
            log.add(AOFText.record("SET", "key:\(index)", "value \(index)"), syncs: syncs, isSynced: isSynced)
        }
        if marked { log.mark() }
        return log
    }
}

extension AOFReading {
    init(_ bytes: [UInt8], seals: SealExpectation) throws {
        let disk = MemoryFileSystem()
        disk.put("data/a.aof", bytes)
        try self.init("data/a.aof", in: disk, seals: seals)
    }
}

@Suite struct SealTests {
    let expected = SealExpectation(id: 0xb7c1_d0fa_2e55_9301, sequence: 0)

    @Test func aSealedLogIsReadInWhole() throws {
        let log = SealedLog.sample(20)
        let reading = try AOFReading(log.bytes, seals: expected)
        #expect(reading.end == .whole(log.bytes.count) && reading.records.count == 21)
        #expect(reading.annotations.count == 22)
        #expect(reading.annotations.allSatisfy { $0.utf8.count < 126 })
    }

    /// Every bit of a log of four kilobytes: 32,768 cases and more.
    @Test func everyFlippedBitIsFound() throws {
        var log = SealedLog()
        log.add(AOFText.record("SELECT", "0"))
        for batch in 0..<11 {
            log.add((0..<8).map { AOFText.record("SET", "key:\(batch):\($0)", "a value of \(batch)") }.joined())
        }
        log.add(AOFText.record("MULTI") + AOFText.record("INCR", "n") + AOFText.record("EXEC"))
        log.mark()
        #expect(log.bytes.count >= 4096)
        var bytes = log.bytes
        var torn = 0, corrupt = 0
        for index in bytes.indices {
            for bit in 0..<8 {
                bytes[index] ^= 1 << bit
                let end = try SealReading.end(bytes, expected)
                bytes[index] ^= 1 << bit
                guard end.kind != .whole else {
                    Issue.record("bit \(bit) of byte \(index) is not noticed")
                    continue
                }
                let edge = log.edges.last { $0 <= index } ?? 0
                #expect(end.keep <= index, "bit \(bit) of byte \(index)")
                // The opening line and the first batch count as one.
                #expect(end.keep == edge || index < log.edges[1], "bit \(bit) of byte \(index): \(end)")
                if end.kind == .torn { torn += 1 } else { corrupt += 1 }
                // What is known to be durable is never taken for torn: the last batch but a mark proves all before it.
                if end.kind == .torn { #expect(index >= log.edges[log.edges.count - 2], "\(index): \(end)") }
            }
        }
        print("\(torn + corrupt) flips: \(corrupt) damage, \(torn) torn (in the last mark)")
        #expect(torn + corrupt == log.bytes.count * 8 && corrupt >= 32_000)
    }

    @Test func everyTruncationIsTornBehindTheLastWholeBatch() throws {
        let log = SealedLog.sample(30)
        for count in 1..<log.bytes.count {
            let end = try SealReading.end(Array(log.bytes[..<count]), expected)
            let keep = log.edges.last { $0 <= count } ?? 0
            // Between the opening line and its first batch.
            let opening = log.bytes.firstIndex(of: 10).map { $0 + 1 } ?? 0
            if keep == 0 && count >= opening {
                #expect(end.keep == opening && end.kind == (count == opening ? .whole : .torn), "cut at \(count)")
                continue
            }
            #expect(end.keep == keep && end.kind == (count == keep ? .whole : .torn), "cut at \(count): \(end)")
        }
    }

    @Test func zerosBehindACutAreTorn() throws {
        let log = SealedLog.sample(30)
        for count in stride(from: 1, to: log.bytes.count, by: 7) {
            let end = try SealReading.end(Array(log.bytes[..<count]) + Array(repeating: 0, count: 700), expected)
            #expect(end.kind == .torn, "cut at \(count): \(end)")
        }
    }

    @Test func missingRepeatedAndSwappedBatchesAreFound() throws {
        let log = SealedLog.sample(12, marked: false), bytes = log.bytes, edges = log.edges
        func batch(_ number: Int) -> [UInt8] { Array(bytes[edges[number - 1]..<edges[number]]) }
        let first = Array(bytes[..<edges[5]])
        let missing = try SealReading.end(first + bytes[edges[6]...], expected)
        #expect(missing.kind == .corrupt && missing.keep == edges[5])
        #expect(missing.reason.hasPrefix("batch 6 is missing"))
        #expect(missing.seal?.behind?.batches == 6 && missing.seal?.behind?.lastSequence == 12)
        let repeated = try SealReading.end(first + batch(5) + bytes[edges[5]...], expected)
        #expect(repeated.kind == .corrupt && repeated.keep == edges[5])
        #expect(repeated.reason.contains("batch 5 stands again"))
        let swapped = try SealReading.end(first + batch(7) + batch(6) + bytes[edges[7]...], expected)
        #expect(swapped.kind == .corrupt && swapped.keep == edges[5])
        // Of another life of the same file: the same numbers, another chain.
        var other = SealedLog()
        for index in 0..<12 { other.add(AOFText.record("SET", "other", "\(index)")) }
        let mixed = try SealReading.end(first + other.bytes[other.edges[5]...], expected)
        #expect(mixed.kind == .corrupt && mixed.keep == edges[5] && mixed.reason.contains("was not written behind"))
    }

    @Test func filesOfAnotherPlaceAreFound() throws {
        let first = SealedLog.sample(5)
        var second = SealedLog(id: 77, file: 2, follows: first)
        second.add(AOFText.record("SELECT", "0") + AOFText.record("SET", "a", "b"))
        let position = SealPosition(sequence: 5, link: first.framing.position.link, bytes: first.bytes.count)
        func end(_ expectation: SealExpectation) throws -> AOFEnd { try SealReading.end(second.bytes, expectation) }
        #expect(try end(SealExpectation(id: 77, sequence: 5, previous: position)).kind == .whole)
        #expect(try end(SealExpectation(id: 78, sequence: 5, previous: position)).kind == .corrupt)
        #expect(try end(SealExpectation(id: 77, sequence: 4, previous: position)).kind == .corrupt)
        var cut = position
        cut.bytes -= 1
        #expect(try end(SealExpectation(id: 77, sequence: 5, previous: cut)).kind == .corrupt)
        cut = position
        cut.link ^= 1
        #expect(try end(SealExpectation(id: 77, sequence: 5, previous: cut)).kind == .corrupt)
    }

    @Test func aHoleBeforeBatchesThatNobodySyncedIsTorn() throws {
        var log = SealedLog.sample(200, syncs: false, isSynced: false, marked: false)
        let hole = log.edges[40]
        let boundary = (hole / 512 + 2) * 512
        var bytes = log.bytes
        for index in hole..<boundary { bytes[index] = 0 }
        let torn = try SealReading.end(bytes, expected)
        #expect(torn.kind == .torn && torn.keep == hole && torn.seal?.behind != nil)
        // A flipped bit there is no hole.
        bytes = log.bytes
        bytes[hole + 40] ^= 4
        #expect(try SealReading.end(bytes, expected).kind == .corrupt)
        // Nor is a hole torn that lies in what was known to be durable.
        log = SealedLog.sample(200, syncs: false, marked: true)
        bytes = log.bytes
        for index in hole..<boundary { bytes[index] = 0 }
        #expect(try SealReading.end(bytes, expected).kind == .corrupt)
    }

    @Test func remainsOfABatchBehindOneThatHadToBeSyncedAreDamage() throws {
        let log = SealedLog.sample(10, marked: false)
        var bytes = log.bytes
        // The last batch but one, with its line whole, and the line of the last one.
        let line = try #require(bytes[log.edges[8]...].firstIndex(of: 10))
        for index in (line + 1)..<(log.edges[9] + 10) { bytes[index] = 7 }
        let end = try SealReading.end(bytes, expected)
        #expect(end.kind == .corrupt && end.keep == log.edges[8])
    }

    /// The start was refused, though nothing speaks for a batch behind the one that is not whole.
    @Test func noiseBehindATornBatchIsTornToo() throws {
        let log = SealedLog.sample(10, marked: false)
        var chance = RandomSource(seed: 7)
        for cut in log.edges[9]..<log.bytes.count {
            let random = (0..<300).map { _ in UInt8(truncatingIfNeeded: chance.next()) }
            for noise in [[UInt8](repeating: 255, count: 700), [9, 13], random] {
                let end = try SealReading.end(Array(log.bytes[..<cut]) + noise, expected)
                #expect(end.kind == .torn && end.keep == log.edges[9], "\(cut) \(noise.count)")
            }
        }
    }

    @Test func whatAnotherServerAppendsIsReadAndTold() throws {
        let log = SealedLog.sample(4)
        let tail = Array((AOFText.record("SELECT", "0") + AOFText.record("SET", "z", "1")).utf8)
        let reading = try AOFReading(log.bytes + tail, seals: expected)
        #expect(reading.end?.kind == .whole && reading.records.count == 7)
        #expect(reading.foreignStart == log.bytes.count)
        // A batch whose line went is none of that.
        let bare = Array(AOFText.record("SET", "z", "1").utf8)
        #expect(try SealReading.end(log.bytes + bare, expected).kind == .torn)
        #expect(try SealReading.end(log.bytes + bare + SealedLog.sample(2).bytes, expected).kind != .whole)
        #expect(try SealReading.end(tail + log.bytes, expected).kind == .corrupt)
        #expect(try AOFReading(tail, seals: expected).end?.kind == .whole)
    }

    @Test func aValueThatLooksLikeALogIsNoBatch() throws {
        var inner = SealedLog(id: 99)
        for _ in 0..<5 { inner.add(AOFText.record("FLUSHALL")) }
        var log = SealedLog.sample(3, marked: false)
        log.add(AOFText.record("SET", "log", String(decoding: inner.bytes, as: UTF8.self)))
        #expect(try SealReading.end(log.bytes, expected).kind == .whole)
        var bytes = log.bytes
        bytes[log.edges[3] + 80] ^= 1
        let end = try SealReading.end(bytes, expected)
        #expect(end.kind == .torn && end.seal?.behind == nil && end.keep == log.edges[3])
    }

    @Test func linesAreShortWhateverTheNumbers() {
        var out = OwnedBytes(capacity: 256)
        var opening = SealOpening(id: .max, file: .max, firstSequence: 999_999_999_999_999_999,
                                  time: UnixMilliseconds(9_999_999_999_999))
        opening.previousBytes = 999_999_999_999
        opening.append(to: &out)
        #expect(out.count < 128)
        for (sequence, before) in [(999_999_999_999_999_999, nil), (999_999_999_999_999_999, 9_999_999_999_000),
                                   (640, 9_999_999_999_000)] as [(Int, Int64?)] {
            out.truncate(to: 0)
            let time = UnixMilliseconds(9_999_999_999_999), nothing = Bytes(start: nil, count: 0)
            var batch = SealBatch(.synced, sequence: sequence, bytes: 99_999_999_999, time: time, unsynced: 999_999_999,
                                  behind: .max)
            batch.append(to: &out, seed: 1, after: before.map { UnixMilliseconds($0) }, nothing, nothing)
            let line = SealLine(out.bytes)
            #expect(out.count < 60 && line?.crc == batch.crc)
            #expect(line?.isShort == (before != nil && sequence % 64 != 0))
            let reference = SealReference(sequence: sequence - 1, time: before.map { UnixMilliseconds($0) })
            let read = line.flatMap { $0.verified($0.headChecksum(out.bytes, seed: 1), near: reference) }
            #expect(read?.sequence == sequence && read?.time == time && read?.bytes == 99_999_999_999)
            // Rounded up: 2^30 of them are told as "any".
            #expect(read?.durableSequence == 0)
        }
    }

    /// The seal of a batch of four records of 150 bytes, as 50 clients without pipeline make them, is under 3 %.
    @Test func aSealIsShort() {
        var log = SealedLog()
        let value = String(repeating: "v", count: 150)
        let batch = (0..<4).map { AOFText.record("SET", "key:00000000000\($0)", value) }.joined()
        for _ in 0..<1000 { log.add(batch) }
        let sealed = log.bytes.count, plain = batch.utf8.count * 1000
        print("sealed \(sealed) bytes, plain \(plain): \(Double(sealed - plain) / 1000) bytes a batch")
        #expect(Double(sealed - plain) / Double(plain) < 0.025)
    }

    /// However much is missing, whole batches behind it are found, with their numbers and times.
    @Test func whatIsWholeBehindALargeDamageIsFound() throws {
        let log = SealedLog.sample(1500)
        for (first, last) in [(3, 3), (10, 90), (0, 20), (5, 900), (62, 64), (1, 1400), (0, 1450)] {
            var bytes = log.bytes
            for index in log.edges[first]..<log.edges[last + 1] { bytes[index] = 7 }
            let disk = OneFile(bytes)
            let source = try AOFSource(File(descriptor: 0, path: "a.aof"), in: disk)
            var found: [Int] = []
            let seed = SealBatch.seed(0xb7c1_d0fa_2e55_9301)
            try SealScan.forEach(source, after: 0, seed: seed, SealReference(sequence: 0, time: nil)) { batch, _, end in
                #expect(end == log.edges[batch.sequence] || batch.isMark)
                if !batch.isMark { found.append(batch.sequence) }
            }
            #expect(found.count == 1500 - (last - first + 1), "\(first) to \(last): \(found.count)")
            #expect(found.last == 1500 && Set(found).count == found.count)
        }
    }

    @Test func timesAreSpelledAsInTheCalendar() {
        #expect(UnixMilliseconds(0).text == "1970-01-01 00:00:00.000 UTC")
        #expect(UnixMilliseconds(951_782_399_999).text == "2000-02-28 23:59:59.999 UTC")
        #expect(UnixMilliseconds(951_782_400_000).text == "2000-02-29 00:00:00.000 UTC")
        #expect(UnixMilliseconds(1_795_639_920_123).text == "2026-11-25 20:52:00.123 UTC")
    }
}

/// Only how a file ends, quickly.
enum SealReading {
    static func end(_ bytes: [UInt8], _ expectation: SealExpectation) throws -> AOFEnd {
        let disk = OneFile(bytes)
        var reader = AOFReader(try AOFSource(File(descriptor: 0, path: "a.aof"), in: disk), seals: expectation)
        while true {
            let item = try reader.next()
            if item == .preamble { return .misplacedPreamble }
            if item == .end { return reader.end ?? .whole(0) }
        }
    }
}
