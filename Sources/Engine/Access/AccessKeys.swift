import Commands
import Primitives
import RESP

/// How a command's arguments name channels: from the first on.
struct ChannelUse {
    let isPattern: Bool
    let takesMany: Bool
}

/// Where commands keep keys and channels, for access control. Key specs are parsed once a command. What a spec finds by
/// a keyword can be led astray by an argument that looks like it (`XREADGROUP COUNT 1 GROUP g STREAMS STREAMS key >`):
/// such commands are read as their handlers read them.
struct AccessKeys {
    private let table: CommandTable
    private var specs: [[KeySpec]?]
    private let channelUses: [Int: ChannelUse]
    private let special: [Int: Special]

    private enum Special { case streams, georadius(options: Int) }

    init(_ table: CommandTable) {
        self.table = table
        specs = [[KeySpec]?](repeating: nil, count: table.count)
        var channelUses: [Int: ChannelUse] = [:]
        var special: [Int: Special] = [:]
        for id in 0..<table.count {
            switch table.rows[id].fullName {
            case "publish", "spublish": channelUses[id] = ChannelUse(isPattern: false, takesMany: false)
            case "subscribe", "ssubscribe": channelUses[id] = ChannelUse(isPattern: false, takesMany: true)
            case "psubscribe": channelUses[id] = ChannelUse(isPattern: true, takesMany: true)
            case "xread", "xreadgroup": special[id] = .streams
            case "georadius": special[id] = .georadius(options: 6)
            case "georadiusbymember": special[id] = .georadius(options: 5)
            default: break
            }
        }
        self.channelUses = channelUses
        self.special = special
    }

    func channels(_ id: Int) -> ChannelUse? { channelUses[id] }

    func hasKeys(_ id: Int) -> Bool { table.commands[id].keys.utf8CodeUnitCount > 0 }

    /// The keys of a command line; nil: the arguments don't make sense.
    mutating func find(_ id: Int, _ arguments: Arguments) -> [KeyPosition]? {
        let known = specs[id] ?? KeySpec.parse(table.commands[id].keys)
        specs[id] = known
        var found: [KeyPosition]?
        switch special[id] {
        case .streams: found = Self.streams(arguments)
        case .georadius(let options):
            found = KeyPositions.find(table.commands + id, arguments, known)
            found? += Self.targets(arguments, from: options)
        case nil: found = KeyPositions.find(table.commands + id, arguments, known)
        }
        guard let found, found.allSatisfy({ $0.index >= 0 && $0.index < arguments.count }) else { return nil }
        return found.filter { !$0.flags.contains(.notKey) }
    }

    /// The first half of what follows STREAMS, where an option may stand.
    private static func streams(_ arguments: Arguments) -> [KeyPosition]? {
        var index = 1
        while index < arguments.count {
            let word = arguments[index]
            if word.equalsIgnoringCase("STREAMS") {
                let left = arguments.count - index - 1
                if left == 0 || left % 2 != 0 { return nil }
                return (index + 1 ... index + left / 2).map { KeyPosition(index: $0, flags: [.readOnly, .access]) }
            }
            if word.equalsIgnoringCase("GROUP") {
                index += 3
            } else if word.equalsIgnoringCase("COUNT") || word.equalsIgnoringCase("BLOCK")
                || word.equalsIgnoringCase("CLAIM") {
                index += 2
            } else {
                index += 1
            }
        }
        return nil
    }

    /// Whatever follows a STORE or STOREDIST: the last one counts, and none may be one that is not to be written.
    private static func targets(_ arguments: Arguments, from first: Int) -> [KeyPosition] {
        guard arguments.count > first + 1 else { return [] }
        return (first..<(arguments.count - 1)).filter {
            arguments[$0].equalsIgnoringCase("STORE") || arguments[$0].equalsIgnoringCase("STOREDIST")
        }.map { KeyPosition(index: $0 + 1, flags: [.overwrite, .update]) }
    }
}
