import Encodings
import Keyspace
import Primitives
import RESP

// Hash fields together with their expires: HGETEX, HSETEX, HGETDEL.
//
//     HGETEX key [EX …|PX …|EXAT …|PXAT …|PERSIST] FIELDS n field …
//         replies the values; the expires change
//     HSETEX key [FNX|FXX] [EX …|PX …|EXAT …|PXAT …|KEEPTTL] FIELDS n field value …
//         replies 1, or 0: condition not met
//     HGETDEL key FIELDS n field …
//         replies the values; the fields go
//
// Options stand in any order. A time that is past deletes the fields. The log gets HSET, HPEXPIREAT, HPERSIST and
// HDEL, which servers of 7.4 know too.

package enum HashFieldCommands {
    package static let all: [Command] = [
        Command("hgetex", arity: -5, [.write, .fast], [.write, .hash, .fast],
                keys: "idx:1>rng:0/1/0{RW,access,update}", group: .hash, since: "8.0.0", complexity: "O(N)",
                summary: "Returns the values of hash fields and changes their expires.", arguments: """
                    key:key#0 expiration:oneof?(seconds:integer@EX milliseconds:integer@PX \
                    unix-time-seconds:unix-time@EXAT unix-time-milliseconds:unix-time@PXAT \
                    persist:pure-token@PERSIST) fields:block@FIELDS(numfields:integer field:string*)
                    """, propagates: .rewritten, .data(hgetex)),
        Command("hsetex", arity: -6, [.write, .denyoom, .fast], [.write, .hash, .fast],
                keys: "idx:1>rng:0/1/0{RW,update}", group: .hash, since: "8.0.0", complexity: "O(N)",
                summary: "Sets hash fields and their expires, if all or none of them exist.", arguments: """
                    key:key#0 condition:oneof?(fnx:pure-token@FNX fxx:pure-token@FXX) \
                    expiration:oneof?(seconds:integer@EX milliseconds:integer@PX unix-time-seconds:unix-time@EXAT \
                    unix-time-milliseconds:unix-time@PXAT keepttl:pure-token@KEEPTTL) \
                    fields:block@FIELDS(numfields:integer data:block*(field:string value:string))
                    """, propagates: .rewritten, .data(hsetex)),
        Command("hgetdel", arity: -5, [.write, .fast], [.write, .hash, .fast],
                keys: "idx:1>rng:0/1/0{RW,access,delete}", group: .hash, since: "8.0.0", complexity: "O(N)",
                summary: "Returns the values of hash fields and deletes the fields.",
                arguments: "key:key#0 fields:block@FIELDS(numfields:integer field:string*)",
                propagates: .rewritten, .data(hgetdel)),
    ]

    // MARK: Arguments

    private enum Expiration { case untouched, keep, persist, at(Int64) }

    private struct Options {
        var onlyIfAbsent = false
        var onlyIfPresent = false
        var expiration = Expiration.untouched
        var fields = 0..<0

        /// - Parameter width: arguments a field takes: 1, or 2 where values are set.
        init(_ call: Call, width: Int, now: UnixMilliseconds) throws(CommandError) {
            let isSetting = width == 2
            var hasExpiration = false, index = 2
            while index < call.count {
                if call.isWord(index, "FIELDS") {
                    if !fields.isEmpty { throw .text("ERR FIELDS keyword specified multiple times") }
                    fields = try Self.fields(call, index, width)
                    index = fields.upperBound
                    continue
                }
                if isSetting && (call.isWord(index, "FNX") || call.isWord(index, "FXX")) {
                    if onlyIfAbsent || onlyIfPresent {
                        throw .text("ERR Only one of FXX or FNX arguments can be specified")
                    }
                    onlyIfAbsent = call.isWord(index, "FNX")
                    onlyIfPresent = !onlyIfAbsent
                } else if call.isWord(index, isSetting ? "KEEPTTL" : "PERSIST") {
                    try Self.checkFirst(&hasExpiration, isSetting)
                    expiration = isSetting ? .keep : .persist
                } else if let unit = TimeUnit(call, index) {
                    try Self.checkFirst(&hasExpiration, isSetting)
                    index += 1
                    if index == call.count { throw .text("ERR missing expire time") }
                    expiration = .at(try HashExpiry.time(call, at: index, unit: unit.isSeconds ? 1000 : 1,
                                                         base: unit.isAbsolute ? 0 : now.rawValue))
                } else {
                    throw .message("ERR unknown argument: \(String(decoding: call[index], as: UTF8.self))")
                }
                index += 1
            }
            if fields.isEmpty { throw .text("ERR missing FIELDS argument") }
        }

        private static func checkFirst(_ hasExpiration: inout Bool, _ isSetting: Bool) throws(CommandError) {
            if hasExpiration {
                throw isSetting
                    ? .text("ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified")
                    : .text("ERR Only one of EX, PX, EXAT, PXAT or PERSIST arguments can be specified")
            }
            hasExpiration = true
        }

        private static func fields(_ call: Call, _ index: Int, _ width: Int) throws(CommandError) -> Range<Int> {
            if index + 1 + width >= call.count {
                throw .text("ERR FIELDS requires at least numfields and one field argument")
            }
            guard let number = Decimal.parseInt64(call[index + 1]), number > 0, number <= Int64(Int32.max) else {
                throw .text("ERR invalid number of fields")
            }
            let end = index + 2 + Int(number) * width
            if end > call.count { throw .wrongArity }
            return (index + 2)..<end
        }
    }

    // MARK: Reading

    static func hgetex(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let options = try Options(call, width: 1, now: keyspace.now)
        let found = try HashCommands.entry(&keyspace, call, .read)
        call.reply.array(options.fields.count)
        guard let found else {
            for _ in options.fields { call.reply.null() }
            return
        }
        var hash = HashValue(found)
        for index in options.fields { reply(hash, call[index], call) }
        switch options.expiration {
        case .untouched, .keep: return
        case .persist:
            let changed = persist(&hash, options.fields, call)
            if changed == 0 { return }
            HashCommands.store(&keyspace, hash, found, call)
            call.modified(call[1], .hash, "hpersist", changes: changed)
        case .at(let at):
            if at <= keyspace.now.rawValue && !call.isReplay {
                delete(&keyspace, &hash, found, options.fields, call)
                return
            }
            var changed = 0
            for index in options.fields where hash.contains(call[index]) {
                hash.setExpire(call[index], at)
                HashExpiry.record(call[1], at, call[index], call)
                changed += 1
            }
            if changed == 0 { return }
            HashCommands.store(&keyspace, hash, found, call)
            call.modified(call[1], .hash, "hexpire", changes: changed)
        }
    }

    private static func reply(_ hash: HashValue, _ field: Bytes, _ call: Call) {
        if let value = hash.get(field) { HashCommands.reply(value, call.reply) } else { call.reply.null() }
    }

    private static func persist(_ hash: inout HashValue, _ fields: Range<Int>, _ call: Call) -> Int {
        var changed = 0
        for index in fields {
            guard let current = hash.expire(of: call[index]), current != 0 else { continue }
            hash.setExpire(call[index], 0)
            call.record(argumentCount: 5)
            call.recordArgument("HPERSIST")
            call.recordArgument(call[1])
            call.recordArgument("FIELDS")
            call.recordArgument(1)
            call.recordArgument(call[index])
            changed += 1
        }
        return changed
    }

    /// Deletes the fields that exist, and the key with the last one.
    private static func delete(_ keyspace: inout Keyspace, _ hash: inout HashValue, _ found: Entry,
                               _ fields: Range<Int>, step: Int = 1, _ call: Call, replies: Bool = false) {
        var changed = 0
        for index in stride(from: fields.lowerBound, to: fields.upperBound, by: step) {
            if replies { reply(hash, call[index], call) }
            if hash.count == 0 || !hash.delete(call[index]) { continue }
            HashExpiry.recordDeletion(call[1], call[index], call)
            changed += 1
        }
        if changed == 0 { return }
        HashCommands.store(&keyspace, hash, found, call)
        call.modified(call[1], .hash, "hdel", changes: changed)
        if hash.count == 0 {
            keyspace.delete(found, in: call.database)
            call.announceRemoval(call[1])
        }
    }

    static func hgetdel(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        guard call.isWord(2, "FIELDS") else {
            throw .text("ERR Mandatory argument FIELDS is missing or not at the right position")
        }
        guard let number = Decimal.parseInt64(call[3]), number > 0, number <= Int64(Int32.max) else {
            throw .text("ERR Number of fields must be a positive integer")
        }
        if Int(number) != call.count - 4 {
            throw .text("ERR The `numfields` parameter must match the number of arguments")
        }
        let found = try HashCommands.entry(&keyspace, call, .write)
        call.reply.array(call.count - 4)
        guard let found else {
            for _ in 4..<call.count { call.reply.null() }
            return
        }
        var hash = HashValue(found)
        delete(&keyspace, &hash, found, 4..<call.count, call, replies: true)
    }

    // MARK: Setting

    static func hsetex(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let options = try Options(call, width: 2, now: keyspace.now)
        let found = try HashCommands.entry(&keyspace, call, .write)
        let fields = stride(from: options.fields.lowerBound, to: options.fields.upperBound, by: 2)
        if options.onlyIfAbsent || options.onlyIfPresent {
            let old = found.map { HashValue($0) }
            for index in fields where (old?.contains(call[index]) == true) == options.onlyIfAbsent {
                call.reply.integer(0)
                return
            }
        }
        call.reply.integer(1)
        if case .at(let at) = options.expiration, at <= keyspace.now.rawValue, !call.isReplay {
            guard let found else { return }
            var hash = HashValue(found)
            delete(&keyspace, &hash, found, options.fields, step: 2, call)
            return
        }
        set(&keyspace, found, options, call)
    }

    private static func set(_ keyspace: inout Keyspace, _ found: Entry?, _ options: Options, _ call: Call) {
        let fields = stride(from: options.fields.lowerBound, to: options.fields.upperBound, by: 2)
        let count = options.fields.count / 2
        var hash = found.map { HashValue($0) } ?? .createListpack()
        var longest = 0, total = 0
        for index in options.fields {
            longest = max(longest, call[index].count)
            total += call[index].count
        }
        hash.prepare(added: count, longest: longest, total: total, keyspace)
        var keeps = false, at: Int64?
        switch options.expiration {
        case .untouched, .persist: break
        case .keep: keeps = true
        case .at(let time): at = time
        }
        call.record(argumentCount: 2 + count * 2)
        call.recordArgument("HSET")
        call.recordArgument(call[1])
        for index in options.fields { call.recordArgument(call[index]) }
        for index in fields {
            _ = hash.set(call[index], call[index + 1], keepExpire: keeps, keyspace)
            if let at { hash.setExpire(call[index], at) }
            if let expire = at ?? (keeps ? hash.expire(of: call[index]) : nil), expire != 0 {
                HashExpiry.record(call[1], expire, call[index], call)
            }
        }
        HashCommands.store(&keyspace, hash, found, call)
        call.modified(call[1], .hash, "hset", changes: count)
        if at != nil { call.announce(call[1], .hash, "hexpire") }
    }
}
