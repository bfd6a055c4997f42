import Encodings
import Keyspace
import Primitives
import RESP

// Lists. Pops, moves and everything that waits are in ListPop.swift, the declarations in ListDeclarations.swift.

package enum ListCommands {
    static func list(_ keyspace: inout Keyspace, _ call: Call) throws(CommandError) -> ListValue? {
        try call.entry(&keyspace, 1, .list, .read).map { ListValue($0) }
    }

    /// Puts a list that lost elements back; one that became empty goes with its key.
    static func storeShrunk(_ keyspace: inout Keyspace, _ list: ListValue, _ entry: Entry, _ key: Bytes, _ call: Call) {
        var list = list
        if list.count > 0 { list.convertToListpackIfSmall(shrunk: true, keyspace.thresholds) }
        list.store(entry)
        if list.count > 0 { return }
        keyspace.delete(entry, in: call.database)
        call.announceRemoval(key)
    }

    // MARK: Pushing

    private static func push(_ keyspace: inout Keyspace, _ call: inout Call, atHead: Bool, onlyExisting: Bool)
        throws(CommandError) {
        let entry = try call.entry(&keyspace, 1, .list, .write)
        if entry == nil && onlyExisting { call.reply.integer(0); return }
        var list = entry.map { ListValue($0) } ?? .create()
        var total = 0
        for index in 2..<call.count { total += call[index].count }
        list.prepare(adding: call.count - 2, bytes: total, keyspace.thresholds)
        for index in 2..<call.count { list.push(call[index], atHead: atHead, keyspace.thresholds) }
        if let entry { list.store(entry) } else { keyspace.set(call[1], to: list.makeValue(), in: call.database) }
        call.modified(call[1], .list, atHead ? "lpush" : "rpush", changes: call.count - 2)
        call.reply.integer(list.count)
    }

    static func lpush(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try push(&keyspace, &call, atHead: true, onlyExisting: false)
    }
    static func rpush(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try push(&keyspace, &call, atHead: false, onlyExisting: false)
    }
    static func lpushx(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try push(&keyspace, &call, atHead: true, onlyExisting: true)
    }
    static func rpushx(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try push(&keyspace, &call, atHead: false, onlyExisting: true)
    }

    static func linsert(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let after = call.isWord(2, "AFTER")
        if !after && !call.isWord(2, "BEFORE") { throw .syntax }
        guard let entry = try call.entry(&keyspace, 1, .list, .write) else { call.reply.integer(0); return }
        var list = ListValue(entry)
        // The conversion comes first, as it moves the elements.
        list.prepare(adding: 1, bytes: call[4].count, keyspace.thresholds)
        list.store(entry)
        guard let place = find(list, call[3]) else { call.reply.integer(-1); return }
        list.insert(call[4], at: place, after: after, keyspace.thresholds)
        list.store(entry)
        call.modified(call[1], .list, "linsert")
        call.reply.integer(list.count)
    }

    private static func find(_ list: ListValue, _ value: Bytes) -> ListCursor? {
        guard let first = list.cursor(at: 0) else { return nil }
        return list.find(ListpackNeedle(value), from: first)?.place
    }

    static func lset(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        guard let entry = try call.entry(&keyspace, 1, .list, .write) else { throw .noSuchKey }
        let index = try call.integer(2)
        var list = ListValue(entry)
        guard var cursor = list.cursor(at: Int(index)) else { throw .indexOutOfRange }
        let encoding = list.encoding
        list.prepare(adding: 1, bytes: call[3].count, keyspace.thresholds)
        if list.encoding != encoding, let moved = list.cursor(at: Int(index)) { cursor = moved }
        list.replace(cursor, with: call[3], keyspace.thresholds)
        list.convertToListpackIfSmall(shrunk: true, keyspace.thresholds)
        list.store(entry)
        call.modified(call[1], .list, "lset")
        call.reply.ok()
    }

    // MARK: Reading

    static func llen(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        call.reply.integer(try list(&keyspace, call)?.count ?? 0)
    }

    static func lindex(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let list = try list(&keyspace, call)
        guard let list else { call.reply.null(); return }
        let index = try call.integer(2)
        guard let cursor = list.cursor(at: Int(index)) else { call.reply.null(); return }
        HashCommands.reply(list.element(cursor), call.reply)
    }

    static func lrange(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let start = try call.integer(2), stop = try call.integer(3)
        guard let list = try list(&keyspace, call),
              let (first, last) = SortedSetCommands.clamp(Int(start), Int(stop), list.count) else {
            call.reply.array(0)
            return
        }
        call.reply.array(last - first + 1)
        var cursor = list.cursor(at: first)
        for _ in first...last {
            guard let current = cursor else { return }
            HashCommands.reply(list.element(current), call.reply)
            cursor = list.next(current)
        }
    }

    static func lpos(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        var rank = 1, wanted: Int?, maximum = 0, index = 3
        while index < call.count {
            guard index + 1 < call.count else { throw .syntax }
            if call.isWord(index, "RANK") {
                guard let value = Decimal.parseInt64(call[index + 1]) else { throw .notInteger }
                if value == 0 {
                    throw .text("""
                        ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... \
                        or use negative to start from the end of the list
                        """)
                }
                if value == .min { throw .outsideSymmetricRange }
                rank = Int(value)
            } else if call.isWord(index, "COUNT") {
                guard let value = Decimal.parseInt64(call[index + 1]), value >= 0 else {
                    throw .text("ERR COUNT can't be negative")
                }
                wanted = Int(value)
            } else if call.isWord(index, "MAXLEN") {
                guard let value = Decimal.parseInt64(call[index + 1]), value >= 0 else {
                    throw .text("ERR MAXLEN can't be negative")
                }
                maximum = Int(value)
            } else {
                throw .syntax
            }
            index += 2
        }
        guard let list = try list(&keyspace, call) else {
            if wanted == nil { call.reply.null() } else { call.reply.array(0) }
            return
        }
        replyPositions(list, call, rank, wanted, maximum)
    }

    private static func replyPositions(_ list: ListValue, _ call: Call, _ rank: Int, _ wanted: Int?, _ maximum: Int) {
        let backwards = rank < 0, count = list.count, value = ListpackNeedle(call[2])
        let mark = call.reply.beginDeferred()
        var cursor = list.cursor(at: backwards ? -1 : 0)
        var seen = 0, matches = 0, found = 0
        while let current = cursor, maximum == 0 || seen < maximum {
            if !backwards && maximum == 0 {
                guard let next = list.find(value, from: current) else { break }
                seen += next.passed
                cursor = next.place
            }
            guard let current = cursor else { break }
            if list.matches(current, value) {
                matches += 1
                if matches >= abs(rank) {
                    call.reply.integer(backwards ? count - 1 - seen : seen)
                    found += 1
                    if wanted == nil || found == wanted { break }
                }
            }
            seen += 1
            cursor = backwards ? list.previous(current) : list.next(current)
        }
        if wanted != nil { call.reply.endArray(mark, found) } else if found == 0 { call.reply.null() }
    }

    // MARK: Removing

    static func lrem(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let limit = try call.integer(2)
        guard let entry = try call.entry(&keyspace, 1, .list, .write) else { call.reply.integer(0); return }
        var list = ListValue(entry)
        let backwards = limit < 0, value = ListpackNeedle(call[3])
        let wanted = limit == 0 ? Int.max : Int(clamping: limit.magnitude)
        var removed = 0
        var cursor = list.cursor(at: backwards ? -1 : 0)
        // Where the element behind (or before) the removed one is has to be asked anew after each removal.
        var remaining = list.count
        while var current = cursor, removed < wanted {
            if !backwards {
                guard let next = list.find(value, from: current) else { break }
                current = next.place
                remaining -= next.passed
            }
            remaining -= 1
            if !list.matches(current, value) {
                cursor = backwards ? list.previous(current) : list.next(current)
                continue
            }
            removed += 1
            let following = list.remove(current)
            if list.count == 0 { break }
            if !backwards {
                cursor = following
            } else if remaining == 0 {
                cursor = nil
            } else {
                cursor = following.map { list.previous($0) } ?? list.cursor(at: -1)
            }
        }
        if removed > 0 {
            call.modified(call[1], .list, "lrem", changes: removed)
            storeShrunk(&keyspace, list, entry, call[1], call)
        }
        call.reply.integer(removed)
    }

    static func ltrim(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let start = try call.integer(2), stop = try call.integer(3)
        guard let entry = try call.entry(&keyspace, 1, .list, .write) else { call.reply.ok(); return }
        var list = ListValue(entry)
        let count = list.count
        if let (first, last) = SortedSetCommands.clamp(Int(start), Int(stop), count) {
            list.removeRange(last + 1, count - last - 1)
            list.removeRange(0, first)
        } else {
            list.removeRange(0, count)
        }
        // Nothing cut off: announced, and not logged.
        call.modified(call[1], .list, "ltrim", changes: count - list.count)
        storeShrunk(&keyspace, list, entry, call[1], call)
        call.reply.ok()
    }
}
