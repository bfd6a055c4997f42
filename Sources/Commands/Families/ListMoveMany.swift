import Keyspace
import Primitives
import RESP

// Moving several elements from one list to another: LMOVEM, BLMOVEM.
//
//     LMOVEM source destination LEFT|RIGHT LEFT|RIGHT [COUNT n|EXACTLY n OBO|BULK]
//     OBO    one by one: what was taken first lies deepest at the destination's end
//     BULK   all at once, in the order in which they stood
//
// The log gets a pop and a push; LMOVEs or LSETs where both keys are the same, for a list that is empty for a moment
// would lose its expire.

extension ListCommands {
    static let moveMany: [Command] = [
        Command("lmovem", arity: -5, [.write, .denyoom], [.write, .list, .slow],
                keys: "idx:1>rng:0/1/0{RW,access,delete}; idx:2>rng:0/1/0{RW,insert}", group: .list, since: "8.10.0",
                complexity: "O(N)", summary: "Moves several elements from one end of a list to an end of another.",
                arguments: """
                    source:key#0 destination:key#1 wherefrom:oneof(left:pure-token@LEFT right:pure-token@RIGHT) \
                    whereto:oneof(left:pure-token@LEFT right:pure-token@RIGHT) \
                    how-many:block?(selector:oneof(count:integer@COUNT exactly:integer@EXACTLY) \
                    ordering:oneof(obo:pure-token@OBO bulk:pure-token@BULK))
                    """, propagates: .rewritten, .data(lmovem)),
        Command("blmovem", arity: -6, [.write, .denyoom, .blocking], [.write, .list, .slow, .blocking],
                keys: "idx:1>rng:0/1/0{RW,access,delete}; idx:2>rng:0/1/0{RW,insert}", group: .list, since: "8.10.0",
                complexity: "O(N)",
                summary: "Moves several elements from one list to another, or waits until there are enough.",
                arguments: """
                    source:key#0 destination:key#1 wherefrom:oneof(left:pure-token@LEFT right:pure-token@RIGHT) \
                    whereto:oneof(left:pure-token@LEFT right:pure-token@RIGHT) timeout:double \
                    how-many:block?(selector:oneof(count:integer@COUNT exactly:integer@EXACTLY) \
                    ordering:oneof(obo:pure-token@OBO bulk:pure-token@BULK))
                    """, propagates: .rewritten, .data(blmovem)),
    ]

    private struct MoveOptions {
        var from: End
        var to: End
        var count = 1
        var isExact = false
        var keepsOrder = false

        init(_ call: Call, from index: Int) throws(CommandError) {
            from = try parseEnd(call, 3)
            to = try parseEnd(call, 4)
            if index == call.count { return }
            guard index + 3 == call.count else { throw .syntax }
            isExact = call.isWord(index, "EXACTLY")
            keepsOrder = call.isWord(index + 2, "BULK")
            guard isExact || call.isWord(index, "COUNT"), keepsOrder || call.isWord(index + 2, "OBO") else {
                throw .syntax
            }
            guard let value = Decimal.parseInt64(call[index + 1]), value > 0 else {
                throw .text("ERR count should be greater than 0")
            }
            count = Int(value)
        }

        /// The destination gets them in the other order than they were taken.
        var reverses: Bool { keepsOrder ? from == .tail : to == .head }
    }

    static func lmovem(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let options = try MoveOptions(call, from: 5)
        if try moveMany(&keyspace, &call, options) { return }
        if options.isExact { call.reply.nullArray() } else { call.reply.array(0) }
    }

    static func blmovem(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let timeout = try call.timeout(5)
        let options = try MoveOptions(call, from: 6)
        if try moveMany(&keyspace, &call, options) { return }
        if !call.mayBlock { call.reply.nullArray(); return }
        call.block(firstKey: 1, keyCount: 1, timeoutMilliseconds: timeout, timeoutReply: .nullArray)
    }

    /// False if there are no elements, or not enough.
    private static func moveMany(_ keyspace: inout Keyspace, _ call: inout Call, _ options: MoveOptions)
        throws(CommandError) -> Bool {
        guard let source = try call.entry(&keyspace, 1, .list, .write) else { return false }
        let target = try call.entry(&keyspace, 2, .list, .write)
        var list = ListValue(source)
        let count = min(options.count, list.count)
        if options.isExact && count < options.count { return false }
        var moved = MovedElements()
        if source == target && options.keepsOrder && options.from == options.to {
            // What is taken away and put back in its place is only replied.
            moved.look(at: list, options.from, count)
            moved.reply(call, reversed: options.reverses)
            return true
        }
        for _ in 0..<count {
            guard let cursor = list.cursor(at: options.from == .head ? 0 : -1) else { break }
            moved.append(list, cursor)
            list.remove(cursor)
        }
        moved.reply(call, reversed: options.reverses)
        if source == target {
            moved.push(to: &list, options.to, reversed: options.reverses, keyspace)
            list.convertToListpackIfSmall(shrunk: true, keyspace.thresholds)
            list.store(source)
            call.modified(call[2], .list, options.to.pushEvent, changes: count)
            call.announce(call[1], .list, options.from.popEvent)
            if options.from == options.to {
                moved.recordInPlace(call, options.to)
            } else {
                for _ in 0..<count { recordMove(call, options) }
            }
            return true
        }
        var other = target.map { ListValue($0) } ?? .create()
        other.prepare(adding: count, bytes: moved.byteCount, keyspace.thresholds)
        moved.push(to: &other, options.to, reversed: options.reverses, keyspace)
        call.modified(call[2], .list, options.to.pushEvent, changes: count)
        call.modified(call[1], .list, options.from.popEvent, changes: 0)
        if let target { other.store(target) } else {
            keyspace.set(call[2], to: other.makeValue(), in: call.database)
        }
        storeShrunk(&keyspace, list, source, call[1], call)
        if count == 1 {
            recordMove(call, options)
        } else {
            moved.record(call, options.from, options.to, options.reverses)
        }
        return true
    }

    private static func recordMove(_ call: Call, _ options: MoveOptions) {
        call.record(argumentCount: 5)
        call.recordArgument("LMOVE")
        call.recordArgument(call[1])
        call.recordArgument(call[2])
        call.recordArgument(options.from.word)
        call.recordArgument(options.to.word)
    }
}

/// Copies of elements, in the order in which they were taken.
private struct MovedElements: ~Copyable {
    private var bytes = OwnedBytes()
    private var ends: [Int] = []

    var byteCount: Int { bytes.count }

    mutating func append(_ list: ListValue, _ cursor: ListCursor) {
        withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) {
            bytes.append(list.element(cursor).text($0.baseAddress.unsafelyUnwrapped))
        }
        ends.append(bytes.count)
    }

    mutating func look(at list: ListValue, _ end: ListCommands.End, _ count: Int) {
        var cursor = list.cursor(at: end == .head ? 0 : -1)
        while let at = cursor, ends.count < count {
            append(list, at)
            cursor = end == .head ? list.next(at) : list.previous(at)
        }
    }

    private subscript(index: Int) -> Bytes {
        Bytes(rebasing: bytes.bytes[(index == 0 ? 0 : ends[index - 1])..<ends[index]])
    }

    /// Visits them from the first to the last, or the other way round.
    private func forEach(reversed: Bool, _ body: (Bytes) -> Void) {
        for index in ends.indices { body(self[reversed ? ends.count - 1 - index : index]) }
    }

    func reply(_ call: Call, reversed: Bool) {
        call.reply.array(ends.count)
        forEach(reversed: reversed) { call.reply.bulk($0) }
    }

    /// - Parameter reversed: whether they are to stand in the other order than they were taken.
    func push(to list: inout ListValue, _ end: ListCommands.End, reversed: Bool, _ keyspace: borrowing Keyspace) {
        let thresholds = keyspace.thresholds
        // At the head the one that is to stand first comes last.
        for index in ends.indices {
            let isBackward = reversed != (end == .head)
            list.push(self[isBackward ? ends.count - 1 - index : index], atHead: end == .head, thresholds)
        }
    }

    /// The elements at one end of a list now stand in the other order.
    func recordInPlace(_ call: Call, _ end: ListCommands.End) {
        for index in ends.indices {
            call.record(argumentCount: 4)
            call.recordArgument("LSET")
            call.recordArgument(call[1])
            call.recordArgument(end == .head ? Int64(index) : Int64(-1 - index))
            call.recordArgument(self[ends.count - 1 - index])
        }
    }

    func record(_ call: Call, _ from: ListCommands.End, _ to: ListCommands.End, _ reversed: Bool) {
        call.record(argumentCount: 3)
        call.recordArgument(from == .head ? "LPOP" : "RPOP")
        call.recordArgument(call[1])
        call.recordArgument(Int64(ends.count))
        call.record(argumentCount: 2 + ends.count)
        call.recordArgument(to == .head ? "LPUSH" : "RPUSH")
        call.recordArgument(call[2])
        forEach(reversed: reversed != (to == .head)) { call.recordArgument($0) }
    }
}
