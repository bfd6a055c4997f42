import Encodings
import Keyspace
import Primitives
import RESP

// Consumer groups: XGROUP, XREADGROUP, XACK.
//
// What the log gets of a delivery: XGROUP CREATECONSUMER for a new consumer; for every pending entry an XCLAIM that
// sets owner, time and count; XGROUP SETID if the group moved on, with the number of entries read.

extension StreamCommands {
    // MARK: XGROUP

    static func groupCreate(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let (createsStream, entriesRead) = try parseGroupOptions(call, mayCreateStream: true)
        let found = try call.stream(&keyspace, 2, .write)
        if found == nil, !createsStream { throw keyRequired }
        let id = try groupID(call, found)
        if found?.group(call[3]) != nil { throw .text("BUSYGROUP Consumer Group name already exists") }
        let stream = found ?? .create()
        if found == nil {
            keyspace.set(call[2], to: stream.makeValue(), in: call.database)
            call.modified(call[2], .stream, "xgroup-create")
        } else {
            call.changedGroups(call[2], "xgroup-create")
        }
        _ = stream.addGroup(call[3], lastID: id, entriesRead: entriesRead)
        call.reply.ok()
    }

    static func groupSetID(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let (_, entriesRead) = try parseGroupOptions(call, mayCreateStream: false)
        let (stream, group) = try existingGroup(&keyspace, call)
        // Unlike CREATE, it knows the words for the lowest and the highest ID.
        if call.isWord(4, "-") {
            group.pointee.lastID = .minimum
        } else if call.isWord(4, "+") {
            group.pointee.lastID = .maximum
        } else {
            group.pointee.lastID = try groupID(call, stream)
        }
        group.pointee.entriesRead = entriesRead
        call.changedGroups(call[2], "xgroup-setid")
        call.reply.ok()
    }

    static func groupDestroy(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        guard let stream = try call.stream(&keyspace, 2, .write) else { throw keyRequired }
        guard stream.removeGroup(call[3]) else { call.reply.integer(0); return }
        // Consumers that wait are to learn that their group is gone.
        call.modified(call[2], .stream, "xgroup-destroy")
        call.reply.integer(1)
    }

    static func groupCreateConsumer(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let (_, group) = try existingGroup(&keyspace, call)
        if group.pointee.consumers.find(call[4]) != nil { call.reply.integer(0); return }
        _ = addConsumer(group, call[4], call[2], call, keyspace.now)
        call.reply.integer(1)
    }

    static func groupDeleteConsumer(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let (_, group) = try existingGroup(&keyspace, call)
        let pending = group.removeConsumer(call[4])
        if pending != nil { call.changedGroups(call[2], "xgroup-delconsumer") }
        call.reply.integer(pending ?? 0)
    }

    static func groupHelp(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        HelpText.write(&call, [
            "CREATE <key> <groupname> <id|$> [MKSTREAM] [ENTRIESREAD entries_read]",
            "    Make a group that is given the entries behind an ID. MKSTREAM makes the stream, too.",
            "CREATECONSUMER <key> <groupname> <consumer>", "    Make a consumer.",
            "DELCONSUMER <key> <groupname> <consumer>", "    Remove a consumer, with its pending entries.",
            "DESTROY <key> <groupname>", "    Remove a group.",
            "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
            "    Let a group go on behind another ID.",
        ])
    }

    private static let keyRequired = CommandError.text("""
        ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM \
        option to create an empty stream automatically.
        """)

    private static func existingGroup(_ keyspace: inout Keyspace, _ call: Call) throws(CommandError)
        -> (StreamValue, GroupHandle) {
        guard let stream = try call.stream(&keyspace, 2, .write) else { throw keyRequired }
        guard let group = stream.group(call[3]) else {
            throw .naming("NOGROUP No such consumer group '%' for key name '%'", call[3], call[2])
        }
        return (stream, group)
    }

    /// Argument 4: an ID, or `$` for the stream's last.
    private static func groupID(_ call: Call, _ stream: StreamValue?) throws(CommandError) -> StreamID {
        call.isWord(4, "$") ? stream?.lastID ?? .minimum : try call.streamID(4)
    }

    private static func parseGroupOptions(_ call: Call, mayCreateStream: Bool) throws(CommandError)
        -> (createsStream: Bool, entriesRead: Int64?) {
        var createsStream = false, entriesRead: Int64?
        var index = 5
        while index < call.count {
            if mayCreateStream, call.isWord(index, "MKSTREAM") {
                createsStream = true
                index += 1
            } else if index + 1 < call.count, call.isWord(index, "ENTRIESREAD") {
                let value = try call.integer(index + 1)
                if value < -1 { throw .text("ERR value for ENTRIESREAD must be positive or -1") }
                entriesRead = value < 0 ? nil : value
                index += 2
            } else {
                throw call.subcommandSyntax("XGROUP")
            }
        }
        return (createsStream, entriesRead)
    }

    // MARK: Consumers

    static func addConsumer(_ group: GroupHandle, _ name: Bytes, _ key: Bytes, _ call: Call,
                            _ now: UnixMilliseconds) -> ConsumerHandle {
        call.changedGroups(key, "xgroup-createconsumer")
        return group.addConsumer(name, seenTime: now.rawValue, activeTime: -1)
    }

    /// The consumer of this name, created and recorded if needed. It was seen now.
    static func consumer(_ group: GroupHandle, _ name: Bytes, _ key: Bytes, _ call: Call, _ now: UnixMilliseconds)
        -> ConsumerHandle {
        if let consumer = group.pointee.consumers.find(name) {
            consumer.pointee.seenTime = now.rawValue
            return consumer
        }
        call.record(argumentCount: 5)
        call.recordArgument("XGROUP")
        call.recordArgument("CREATECONSUMER")
        call.recordArgument(key)
        call.recordArgument(group.pointee.name.bytes)
        call.recordArgument(name)
        return addConsumer(group, name, key, call, now)
    }

    /// What makes `id` pending as it is now.
    static func recordClaim(_ call: Call, _ key: Bytes, _ group: GroupHandle, _ id: StreamID, _ entry: PendingEntry) {
        call.record(argumentCount: 14)
        call.recordArgument("XCLAIM")
        call.recordArgument(key)
        call.recordArgument(group.pointee.name.bytes)
        call.recordArgument(entry.consumerName)
        call.recordArgument("0")
        call.recordArgument(id)
        call.recordArgument("TIME")
        call.recordArgument(entry.deliveryTime)
        call.recordArgument("RETRYCOUNT")
        call.recordArgument(Int64(bitPattern: entry.deliveryCount))
        call.recordArgument("FORCE")
        call.recordArgument("JUSTID")
        call.recordArgument("LASTID")
        call.recordArgument(group.pointee.lastID)
    }

    static func recordGroupID(_ call: Call, _ key: Bytes, _ group: GroupHandle) {
        call.record(argumentCount: 7)
        call.recordArgument("XGROUP")
        call.recordArgument("SETID")
        call.recordArgument(key)
        call.recordArgument(group.pointee.name.bytes)
        call.recordArgument(group.pointee.lastID)
        call.recordArgument("ENTRIESREAD")
        call.recordArgument(group.pointee.entriesRead ?? -1)
    }

    // MARK: XREADGROUP

    static func xreadgroup(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let options = try parseRead(call, isGroup: true)
        let keys = options.firstKey..<(options.firstKey + options.streamCount)
        for key in keys {
            _ = try readGroup(&keyspace, call, key, options)
            _ = try historyStart(call, key + options.streamCount)
        }
        let mark = call.reply.beginDeferred()
        var replied = 0, budget = ReadBudget(options, call.reply)
        for key in keys where !budget.isSpent {
            let (stream, group) = try readGroup(&keyspace, call, key, options)
            let history = try historyStart(call, key + options.streamCount)
            let consumer = consumer(group, call[(options.group ?? 0) + 1], call[key], call, keyspace.now)
            let claimed = history == nil ? claimable(stream, group, options, budget, keyspace.now) : []
            if history == nil, claimed.isEmpty,
               stream.count == 0 || stream.lastLiveID <= group.pointee.lastID { continue }
            let header = call.reply.beginDeferred()
            if call.reply.version == .resp2 { call.reply.array(2) }
            call.reply.bulk(call[key])
            let isKept = if let history {
                replyHistory(call, key, stream, group, consumer, after: history, options, &budget, keyspace.now)
            } else {
                deliver(call, key, stream, group, consumer, claimed, options, &budget, keyspace.now)
            }
            if isKept { replied += 1 } else { call.reply.output.pointee.truncate(to: header) }
        }
        if replied > 0 {
            endStreams(call.reply, mark, replied)
        } else {
            wait(call, options, retryMilliseconds: try claimPause(&keyspace, call, options))
        }
    }

    private static func readGroup(_ keyspace: inout Keyspace, _ call: Call, _ key: Int, _ options: ReadOptions)
        throws(CommandError) -> (StreamValue, GroupHandle) {
        let name = call[options.group ?? 0]
        guard let stream = try call.stream(&keyspace, key, .read), let group = stream.group(name) else {
            throw .naming("NOGROUP No such key '%' or consumer group '%' in XREADGROUP with GROUP option",
                          call[key], name)
        }
        return (stream, group)
    }

    /// The ID behind which to read the consumer's own pending entries; nil for `>`, which asks for new ones.
    private static func historyStart(_ call: Call, _ index: Int) throws(CommandError) -> StreamID? {
        if call.isWord(index, ">") { return nil }
        if call.isWord(index, "$") { throw meaningless("$") }
        if call.isWord(index, "+") { throw meaningless("+") }
        let id = try call.streamID(index)
        return id == .maximum ? nil : id
    }

    // MARK: CLAIM

    private static func claimable(_ stream: StreamValue, _ group: GroupHandle, _ options: ReadOptions,
                                  _ budget: ReadBudget, _ now: UnixMilliseconds) -> [StreamID] {
        guard let idle = options.claimIdle else { return [] }
        let count = options.count == 0 ? budget.entriesLeft : min(options.count, budget.entriesLeft)
        return stream.idleEntries(of: group, since: now.rawValue &- idle, count: count)
    }

    /// How long a client that found nothing may wait before an entry can have become idle enough, in ms; 0: it does
    /// not claim. Deliveries made meanwhile change no key, so it looks again in any case.
    private static func claimPause(_ keyspace: inout Keyspace, _ call: Call, _ options: ReadOptions)
        throws(CommandError) -> Int64 {
        guard let idle = options.claimIdle else { return 0 }
        var pause = max(idle, 100)
        for key in options.firstKey..<(options.firstKey + options.streamCount) {
            let (stream, group) = try readGroup(&keyspace, call, key, options)
            guard let earliest = stream.earliestDelivery(of: group) else { continue }
            pause = min(pause, max(earliest &+ idle &- keyspace.now.rawValue, 1))
        }
        return pause
    }

    /// Pending entries of whoever become the consumer's: replied with how long they waited and how often they were
    /// delivered before; how many.
    private static func take(_ claimed: [StreamID], _ call: Call, _ key: Int, _ stream: StreamValue,
                             _ group: GroupHandle, _ consumer: ConsumerHandle, _ budget: inout ReadBudget,
                             _ now: UnixMilliseconds) -> Int {
        var taken = 0
        for id in claimed {
            guard let entry = stream.find(id), let old = group.pointee.pending.pendingEntry(id)?.pointee else {
                continue
            }
            let place = call.reply.beginDeferred()
            call.reply.entry(entry, more: 2)
            call.reply.integer(old.consumer == nil ? -1 : now.rawValue &- old.deliveryTime)
            call.reply.integer(Int64(bitPattern: old.deliveryCount))
            if !budget.admits(from: place, call.reply) { break }
            taken += 1
            let pending = group.assign(id, to: consumer, deliveryTime: now.rawValue,
                                       deliveryCount: old.deliveryCount &+ 1)
            consumer.pointee.activeTime = now.rawValue
            recordClaim(call, call[key], group, id, pending.pointee)
        }
        call.effects.pointee.dirty += taken
        return taken
    }

    /// What was claimed, and entries that the group did not have yet, become the consumer's; false: the budget was not
    /// enough for any.
    private static func deliver(_ call: Call, _ key: Int, _ stream: StreamValue, _ group: GroupHandle,
                                _ consumer: ConsumerHandle, _ claimed: [StreamID], _ options: ReadOptions,
                                _ budget: inout ReadBudget, _ now: UnixMilliseconds) -> Bool {
        let mark = call.reply.beginDeferred()
        let taken = take(claimed, call, key, stream, group, consumer, &budget, now)
        var delivered = taken
        guard options.count == 0 || delivered < options.count, !budget.isSpent,
              let start = group.pointee.lastID.successor, stream.count > 0, stream.lastLiveID >= start else {
            call.reply.endArray(mark, delivered)
            return delivered > 0
        }
        stream.forEachEntry(from: start) { entry in
            let place = call.reply.beginDeferred()
            call.reply.entry(entry)
            if !budget.admits(from: place, call.reply) { return false }
            stream.advance(group, to: entry.id)
            if !options.acknowledgesNothing {
                let pending = group.assign(entry.id, to: consumer, deliveryTime: now.rawValue, deliveryCount: 1)
                consumer.pointee.activeTime = now.rawValue
                recordClaim(call, call[key], group, entry.id, pending.pointee)
            }
            delivered += 1
            return delivered != options.count && !budget.isSpent
        }
        call.reply.endArray(mark, delivered)
        if delivered > taken {
            recordGroupID(call, call[key], group)
            call.effects.pointee.dirty += 1
        }
        return delivered > 0
    }

    /// The consumer's pending entries once more; those that were deleted from the stream come without fields. False:
    /// the budget was not enough for any.
    private static func replyHistory(_ call: Call, _ key: Int, _ stream: StreamValue, _ group: GroupHandle,
                                     _ consumer: ConsumerHandle, after: StreamID, _ options: ReadOptions,
                                     _ budget: inout ReadBudget, _ now: UnixMilliseconds) -> Bool {
        let mark = call.reply.beginDeferred()
        var replied = 0
        var place = after.successor.flatMap { consumer.pointee.pending.seek(atLeast: $0) }
        while let at = place {
            let start = call.reply.beginDeferred()
            if let entry = stream.find(at.id) {
                call.reply.entry(entry)
                if !budget.admits(from: start, call.reply) { break }
                let pending = group.assign(at.id, to: consumer, deliveryTime: now.rawValue,
                                           deliveryCount: at.pendingEntry.pointee.deliveryCount &+ 1)
                recordClaim(call, call[key], group, at.id, pending.pointee)
            } else {
                call.reply.array(2)
                call.reply.bulk(at.id)
                call.reply.nullArray()
                if !budget.admits(from: start, call.reply) { break }
            }
            replied += 1
            if replied == options.count || budget.isSpent { break }
            place = consumer.pointee.pending.next(at)
        }
        call.reply.endArray(mark, replied)
        call.effects.pointee.dirty += 1
        // The first entry may be more than there was room for.
        return replied > 0 || !budget.isSpent
    }

    // MARK: XACK

    static func xack(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        guard let group = try call.stream(&keyspace, 1, .read)?.group(call[2]) else {
            call.reply.integer(0)
            return
        }
        for index in 3..<call.count { _ = try call.streamID(index) }
        var acknowledged = 0
        for index in 3..<call.count where group.acknowledge(try call.streamID(index)) { acknowledged += 1 }
        call.effects.pointee.dirty += acknowledged
        call.reply.integer(acknowledged)
    }
}
