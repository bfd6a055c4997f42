import Encodings
import Keyspace
import Primitives

// Sorted sets.
//
//     3  zset-v1        n, n × (string, score as text)
//     5  zset-v2        n, n × (string, f64 little endian); written from the highest score down
//     12 zset-ziplist   a ziplist of member, score pairs, ascending
//     17 zset-listpack  likewise a listpack
//
// A score that is no integer is a text in the pairs: with 17 digits before 7.2, the shortest since.

enum SortedSetCodec {
    /// Nil: an empty set.
    static func decode(_ type: RDBType, _ input: inout RDBInput, _ keyspace: borrowing Keyspace, isThorough: Bool)
        throws(StorageError) -> Value? {
        if type == .sortedSet || type == .sortedSet2 { return try decodeMembers(type, &input, keyspace) }
        let decoded = type == .sortedSetZiplist
            ? try input.listpackOfZiplist(stride: 2, name: "Zset")
            : try input.listpack(stride: 2, name: "Zset")
        guard let pack = decoded else { return nil }
        var set = SortedSetValue(.listpack, pack.pointer)
        let isBig = set.count > keyspace.thresholds.zsetMaxListpackEntries
        do throws(StorageError) {
            try checkScores(pack, input)
            if isThorough || isBig || type == .sortedSetZiplist {
                try input.checkDuplicates(pack, stride: 2, name: "Zset", keyspace)
            }
        } catch {
            set.destroy()
            throw error
        }
        if isBig { set.convertToSkiplist(keyspace.context) }
        return set.makeValue()
    }

    /// Every second element must be a number, none less than the one before.
    private static func checkScores(_ pack: Listpack, _ input: borrowing RDBInput) throws(StorageError) {
        var current = pack.first
        var last = -Double.infinity
        while let member = current, let at = pack.next(member) {
            let score: Double?
            switch pack.get(at) {
            case .integer(let value): score = Double(value)
            case .bytes(let text): score = DoubleText.parse(text)
            }
            guard let score else { throw input.corrupt("Zset with a score that is no number") }
            guard score >= last else { throw input.corrupt("Zset that is not in the order of its scores") }
            last = score
            current = pack.next(at)
        }
    }

    private static func decodeMembers(_ type: RDBType, _ input: inout RDBInput, _ keyspace: borrowing Keyspace)
        throws(StorageError) -> Value? {
        let count = try input.count()
        if count == 0 { return nil }
        let set = SortedSet.create(keyspace.context, expected: RDBInput.reservation(count))
        var left = count
        do throws(StorageError) {
            while left > 0 {
                let node = SortedSet.makeNode(try input.element(), keyspace.context)
                let score: Double
                do throws(StorageError) {
                    score = type == .sortedSet2 ? try input.double() : try input.textDouble()
                } catch {
                    SortedSet.discard(node)
                    throw error
                }
                if score.isNaN || !set.insert(made: node, score) {
                    SortedSet.discard(node)
                    throw input.corrupt(score.isNaN ? "Zset with NAN score detected" : "Zset with duplicate members")
                }
                left -= 1
            }
        } catch {
            set.destroy()
            throw error
        }
        var value = SortedSetValue(.skiplist, set.base)
        value.convertToListpackIfFitting(keyspace)
        return value.makeValue()
    }

    static func type(_ set: SortedSetValue, _ version: RDBVersion) -> RDBType {
        if set.encoding == .skiplist { return .sortedSet2 }
        return version < .redis7_0 ? .sortedSetZiplist : .sortedSetListpack
    }

    static func encode(_ set: SortedSetValue, _ output: inout RDBOutput, _ version: RDBVersion) {
        if set.encoding == .skiplist {
            output.put(length: set.count)
            var node = set.sortedSet.last
            while let current = node {
                output.put(string: current.member)
                output.put(current.score)
                node = current.previous
            }
        } else if version >= .redis7_2 {
            output.put(string: set.listpack.bytes)
        } else {
            encodeOldPairs(set.listpack, &output, version)
        }
    }

    /// With scores as 7.0 and before print them.
    private static func encodeOldPairs(_ pack: Listpack, _ output: inout RDBOutput, _ version: RDBVersion) {
        var ziplist = ZiplistWriter()
        var listpack = Listpack.create(capacity: pack.byteCount)
        withUnsafeTemporaryAllocation(byteCount: DoubleText.maximumLength, alignment: 8) { scratch in
            let text = scratch.baseAddress.unsafelyUnwrapped
            var current = pack.first
            var isScore = false
            while let at = current {
                var element = pack.get(at)
                if isScore, case .bytes(let short) = element, let score = DoubleText.parse(short) {
                    element = .bytes(Bytes(start: text, count: DoubleText.writeSeventeenDigits(score, to: text)))
                }
                if version < .redis7_0 { ziplist.append(element) } else { listpack.append(element) }
                isScore.toggle()
                current = pack.next(at)
            }
        }
        if version < .redis7_0 { output.put(string: ziplist.finish()) } else { output.put(string: listpack.bytes) }
        listpack.destroy()
    }
}
