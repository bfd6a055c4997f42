import Encodings
import Keyspace
import Primitives
import RESP

// Reading without a group: XRANGE, XREVRANGE, XREAD; and what XREAD and XREADGROUP have in common.

extension StreamCommands {
    static func xrange(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try range(&keyspace, &call, reversed: false)
    }

    static func xrevrange(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try range(&keyspace, &call, reversed: true)
    }

    private static func range(_ keyspace: inout Keyspace, _ call: inout Call, reversed: Bool)
        throws(CommandError) {
        let start = try call.intervalStart(reversed ? 3 : 2), end = try call.intervalEnd(reversed ? 2 : 3)
        var count: Int64 = -1
        var index = 4
        while index < call.count {
            guard call.isWord(index, "COUNT"), index + 1 < call.count else { throw .syntax }
            count = max(try call.integer(index + 1), 0)
            index += 2
        }
        guard let stream = try call.stream(&keyspace, 1, .read) else { call.reply.array(0); return }
        if count == 0 { call.reply.nullArray(); return }
        call.reply.entries(stream, from: start, through: end, reversed: reversed, count: max(Int(count), 0))
    }

    // MARK: Options of XREAD and XREADGROUP

    struct ReadOptions {
        /// Entries a stream; 0: all.
        var count = 0
        /// Entries, and bytes of the reply, of all streams together (`ReadBudget`).
        var maximumCount = Int.max
        var maximumBytes = Int.max
        /// nil: don't wait; 0: for ever.
        var timeoutMilliseconds: Int64?
        /// Index of the group's name; the consumer's is behind it.
        var group: Int?
        var acknowledgesNothing = false
        /// Pending entries that nobody was given for so many ms are taken over; nil: none are.
        var claimIdle: Int64?
        /// Index of the first key; the first ID is `streamCount` behind it.
        var firstKey = 0
        var streamCount = 0
    }

    /// What may still be replied, in all streams together (MAXCOUNT, MAXSIZE).
    struct ReadBudget {
        private(set) var entriesLeft: Int
        private let end: Int
        private var isFull = false
        private var isEmpty = true

        init(_ options: ReadOptions, _ reply: ReplyWriter) {
            entriesLeft = options.maximumCount
            let (end, isBeyond) = reply.output.pointee.count.addingReportingOverflow(options.maximumBytes)
            self.end = isBeyond ? .max : end
        }

        var isSpent: Bool { isFull || entriesLeft == 0 }

        /// An entry was written from `place` on: false, and it is taken back, if it is more than there is room for.
        /// The first one stays however big it is, or nobody would ever get behind it.
        @inline(__always)
        mutating func admits(from place: Int, _ reply: ReplyWriter) -> Bool {
            if reply.output.pointee.count > end, !isEmpty {
                reply.output.pointee.truncate(to: place)
                isFull = true
                return false
            }
            isEmpty = false
            entriesLeft -= 1
            return true
        }
    }

    static func parseRead(_ call: Call, isGroup: Bool) throws(CommandError) -> ReadOptions {
        var options = ReadOptions()
        var index = 1
        while index < call.count, options.firstKey == 0 {
            let more = call.count - index - 1
            if more >= 1, call.isWord(index, "BLOCK") {
                options.timeoutMilliseconds = try parseTimeout(call[index + 1])
                index += 2
            } else if more >= 1, call.isWord(index, "COUNT") {
                options.count = Int(max(try call.integer(index + 1), 0))
                index += 2
            } else if more >= 1, call.isWord(index, "MAXCOUNT") {
                options.maximumCount = Int(try call.integer(index + 1, in: 1...Int64.max, orThrow: .text(
                    "ERR MAXCOUNT must be a positive integer")))
                index += 2
            } else if more >= 1, call.isWord(index, "MAXSIZE") {
                options.maximumBytes = Int(try call.integer(index + 1, in: 1...Int64.max, orThrow: .text(
                    "ERR MAXSIZE must be a positive integer")))
                index += 2
            } else if more >= 1, call.isWord(index, "STREAMS") {
                if more & 1 == 1 { throw unbalanced(isGroup) }
                options.firstKey = index + 1
                options.streamCount = more / 2
            } else if more >= 2, call.isWord(index, "GROUP") {
                if !isGroup { throw onlyForGroups("GROUP") }
                options.group = index + 1
                index += 3
            } else if more >= 1, call.isWord(index, "CLAIM") {
                if !isGroup { throw onlyForGroups("CLAIM") }
                options.claimIdle = try parseIdle(call[index + 1])
                index += 2
            } else if call.isWord(index, "NOACK") {
                if !isGroup { throw onlyForGroups("NOACK") }
                options.acknowledgesNothing = true
                index += 1
            } else {
                throw .syntax
            }
        }
        if options.firstKey == 0 { throw .syntax }
        if options.maximumCount < options.count { throw .text("ERR MAXCOUNT must not be less than COUNT") }
        if isGroup, options.group == nil { throw .text("ERR Missing GROUP option for XREADGROUP") }
        return options
    }

    private static func parseTimeout(_ text: Bytes) throws(CommandError) -> Int64 {
        guard let value = Decimal.parseInt64(text) else {
            throw .text("ERR timeout is not an integer or out of range")
        }
        if value < 0 { throw .text("ERR timeout is negative") }
        // Added to the present time it must remain a time.
        if value > Int64.max / 2 { throw .text("ERR timeout is out of range") }
        return value
    }

    private static func parseIdle(_ text: Bytes) throws(CommandError) -> Int64 {
        guard let value = Decimal.parseInt64(text) else {
            throw .text("ERR min-idle-time is not an integer or out of range")
        }
        if value < 0 { throw .text("ERR min-idle-time must be a positive integer") }
        return value
    }

    private static func unbalanced(_ isGroup: Bool) -> CommandError {
        let name = isGroup ? "xreadgroup" : "xread", symbol = isGroup ? ">" : "$"
        return .message("ERR Unbalanced '\(name)' list of streams: for each stream key an ID or '\(symbol)' must be "
            + "specified.")
    }

    private static func onlyForGroups(_ option: String) -> CommandError {
        .message("ERR The \(option) option is only supported by XREADGROUP. You called XREAD instead.")
    }

    static func meaningless(_ symbol: String) -> CommandError {
        .message("ERR The \(symbol) ID is meaningless in the context of XREADGROUP: you want to read the history of "
            + "this consumer by specifying a proper ID, or use the > ID to get new messages. The \(symbol) ID would "
            + "just return an empty result set.")
    }

    // MARK: XREAD

    static func xread(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let options = try parseRead(call, isGroup: false)
        // All IDs are looked at before anything is replied.
        for key in options.firstKey..<(options.firstKey + options.streamCount) {
            let stream = try readStream(&keyspace, call, key)
            _ = try startID(call, key + options.streamCount, stream)
        }
        let mark = call.reply.beginDeferred()
        var replied = 0, budget = ReadBudget(options, call.reply)
        for key in options.firstKey..<(options.firstKey + options.streamCount) where !budget.isSpent {
            guard let stream = try readStream(&keyspace, call, key), stream.count > 0 else { continue }
            let after = try startID(call, key + options.streamCount, stream)
            guard stream.lastLiveID > after, let start = after.successor else { continue }
            let header = call.reply.beginDeferred()
            if call.reply.version == .resp2 { call.reply.array(2) }
            call.reply.bulk(call[key])
            if reply(stream, from: start, options.count, &budget, call.reply) > 0 {
                replied += 1
            } else {
                call.reply.output.pointee.truncate(to: header)
            }
        }
        if replied > 0 {
            endStreams(call.reply, mark, replied)
        } else {
            try waitForEntries(&keyspace, call, options)
        }
    }

    /// The entries from `start` on as far as the budget goes; how many.
    private static func reply(_ stream: StreamValue, from start: StreamID, _ count: Int, _ budget: inout ReadBudget,
                              _ reply: ReplyWriter) -> Int {
        let mark = reply.beginDeferred()
        var replied = 0
        stream.forEachEntry(from: start) { entry in
            let place = reply.beginDeferred()
            reply.entry(entry)
            if !budget.admits(from: place, reply) { return false }
            replied += 1
            return replied != count && !budget.isSpent
        }
        reply.endArray(mark, replied)
        return replied
    }

    /// The stream to read. Whoever waits for one does not mind that something else is in its place meanwhile.
    private static func readStream(_ keyspace: inout Keyspace, _ call: Call, _ index: Int)
        throws(CommandError) -> StreamValue? {
        guard let entry = keyspace.find(call[index], in: call.database, .read) else { return nil }
        if entry.type == .stream { return StreamValue(entry) }
        if call.isRetry { return nil }
        throw .wrongType
    }

    /// The ID behind which to read.
    private static func startID(_ call: Call, _ index: Int, _ stream: StreamValue?) throws(CommandError)
        -> StreamID {
        if call.isWord(index, "$") { return stream?.lastID ?? .minimum }
        if call.isWord(index, "+") { return stream?.lastLiveID.predecessor ?? .minimum }
        if call.isWord(index, ">") {
            throw .text("""
                ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.
                """)
        }
        return try call.streamID(index)
    }

    /// Closes the reply that begins at `mark`: keys with what was read of them.
    static func endStreams(_ reply: ReplyWriter, _ mark: Int, _ count: Int) {
        if reply.version == .resp2 { reply.endArray(mark, count) } else { reply.endMap(mark, count) }
    }

    /// Nothing to read: waits if it may. `$` is settled now, or it would mean the end of the stream at every try.
    private static func waitForEntries(_ keyspace: inout Keyspace, _ call: Call, _ options: ReadOptions)
        throws(CommandError) {
        guard wait(call, options), !call.isRetry else { return }
        for key in options.firstKey..<(options.firstKey + options.streamCount) {
            let index = key + options.streamCount
            guard call.isWord(index, "$") else { continue }
            let id = try readStream(&keyspace, call, key)?.lastID ?? .minimum
            id.withText { call.replaceArgument(index, by: $0) }
        }
    }

    /// True if the client waits now; otherwise it was answered.
    /// - Parameter retryMilliseconds: after so long it looks again, even if no key changed; 0: no.
    @discardableResult
    static func wait(_ call: Call, _ options: ReadOptions, retryMilliseconds: Int64 = 0) -> Bool {
        guard let timeout = options.timeoutMilliseconds, call.mayBlock else {
            call.reply.nullArray()
            return false
        }
        call.block(firstKey: options.firstKey, keyCount: options.streamCount, timeoutMilliseconds: timeout,
                   timeoutReply: .nullArray, retryMilliseconds: retryMilliseconds)
        return true
    }
}
