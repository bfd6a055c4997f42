import Commands
import Primitives

/// A user's rights and passwords, as one value: a change is made on a copy and takes effect whole or not at all.
package struct UserRules: Equatable {
    package internal(set) var isEnabled = false
    /// Whoever gives this name is let in.
    package internal(set) var needsNoPassword = false
    /// What this user RESTOREs is looked at less closely, if `sanitize-dump-payload` is `clients`.
    package internal(set) var skipsSanitizing = false
    /// SHA-256 in 64 lower-case hex digits.
    package internal(set) var passwords: [[UInt8]] = []
    package internal(set) var root: Selector
    package internal(set) var selectors: [Selector] = []

    init(_ table: CommandTable, allChannels: Bool) { root = Selector(table, allChannels: allChannels) }

    /// Nothing needs to be asked before a command of this user.
    var isUnrestricted: Bool { root.isUnrestricted || selectors.contains { $0.isUnrestricted } }

    func anySelector(_ matches: (Selector) -> Bool) -> Bool { matches(root) || selectors.contains(where: matches) }
}

/// One user. Sessions hold on to it; it changes its rules and never its name.
package final class User {
    /// Any bytes but spaces and NUL.
    package let name: [UInt8]
    package internal(set) var rules: UserRules {
        didSet { described = nil }
    }
    /// What `line` said last.
    private var described: [UInt8]?

    /// As ACL LIST and an ACL file have the user.
    package var line: [UInt8] {
        if let described { return described }
        let made = Array("user ".utf8) + name + [UInt8(ascii: " ")] + rules.description
        described = made
        return made
    }

    init(name: [UInt8], rules: UserRules) {
        self.name = name
        self.rules = rules
    }

    /// Takes equally long for a wrong password and a right one.
    func accepts(_ password: Bytes) -> Bool {
        if rules.needsNoPassword { return rules.isEnabled }
        let digest = Array(SHA256.hex(Array(password)).utf8)
        var found = false
        for known in rules.passwords {
            var difference = known.count ^ digest.count
            for (a, b) in zip(known, digest) { difference |= Int(a ^ b) }
            if difference == 0 { found = true }
        }
        return rules.isEnabled && found
    }
}
