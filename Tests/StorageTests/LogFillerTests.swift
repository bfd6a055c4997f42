import Primitives
@testable import Storage
import Testing
import TestSupport
#if canImport(Glibc)
import Glibc
#endif

/// A sealed log under `always` whose file is made longer ahead of its end, step by step.
private final class PreallocatedLog {
    static let id: UInt64 = 0xb7c1_d0fa_2e55_9301
    static let expectation = SealExpectation(id: id, sequence: 0)
    let disk: MemoryFileSystem
    let log: AppendLog
    var records: [[String]] = []
    private var pending = OwnedBytes(capacity: 64)

    init(ahead bytes: Int, batchesPerSecond: Int = 1, writersPerBatch: Int = 0) throws {
        disk = MemoryFileSystem()
        let file = try disk.open("data/log", .createToUpdate)
        try disk.syncDirectory("data")
        let framing = SealFraming(id: Self.id, file: 1, behind: SealPosition(), timestamps: false)
        log = try AppendLog(disk, file, startingAt: LogOffset(0), policy: .always, framing: framing, isStepped: true,
                            preallocation: .init(bytes: bytes, batchesPerSecond: batchesPerSecond,
                                                 writersPerBatch: writersPerBatch)) {}
    }

    deinit { log.close() }

    var bytes: [UInt8] { disk.bytes("data/log") ?? [] }
    /// Where the log ends in its file.
    var end: Int { log.currentCounters.fileBytes }

    /// Writes a batch of one record; durable when it returns, unless the disk fails.
    func write(_ words: String...) {
        records.append(words)
        pending.append(words.reduce("*\(words.count)\r\n") { $0 + "$\($1.utf8.count)\r\n\($1)\r\n" })
        _ = log.flush(&pending)
        while log.step() {}
    }

    /// Writes until filler of at least `count` bytes stands behind the log.
    func writeUntilFiller(_ count: Int) {
        for number in 0..<100 where bytes.count - end < count { write("SET", "key", "\(number)") }
    }

    func drain() throws {
        try log.drain(&pending, sync: true)
        log.sealEnd()
    }

    func switchFile(to name: String) throws {
        let file = try disk.open("data/" + name, .createToUpdate)
        let framing = SealFraming(id: 7, file: 2, behind: SealPosition(), timestamps: false)
        #expect(log.switchFile(to: file, framing: framing, &pending))
    }

    static func read(_ bytes: [UInt8]) throws -> AOFReading { try AOFReading(bytes, seals: expectation) }
}

/// What a stock server makes of a log: lines by pieces of 127 bytes; those with a `#` in front are passed over.
private func stockReading(_ bytes: [UInt8]) -> [[String]]? {
    var records: [[String]] = [], place = 0
    func line(_ limit: Int) -> ArraySlice<UInt8> {
        let rest = bytes[place...].prefix(limit)
        let end = rest.firstIndex(of: 10).map { $0 + 1 } ?? rest.endIndex
        defer { place = end }
        return bytes[place..<end]
    }
    func number(_ text: ArraySlice<UInt8>) -> Int? {
        Int(String(decoding: text.dropFirst().dropLast(2), as: UTF8.self))
    }
    while place < bytes.count {
        let first = line(127)
        if first.first == UInt8(ascii: "#") { continue }
        guard first.first == UInt8(ascii: "*"), let count = number(first) else { return nil }
        var words: [String] = []
        for _ in 0..<count {
            let header = line(127)
            guard header.first == UInt8(ascii: "$"), let length = number(header),
                  place + length + 2 <= bytes.count else { return nil }
            words.append(String(decoding: bytes[place..<(place + length)], as: UTF8.self))
            place += length + 2
        }
        records.append(words)
    }
    return records
}

@Suite struct LogFillerTests {
    @Test func batchesOverwriteFillerAndEveryReaderReadsTheLog() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("seed \(seed)")
        var random = RandomSource(seed: seed)
        let log = try PreallocatedLog(ahead: 500)
        var mostFiller = 0, endsBeforeALineFeed = 0
        for number in 0..<600 {
            let length = Int(random.next(below: random.next(below: 20) == 0 ? 2000 : 80))
            log.write("SET", "k\(number)", String(repeating: "v", count: length))
            let bytes = log.bytes, filler = bytes.count - log.end
            mostFiller = max(mostFiller, filler)
            if filler > 0 && log.end % 64 == 63 { endsBeforeALineFeed += 1 }
            #expect(filler != 1 && (filler == 0 || bytes.count % 64 == 0))
            let reading = try PreallocatedLog.read(bytes)
            #expect(reading.records == log.records && reading.end == .whole(log.end, filler: filler))
            #expect(stockReading(bytes) == log.records)
            // A server that goes on with the file begins on a new line.
            #expect(stockReading(bytes + Array(AOFText.record("SELECT", "0").utf8)) == log.records + [["SELECT", "0"]])
            let after = try PreallocatedLog.read(log.disk.crashed(.nothing).bytes("data/log") ?? [])
            #expect(after.records == log.records)
        }
        #expect(mostFiller >= 500 && endsBeforeALineFeed > 0)
    }

    /// The power goes while a batch overwrites filler, and some of its sectors are there.
    @Test func aBatchTornWithinFillerIsTorn() throws {
        let log = try PreallocatedLog(ahead: 4096)
        log.writeUntilFiller(3000)
        let whole = log.records.count, end = log.end
        for seed in 0..<300 as Range<UInt64> {
            let disk = log.disk.crashed(.everything)
            let file = try disk.open("data/log", .update)
            let text = Array(AOFText.record("SET", "big", String(repeating: "x", count: 1700)).utf8)
            var sealed = OwnedBytes(capacity: 2000)
            let framing = SealFraming(id: PreallocatedLog.id, file: 1,
                                      resumingAt: SealPosition(sequence: whole, link: 1, bytes: end), timestamps: false)
            text.withUnsafeBytes {
                framing.frame($0, at: LogOffset(0), .now(), syncs: true, into: &sealed)
                sealed.append($0)
            }
            try disk.write(file, at: end, sealed.bytes, Bytes(start: nil, count: 0), Bytes(start: nil, count: 0))
            let reading = try PreallocatedLog.read(disk.crashed(.torn(seed)).bytes("data/log") ?? [])
            #expect(reading.records == log.records && reading.end?.keep == end, "seed \(seed)")
            // With all of its sectors it is a batch of another log: that is damage.
            let isWhole = disk.crashed(.torn(seed)).bytes("data/log") == disk.bytes("data/log")
            if !isWhole { #expect(reading.end?.kind != .corrupt, "seed \(seed): \(reading.end?.reason ?? "")") }
        }
    }

    @Test func aFlippedBitInFillerIsFoundAndTakesNothing() throws {
        let log = try PreallocatedLog(ahead: 256)
        log.writeUntilFiller(200)
        let bytes = log.bytes
        for place in log.end..<bytes.count {
            for bit in 0..<8 {
                var flipped = bytes
                flipped[place] ^= 1 << UInt8(bit)
                let reading = try PreallocatedLog.read(flipped)
                #expect(reading.records == log.records && reading.end?.kind == .torn && reading.end?.keep == log.end)
            }
        }
        // The last batch, though, is no worse guarded than without filler.
        for place in 0..<log.end {
            var flipped = bytes
            flipped[place] ^= 1
            let reading = try PreallocatedLog.read(flipped)
            #expect(reading.end?.kind != .whole && reading.records.count < log.records.count)
        }
    }

    @Test func fillerThatWasCutAnywhereIsWhole() throws {
        let log = try PreallocatedLog(ahead: 256)
        log.writeUntilFiller(200)
        for size in log.end...log.bytes.count {
            let reading = try PreallocatedLog.read(Array(log.bytes.prefix(size)))
            #expect(reading.records == log.records)
            #expect(reading.end == .whole(log.end, filler: size - log.end) || size == log.end + 1)
        }
    }

    @Test func recordsOfAnotherServerBehindFillerAreRead() throws {
        let log = try PreallocatedLog(ahead: 300_000)
        log.writeUntilFiller(290_000)
        let more = AOFText.record("SELECT", "0") + AOFText.record("SET", "theirs", "1")
        let reading = try PreallocatedLog.read(log.bytes + Array(more.utf8))
        #expect(reading.records == log.records + [["SELECT", "0"], ["SET", "theirs", "1"]])
        #expect(reading.end?.kind == .whole && reading.foreignStart == log.bytes.count)
    }

    @Test func aDiskWithoutRoomForFillerTakesTheBatch() throws {
        let log = try PreallocatedLog(ahead: 4096)
        log.disk.faults.room = 3000
        for number in 0..<20 { log.write("SET", "k", "\(number)") }
        #expect(log.log.isHealthy && log.log.durableOffset == log.log.takenOffset)
        #expect(log.bytes.count == log.end)
        #expect(try PreallocatedLog.read(log.bytes).records == log.records)
    }

    @Test func anUnsyncedBatchNeverOverwritesFiller() throws {
        let log = try PreallocatedLog(ahead: 4096)
        log.writeUntilFiller(3000)
        log.log.policy = .everysec
        log.disk.clearEvents()
        log.write("SET", "k", "unsynced")
        #expect(log.bytes.count == log.end)
        #expect(Array(log.disk.events.prefix(2).map { $0.split(separator: " ")[0] }) == ["truncate", "sync"])
        #expect(try PreallocatedLog.read(log.bytes).records == log.records)
    }

    @Test func aLogAtRestAndOneThatEndsHaveNoFiller() throws {
        let resting = try PreallocatedLog(ahead: 4096)
        resting.writeUntilFiller(3000)
        for _ in 0..<300 where resting.bytes.count != resting.end {
            usleep(100_000)
            while resting.log.step() {}
        }
        #expect(resting.bytes.count == resting.end)
        #expect(try PreallocatedLog.read(resting.disk.crashed(.nothing).bytes("data/log") ?? []).records
                == resting.records)
        let ended = try PreallocatedLog(ahead: 4096)
        ended.writeUntilFiller(3000)
        try ended.drain()
        #expect(ended.bytes.count == ended.end)
        #expect(try PreallocatedLog.read(ended.disk.crashed(.nothing).bytes("data/log") ?? []).records == ended.records)
    }

    @Test func fillerIsCutDurablyBeforeTheNextFileIsWritten() throws {
        let log = try PreallocatedLog(ahead: 4096)
        log.writeUntilFiller(3000)
        let end = log.end
        try log.switchFile(to: "next")
        log.disk.clearEvents()
        while log.log.step() {}
        log.write("SET", "k", "in the next file")
        let calls = log.disk.events
        #expect(calls.prefix(2) == ["truncate data/log \(end)", "sync data/log"])
        #expect(calls.dropFirst(2).allSatisfy { $0.contains("data/next") })
        #expect(log.disk.crashed(.nothing).bytes("data/log")?.count == end)
    }

    @Test func fewBatchesMakeNoFillerNorDoesALoneClient() throws {
        let few = try PreallocatedLog(ahead: 500, batchesPerSecond: 100)
        for number in 0..<90 { few.write("SET", "k", "\(number)") }
        #expect(few.bytes.count == few.end)
        let lone = try PreallocatedLog(ahead: 500, writersPerBatch: 3)
        for number in 0..<200 { lone.write("SET", "k", "\(number)") }
        #expect(lone.bytes.count == lone.end)
    }
}
