import Encodings
import Keyspace
import Primitives
import RESP

// A stream as the commands that make it anew: XADD for each entry, XSETID for what the entries don't tell, and for
// each group XGROUP CREATE, XGROUP CREATECONSUMER, XCLAIM, and XNACK for what no consumer has; XCFGSET and XIDMPRECORD
// for what producers sent. (The last three only if there is such a thing: servers of 7.4 don't know them.)
//
// A pending entry whose entry was deleted from the stream can't be made by commands and is left out, as Redis does;
// XCLAIM and XAUTOCLAIM would forget it at the next try. Raw memory only: a forked child runs this.

package enum StreamRewrite {
    /// Writes the commands for a stream at `key`, in RESP.
    package static func write(key: Bytes, _ stream: StreamValue, into output: inout RDBOutput) {
        var record = OwnedBytes(capacity: 256)
        if stream.count == 0 { writePlaceholder(key, stream, &record) }
        stream.forEachEntry { entry in
            writeEntry(key, entry, &record)
            pass(&record, to: &output)
            return true
        }
        writeState(key, stream, &record)
        for index in 0..<stream.groups.count { writeGroup(key, stream, stream.groups[index], &record, &output) }
        if let producers = stream.producers { writeProducers(key, producers.pointee, &record, &output) }
        pass(&record, to: &output)
    }

    private static func pass(_ record: inout OwnedBytes, to output: inout RDBOutput) {
        output.put(record.bytes)
        record.truncate(to: 0)
    }

    private static func writeEntry(_ key: Bytes, _ entry: StreamEntry, _ record: inout OwnedBytes) {
        RequestEncoder.begin(argumentCount: 3 + entry.fieldCount * 2, into: &record)
        RequestEncoder.argument("XADD", into: &record)
        RequestEncoder.argument(key, into: &record)
        RequestEncoder.argument(entry.id, into: &record)
        entry.forEachField { field, value in
            RequestEncoder.argument(field, into: &record)
            RequestEncoder.argument(value, into: &record)
        }
    }

    /// An empty stream: one entry that is trimmed at once.
    private static func writePlaceholder(_ key: Bytes, _ stream: StreamValue, _ record: inout OwnedBytes) {
        RequestEncoder.begin(argumentCount: 7, into: &record)
        RequestEncoder.argument("XADD", into: &record)
        RequestEncoder.argument(key, into: &record)
        RequestEncoder.argument("MAXLEN", into: &record)
        RequestEncoder.argument("0", into: &record)
        // 0-0 is no ID for XADD; XSETID puts it right.
        RequestEncoder.argument(max(stream.lastID, StreamID(0, 1)), into: &record)
        RequestEncoder.argument("x", into: &record)
        RequestEncoder.argument("y", into: &record)
    }

    private static func writeState(_ key: Bytes, _ stream: StreamValue, _ record: inout OwnedBytes) {
        RequestEncoder.begin(argumentCount: 7, into: &record)
        RequestEncoder.argument("XSETID", into: &record)
        RequestEncoder.argument(key, into: &record)
        RequestEncoder.argument(stream.lastID, into: &record)
        RequestEncoder.argument("ENTRIESADDED", into: &record)
        RequestEncoder.argument(Int64(bitPattern: stream.entriesAdded), into: &record)
        RequestEncoder.argument("MAXDELETEDID", into: &record)
        RequestEncoder.argument(stream.maxDeletedID, into: &record)
    }

    private static func writeGroup(_ key: Bytes, _ stream: StreamValue, _ group: GroupHandle,
                                   _ record: inout OwnedBytes, _ output: inout RDBOutput) {
        RequestEncoder.begin(argumentCount: 7, into: &record)
        RequestEncoder.argument("XGROUP", into: &record)
        RequestEncoder.argument("CREATE", into: &record)
        RequestEncoder.argument(key, into: &record)
        RequestEncoder.argument(group.pointee.name.bytes, into: &record)
        RequestEncoder.argument(group.pointee.lastID, into: &record)
        RequestEncoder.argument("ENTRIESREAD", into: &record)
        RequestEncoder.argument(group.pointee.entriesRead ?? -1, into: &record)
        for index in 0..<group.pointee.consumers.count {
            let consumer = group.pointee.consumers[index]
            RequestEncoder.begin(argumentCount: 5, into: &record)
            RequestEncoder.argument("XGROUP", into: &record)
            RequestEncoder.argument("CREATECONSUMER", into: &record)
            RequestEncoder.argument(key, into: &record)
            RequestEncoder.argument(group.pointee.name.bytes, into: &record)
            RequestEncoder.argument(consumer.pointee.name.bytes, into: &record)
            var place = consumer.pointee.pending.first
            while let at = place {
                if stream.find(at.id) != nil { writeClaim(key, group, at.id, at.pendingEntry.pointee, &record) }
                pass(&record, to: &output)
                place = consumer.pointee.pending.next(at)
            }
        }
        group.forEachReleased { id, entry in
            if stream.find(id) != nil { writeReleased(key, group, id, entry.pointee, &record) }
        }
    }

    private static func writeReleased(_ key: Bytes, _ group: GroupHandle, _ id: StreamID, _ entry: PendingEntry,
                                      _ record: inout OwnedBytes) {
        RequestEncoder.begin(argumentCount: 10, into: &record)
        RequestEncoder.argument("XNACK", into: &record)
        RequestEncoder.argument(key, into: &record)
        RequestEncoder.argument(group.pointee.name.bytes, into: &record)
        RequestEncoder.argument("FAIL", into: &record)
        RequestEncoder.argument("IDS", into: &record)
        RequestEncoder.argument("1", into: &record)
        RequestEncoder.argument(id, into: &record)
        RequestEncoder.argument("RETRYCOUNT", into: &record)
        RequestEncoder.argument(Int64(bitPattern: entry.deliveryCount), into: &record)
        RequestEncoder.argument("FORCE", into: &record)
    }

    private static func writeProducers(_ key: Bytes, _ producers: StreamProducers, _ record: inout OwnedBytes,
                                       _ output: inout RDBOutput) {
        writeSetting(key, "IDMP-DURATION", producers.duration, &record)
        writeSetting(key, "IDMP-MAXSIZE", producers.maximumSize, &record)
        for index in 0..<producers.producers.count {
            let producer = producers.producers[index]
            producer.forEachMessage { message in
                RequestEncoder.begin(argumentCount: 5, into: &record)
                RequestEncoder.argument("XIDMPRECORD", into: &record)
                RequestEncoder.argument(key, into: &record)
                RequestEncoder.argument(producer.pointee.name.bytes, into: &record)
                RequestEncoder.argument(message.pointee.name.bytes, into: &record)
                RequestEncoder.argument(message.pointee.entry, into: &record)
                pass(&record, to: &output)
            }
        }
    }

    private static func writeSetting(_ key: Bytes, _ word: StaticString, _ value: Int, _ record: inout OwnedBytes) {
        if value == 0 { return }
        RequestEncoder.begin(argumentCount: 4, into: &record)
        RequestEncoder.argument("XCFGSET", into: &record)
        RequestEncoder.argument(key, into: &record)
        RequestEncoder.argument(word, into: &record)
        RequestEncoder.argument(Int64(value), into: &record)
    }

    private static func writeClaim(_ key: Bytes, _ group: GroupHandle, _ id: StreamID, _ entry: PendingEntry,
                                   _ record: inout OwnedBytes) {
        RequestEncoder.begin(argumentCount: 12, into: &record)
        RequestEncoder.argument("XCLAIM", into: &record)
        RequestEncoder.argument(key, into: &record)
        RequestEncoder.argument(group.pointee.name.bytes, into: &record)
        RequestEncoder.argument(entry.consumerName, into: &record)
        RequestEncoder.argument("0", into: &record)
        RequestEncoder.argument(id, into: &record)
        RequestEncoder.argument("TIME", into: &record)
        RequestEncoder.argument(entry.deliveryTime, into: &record)
        RequestEncoder.argument("RETRYCOUNT", into: &record)
        RequestEncoder.argument(Int64(bitPattern: entry.deliveryCount), into: &record)
        RequestEncoder.argument("JUSTID", into: &record)
        RequestEncoder.argument("FORCE", into: &record)
    }
}

extension RequestEncoder {
    fileprivate static func argument(_ text: StaticString, into out: inout OwnedBytes) {
        argument(text.bytes, into: &out)
    }

    fileprivate static func argument(_ id: StreamID, into out: inout OwnedBytes) {
        withUnsafeTemporaryAllocation(byteCount: StreamID.maximumTextLength, alignment: 8) { scratch in
            let start = scratch.baseAddress.unsafelyUnwrapped
            argument(Bytes(start: start, count: id.write(to: start)), into: &out)
        }
    }

    fileprivate static func argument(_ element: ListpackElement, into out: inout OwnedBytes) {
        switch element {
        case .integer(let value): argument(value, into: &out)
        case .bytes(let bytes): argument(bytes, into: &out)
        }
    }
}
