import Encodings
import Keyspace
import Primitives
import RESP

// Ranges of sorted sets: by rank, by score, by member; read, counted, removed, stored.

extension SortedSetCommands {
    /// What a range command asks for.
    struct RangeRequest {
        enum Kind { case rank(Int, Int), score(ScoreRange), lex(LexRange) }
        var kind: Kind
        var reversed = false
        var withScores = false
        var offset = 0
        /// Negative: all.
        var limit = -1
    }

    // MARK: Parsing bounds

    private static func scoreBound(_ text: Bytes) throws(CommandError) -> (Double, Bool) {
        let excluded = text.first == UInt8(ascii: "(")
        let number = excluded ? text.from(1) : text
        if number.isEmpty { return (0, excluded) }
        guard let value = DoubleText.parse(number) else {
            throw .text("ERR min or max is not a float")
        }
        return (value, excluded)
    }

    static func scoreRange(_ minimum: Bytes, _ maximum: Bytes) throws(CommandError) -> ScoreRange {
        let (low, excludesLow) = try scoreBound(minimum)
        let (high, excludesHigh) = try scoreBound(maximum)
        return ScoreRange(minimum: low, maximum: high, excludesMinimum: excludesLow, excludesMaximum: excludesHigh)
    }

    private static func lexBound(_ text: Bytes) throws(CommandError) -> LexRange.Bound {
        switch text.first {
        case UInt8(ascii: "-") where text.count == 1: return .lowest
        case UInt8(ascii: "+") where text.count == 1: return .highest
        case UInt8(ascii: "["): return .inclusive(text.from(1))
        case UInt8(ascii: "("): return .exclusive(text.from(1))
        default: throw .text("ERR min or max not valid string range item")
        }
    }

    static func lexRange(_ minimum: Bytes, _ maximum: Bytes) throws(CommandError) -> LexRange {
        LexRange(minimum: try lexBound(minimum), maximum: try lexBound(maximum))
    }

    private static func rankRange(_ call: Call, _ first: Int) throws(CommandError) -> RangeRequest.Kind {
        let start = try call.integer(first), stop = try call.integer(first + 1)
        return .rank(Int(start), Int(stop))
    }

    // MARK: Walking

    /// Visits the members that a request names, in its order; `visit` answers false to stop.
    static func walk(_ set: SortedSetValue, _ request: RangeRequest, _ visit: (ListpackElement, Double) -> Bool) {
        var cursor: SortedSetCursor?
        var left = request.limit < 0 ? Int.max : request.limit
        switch request.kind {
        case .rank(let start, let stop):
            guard let (first, last) = clamp(start, stop, set.count) else { return }
            cursor = set.cursor(at: request.reversed ? set.count - 1 - first : first)
            left = last - first + 1
        case .score(let range): cursor = request.reversed ? set.last(in: range) : set.first(in: range)
        case .lex(let range): cursor = request.reversed ? set.last(in: range) : set.first(in: range)
        }
        var skip = request.offset
        while let current = cursor, left > 0 {
            let member = set.member(current), score = set.score(current)
            if isBeyond(member, score, request) { return }
            if skip > 0 {
                skip -= 1
            } else {
                if !visit(member, score) { return }
                left -= 1
            }
            cursor = request.reversed ? set.previous(current) : set.next(current)
        }
    }

    private static func isBeyond(_ member: ListpackElement, _ score: Double, _ request: RangeRequest) -> Bool {
        switch request.kind {
        case .rank: return false
        case .score(let range): return request.reversed ? range.isBelow(score) : range.isAbove(score)
        case .lex(let range):
            return withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) { buffer in
                let text = member.text(buffer.baseAddress.unsafelyUnwrapped)
                return request.reversed ? range.isBelow(text) : range.isAbove(text)
            }
        }
    }

    /// Ranks with negatives counted from the end, cut to the set; nil if nothing is left.
    static func clamp(_ start: Int, _ stop: Int, _ count: Int) -> (Int, Int)? {
        let first = max(start < 0 ? start &+ count : start, 0)
        let last = min(stop < 0 ? stop &+ count : stop, count - 1)
        return first > last || first >= count ? nil : (first, last)
    }

    // MARK: Reading

    private static func reply(_ keyspace: inout Keyspace, _ call: inout Call, _ request: RangeRequest)
        throws(CommandError) {
        guard let set = try sortedSet(&keyspace, call) else { call.reply.array(0); return }
        if case .rank(let start, let stop) = request.kind, request.offset == 0, request.limit < 0 {
            return replyRanks(set, start, stop, request, call.reply)
        }
        let mark = call.reply.beginDeferred(), writer = call.reply
        var count = 0
        if request.offset >= 0 {
            walk(set, request) { member, score in
                replyPair(member, score, request.withScores, writer)
                count += 1
                return true
            }
        }
        call.reply.endArray(mark, request.withScores && writer.version == .resp2 ? count * 2 : count)
    }

    /// Of a range by rank the length is known beforehand.
    private static func replyRanks(_ set: SortedSetValue, _ start: Int, _ stop: Int, _ request: RangeRequest,
                                   _ writer: ReplyWriter) {
        let size = set.count
        guard let (first, last) = clamp(start, stop, size) else { return writer.array(0) }
        beginPairs(last - first + 1, request.withScores, writer)
        var cursor = set.cursor(at: request.reversed ? size - 1 - first : first)
        for _ in first...last {
            guard let current = cursor else { return }
            if request.withScores {
                replyPair(set.member(current), set.score(current), true, writer)
            } else {
                HashCommands.reply(set.member(current), writer)
            }
            cursor = request.reversed ? set.previous(current) : set.next(current)
        }
    }

    private static let scoresByLex =
        CommandError.text("ERR syntax error, WITHSCORES not supported in combination with BYLEX")

    /// ZRANGE's grammar, from the bounds at `first` on; also ZRANGESTORE's.
    private static func parseRange(_ call: Call, _ first: Int, allowsScores: Bool) throws(CommandError)
        -> RangeRequest {
        enum By { case unsaid, score, lex }
        var by = By.unsaid, index = first + 2
        var request = RangeRequest(kind: .rank(0, 0))
        while index < call.count {
            if allowsScores && call.isWord(index, "WITHSCORES") { request.withScores = true
            } else if call.isWord(index, "LIMIT") && index + 2 < call.count {
                request.offset = Int(try call.integer(index + 1))
                request.limit = Int(try call.integer(index + 2))
                index += 2
            } else if !request.reversed && call.isWord(index, "REV") { request.reversed = true
            } else if by == .unsaid && call.isWord(index, "BYSCORE") { by = .score
            } else if by == .unsaid && call.isWord(index, "BYLEX") { by = .lex } else { throw .syntax }
            index += 1
        }
        if request.limit != -1 && by == .unsaid {
            throw .text("ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX")
        }
        if request.withScores && by == .lex {
            throw scoresByLex
        }
        let low = request.reversed && by != .unsaid ? first + 1 : first
        let high = request.reversed && by != .unsaid ? first : first + 1
        switch by {
        case .unsaid: request.kind = try rankRange(call, first)
        case .score: request.kind = .score(try scoreRange(call[low], call[high]))
        case .lex: request.kind = .lex(try lexRange(call[low], call[high]))
        }
        return request
    }

    static func zrange(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try reply(&keyspace, &call, try parseRange(call, 2, allowsScores: true))
    }

    static func zrevrange(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        var request = RangeRequest(kind: .rank(0, 0), reversed: true)
        for index in 4..<call.count {
            guard call.isWord(index, "WITHSCORES") else { throw .syntax }
            request.withScores = true
        }
        request.kind = try rankRange(call, 2)
        try reply(&keyspace, &call, request)
    }

    /// WITHSCORES and LIMIT of the older commands.
    private static func parseOldOptions(_ call: Call, reversed: Bool) throws(CommandError) -> RangeRequest {
        var request = RangeRequest(kind: .rank(0, 0), reversed: reversed)
        var index = 4
        while index < call.count {
            if call.isWord(index, "WITHSCORES") {
                request.withScores = true
                index += 1
            } else if call.isWord(index, "LIMIT") && index + 2 < call.count {
                request.offset = Int(try call.integer(index + 1))
                request.limit = Int(try call.integer(index + 2))
                index += 3
            } else {
                throw .syntax
            }
        }
        return request
    }

    private static func byScore(_ keyspace: inout Keyspace, _ call: inout Call, reversed: Bool) throws(CommandError) {
        var request = try parseOldOptions(call, reversed: reversed)
        request.kind = .score(try scoreRange(call[reversed ? 3 : 2], call[reversed ? 2 : 3]))
        try reply(&keyspace, &call, request)
    }
    static func zrangebyscore(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try byScore(&keyspace, &call, reversed: false)
    }
    static func zrevrangebyscore(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try byScore(&keyspace, &call, reversed: true)
    }

    private static func byLex(_ keyspace: inout Keyspace, _ call: inout Call, reversed: Bool) throws(CommandError) {
        var request = try parseOldOptions(call, reversed: reversed)
        if request.withScores { throw scoresByLex }
        request.kind = .lex(try lexRange(call[reversed ? 3 : 2], call[reversed ? 2 : 3]))
        try reply(&keyspace, &call, request)
    }
    static func zrangebylex(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try byLex(&keyspace, &call, reversed: false)
    }
    static func zrevrangebylex(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try byLex(&keyspace, &call, reversed: true)
    }

    // MARK: Counting

    static func zcount(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let range = try scoreRange(call[2], call[3])
        guard let set = try sortedSet(&keyspace, call), let first = set.first(in: range),
              let last = set.last(in: range) else { call.reply.integer(0); return }
        call.reply.integer(set.rank(last) - set.rank(first) + 1)
    }

    static func zlexcount(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let range = try lexRange(call[2], call[3])
        guard let set = try sortedSet(&keyspace, call), let first = set.first(in: range),
              let last = set.last(in: range) else { call.reply.integer(0); return }
        call.reply.integer(max(set.rank(last) - set.rank(first) + 1, 0))
    }

    // MARK: Removing

    private static func remove(_ keyspace: inout Keyspace, _ call: inout Call, _ kind: RangeRequest.Kind,
                               _ event: StaticString) throws(CommandError) {
        guard let entry = try call.entry(&keyspace, 1, .sortedSet, .write) else { call.reply.integer(0); return }
        var set = SortedSetValue(entry)
        // Each with its length (four bytes) before it.
        var members = OwnedBytes(), count = 0
        walk(set, RangeRequest(kind: kind)) { member, _ in
            withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) {
                let text = member.text($0.baseAddress.unsafelyUnwrapped)
                members.append(uninitialized: 4) {
                    $0.storeBytes(of: UInt32(truncatingIfNeeded: text.count), as: UInt32.self)
                }
                members.append(text)
            }
            count += 1
            return true
        }
        var next = 0
        while next < members.count {
            let start = next + 4
            next = start + Int(members.bytes.loadUnaligned(fromByteOffset: next, as: UInt32.self))
            _ = set.remove(Bytes(rebasing: members.bytes[start..<next]))
        }
        if count > 0 {
            call.modified(call[1], .sortedSet, event, changes: count)
            store(&keyspace, set, entry, call[1], call)
        }
        call.reply.integer(count)
    }

    static func zremrangebyrank(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try remove(&keyspace, &call, try rankRange(call, 2), "zremrangebyrank")
    }
    static func zremrangebyscore(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try remove(&keyspace, &call, .score(try scoreRange(call[2], call[3])), "zremrangebyscore")
    }
    static func zremrangebylex(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try remove(&keyspace, &call, .lex(try lexRange(call[2], call[3])), "zremrangebylex")
    }

    // MARK: Storing

    static func zrangestore(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let request = try parseRange(call, 3, allowsScores: false)
        let source = try sortedSet(&keyspace, call, 2)
        var expected = 0
        if case .rank(let start, let stop) = request.kind, let source,
           let (first, last) = clamp(start, stop, source.count) { expected = last - first + 1 }
        var result = SortedSetValue.create(expected: expected, longest: 0, keyspace)
        if let source, request.offset >= 0 {
            var copy = OwnedBytes()
            walk(source, request) { member, score in
                copy.removeAll()
                withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) {
                    copy.append(member.text($0.baseAddress.unsafelyUnwrapped))
                }
                result.insert(copy.bytes, score, keyspace)
                return true
            }
        }
        storeResult(&keyspace, &call, result, "zrangestore")
    }

    /// Records a result instead of the command: for what servers of 7.4 can't replay.
    private static func recordResult(_ result: SortedSetValue, at target: Int, _ call: Call) {
        call.recordDelete(call[target], lazily: false)
        call.record(argumentCount: 2 + result.count * 2)
        call.recordArgument("ZADD")
        call.recordArgument(call[target])
        withUnsafeTemporaryAllocation(byteCount: 24 + DoubleText.maximumLength, alignment: 8) { buffer in
            let scratch = buffer.baseAddress.unsafelyUnwrapped, number = scratch + 24
            result.forEach { member, score in
                call.recordArgument(Bytes(start: number, count: DoubleText.write(score, to: number)))
                call.recordArgument(member.text(scratch))
                return true
            }
        }
    }

    /// Puts a result at the destination (argument `target`), or removes what is there when it is empty.
    /// - Parameter isRecorded: the log gets the result, not the command.
    static func storeResult(_ keyspace: inout Keyspace, _ call: inout Call, _ result: SortedSetValue,
                            _ event: StaticString, at target: Int = 1, changes: Int = 1, isRecorded: Bool = false) {
        let count = result.count
        if count > 0 {
            if isRecorded { recordResult(result, at: target, call) }
            keyspace.set(call[target], to: result.makeValue(), in: call.database)
            call.modified(call[target], .sortedSet, event, changes: changes)
        } else {
            result.destroy()
            if keyspace.removeReplaced(call[target], in: call.database) {
                if isRecorded { call.recordDelete(call[target], lazily: false) }
                call.modified(call[target], .generic, "del")
            }
        }
        call.reply.integer(count)
    }
}
