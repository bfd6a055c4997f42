import Encodings
import Keyspace
import Primitives
import RESP

// Hashes. Field expires are in HashExpiry.swift.

package enum HashCommands {
    package static let all: [Command] = basic + HashExpiry.all + HashFieldCommands.all

    package static let basic: [Command] = [
        Command("hdel", arity: -3, [.write, .fast], [.write, .hash, .fast], keys: "idx:1>rng:0/1/0{RW,delete}",
                group: .hash,
                since: "2.0.0", complexity: "O(N)", summary: "Removes fields from a hash.",
                arguments: "key:key#0 field:string*",
                propagates: .verbatim, .data(hdel)),
        Command("hexists", arity: 3, [.readonly, .fast], [.read, .hash, .fast], keys: "idx:1>rng:0/1/0{RO}",
                group: .hash,
                since: "2.0.0", complexity: "O(1)", summary: "Tells whether a hash has a field.",
                arguments: "key:key#0 field:string", .data(hexists)),
        Command("hget", arity: 3, [.readonly, .fast], [.read, .hash, .fast], keys: "idx:1>rng:0/1/0{RO,access}",
                group: .hash, since: "2.0.0", complexity: "O(1)", summary: "Returns the value of a hash field.",
                arguments: "key:key#0 field:string",
                .data(hget)),
        Command("hgetall", arity: 2, [.readonly], [.read, .hash, .slow], keys: "idx:1>rng:0/1/0{RO,access}",
                group: .hash,
                since: "2.0.0", complexity: "O(N)", summary: "Returns all fields of a hash with their values.",
                tips: "nondeterministic_output_order",
                arguments: "key:key#0", .data(hgetall)),
        Command("hincrby", arity: 4, [.write, .denyoom, .fast], [.write, .hash, .fast],
                keys: "idx:1>rng:0/1/0{RW,access,update}", group: .hash, since: "2.0.0", complexity: "O(1)",
                summary: "Adds an integer to the value of a hash field.",
                arguments: "key:key#0 field:string increment:integer", propagates: .verbatim, .data(hincrby)),
        Command("hincrbyfloat", arity: 4, [.write, .denyoom, .fast], [.write, .hash, .fast],
                keys: "idx:1>rng:0/1/0{RW,access,update}", group: .hash, since: "2.6.0", complexity: "O(1)",
                summary: "Adds a floating point number to the value of a hash field.",
                arguments: "key:key#0 field:string increment:double", propagates: .rewritten, .data(hincrbyfloat)),
        Command("hkeys", arity: 2, [.readonly], [.read, .hash, .slow], keys: "idx:1>rng:0/1/0{RO,access}", group: .hash,
                since: "2.0.0", complexity: "O(N)", summary: "Returns all fields of a hash.",
                tips: "nondeterministic_output_order",
                arguments: "key:key#0", .data(hkeys)),
        Command("hlen", arity: 2, [.readonly, .fast], [.read, .hash, .fast], keys: "idx:1>rng:0/1/0{RO}", group: .hash,
                since: "2.0.0", complexity: "O(1)", summary: "Counts the fields of a hash.", arguments: "key:key#0",
                .data(hlen)),
        Command("hmget", arity: -3, [.readonly, .fast], [.read, .hash, .fast], keys: "idx:1>rng:0/1/0{RO,access}",
                group: .hash, since: "2.0.0", complexity: "O(N)", summary: "Returns the values of several hash fields.",
                arguments: "key:key#0 field:string*",
                .data(hmget)),
        Command("hmset", arity: -4, [.write, .denyoom, .fast], [.write, .hash, .fast],
                keys: "idx:1>rng:0/1/0{RW,update}",
                group: .hash, since: "2.0.0", complexity: "O(N)", summary: "Sets several hash fields.",
                arguments: "key:key#0 data:block*(field:string value:string)", deprecatedSince: "4.0.0",
                replacedBy: "HSET with multiple field-value pairs", propagates: .verbatim, .data(hmset)),
        Command("hrandfield", arity: -2, [.readonly], [.read, .hash, .slow], keys: "idx:1>rng:0/1/0{RO,access}",
                group: .hash, since: "6.2.0", complexity: "O(N)", summary: "Returns random fields of a hash.",
                tips: "nondeterministic_output",
                arguments: "key:key#0 options:block?(count:integer withvalues:pure-token@WITHVALUES?)",
                .data(hrandfield)),
        Command("hscan", arity: -3, [.readonly], [.read, .hash, .slow], keys: "idx:1>rng:0/1/0{RO,access}",
                group: .hash,
                since: "2.8.0", complexity: "O(1);O(N)", summary: "Walks the fields of a hash with a cursor.",
                tips: "nondeterministic_output", arguments: """
                    key:key#0 cursor:integer pattern:pattern@MATCH? count:integer@COUNT? novalues:pure-token@NOVALUES?
                    """, .data(hscan)),
        Command("hset", arity: -4, [.write, .denyoom, .fast], [.write, .hash, .fast],
                keys: "idx:1>rng:0/1/0{RW,update}",
                group: .hash, since: "2.0.0", complexity: "O(1);O(N)",
                summary: "Sets hash fields to values; the hash is created if needed.",
                arguments: "key:key#0 data:block*(field:string value:string)", propagates: .verbatim, .data(hset)),
        Command("hsetnx", arity: 4, [.write, .denyoom, .fast], [.write, .hash, .fast],
                keys: "idx:1>rng:0/1/0{RW,insert}",
                group: .hash, since: "2.0.0", complexity: "O(1)",
                summary: "Sets a hash field only if it does not exist.",
                arguments: "key:key#0 field:string value:string", propagates: .verbatim, .data(hsetnx)),
        Command("hstrlen", arity: 3, [.readonly, .fast], [.read, .hash, .fast], keys: "idx:1>rng:0/1/0{RO}",
                group: .hash,
                since: "3.2.0", complexity: "O(1)", summary: "Returns the length of a hash field's value.",
                arguments: "key:key#0 field:string", .data(hstrlen)),
        Command("hvals", arity: 2, [.readonly], [.read, .hash, .slow], keys: "idx:1>rng:0/1/0{RO,access}", group: .hash,
                since: "2.0.0", complexity: "O(N)", summary: "Returns all values of a hash.",
                tips: "nondeterministic_output_order",
                arguments: "key:key#0", .data(hvals)),
    ]

    /// The hash of argument 1, without the fields whose time has come.
    static func hash(_ keyspace: inout Keyspace, _ call: Call, _ access: Access) throws(CommandError) -> HashValue? {
        try entry(&keyspace, call, access).map { HashValue($0) }
    }

    static func entry(_ keyspace: inout Keyspace, _ call: Call, _ access: Access) throws(CommandError) -> Entry? {
        guard let entry = try call.entry(&keyspace, 1, .hash, access) else { return nil }
        if entry.hasFieldExpires { return keyspace.withoutDueFields(entry, in: call.database) }
        return entry
    }

    static func reply(_ element: ListpackElement, _ reply: ReplyWriter) {
        switch element {
        case .integer(let value): reply.bulk(integer: value)
        case .bytes(let bytes): reply.bulk(bytes)
        }
    }

    // MARK: Setting

    static func hset(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        call.reply.integer(try setPairs(&keyspace, call))
    }

    static func hmset(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        _ = try setPairs(&keyspace, call)
        call.reply.ok()
    }

    private static func setPairs(_ keyspace: inout Keyspace, _ call: Call) throws(CommandError) -> Int {
        if call.count % 2 != 0 { throw .wrongArity }
        let found = try entry(&keyspace, call, .write)
        var hash = found.map { HashValue($0) } ?? .createListpack()
        var longest = 0, total = 0
        for index in 2..<call.count {
            longest = max(longest, call[index].count)
            total += call[index].count
        }
        hash.prepare(added: (call.count - 2) / 2, longest: longest, total: total, keyspace)
        var created = 0, index = 2
        while index < call.count {
            if hash.set(call[index], call[index + 1], keyspace) { created += 1 }
            index += 2
        }
        store(&keyspace, hash, found, call)
        call.modified(call[1], .hash, "hset", changes: (call.count - 2) / 2)
        return created
    }

    /// Puts a changed hash back, or a new one at the key.
    static func store(_ keyspace: inout Keyspace, _ hash: HashValue, _ found: Entry?, _ call: Call) {
        guard let found else {
            keyspace.set(call[1], to: hash.makeValue(), in: call.database)
            return
        }
        hash.store(found)
        keyspace.setFieldExpires(found, hash.minimumExpire != nil, in: call.database)
    }

    static func hsetnx(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let found = try entry(&keyspace, call, .write)
        var hash = found.map { HashValue($0) } ?? .createListpack()
        if hash.contains(call[2]) { call.reply.integer(0); return }
        set(&keyspace, &hash, found, call, call[3])
        call.modified(call[1], .hash, "hset")
        call.reply.integer(1)
    }

    private static func set(_ keyspace: inout Keyspace, _ hash: inout HashValue, _ found: Entry?, _ call: Call,
                            _ value: Bytes, keepExpire: Bool = false) {
        hash.prepare(added: 1, longest: max(call[2].count, value.count), total: call[2].count + value.count, keyspace)
        _ = hash.set(call[2], value, keepExpire: keepExpire, keyspace)
        store(&keyspace, hash, found, call)
    }

    static func hincrby(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let increment = try call.integer(3)
        let found = try entry(&keyspace, call, .write)
        var hash = found.map { HashValue($0) } ?? .createListpack()
        var current: Int64 = 0
        switch hash.get(call[2]) {
        case nil: break
        case .integer(let value): current = value
        case .bytes(let bytes):
            guard let value = Decimal.parseInt64(bytes) else {
                if found == nil { hash.destroy() }
                throw .text("ERR hash value is not an integer")
            }
            current = value
        }
        let (sum, overflow) = current.addingReportingOverflow(increment)
        if overflow {
            if found == nil { hash.destroy() }
            throw .text("ERR increment or decrement would overflow")
        }
        withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) { buffer in
            let start = buffer.baseAddress.unsafelyUnwrapped
            let text = Bytes(start: start, count: Decimal.write(sum, to: start))
            set(&keyspace, &hash, found, call, text, keepExpire: true)
        }
        call.modified(call[1], .hash, "hincrby")
        call.reply.integer(sum)
    }

    static func hincrbyfloat(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        guard let increment = LongDoubleText.parse(call[3]) else { throw .notFloat }
        if increment.isNaN || increment.isInfinite { throw .text("ERR value is NaN or Infinity") }
        let found = try entry(&keyspace, call, .write)
        var current: LongDouble = 0
        if let found {
            switch HashValue(found).get(call[2]) {
            case nil: break
            case .integer(let value): current = LongDouble(value)
            case .bytes(let bytes):
                guard let value = LongDoubleText.parse(bytes) else { throw .text("ERR hash value is not a float") }
                current = value
            }
        }
        let sum = current + increment
        if sum.isNaN || sum.isInfinite { throw .text("ERR increment would produce NaN or Infinity") }
        var hash = found.map { HashValue($0) } ?? .createListpack()
        withUnsafeTemporaryAllocation(byteCount: LongDoubleText.maximumLength, alignment: 8) { buffer in
            let start = buffer.baseAddress.unsafelyUnwrapped
            let text = Bytes(start: start, count: LongDoubleText.write(sum, to: start))
            set(&keyspace, &hash, found, call, text, keepExpire: true)
            recordValue(hash, text, call)
            call.reply.bulk(text)
        }
        call.modified(call[1], .hash, "hincrbyfloat")
    }

    /// Logs the result rather than the increment, so that replay can't differ in the last digit; HSET drops the
    /// field's expire, so that is logged too.
    private static func recordValue(_ hash: HashValue, _ value: Bytes, _ call: Call) {
        call.record(argumentCount: 4)
        call.recordArgument("HSET")
        call.recordArgument(call[1])
        call.recordArgument(call[2])
        call.recordArgument(value)
        if let expire = hash.expire(of: call[2]), expire != 0 {
            HashExpiry.record(call[1], expire, call[2], call)
        }
    }

    // MARK: Getting

    static func hget(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        guard let value = try hash(&keyspace, call, .read)?.get(call[2]) else { call.reply.null(); return }
        reply(value, call.reply)
    }

    static func hmget(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let hash = try hash(&keyspace, call, .read)
        call.reply.array(call.count - 2)
        for index in 2..<call.count {
            if let value = hash?.get(call[index]) { reply(value, call.reply) } else { call.reply.null() }
        }
    }

    static func hexists(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        call.reply.integer(try hash(&keyspace, call, .read)?.contains(call[2]) == true ? 1 : 0)
    }

    static func hlen(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        call.reply.integer(try hash(&keyspace, call, .read)?.count ?? 0)
    }

    static func hstrlen(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        call.reply.integer(try hash(&keyspace, call, .read)?.get(call[2])?.count ?? 0)
    }

    static func hgetall(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        guard let hash = try hash(&keyspace, call, .read) else { call.reply.map(0); return }
        call.reply.map(hash.count)
        let writer = call.reply
        hash.forEach { field, value, _ in
            reply(field, writer)
            reply(value, writer)
            return true
        }
    }

    static func hkeys(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let hash = try hash(&keyspace, call, .read)
        call.reply.array(hash?.count ?? 0)
        let writer = call.reply
        hash?.forEach { field, _, _ in reply(field, writer); return true }
    }

    static func hvals(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let hash = try hash(&keyspace, call, .read)
        call.reply.array(hash?.count ?? 0)
        let writer = call.reply
        hash?.forEach { _, value, _ in reply(value, writer); return true }
    }

    static func hdel(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        guard let entry = try entry(&keyspace, call, .write) else { call.reply.integer(0); return }
        var hash = HashValue(entry)
        var deleted = 0
        for index in 2..<call.count where hash.delete(call[index]) {
            deleted += 1
            if hash.count == 0 { break }
        }
        if deleted > 0 {
            store(&keyspace, hash, entry, call)
            call.modified(call[1], .hash, "hdel", changes: deleted)
            if hash.count == 0 {
                keyspace.delete(entry, in: call.database)
                call.announceRemoval(call[1])
            }
        }
        call.reply.integer(deleted)
    }

    static func hscan(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let start = try ScanOptions.cursor(call, 2)
        guard let hash = try hash(&keyspace, call, .read) else { ScanOptions.replyNothing(call); return }
        let options = try ScanOptions(call, start, from: 3, noValuesWord: "NOVALUES")
        call.reply.array(2)
        let mark = call.reply.beginDeferred()
        var count = 0, cursor = options.cursor, steps = options.count * 10, visited = 0
        let writer = call.reply
        repeat {
            cursor = hash.scan(cursor) { field, value in
                visited += 1
                let accepted = withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) {
                    options.accepts(field.text($0.baseAddress.unsafelyUnwrapped))
                }
                guard accepted else { return }
                reply(field, writer)
                if !options.noValues { reply(value, writer) }
                count += options.noValues ? 1 : 2
            }
            steps -= 1
        } while cursor != 0 && steps > 0 && visited < options.count
        call.reply.endArray(mark, count)
        ScanOptions.insertCursor(cursor, at: mark, call)
    }

    // MARK: Random fields

    static func hrandfield(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let writer = call.reply
        if call.count == 2 {
            guard let hash = try hash(&keyspace, call, .read) else { call.reply.null(); return }
            hash.withRandomField(&keyspace.context.pointee.random) { field, _, _ in reply(field, writer) }
            return
        }
        let count = try call.integer(2)
        if call.count > 4 || (call.count == 4 && !call.isWord(3, "WITHVALUES")) { throw .syntax }
        let withValues = call.count == 4
        let bound = Int64.max / (withValues ? 2 : 1)
        if count == Int64.min { throw .outsideSymmetricRange }
        if count < -bound || count > bound { throw .text("ERR value is out of range") }
        guard let hash = try hash(&keyspace, call, .read), count != 0 else { call.reply.array(0); return }
        if count < 0 {
            beginPairs(Int(-count), withValues, writer)
            for _ in 0..<(-count) {
                hash.withRandomField(&keyspace.context.pointee.random) { field, value, _ in
                    replyPair(field, value, withValues, writer)
                }
            }
            return
        }
        let wanted = min(Int(count), hash.count)
        beginPairs(wanted, withValues, writer)
        var left = wanted, unseen = hash.count
        let context = keyspace.context
        if SeenPlaces.suits(wanted, of: unseen, hash.encoding) {
            let seen = SeenPlaces(wanted)
            while left > 0 {
                hash.withRandomField(&context.pointee.random) { field, value, place in
                    guard seen.insert(place) else { return }
                    replyPair(field, value, withValues, writer)
                    left -= 1
                }
            }
            return
        }
        hash.forEach { field, value, _ in
            if context.pointee.random.next(below: unseen) < left {
                replyPair(field, value, withValues, writer)
                left -= 1
            }
            unseen -= 1
            return left > 0
        }
    }

    private static func beginPairs(_ count: Int, _ withValues: Bool, _ writer: ReplyWriter) {
        writer.array(withValues && writer.version == .resp2 ? count * 2 : count)
    }

    private static func replyPair(_ field: ListpackElement, _ value: ListpackElement, _ withValues: Bool,
                                  _ writer: ReplyWriter) {
        if withValues && writer.version == .resp3 { writer.array(2) }
        reply(field, writer)
        if withValues { reply(value, writer) }
    }
}
