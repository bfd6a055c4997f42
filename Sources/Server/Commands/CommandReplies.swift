import Commands
import Primitives
import RESP

/// Replies about commands, which never change, as they were first made: clients ask for all of them when they connect.
final class CommandReplies {
    enum Kind: Int { case description, documentation }

    /// Ids of commands that are no subcommands.
    let topLevel: [Int]
    /// By command, kind and protocol version.
    private var kept: [[UInt8]?]
    private var parsedSpecs: [Int: [KeySpec]] = [:]

    init(_ table: CommandTable) {
        topLevel = (0..<table.count).filter { table.rows[$0].parent < 0 && table.isReachable($0) }
        kept = Array(repeating: nil, count: table.count * 4)
    }

    /// Writes what was kept, or what `make` writes.
    func write(_ kind: Kind, _ id: Int, _ reply: ReplyWriter, _ make: () -> Void) {
        let place = id * 4 + kind.rawValue * 2 + (reply.version == .resp3 ? 1 : 0)
        if let bytes = kept[place] {
            bytes.withUnsafeBytes { reply.output.pointee.append($0) }
            return
        }
        let start = reply.output.pointee.count
        make()
        kept[place] = Array(reply.output.pointee.bytes.dropFirst(start))
    }

    func specs(_ id: Int, of command: UnsafePointer<Command>) -> [KeySpec] {
        if let known = parsedSpecs[id] { return known }
        let specs = KeySpec.parse(command.pointee.keys)
        parsedSpecs[id] = specs
        return specs
    }
}
