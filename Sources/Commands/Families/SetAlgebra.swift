import Keyspace
import Primitives
import RESP

// SINTER, SUNION, SDIFF, their STORE forms, SINTERCARD.

extension SetCommands {
    private enum Operation { case union, difference }

    /// The sets of the arguments in `range`; nil for keys that do not exist.
    static func sets(_ keyspace: inout Keyspace, _ call: Call, _ range: Range<Int>)
        throws(CommandError) -> [SetValue?] {
        var sets: [SetValue?] = []
        for index in range { sets.append(try set(&keyspace, call, index, .read)) }
        return sets
    }

    // MARK: Intersection

    /// Visits the members of all sets, smallest set first; `visit` answers false to stop.
    private static func intersect(_ sets: [SetValue?], _ visit: (Bytes) -> Bool) {
        var present: [SetValue] = []
        for set in sets {
            guard let set else { return }
            present.append(set)
        }
        let ordered = present.sorted { $0.count < $1.count }
        let others = ordered.dropFirst()
        // Of two intsets of like size; the smaller one is looked up in a much bigger one.
        if ordered.count == 2, ordered[1].count < ordered[0].count * 8,
           ordered[0].forEachCommon(ordered[1], visit) { return }
        ordered[0].forEach { member in
            for other in others where !other.contains(member) { return true }
            return visit(member)
        }
    }

    static func sinter(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let sets = try sets(&keyspace, call, 1..<call.count)
        let mark = call.reply.beginDeferred(), reply = call.reply
        var count = 0
        intersect(sets) { reply.bulk($0); count += 1; return true }
        call.reply.endSet(mark, count)
    }

    static func sintercard(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let arguments = try CardinalityArguments(call), limit = arguments.limit
        let sets = try sets(&keyspace, call, arguments.keys)
        var count = 0
        intersect(sets) { _ in
            count += 1
            return limit == 0 || count < limit
        }
        call.reply.integer(count)
    }

    static func sinterstore(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let sets = try sets(&keyspace, call, 2..<call.count)
        var result = sets.compactMap { $0 }.contains { $0.encoding == .intset }
            ? SetValue.createIntset() : SetValue.createListpack()
        var members = OwnedBytes(), lengths: [Int] = []
        // The destination may be one of the sources, and growing it must not disturb the walk.
        intersect(sets) {
            members.append($0)
            lengths.append($0.count)
            return true
        }
        // What can't stay a listpack does not begin as one, where each member is looked for.
        if result.encoding == .listpack, lengths.count > keyspace.thresholds.setMaxListpackEntries {
            result.convertToTable(keyspace.context, expected: lengths.count)
        }
        add(members.bytes, lengths, to: &result, keyspace)
        result.convertToIntsetIfPossible(keyspace)
        store(&keyspace, &call, result, "sinterstore")
    }

    private static func add(_ members: Bytes, _ lengths: [Int], to result: inout SetValue,
                            _ keyspace: borrowing Keyspace) {
        var offset = 0
        for length in lengths {
            result.addNew(Bytes(rebasing: members[offset..<(offset + length)]), keyspace)
            offset += length
        }
    }

    /// Puts a result at the destination (argument 1), or removes what is there when it is empty.
    private static func store(_ keyspace: inout Keyspace, _ call: inout Call, _ result: SetValue,
                              _ event: StaticString) {
        let count = result.count
        if count > 0 {
            keyspace.set(call[1], to: result.makeValue(), in: call.database)
            call.modified(call[1], .set, event)
        } else {
            result.destroy()
            if keyspace.removeReplaced(call[1], in: call.database) {
                call.modified(call[1], .generic, "del")
            }
        }
        call.reply.integer(count)
    }

    // MARK: Union and difference

    /// The result begins as an intset when it is to be stored (so its encoding tells what it holds), or when only
    /// integers come in; else as a table, which is the fastest to build and is thrown away.
    private static func combine(_ operation: Operation, _ sets: [SetValue?], isStored: Bool,
                                _ keyspace: borrowing Keyspace) -> SetValue {
        let beginsAsIntset = isStored || sets.allSatisfy { $0 == nil || $0?.encoding == .intset }
        var result = beginsAsIntset ? SetValue.createIntset() : SetValue.createTable(keyspace.context)
        switch operation {
        case .union:
            for set in sets {
                set?.forEach { _ = result.add($0, keyspace); return true }
            }
        case .difference:
            guard let first = sets[0] else { return result }
            let others = sets.dropFirst().compactMap { $0 }
            if others.contains(where: { $0.pointer == first.pointer }) { return result }
            subtract(others, from: first, into: &result, keyspace)
        }
        return result
    }

    /// Either asks every other set for each member of the first, or copies the first and removes what the others
    /// have: whichever looks at fewer members, the former counting half since it often stops early. (The choice is
    /// Redis', for it shows in the result's encoding.)
    private static func subtract(_ others: [SetValue], from first: SetValue, into result: inout SetValue,
                                 _ keyspace: borrowing Keyspace) {
        let asking = first.count * (others.count + 1) / 2
        let removing = others.reduce(first.count) { $0 + $1.count }
        if asking <= removing {
            let largestFirst = others.sorted { $0.count > $1.count }
            first.forEach { member in
                if !largestFirst.contains(where: { $0.contains(member) }) { _ = result.add(member, keyspace) }
                return true
            }
            return
        }
        first.forEach { _ = result.add($0, keyspace); return true }
        for other in others where result.count > 0 {
            other.forEach { _ = result.remove($0); return result.count > 0 }
        }
    }

    private static func replyCombined(_ operation: Operation, _ keyspace: inout Keyspace, _ call: inout Call)
        throws(CommandError) {
        let result = combine(operation, try sets(&keyspace, call, 1..<call.count), isStored: false, keyspace)
        call.reply.set(result.count)
        let reply = call.reply
        result.forEach { reply.bulk($0); return true }
        result.destroy()
    }

    private static func storeCombined(_ operation: Operation, _ keyspace: inout Keyspace, _ call: inout Call,
                                      _ event: StaticString) throws(CommandError) {
        let result = combine(operation, try sets(&keyspace, call, 2..<call.count), isStored: true, keyspace)
        store(&keyspace, &call, result, event)
    }

    static func sunion(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try replyCombined(.union, &keyspace, &call)
    }
    static func sdiff(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try replyCombined(.difference, &keyspace, &call)
    }
    static func sunionstore(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try storeCombined(.union, &keyspace, &call, "sunionstore")
    }
    static func sdiffstore(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try storeCombined(.difference, &keyspace, &call, "sdiffstore")
    }
}
