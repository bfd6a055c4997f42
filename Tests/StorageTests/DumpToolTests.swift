import Foundation
import Keyspace
import Primitives
import Storage
import TestSupport
import Testing

/// A directory that goes with the test.
final class ScratchDirectory {
    let path = NSTemporaryDirectory() + "swift-redis-\(UUID().uuidString)"

    init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ name: String, _ bytes: [UInt8]) throws -> String {
        let file = "\(path)/\(name)"
        try Data(bytes).write(to: URL(fileURLWithPath: file))
        return file
    }

    var names: [String] { (try? FileManager.default.contentsOfDirectory(atPath: path))?.sorted() ?? [] }
}

@Suite struct DumpToolTests {
    private let fileSystem = PosixFileSystem()

    private func fixture(_ server: String) -> String { "\(RDBFixture.directory)/\(server)/dump.rdb" }

    private func diff(_ first: String, _ second: String,
                      _ selection: DumpSelection = DumpSelection()) throws -> DumpDiffReport {
        try DumpDiff.run(first, second, selection, skipsUnsupported: false, in: fileSystem) { _ in }
    }

    // MARK: Converting

    /// All that a version can hold arrives in it, whoever wrote the dump.
    @Test(arguments: RDBFixture.servers)
    func convertingKeepsEveryValue(server: String) throws {
        let place = try ScratchDirectory()
        for version in 9...12 {
            var options = DumpCopyOptions()
            options.version = version
            let output = "\(place.path)/\(version).rdb"
            let report = try DumpConvert.run(fixture(server), to: output, options, in: fileSystem) { _ in }
            #expect(report.keysWritten == 171)
            let difference = try diff(fixture(server), output)
            let expiring = report.losses.filter { $0.reason.contains("expires of its fields") }
            #expect(Set(difference.differences.map { $0.key }) == Set(expiring.compactMap { $0.key }))
            #expect(expiring.isEmpty == (version == 12 || !["redis-7.4", "redis-8-dev"].contains(server)))
        }
        #expect(place.names == ["10.rdb", "11.rdb", "12.rdb", "9.rdb"])
    }

    @Test func anOutputIsNeverOverwrittenUnasked() throws {
        let place = try ScratchDirectory()
        let output = try place.write("out.rdb", Array("precious".utf8))
        var options = DumpCopyOptions()
        #expect(throws: StorageError.self) {
            try DumpConvert.run(fixture("redis-7.0"), to: output, options, in: fileSystem) { _ in }
        }
        #expect(try RDBFixture.bytes(output) == Array("precious".utf8))
        options.overwrites = true
        _ = try DumpConvert.run(fixture("redis-7.0"), to: output, options, in: fileSystem) { _ in }
        #expect(try diff(fixture("redis-7.0"), output).isEqual)
        #expect(place.names == ["out.rdb"])
    }

    @Test func aDamagedFileLeavesNoOutput() throws {
        let place = try ScratchDirectory()
        let bad = try place.write("bad.rdb", Array(try RDBFixture.bytes(fixture("redis-7.4")).prefix(50000)))
        #expect(throws: StorageError.self) {
            try DumpConvert.run(bad, to: "\(place.path)/out.rdb", DumpCopyOptions(), in: fileSystem) { _ in }
        }
        #expect(place.names == ["bad.rdb"])
    }

    @Test func filtersChooseKeys() throws {
        let place = try ScratchDirectory()
        var options = DumpCopyOptions()
        options.selection.databases = [3]
        options.selection.types = ["list", "zset"]
        options.selection.pattern = Array("*:*".utf8)
        let output = "\(place.path)/out.rdb"
        let report = try DumpConvert.run(fixture("redis-7.4"), to: output, options, in: fileSystem) { _ in }
        #expect(report.keysWritten == 9 && report.keysPassedOver == 162)
        let difference = try diff(fixture("redis-7.4"), output, options.selection)
        #expect(difference.isEqual && difference.equal == 9)
    }

    /// Dumps are read as gzip and LZ4 leave them, and damage to those is told.
    @Test func compressedDumpsAreReadAsTheyAre() throws {
        let place = try ScratchDirectory()
        let good = try RDBFixture.bytes(fixture("redis-7.0"))
        let frame = ForeignFile.lz4(good)
        let lz4 = try place.write("dump.rdb.lz4", frame)
        _ = try place.write("dump.rdb", good)
        let gzip = Process()
        gzip.executableURL = URL(fileURLWithPath: "/bin/gzip")
        gzip.arguments = ["\(place.path)/dump.rdb"]
        try gzip.run()
        gzip.waitUntilExit()
        for path in [lz4, "\(place.path)/dump.rdb.gz"] {
            #expect(try diff(fixture("redis-7.0"), path).isEqual)
            let report = try DumpVerify.run(path, threads: 2, skipsUnsupported: false, now: UnixMilliseconds(0),
                                            in: fileSystem)
            #expect(report.isGood && report.keys == 171)
        }
        let torn = try place.write("torn.lz4", Array(frame.prefix(frame.count / 2)))
        let report = try DumpSalvage.run(torn, to: "\(place.path)/out", DumpCopyOptions(), in: fileSystem) { _ in }
        #expect(report.keysWritten > 0 && report.gapCount > 0)
        #expect(throws: StorageError.self) {
            try DumpVerify.run(torn, threads: 2, skipsUnsupported: false, now: UnixMilliseconds(0), in: fileSystem)
        }
    }

    // MARK: Comparing

    @Test func differencesAreNamed() throws {
        let place = try ScratchDirectory()
        var first = ForeignFile("REDIS0011"), second = ForeignFile("REDIS0011")
        for (key, value) in [("same", "1"), ("other", "2"), ("gone", "3")] { first.plain(key, value) }
        for (key, value) in [("other", "9"), ("same", "1"), ("new", "4")] { second.plain(key, value) }
        let report = try diff(try place.write("a", first.finished()), try place.write("b", second.finished()))
        #expect(report.equal == 1)
        #expect(report.differences.map { "\($0.kind) \($0.key)" } == ["changed other", "added new", "removed gone"])
    }

    // MARK: Salvage

    /// Where the file's keys are: name and database, and the bytes from the end of the one before.
    private struct Extents: RDBVisitor {
        var places: [String: Range<Int>] = [:]
        var last = 9
        var database = 0

        mutating func selectDatabase(_ index: Int, at offset: Int) { database = index }
        mutating func value(of key: Bytes, _ attributes: RDBKeyAttributes, _ type: RDBType,
                            _ input: inout RDBInput) throws(StorageError) {
            try input.skipValue(type)
            places["\(database) \(String(decoding: key, as: UTF8.self))"] = last..<input.offset
            last = input.offset
        }
    }

    /// Damage at one place costs the keys that it touches, and most often hardly any other; none is made up. (A length
    /// that was hit leads astray, and then many may go with it: so it is asked of half of the places only.)
    @Test func salvageKeepsWhatTheDamageDidNotTouch() throws {
        let seed = testSeed()
        var random = SplitMix(state: seed)
        let place = try ScratchDirectory()
        let good = try RDBFixture.bytes(fixture("redis-7.4"))
        var extents = Extents()
        let copy = owned(good)
        var walker = RDBWalker(RDBInput(copy.bytes))
        try walker.walk(&extents)
        var costly = 0
        for round in 0..<25 {
            var lost = 0
            var bytes = good
            let start = 9 + random.below(good.count - 200), length = 1 + random.below(64)
            if round % 5 == 4 {
                bytes.removeSubrange(start..<(start + length))
            } else {
                for index in start..<(start + length) { bytes[index] = UInt8(truncatingIfNeeded: random.next()) }
            }
            let bad = try place.write("bad-\(round)", bytes), output = "\(place.path)/out-\(round)"
            let report = try DumpSalvage.run(bad, to: output, DumpCopyOptions(), in: fileSystem) { _ in }
            let difference = try diff(fixture("redis-7.4"), output)
            let damaged = start..<(start + length)
            for item in difference.differences {
                guard let range = extents.places["\(item.database) \(item.key)"] else { continue }
                if !range.overlaps(damaged) { lost += 1 }
                let isTold = report.gapCount > 0
                #expect(isTold, "seed \(seed), round \(round): \(item)")
            }
            if lost * 50 > extents.places.count { costly += 1 }
        }
        #expect(costly <= 12, "seed \(seed): \(costly) of 25 places cost more than one key in fifty beside their own")
    }

    @Test func salvageOfATornFileKeepsAllBefore() throws {
        let place = try ScratchDirectory()
        let good = try RDBFixture.bytes(fixture("redis-7.0"))
        let bad = try place.write("bad", Array(good.prefix(50000)))
        let report = try DumpSalvage.run(bad, to: "\(place.path)/out", DumpCopyOptions(), in: fileSystem) { _ in }
        #expect(report.gaps.map { $0.start }.count == 1)
        #expect(report.losses.first?.key == "list:long")
        let difference = try diff(fixture("redis-7.0"), "\(place.path)/out")
        #expect(difference.added == 0 && difference.changed == 0 && difference.equal == report.keysWritten)
        #expect(report.keysWritten > 5)
    }

    /// Whatever a file holds, salvage ends with a good file.
    @Test func salvageNeverTraps() throws {
        let seed = testSeed()
        var random = SplitMix(state: seed)
        let place = try ScratchDirectory()
        for (number, path) in try RDBFixture.old().filter({ !$0.contains("dictionary") }).enumerated() {
            let good = try RDBFixture.bytes(path)
            for round in 0..<4 {
                let bad = try place.write("bad-\(number)-\(round)", random.damaged(random.damaged(good)))
                let output = "\(place.path)/out-\(number)-\(round)"
                let report = try DumpSalvage.run(bad, to: output, DumpCopyOptions(), in: fileSystem) { _ in }
                #expect(report.keysWritten >= 0, "seed \(seed)")
                let back = try fileSystem.open(output, .read)
                defer { fileSystem.close(back) }
                let check = RDBCheck.run(RDBInput(back, in: fileSystem), now: UnixMilliseconds(0))
                #expect(check.isGood, "seed \(seed)")
                #expect(check.keys == report.keysWritten, "seed \(seed)")
            }
        }
    }

    // MARK: Verifying

    @Test(arguments: [1, 2, 3, 7])
    func verifyOnSeveralThreadsSaysWhatOneSays(threads: Int) throws {
        let seed = testSeed()
        var random = SplitMix(state: seed)
        let place = try ScratchDirectory()
        let good = try RDBFixture.bytes(fixture("redis-7.4"))
        for round in 0..<8 {
            let path = try place.write("f-\(round)", round == 0 ? good : random.damaged(good))
            let report = try DumpVerify.run(path, threads: threads, skipsUnsupported: false, now: UnixMilliseconds(0),
                                            in: fileSystem)
            let file = try fileSystem.open(path, .read)
            defer { fileSystem.close(file) }
            let one = RDBCheck.run(RDBInput(file, in: fileSystem), now: UnixMilliseconds(0))
            #expect(report.isGood == one.isGood, "seed \(seed) round \(round)")
            if report.isGood { #expect(report.keys == one.keys && report.types == one.types) }
        }
    }

    @Test func checksumsOfPiecesCombine() {
        let bytes = (0..<10_007).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        bytes.withUnsafeBytes { all in
            for cut in [0, 1, 7, 4096, 10_006, 10_007] {
                let first = CRC64.of(Bytes(rebasing: all[..<cut])), second = CRC64.of(Bytes(rebasing: all[cut...]))
                #expect(CRC64.combine(first, second, all.count - cut) == CRC64.of(Bytes(all)))
            }
        }
    }

    // MARK: Statistics

    @Test func statisticsCountAllKeys() throws {
        let file = try fileSystem.open(fixture("redis-7.4"), .read)
        defer { fileSystem.close(file) }
        var options = RDBCheckOptions()
        options.statistics = DumpStatistics(now: UnixMilliseconds(1_795_400_000_000), biggest: 3)
        let report = RDBCheck.run(RDBInput(file, in: fileSystem), options) { _ in }
        let statistics = try #require(report.statistics)
        #expect(statistics.types.values.map { $0.keys }.reduce(0, +) == 171)
        #expect(statistics.persistent == 168 && statistics.expiring.reduce(0, +) == 3)
        #expect(statistics.biggest.map { $0.name } == ["list:long", "list:long", "list:long"])
        #expect(statistics.prefixes["list:"]?.keys == 15)
        let json = try JSONSerialization.jsonObject(with: Data(report.json.utf8)) as? [String: Any]
        #expect((json?["statistics"] as? [String: Any])?["persistent"] as? Int == 168)
    }

    /// Servers refuse a key that comes twice; so does the check.
    @Test func theCheckRefusesWhatTheServerWould() throws {
        var twice = ForeignFile("REDIS0011")
        twice.plain("k", "1")
        twice.plain("k", "2")
        var listpack = ForeignFile("REDIS0011")
        listpack.key(16, "h")
        listpack.raw(ForeignFile.string(ForeignFile.listpack(["a"])))
        for file in [twice, listpack] {
            let copy = owned(file.finished())
            #expect(RDBCheck.run(RDBInput(copy.bytes), now: UnixMilliseconds(0)).damage?.error.isCorrupt == true)
        }
        let place = try ScratchDirectory()
        let path = try place.write("twice", twice.finished())
        let report = try DumpVerify.run(path, threads: 2, skipsUnsupported: false, now: UnixMilliseconds(0),
                                        in: fileSystem)
        #expect(report.damage?.error.isCorrupt == true)
    }

    /// Servers leave out a collection without elements, and take its key when it comes again; the check called it a
    /// key that comes twice.
    @Test(arguments: [true, false]) func anEmptyKeyMayComeAgain(isFirst: Bool) throws {
        var file = ForeignFile("REDIS0011")
        if !isFirst { file.plain("k", "1") }
        file.key(2, "k")
        file.length(0)
        if isFirst { file.plain("k", "1") }
        let place = try ScratchDirectory()
        let path = try place.write("again", file.finished())
        let report = try DumpVerify.run(path, threads: 2, skipsUnsupported: false, now: UnixMilliseconds(0),
                                        in: fileSystem)
        let copy = owned(file.finished())
        #expect(report.isGood)
        #expect(RDBCheck.run(RDBInput(copy.bytes), now: UnixMilliseconds(0)).isGood)
    }
}
