import Encodings
import Keyspace
import Primitives
import RESP

// Pending entries: XPENDING looks, XCLAIM and XAUTOCLAIM take over.

extension StreamCommands {
    private static func pendingGroup(_ keyspace: inout Keyspace, _ call: Call, _ access: Access)
        throws(CommandError) -> (StreamValue, GroupHandle) {
        guard let stream = try call.stream(&keyspace, 1, access), let group = stream.group(call[2]) else {
            throw .naming("NOGROUP No such key '%' or consumer group '%'", call[1], call[2])
        }
        return (stream, group)
    }

    // MARK: XPENDING

    static func xpending(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        if call.count == 3 {
            let (_, group) = try pendingGroup(&keyspace, call, .read)
            replySummary(call.reply, group)
            return
        }
        if call.count < 6 || call.count > 9 { throw .syntax }
        var first = 3, minimumIdle: Int64 = 0
        if call.isWord(3, "IDLE") {
            minimumIdle = try call.integer(4)
            if call.count < 8 { throw .syntax }
            first = 5
        }
        var count = max(try call.integer(first + 2), 0)
        let start = try call.intervalStart(first), end = try call.intervalEnd(first + 1)
        let (_, group) = try pendingGroup(&keyspace, call, .read)
        var pending = group.pointee.pending
        if first + 3 < call.count {
            guard let consumer = group.pointee.consumers.find(call[first + 3]) else { call.reply.array(0); return }
            pending = consumer.pointee.pending
        }
        let mark = call.reply.beginDeferred()
        var replied = 0
        var place = pending.seek(atLeast: start)
        while let at = place, count > 0, at.id <= end {
            let entry = at.pendingEntry.pointee
            let idle = keyspace.now.rawValue &- entry.deliveryTime
            if minimumIdle == 0 || idle >= minimumIdle {
                call.reply.array(4)
                call.reply.bulk(at.id)
                call.reply.bulk(entry.consumerName)
                call.reply.integer(entry.consumer == nil ? -1 : max(idle, 0))
                call.reply.integer(Int64(bitPattern: entry.deliveryCount))
                replied += 1
                count -= 1
            }
            place = pending.next(at)
        }
        call.reply.endArray(mark, replied)
    }

    /// How many there are, the first and the last, and how many each consumer has.
    private static func replySummary(_ reply: ReplyWriter, _ group: GroupHandle) {
        let pending = group.pointee.pending
        reply.array(4)
        reply.integer(pending.count)
        guard let first = pending.first, let last = pending.last else {
            reply.null()
            reply.null()
            reply.nullArray()
            return
        }
        reply.bulk(first.id)
        reply.bulk(last.id)
        let mark = reply.beginDeferred()
        var replied = 0
        for index in 0..<group.pointee.consumers.count {
            let consumer = group.pointee.consumers[index]
            if consumer.pointee.pending.count == 0 { continue }
            reply.array(2)
            reply.bulk(consumer.pointee.name.bytes)
            reply.bulk(integer: Int64(consumer.pointee.pending.count))
            replied += 1
        }
        reply.endArray(mark, replied)
    }

    // MARK: XCLAIM

    private struct ClaimOptions {
        var minimumIdle: Int64 = 0
        /// The IDs are arguments 5 up to this one, not included.
        var endOfIDs = 5
        var deliveryTime: Int64?
        var retryCount: Int64?
        var isForced = false
        var repliesIDs = false
        var lastID = StreamID.minimum
    }

    static func xclaim(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let (stream, group) = try pendingGroup(&keyspace, call, .read)
        let now = keyspace.now
        let options = try parseClaim(call, now.rawValue)
        let movesOn = options.lastID > group.pointee.lastID
        if movesOn { group.pointee.lastID = options.lastID }
        let consumer = consumer(group, call[3], call[1], call, now)
        let mark = call.reply.beginDeferred()
        var replied = 0, recorded = false
        for index in 5..<options.endOfIDs {
            let id = try call.streamID(index)
            if stream.find(id) == nil {
                if forgetDeleted(call, group, id) { recorded = true }
                continue
            }
            let entry = group.pointee.pending.pendingEntry(id)
            var count: UInt64 = 1
            if let entry {
                let idle = now.rawValue &- entry.pointee.deliveryTime
                if options.minimumIdle > 0, idle < options.minimumIdle { continue }
                count = entry.pointee.deliveryCount
            } else if !options.isForced {
                continue
            }
            if let retryCount = options.retryCount, retryCount >= 0 {
                count = UInt64(retryCount)
            } else if !options.repliesIDs {
                count &+= 1
            }
            take(call, stream, group, consumer, id, deliveryTime: options.deliveryTime ?? now.rawValue, count,
                 repliesID: options.repliesIDs, now)
            replied += 1
            recorded = true
        }
        if movesOn, !recorded {
            recordGroupID(call, call[1], group)
            call.effects.pointee.dirty += 1
        }
        call.reply.endArray(mark, replied)
    }

    /// Makes an entry pending for the consumer, replies and records it.
    private static func take(_ call: Call, _ stream: StreamValue, _ group: GroupHandle, _ consumer: ConsumerHandle,
                             _ id: StreamID, deliveryTime: Int64, _ deliveryCount: UInt64, repliesID: Bool,
                             _ now: UnixMilliseconds) {
        let pending = group.assign(id, to: consumer, deliveryTime: deliveryTime, deliveryCount: deliveryCount)
        consumer.pointee.activeTime = now.rawValue
        if repliesID {
            call.reply.bulk(id)
        } else if let entry = stream.find(id) {
            call.reply.entry(entry)
        }
        recordClaim(call, call[1], group, id, pending.pointee)
        call.effects.pointee.dirty += 1
    }

    /// An entry that is not in the stream any more is not pending either; false if it was not. Claiming it again
    /// at replay has the same effect; what nobody has can't be claimed by its consumer, but acknowledged.
    private static func forgetDeleted(_ call: Call, _ group: GroupHandle, _ id: StreamID) -> Bool {
        guard let entry = group.pointee.pending.pendingEntry(id) else { return false }
        if entry.pointee.consumer == nil {
            recordAcknowledgement(call, group, id)
        } else {
            recordClaim(call, call[1], group, id, entry.pointee)
        }
        call.effects.pointee.dirty += 1
        return group.acknowledge(id)
    }

    private static func parseClaim(_ call: Call, _ now: Int64) throws(CommandError) -> ClaimOptions {
        var options = ClaimOptions()
        options.minimumIdle = max(try claimInteger(call, 4, "ERR Invalid min-idle-time argument for XCLAIM"), 0)
        var index = 5
        while index < call.count, StreamID.parse(call[index], missingSequence: 0) != nil { index += 1 }
        options.endOfIDs = index
        while index < call.count {
            let hasMore = index + 1 < call.count
            if call.isWord(index, "FORCE") {
                options.isForced = true
            } else if call.isWord(index, "JUSTID") {
                options.repliesIDs = true
            } else if hasMore, call.isWord(index, "IDLE") {
                index += 1
                options.deliveryTime = now &- (try claimInteger(call, index,
                                                                "ERR Invalid IDLE option argument for XCLAIM"))
            } else if hasMore, call.isWord(index, "TIME") {
                index += 1
                options.deliveryTime = try claimInteger(call, index, "ERR Invalid TIME option argument for XCLAIM")
            } else if hasMore, call.isWord(index, "RETRYCOUNT") {
                index += 1
                options.retryCount = try claimInteger(call, index,
                                                      "ERR Invalid RETRYCOUNT option argument for XCLAIM")
            } else if hasMore, call.isWord(index, "LASTID") {
                index += 1
                options.lastID = try call.streamID(index)
            } else {
                throw .naming("ERR Unrecognized XCLAIM option '%'", call[index])
            }
            index += 1
        }
        // A time before 1970 or yet to come makes no sense.
        if let time = options.deliveryTime, time < 0 || time > now { options.deliveryTime = now }
        return options
    }

    private static func claimInteger(_ call: Call, _ index: Int, _ error: StaticString) throws(CommandError)
        -> Int64 {
        guard let value = Decimal.parseInt64(call[index]) else { throw .text(error) }
        return value
    }

    // MARK: XAUTOCLAIM

    static func xautoclaim(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let minimumIdle = max(try claimInteger(call, 4, "ERR Invalid min-idle-time argument for XAUTOCLAIM"), 0)
        let start = try call.intervalStart(5)
        let (wanted, repliesIDs) = try parseAutoclaim(call)
        let (stream, group) = try pendingGroup(&keyspace, call, .read)
        let now = keyspace.now
        let consumer = consumer(group, call[3], call[1], call, now)
        // Claimed and forgotten entries count; the others that are looked at are bounded too.
        var left = wanted, attempts = wanted * 10
        var forgotten = OwnedBytes()
        call.reply.array(3)
        let cursorMark = call.reply.beginDeferred()
        let mark = call.reply.beginDeferred()
        var claimed = 0
        var place = group.pointee.pending.seek(atLeast: start)
        while let at = place, left > 0, attempts > 0 {
            attempts -= 1
            let id = at.id, entry = at.pendingEntry
            if stream.find(id) == nil {
                _ = forgetDeleted(call, group, id)
                forgotten.append(uninitialized: StreamID.byteCount) { id.write(bigEndianTo: $0) }
                left -= 1
                place = id.successor.flatMap { group.pointee.pending.seek(atLeast: $0) }
                continue
            }
            place = group.pointee.pending.next(at)
            if minimumIdle > 0, now.rawValue &- entry.pointee.deliveryTime < minimumIdle { continue }
            take(call, stream, group, consumer, id, deliveryTime: now.rawValue,
                 entry.pointee.deliveryCount &+ (repliesIDs ? 0 : 1), repliesID: repliesIDs, now)
            claimed += 1
            left -= 1
        }
        call.reply.endArray(mark, claimed)
        insert(place?.id ?? .minimum, at: cursorMark, call.reply)
        call.reply.array(forgotten.count / StreamID.byteCount)
        for offset in stride(from: 0, to: forgotten.count, by: StreamID.byteCount) {
            call.reply.bulk(StreamID(bigEndian: forgotten.base + offset))
        }
    }

    /// Where the next call is to go on, in front of what this one claimed.
    private static func insert(_ cursor: StreamID, at mark: Int, _ reply: ReplyWriter) {
        var text = OwnedBytes()
        withUnsafeMutablePointer(to: &text) { ReplyWriter($0, reply.version).bulk(cursor) }
        reply.output.pointee.insert(text.bytes, at: mark)
    }

    private static func parseAutoclaim(_ call: Call) throws(CommandError) -> (count: Int, repliesIDs: Bool) {
        var count: Int64 = 100, repliesIDs = false
        var index = 6
        while index < call.count {
            if index + 1 < call.count, call.isWord(index, "COUNT") {
                count = try call.integer(index + 1, in: 1...(Int64.max / 16),
                                         orThrow: .text("ERR COUNT must be > 0"))
                index += 2
            } else if call.isWord(index, "JUSTID") {
                repliesIDs = true
                index += 1
            } else {
                throw .syntax
            }
        }
        return (Int(count), repliesIDs)
    }
}
