import Encodings
import Keyspace
import Primitives
import Storage
import Testing
import TestSupport

/// Loads in stretches, by one thread and by several, come to what a load key by key comes to.
@Suite struct RDBStretchTests {
    private enum Way: CaseIterable {
        case keyByKey, oneThread, threeThreads

        func set(_ options: inout RDBLoadOptions) {
            options.readsStretches = self != .keyByKey
            options.plan.workers = self == .threeThreads ? 2 : 0
        }
    }

    /// Everything that a load shows.
    private func outcome(_ bytes: [UInt8], _ way: Way, _ change: (inout RDBLoadOptions) -> Void = { _ in }) -> String {
        let target = LoadTarget()
        do throws(StorageError) {
            let result = try target.load(bytes) {
                way.set(&$0)
                change(&$0)
            }
            return "\(KeyspaceDigest.whole(target.keyspace).hex) \(result)"
        } catch {
            return "\(error)"
        }
    }

    private func expectSame(_ bytes: [UInt8], _ note: String, _ change: (inout RDBLoadOptions) -> Void = { _ in }) {
        let wanted = outcome(bytes, .keyByKey, change)
        #expect(outcome(bytes, .oneThread, change) == wanted, "\(note)")
        #expect(outcome(bytes, .threeThreads, change) == wanted, "\(note)")
    }

    /// A file of some hundred kilobytes: several chunks, two databases, all types, expires, long and repeated values.
    private func file(_ keys: Int, _ random: inout RandomSource) -> [UInt8] {
        let target = LoadTarget()
        for number in 0..<keys {
            let key = owned(Array("key:\(number)".utf8)), database = number % 5 == 4 ? 1 : 0
            let time: Int64 = number % 2 == 0 ? 1_600_000_000_000 : 1_900_000_000_000
            let expire = number % 7 == 0 ? UnixMilliseconds(time) : nil
            let count = Int(random.next(below: 40)) + 1
            let elements = (0..<count).map { Element("\($0) of \(number % 3 == 0 ? number : 7)") }
            switch number % 4 {
            case 0:
                let text = String(repeating: number % 8 == 0 ? "again and " : "\(number)", count: count)
                let value = owned(Array(text.utf8))
                target.keyspace.setString(key.bytes, to: value.bytes, in: database, keepExpire: false, expire: expire)
            case 1:
                var hash = HashValue.createTable(target.keyspace.context, expected: 0)
                for element in elements { _ = hash.addToTable(element.bytes, key.bytes, expire: nil) }
                target.keyspace.set(key.bytes, to: hash.makeValue(), in: database, expire: expire)
            case 2:
                var set = SetValue.createListpack()
                for element in elements { _ = set.add(element.bytes, target.keyspace) }
                target.keyspace.set(key.bytes, to: set.makeValue(), in: database, expire: expire)
            default:
                var set = SortedSetValue.createSkiplist(target.keyspace.context)
                for (place, element) in elements.enumerated() {
                    set.insert(element.bytes, Double(place), target.keyspace)
                }
                target.keyspace.set(key.bytes, to: set.makeValue(), in: database, expire: expire)
            }
        }
        return target.snapshot()
    }

    @Test(arguments: RDBFixture.servers)
    func filesOfServersLoadAlike(server: String) throws {
        expectSame(try RDBFixture.bytes("\(RDBFixture.directory)/\(server)/dump.rdb"), server)
    }

    @Test func oldFilesLoadAlike() throws {
        for path in try RDBFixture.old() { expectSame(try RDBFixture.bytes(path), path) }
    }

    @Test func manyKeysLoadAlike() throws {
        var random = RandomSource(seed: 11)
        let bytes = file(1500, &random)
        #expect(bytes.count > 300_000)
        expectSame(bytes, "as written")
        expectSame(bytes, "all kept") { $0.dropsExpired = false }
        expectSame(bytes, "thorough") { $0.isThorough = true }
    }

    /// The first thing that is wrong is told, with its place and its key, whoever comes upon it.
    @Test func damageIsToldAlike() throws {
        var random = RandomSource(seed: 12)
        let bytes = file(900, &random)
        for round in 0..<12 {
            var damaged = bytes
            let place = Int(random.next(below: UInt64(bytes.count)))
            if round % 4 == 0 {
                damaged.removeLast(bytes.count - place)
            } else {
                for _ in 0...(round % 3) {
                    damaged[min(place + Int(random.next(below: 50_000)), bytes.count - 1)] = UInt8(random.next() & 255)
                }
            }
            expectSame(damaged, "round \(round), from byte \(place)") { $0.verifiesChecksum = round % 2 == 0 }
        }
    }

    /// An AUX field between a key's expire and its type, wherever a stretch may begin: the expire stays the key's.
    @Test func anExpireStaysWithItsKey() throws {
        for ahead in 0..<12 {
            var bytes = Array("REDIS0012".utf8) + [0xfe, 0]
            for number in 0..<ahead { bytes += [0xfa, 1, 97, 1, UInt8(65 + number)] }
            for number in 0..<20 as Range<UInt8> {
                // 2030-03-17 in ms.
                bytes += [0xfc, 0, 0xe8, 0x1f, 0x37, 0xba, 1, 0, 0]
                if number % 3 == 0 { bytes += [0xfa, 1, 97, 1, 98] }
                bytes += [0, 2, 107, 65 + number, 1, 118]
            }
            bytes += [0xff] + [UInt8](repeating: 0, count: 8)
            expectSame(bytes, "\(ahead) AUX fields before")
            for way in Way.allCases {
                let target = LoadTarget()
                _ = try target.load(bytes) { way.set(&$0) }
                for number in 0..<20 as Range<UInt8> {
                    let expire = target.find([107, 65 + number])?.expire
                    #expect(expire == UnixMilliseconds(0x01ba_371f_e800), "\(ahead), key \(number), \(way)")
                }
            }
        }
    }

    /// What producers sent stands as an AUX field before the stream that it belongs to, and is of no other.
    @Test func producersStayWithTheirStream() throws {
        let target = LoadTarget()
        for number in 0..<60 {
            let key = owned(Array("key:\(number)".utf8))
            guard number % 3 == 0 else {
                target.keyspace.setString(key.bytes, to: key.bytes, in: 0, keepExpire: false)
                continue
            }
            let stream = StreamValue.create(), producers = stream.makeProducers()
            producers.pointee.remember(key.bytes, from: key.bytes, StreamID(UInt64(number) + 1, 0), oldest: .minimum,
                                       maximumSize: 9)
            target.keyspace.set(key.bytes, to: stream.makeValue(), in: 0)
        }
        let bytes = target.snapshot()
        for way in Way.allCases {
            let loaded = LoadTarget()
            _ = try loaded.load(bytes) { way.set(&$0) }
            for number in stride(from: 0, to: 60, by: 3) {
                let name = Array("key:\(number)".utf8), key = owned(name)
                let entry = try #require(loaded.find(name))
                let producers = try #require(StreamValue(entry).producers, "\(number), \(way)").pointee
                #expect(producers.entry(of: key.bytes, from: key.bytes, oldest: .minimum)
                        == StreamID(UInt64(number) + 1, 0), "\(number), \(way)")
            }
        }
    }

    /// What was made and not added is freed.
    @Test func aLoadThatFailsLosesNoMemory() throws {
        var random = RandomSource(seed: 13)
        var bytes = file(900, &random)
        bytes.removeLast(bytes.count / 3)
        let growth = heapGrowth { _ = outcome(bytes, .threeThreads) }
        #expect(growth <= 0)
    }

    @Test func aKeyThatComesTwiceIsTold() throws {
        var random = RandomSource(seed: 14)
        let bytes = file(300, &random)
        let target = LoadTarget()
        _ = try target.load(bytes)
        for way in Way.allCases {
            do throws(StorageError) {
                _ = try target.load(bytes) { way.set(&$0) }
                Issue.record("loaded twice")
            } catch {
                #expect("\(error)".contains("duplicated key in DB 0 (in key 'key:"), "\(error)")
            }
            _ = try target.load(bytes) {
                way.set(&$0)
                $0.replacesKeys = true
            }
        }
    }

    /// A file that ends badly, cut while others decode: no thread stays.
    @Test func noThreadStays() throws {
        var random = RandomSource(seed: 15)
        var bytes = file(900, &random)
        bytes.removeLast(1000)
        _ = outcome(bytes, .threeThreads)
        let stages = CountingStages(chunks: 1000)
        let pipeline = LoadPipeline(stages, workers: 3)
        var taken = 0
        loop: while taken < 10 {
            switch pipeline.next() {
            case .chunk(let chunk):
                #expect(chunk.number == taken && chunk.isDecoded)
                taken += 1
                pipeline.recycle(chunk)
            case .nothing: continue
            case .end: break loop
            }
        }
        pipeline.end()
        #expect(taken == 10)
        #expect(stages.cutCount < 1000)
    }

    @Test(arguments: [0, 1, 4])
    func chunksComeInOrder(workers: Int) {
        let stages = CountingStages(chunks: 300)
        let pipeline = LoadPipeline(stages, workers: workers)
        defer { pipeline.end() }
        var expected = 0
        while true {
            switch pipeline.next() {
            case .chunk(let chunk):
                #expect(chunk.number == expected && chunk.isDecoded)
                expected += 1
                pipeline.recycle(chunk)
            case .nothing: continue
            case .end:
                #expect(expected == 300)
                return
            }
        }
    }
}

private final class Element {
    private let text: OwnedBytes
    init(_ text: String) { self.text = owned(Array(text.utf8)) }
    var bytes: Bytes { text.bytes }
}

/// Chunks that are numbers.
private final class CountingStages: LoadStages, @unchecked Sendable {
    // @unchecked: `cutCount` is the cutter's, and is read when no thread is left.
    final class Chunk {
        var number = -1
        var isDecoded = false
    }

    private let chunks: Int
    var cutCount = 0

    init(chunks: Int) { self.chunks = chunks }

    func makeChunk() -> Chunk { Chunk() }
    func byteCount(_ chunk: Chunk) -> Int { 1 << 20 }
    func decode(_ chunk: Chunk) { chunk.isDecoded = true }

    func cut(_ chunk: Chunk) -> Bool {
        chunk.number = cutCount
        chunk.isDecoded = false
        cutCount += 1
        return cutCount < chunks
    }
}
