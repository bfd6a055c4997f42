import Encodings
import Keyspace
import Primitives

/// 64 bits of everything about a key but its name, its encoding and its last use: a chain of SipHash where order
/// counts, a sum of such chains where it does not.
struct DumpDigest {
    private var state: UInt64

    private init(_ seed: UInt64) { state = seed }

    static func of(_ entry: Entry) -> UInt64 {
        var digest = DumpDigest(UInt64(entry.type.rawValue))
        digest.mix(entry.expire?.rawValue ?? -1)
        switch entry.type {
        case .string:
            withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) {
                digest.mix(entry.string($0.baseAddress.unsafelyUnwrapped))
            }
        case .list: ListValue(entry).forEach { digest.mix($0); return true }
        case .set: digest.mix(sum(of: SetValue(entry)))
        case .sortedSet: digest.mix(sum(of: SortedSetValue(entry)))
        case .hash: digest.mix(sum(of: HashValue(entry)))
        case .stream: digest.mix(StreamValue(entry))
        case .module: digest.mix(ModuleValue(entry).bytes)
        }
        return digest.state
    }

    private static func sum(of set: SetValue) -> Int64 {
        var sum: UInt64 = 0
        set.forEach { member in
            var own = DumpDigest(1)
            own.mix(member)
            sum &+= own.state
            return true
        }
        return Int64(bitPattern: sum)
    }

    private static func sum(of set: SortedSetValue) -> Int64 {
        var sum: UInt64 = 0
        set.forEach { member, score in
            var own = DumpDigest(2)
            own.mix(member)
            // Zero has two forms.
            own.mix(Int64(bitPattern: (score + 0).bitPattern))
            sum &+= own.state
            return true
        }
        return Int64(bitPattern: sum)
    }

    private static func sum(of hash: HashValue) -> Int64 {
        var sum: UInt64 = 0
        hash.forEach { field, value, expire in
            var own = DumpDigest(3)
            own.mix(field)
            own.mix(value)
            own.mix(expire ?? -1)
            sum &+= own.state
            return true
        }
        return Int64(bitPattern: sum)
    }

    private mutating func mix(_ bytes: Bytes) { state = SipHash.hash(bytes, HashSeed(k0: state, k1: ~state &* 31)) }

    private mutating func mix(_ number: Int64) { withUnsafeBytes(of: number) { mix($0) } }

    private mutating func mix(_ element: ListpackElement) {
        withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) {
            mix(element.text($0.baseAddress.unsafelyUnwrapped))
        }
    }

    private mutating func mix(_ id: StreamID) {
        mix(Int64(bitPattern: id.milliseconds))
        mix(Int64(bitPattern: id.sequence))
    }

    private mutating func mix(_ stream: StreamValue) {
        var own = self
        stream.forEachEntry { item in
            own.mix(item.id)
            item.forEachField { field, value in
                own.mix(field)
                own.mix(value)
            }
            return true
        }
        self = own
        mix(stream.lastID)
        mix(Int64(stream.groups.count))
        for index in 0..<stream.groups.count {
            let group = stream.groups[index]
            mix(group.pointee.name.bytes)
            mix(group.pointee.lastID)
            for number in 0..<group.pointee.consumers.count { mix(group.pointee.consumers[number]) }
            own = self
            group.forEachReleased { id, entry in
                own.mix(id)
                own.mix(Int64(bitPattern: entry.pointee.deliveryCount))
            }
            self = own
        }
    }

    private mutating func mix(_ consumer: UnsafeMutablePointer<StreamConsumer>) {
        mix(consumer.pointee.name.bytes)
        var place = consumer.pointee.pending.first
        while let at = place {
            mix(at.id)
            mix(at.pendingEntry.pointee.deliveryTime)
            mix(Int64(bitPattern: at.pendingEntry.pointee.deliveryCount))
            place = consumer.pointee.pending.next(at)
        }
    }
}
