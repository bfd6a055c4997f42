import Encodings
import Keyspace
import Primitives
import RESP

// Taking members from the ends of sorted sets, at once or as soon as there are some.

extension SortedSetCommands {
    enum End { case minimum, maximum }

    /// Takes up to `count` members from one end and replies each; `pairs` nests them.
    private static func pop(_ keyspace: inout Keyspace, _ call: Call, _ entry: Entry, _ key: Bytes, _ end: End,
                            _ count: Int, pairs: Bool) {
        var set = SortedSetValue(entry)
        for _ in 0..<count {
            guard let cursor = set.cursor(at: end == .minimum ? 0 : -1) else { break }
            if pairs { call.reply.array(2) }
            HashCommands.reply(set.member(cursor), call.reply)
            call.reply.double(set.score(cursor))
            set.remove(cursor)
        }
        call.modified(key, .sortedSet, end == .minimum ? "zpopmin" : "zpopmax", changes: count)
        store(&keyspace, set, entry, key, call)
    }

    private static func popCommand(_ keyspace: inout Keyspace, _ call: inout Call, _ end: End) throws(CommandError) {
        if call.count > 3 { throw .syntax }
        var wanted = 1
        if call.count == 3 {
            guard let value = Decimal.parseInt64(call[2]) else {
                throw .text("ERR value is out of range, must be positive")
            }
            if value < 0 { throw .text("ERR value is out of range, must be positive") }
            wanted = Int(value)
        }
        guard let entry = try call.entry(&keyspace, 1, .sortedSet, .write), wanted > 0 else {
            call.reply.array(0)
            return
        }
        let count = min(wanted, SortedSetValue(entry).count)
        let nested = call.count == 3 && call.reply.version == .resp3
        call.reply.array(nested ? count : count * 2)
        pop(&keyspace, call, entry, call[1], end, count, pairs: nested)
    }

    static func zpopmin(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try popCommand(&keyspace, &call, .minimum)
    }
    static func zpopmax(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try popCommand(&keyspace, &call, .maximum)
    }

    /// Logs what a waiting or many-keyed pop did as a plain one.
    private static func recordPop(_ key: Bytes, _ end: End, _ count: Int?, _ call: Call) {
        call.record(argumentCount: count == nil ? 2 : 3)
        call.recordArgument(end == .minimum ? "ZPOPMIN" : "ZPOPMAX")
        call.recordArgument(key)
        if let count { call.recordArgument(Int64(count)) }
    }

    // MARK: Of several keys, waiting

    private static func blockingPop(_ keyspace: inout Keyspace, _ call: inout Call, _ end: End)
        throws(CommandError) {
        let timeout = try call.timeout(call.count - 1)
        for index in 1..<(call.count - 1) {
            guard let entry = try call.entry(&keyspace, index, .sortedSet, .write) else { continue }
            call.reply.array(3)
            call.reply.bulk(call[index])
            recordPop(call[index], end, nil, call)
            pop(&keyspace, call, entry, call[index], end, 1, pairs: false)
            return
        }
        if !call.mayBlock { call.reply.nullArray(); return }
        call.block(firstKey: 1, keyCount: call.count - 2, timeoutMilliseconds: timeout, timeoutReply: .nullArray)
    }

    static func bzpopmin(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try blockingPop(&keyspace, &call, .minimum)
    }
    static func bzpopmax(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try blockingPop(&keyspace, &call, .maximum)
    }

    /// `numkeys key … MIN|MAX [COUNT n]` from argument `first` on.
    private static func parsePop(_ call: Call, _ first: Int) throws(CommandError)
        -> (keys: Range<Int>, end: End, count: Int) {
        let (keys, index) = try call.numberedKeys(first)
        var end: End
        if call.isWord(index, "MIN") { end = .minimum } else if call.isWord(index, "MAX") { end = .maximum
        } else { throw .syntax }
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

    /// False if no key had members.
    private static func popFirst(_ keyspace: inout Keyspace, _ call: inout Call, _ keys: Range<Int>, _ end: End,
                                 _ count: Int) throws(CommandError) -> Bool {
        for index in keys {
            guard let entry = try call.entry(&keyspace, index, .sortedSet, .write) else { continue }
            let taken = min(count, SortedSetValue(entry).count)
            call.reply.array(2)
            call.reply.bulk(call[index])
            call.reply.array(taken)
            recordPop(call[index], end, taken, call)
            pop(&keyspace, call, entry, call[index], end, taken, pairs: true)
            return true
        }
        return false
    }

    static func zmpop(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let (keys, end, count) = try parsePop(call, 1)
        if try !popFirst(&keyspace, &call, keys, end, count) { call.reply.nullArray() }
    }

    static func bzmpop(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let (keys, end, count) = try parsePop(call, 2)
        let timeout = try call.timeout(1)
        if try popFirst(&keyspace, &call, keys, end, count) { return }
        if !call.mayBlock { call.reply.nullArray(); return }
        call.block(firstKey: keys.lowerBound, keyCount: keys.count, timeoutMilliseconds: timeout,
                   timeoutReply: .nullArray)
    }
}

extension Call {
    /// A timeout in seconds, fractions allowed, as milliseconds; 0: for ever.
    package func timeout(_ index: Int) throws(CommandError) -> Int64 {
        guard let seconds = LongDoubleText.parse(self[index]) else {
            throw .text("ERR timeout is not a float or out of range")
        }
        if seconds < 0 { throw .text("ERR timeout is negative") }
        let milliseconds = (seconds * 1000).rounded(.up)
        if !(milliseconds < 9.0e18 - 4.0e12) { throw .text("ERR timeout is out of range") }
        return Int64(milliseconds)
    }

    /// `numkeys key …` at `first`: the keys' range, and the index behind them, where another argument must stand.
    package func numberedKeys(_ first: Int) throws(CommandError) -> (Range<Int>, Int) {
        let keys = try numberedKeys(first, tooMany: .syntax)
        if keys.upperBound == count { throw .syntax }
        return (keys, keys.upperBound)
    }

    /// `numkeys key …` at argument `first`: the range of the keys.
    package func numberedKeys(_ first: Int, tooFew: CommandError = .text("ERR numkeys should be greater than 0"),
                              tooMany: CommandError) throws(CommandError) -> Range<Int> {
        guard let number = Decimal.parseInt64(self[first]), number > 0 else { throw tooFew }
        if number > Int64(count - first - 1) { throw tooMany }
        return (first + 1)..<(first + 1 + Int(number))
    }
}
