import Commands
import Engine
import Primitives
import RESP

/// The subcommands of ACL that make, remove and show users.
enum ACLUsers {
    // MARK: Changes

    static func set(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        for index in 2..<call.count { core.engine.redact(index) }
        let name = Array(call[2])
        if RuleReader.hasSpaces(name) { throw .text("ERR Usernames can't contain spaces or null characters") }
        let words = (3..<max(3, call.count)).map { Array(call[$0]) }
        let (merged, unclosed) = RuleReader.merged(words)
        guard let rules = merged else {
            throw .message("ERR Unmatched parenthesis in acl selector starting at '\(text(words[unclosed]))'.")
        }
        do throws(RuleFailure) {
            try core.engine.access.change(name, rules)
        } catch {
            throw .message("ERR Error in ACL SETUSER modifier '\(text(error.rule))': \(error.error.text)")
        }
        core.usersChanged()
        call.reply.ok()
    }

    static func remove(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        for index in 2..<call.count { core.engine.redact(index) }
        let names = (2..<call.count).map { Array(call[$0]) }
        if names.contains(AccessControl.defaultName) { throw .text("ERR The 'default' user cannot be removed") }
        var removed = 0
        for name in names where core.engine.access.remove(name) { removed += 1 }
        if removed > 0 { core.usersChanged() }
        call.reply.integer(removed)
    }

    // MARK: Descriptions

    static func names(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let users = core.engine.access.usersInOrder
        call.reply.array(users.count)
        for user in users { bulk(call.reply, user.name) }
    }

    static func list(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let users = core.engine.access.usersInOrder
        call.reply.array(users.count)
        for user in users { bulk(call.reply, user.line) }
    }

    static func describe(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        core.engine.redact(2)
        guard let rules = core.engine.access.user(named: call[2])?.rules else {
            call.reply.null()
            return
        }
        let reply = call.reply
        reply.map(6)
        reply.bulk("flags" as StaticString)
        reply.set(rules.flags.count)
        for flag in rules.flags { reply.bulk(flag) }
        reply.bulk("passwords" as StaticString)
        reply.array(rules.passwords.count)
        for hash in rules.passwords { bulk(reply, hash) }
        describe(rules.root, reply)
        reply.bulk("selectors" as StaticString)
        reply.array(rules.selectors.count)
        for selector in rules.selectors {
            reply.map(3)
            describe(selector, reply)
        }
    }

    private static func describe(_ selector: Selector, _ reply: ReplyWriter) {
        reply.bulk("commands" as StaticString)
        bulk(reply, selector.commandText)
        reply.bulk("keys" as StaticString)
        bulk(reply, selector.keyText)
        reply.bulk("channels" as StaticString)
        bulk(reply, selector.channelText)
    }

    // MARK: Trying

    static func dryRun(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let engine = core.engine
        guard let user = engine.access.user(named: call[2]) else {
            throw .message("ERR User '\(Text(call[2]))' not found")
        }
        let arguments = call.arguments.dropFirst(3)
        guard let id = engine.lookUp(arguments) else {
            throw .message("ERR Command '\(Text(call[3]))' not found")
        }
        guard engine.table.commands[id].takes(arguments.count) else {
            throw .message("ERR wrong number of arguments for '\(engine.table.rows[id].fullName)' command")
        }
        if let denial = engine.access.denial(user, id, arguments) {
            call.reply.bulk(engine.explanation(denial, user, id, arguments))
        } else {
            call.reply.ok()
        }
    }

    private static func bulk(_ reply: ReplyWriter, _ bytes: [UInt8]) { bytes.withUnsafeBytes { reply.bulk($0) } }

    private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
}

extension ServerCore {
    /// After any change of users: what sessions may do is derived anew; those whose user is gone, or that listen to
    /// what they may no longer, end.
    func usersChanged() {
        let access = engine.access
        for connection in connections.values {
            let session = connection.session
            guard let user = session.user else { continue }
            if user.name.withUnsafeBytes({ access.user(named: $0) }) !== user {
                access.banish(session)
                dismiss(session)
                continue
            }
            access.refresh(session)
            if !session.subscriptions.isEmpty && access.hasForbiddenSubscription(session) { dismiss(session) }
        }
    }

    private func dismiss(_ session: Session) {
        if session === engine.current {
            session.closeAfterReplies = true
        } else {
            kill(session)
        }
    }
}
