import Encodings
import Keyspace
import Primitives
import RESP

// Sorted sets: members one by one. Ranges are in SortedSetRange.swift, pops in SortedSetPop.swift, algebra over
// several sets in SortedSetAlgebra.swift; the declarations stand in SortedSetDeclarations.swift.

package enum SortedSetCommands {
    static func sortedSet(_ keyspace: inout Keyspace, _ call: Call, _ index: Int = 1) throws(CommandError)
        -> SortedSetValue? {
        try call.entry(&keyspace, index, .sortedSet, .read).map { SortedSetValue($0) }
    }

    /// Puts a changed set back; one that became empty goes with its key.
    static func store(_ keyspace: inout Keyspace, _ set: SortedSetValue, _ entry: Entry, _ key: Bytes, _ call: Call) {
        set.store(entry)
        if set.count > 0 { return }
        keyspace.delete(entry, in: call.database)
        call.announceRemoval(key)
    }

    // MARK: ZADD

    private struct AddOptions {
        var nx = false, xx = false, gt = false, lt = false, changed = false, increment = false
        var first = 2

        init(_ call: Call) throws(CommandError) {
            loop: while first < call.count {
                if call.isWord(first, "NX") { nx = true } else if call.isWord(first, "XX") { xx = true
                } else if call.isWord(first, "CH") { changed = true
                } else if call.isWord(first, "INCR") { increment = true
                } else if call.isWord(first, "GT") { gt = true
                } else if call.isWord(first, "LT") { lt = true } else { break loop }
                first += 1
            }
            let elements = call.count - first
            if elements == 0 || elements % 2 != 0 { throw .syntax }
            if nx && xx { throw .text("ERR XX and NX options at the same time are not compatible") }
            if (gt && nx) || (lt && nx) || (gt && lt) {
                throw .text("ERR GT, LT, and/or NX options at the same time are not compatible")
            }
            if increment && elements > 2 { throw .text("ERR INCR option supports a single increment-element pair") }
        }

        init(increment first: Int) {
            self.first = first
            increment = true
        }
    }

    private struct AddTotals {
        var added = 0, updated = 0
        /// The score after INCR; nil if a condition forbade it.
        var score: Double?
    }

    static func zadd(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let options = try AddOptions(call)
        let totals = try add(&keyspace, call, options)
        if options.increment {
            if let score = totals.score { call.reply.double(score) } else { call.reply.null() }
        } else {
            call.reply.integer(options.changed ? totals.added + totals.updated : totals.added)
        }
    }

    static func zincrby(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let totals = try add(&keyspace, call, AddOptions(increment: 2))
        if let score = totals.score { call.reply.double(score) } else { call.reply.null() }
    }

    private static func add(_ keyspace: inout Keyspace, _ call: Call, _ options: AddOptions) throws(CommandError)
        -> AddTotals {
        let pairs = (call.count - options.first) / 2
        // All scores are checked before anything changes.
        for pair in 0..<pairs { _ = try call.double(options.first + pair * 2) }
        let entry = try call.entry(&keyspace, 1, .sortedSet, .write)
        if entry == nil && options.xx { return AddTotals() }
        var set = entry.map { SortedSetValue($0) }
            ?? .create(expected: pairs, longest: call[options.first + 1].count, keyspace)
        if entry != nil { set.prepare(added: pairs, keyspace) }
        var totals = AddTotals()
        var failure: CommandError?
        for pair in 0..<pairs {
            let at = options.first + pair * 2
            guard let score = DoubleText.parse(call[at]) else { continue }
            failure = addOne(&set, call[at + 1], score, options, &totals, keyspace)
            if failure != nil { break }
        }
        if let entry { set.store(entry) } else if set.count > 0 {
            keyspace.set(call[1], to: set.makeValue(), in: call.database)
        } else {
            set.destroy()
        }
        if let failure { throw failure }
        let changes = totals.added + totals.updated
        if changes > 0 { call.modified(call[1], .sortedSet, options.increment ? "zincr" : "zadd", changes: changes) }
        return totals
    }

    private static func addOne(_ set: inout SortedSetValue, _ member: Bytes, _ given: Double, _ options: AddOptions,
                               _ totals: inout AddTotals, _ keyspace: borrowing Keyspace) -> CommandError? {
        guard let current = set.score(of: member) else {
            if options.xx { return nil }
            set.insert(member, given, keyspace)
            totals.added += 1
            totals.score = given
            return nil
        }
        if options.nx { return nil }
        let score = options.increment ? current + given : given
        if score.isNaN { return .text("ERR resulting score is not a number (NaN)") }
        if (options.lt && score >= current) || (options.gt && score <= current) { return nil }
        totals.score = score
        if score != current {
            set.update(member, score)
            totals.updated += 1
        }
        return nil
    }

    // MARK: One member

    static func zrem(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        guard let entry = try call.entry(&keyspace, 1, .sortedSet, .write) else { call.reply.integer(0); return }
        var set = SortedSetValue(entry)
        var removed = 0
        for index in 2..<call.count where set.remove(call[index]) {
            removed += 1
            if set.count == 0 { break }
        }
        if removed > 0 {
            call.modified(call[1], .sortedSet, "zrem", changes: removed)
            store(&keyspace, set, entry, call[1], call)
        }
        call.reply.integer(removed)
    }

    static func zcard(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        call.reply.integer(try sortedSet(&keyspace, call)?.count ?? 0)
    }

    static func zscore(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        guard let score = try sortedSet(&keyspace, call)?.score(of: call[2]) else { call.reply.null(); return }
        call.reply.double(score)
    }

    static func zmscore(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let set = try sortedSet(&keyspace, call)
        call.reply.array(call.count - 2)
        for index in 2..<call.count {
            if let score = set?.score(of: call[index]) { call.reply.double(score) } else { call.reply.null() }
        }
    }

    private static func rank(_ keyspace: inout Keyspace, _ call: inout Call, reversed: Bool) throws(CommandError) {
        let withScore = call.count > 3
        if call.count > 4 || (withScore && !call.isWord(3, "WITHSCORE")) { throw .syntax }
        guard let set = try sortedSet(&keyspace, call), let cursor = set.cursor(of: call[2]) else {
            if withScore { call.reply.nullArray() } else { call.reply.null() }
            return
        }
        let rank = set.rank(cursor)
        if withScore { call.reply.array(2) }
        call.reply.integer(reversed ? set.count - 1 - rank : rank)
        if withScore { call.reply.double(set.score(cursor)) }
    }

    static func zrank(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try rank(&keyspace, &call, reversed: false)
    }
    static func zrevrank(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try rank(&keyspace, &call, reversed: true)
    }

    // MARK: Walks

    static func zscan(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let start = try ScanOptions.cursor(call, 2)
        guard let set = try sortedSet(&keyspace, call) else { ScanOptions.replyNothing(call); return }
        // The word is Valkey's.
        let options = try ScanOptions(call, start, from: 3, noValuesWord: "NOSCORES")
        call.reply.array(2)
        let mark = call.reply.beginDeferred()
        var count = 0, cursor = options.cursor, steps = options.count * 10, visited = 0
        // Scores are bulk strings here in both protocols.
        let writer = ReplyWriter(call.reply.output, .resp2)
        repeat {
            cursor = set.scan(cursor) { member, score in
                visited += 1
                let accepted = withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) {
                    options.accepts(member.text($0.baseAddress.unsafelyUnwrapped))
                }
                guard accepted else { return }
                HashCommands.reply(member, writer)
                count += 1
                if options.noValues { return }
                writer.double(score)
                count += 1
            }
            steps -= 1
        } while cursor != 0 && steps > 0 && visited < options.count
        call.reply.endArray(mark, count)
        ScanOptions.insertCursor(cursor, at: mark, call)
    }

    static func zrandmember(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let writer = call.reply
        if call.count == 2 {
            guard let set = try sortedSet(&keyspace, call) else { call.reply.null(); return }
            set.withRandomMember(&keyspace.context.pointee.random) { member, _, _ in
                HashCommands.reply(member, writer)
            }
            return
        }
        let count = try call.integer(2)
        if call.count > 4 || (call.count == 4 && !call.isWord(3, "WITHSCORES")) { throw .syntax }
        let withScores = call.count == 4
        let bound = Int64.max / (withScores ? 2 : 1)
        if count == Int64.min { throw .outsideSymmetricRange }
        if count < -bound || count > bound { throw .text("ERR value is out of range") }
        guard let set = try sortedSet(&keyspace, call), count != 0 else { call.reply.array(0); return }
        if count < 0 {
            beginPairs(Int(-count), withScores, writer)
            for _ in 0..<(-count) {
                set.withRandomMember(&keyspace.context.pointee.random) { member, score, _ in
                    replyPair(member, score, withScores, writer)
                }
            }
            return
        }
        let wanted = min(Int(count), set.count)
        beginPairs(wanted, withScores, writer)
        let context = keyspace.context
        if SeenPlaces.suits(wanted, of: set.count, set.encoding) {
            let seen = SeenPlaces(wanted)
            var left = wanted
            while left > 0 {
                set.withRandomMember(&context.pointee.random) { member, score, place in
                    guard seen.insert(place) else { return }
                    replyPair(member, score, withScores, writer)
                    left -= 1
                }
            }
            return
        }
        set.sample(wanted, &context.pointee.random) { member, score in replyPair(member, score, withScores, writer) }
    }

    /// An array of members, or of members with scores: pairs in RESP3, flat in RESP2.
    static func beginPairs(_ count: Int, _ withScores: Bool, _ writer: ReplyWriter) {
        writer.array(withScores && writer.version == .resp2 ? count * 2 : count)
    }

    static func replyPair(_ member: ListpackElement, _ score: Double, _ withScores: Bool, _ writer: ReplyWriter) {
        if withScores && writer.version == .resp3 { writer.array(2) }
        HashCommands.reply(member, writer)
        if withScores { writer.double(score) }
    }
}
