import Keyspace
import Primitives
import RESP

// EXPIRE and its kin, TTL and its kin, PERSIST.
//
// The log holds absolute times only (PEXPIREAT), and a DEL where the time given has passed already, so that a replay
// at any later time ends with the same keys.

/// How a time is given: as seconds or milliseconds, from now or from 1970.
package struct TimeUnit: Equatable, Sendable {
    package let isSeconds: Bool
    package let isAbsolute: Bool

    package static let seconds = TimeUnit(isSeconds: true, isAbsolute: false)
    package static let milliseconds = TimeUnit(isSeconds: false, isAbsolute: false)
    package static let unixSeconds = TimeUnit(isSeconds: true, isAbsolute: true)
    package static let unixMilliseconds = TimeUnit(isSeconds: false, isAbsolute: true)

    /// The time as Unix milliseconds; nil when that overflows.
    package func resolve(_ value: Int64, _ now: UnixMilliseconds) -> UnixMilliseconds? {
        let (scaled, overflow) = value.multipliedReportingOverflow(by: isSeconds ? 1000 : 1)
        if overflow { return nil }
        if isAbsolute { return UnixMilliseconds(scaled) }
        let (sum, carry) = scaled.addingReportingOverflow(now.rawValue)
        return carry ? nil : UnixMilliseconds(sum)
    }
}

extension Call {
    /// "invalid expire time" with the command's name.
    package var invalidExpireTime: CommandError {
        .message("ERR invalid expire time in '\(command.pointee.name)' command")
    }

    /// Records `PEXPIREAT key milliseconds`.
    package func recordExpire(_ key: Bytes, _ at: UnixMilliseconds) {
        record(argumentCount: 3)
        recordArgument("PEXPIREAT")
        recordArgument(key)
        recordArgument(at.rawValue)
    }

    /// Records the removal of a key.
    package func recordDelete(_ key: Bytes, lazily: Bool) {
        record(argumentCount: 2)
        recordArgument(lazily ? "UNLINK" : "DEL")
        recordArgument(key)
    }
}

extension GenericCommands {
    private struct Conditions: OptionSet {
        let rawValue: UInt8
        static let nx = Conditions(rawValue: 1)
        static let xx = Conditions(rawValue: 2)
        static let gt = Conditions(rawValue: 4)
        static let lt = Conditions(rawValue: 8)

        init(rawValue: UInt8) { self.rawValue = rawValue }

        init(_ call: Call) throws(CommandError) {
            self = []
            for index in 3..<max(call.count, 3) {
                if call.isWord(index, "NX") {
                    insert(.nx)
                } else if call.isWord(index, "XX") {
                    insert(.xx)
                } else if call.isWord(index, "GT") {
                    insert(.gt)
                } else if call.isWord(index, "LT") {
                    insert(.lt)
                } else {
                    let text = String(decoding: call[index].prefix { $0 != 0 }, as: UTF8.self)
                    throw .message("ERR Unsupported option \(text)")
                }
            }
            if contains(.nx) && rawValue != Self.nx.rawValue {
                throw .text("ERR NX and XX, GT or LT options at the same time are not compatible")
            }
            if isSuperset(of: [.gt, .lt]) {
                throw .text("ERR GT and LT options at the same time are not compatible")
            }
        }

        /// Whether an expire may be replaced; no expire counts as one in the endless future.
        func allow(_ new: UnixMilliseconds, over old: UnixMilliseconds?) -> Bool {
            if contains(.nx) && old != nil { return false }
            if contains(.xx) && old == nil { return false }
            if contains(.gt) {
                guard let old, new > old else { return false }
            }
            if contains(.lt), let old, new >= old { return false }
            return true
        }
    }

    private static func setExpire(_ keyspace: inout Keyspace, _ call: inout Call, _ unit: TimeUnit)
        throws(CommandError) {
        let conditions = try Conditions(call)
        guard let at = unit.resolve(try call.integer(2), keyspace.now) else { throw call.invalidExpireTime }
        guard let entry = keyspace.find(call[1], in: call.database, .write),
              conditions.isEmpty || conditions.allow(at, over: entry.expire) else {
            call.reply.integer(0)
            return
        }
        if keyspace.deletesIfPast(at) {
            let lazily = keyspace.thresholds.lazyfreeLazyExpire
            _ = keyspace.delete(call[1], in: call.database, lazily: lazily)
            call.recordDelete(call[1], lazily: lazily)
            call.modified(call[1], .generic, "del")
        } else {
            keyspace.setExpire(entry, to: at, in: call.database)
            call.recordExpire(call[1], at)
            call.modified(call[1], .generic, "expire")
        }
        call.reply.integer(1)
    }

    static func expire(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try setExpire(&keyspace, &call, .seconds)
    }
    static func pexpire(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try setExpire(&keyspace, &call, .milliseconds)
    }
    static func expireat(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try setExpire(&keyspace, &call, .unixSeconds)
    }
    static func pexpireat(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try setExpire(&keyspace, &call, .unixMilliseconds)
    }

    // MARK: Asking

    /// -2: no key; -1: no expire.
    private static func reply(_ keyspace: inout Keyspace, _ call: inout Call,
                              _ show: (Int64, UnixMilliseconds) -> Int64) {
        guard let entry = keyspace.find(call[1], in: call.database, .glance) else { call.reply.integer(-2); return }
        guard let expire = entry.expire else { call.reply.integer(-1); return }
        call.reply.integer(show(expire.rawValue, keyspace.now))
    }

    static func ttl(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        reply(&keyspace, &call) { at, now in
            let left = max(at &- now.rawValue, 0)
            return left / 1000 + (left % 1000 >= 500 ? 1 : 0)
        }
    }
    static func pttl(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        reply(&keyspace, &call) { at, now in max(at &- now.rawValue, 0) }
    }
    static func expiretime(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        reply(&keyspace, &call) { at, _ in at / 1000 + (at % 1000 >= 500 ? 1 : 0) }
    }
    static func pexpiretime(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        reply(&keyspace, &call) { at, _ in at }
    }

    static func persist(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        guard let entry = keyspace.find(call[1], in: call.database, .write), entry.hasExpire else {
            call.reply.integer(0)
            return
        }
        keyspace.removeExpire(entry, in: call.database)
        call.modified(call[1], .generic, "persist")
        call.reply.integer(1)
    }
}

extension Keyspace {
    /// A key that is given this expire is deleted at once. Not while a log is replayed, and not on a replica: there
    /// the log or the primary says what is deleted.
    package func deletesIfPast(_ at: UnixMilliseconds) -> Bool {
        switch expiryPolicy {
        case .delete: at <= now
        case .hide, .ignore: false
        }
    }
}
