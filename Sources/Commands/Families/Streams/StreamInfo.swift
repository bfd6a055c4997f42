import Encodings
import Keyspace
import Primitives
import RESP

// XINFO.

extension StreamCommands {
    static func infoStream(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        guard let entry = keyspace.find(call[2], in: call.database, .read) else { throw .noSuchKey }
        if entry.type != .stream { throw .wrongType }
        var count: Int64?
        if call.count > 3 {
            guard call.isWord(3, "FULL"), call.count == 4 || call.count == 6 else {
                throw call.subcommandSyntax("XINFO")
            }
            count = 10
        }
        if call.count == 6 {
            guard call.isWord(4, "COUNT") else { throw .syntax }
            let value = try call.integer(5)
            count = value < 0 ? 10 : value
        }
        let stream = StreamValue(entry)
        let more = stream.producers == nil ? 0 : 6
        if let count {
            call.reply.map(9 + more)
            replyFacts(call.reply, stream, keyspace)
            replyFull(call.reply, stream, Int(count))
        } else {
            call.reply.map(10 + more)
            replyFacts(call.reply, stream, keyspace)
            replySummary(call.reply, stream)
        }
    }

    private static func replyFacts(_ reply: ReplyWriter, _ stream: StreamValue, _ keyspace: borrowing Keyspace) {
        reply.bulk("length")
        reply.integer(stream.count)
        reply.bulk("radix-tree-keys")
        reply.integer(stream.nodeCount)
        reply.bulk("radix-tree-nodes")
        reply.integer(stream.radixTreeNodeCount)
        reply.bulk("last-generated-id")
        reply.bulk(stream.lastID)
        reply.bulk("max-deleted-entry-id")
        reply.bulk(stream.maxDeletedID)
        reply.bulk("entries-added")
        reply.integer(Int64(bitPattern: stream.entriesAdded))
        reply.bulk("recorded-first-entry-id")
        reply.bulk(stream.firstID)
        if let producers = stream.producers { replyFacts(reply, producers.pointee, keyspace) }
    }

    private static func replyFacts(_ reply: ReplyWriter, _ producers: StreamProducers,
                                   _ keyspace: borrowing Keyspace) {
        let thresholds = keyspace.thresholds
        let tracked = producers.count(oldest: oldestRemembered(producers, keyspace))
        let duration = producers.duration > 0 ? producers.duration : thresholds.streamIdmpDuration
        let maximumSize = producers.maximumSize > 0 ? producers.maximumSize : thresholds.streamIdmpMaxsize
        let facts: [(StaticString, Int)] = [
            ("idmp-duration", duration), ("idmp-maxsize", maximumSize), ("pids-tracked", tracked.producers),
            ("iids-tracked", tracked.messages), ("iids-added", Int(truncatingIfNeeded: producers.added)),
            ("iids-duplicates", Int(truncatingIfNeeded: producers.duplicates)),
        ]
        for (name, value) in facts {
            reply.bulk(name)
            reply.integer(value)
        }
    }

    private static func replySummary(_ reply: ReplyWriter, _ stream: StreamValue) {
        reply.bulk("groups")
        reply.integer(stream.groups.count)
        for (name, reversed) in [("first-entry", false), ("last-entry", true)] as [(StaticString, Bool)] {
            reply.bulk(name)
            var found = false
            stream.forEachEntry(reversed: reversed) {
                reply.entry($0)
                found = true
                return false
            }
            if !found { reply.null() }
        }
    }

    // MARK: FULL

    /// - Parameter count: at most so many entries of each list; 0: all.
    private static func replyFull(_ reply: ReplyWriter, _ stream: StreamValue, _ count: Int) {
        reply.bulk("entries")
        reply.entries(stream, from: .minimum, through: .maximum, count: count)
        reply.bulk("groups")
        reply.array(stream.groups.count)
        for index in 0..<stream.groups.count {
            let group = stream.groups[index]
            let released = group.pointee.releasedCount
            reply.map(released == 0 ? 7 : 8)
            reply.bulk("name")
            reply.bulk(group.pointee.name.bytes)
            replyProgress(reply, stream, group)
            reply.bulk("pel-count")
            reply.integer(group.pointee.pending.count)
            if released > 0 {
                reply.bulk("nacked-count")
                reply.integer(released)
            }
            reply.bulk("pending")
            replyPending(reply, group.pointee.pending, count, withConsumer: true)
            reply.bulk("consumers")
            reply.array(group.pointee.consumers.count)
            for index in 0..<group.pointee.consumers.count { replyFull(reply, group.pointee.consumers[index], count) }
        }
    }

    private static func replyFull(_ reply: ReplyWriter, _ consumer: ConsumerHandle, _ count: Int) {
        reply.map(5)
        reply.bulk("name")
        reply.bulk(consumer.pointee.name.bytes)
        reply.bulk("seen-time")
        reply.integer(consumer.pointee.seenTime)
        reply.bulk("active-time")
        reply.integer(consumer.pointee.activeTime)
        reply.bulk("pel-count")
        reply.integer(consumer.pointee.pending.count)
        reply.bulk("pending")
        replyPending(reply, consumer.pointee.pending, count, withConsumer: false)
    }

    private static func replyPending(_ reply: ReplyWriter, _ pending: IDTree, _ count: Int, withConsumer: Bool) {
        let mark = reply.beginDeferred()
        var replied = 0
        var place = pending.first
        while let at = place {
            let entry = at.pendingEntry.pointee
            reply.array(withConsumer ? 4 : 3)
            reply.bulk(at.id)
            if withConsumer { reply.bulk(entry.consumerName) }
            reply.integer(entry.deliveryTime)
            reply.integer(Int64(bitPattern: entry.deliveryCount))
            replied += 1
            if replied == count { break }
            place = pending.next(at)
        }
        reply.endArray(mark, replied)
    }

    /// Three facts of a group: last ID, entries read, lag.
    private static func replyProgress(_ reply: ReplyWriter, _ stream: StreamValue, _ group: GroupHandle) {
        reply.bulk("last-delivered-id")
        reply.bulk(group.pointee.lastID)
        reply.bulk("entries-read")
        if let read = group.pointee.entriesRead { reply.integer(read) } else { reply.null() }
        reply.bulk("lag")
        if let lag = stream.lag(of: group) { reply.integer(lag) } else { reply.null() }
    }

    // MARK: GROUPS, CONSUMERS, HELP

    static func infoGroups(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        guard let stream = try call.stream(&keyspace, 2, .read) else { throw .noSuchKey }
        let reply = call.reply
        reply.array(stream.groups.count)
        for index in 0..<stream.groups.count {
            let group = stream.groups[index]
            reply.map(6)
            reply.bulk("name")
            reply.bulk(group.pointee.name.bytes)
            reply.bulk("consumers")
            reply.integer(group.pointee.consumers.count)
            reply.bulk("pending")
            reply.integer(group.pointee.pending.count)
            replyProgress(reply, stream, group)
        }
    }

    static func infoConsumers(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        guard let stream = try call.stream(&keyspace, 2, .read) else { throw .noSuchKey }
        guard let group = stream.group(call[3]) else {
            throw .naming("NOGROUP No such consumer group '%' for key name '%'", call[3], call[2])
        }
        let now = keyspace.now.rawValue, reply = call.reply
        reply.array(group.pointee.consumers.count)
        for index in 0..<group.pointee.consumers.count {
            let consumer = group.pointee.consumers[index]
            let active = consumer.pointee.activeTime
            reply.map(4)
            reply.bulk("name")
            reply.bulk(consumer.pointee.name.bytes)
            reply.bulk("pending")
            reply.integer(consumer.pointee.pending.count)
            reply.bulk("idle")
            reply.integer(max(now &- consumer.pointee.seenTime, 0))
            reply.bulk("inactive")
            reply.integer(active < 0 ? -1 : max(now &- active, 0))
        }
    }

    static func infoHelp(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        HelpText.write(&call, [
            "CONSUMERS <key> <groupname>", "    Describe the consumers of a group.",
            "GROUPS <key>", "    Describe the groups of a stream.",
            "STREAM <key> [FULL [COUNT <count>]]", "    Describe a stream; in FULL with its entries and groups.",
        ])
    }
}
