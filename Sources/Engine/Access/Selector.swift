import Commands
import Primitives
import RESP

// What a user may do. A user has one root selector and any number of others; a command may run if one of them allows
// all of it: the command, each key, each channel.

/// What may be done with the keys that match a pattern.
struct KeyPermissions: OptionSet {
    let rawValue: UInt8
    static let read = KeyPermissions(rawValue: 1 << 0)
    static let write = KeyPermissions(rawValue: 1 << 1)
    static let all: KeyPermissions = [.read, .write]

    init(rawValue: UInt8) { self.rawValue = rawValue }

    /// What a command does with a key, by its key spec. One that only looks whether a key is there needs neither.
    init(_ flags: KeyFlags) {
        self = []
        if flags.contains(.access) { insert(.read) }
        if !flags.isDisjoint(with: [.insert, .delete, .update]) { insert(.write) }
    }
}

struct KeyPattern: Equatable {
    let pattern: [UInt8]
    var permissions: KeyPermissions
}

/// `+get`, `-@admin`: as the user's description shows it, in lower case, without the sign.
struct CommandRule: Equatable {
    let allows: Bool
    let text: [UInt8]
}

package struct Selector: Equatable {
    /// `+@all`, and what was taken away since was given back.
    private(set) var allowsAllCommands = false
    /// What `commandRules` begin with: `+@all` or `-@all`.
    private(set) var beginsWithAll = false
    /// The rules since then, in the order in which they were given.
    private(set) var commandRules: [CommandRule] = []
    /// A bit for each command and subcommand, by id.
    private var commands: [UInt64]
    /// Commands that are forbidden but for these first arguments, by id.
    private var firstArguments: [Int: [[UInt8]]] = [:]

    private(set) var allowsAllKeys = false
    private(set) var keys: [KeyPattern] = []
    private(set) var allowsAllChannels: Bool
    private(set) var channels: [[UInt8]] = []

    init(_ table: CommandTable, allChannels: Bool) {
        commands = [UInt64](repeating: 0, count: (table.count + 63) / 64)
        allowsAllChannels = allChannels
    }

    var isUnrestricted: Bool { allowsAllCommands && allowsAllKeys && allowsAllChannels }

    // MARK: Commands

    mutating func setAllCommands(_ allows: Bool) {
        for index in commands.indices { commands[index] = allows ? .max : 0 }
        allowsAllCommands = allows
        beginsWithAll = allows
        commandRules = []
        firstArguments = [:]
    }

    /// Allows or forbids a command with all of its subcommands.
    mutating func set(_ id: Int, _ allows: Bool, _ table: CommandTable) {
        let row = table.rows[id]
        setBit(id, allows)
        for sub in row.firstSubcommand..<(row.firstSubcommand + row.subcommandCount) { setBit(sub, allows) }
    }

    private mutating func setBit(_ id: Int, _ allows: Bool) {
        if allows {
            commands[id >> 6] |= 1 << UInt64(id & 63)
        } else {
            commands[id >> 6] &= ~(1 << UInt64(id & 63))
        }
        firstArguments[id] = nil
    }

    mutating func set(_ category: ACLCategories, _ allows: Bool, _ table: CommandTable) {
        for id in 0..<table.count where table.commands[id].categories.contains(category) { set(id, allows, table) }
    }

    mutating func allow(_ id: Int, firstArgument: [UInt8]) {
        let folded = firstArgument.map { ASCII.lowercased($0) }
        if !firstArguments[id, default: []].contains(folded) { firstArguments[id, default: []].append(folded) }
    }

    /// Notes a rule for the description: it takes the place of an earlier one for the same command, and of those for
    /// its subcommands.
    mutating func note(_ text: [UInt8], allows: Bool) {
        let text = text.map { ASCII.lowercased($0) }
        commandRules.removeAll { $0.text == text || $0.text.starts(with: text + [UInt8(ascii: "|")]) }
        commandRules.append(CommandRule(allows: allows, text: text))
        allowsAllCommands = beginsWithAll && commandRules.allSatisfy(\.allows)
    }

    func permits(_ id: Int, _ arguments: Arguments) -> Bool {
        if allowsAllCommands || commands[id >> 6] & (1 << UInt64(id & 63)) != 0 { return true }
        guard let allowed = firstArguments[id], arguments.count > 1 else { return false }
        return allowed.contains { first in first.withUnsafeBytes { arguments[1].equalsIgnoringCase($0) } }
    }

    // MARK: Keys and channels

    mutating func setAllKeys(_ allows: Bool) {
        allowsAllKeys = allows
        keys = []
    }

    mutating func add(_ pattern: KeyPattern) {
        if let place = keys.firstIndex(where: { $0.pattern == pattern.pattern }) {
            keys[place].permissions.formUnion(pattern.permissions)
        } else {
            keys.append(pattern)
        }
    }

    mutating func setAllChannels(_ allows: Bool) {
        allowsAllChannels = allows
        channels = []
    }

    mutating func add(channel pattern: [UInt8]) {
        if !channels.contains(pattern) { channels.append(pattern) }
    }

    func permits(key: Bytes, _ needed: KeyPermissions) -> Bool {
        allowsAllKeys || keys.contains { pattern in
            pattern.permissions.isSuperset(of: needed) && pattern.pattern.withUnsafeBytes { Glob.matches($0, key) }
        }
    }

    /// Every key may be read.
    var readsAllKeys: Bool {
        allowsAllKeys || keys.contains { $0.permissions.contains(.read) && $0.pattern == [UInt8(ascii: "*")] }
    }

    /// A pattern to listen to must be one of the user's patterns, to the letter.
    func permits(channel: Bytes, isPattern: Bool) -> Bool {
        allowsAllChannels || channels.contains { pattern in
            pattern.withUnsafeBytes { isPattern ? $0.equals(channel) : Glob.matches($0, channel) }
        }
    }
}
