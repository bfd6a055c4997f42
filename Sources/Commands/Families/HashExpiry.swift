import Encodings
import Keyspace
import Primitives
import RESP

// Expires of single hash fields: HEXPIRE and its family.
//
//     HEXPIRE key time [NX|XX|GT|LT] FIELDS n field …
//     replies per field: −2 no such field, 0 condition not met, 1 set, 2 deleted at once (the time is past)

package enum HashExpiry {
    package static let all: [Command] = [
        Command("hexpire", arity: -6, [.write, .denyoom, .fast], [.write, .hash, .fast],
                keys: "idx:1>rng:0/1/0{RW,update}",
                group: .hash, since: "7.4.0", complexity: "O(N)",
                summary: "Sets the expire of hash fields in seconds from now.", arguments: """
                    key:key#0 seconds:integer condition:oneof?(nx:pure-token@NX xx:pure-token@XX gt:pure-token@GT \
                    lt:pure-token@LT) fields:block@FIELDS(numfields:integer field:string*)
                    """, propagates: .rewritten, .data(hexpire)),
        Command("hexpireat", arity: -6, [.write, .denyoom, .fast], [.write, .hash, .fast],
                keys: "idx:1>rng:0/1/0{RW,update}", group: .hash, since: "7.4.0", complexity: "O(N)",
                summary: "Sets the expire of hash fields to a Unix time in seconds.", arguments: """
                    key:key#0 unix-time-seconds:unix-time condition:oneof?(nx:pure-token@NX xx:pure-token@XX \
                    gt:pure-token@GT lt:pure-token@LT) fields:block@FIELDS(numfields:integer field:string*)
                    """, propagates: .rewritten, .data(hexpireat)),
        Command("hexpiretime", arity: -5, [.readonly, .fast], [.read, .hash, .fast], keys: "idx:1>rng:0/1/0{RO,access}",
                group: .hash, since: "7.4.0", complexity: "O(N)",
                summary: "Returns when hash fields expire, as Unix times in seconds.",
                arguments: "key:key#0 fields:block@FIELDS(numfields:integer field:string*)", .data(hexpiretime)),
        Command("hpersist", arity: -5, [.write, .fast], [.write, .hash, .fast], keys: "idx:1>rng:0/1/0{RW,update}",
                group: .hash, since: "7.4.0", complexity: "O(N)", summary: "Drops the expire of hash fields.",
                arguments: "key:key#0 fields:block@FIELDS(numfields:integer field:string*)", propagates: .verbatim,
                .data(hpersist)),
        Command("hpexpire", arity: -6, [.write, .denyoom, .fast], [.write, .hash, .fast],
                keys: "idx:1>rng:0/1/0{RW,update}",
                group: .hash, since: "7.4.0", complexity: "O(N)",
                summary: "Sets the expire of hash fields in milliseconds from now.", arguments: """
                    key:key#0 milliseconds:integer condition:oneof?(nx:pure-token@NX xx:pure-token@XX gt:pure-token@GT \
                    lt:pure-token@LT) fields:block@FIELDS(numfields:integer field:string*)
                    """, propagates: .rewritten, .data(hpexpire)),
        Command("hpexpireat", arity: -6, [.write, .denyoom, .fast], [.write, .hash, .fast],
                keys: "idx:1>rng:0/1/0{RW,update}", group: .hash, since: "7.4.0", complexity: "O(N)",
                summary: "Sets the expire of hash fields to a Unix time in milliseconds.", arguments: """
                    key:key#0 unix-time-milliseconds:unix-time condition:oneof?(nx:pure-token@NX xx:pure-token@XX \
                    gt:pure-token@GT lt:pure-token@LT) fields:block@FIELDS(numfields:integer field:string*)
                    """, propagates: .rewritten, .data(hpexpireat)),
        Command("hpexpiretime", arity: -5, [.readonly, .fast], [.read, .hash, .fast],
                keys: "idx:1>rng:0/1/0{RO,access}",
                group: .hash, since: "7.4.0", complexity: "O(N)",
                summary: "Returns when hash fields expire, as Unix times in milliseconds.",
                arguments: "key:key#0 fields:block@FIELDS(numfields:integer field:string*)", .data(hpexpiretime)),
        Command("hpttl", arity: -5, [.readonly, .fast], [.read, .hash, .fast], keys: "idx:1>rng:0/1/0{RO,access}",
                group: .hash, since: "7.4.0", complexity: "O(N)",
                summary: "Returns how many milliseconds hash fields have left.",
                arguments: "key:key#0 fields:block@FIELDS(numfields:integer field:string*)", .data(hpttl)),
        Command("httl", arity: -5, [.readonly, .fast], [.read, .hash, .fast], keys: "idx:1>rng:0/1/0{RO,access}",
                group: .hash, since: "7.4.0", complexity: "O(N)",
                summary: "Returns how many seconds hash fields have left.",
                arguments: "key:key#0 fields:block@FIELDS(numfields:integer field:string*)", .data(httl)),
    ]

    /// `FIELDS n field …` from argument `at` on: the range of the fields.
    private static func fields(_ call: Call, at index: Int) throws(CommandError) -> Range<Int> {
        guard index + 1 < call.count, call.isWord(index, "FIELDS") else {
            throw .text("ERR Mandatory argument FIELDS is missing or not at the right position")
        }
        guard let number = Decimal.parseInt64(call[index + 1]), number >= 1, number <= Int64(Int32.max) else {
            throw .text("ERR Parameter `numFields` should be greater than 0")
        }
        if Int(number) != call.count - index - 2 {
            throw .text("ERR The `numfields` parameter must match the number of arguments")
        }
        return (index + 2)..<call.count
    }

    // MARK: Setting

    private enum Condition { case always, nx, xx, gt, lt }

    static func hexpire(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try expire(&keyspace, &call, unit: 1000, base: keyspace.now.rawValue)
    }
    static func hpexpire(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try expire(&keyspace, &call, unit: 1, base: keyspace.now.rawValue)
    }
    static func hexpireat(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try expire(&keyspace, &call, unit: 1000, base: 0)
    }
    static func hpexpireat(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try expire(&keyspace, &call, unit: 1, base: 0)
    }

    /// The greatest expire of a field: 46 bits of ms, as in Redis' own index of them.
    private static var latest: Int64 { (1 << 46) - 2 }

    /// The time of argument `index` as Unix milliseconds.
    static func time(_ call: Call, at index: Int, unit: Int64, base: Int64) throws(CommandError) -> Int64 {
        let value = try call.integer(index)
        if value < 0 { throw .text("ERR invalid expire time, must be >= 0") }
        let (scaled, overflow) = value.multipliedReportingOverflow(by: unit)
        if overflow || scaled > latest || scaled + base > latest {
            throw .message("ERR invalid expire time in '\(call.command.pointee.name)' command")
        }
        return scaled + base
    }

    private static func expire(_ keyspace: inout Keyspace, _ call: inout Call, unit: Int64, base: Int64)
        throws(CommandError) {
        let at = try time(call, at: 2, unit: unit, base: base)
        var condition = Condition.always, index = 3
        if call.isWord(3, "NX") { condition = .nx } else if call.isWord(3, "XX") { condition = .xx
        } else if call.isWord(3, "GT") { condition = .gt } else if call.isWord(3, "LT") { condition = .lt }
        if condition != .always { index = 4 }
        let range = try fields(call, at: index)
        let found = try HashCommands.entry(&keyspace, call, .write)
        call.reply.array(range.count)
        guard let found else {
            for _ in range { call.reply.integer(-2) }
            return
        }
        var hash = HashValue(found)
        let isPast = at <= keyspace.now.rawValue && !call.isReplay
        var changed = 0
        for index in range {
            let result = set(&hash, call[index], at, condition, isPast: isPast)
            call.reply.integer(result)
            if result < 1 { continue }
            changed += 1
            if result == 2 {
                recordDeletion(call[1], call[index], call)
            } else {
                record(call[1], at, call[index], call)
            }
        }
        guard changed > 0 else { return }
        HashCommands.store(&keyspace, hash, found, call)
        call.modified(call[1], .hash, isPast ? "hdel" : "hexpire", changes: changed)
        if hash.count == 0 {
            keyspace.delete(found, in: call.database)
            call.announceRemoval(call[1])
        }
    }

    private static func set(_ hash: inout HashValue, _ field: Bytes, _ at: Int64, _ condition: Condition,
                            isPast: Bool) -> Int {
        guard let current = hash.expire(of: field) else { return -2 }
        switch condition {
        case .always: break
        case .nx: if current != 0 { return 0 }
        case .xx: if current == 0 { return 0 }
        case .gt: if current == 0 || at <= current { return 0 }
        case .lt: if current != 0 && at >= current { return 0 }
        }
        if isPast {
            _ = hash.delete(field)
            return 2
        }
        hash.setExpire(field, at)
        return 1
    }

    /// Logs an absolute expire of one field.
    static func record(_ key: Bytes, _ at: Int64, _ field: Bytes, _ call: Call) {
        call.record(argumentCount: 6)
        call.recordArgument("HPEXPIREAT")
        call.recordArgument(key)
        call.recordArgument(at)
        call.recordArgument("FIELDS")
        call.recordArgument(1)
        call.recordArgument(field)
    }

    static func recordDeletion(_ key: Bytes, _ field: Bytes, _ call: Call) {
        call.record(argumentCount: 3)
        call.recordArgument("HDEL")
        call.recordArgument(key)
        call.recordArgument(field)
    }

    static func hpersist(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let range = try fields(call, at: 2)
        let found = try HashCommands.entry(&keyspace, call, .write)
        call.reply.array(range.count)
        guard let found else {
            for _ in range { call.reply.integer(-2) }
            return
        }
        var hash = HashValue(found)
        var changed = 0
        for index in range {
            guard let current = hash.expire(of: call[index]) else { call.reply.integer(-2); continue }
            if current == 0 { call.reply.integer(-1); continue }
            hash.setExpire(call[index], 0)
            changed += 1
            call.reply.integer(1)
        }
        guard changed > 0 else { return }
        HashCommands.store(&keyspace, hash, found, call)
        call.modified(call[1], .hash, "hpersist", changes: changed)
    }

    // MARK: Asking

    private static func ask(_ keyspace: inout Keyspace, _ call: inout Call, _ convert: (Int64) -> Int64)
        throws(CommandError) {
        let range = try fields(call, at: 2)
        let hash = try HashCommands.hash(&keyspace, call, .read)
        call.reply.array(range.count)
        for index in range {
            guard let expire = hash?.expire(of: call[index]) else { call.reply.integer(-2); continue }
            call.reply.integer(expire == 0 ? -1 : convert(expire))
        }
    }

    static func httl(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let now = keyspace.now.rawValue
        try ask(&keyspace, &call) { ($0 - now + 999) / 1000 }
    }
    static func hpttl(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let now = keyspace.now.rawValue
        try ask(&keyspace, &call) { $0 - now }
    }
    static func hexpiretime(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try ask(&keyspace, &call) { ($0 + 999) / 1000 }
    }
    static func hpexpiretime(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try ask(&keyspace, &call) { $0 }
    }
}
