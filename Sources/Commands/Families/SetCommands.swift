import Keyspace
import Primitives
import RESP

// Sets: one set at a time. Algebra over several is in SetAlgebra.swift.

package enum SetCommands {
    package static let all: [Command] = basic + cardinalities

    private static let basic: [Command] = [
        Command("sadd", arity: -3, [.write, .denyoom, .fast], [.write, .set, .fast], keys: "idx:1>rng:0/1/0{RW,insert}",
                group: .set, since: "1.0.0", complexity: "O(1);O(N)",
                summary: "Adds members to a set, which is created if needed.", arguments: "key:key#0 member:string*",
                propagates: .verbatim, .data(sadd)),
        Command("scard", arity: 2, [.readonly, .fast], [.read, .set, .fast], keys: "idx:1>rng:0/1/0{RO}", group: .set,
                since: "1.0.0", complexity: "O(1)", summary: "Counts the members of a set.", arguments: "key:key#0",
                .data(scard)),
        Command("sdiff", arity: -2, [.readonly], [.read, .set, .slow], keys: "idx:1>rng:-1/1/0{RO,access}", group: .set,
                since: "1.0.0", complexity: "O(N)",
                summary: "Returns the members of the first set that are in none of the others.",
                tips: "nondeterministic_output_order",
                arguments: "key:key#0*", .data(sdiff)),
        Command("sdiffstore", arity: -3, [.write, .denyoom], [.write, .set, .slow],
                keys: "idx:1>rng:0/1/0{OW,update}; idx:2>rng:-1/1/0{RO,access}", group: .set, since: "1.0.0",
                complexity: "O(N)", summary: "Stores the difference of sets at a key.",
                arguments: "destination:key#0 key:key#1*", propagates: .verbatim,
                .data(sdiffstore)),
        Command("sinter", arity: -2, [.readonly], [.read, .set, .slow], keys: "idx:1>rng:-1/1/0{RO,access}",
                group: .set,
                since: "1.0.0", complexity: "O(N*M)", summary: "Returns the members that all sets have.",
                tips: "nondeterministic_output_order",
                arguments: "key:key#0*", .data(sinter)),
        Command("sintercard", arity: -3, [.readonly, .movablekeys], [.read, .set, .slow],
                keys: "idx:1>num:0/1/1{RO,access}",
                group: .set, since: "7.0.0", complexity: "O(N*M)",
                summary: "Counts the members that all sets have, up to a limit.",
                arguments: "numkeys:integer key:key#0* limit:integer@LIMIT?", .data(sintercard)),
        Command("sinterstore", arity: -3, [.write, .denyoom], [.write, .set, .slow],
                keys: "idx:1>rng:0/1/0{OW,update}; idx:2>rng:-1/1/0{RO,access}", group: .set, since: "1.0.0",
                complexity: "O(N*M)", summary: "Stores the intersection of sets at a key.",
                arguments: "destination:key#0 key:key#1*", propagates: .verbatim,
                .data(sinterstore)),
        Command("sismember", arity: 3, [.readonly, .fast], [.read, .set, .fast], keys: "idx:1>rng:0/1/0{RO}",
                group: .set,
                since: "1.0.0", complexity: "O(1)", summary: "Tells whether a value is a member of a set.",
                arguments: "key:key#0 member:string", .data(sismember)),
        Command("smembers", arity: 2, [.readonly], [.read, .set, .slow], keys: "idx:1>rng:0/1/0{RO,access}",
                group: .set,
                since: "1.0.0", complexity: "O(N)", summary: "Returns all members of a set.",
                tips: "nondeterministic_output_order",
                arguments: "key:key#0", .data(smembers)),
        Command("smismember", arity: -3, [.readonly, .fast], [.read, .set, .fast], keys: "idx:1>rng:0/1/0{RO,access}",
                group: .set, since: "6.2.0", complexity: "O(N)",
                summary: "Tells for each of several values whether it is a member of a set.",
                arguments: "key:key#0 member:string*",
                .data(smismember)),
        Command("smove", arity: 4, [.write, .fast], [.write, .set, .fast],
                keys: "idx:1>rng:0/1/0{RW,access,delete}; idx:2>rng:0/1/0{RW,insert}", group: .set, since: "1.0.0",
                complexity: "O(1)", summary: "Moves a member from one set to another.",
                arguments: "source:key#0 destination:key#1 member:string",
                propagates: .verbatim, .data(smove)),
        Command("spop", arity: -2, [.write, .fast], [.write, .set, .fast], keys: "idx:1>rng:0/1/0{RW,access,delete}",
                group: .set, since: "1.0.0", complexity: "O(1);O(N)",
                summary: "Takes random members out of a set and returns them.", tips: "nondeterministic_output",
                arguments: "key:key#0 count:integer?~3.2.0", propagates: .rewritten, .data(spop)),
        Command("srandmember", arity: -2, [.readonly], [.read, .set, .slow], keys: "idx:1>rng:0/1/0{RO,access}",
                group: .set,
                since: "1.0.0", complexity: "O(1);O(N)", summary: "Returns random members of a set.",
                tips: "nondeterministic_output",
                arguments: "key:key#0 count:integer?~2.6.0", .data(srandmember)),
        Command("srem", arity: -3, [.write, .fast], [.write, .set, .fast], keys: "idx:1>rng:0/1/0{RW,delete}",
                group: .set,
                since: "1.0.0", complexity: "O(N)", summary: "Removes members from a set.",
                arguments: "key:key#0 member:string*",
                propagates: .verbatim, .data(srem)),
        Command("sscan", arity: -3, [.readonly], [.read, .set, .slow], keys: "idx:1>rng:0/1/0{RO,access}", group: .set,
                since: "2.8.0", complexity: "O(1);O(N)", summary: "Walks the members of a set with a cursor.",
                tips: "nondeterministic_output",
                arguments: "key:key#0 cursor:integer pattern:pattern@MATCH? count:integer@COUNT?", .data(sscan)),
        Command("sunion", arity: -2, [.readonly], [.read, .set, .slow], keys: "idx:1>rng:-1/1/0{RO,access}",
                group: .set,
                since: "1.0.0", complexity: "O(N)", summary: "Returns the members that any of the sets has.",
                tips: "nondeterministic_output_order",
                arguments: "key:key#0*", .data(sunion)),
        Command("sunionstore", arity: -3, [.write, .denyoom], [.write, .set, .slow],
                keys: "idx:1>rng:0/1/0{OW,update}; idx:2>rng:-1/1/0{RO,access}", group: .set, since: "1.0.0",
                complexity: "O(N)", summary: "Stores the union of sets at a key.",
                arguments: "destination:key#0 key:key#1*", propagates: .verbatim,
                .data(sunionstore)),
    ]

    static func set(_ keyspace: inout Keyspace, _ call: Call, _ index: Int, _ access: Access)
        throws(CommandError) -> SetValue? {
        try call.entry(&keyspace, index, .set, access).map { SetValue($0) }
    }

    static func sadd(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let found = try call.entry(&keyspace, 1, .set, .write)
        let wanted = call.count - 2
        var set = found.map { SetValue($0) } ?? SetValue.create(for: call[2], expected: wanted, keyspace)
        if found != nil { set.prepare(expected: wanted, keyspace) }
        var added = 0
        for index in 2..<call.count where set.add(call[index], keyspace) { added += 1 }
        if let found { set.store(found) } else { keyspace.set(call[1], to: set.makeValue(), in: call.database) }
        if added > 0 { call.modified(call[1], .set, "sadd", changes: added) }
        call.reply.integer(added)
    }

    static func srem(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        guard let entry = try call.entry(&keyspace, 1, .set, .write) else { call.reply.integer(0); return }
        var set = SetValue(entry)
        var removed = 0
        for index in 2..<call.count where set.remove(call[index]) {
            removed += 1
            if set.count == 0 { break }
        }
        set.store(entry)
        if removed > 0 {
            call.modified(call[1], .set, "srem", changes: removed)
            deleteIfEmpty(&keyspace, entry, set, call)
        }
        call.reply.integer(removed)
    }

    static func deleteIfEmpty(_ keyspace: inout Keyspace, _ entry: Entry, _ set: SetValue, _ call: Call) {
        guard set.count == 0 else { return }
        keyspace.delete(entry, in: call.database)
        call.announceRemoval(call[1])
    }

    static func smove(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        guard let source = try call.entry(&keyspace, 1, .set, .write) else {
            // Looked at all the same: it may be past its time.
            _ = keyspace.find(call[2], in: call.database, .write)
            call.reply.integer(0)
            return
        }
        let target = try call.entry(&keyspace, 2, .set, .write)
        var from = SetValue(source)
        if source == target {
            call.reply.integer(from.contains(call[3]) ? 1 : 0)
            return
        }
        guard from.remove(call[3]) else { call.reply.integer(0); return }
        from.store(source)
        call.modified(call[1], .set, "srem")
        deleteIfEmpty(&keyspace, source, from, call)
        var to = target.map { SetValue($0) } ?? SetValue.create(for: call[3], expected: 1, keyspace)
        let added = to.add(call[3], keyspace)
        if let target { to.store(target) } else { keyspace.set(call[2], to: to.makeValue(), in: call.database) }
        if added { call.modified(call[2], .set, "sadd") }
        call.reply.integer(1)
    }

    static func scard(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        call.reply.integer(try set(&keyspace, call, 1, .read)?.count ?? 0)
    }

    static func sismember(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let set = try set(&keyspace, call, 1, .read)
        call.reply.integer(set?.contains(call[2]) == true ? 1 : 0)
    }

    static func smismember(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let set = try set(&keyspace, call, 1, .read)
        call.reply.array(call.count - 2)
        for index in 2..<call.count { call.reply.integer(set?.contains(call[index]) == true ? 1 : 0) }
    }

    static func smembers(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        guard let set = try set(&keyspace, call, 1, .read) else { call.reply.set(0); return }
        call.reply.set(set.count)
        let reply = call.reply
        set.forEach { reply.bulk($0); return true }
    }

    // MARK: Random members

    static func spop(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        if call.count > 3 { throw .syntax }
        if call.count == 3 { return try spopCount(&keyspace, &call) }
        guard let entry = try call.entry(&keyspace, 1, .set, .write) else { call.reply.null(); return }
        var set = SetValue(entry)
        popOne(&keyspace, &set, call, isReplied: true)
        set.store(entry)
        call.modified(call[1], .set, "spop")
        deleteIfEmpty(&keyspace, entry, set, call)
    }

    /// Removes a random member, replies it and records its removal.
    private static func popOne(_ keyspace: inout Keyspace, _ set: inout SetValue, _ call: Call, isReplied: Bool) {
        var member = OwnedBytes()
        set.withRandomMember(&keyspace.context.pointee.random) { bytes, _ in member.append(bytes) }
        _ = set.remove(member.bytes)
        call.reply.bulk(member.bytes)
        call.record(argumentCount: 3)
        call.recordArgument("SREM")
        call.recordArgument(call[1])
        call.recordArgument(member.bytes)
    }

    private static func spopCount(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        guard let wanted = Decimal.parseInt64(call[2]), wanted >= 0 else {
            throw .text("ERR value is out of range, must be positive")
        }
        guard let entry = try call.entry(&keyspace, 1, .set, .write) else { call.reply.set(0); return }
        if wanted == 0 { call.reply.set(0); return }
        var set = SetValue(entry)
        let count = set.count
        if wanted >= count {
            call.reply.set(count)
            let reply = call.reply
            set.forEach { reply.bulk($0); return true }
            call.record(argumentCount: 2)
            call.recordArgument(keyspace.thresholds.lazyfreeLazyServerDel ? "UNLINK" : "DEL")
            call.recordArgument(call[1])
            call.modified(call[1], .set, "spop", changes: count)
            keyspace.delete(entry, in: call.database)
            call.announceRemoval(call[1])
            return
        }
        call.reply.set(Int(wanted))
        for _ in 0..<wanted { popOne(&keyspace, &set, call, isReplied: true) }
        set.store(entry)
        call.modified(call[1], .set, "spop", changes: Int(wanted))
    }

    static func srandmember(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        if call.count > 3 { throw .syntax }
        let reply = call.reply
        if call.count == 2 {
            guard let set = try set(&keyspace, call, 1, .read) else { call.reply.null(); return }
            set.withRandomMember(&keyspace.context.pointee.random) { member, _ in reply.bulk(member) }
            return
        }
        let count = try call.integer(2)
        if count == Int64.min { throw .outsideSymmetricRange }
        guard let set = try set(&keyspace, call, 1, .read), count != 0 else { call.reply.array(0); return }
        if count < 0 {
            call.reply.array(Int(-count))
            for _ in 0..<(-count) {
                set.withRandomMember(&keyspace.context.pointee.random) { member, _ in reply.bulk(member) }
            }
            return
        }
        if Int(count) >= set.count {
            call.reply.array(set.count)
            set.forEach { reply.bulk($0); return true }
            return
        }
        replySample(&keyspace, set, Int(count), call)
    }

    /// `wanted` different members, each choice equally likely: one walk that takes each of the members that are
    /// left with the probability of those still wanted.
    private static func replySample(_ keyspace: inout Keyspace, _ set: SetValue, _ wanted: Int, _ call: Call) {
        call.reply.array(wanted)
        let size = set.count
        let random = keyspace.context
        if SeenPlaces.suits(wanted, of: size, set.encoding) { return replyFew(set, wanted, call, random) }
        var left = wanted, unseen = size
        let reply = call.reply
        set.forEach { member in
            if random.pointee.random.next(below: unseen) < left {
                reply.bulk(member)
                left -= 1
            }
            unseen -= 1
            return left > 0
        }
    }

    /// Few of many: draws again when a member comes twice.
    private static func replyFew(_ set: SetValue, _ wanted: Int, _ call: Call,
                                 _ context: UnsafeMutablePointer<HashContext>) {
        let seen = SeenPlaces(wanted), reply = call.reply
        var left = wanted
        while left > 0 {
            set.withRandomMember(&context.pointee.random) { member, place in
                guard seen.insert(place) else { return }
                reply.bulk(member)
                left -= 1
            }
        }
    }

    static func sscan(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let start = try ScanOptions.cursor(call, 2)
        guard let set = try set(&keyspace, call, 1, .read) else { ScanOptions.replyNothing(call); return }
        let options = try ScanOptions(call, start, from: 3)
        call.reply.array(2)
        let mark = call.reply.beginDeferred()
        var count = 0, cursor = options.cursor, steps = options.count * 10
        let reply = call.reply
        repeat {
            cursor = set.scan(cursor) { member in
                if options.accepts(member) { reply.bulk(member); count += 1 }
            }
            steps -= 1
        } while cursor != 0 && steps > 0 && count < options.count
        call.reply.endArray(mark, count)
        ScanOptions.insertCursor(cursor, at: mark, call)
    }
}
