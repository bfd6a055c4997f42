import Encodings
import Keyspace
import Primitives

// Streams in an RDB file.
//
//     length nodes; each: string master ID (16 bytes, big endian), string listpack
//     length entries; length ms, length sequence of the last ID
//     from type 19 on: first ID, greatest deleted ID (two lengths each), length entries ever added
//     length groups; each:
//         string name; length ms, length sequence of the last delivered ID
//         from type 19 on: length entries read (2^64 - 1: not known)
//         length pending; each: ID (16 bytes), i64 delivery time in ms, length delivery count
//         length consumers; each:
//             string name; i64 seen time in ms; from type 21 on: i64 active time in ms (-1: never)
//             length pending; each: ID (16 bytes)
//         in type 27: length released; each: ID (16 bytes) of a pending entry without a consumer
//     types 26 and 27: length seconds, length entries that ids of sent messages are kept for; length producers; each:
//         string id; length ids; each: string id; length ms, length sequence of the entry
//
// What older types have no place for:
//  - Pending entries without a consumer (XNACK) go to one without a name, which was never seen (time 0), so that
//    nothing that waits is lost with servers that don't know such entries. A consumer with no name may exist: then
//    it is by their delivery time, 0, that they are told from its own.
//  - What producers sent (XADD IDMP) stands before the key, as an AUX field that others pass over (`producersField`):
//    the tail of type 26, then length messages ever added, length duplicates. Payloads of DUMP go without it.
//
// Invariants of what is accepted
//  1. Nodes ascend and are valid (StreamNode); the number of live entries is the one announced.
//  2. A group's pending entries are exactly its consumers' and the released ones, each of one of them.

package enum StreamCodec {
    // MARK: Out

    /// The type that a version of the format has for streams.
    package static func type(_ version: RDBVersion) -> RDBType {
        if version >= .redis8_6 { return version >= .redis8_8 ? .streamListpacks5 : .streamListpacks4 }
        return version >= .redis7_2 ? .streamListpacks3 : version >= .redis7_0 ? .streamListpacks2 : .streamListpacks
    }

    /// The AUX field before a stream whose type has no place for what its producers sent.
    package static let producersField: StaticString = "stream-producers"

    /// What that field holds; false: there is nothing to tell. Raw memory only.
    package static func encodeProducers(_ entry: Entry, _ version: RDBVersion, _ output: inout RDBOutput) -> Bool {
        guard version < .redis8_6, entry.type == .stream, let producers = StreamValue(entry).producers else {
            return false
        }
        put(producers.pointee, ofSettings: 0, &output)
        output.put(length: producers.pointee.added)
        output.put(length: producers.pointee.duplicates)
        return true
    }

    /// Applies what an AUX field told to the stream behind it.
    package static func applyProducers(_ field: Bytes, to stream: StreamValue) throws(StorageError) {
        var input = RDBInput(field)
        input.computesChecksum = false
        try decodeProducers(stream, &input)
        let producers = stream.makeProducers()
        producers.pointee.added = try input.length()
        producers.pointee.duplicates = try input.length()
    }

    /// Writes a stream's value, without type and key. Raw memory only.
    package static func encode(_ stream: StreamValue, _ output: inout RDBOutput, _ version: RDBVersion) {
        let type = type(version)
        output.put(length: stream.nodeCount)
        stream.forEachNode { id, pack in
            output.put(length: StreamID.byteCount)
            output.put(id)
            output.put(string: pack)
        }
        output.put(length: stream.count)
        put(stream.lastID, &output)
        if type != .streamListpacks {
            put(stream.firstID, &output)
            put(stream.maxDeletedID, &output)
            output.put(length: stream.entriesAdded)
        }
        output.put(length: stream.groups.count)
        for index in 0..<stream.groups.count { encode(stream.groups[index], type, &output) }
        if type.hasProducers { put(stream.producers?.pointee ?? StreamProducers(), ofSettings: 100, &output) }
    }

    /// - Parameter ofSettings: what stands for values that are the settings', not the stream's own.
    private static func put(_ producers: StreamProducers, ofSettings: Int, _ output: inout RDBOutput) {
        output.put(length: producers.duration > 0 ? producers.duration : ofSettings)
        output.put(length: producers.maximumSize > 0 ? producers.maximumSize : ofSettings)
        output.put(length: producers.producers.count)
        for index in 0..<producers.producers.count {
            let producer = producers.producers[index]
            output.put(string: producer.pointee.name.bytes)
            output.put(length: producer.pointee.messages.count)
            producer.forEachMessage { message in
                output.put(string: message.pointee.name.bytes)
                put(message.pointee.entry, &output)
            }
        }
    }

    private static func put(_ id: StreamID, _ output: inout RDBOutput) {
        output.put(length: id.milliseconds)
        output.put(length: id.sequence)
    }

    private static func encode(_ group: GroupHandle, _ type: RDBType, _ output: inout RDBOutput) {
        output.put(string: group.pointee.name.bytes)
        put(group.pointee.lastID, &output)
        if type != .streamListpacks { output.put(length: UInt64(bitPattern: group.pointee.entriesRead ?? -1)) }
        let pending = group.pointee.pending
        output.put(length: pending.count)
        var place = pending.first
        while let at = place {
            output.put(at.id)
            output.put(at.pendingEntry.pointee.deliveryTime)
            output.put(length: at.pendingEntry.pointee.deliveryCount)
            place = pending.next(at)
        }
        // Consumers are in the order of their names: one without a name comes first.
        let released = type == .streamListpacks5 ? 0 : group.pointee.releasedCount
        let consumers = group.pointee.consumers
        let hasNameless = consumers.count > 0 && consumers[0].pointee.name.count == 0
        output.put(length: consumers.count + (released > 0 && !hasNameless ? 1 : 0))
        if released > 0, !hasNameless { encodeReleased(group, type, &output) }
        for index in 0..<consumers.count {
            encode(consumers[index], released: index == 0 && hasNameless && released > 0 ? group : nil, type, &output)
        }
        if type == .streamListpacks5 {
            output.put(length: group.pointee.releasedCount)
            group.forEachReleased { id, _ in output.put(id) }
        }
    }

    /// A consumer without a name that has what was released.
    private static func encodeReleased(_ group: GroupHandle, _ type: RDBType, _ output: inout RDBOutput) {
        output.put(string: Bytes(start: nil, count: 0))
        output.put(0 as Int64)
        if type.hasActiveTime { output.put(-1 as Int64) }
        output.put(length: group.pointee.releasedCount)
        group.forEachReleased { id, _ in output.put(id) }
    }

    /// - Parameter released: the group whose released entries are written as the consumer's.
    private static func encode(_ consumer: ConsumerHandle, released: GroupHandle?, _ type: RDBType,
                               _ output: inout RDBOutput) {
        output.put(string: consumer.pointee.name.bytes)
        output.put(consumer.pointee.seenTime)
        if type.hasActiveTime { output.put(consumer.pointee.activeTime) }
        let pending = consumer.pointee.pending
        output.put(length: pending.count + (released?.pointee.releasedCount ?? 0))
        var place = pending.first
        while let at = place {
            output.put(at.id)
            place = pending.next(at)
        }
        released?.forEachReleased { id, _ in output.put(id) }
    }

    // MARK: In

    /// Reads a stream's value. Whatever the bytes are, it is a valid stream or an error.
    /// - Parameter type: one of the types of streams.
    package static func decode(_ type: RDBType, _ input: inout RDBInput) throws(StorageError) -> Value {
        let stream = StreamValue.create()
        let value = stream.makeValue()
        try decodeNodes(stream, &input)
        let count = try input.count()
        if count != stream.count { throw input.corrupt("Stream length inconsistent with its entries") }
        let last = try id(&input)
        if last < stream.lastID { throw input.corrupt("a stream's last ID before its last entry") }
        stream.lastID = last
        stream.findFirstID()
        if type == .streamListpacks {
            stream.entriesAdded = UInt64(count)
        } else {
            // The first ID follows from the entries.
            _ = try id(&input)
            stream.maxDeletedID = try id(&input)
            stream.entriesAdded = try input.length()
        }
        var groups = try input.count()
        while groups > 0 {
            try decodeGroup(type, stream, &input)
            groups -= 1
        }
        if type.hasProducers { try decodeProducers(stream, &input) }
        return value
    }

    private static func decodeProducers(_ stream: StreamValue, _ input: inout RDBInput) throws(StorageError) {
        let duration = try input.length(), maximumSize = try input.length()
        var left = try input.count()
        // What the settings say by default is no setting of the stream's own.
        let isOwn = duration != 100 && duration != 0 || maximumSize != 100 && maximumSize != 0
        if left == 0, !isOwn { return }
        let producers = stream.makeProducers()
        producers.pointee.duration = Int(min(duration, 86_400))
        producers.pointee.maximumSize = Int(min(maximumSize, 10_000))
        while left > 0 {
            let name = OwnedBytes(copying: try input.string())
            var messages = try input.count()
            while messages > 0 {
                let message = OwnedBytes(copying: try input.string())
                let entry = try id(&input)
                producers.pointee.remember(message.bytes, from: name.bytes, entry, oldest: .minimum,
                                           maximumSize: 10_000)
                producers.pointee.added &+= 1
                messages -= 1
            }
            left -= 1
        }
    }

    private static func id(_ input: inout RDBInput) throws(StorageError) -> StreamID {
        let milliseconds = try input.length()
        return StreamID(milliseconds, try input.length())
    }

    private static func rawID(_ input: inout RDBInput) throws(StorageError) -> StreamID {
        let bytes = try input.take(StreamID.byteCount)
        guard let base = bytes.baseAddress else { throw input.truncated() }
        return StreamID(bigEndian: base)
    }

    private static func decodeNodes(_ stream: StreamValue, _ input: inout RDBInput) throws(StorageError) {
        var left = try input.count()
        while left > 0 {
            let key = try input.string()
            guard key.count == StreamID.byteCount, let base = key.baseAddress else {
                throw input.corrupt("Stream node key entry is not the size of a stream ID")
            }
            let masterID = StreamID(bigEndian: base)
            guard stream.adoptNode(masterID, try input.string()) else {
                throw input.corrupt("Stream listpack integrity check failed.")
            }
            input.releaseScratch()
            left -= 1
        }
    }

    private static func decodeGroup(_ type: RDBType, _ stream: StreamValue, _ input: inout RDBInput)
        throws(StorageError) {
        let name = OwnedBytes(copying: try input.string())
        let last = try id(&input)
        let read = type == .streamListpacks ? stream.estimatedNumber(of: last)
            : Int64(bitPattern: try input.length())
        guard let group = stream.addGroup(name.bytes, lastID: last, entriesRead: read == -1 ? nil : read) else {
            throw input.corrupt("Duplicated consumer group name")
        }
        var pending = try decodePending(&input)
        defer { pending.destroy { Heap.free(PendingMark.at($0)) } }
        var consumers = try input.count()
        while consumers > 0 {
            try decodeConsumer(type, group, pending, &input)
            consumers -= 1
        }
        if type == .streamListpacks5 { try decodeReleased(group, pending, &input) }
        if group.pointee.pending.count != pending.count { throw input.corrupt("NACK entry without consumer") }
    }

    private static func decodeReleased(_ group: GroupHandle, _ pending: IDTree, _ input: inout RDBInput)
        throws(StorageError) {
        var left = try input.count()
        while left > 0 {
            let id = try rawID(&input)
            guard let payload = pending.find(id), group.pointee.pending.find(id) == nil else {
                throw input.corrupt("a released entry that a consumer has, or none knows")
            }
            let mark = PendingMark.at(payload).load(as: PendingMark.self)
            group.release(id, deliveryCount: mark.deliveryCount)
            left -= 1
        }
    }

    /// Time and count of a pending entry whose consumer is yet to be read.
    private struct PendingMark {
        let deliveryTime: Int64
        let deliveryCount: UInt64

        static func at(_ payload: UInt64) -> UnsafeMutableRawPointer {
            UnsafeMutableRawPointer(bitPattern: UInt(payload)).unsafelyUnwrapped
        }
    }

    /// A group's PEL, of `PendingMark`s that are the caller's.
    private static func decodePending(_ input: inout RDBInput) throws(StorageError) -> IDTree {
        var pending = IDTree()
        do throws(StorageError) {
            var left = try input.count()
            while left > 0 {
                let id = try rawID(&input)
                let time = try input.int64()
                let mark = PendingMark(deliveryTime: time, deliveryCount: try input.length())
                let memory = Heap.allocate(MemoryLayout<PendingMark>.size)
                memory.storeBytes(of: mark, as: PendingMark.self)
                if !pending.insert(id, UInt64(UInt(bitPattern: memory))) {
                    Heap.free(memory)
                    throw input.corrupt("Duplicated global PEL entry loading stream consumer group")
                }
                left -= 1
            }
        } catch {
            pending.destroy { Heap.free(PendingMark.at($0)) }
            throw error
        }
        return pending
    }

    private static func decodeConsumer(_ type: RDBType, _ group: GroupHandle, _ pending: IDTree,
                                       _ input: inout RDBInput) throws(StorageError) {
        let name = OwnedBytes(copying: try input.string())
        let seen = try input.int64()
        let active = type.hasActiveTime ? try input.int64() : seen
        if group.pointee.consumers.find(name.bytes) != nil {
            throw input.corrupt("Duplicate stream consumer detected")
        }
        let isNameless = name.count == 0
        let consumer = isNameless && seen == 0 ? nil
            : group.addConsumer(name.bytes, seenTime: seen, activeTime: active)
        var left = try input.count()
        while left > 0 {
            let id = try rawID(&input)
            guard let payload = pending.find(id) else {
                throw input.corrupt("Consumer entry not found in group global PEL")
            }
            if group.pointee.pending.find(id) != nil {
                throw input.corrupt("Duplicated consumer PEL entry loading a stream consumer group")
            }
            let mark = PendingMark.at(payload).load(as: PendingMark.self)
            if let consumer, !isNameless || mark.deliveryTime != 0 {
                group.assign(id, to: consumer, deliveryTime: mark.deliveryTime, deliveryCount: mark.deliveryCount)
            } else {
                group.release(id, deliveryCount: mark.deliveryCount)
            }
            left -= 1
        }
    }
}
