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
// Invariants of what is accepted
//  1. Nodes ascend and are valid (StreamNode); the number of live entries is the one announced.
//  2. A group's pending entries are exactly its consumers', each of one consumer.

package enum StreamCodec {
    // MARK: Out

    /// The type that a version of the format has for streams.
    package static func type(_ version: RDBVersion) -> RDBType {
        version >= .redis7_2 ? .streamListpacks3 : version >= .redis7_0 ? .streamListpacks2 : .streamListpacks
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
        output.put(length: group.pointee.consumers.count)
        for index in 0..<group.pointee.consumers.count { encode(group.pointee.consumers[index], type, &output) }
    }

    private static func encode(_ consumer: ConsumerHandle, _ type: RDBType, _ output: inout RDBOutput) {
        output.put(string: consumer.pointee.name.bytes)
        output.put(consumer.pointee.seenTime)
        if type == .streamListpacks3 { output.put(consumer.pointee.activeTime) }
        let pending = consumer.pointee.pending
        output.put(length: pending.count)
        var place = pending.first
        while let at = place {
            output.put(at.id)
            place = pending.next(at)
        }
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
        if type == .streamListpacks4 || type == .streamListpacks5 {
            let producers = try input.skipProducers()
            if producers > 0 { try input.lose("ids of messages sent, of \(producers) producers (Redis 8.6)") }
        }
        return value
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
        let released = type == .streamListpacks5 ? try releasedEntries(group, pending, &input) : 0
        if group.pointee.pending.count != pending.count - released {
            throw input.corrupt("NACK entry without consumer")
        }
    }

    /// Redis 8.8: pending entries that a consumer gave back, which no consumer has. Here an entry has one.
    private static func releasedEntries(_ group: GroupHandle, _ pending: IDTree, _ input: inout RDBInput)
        throws(StorageError) -> Int {
        let count = try input.count()
        if count > 0 { try input.lose("pending entries without a consumer: \(count) (Redis 8.8)") }
        var left = count, last: StreamID?
        while left > 0 {
            let id = try rawID(&input)
            if let last, id <= last { throw input.corrupt("released entries out of order") }
            guard pending.find(id) != nil, group.pointee.pending.find(id) == nil else {
                throw input.corrupt("a released entry that a consumer has, or none knows")
            }
            last = id
            left -= 1
        }
        return count
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
        let consumer = group.addConsumer(name.bytes, seenTime: seen, activeTime: active)
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
            group.assign(id, to: consumer, deliveryTime: mark.deliveryTime, deliveryCount: mark.deliveryCount)
            left -= 1
        }
    }
}
