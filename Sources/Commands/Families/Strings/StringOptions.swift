import Keyspace
import Primitives
import RESP

// SET with options, SETEX, PSETEX, GETEX, GETDEL.
//
// The log gets the outcome, never the question: `SET key value`, with `PXAT ms` or `KEEPTTL`, for whatever SET it
// was; PEXPIREAT, PERSIST or DEL for GETEX and GETDEL.

/// What a SET does to the key's expire.
package enum ExpireChange {
    case none, keep
    case at(UnixMilliseconds)
}

extension Call {
    /// Records a SET by its outcome.
    package func recordSet(_ key: Bytes, _ value: Bytes, _ expire: ExpireChange) {
        switch expire {
        case .none: record(argumentCount: 3)
        case .keep: record(argumentCount: 4)
        case .at: record(argumentCount: 5)
        }
        recordArgument("SET")
        recordArgument(key)
        recordArgument(value)
        switch expire {
        case .none: break
        case .keep: recordArgument("KEEPTTL")
        case .at(let time):
            recordArgument("PXAT")
            recordArgument(time.rawValue)
        }
    }
}

extension TimeUnit {
    /// The unit that the word at `index` names, nil if it names none.
    init?(_ call: Call, _ index: Int) {
        if call.isWord(index, "EX") { self = .seconds
        } else if call.isWord(index, "PX") { self = .milliseconds
        } else if call.isWord(index, "EXAT") { self = .unixSeconds
        } else if call.isWord(index, "PXAT") { self = .unixMilliseconds
        } else { return nil }
    }
}

/// Options of SET, MSETEX and GETEX.
struct StringOptions {
    /// Whose options are allowed.
    enum Form { case one, several, reading }

    var onlyIfAbsent = false
    var onlyIfPresent = false
    var condition: ValueCondition?
    var returnsOld = false
    var keepsExpire = false
    var persists = false
    var unit: TimeUnit?
    /// Index of the time that goes with `unit`.
    var timeIndex = 0

    init(_ call: Call, from: Int, allowed form: Form) throws(CommandError) {
        let isSetting = form != .reading
        var index = from
        while index < call.count {
            let isExpireFree = unit == nil && !keepsExpire && !persists
            if isSetting && call.isWord(index, "NX") && !onlyIfPresent && condition == nil {
                onlyIfAbsent = true
            } else if isSetting && call.isWord(index, "XX") && !onlyIfAbsent && condition == nil {
                onlyIfPresent = true
            } else if form == .one && call.isWord(index, "GET") {
                returnsOld = true
            } else if isSetting && call.isWord(index, "KEEPTTL") && (isExpireFree || keepsExpire) {
                keepsExpire = true
            } else if form == .reading && call.isWord(index, "PERSIST") && (isExpireFree || persists) {
                persists = true
            } else if index + 1 < call.count, let given = TimeUnit(call, index), isExpireFree || unit == given {
                unit = given
                timeIndex = index + 1
                index += 1
            } else if form == .one && !onlyIfAbsent && !onlyIfPresent && condition == nil,
                      let given = try ValueCondition(call, index) {
                condition = given
                index += 1
            } else {
                throw .syntax
            }
            index += 1
        }
    }

    /// The expire asked for, nil if none.
    func expire(_ call: Call, _ now: UnixMilliseconds) throws(CommandError) -> UnixMilliseconds? {
        guard let unit else { return nil }
        return try call.positiveTime(timeIndex, unit, now)
    }
}

extension Call {
    /// An expire time of a string command, which must be above zero as given.
    func positiveTime(_ index: Int, _ unit: TimeUnit, _ now: UnixMilliseconds)
        throws(CommandError) -> UnixMilliseconds {
        let value = try integer(index)
        guard value > 0, let at = unit.resolve(value, now) else { throw invalidExpireTime }
        return at
    }
}

extension StringCommands {
    @inline(never)
    static func setWithOptions(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let options = try StringOptions(call, from: 3, allowed: .one)
        let at = try options.expire(call, keyspace.now)
        let entry = keyspace.find(call[1], in: call.database, options.returnsOld ? .read : .write)
        if options.returnsOld || options.condition != nil, let entry, entry.type != .string { throw .wrongType }
        var isRefused = entry == nil ? options.onlyIfPresent : options.onlyIfAbsent
        if let condition = options.condition { isRefused = !condition.holds(for: entry) }
        if options.returnsOld, let entry {
            replyValue(entry, call)
        } else if options.returnsOld || isRefused {
            call.reply.null()
        } else {
            call.reply.ok()
        }
        if isRefused { return }
        put(&keyspace, &call, call[2], at.map { .at($0) } ?? (options.keepsExpire ? .keep : .none))
    }

    /// Sets argument 1, with log record and events.
    private static func put(_ keyspace: inout Keyspace, _ call: inout Call, _ value: Bytes, _ expire: ExpireChange) {
        store(&keyspace, call, value, expire)
        call.modified(call[1], .string, "set")
        if case .at = expire { call.announce(call[1], .generic, "expire") }
    }

    static func store(_ keyspace: inout Keyspace, _ call: Call, _ value: Bytes, _ expire: ExpireChange) {
        store(&keyspace, call, key: call[1], value, expire)
    }

    /// Sets a key and records that; events are the caller's.
    static func store(_ keyspace: inout Keyspace, _ call: Call, key: Bytes, _ value: Bytes, _ expire: ExpireChange) {
        switch expire {
        case .none: keyspace.setString(key, to: value, in: call.database, keepExpire: false)
        case .keep: keyspace.setString(key, to: value, in: call.database, keepExpire: true)
        case .at(let time):
            keyspace.setString(key, to: value, in: call.database, keepExpire: false, expire: time)
        }
        call.recordSet(key, value, expire)
    }

    static func setex(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let at = try call.positiveTime(2, .seconds, keyspace.now)
        put(&keyspace, &call, call[3], .at(at))
        call.reply.ok()
    }

    static func psetex(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let at = try call.positiveTime(2, .milliseconds, keyspace.now)
        put(&keyspace, &call, call[3], .at(at))
        call.reply.ok()
    }

    static func getex(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let options = try StringOptions(call, from: 2, allowed: .reading)
        guard let entry = try call.entry(&keyspace, 1, .string, .read) else { call.reply.null(); return }
        let at = try options.expire(call, keyspace.now)
        replyValue(entry, call)
        if let at {
            if options.unit?.isAbsolute == true && keyspace.deletesIfPast(at) {
                remove(&keyspace, &call, lazily: keyspace.thresholds.lazyfreeLazyExpire)
                return
            }
            keyspace.setExpire(entry, to: at, in: call.database)
            call.recordExpire(call[1], at)
            call.modified(call[1], .generic, "expire")
        } else if options.persists && entry.hasExpire {
            keyspace.removeExpire(entry, in: call.database)
            call.record(argumentCount: 2)
            call.recordArgument("PERSIST")
            call.recordArgument(call[1])
            call.modified(call[1], .generic, "persist")
        }
    }

    static func getdel(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        guard let entry = try call.entry(&keyspace, 1, .string, .read) else { call.reply.null(); return }
        replyValue(entry, call)
        remove(&keyspace, &call, lazily: false)
    }

    /// Deletes argument 1, with log record and event.
    static func remove(_ keyspace: inout Keyspace, _ call: inout Call, lazily: Bool) {
        _ = keyspace.delete(call[1], in: call.database, lazily: lazily)
        call.recordDelete(call[1], lazily: lazily)
        call.modified(call[1], .generic, "del")
    }
}
