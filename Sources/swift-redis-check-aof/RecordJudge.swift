import Commands
import Primitives
import RESP
import Server

/// Whether swift-redis-server takes a record: by the name of its command and the number of its arguments, which is what
/// the server looks at before it runs a record (Recovery/ReplayRun.swift).
struct RecordJudge: Sendable {
    private let table = CommandTable(AllCommands.families)

    @Sendable
    func objection(_ arguments: Arguments) -> String? {
        guard arguments.count > 0 else { return "A record without a command" }
        var name = OwnedBytes(capacity: 64)
        guard var id = table.findOriginal(arguments[0]) else {
            Quote.append(Bytes(rebasing: arguments[0].prefix(64)), to: &name)
            return "Unknown command \(String(decoding: name.bytes, as: UTF8.self))"
        }
        if table.isContainer[id], arguments.count > 1 {
            guard let subcommand = table.findSubcommand(arguments[1], of: id) else {
                Quote.append(Bytes(rebasing: arguments[1].prefix(64)), to: &name)
                return "Unknown subcommand \(String(decoding: name.bytes, as: UTF8.self)) of \(table.rows[id].fullName)"
            }
            id = subcommand
        }
        let arity = table.commands[id].arity
        if arity > 0 ? arguments.count == arity : arguments.count >= -arity { return nil }
        return "Wrong number of arguments for \(table.rows[id].fullName)"
    }
}
