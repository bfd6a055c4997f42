import Commands
import Keyspace
import Primitives
import RESP

// Who may do what.
//
//     connection → AUTH → Session.user → before each command: NOAUTH, command, keys, channels → NOPERM and ACL LOG
//
// 1. A session without a user (the log's replay, the server itself) may do everything.
// 2. `Session.isRestricted` is false only for a session that is let in, doesn't monitor, and whose user may do
//    everything: then nothing is asked before a command. It is derived again (`refresh`) whenever one of these changes.
// 3. A command that waited is asked for again before it is run again, a queued one before EXEC runs it; a script's
//    commands are its caller's.
// 4. Arguments in which no keys can be found are refused to those who may not touch every key.

/// INFO's acl_access_denied_*.
package struct AccessCounts {
    package var authentications = 0
    package var commands = 0
    package var keys = 0
    package var channels = 0
    package init() {}
}

/// Why a command may not run; of several selectors' reasons the one that came furthest.
package enum AccessDenial: Equatable {
    case command
    /// The place among the arguments.
    case key(Int)
    case channel(Int)

    fileprivate var rank: (Int, Int) {
        switch self {
        case .command: (0, 0)
        case .key(let place): (1, place)
        case .channel(let place): (2, place)
        }
    }
}

package final class AccessControl {
    let table: CommandTable
    private(set) var users: [[UInt8]: User] = [:]
    package let defaultUser: User
    package let log = AccessLog()
    package var counts = AccessCounts()
    /// `acl-pubsub-default allchannels`
    package var allChannelsByDefault = false
    var keyFinder: AccessKeys
    /// A session as ACL LOG shows it, given by the server.
    package var describe: (Session) -> [UInt8] = { _ in [] }

    package static let defaultName = Array("default".utf8)

    init(_ table: CommandTable) {
        self.table = table
        keyFinder = AccessKeys(table)
        defaultUser = User(name: Self.defaultName, rules: RuleReader(table, allChannels: false).everything)
        users[Self.defaultName] = defaultUser
    }

    package var reader: RuleReader { RuleReader(table, allChannels: allChannelsByDefault) }

    // MARK: Users

    package func user(named name: Bytes) -> User? { users[Array(name)] }

    /// By name.
    package var usersInOrder: [User] { users.values.sorted { $0.name.lexicographicallyPrecedes($1.name) } }

    /// Makes or changes a user: all of the rules take effect, or none.
    /// - Throws: the rule that is wrong, and why.
    package func change(_ name: [UInt8], _ rules: [[UInt8]]) throws(RuleFailure) {
        let reader = reader
        var changed = users[name]?.rules ?? reader.nothing
        for rule in rules {
            do throws(RuleError) { try reader.apply(rule, to: &changed) } catch { throw RuleFailure(rule, error) }
        }
        put(name, changed)
    }

    func put(_ name: [UInt8], _ rules: UserRules) {
        if let user = users[name] {
            user.rules = rules
        } else {
            users[name] = User(name: name, rules: rules)
        }
    }

    /// False if there is no such user.
    package func remove(_ name: [UInt8]) -> Bool {
        precondition(name != Self.defaultName)
        return users.removeValue(forKey: name) != nil
    }

    /// All users anew; those of the same name are the same user. Without one, `default` is as at first.
    package func replaceAll(_ defined: [(name: [UInt8], rules: UserRules)]) {
        let old = users
        users = [Self.defaultName: defaultUser]
        defaultUser.rules = reader.everything
        for (name, rules) in defined {
            users[name] = old[name]
            put(name, rules)
        }
    }

    /// `requirepass`: the one password of `default`; an empty one: none is needed.
    package func setDefaultPassword(_ password: [UInt8]) {
        let hash = Array(SHA256.hex(password).utf8)
        defaultUser.rules.passwords = password.isEmpty ? [] : [hash]
        defaultUser.rules.needsNoPassword = password.isEmpty
    }

    /// Whoever connects is let in as `default`.
    package var isOpen: Bool { defaultUser.rules.needsNoPassword && defaultUser.rules.isEnabled }

    // MARK: Sessions

    /// The user that a name and a password belong to.
    package func authenticated(_ name: Bytes, _ password: Bytes) -> User? {
        user(named: name).flatMap { $0.accepts(password) ? $0 : nil }
    }

    package func logIn(_ session: Session, _ user: User) {
        session.user = user
        session.isAuthenticated = true
        refresh(session)
    }

    /// As a new connection is.
    package func logOut(_ session: Session) {
        session.user = defaultUser
        session.isAuthenticated = isOpen
        refresh(session)
    }

    /// The session's user is gone: whatever it still asks for is refused, whoever `default` may be.
    package func banish(_ session: Session) {
        session.user = User(name: session.user?.name ?? [], rules: RuleReader(table, allChannels: false).nothing)
        session.isAuthenticated = false
        refresh(session)
    }

    package func refresh(_ session: Session) {
        session.mustAuthenticate = session.user != nil && !session.isAuthenticated && !isOpen
        session.isRestricted = session.mustAuthenticate || session.isMonitor
            || session.user.map { !$0.rules.isUnrestricted } ?? false
    }

    /// A channel or pattern that the session listens to is no longer the user's.
    package func hasForbiddenSubscription(_ session: Session) -> Bool {
        guard let rules = session.user?.rules else { return false }
        return SubscriptionKind.allCases.contains { kind in
            session.subscriptions[kind].contains { name in
                name.withUnsafeBytes { bytes in
                    !rules.anySelector { $0.permits(channel: bytes, isPattern: kind == .pattern) }
                }
            }
        }
    }

    // MARK: Commands

    /// nil: the user may run this command with these arguments. Their number is not looked at.
    package func denial(_ user: User, _ id: Int, _ arguments: Arguments) -> AccessDenial? {
        let rules = user.rules
        if rules.isUnrestricted { return nil }
        var worst: AccessDenial?
        var keys: [KeyPosition]??
        for index in -1..<rules.selectors.count {
            let selector = index < 0 ? rules.root : rules.selectors[index]
            guard let denial = denial(selector, id, arguments, &keys) else { return nil }
            if worst.map({ denial.rank > $0.rank }) ?? true { worst = denial }
        }
        return worst
    }

    /// - Parameter keys: those of the command line once they are found; nil within: there is no telling.
    private func denial(_ selector: Selector, _ id: Int, _ arguments: Arguments, _ keys: inout [KeyPosition]??)
        -> AccessDenial? {
        let needsNoRight = table.commands[id].flags.contains(.noAuth)
        if !needsNoRight && !selector.permits(id, arguments) { return .command }
        if !selector.allowsAllKeys && keyFinder.hasKeys(id) {
            let found = keys ?? keyFinder.find(id, arguments)
            keys = .some(found)
            guard let found else { return .key(min(1, arguments.count - 1)) }
            for key in found where !selector.permits(key: arguments[key.index], KeyPermissions(key.flags)) {
                return .key(key.index)
            }
        }
        if !selector.allowsAllChannels, let use = keyFinder.channels(id) {
            let last = use.takesMany ? arguments.count - 1 : min(1, arguments.count - 1)
            for place in stride(from: 1, through: last, by: 1)
            where !selector.permits(channel: arguments[place], isPattern: use.isPattern) { return .channel(place) }
        }
        return nil
    }

    /// The user may run the command and read whatever key it names (SORT's BY and GET).
    func readsAllKeys(_ user: User, _ id: Int, _ arguments: Arguments) -> Bool {
        user.rules.anySelector { $0.readsAllKeys && $0.permits(id, arguments) }
    }
}

/// A rule that could not be applied.
package struct RuleFailure: Error, Equatable {
    package let rule: [UInt8]
    package let error: RuleError
    init(_ rule: [UInt8], _ error: RuleError) {
        self.rule = rule
        self.error = error
    }
}
