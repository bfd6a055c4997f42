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

/// Options of SET and GETEX.
private struct StringOptions {
    var onlyIfAbsent = false
    var onlyIfPresent = false
    var returnsOld = false
    var keepsExpire = false
    var persists = false
    var unit: TimeUnit?
    /// Index of the time that goes with `unit`.
    var timeIndex = 0

    /// The allowed ones are all of SET's or all of GETEX's.
    init(_ call: Call, from: Int, isSet: Bool) throws(CommandError) {
        var index = from
        while index < call.count {
            let isExpireFree = unit == nil && !keepsExpire && !persists
            if isSet && call.isWord(index, "NX") && !onlyIfPresent {
                onlyIfAbsent = true
            } else if isSet && call.isWord(index, "XX") && !onlyIfAbsent {
                onlyIfPresent = true
            } else if isSet && call.isWord(index, "GET") {
                returnsOld = true
            } else if isSet && call.isWord(index, "KEEPTTL") && (isExpireFree || keepsExpire) {
                keepsExpire = true
            } else if !isSet && call.isWord(index, "PERSIST") && (isExpireFree || persists) {
                persists = true
            } else if index + 1 < call.count, let given = Self.unit(call, index), isExpireFree || unit == given {
                unit = given
                timeIndex = index + 1
                index += 1
            } else {
                throw .syntax
            }
            index += 1
        }
    }

    private static func unit(_ call: Call, _ index: Int) -> TimeUnit? {
        if call.isWord(index, "EX") { return .seconds }
        if call.isWord(index, "PX") { return .milliseconds }
        if call.isWord(index, "EXAT") { return .unixSeconds }
        if call.isWord(index, "PXAT") { return .unixMilliseconds }
        return nil
    }

    /// The expire asked for, nil if none.
    func expire(_ call: Call, _ now: UnixMilliseconds) throws(CommandError) -> UnixMilliseconds? {
        guard let unit else { return nil }
        return try call.positiveTime(timeIndex, unit, now)
    }
}

extension Call {
    /// An expire time of a string command, which must be above zero as given.
    fileprivate func positiveTime(_ index: Int, _ unit: TimeUnit, _ now: UnixMilliseconds)
        throws(CommandError) -> UnixMilliseconds {
        let value = try integer(index)
        guard value > 0, let at = unit.resolve(value, now) else { throw invalidExpireTime }
        return at
    }
}

extension StringCommands {
    @inline(never)
    static func setWithOptions(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let options = try StringOptions(call, from: 3, isSet: true)
        let at = try options.expire(call, keyspace.now)
        let entry = keyspace.find(call[1], in: call.database, options.returnsOld ? .read : .write)
        if options.returnsOld, let entry, entry.type != .string { throw .wrongType }
        let isRefused = entry == nil ? options.onlyIfPresent : options.onlyIfAbsent
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
        switch expire {
        case .none: keyspace.setString(call[1], to: value, in: call.database, keepExpire: false)
        case .keep: keyspace.setString(call[1], to: value, in: call.database, keepExpire: true)
        case .at(let time):
            keyspace.setString(call[1], to: value, in: call.database, keepExpire: false, expire: time)
        }
        call.recordSet(call[1], value, expire)
        call.modified(call[1], .string, "set")
        if case .at = expire { call.announce(call[1], .generic, "expire") }
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
        let options = try StringOptions(call, from: 2, isSet: false)
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

    private static func remove(_ keyspace: inout Keyspace, _ call: inout Call, lazily: Bool) {
        _ = keyspace.delete(call[1], in: call.database, lazily: lazily)
        call.recordDelete(call[1], lazily: lazily)
        call.modified(call[1], .generic, "del")
    }
}
