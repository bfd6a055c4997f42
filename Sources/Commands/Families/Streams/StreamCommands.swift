import Encodings
import Keyspace
import Primitives
import RESP

// Adding and removing entries.
//
// What the log gets: XADD with the ID that was chosen, and trimming with `=` and the length that was left, so that
// replay does not depend on the clock or on how entries are spread over nodes.

extension StreamCommands {
    /// `MAXLEN|MINID [=|~] threshold [LIMIT count]`.
    struct TrimOptions {
        var bound: StreamValue.TrimBound
        var isApproximate: Bool
        /// The word of the strategy, and the threshold behind it.
        var word: Int
        var threshold: Int
        var limit = 0
        var policy = ReferencePolicy.keep
    }

    /// Which ID a new entry is to have.
    enum NewID {
        case automatic
        case milliseconds(UInt64)
        case explicit(StreamID)
    }

    // MARK: XADD

    private struct AddOptions {
        var trim: TrimOptions?
        var createsStream = true
        var sentAs: SentAs?
        var id = NewID.automatic
        var firstField = 0
    }

    static func xadd(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let options = try parseAdd(call, keyspace)
        let pairs = UnsafeBufferPointer(start: call.arguments.base + options.firstField,
                                        count: call.count - options.firstField)
        if pairs.count < 2 || pairs.count & 1 == 1 { throw .wrongArity }
        if case .explicit(.minimum) = options.id {
            throw .text("ERR The ID specified in XADD must be greater than 0-0")
        }
        let found = try call.stream(&keyspace, 1, .write)
        if found == nil, !options.createsStream { call.reply.null(); return }
        guard let sentAs = options.sentAs else {
            _ = try add(options, pairs, to: found, &keyspace, call)
            return
        }
        let failure = withMessageID(sentAs, pairs) { message -> CommandError? in
            if let known = entry(of: message, sentAs, in: found, keyspace) {
                call.reply.bulk(known)
                return nil
            }
            do throws(CommandError) {
                let (stream, id) = try add(options, pairs, to: found, &keyspace, call)
                remember(message, sentAs, as: id, in: stream, call, keyspace)
                return nil
            } catch {
                return error
            }
        }
        if let failure { throw failure }
    }

    /// Adds the entry, replies its ID, and trims.
    private static func add(_ options: AddOptions, _ pairs: UnsafeBufferPointer<Bytes>, to found: StreamValue?,
                            _ keyspace: inout Keyspace, _ call: Call) throws(CommandError) -> (StreamValue, StreamID) {
        let last = found?.lastID ?? .minimum
        if last == .maximum {
            throw .text("ERR The stream has exhausted the last possible ID, unable to add more items")
        }
        guard let id = newID(options.id, after: last, keyspace.now), id > last else {
            throw .text("ERR The ID specified in XADD is equal or smaller than the target stream top item")
        }
        var bytes = 0
        for pair in pairs { bytes &+= pair.count }
        if bytes > StreamValue.maximumEntryBytes { throw .text("ERR Elements are too large to be stored") }
        let stream = found ?? .create()
        if found == nil { keyspace.set(call[1], to: stream.makeValue(), in: call.database) }
        stream.append(id, pairs, keyspace.thresholds)
        call.reply.bulk(id)
        call.modified(call[1], .stream, "xadd")
        let first = stream.firstID
        let trimmed = options.trim.map { apply($0, stream) } ?? Trimmed()
        if trimmed.count > 0 { call.announce(call[1], .stream, "xtrim") }
        recordAdd(call, id, pairs, trimmed.scattered.isEmpty ? options.trim : nil, stream)
        if let trim = options.trim, trimmed.count > 0 {
            if !trimmed.scattered.isEmpty { recordDeletion(trimmed.scattered, call) }
            releaseTrimmed(trim, from: first, stream, call)
        }
        return (stream, id)
    }

    private static func newID(_ wanted: NewID, after last: StreamID, _ now: UnixMilliseconds) -> StreamID? {
        switch wanted {
        case .automatic:
            let milliseconds = UInt64(max(now.rawValue, 0))
            return milliseconds > last.milliseconds ? StreamID(milliseconds, 0) : last.successor
        case .milliseconds(let milliseconds):
            if milliseconds != last.milliseconds { return StreamID(milliseconds, 0) }
            return last.sequence == .max ? nil : StreamID(milliseconds, last.sequence + 1)
        case .explicit(let id): return id
        }
    }

    private static func recordAdd(_ call: Call, _ id: StreamID, _ pairs: UnsafeBufferPointer<Bytes>,
                                  _ trim: TrimOptions?, _ stream: StreamValue) {
        call.record(argumentCount: 3 + pairs.count + (trim == nil ? 0 : 3))
        call.recordArgument("XADD")
        call.recordArgument(call[1])
        if let trim { recordTrim(call, trim, stream) }
        call.recordArgument(id)
        for pair in pairs { call.recordArgument(pair) }
    }

    private static func recordTrim(_ call: Call, _ trim: TrimOptions, _ stream: StreamValue) {
        if trim.isApproximate {
            call.recordArgument("MAXLEN")
            call.recordArgument("=")
            call.recordArgument(Int64(stream.count))
        } else {
            call.recordArgument(call[trim.word])
            call.recordArgument("=")
            call.recordArgument(call[trim.threshold])
        }
    }

    private static func parseAdd(_ call: Call, _ keyspace: borrowing Keyspace) throws(CommandError) -> AddOptions {
        var options = AddOptions()
        var limit: Int64?, policy: ReferencePolicy?
        var index = 2
        while index < call.count {
            let hasMore = index + 1 < call.count
            if call.isWord(index, "*") { break }
            if policy == nil, let given = ReferencePolicy(call, index) {
                policy = given
                index += 1
                continue
            }
            if hasMore, let next = try parseTrim(call, index, &options.trim, &limit) {
                index = next
            } else if let next = try parseSentAs(call, index, &options.sentAs) {
                index = next
            } else if call.isWord(index, "NOMKSTREAM") {
                options.createsStream = false
                index += 1
            } else {
                options.id = try parseNewID(call[index])
                if options.sentAs != nil {
                    throw .text("ERR syntax error, IDMP/IDMPAUTO can be used only with auto-generated IDs")
                }
                break
            }
        }
        try finish(&options.trim, limit, policy, call, keyspace)
        options.firstField = index + 1
        if options.firstField > call.count { throw .wrongArity }
        return options
    }

    private static func parseNewID(_ text: Bytes) throws(CommandError) -> NewID {
        if text.count > 2, text[text.count - 1] == UInt8(ascii: "*"), text[text.count - 2] == UInt8(ascii: "-"),
           let milliseconds = Decimal.parseUInt64Leniently(Bytes(rebasing: text.dropLast(2))) {
            return .milliseconds(milliseconds)
        }
        guard let id = StreamID.parse(text, missingSequence: 0) else { throw .invalidStreamID }
        return .explicit(id)
    }

    // MARK: Trimming

    /// Reads one option at `index`, which is not the last argument; the index behind it, nil if it is none of these.
    private static func parseTrim(_ call: Call, _ index: Int, _ trim: inout TrimOptions?, _ limit: inout Int64?)
        throws(CommandError) -> Int? {
        if call.isWord(index, "LIMIT") {
            let value = try call.integer(index + 1)
            if value < 0 { throw .text("ERR The LIMIT argument must be >= 0.") }
            limit = value
            return index + 2
        }
        let isLength = call.isWord(index, "MAXLEN")
        guard isLength || call.isWord(index, "MINID") else { return nil }
        if trim != nil {
            throw .text("ERR syntax error, MAXLEN and MINID options at the same time are not compatible")
        }
        var threshold = index + 1, isApproximate = false
        if threshold + 1 < call.count, call.isWord(threshold, "~") || call.isWord(threshold, "=") {
            isApproximate = call.isWord(threshold, "~")
            threshold += 1
        }
        let bound: StreamValue.TrimBound
        if isLength {
            let length = try call.integer(threshold)
            if length < 0 { throw .text("ERR The MAXLEN argument must be >= 0.") }
            bound = .count(Int(length))
        } else {
            bound = .minimumID(try call.streamID(threshold))
        }
        trim = TrimOptions(bound: bound, isApproximate: isApproximate, word: index, threshold: threshold)
        return threshold + 1
    }

    /// Settles LIMIT. Unless told otherwise, approximate trimming does a bounded amount of work at a time.
    private static func finish(_ trim: inout TrimOptions?, _ limit: Int64?, _ policy: ReferencePolicy?, _ call: Call,
                               _ keyspace: borrowing Keyspace) throws(CommandError) {
        guard var options = trim else {
            if limit ?? 0 != 0 {
                throw .text("ERR syntax error, LIMIT cannot be used without specifying a trimming strategy")
            }
            return
        }
        options.policy = policy ?? .keep
        trim = options
        if call.isReplay { return }
        if let limit {
            if !options.isApproximate {
                throw .text("ERR syntax error, LIMIT cannot be used without the special ~ option")
            }
            options.limit = Int(limit)
        } else if options.isApproximate {
            let entries = keyspace.thresholds.streamNodeMaxEntries
            options.limit = entries <= 0 ? 10_000 : min(entries, 10_000) * 100
        }
        trim = options
    }

    static func xtrim(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        var parsed: TrimOptions?
        var limit: Int64?, policy: ReferencePolicy?
        var index = 2
        while index < call.count {
            if policy == nil, let given = ReferencePolicy(call, index) {
                policy = given
                index += 1
            } else if index + 1 < call.count, let next = try parseTrim(call, index, &parsed, &limit) {
                index = next
            } else {
                throw .syntax
            }
        }
        try finish(&parsed, limit, policy, call, keyspace)
        guard let trim = parsed else {
            throw .text("ERR syntax error, XTRIM must be called with a trimming strategy")
        }
        guard let stream = try call.stream(&keyspace, 1, .write) else { call.reply.integer(0); return }
        let first = stream.firstID, trimmed = apply(trim, stream)
        call.reply.integer(trimmed.count)
        if trimmed.count == 0 { return }
        call.modified(call[1], .stream, "xtrim", changes: trimmed.count)
        if trimmed.scattered.isEmpty {
            call.record(argumentCount: 5)
            call.recordArgument("XTRIM")
            call.recordArgument(call[1])
            recordTrim(call, trim, stream)
        } else {
            recordDeletion(trimmed.scattered, call)
        }
        releaseTrimmed(trim, from: first, stream, call)
    }

    // MARK: XDEL, XLEN, XSETID

    static func xdel(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        guard let stream = try call.stream(&keyspace, 1, .write) else { call.reply.integer(0); return }
        for index in 2..<call.count { _ = try call.streamID(index) }
        var deleted = 0
        for index in 2..<call.count where stream.delete(try call.streamID(index)) { deleted += 1 }
        if deleted > 0 { call.modified(call[1], .stream, "xdel", changes: deleted) }
        call.reply.integer(deleted)
    }

    static func xlen(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        call.reply.integer(try call.stream(&keyspace, 1, .read)?.count ?? 0)
    }

    static func xsetid(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let id = try call.streamID(2)
        var added: Int64?, deleted = StreamID.minimum
        var index = 3
        while index < call.count {
            guard index + 1 < call.count else { throw .syntax }
            if call.isWord(index, "ENTRIESADDED") {
                let value = try call.integer(index + 1)
                if value < 0 { throw .text("ERR entries_added must be positive") }
                added = value
            } else if call.isWord(index, "MAXDELETEDID") {
                deleted = try call.streamID(index + 1)
                if id < deleted {
                    throw .text("ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id")
                }
            } else {
                throw .syntax
            }
            index += 2
        }
        guard let stream = try call.stream(&keyspace, 1, .write) else { throw .noSuchKey }
        if id < stream.maxDeletedID {
            throw .text("ERR The ID specified in XSETID is smaller than current max_deleted_entry_id")
        }
        if stream.count > 0 {
            if id < stream.lastLiveID {
                throw .text("ERR The ID specified in XSETID is smaller than the target stream top item")
            }
            if let added, added < stream.count {
                throw .text("ERR The entries_added specified in XSETID is smaller than the target stream length")
            }
        }
        stream.lastID = id
        if let added { stream.entriesAdded = UInt64(added) }
        if deleted != .minimum { stream.maxDeletedID = deleted }
        call.changedGroups(call[1], "xsetid")
        call.reply.ok()
    }
}
