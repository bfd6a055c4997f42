import Commands
import Primitives
import RESP

// The gate in front of a command of a restricted session, and what refusals say and leave in ACL LOG.

extension Engine {
    /// nil: the session may run the command. Asked only where `session.isRestricted`.
    @inline(never)
    package func checkAccess(_ id: Int, _ session: Session, _ arguments: Arguments) -> CommandError? {
        let flags = table.commands[id].flags
        if session.mustAuthenticate && !flags.contains(.noAuth) { return .text("NOAUTH Authentication required.") }
        if session.inMulti, flags.contains(.noMulti) { return .text("ERR Command not allowed inside a transaction") }
        if session.isMonitor, !flags.isDisjoint(with: [.readonly, .write, .mayReplicate]) {
            return .text("ERR Replica can't interact with the keyspace")
        }
        guard let user = session.user else { return nil }
        if let denial = access.denial(user, id, arguments) {
            note(denial, user, id, session, arguments)
            return .message(refusal(denial, user, id, session))
        }
        if !session.inMulti || isInUnit { return checkSortPatterns(user, id, arguments) }
        return nil
    }

    /// Whether the user of a session may run a command; nothing is logged (redis.acl_check_cmd).
    package func permits(_ session: Session, _ id: Int, _ arguments: Arguments) -> Bool {
        session.user.map { access.denial($0, id, arguments) == nil } ?? true
    }

    /// SORT's BY and GET read keys that its arguments don't name.
    private func checkSortPatterns(_ user: User, _ id: Int, _ arguments: Arguments) -> CommandError? {
        let name = table.commands[id].name.bytes
        guard name.equalsIgnoringCase("sort") || name.equalsIgnoringCase("sort_ro"),
              !access.readsAllKeys(user, id, arguments) else { return nil }
        var index = 2
        while index + 1 < arguments.count {
            let word = arguments[index]
            if word.equalsIgnoringCase("BY"), arguments[index + 1].contains(UInt8(ascii: "*")) {
                return .text("ERR BY option of SORT denied due to insufficient ACL permissions.")
            }
            if word.equalsIgnoringCase("GET") {
                return .text("ERR GET option of SORT denied due to insufficient ACL permissions.")
            }
            let isPair = word.equalsIgnoringCase("BY") || word.equalsIgnoringCase("STORE")
            index += word.equalsIgnoringCase("LIMIT") ? 3 : isPair ? 2 : 1
        }
        return nil
    }

    // MARK: Words

    /// As ACL DRYRUN says it: with the key's or channel's name.
    package func explanation(_ denial: AccessDenial, _ user: User, _ id: Int, _ arguments: Arguments?) -> String {
        let name = String(decoding: user.name, as: UTF8.self)
        func shown(_ place: Int) -> String? { arguments.map { String(decoding: $0[place], as: UTF8.self) } }
        switch denial {
        case .command: return "User \(name) has no permissions to run the '\(table.rows[id].fullName)' command"
        case .key(let place):
            return shown(place).map { "User \(name) has no permissions to access the '\($0)' key" }
                ?? "No permissions to access a key"
        case .channel(let place):
            return shown(place).map { "User \(name) has no permissions to access the '\($0)' channel" }
                ?? "No permissions to access a channel"
        }
    }

    private func refusal(_ denial: AccessDenial, _ user: User, _ id: Int, _ session: Session) -> String {
        if session.caller != nil { return "ERR ACL failure in script: \(explanation(denial, user, id, nil))" }
        guard session.inMulti && isInUnit else { return "NOPERM \(explanation(denial, user, id, nil))" }
        let reason = switch denial {
        case .command: "no permission to execute the command or subcommand"
        case .key: "no permission to touch the specified keys"
        case .channel: "no permission to access one of the channels used as arguments to the command"
        }
        return """
            NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This \
            command is no longer allowed for the following reason: \(reason)
            """
    }

    // MARK: ACL LOG

    private func note(_ denial: AccessDenial, _ user: User, _ id: Int, _ session: Session, _ arguments: Arguments) {
        let reason: AccessLog.Reason
        let object: [UInt8]
        switch denial {
        case .command:
            access.counts.commands += 1
            (reason, object) = (.command, Array(table.rows[id].fullName.utf8))
        case .key(let place):
            access.counts.keys += 1
            (reason, object) = (.key, Array(arguments[place]))
        case .channel(let place):
            access.counts.channels += 1
            (reason, object) = (.channel, Array(arguments[place]))
        }
        let context: AccessLog.Context = session.caller != nil ? .lua : session.inMulti ? .multi : .toplevel
        access.log.add(reason, context, object: object, user: user.name,
                       client: access.describe(session.caller ?? session), at: keyspace.now)
    }

    /// A wrong name or password was given.
    package func noteFailedAuthentication(_ session: Session, _ name: Bytes, command: Bytes) {
        access.counts.authentications += 1
        access.log.add(.auth, session.inMulti ? .multi : .toplevel, object: Array(command), user: Array(name),
                       client: access.describe(session), at: keyspace.now)
    }
}
