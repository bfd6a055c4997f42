import Primitives
import Storage
import Testing
import TestSupport

/// What a reader made of a file.
struct AOFReading: Equatable {
    var records: [[String]] = []
    /// Offset and length of each.
    var places: [[Int]] = []
    var annotations: [String] = []
    var units = 0
    var end: AOFEnd?
    /// Where records of another server begin, in a sealed file.
    var foreignStart: Int?

    /// Reads `path`, an RDB preamble included.
    init(_ path: String, in disk: any FileSystem, seals: SealExpectation = SealExpectation()) throws {
        let file = try disk.open(path, .read)
        defer { disk.close(file) }
        var reader = AOFReader(try AOFSource(file, in: disk), seals: seals)
        while true {
            switch try reader.next() {
            case .record:
                records.append((0..<reader.arguments.count).map {
                    String(decoding: reader.arguments[$0], as: UTF8.self)
                })
                places.append([reader.offset, reader.length])
            case .annotation: annotations.append(String(decoding: reader.annotation, as: UTF8.self))
            case .preamble:
                let report = RDBCheck.run(reader.beginPreamble(), now: UnixMilliseconds(0))
                #expect(report.isGood)
                records.append(["RDB", "\(report.keys)"])
                reader.endPreamble(report.size)
            case .end:
                units = reader.unitCount
                end = reader.end
                foreignStart = reader.seals.foreignStart
                return
            }
        }
    }

    init(_ bytes: [UInt8]) throws {
        let disk = MemoryFileSystem()
        disk.put("data/a.aof", bytes)
        try self.init("data/a.aof", in: disk)
    }

    init(_ text: String) throws { try self.init(Array(text.utf8)) }
}

/// Logs made by hand.
enum AOFText {
    static func record(_ words: String...) -> String {
        words.reduce("*\(words.count)\r\n") { $0 + "$\($1.utf8.count)\r\n\($1)\r\n" }
    }

    /// Its whole parts, in order: cutting between two leaves a whole file.
    static let sampleParts = [
        "#TS:1700000000\r\n", record("SELECT", "0"), record("SET", "key", "value"), record("SET", "empty", ""),
        record("MULTI") + record("INCR", "n") + "#TS:1700000001\r\n" + record("RPUSH", "l", "a", "b") + record("EXEC"),
        "#a comment\n", record("multi") + record("exec"), record("SET", "line\r\nend", "*1\r\n$4\r\n"),
        record("DEL", "key"),
    ]
    static let sample = sampleParts.joined()
}

@Suite struct AOFReaderTests {
    @Test func readsRecordsUnitsAndAnnotations() throws {
        let reading = try AOFReading(AOFText.sample)
        #expect(reading.records.count == 11 && reading.units == 2)
        #expect(reading.records[1] == ["SET", "key", "value"] && reading.records[2] == ["SET", "empty", ""])
        #expect(reading.annotations == ["#TS:1700000000", "#TS:1700000001", "#a comment"])
        #expect(reading.end?.kind == .whole && reading.end?.keep == AOFText.sample.utf8.count)
        let bytes = Array(AOFText.sample.utf8)
        for (record, place) in zip(reading.records, reading.places) {
            let text = String(decoding: bytes[place[0]..<(place[0] + place[1])], as: UTF8.self)
            #expect(text.hasPrefix("*\(record.count)\r\n") && text.hasSuffix("\(record[record.count - 1])\r\n"))
        }
    }

    @Test func anEmptyFileIsWhole() throws {
        #expect(try AOFReading("").end?.kind == .whole)
    }

    @Test func everyTruncationIsWholeOrTornAtTheLastWholeUnit() throws {
        let bytes = Array(AOFText.sample.utf8)
        var edges = [0]
        for part in AOFText.sampleParts { edges.append(edges[edges.count - 1] + part.utf8.count) }
        for count in 0...bytes.count {
            let reading = try AOFReading(Array(bytes[..<count]))
            let keep = edges.last { $0 <= count } ?? 0
            #expect(reading.end?.keep == keep, "cut at \(count)")
            #expect(reading.end?.kind == (keep == count ? .whole : .torn), "cut at \(count): \(reading.end as Any)")
            if keep != count { #expect(reading.end?.offset == keep, "cut at \(count)") }
        }
    }

    @Test func everyTruncationWithZerosBehindIsTorn() throws {
        let bytes = Array(AOFText.sample.utf8)
        for count in 0...bytes.count {
            for zeros in [1, 9, 700] {
                let reading = try AOFReading(Array(bytes[..<count]) + Array(repeating: 0, count: zeros))
                // Zeros within a value are zeros; then the record goes on to its missing end.
                #expect(reading.end?.kind == .torn, "cut at \(count), \(zeros) zeros: \(reading.end as Any)")
            }
        }
    }

    @Test func zerosOverTheEndOfAFileAreTorn() throws {
        let bytes = Array(AOFText.sample.utf8)
        for count in 0..<bytes.count {
            let zeroed = Array(bytes[..<count]) + Array(repeating: 0, count: bytes.count - count)
            #expect(try AOFReading(zeroed).end?.kind == .torn, "from \(count)")
        }
    }

    @Test func zerosInTheMiddleAreCorrupt() throws {
        let bytes = Array(AOFText.sample.utf8)
        let middle = AOFText.sampleParts[0].utf8.count + AOFText.sampleParts[1].utf8.count
        let reading = try AOFReading(Array(bytes[..<middle]) + Array(repeating: 0, count: 500) + bytes[middle...])
        #expect(reading.end?.kind == .corrupt && reading.end?.keep == middle && reading.end?.offset == middle)
    }

    @Test func everyFlipIsReadOrRefused() throws {
        let good = Array(AOFText.sample.utf8)
        var outcomes: [AOFEnd.Kind: Int] = [:]
        for index in good.indices {
            for bit in 0..<8 {
                var bytes = good
                bytes[index] ^= 1 << bit
                let reading = try AOFReading(bytes)
                guard let end = reading.end else { continue }
                outcomes[end.kind, default: 0] += 1
                #expect(end.keep <= end.offset && end.offset <= bytes.count, "flip of bit \(bit) in \(index)")
                // What was read up to there is what stands there.
                let again = try AOFReading(Array(bytes[..<end.keep]))
                #expect(again.end?.kind == .whole && again.end?.keep == end.keep, "flip of bit \(bit) in \(index)")
            }
        }
        #expect(outcomes[.corrupt, default: 0] > 1000 && outcomes[.whole, default: 0] > 200)
    }

    @Test func aDamagedLengthThatPointsBehindTheEndIsCorrupt() throws {
        let first = AOFText.record("SET", "a", "1")
        let rest = (0..<20).map { AOFText.record("SET", "key\($0)", "value") }.joined()
        let damaged = "*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$91234\r\nx\r\n"
        let reading = try AOFReading(first + damaged + rest)
        #expect(reading.end?.kind == .corrupt)
        #expect(reading.end?.offset == first.utf8.count && reading.end?.keep == first.utf8.count)
        #expect(reading.end?.reason.contains("whole records follow from byte \((first + damaged).utf8.count)") == true)
        // A count that is too high takes the next records for arguments.
        let count = try AOFReading(first + "*4\r\n$3\r\nSET\r\n$1\r\nb\r\n$1\r\nx\r\n" + rest)
        #expect(count.end?.kind == .corrupt && count.end?.offset == first.utf8.count)
    }

    @Test func aTornValueThatHoldsARecordIsTorn() throws {
        let value = "text\r\n" + AOFText.record("SET", "a", "b") + "and more text"
        let text = AOFText.record("SET", "a", "1") + "*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$900\r\n" + value
        #expect(try AOFReading(text).end?.kind == .torn)
    }

    @Test func refusesWhatNobodyWrites() throws {
        let head = AOFText.record("PING")
        for (bad, words) in [
            ("hello\r\n", "format error"), ("*0\r\n", "without arguments"), ("*-1\r\n", "without arguments"),
            ("*x\r\n", "no number"), ("*99999999999999999999\r\n", "no number"), ("*1\r\n:1\r\n", "got: ':'"),
            ("*1\r\n$-1\r\n", "length is no number"), ("*1\r\n$99999999999\r\n", "length is no number"),
            ("*1\r\n$4\r\nPINGxx", "behind an argument"), ("*1\rx$4\r\nPING\r\n", "count without"),
            ("*1\r\n$4\rxPING\r\n", "length without"), (AOFText.record("EXEC"), "Unexpected EXEC"),
            (AOFText.record("MULTI") + AOFText.record("MULTI"), "Unexpected MULTI"),
            ("#" + String(repeating: "x", count: 127) + "\n", "annotation of more than"),
        ] {
            let reading = try AOFReading(head + bad + "more")
            #expect(reading.end?.kind == .corrupt && reading.end?.keep == head.utf8.count, "\(bad)")
            #expect(reading.end?.reason.contains(words) == true, "\(bad): \(reading.end?.reason ?? "")")
        }
    }

    @Test func recordsLongerThanTheWindowAreRead() throws {
        let long = String(repeating: "x", count: 3_000_000)
        let head = AOFText.record("SET", "a", long) + AOFText.record("SET", long, "b")
        let reading = try AOFReading(head + AOFText.sample)
        #expect(reading.records[0][2] == long && reading.records[1][1] == long && reading.records.count == 13)
        #expect(reading.end?.kind == .whole)
    }

    @Test func readsTheLogsOfRealServers() throws {
        let disk = PosixFileSystem()
        for server in ["redis-7.0", "redis-7.4", "redis-8-dev", "valkey-8"] {
            let directory = Fixture.path("servers/\(server)/appendonlydir")
            let manifest = try AOFDirectory.load(disk, directory + "/appendonly.aof.manifest",
                                                 filename: "appendonly.aof")
            for entry in manifest.loadOrder {
                let reading = try AOFReading(directory + "/" + entry.name, in: disk)
                #expect(reading.end?.kind == .whole && !reading.records.isEmpty, "\(server) \(entry.name)")
            }
        }
        let old = try AOFReading(Fixture.path("servers/redis-6.2/appendonly.aof"), in: disk)
        #expect(old.end?.kind == .whole && old.end?.keep == 2_359_982)
    }

    @Test func readsOnBehindAnRDBPreamble() throws {
        let disk = PosixFileSystem()
        let path = Fixture.path("servers/redis-7.0/dump.rdb")
        let rdb = try disk.contents(path, limit: 1 << 30)
        let reading = try AOFReading(Array(rdb.bytes) + Array(AOFText.sample.utf8))
        #expect(reading.records[0] == ["RDB", "171"] && reading.records.count == 12)
        #expect(reading.end == AOFEnd.whole(rdb.count + AOFText.sample.utf8.count))
        let torn = try AOFReading(Array(rdb.bytes) + Array("*1\r\n$4\r\nPI".utf8))
        #expect(torn.end?.kind == .torn && torn.end?.keep == rdb.count)
    }
}
