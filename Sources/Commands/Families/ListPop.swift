import Encodings
import Keyspace
import Primitives
import RESP

// Taking elements from the ends of lists, at once or as soon as there are some, and moving them between lists.

extension ListCommands {
    enum End {
        case head, tail

        var popEvent: StaticString { self == .head ? "lpop" : "rpop" }
        var pushEvent: StaticString { self == .head ? "lpush" : "rpush" }
        var word: StaticString { self == .head ? "LEFT" : "RIGHT" }
    }

    /// Takes `count` elements from one end and replies each.
    private static func take(_ keyspace: inout Keyspace, _ call: Call, _ entry: Entry, _ key: Bytes, _ end: End,
                             _ count: Int) {
        var list = ListValue(entry)
        for _ in 0..<count {
            guard let cursor = list.cursor(at: end == .head ? 0 : -1) else { break }
            HashCommands.reply(list.element(cursor), call.reply)
            list.remove(cursor)
        }
        call.modified(key, .list, end.popEvent, changes: count)
        storeShrunk(&keyspace, list, entry, key, call)
    }

    // MARK: LPOP, RPOP

    private static func pop(_ keyspace: inout Keyspace, _ call: inout Call, _ end: End) throws(CommandError) {
        if call.count > 3 { throw .wrongArity }
        var wanted: Int?
        if call.count == 3 {
            guard let value = Decimal.parseInt64(call[2]), value >= 0 else {
                throw .text("ERR value is out of range, must be positive")
            }
            wanted = Int(value)
        }
        guard let entry = try call.entry(&keyspace, 1, .list, .write) else {
            if wanted == nil { call.reply.null() } else { call.reply.nullArray() }
            return
        }
        if wanted == 0 { call.reply.array(0); return }
        let count = min(wanted ?? 1, ListValue(entry).count)
        if wanted != nil { call.reply.array(count) }
        take(&keyspace, call, entry, call[1], end, count)
    }

    static func lpop(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try pop(&keyspace, &call, .head)
    }
    static func rpop(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try pop(&keyspace, &call, .tail)
    }

    private static func recordPop(_ key: Bytes, _ end: End, _ count: Int?, _ call: Call) {
        call.record(argumentCount: count == nil ? 2 : 3)
        call.recordArgument(end == .head ? "LPOP" : "RPOP")
        call.recordArgument(key)
        if let count { call.recordArgument(Int64(count)) }
    }

    private static func blockingPop(_ keyspace: inout Keyspace, _ call: inout Call, _ end: End)
        throws(CommandError) {
        let timeout = try call.timeout(call.count - 1)
        for index in 1..<(call.count - 1) {
            guard let entry = try call.entry(&keyspace, index, .list, .write) else { continue }
            call.reply.array(2)
            call.reply.bulk(call[index])
            recordPop(call[index], end, nil, call)
            take(&keyspace, call, entry, call[index], end, 1)
            return
        }
        if !call.mayBlock { call.reply.nullArray(); return }
        call.block(firstKey: 1, keyCount: call.count - 2, timeoutMilliseconds: timeout, timeoutReply: .nullArray)
    }

    static func blpop(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try blockingPop(&keyspace, &call, .head)
    }
    static func brpop(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try blockingPop(&keyspace, &call, .tail)
    }

    // MARK: LMPOP

    /// `numkeys key … LEFT|RIGHT [COUNT n]` from argument `first` on.
    private static func parsePop(_ call: Call, _ first: Int) throws(CommandError)
        -> (keys: Range<Int>, end: End, count: Int) {
        let (keys, index) = try call.numberedKeys(first)
        let end = try parseEnd(call, index)
        var count = 1, hasCount = false, at = index + 1
        while at < call.count {
            guard !hasCount, call.isWord(at, "COUNT"), at + 1 < call.count else { throw .syntax }
            guard let value = Decimal.parseInt64(call[at + 1]), value > 0 else {
                throw .text("ERR count should be greater than 0")
            }
            count = Int(value)
            hasCount = true
            at += 2
        }
        return (keys, end, count)
    }

    static func parseEnd(_ call: Call, _ index: Int) throws(CommandError) -> End {
        if call.isWord(index, "LEFT") { return .head }
        if call.isWord(index, "RIGHT") { return .tail }
        throw .syntax
    }

    /// False if no key had elements.
    private static func popFirst(_ keyspace: inout Keyspace, _ call: inout Call, _ keys: Range<Int>, _ end: End,
                                 _ count: Int) throws(CommandError) -> Bool {
        for index in keys {
            guard let entry = try call.entry(&keyspace, index, .list, .write) else { continue }
            let taken = min(count, ListValue(entry).count)
            call.reply.array(2)
            call.reply.bulk(call[index])
            call.reply.array(taken)
            recordPop(call[index], end, taken, call)
            take(&keyspace, call, entry, call[index], end, taken)
            return true
        }
        return false
    }

    static func lmpop(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let (keys, end, count) = try parsePop(call, 1)
        if try !popFirst(&keyspace, &call, keys, end, count) { call.reply.nullArray() }
    }

    static func blmpop(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let (keys, end, count) = try parsePop(call, 2)
        let timeout = try call.timeout(1)
        if try popFirst(&keyspace, &call, keys, end, count) { return }
        if !call.mayBlock { call.reply.nullArray(); return }
        call.block(firstKey: keys.lowerBound, keyCount: keys.count, timeoutMilliseconds: timeout,
                   timeoutReply: .nullArray)
    }

    // MARK: Moving

    /// Moves one element from argument 1's list to argument 2's; false if there is none.
    private static func move(_ keyspace: inout Keyspace, _ call: inout Call, _ from: End, _ to: End)
        throws(CommandError) -> Bool {
        guard let source = try call.entry(&keyspace, 1, .list, .write) else { return false }
        let target = try call.entry(&keyspace, 2, .list, .write)
        var list = ListValue(source)
        guard let cursor = list.cursor(at: from == .head ? 0 : -1) else { return false }
        var element = OwnedBytes()
        withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) {
            element.append(list.element(cursor).text($0.baseAddress.unsafelyUnwrapped))
        }
        call.reply.bulk(element.bytes)
        if source == target {
            list.remove(cursor)
            list.push(element.bytes, atHead: to == .head, keyspace.thresholds)
            list.convertToListpackIfSmall(shrunk: true, keyspace.thresholds)
            list.store(source)
            call.modified(call[2], .list, to.pushEvent)
            call.announce(call[1], .list, from.popEvent)
            return true
        }
        var other = target.map { ListValue($0) } ?? .create()
        other.prepare(adding: 1, bytes: element.count, keyspace.thresholds)
        other.push(element.bytes, atHead: to == .head, keyspace.thresholds)
        list.remove(cursor)
        call.modified(call[2], .list, to.pushEvent)
        call.modified(call[1], .list, from.popEvent, changes: 0)
        if let target { other.store(target) } else {
            // The new entry must not move the source's, which is only its slot in the table.
            keyspace.set(call[2], to: other.makeValue(), in: call.database)
        }
        storeShrunk(&keyspace, list, source, call[1], call)
        return true
    }

    static func lmove(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let from = try parseEnd(call, 3), to = try parseEnd(call, 4)
        if try !move(&keyspace, &call, from, to) { call.reply.null() }
    }

    static func rpoplpush(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        if try !move(&keyspace, &call, .tail, .head) { call.reply.null() }
    }

    private static func blockingMove(_ keyspace: inout Keyspace, _ call: inout Call, _ from: End, _ to: End,
                                     timeoutAt: Int) throws(CommandError) {
        let timeout = try call.timeout(timeoutAt)
        if try move(&keyspace, &call, from, to) {
            call.record(argumentCount: 5)
            call.recordArgument("LMOVE")
            call.recordArgument(call[1])
            call.recordArgument(call[2])
            call.recordArgument(from.word)
            call.recordArgument(to.word)
            return
        }
        if !call.mayBlock { call.reply.null(); return }
        call.block(firstKey: 1, keyCount: 1, timeoutMilliseconds: timeout, timeoutReply: .nullArray)
    }

    static func blmove(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let from = try parseEnd(call, 3), to = try parseEnd(call, 4)
        try blockingMove(&keyspace, &call, from, to, timeoutAt: 5)
    }

    static func brpoplpush(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try blockingMove(&keyspace, &call, .tail, .head, timeoutAt: 3)
    }
}
