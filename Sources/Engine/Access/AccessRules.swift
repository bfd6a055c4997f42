import Commands
import Primitives

// The language of rules, as ACL SETUSER, `user` lines and ACL files write it. A rule is one word:
//
//     on off reset                           nopass resetpass >password <password #hash !hash
//     ~pattern %R~pattern %W~pattern %RW~pattern allkeys resetkeys
//     &pattern allchannels resetchannels     sanitize-payload skip-sanitize-payload
//     +command +command|sub +@category allcommands        likewise with a minus, nocommands
//     (rules of one more selector)           clearselectors
//
// Rules take effect from left to right. A selector may be given in several words; `merged` puts them together.
//
// 1. No input traps, whatever its bytes.
// 2. What a description shows reads back as the same rules: words hold no white space, and inside of a selector, whose
//    words may be quoted, those that need it are.

package enum RuleError: Error, Equatable {
    case unknownCommand, syntax, keysAfterAll, channelsAfterAll, unknownPassword, badHash, deepFirstArgument
    case duplicateUser

    package var text: StaticString {
        switch self {
        case .unknownCommand: "Unknown command or category name in ACL"
        case .syntax: "Syntax error"
        case .keysAfterAll: """
            Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. \
            Try 'resetkeys' to start with an empty list of patterns
            """
        case .channelsAfterAll: """
            Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any \
            effect. Try 'resetchannels' to start with an empty list of channels
            """
        case .unknownPassword: "The password you are trying to remove from the user does not exist"
        case .badHash:
            "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"
        case .deepFirstArgument: "Allowing first-arg of a subcommand is not supported"
        case .duplicateUser: "Duplicate user found. A user can only be defined once in config files"
        }
    }
}

/// Reads rules against a table of commands.
package struct RuleReader {
    let table: CommandTable
    /// `acl-pubsub-default allchannels`: what a new selector may listen to.
    let allChannels: Bool

    package init(_ table: CommandTable, allChannels: Bool) {
        self.table = table
        self.allChannels = allChannels
    }

    /// A user before any rule: off, no password, nothing allowed.
    package var nothing: UserRules { UserRules(table, allChannels: allChannels) }

    /// Who `default` is when nobody says otherwise.
    var everything: UserRules {
        var rules = UserRules(table, allChannels: true)
        rules.isEnabled = true
        rules.needsNoPassword = true
        rules.root.setAllKeys(true)
        rules.root.setAllCommands(true)
        return rules
    }

    // MARK: Words

    /// Words with those of each selector put together.
    /// - Returns: nil and the place of the selector's first word if its bracket is not closed.
    package static func merged(_ words: [[UInt8]]) -> (rules: [[UInt8]]?, unclosed: Int) {
        let open = UInt8(ascii: "("), close = UInt8(ascii: ")")
        var rules: [[UInt8]] = []
        var selector: [UInt8] = []
        var begin: Int?
        for (index, word) in words.enumerated() {
            if begin != nil {
                selector += [UInt8(ascii: " ")] + word
                if word.last == close {
                    rules.append(selector)
                    begin = nil
                }
            } else if word.first == open, word.last != close {
                selector = word
                begin = index
            } else {
                rules.append(word)
            }
        }
        return begin.map { (nil, $0) } ?? (rules, 0)
    }

    /// White space and NUL stand in no name, pattern or argument: descriptions could not show them.
    package static func hasSpaces(_ bytes: some Collection<UInt8>) -> Bool {
        bytes.contains { $0 == 0 || ASCII.isSpace($0) }
    }

    private static func isWord(_ rule: [UInt8], _ word: StaticString) -> Bool {
        rule.withUnsafeBytes { $0.equalsIgnoringCase(word) }
    }

    // MARK: Users

    package func apply(_ rule: [UInt8], to user: inout UserRules) throws(RuleError) {
        guard let first = rule.first else { return }
        if try applyWord(rule, &user) { return }
        let rest = Array(rule.dropFirst())
        switch first {
        case UInt8(ascii: ">"), UInt8(ascii: "#"):
            let hash = try hash(rest, isHash: first == UInt8(ascii: "#"))
            if !user.passwords.contains(hash) { user.passwords.append(hash) }
            user.needsNoPassword = false
        case UInt8(ascii: "<"), UInt8(ascii: "!"):
            let hash = try hash(rest, isHash: first == UInt8(ascii: "!"))
            guard let place = user.passwords.firstIndex(of: hash) else { throw .unknownPassword }
            user.passwords.remove(at: place)
        case UInt8(ascii: "(") where rule.last == UInt8(ascii: ")"):
            user.selectors.append(try selector(rule))
        default:
            try apply(rule, to: &user.root)
        }
    }

    /// Rules that are one of a few words; false: this is none.
    private func applyWord(_ rule: [UInt8], _ user: inout UserRules) throws(RuleError) -> Bool {
        if Self.isWord(rule, "on") {
            user.isEnabled = true
        } else if Self.isWord(rule, "off") {
            user.isEnabled = false
        } else if Self.isWord(rule, "nopass") {
            user.needsNoPassword = true
            user.passwords = []
        } else if Self.isWord(rule, "resetpass") {
            user.needsNoPassword = false
            user.passwords = []
        } else if Self.isWord(rule, "skip-sanitize-payload") {
            user.skipsSanitizing = true
        } else if Self.isWord(rule, "sanitize-payload") {
            user.skipsSanitizing = false
        } else if Self.isWord(rule, "clearselectors") {
            user.selectors = []
        } else if Self.isWord(rule, "reset") {
            user = nothing
        } else {
            return false
        }
        return true
    }

    private func hash(_ secret: [UInt8], isHash: Bool) throws(RuleError) -> [UInt8] {
        if !isHash { return Array(SHA256.hex(secret).utf8) }
        let isHex = secret.allSatisfy { ASCII.isDigit($0) || $0 &- UInt8(ascii: "a") < 6 }
        guard secret.count == 64, isHex else { throw .badHash }
        return secret
    }

    private func selector(_ rule: [UInt8]) throws(RuleError) -> Selector {
        var words: [[UInt8]] = []
        let isBalanced = rule.withUnsafeBytes { bytes in
            guard let list = SplitArguments.split(Bytes(rebasing: bytes.dropFirst().dropLast())) else { return false }
            for index in 0..<list.count { words.append(Array(list[index])) }
            return true
        }
        guard isBalanced else { throw .syntax }
        var selector = Selector(table, allChannels: allChannels)
        for word in words { try apply(word, to: &selector) }
        return selector
    }

    // MARK: Selectors

    private func apply(_ rule: [UInt8], to selector: inout Selector) throws(RuleError) {
        if Self.isWord(rule, "allkeys") || Self.isWord(rule, "~*") {
            selector.setAllKeys(true)
        } else if Self.isWord(rule, "resetkeys") {
            selector.setAllKeys(false)
        } else if Self.isWord(rule, "allchannels") || Self.isWord(rule, "&*") {
            selector.setAllChannels(true)
        } else if Self.isWord(rule, "resetchannels") {
            selector.setAllChannels(false)
        } else if Self.isWord(rule, "allcommands") || Self.isWord(rule, "+@all") {
            selector.setAllCommands(true)
        } else if Self.isWord(rule, "nocommands") || Self.isWord(rule, "-@all") {
            selector.setAllCommands(false)
        } else {
            try applySigned(rule, to: &selector)
        }
    }

    private func applySigned(_ rule: [UInt8], to selector: inout Selector) throws(RuleError) {
        let rest = Array(rule.dropFirst())
        switch rule.first {
        case UInt8(ascii: "~"), UInt8(ascii: "%"):
            if selector.allowsAllKeys { throw .keysAfterAll }
            selector.add(try keyPattern(rule))
        case UInt8(ascii: "&"):
            if selector.allowsAllChannels { throw .channelsAfterAll }
            if Self.hasSpaces(rest) { throw .syntax }
            selector.add(channel: rest)
        case UInt8(ascii: "+"), UInt8(ascii: "-"):
            let allows = rule[0] == UInt8(ascii: "+")
            if rest.first == UInt8(ascii: "@") {
                guard let category = rest.withUnsafeBytes({ ACLCategories(named: $0.from(1)) }) else {
                    throw .unknownCommand
                }
                selector.note(rest, allows: allows)
                selector.set(category, allows, table)
            } else if allows, let bar = rest.lastIndex(of: UInt8(ascii: "|")) {
                try allow(rest, Array(rest[..<bar]), Array(rest[(bar + 1)...]), &selector)
            } else {
                guard let id = command(rest) else { throw .unknownCommand }
                selector.set(id, allows, table)
                selector.note(Array(table.rows[id].fullName.utf8), allows: allows)
            }
        default: throw .syntax
        }
    }

    private func keyPattern(_ rule: [UInt8]) throws(RuleError) -> KeyPattern {
        guard let tilde = rule.firstIndex(of: UInt8(ascii: "~")) else { throw .syntax }
        var permissions: KeyPermissions = tilde == 0 ? .all : []
        for letter in rule[..<tilde].dropFirst() {
            let permission: KeyPermissions
            switch ASCII.lowercased(letter) {
            case UInt8(ascii: "r"): permission = .read
            case UInt8(ascii: "w"): permission = .write
            default: throw .syntax
            }
            guard permissions.insert(permission).inserted else { throw .syntax }
        }
        let pattern = Array(rule[(tilde + 1)...])
        if permissions.isEmpty || Self.hasSpaces(pattern) { throw .syntax }
        return KeyPattern(pattern: pattern, permissions: permissions)
    }

    /// `+command|rest`: a subcommand; of a command without such, a first argument.
    private func allow(_ rule: [UInt8], _ name: [UInt8], _ rest: [UInt8], _ selector: inout Selector)
        throws(RuleError) {
        guard let id = command(name) else { throw .unknownCommand }
        if table.rows[id].parent >= 0 { throw .deepFirstArgument }
        if rest.isEmpty || Self.hasSpaces(rest) { throw .syntax }
        if table.rows[id].subcommandCount > 0 {
            guard let sub = command(rule) else { throw .unknownCommand }
            selector.set(sub, true, table)
        } else {
            selector.allow(id, firstArgument: rest)
        }
        selector.note(rule, allows: true)
    }

    /// Rules call commands by their own names, whatever clients call them.
    private func command(_ name: [UInt8]) -> Int? { name.withUnsafeBytes { table.findOriginalFullName($0) } }
}

extension CommandTable {
    /// The id of `name` or `container|subcommand`.
    package func findFullName(_ name: Bytes) -> Int? {
        findFullName(name, container: find)
    }

    package func findOriginalFullName(_ name: Bytes) -> Int? {
        findFullName(name, container: findOriginal)
    }

    private func findFullName(_ name: Bytes, container find: (Bytes) -> Int?) -> Int? {
        guard let bar = name.firstIndex(of: UInt8(ascii: "|")) else { return find(name) }
        guard let container = find(Bytes(rebasing: name[..<bar])) else { return nil }
        return findSubcommand(name.from(bar + 1), of: container)
    }
}

extension ACLCategories {
    /// The category of this name, in either case.
    package init?(named name: Bytes) {
        guard let known = Self.names.first(where: { name.equalsIgnoringCase($0.1) }) else { return nil }
        self = known.0
    }
}
