import Encodings
import Keyspace
import Primitives
import Storage
import Testing
import TestSupport

@Suite struct RDBLoadTests {
    private static let versions = ["redis-6.2": 9, "redis-7.0": 10, "redis-7.4": 12, "redis-8-dev": 12, "valkey-8": 11]

    /// The encodings of 7.4, whoever wrote the file; digests as 7.4 gives them.
    @Test(arguments: RDBFixture.servers)
    func filesOfRealServersLoadToWhatTheySaid(server: String) throws {
        let recorded = try RecordedKey.all(of: server), today = try RecordedKey.all(of: "redis-7.4")
        let target = LoadTarget()
        let result = try target.load(try RDBFixture.bytes("\(RDBFixture.directory)/\(server)/dump.rdb"))
        #expect(result.keys == recorded.keys.count)
        #expect(result.expired == 0)
        let version = RDBVersion(Self.versions[server] ?? 12)
        for (key, now) in zip(recorded.keys, today.keys) {
            #expect(key.key == now.key)
            let entry = try #require(target.find(key.key, key.database), "\(key.name)")
            #expect("\(entry.type.name)" == key.type, "\(key.name)")
            // 6.2 has no PEXPIRETIME.
            if server != "redis-6.2" { #expect((entry.expire?.rawValue ?? -1) == key.expire, "\(key.name)") }
            if server == "redis-7.4", key.encoding != "raw" || entry.encoding != .embstr {
                #expect("\(entry.encoding.name)" == key.encoding, "\(key.name)")
            }
            let hasFieldExpires = now.encoding == "listpackex" || key.key == Array("hash:ttlht".utf8)
            if let dump = key.dump, key.encoding != "hashtable" {
                #expect(target.dump(entry, version).hex == dump.hex, "\(key.name) \(key.encoding)")
            }
            // A score of -0 is one in the ziplist of 6.2, and 0 in listpacks.
            if server == "redis-6.2", key.key == Array("zset:special".utf8) { continue }
            if !hasFieldExpires || server.hasPrefix("redis-7.4") || server.hasPrefix("redis-8") {
                #expect(KeyspaceDigest.value(entry).hex == now.digest, "\(key.name)")
            }
        }
        if server == "redis-7.4" { #expect(KeyspaceDigest.whole(target.keyspace).hex == recorded.digest) }
    }

    @Test(arguments: RDBFixture.servers)
    func payloadsOfRealServersAreRestored(server: String) throws {
        let recorded = try RecordedKey.all(of: server)
        let version = RDBVersion(Self.versions[server] ?? 12)
        for key in recorded.keys {
            guard let dump = key.dump else { continue }
            let target = LoadTarget()
            let payload = owned(dump)
            let isIntact = RDBPayload.isIntact(payload.bytes)
            #expect(isIntact)
            let entry = try #require(try target.restore(dump), "\(key.name)")
            #expect("\(entry.type.name)" == key.type, "\(key.name)")
            if key.encoding != "hashtable" { #expect(target.dump(entry, version).hex == dump.hex, "\(key.name)") }
        }
    }

    @Test func oldFilesLoad() throws {
        for path in try RDBFixture.old() {
            let bytes = try RDBFixture.bytes(path)
            let target = LoadTarget()
            let result = try target.load(bytes) { $0.dropsExpired = false }
            #expect(result.keys == target.keyCount, "\(path)")
        }
    }

    /// What is written is read back to the same digest; in old versions fields lose their expires.
    @Test(arguments: [9, 10, 11, 12])
    func snapshotsAreReadBack(version: Int) throws {
        let target = LoadTarget()
        _ = try target.load(try RDBFixture.bytes("\(RDBFixture.directory)/redis-7.4/dump.rdb"))
        let file = target.snapshot { $0.version = RDBVersion(version); $0.createdAt = 1_700_000_000 }
        let again = LoadTarget()
        let result = try again.load(file)
        #expect(result.keys == target.keyCount)
        #expect(result.end == file.count)
        #expect(result.aux.prefix(3) == ["redis-ver=7.4.1", "redis-bits=64", "ctime=1700000000"])
        if version == 12 {
            #expect(KeyspaceDigest.whole(again.keyspace) == KeyspaceDigest.whole(target.keyspace))
        }
    }

    @Test func expiredKeysAreLeftOutWhenAsked() throws {
        let bytes = try RDBFixture.bytes("\(RDBFixture.directory)/old-rdb/keys_with_expiry.rdb")
        let primary = try LoadTarget().load(bytes)
        #expect(primary.keys == 0 && primary.expired == 1)
        let replica = try LoadTarget().load(bytes) { $0.dropsExpired = false }
        #expect(replica.keys == 1 && replica.expired == 0)
    }

    @Test func emptyCollectionsAreSkipped() throws {
        let types: [[UInt8]] = [[1, 1, 65, 0], [2, 1, 65, 0], [3, 1, 65, 0], [4, 1, 65, 0], [5, 1, 65, 0],
                                [18, 1, 65, 0], [16, 1, 65, 7, 7, 0, 0, 0, 0, 0, 0xff]]
        for type in types {
            let result = try LoadTarget().load(Array("REDIS0003".utf8) + type + [0, 1, 66, 1, 67, 255])
            #expect(result.keys == 1 && result.empty == 1, "type \(type[0])")
        }
    }

    @Test func duplicatesAreCorrupt() {
        let bodies: [[UInt8]] = [
            [2, 1, 65, 2, 1, 66, 1, 66], [4, 1, 65, 2, 1, 66, 1, 67, 1, 66, 1, 68],
            [3, 1, 65, 2, 1, 66, 1, 49, 1, 66, 1, 50], [0, 1, 65, 1, 66, 0, 1, 65, 1, 67],
        ]
        for body in bodies {
            #expect(throws: StorageError.self, "type \(body[0])") {
                try LoadTarget().load(Array("REDIS0003".utf8) + body + [255])
            }
        }
    }

    @Test func errorsNameFileOffsetAndKey() {
        do {
            _ = try LoadTarget().load(Array("REDIS0003".utf8) + [11, 3, 65, 66, 67, 4, 1, 2, 3, 4, 255])
            Issue.record("no error")
        } catch {
            #expect(error.isCorrupt)
            #expect(error.offset == 19)
            #expect(error.cause == "Intset integrity check failed. (in key 'ABC' of type set-intset)")
        }
    }

    @Test func functionsGoFromLoadToSnapshot() throws {
        let target = LoadTarget()
        var functions = RDBFunctions()
        functions.append(("#!lua name=one\n" as StaticString).bytes)
        functions.append(("#!lua name=two\n" as StaticString).bytes)
        let sources = functions.bytes
        let file = target.snapshot { $0.functions = sources }
        functions.removeAll()
        #expect(try LoadTarget().load(file).functions == ["#!lua name=one\n", "#!lua name=two\n"])
    }

    @Test func valuesOfModulesComeBackByteForByte() throws {
        let path = "\(RDBFixture.directory)/old-rdb/redis_40_with_module.rdb"
        let target = LoadTarget()
        _ = try target.load(try RDBFixture.bytes(path))
        let again = LoadTarget()
        _ = try again.load(target.snapshot())
        #expect(KeyspaceDigest.whole(again.keyspace) == KeyspaceDigest.whole(target.keyspace))
        #expect(again.keyCount == target.keyCount)
    }

    /// What a small collection must not be, in payloads of RESTORE.
    @Test func wrongOrderAndDuplicatesWithinListpacksAreRefused() {
        func listpack(_ elements: [String]) -> [UInt8] {
            var pack = Listpack.create()
            for element in elements { Array(element.utf8).withUnsafeBytes { pack.append($0) } }
            defer { pack.destroy() }
            return [UInt8(pack.byteCount)] + [UInt8](pack.bytes)
        }
        func isTaken(_ body: [UInt8]) -> Bool {
            let payload = body + [12, 0] + [UInt8](repeating: 0, count: 8)
            return ((try? LoadTarget().restore(payload)) ?? nil) != nil
        }
        let noExpire = [UInt8](repeating: 0, count: 8)
        #expect(isTaken([20] + listpack(["a", "b"])))
        #expect(!isTaken([20] + listpack(["a", "b", "a"])))
        #expect(isTaken([16] + listpack(["a", "1", "b", "1"])))
        #expect(!isTaken([16] + listpack(["a", "1", "b"])))
        #expect(!isTaken([16] + listpack(["a", "1", "a", "2"])))
        #expect(isTaken([17] + listpack(["a", "1", "b", "1.5", "c", "inf"])))
        #expect(!isTaken([17] + listpack(["a", "2", "b", "1.5"])))
        #expect(!isTaken([17] + listpack(["a", "nan"])))
        #expect(!isTaken([17] + listpack(["a", "1x"])))
        #expect(!isTaken([17] + listpack(["a", "1", "a", "2"])))
        #expect(isTaken([25] + noExpire + listpack(["a", "1", "5", "b", "1", "7", "c", "1", "0"])))
        #expect(!isTaken([25] + noExpire + listpack(["a", "1", "7", "b", "1", "5"])))
        #expect(!isTaken([25] + noExpire + listpack(["a", "1", "0", "b", "1", "5"])))
        #expect(!isTaken([25] + noExpire + listpack(["a", "1", "281474976710655"])))
        #expect(!isTaken([25] + noExpire + listpack(["a", "1", "x"])))
    }

    @Test func smallCollectionsBecomeBigOnesWhereTheThresholdsSaySo() throws {
        let target = LoadTarget()
        target.keyspace.thresholds.hashMaxListpackEntries = 1
        target.keyspace.thresholds.setMaxListpackEntries = 1
        target.keyspace.thresholds.setMaxIntsetEntries = 1
        target.keyspace.thresholds.zsetMaxListpackEntries = 1
        target.keyspace.thresholds.listMaxListpackSize = 1
        let big = ["hashtable", "skiplist", "quicklist"]
        func count(_ entry: Entry) -> Int {
            switch entry.type {
            case .string, .stream, .module: 0
            case .list: ListValue(entry).count
            case .set: SetValue(entry).count
            case .sortedSet: SortedSetValue(entry).count
            case .hash: HashValue(entry).count
            }
        }
        for key in try RecordedKey.all(of: "redis-7.4").keys {
            guard let dump = key.dump, key.encoding != "embstr" else { continue }
            let entry = try #require(try target.restore(dump), "\(key.name)")
            #expect(count(entry) <= 1 || big.contains("\(entry.encoding.name)"), "\(key.name)")
            #expect(KeyspaceDigest.value(entry).hex == key.digest || key.expire >= 0, "\(key.name)")
        }
    }

    @Test func compressedFilesLoad() throws {
        let good = try RDBFixture.bytes("\(RDBFixture.directory)/old-rdb/integer_keys.rdb")
        // A gzip member with one stored block.
        let length = [UInt8(good.count & 255), UInt8(good.count >> 8)]
        let gzip: [UInt8] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1] + length + length.map { ~$0 } + good
            + Self.crc32(good) + length + [0, 0]
        let directory = try TemporaryDirectory()
        let disk = PosixFileSystem()
        let file = try disk.open(directory.path("a.rdb.gz"), .createNew)
        defer { disk.close(file) }
        let bytes = owned(gzip), none = owned([])
        try disk.write(file, none.bytes, bytes.bytes)
        let opened = try disk.open(file.path, .read)
        defer { disk.close(opened) }
        let target = LoadTarget()
        let input = RDBInput(opened.path, try RDBCompressedFile.source(opened, in: disk))
        let result = try RDBLoader.load(input, into: &target.keyspace, options: RDBLoadOptions()) { _ in }
        #expect(result.keysLoaded == target.keyCount && result.keysLoaded > 0)
    }

    private static func crc32(_ bytes: [UInt8]) -> [UInt8] {
        var crc: UInt32 = .max
        for byte in bytes {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xedb8_8320 : crc >> 1 }
        }
        return (0..<4).map { UInt8(truncatingIfNeeded: ~crc >> (8 * $0)) }
    }

    @Test func progressIsTold() throws {
        let bytes = owned(try RDBFixture.bytes("\(RDBFixture.directory)/redis-7.4/dump.rdb"))
        let target = LoadTarget()
        var options = RDBLoadOptions()
        options.progressInterval = 1 << 16
        var told: [RDBLoadProgress] = []
        let result = try RDBLoader.load(RDBInput(bytes.bytes), into: &target.keyspace, options: options) {
            told.append($0)
        }
        #expect(told.count > 3)
        #expect(zip(told, told.dropFirst()).allSatisfy { $0.bytes < $1.bytes && $0.keys <= $1.keys })
        #expect(told.last?.keys == result.keysLoaded)
    }

    @Test func databasesBeyondTheConfiguredAreRefused() {
        #expect(throws: StorageError.self) {
            try LoadTarget().load(Array("REDIS0003".utf8) + [254, 16, 0, 1, 66, 1, 67, 255])
        }
    }

    // MARK: Damage

    @Test func aFlippedBitInAPayloadIsFound() throws {
        let dump = try #require(try RecordedKey.all(of: "redis-7.4").keys.first { $0.encoding == "listpack" }?.dump)
        for bit in 0..<(dump.count * 8) {
            var bad = dump
            bad[bit / 8] ^= 1 << UInt8(bit % 8)
            let payload = owned(bad)
            let isIntact = RDBPayload.isIntact(payload.bytes)
            #expect(!isIntact, "bit \(bit)")
        }
    }

    /// Whatever a payload holds: a value or an error, never a trap. Payloads without footer checks on purpose.
    @Test func damagedPayloadsNeverTrap() throws {
        let seed = testSeed()
        var random = SplitMix(state: seed)
        var refused = 0, taken = 0
        for server in RDBFixture.servers {
            let target = LoadTarget()
            for key in try RecordedKey.all(of: server).keys {
                guard let dump = key.dump, dump.count < 3000 else { continue }
                for _ in 0..<8 {
                    let bad = random.damaged(Array(dump.dropLast(10))) + dump.suffix(10)
                    do {
                        if let entry = try target.restore(bad) { _ = target.dump(entry) }
                        taken += 1
                    } catch {
                        refused += 1
                    }
                }
            }
        }
        #expect(refused > 500 && taken > 50, "seed \(seed): \(refused) refused, \(taken) taken")
    }

    @Test func damagedFilesNeverTrapTheLoader() throws {
        let seed = testSeed()
        var random = SplitMix(state: seed)
        for path in try RDBFixture.old() + ["\(RDBFixture.directory)/redis-6.2/dump.rdb"] {
            let good = try RDBFixture.bytes(path)
            for _ in 0..<(good.count > 100_000 ? 20 : 40) {
                let bad = random.damaged(good)
                let target = LoadTarget()
                do {
                    _ = try target.load(bad) { $0.verifiesChecksum = false }
                } catch {
                    #expect(error.offset ?? 0 <= bad.count, "seed \(seed), \(path)")
                }
            }
        }
    }

    @Test func aFlippedBitAnywhereIsFound() throws {
        let good = try RDBFixture.bytes("\(RDBFixture.directory)/old-rdb/redis_50_with_streams.rdb")
        let small = try RDBFixture.bytes("\(RDBFixture.directory)/old-rdb/rdb_version_5_with_checksum.rdb")
        #expect(good.count > small.count)
        for bit in 0..<(small.count * 8) where !(40..<72).contains(bit) {
            var bad = small
            bad[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(throws: StorageError.self, "bit \(bit)") { try LoadTarget().load(bad) }
        }
    }
}
