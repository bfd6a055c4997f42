import Encodings
import Foundation
import Keyspace
import Primitives
import TestSupport
import Testing
@testable import Storage

@Suite struct StreamCodecTests {
    /// A stream with several nodes, deleted entries, groups, consumers, pending entries of both.
    private func makeStream() -> Value {
        var thresholds = Thresholds()
        thresholds.streamNodeMaxEntries = 5
        let stream = StreamValue.create()
        for number in 1...23 as ClosedRange<UInt64> {
            let texts: [StaticString] = number % 4 == 0 ? ["other", "12345", "x", "-7"] : ["field", "value"]
            let pairs = texts.map(\.bytes)
            pairs.withUnsafeBufferPointer { stream.append(StreamID(number * 1000, number % 3), $0, thresholds) }
        }
        _ = stream.delete(StreamID(3000, 0))
        _ = stream.delete(StreamID(9000, 0))
        for name in ["alpha", "beta"] as [StaticString] {
            guard let group = stream.addGroup(name.bytes, lastID: StreamID(8000, 2), entriesRead: name.bytes.count == 4
                ? nil : 7) else { continue }
            for consumer in ["c1", "c2", "c3"] as [StaticString] {
                let consumer = group.addConsumer(consumer.bytes, seenTime: 1_700_000_000_000, activeTime: -1)
                let first = UInt64(consumer.pointee.name.bytes[1] - 48)
                for number in stride(from: first, to: 8, by: 3) {
                    group.assign(StreamID(number * 1000, number % 3), to: consumer, deliveryTime: 1_700_000_000_500,
                                 deliveryCount: number)
                }
            }
        }
        if let group = stream.group(("beta" as StaticString).bytes) {
            group.release(StreamID(2000, 2), deliveryCount: 7)
            group.release(StreamID(20_000, 2), deliveryCount: 0)
        }
        let producers = stream.makeProducers()
        producers.pointee.maximumSize = 9
        for number in 1...5 as ClosedRange<UInt64> {
            let producer: StaticString = number % 2 == 0 ? "p" : "q"
            let message: StaticString = number > 3 ? "one" : "two"
            producers.pointee.remember(message.bytes, from: producer.bytes, StreamID(number * 1000, number % 3),
                                       oldest: .minimum, maximumSize: 9)
        }
        return stream.makeValue()
    }

    private func encoded(_ value: borrowing Value, _ version: RDBVersion) -> [UInt8] {
        var output = RDBOutput(compresses: true)
        StreamCodec.encode(StreamValue(value), &output, version)
        return Array(output.bytes)
    }

    @Test(arguments: [9, 10, 11, 12, 13, 14])
    func whatIsWrittenIsReadBackTheSame(number: Int) throws {
        let version = RDBVersion(number)
        let value = makeStream()
        let bytes = encoded(value, version)
        try bytes.withUnsafeBytes { raw throws -> Void in
            var input = RDBInput(raw)
            let copy = try StreamCodec.decode(StreamCodec.type(version), &input)
            #expect(input.offset == bytes.count)
            let stream = StreamValue(copy)
            #expect(stream.isConsistent() && stream.count == 21)
            #expect(stream.groups.count == 2 && stream.groups[0].pointee.consumers.count == 3)
            #expect(encoded(copy, version) == bytes)
            #expect(stream.groups[1].pointee.releasedCount == 2)
            let released = stream.groups[1].pointee.pending.pendingEntry(StreamID(2000, 2))?.pointee
            #expect(released?.consumer == nil && released?.deliveryCount == 7 && released?.deliveryTime == 0)
            #expect((stream.producers?.pointee.producers.count ?? 0) == (number < 13 ? 0 : 2))
        }
    }

    /// A consumer may be called nothing; older types have the released entries with it.
    @Test(arguments: [9, 11, 14]) func aConsumerWithoutANameKeepsWhatIsItsOwn(number: Int) throws {
        let stream = StreamValue.create(), value = stream.makeValue()
        stream.lastID = StreamID(9, 9)
        let group = try #require(stream.addGroup(("g" as StaticString).bytes, lastID: StreamID(9, 9), entriesRead: 2))
        let nameless = group.addConsumer(Bytes(start: nil, count: 0), seenTime: 5, activeTime: 5)
        group.assign(StreamID(1, 1), to: nameless, deliveryTime: 3, deliveryCount: 1)
        group.release(StreamID(2, 2), deliveryCount: 4)
        let bytes = encoded(value, RDBVersion(number))
        try bytes.withUnsafeBytes { raw throws -> Void in
            var input = RDBInput(raw)
            let copy = try StreamCodec.decode(StreamCodec.type(RDBVersion(number)), &input)
            let group = StreamValue(copy).groups[0].pointee
            #expect(group.consumers.count == 1 && group.releasedCount == 1)
            #expect(group.consumers[0].pointee.pending.count == 1)
            #expect(StreamValue(copy).isConsistent())
        }
    }

    /// The AUX field in front of a key, for types without a place for it.
    @Test func whatProducersSentIsKeptByOlderVersions() throws {
        let database = UnsafeMutablePointer<Keyspace>.allocate(capacity: 1)
        defer { database.deallocate() }
        database.initialize(to: Keyspace(databaseCount: 1, seed: .random(), random: RandomSource(seed: 1)))
        defer { database.deinitialize(count: 1) }
        database.pointee.set(("s" as StaticString).bytes, to: makeStream(), in: 0)
        for version in [9, 12, 13, 14] {
            let place = try TemporaryDirectory(), path = place.path("dump.rdb")
            let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
            var options = RDBSnapshotOptions()
            options.version = RDBVersion(version)
            let failure = RDBSnapshotWriter.write(databases: database.pointee.databases, count: 1, to: descriptor,
                                                  options: options) { _ in }
            #expect(failure == 0)
            close(descriptor)
            var loaded = Keyspace(databaseCount: 1, seed: .random(), random: RandomSource(seed: 1))
            let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
            try bytes.withUnsafeBytes { raw throws -> Void in
                _ = try RDBLoader.load(RDBInput(raw), into: &loaded, options: RDBLoadOptions()) { _ in }
            }
            let found = loaded.find(("s" as StaticString).bytes, in: 0, .peek)
            let entry = try #require(found)
            let producers = try #require(StreamValue(entry).producers).pointee
            #expect(producers.producers.count == 2 && producers.maximumSize == 9)
            #expect(producers.entry(of: ("one" as StaticString).bytes, from: ("p" as StaticString).bytes,
                                    oldest: .minimum) == StreamID(4000, 1), "version \(version)")
        }
    }

    @Test func damagedBytesAreRefusedOrMakeAValidStream() {
        let seed: UInt64 = 77
        var random = RandomSource(seed: seed)
        let value = makeStream()
        for number in [9, 10, 12, 14] {
            let version = RDBVersion(number)
            let whole = encoded(value, version)
            for round in 0..<3000 {
                var bytes = whole
                for _ in 0...random.next(below: 3) {
                    bytes[random.next(below: bytes.count)] = UInt8(truncatingIfNeeded: random.next())
                }
                if random.next(below: 4) == 0 { bytes.removeLast(random.next(below: bytes.count)) }
                bytes.withUnsafeBytes { raw in
                    var input = RDBInput(raw)
                    do throws(StorageError) {
                        let value = try StreamCodec.decode(StreamCodec.type(version), &input)
                        #expect(StreamValue(value).isConsistent(), "seed \(seed) version \(number) round \(round)")
                        let copy = StreamValue(value).copy().makeValue()
                        #expect(encoded(copy, version) == encoded(value, version), "seed \(seed) round \(round)")
                    } catch {}
                }
            }
        }
    }

    @Test func damageLeaksNothing() {
        let whole = encoded(makeStream(), .redis7_4)
        let leaked = heapGrowth {
            for count in 0..<whole.count {
                whole.withUnsafeBytes { raw in
                    var input = RDBInput(Bytes(rebasing: raw[..<count]))
                    do throws(StorageError) {
                        _ = try StreamCodec.decode(.streamListpacks3, &input)
                        Issue.record("\(count) bytes were enough")
                    } catch {
                        #expect(error.isTruncated)
                    }
                }
            }
        }
        #expect(leaked <= 4096)
    }

    @Test func pendingEntryWithoutConsumerIsRefused() throws {
        let stream = StreamValue.create()
        let value = stream.makeValue()
        _ = stream.addGroup(("g" as StaticString).bytes, lastID: .minimum, entriesRead: 0)
        var bytes = encoded(value, .redis7_4)
        // … pending 0, consumers 0
        bytes.removeLast(2)
        bytes += [1] + [UInt8](repeating: 7, count: 16) + [UInt8](repeating: 0, count: 8) + [1, 0]
        bytes.withUnsafeBytes { raw in
            var input = RDBInput(raw)
            #expect(throws: StorageError.self) { _ = try StreamCodec.decode(.streamListpacks3, &input) }
        }
    }
}
