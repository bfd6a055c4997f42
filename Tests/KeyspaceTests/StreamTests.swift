import Encodings
import Primitives
import Testing
import TestSupport
@testable import Keyspace

/// Streams against simple models: a sorted dictionary for the tree, an array for the entries.
@Suite(.serialized) struct StreamTests {
    // MARK: The tree

    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func treeBehavesLikeASortedDictionary(seed: UInt64) {
        var random = RandomSource(seed: seed)
        var tree = IDTree()
        var model: [StreamID: UInt64] = [:]
        let range = UInt64(seed == 1 ? 50 : 3000)
        for step in 0..<6000 {
            let id = StreamID(random.next(below: range) / 7, random.next(below: 7 as UInt64))
            if random.next(below: 100) < (step < 3000 ? 70 : 40) {
                let isNew = tree.insert(id, UInt64(step))
                #expect(isNew == (model[id] == nil), "seed \(seed) step \(step)")
                if isNew { model[id] = UInt64(step) }
            } else {
                #expect(tree.remove(id) == model.removeValue(forKey: id), "seed \(seed) step \(step)")
            }
            if step % 500 == 0 { #expect(tree.isConsistent(), "seed \(seed) step \(step)") }
        }
        #expect(tree.isConsistent() && tree.count == model.count, "seed \(seed)")
        let sorted = model.keys.sorted()
        #expect(ids(tree) == sorted, "seed \(seed)")
        for _ in 0..<500 {
            let id = StreamID(random.next(below: range) / 7, random.next(below: 9 as UInt64))
            #expect(tree.seek(atLeast: id)?.id == sorted.first { $0 >= id }, "seed \(seed) \(id)")
            #expect(tree.seek(atMost: id)?.id == sorted.last { $0 <= id }, "seed \(seed) \(id)")
            #expect(tree.find(id) == model[id], "seed \(seed) \(id)")
        }
        var backwards: [StreamID] = []
        var place = tree.last
        while let at = place {
            backwards.append(at.id)
            place = tree.previous(at)
        }
        #expect(backwards == sorted.reversed(), "seed \(seed)")
        for id in sorted { #expect(tree.remove(id) != nil) }
        #expect(tree.count == 0 && tree.isConsistent())
    }

    @Test func ascendingInsertionFillsTheNodes() {
        var tree = IDTree()
        for number in 1...64_000 { tree.insert(StreamID(UInt64(number), 0), 0) }
        #expect(tree.isConsistent())
        #expect(tree.allocatedBytes < 64_000 * 26)
        tree.destroy { _ in }
    }

    private func ids(_ tree: IDTree) -> [StreamID] {
        var result: [StreamID] = []
        var place = tree.first
        while let at = place {
            result.append(at.id)
            place = tree.next(at)
        }
        return result
    }

    // MARK: Entries

    struct ModelEntry: Equatable {
        let id: StreamID
        let texts: [String]
    }

    static func contents(_ stream: StreamValue, from start: StreamID = .minimum, through end: StreamID = .maximum,
                         reversed: Bool = false) -> [ModelEntry] {
        var result: [ModelEntry] = []
        stream.forEachEntry(from: start, through: end, reversed: reversed) { entry in
            var texts: [String] = []
            withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) { scratch in
                let base = scratch.baseAddress.unsafelyUnwrapped
                entry.forEachField { field, value in
                    texts.append(String(decoding: field.text(base), as: UTF8.self))
                    texts.append(String(decoding: value.text(base), as: UTF8.self))
                }
            }
            result.append(ModelEntry(id: entry.id, texts: texts))
            return true
        }
        return result
    }

    static func append(_ stream: StreamValue, _ id: StreamID, _ texts: [String], _ thresholds: Thresholds) {
        var all: [UInt8] = []
        for text in texts { all += text.utf8 }
        all.withUnsafeBytes { bytes in
            var offset = 0
            let pairs = texts.map { text -> Bytes in
                defer { offset += text.utf8.count }
                return Bytes(rebasing: bytes[offset..<(offset + text.utf8.count)])
            }
            pairs.withUnsafeBufferPointer { stream.append(id, $0, thresholds) }
        }
    }

    static func randomTexts(_ random: inout RandomSource) -> [String] {
        if random.next(below: 3) > 0 { return ["temperature", "\(random.next(below: 300))", "room", "kitchen"] }
        return (0..<(2 * (1 + random.next(below: 4)))).map { index in
            index % 2 == 0 ? "f\(random.next(below: 9))"
                : String(repeating: "v", count: random.next(below: 90)) + "\(random.next(below: 1_000_000))"
        }
    }

    @Test(arguments: [11, 12, 13, 14, 15, 16] as [UInt64])
    func streamBehavesLikeAnArray(seed: UInt64) {
        var random = RandomSource(seed: seed)
        var thresholds = Thresholds()
        thresholds.streamNodeMaxEntries = [3, 100, 0, 10, 128, 1][Int(seed - 11)]
        thresholds.streamNodeMaxBytes = [4096, 200, 1000, 0, 4096, 4096][Int(seed - 11)]
        let stream = StreamValue.create()
        let owner = stream.makeValue()
        var model: [ModelEntry] = []
        var last = StreamID.minimum
        for step in 0..<3000 {
            switch random.next(below: 20) {
            case 0..<12:
                let step = random.next(below: 3) == 0 ? 1 + random.next(below: 500 as UInt64) : 0
                last = StreamID(last.milliseconds + step, step > 0 ? 0 : last.sequence + 1)
                let texts = Self.randomTexts(&random)
                Self.append(stream, last, texts, thresholds)
                model.append(ModelEntry(id: last, texts: texts))
            case 12..<18:
                let id = random.next(below: 4) == 0 ? StreamID(random.next(below: 3000 as UInt64), 1)
                    : model.isEmpty ? .minimum : model[random.next(below: model.count)].id
                let index = model.firstIndex { $0.id == id }
                #expect(stream.delete(id) == (index != nil), "seed \(seed) step \(step)")
                if let index { model.remove(at: index) }
            case 18 where step % 3 == 0:
                let keep = model.count - model.count / 8
                let removed = stream.trim(.count(keep), approximately: false, limit: 0)
                #expect(removed == model.count - keep, "seed \(seed) step \(step)")
                model.removeFirst(removed)
            case 19 where !model.isEmpty && step % 3 == 0:
                let bound = model[model.count / 10].id
                _ = stream.trim(.minimumID(bound), approximately: false, limit: 0)
                model.removeAll { $0.id < bound }
            default:
                let before = model.count
                let removed = stream.trim(.count(before - before / 20), approximately: true, limit: 50)
                #expect(removed <= before / 20 && removed <= 50, "seed \(seed) step \(step)")
                model.removeFirst(removed)
            }
            #expect(stream.count == model.count && stream.lastID == last, "seed \(seed) step \(step)")
            #expect(stream.firstID == model.first?.id ?? .minimum, "seed \(seed) step \(step)")
            #expect(stream.lastLiveID == model.last?.id ?? .minimum, "seed \(seed) step \(step)")
            if step % 200 == 0 {
                #expect(stream.isConsistent(), "seed \(seed) step \(step)")
                #expect(Self.contents(stream) == model, "seed \(seed) step \(step)")
                let a = StreamID(random.next(below: last.milliseconds + 2), 3)
                let b = StreamID(random.next(below: last.milliseconds + 2), 1)
                let part = model.filter { $0.id >= min(a, b) && $0.id <= max(a, b) }
                #expect(Self.contents(stream, from: min(a, b), through: max(a, b)) == part, "seed \(seed)")
                #expect(Self.contents(stream, from: min(a, b), through: max(a, b), reversed: true)
                    == part.reversed(), "seed \(seed)")
            }
        }
        let copy = stream.copy()
        let copyOwner = copy.makeValue()
        _ = stream.trim(.count(0), approximately: false, limit: 0)
        #expect(stream.count == 0 && Self.contents(copy) == model && copy.isConsistent(), "seed \(seed)")
        _ = consume owner
        _ = consume copyOwner
    }

    @Test func everythingIsFreed() {
        #expect(heapGrowth(makeAndDestroy) <= 0)
    }

    private func makeAndDestroy() {
        let stream = StreamValue.create()
        let owner = stream.makeValue()
        for number in 1...500 { Self.append(stream, StreamID(UInt64(number), 0), ["a", "b"], Thresholds()) }
        for name in ["g1", "g2"] as [StaticString] {
            guard let group = stream.addGroup(name.bytes, lastID: .minimum, entriesRead: nil) else {
                Issue.record("no group")
                return
            }
            for name in ["x", "y", "z"] as [StaticString] {
                let consumer = group.addConsumer(name.bytes, seenTime: 1, activeTime: 2)
                for number in 1...200 {
                    group.assign(StreamID(UInt64(number), 0), to: consumer, deliveryTime: 1, deliveryCount: 1)
                }
            }
            #expect(group.isConsistent() && group.pointee.pending.count == 200)
            for number in 1...50 { #expect(group.acknowledge(StreamID(UInt64(number), 0))) }
            #expect(group.removeConsumer(("x" as StaticString).bytes) == 0)
            #expect(group.isConsistent() && group.pointee.pending.count == 150)
        }
        let copy = stream.copy().makeValue()
        #expect(stream.allocatedBytes > 500 * 5)
        #expect(stream.groups.find(("g1" as StaticString).bytes)?.removeConsumer(("z" as StaticString).bytes) == 150)
        #expect(stream.removeGroup(("g1" as StaticString).bytes))
        _ = consume owner
        _ = consume copy
    }

    @Test func radixTreeNodesAreCountedAsATrieWould() {
        var random = RandomSource(seed: 5)
        var thresholds = Thresholds()
        thresholds.streamNodeMaxEntries = 1
        for count in [1, 2, 3, 10, 100, 700] {
            let stream = StreamValue.create()
            let owner = stream.makeValue()
            var ids = Set<StreamID>()
            while ids.count < count {
                ids.insert(StreamID(random.next(below: 1 << 18 as UInt64), random.next(below: 300 as UInt64) + 1))
            }
            for id in ids.sorted() { Self.append(stream, id, ["a", "b"], thresholds) }
            #expect(stream.nodeCount == count)
            #expect(stream.radixTreeNodeCount == trieNodes(ids.map(key), depth: 0))
            _ = consume owner
        }
    }

    private func key(_ id: StreamID) -> [UInt8] {
        var key = [UInt8](repeating: 0, count: 16)
        key.withUnsafeMutableBytes { id.write(bigEndianTo: $0.baseAddress.unsafelyUnwrapped) }
        return key
    }

    /// Nodes of a path-compressed trie of these keys, whose first `depth` bytes are the same.
    private func trieNodes(_ keys: [[UInt8]], depth: Int) -> Int {
        if keys.count == 1 { return depth < 16 ? 2 : 1 }
        var end = depth
        while Set(keys.map { $0[end] }).count == 1 { end += 1 }
        let below = Dictionary(grouping: keys) { $0[end] }.values.map { trieNodes($0, depth: end + 1) }
        return below.reduce(end > depth ? 2 : 1, +)
    }
}
