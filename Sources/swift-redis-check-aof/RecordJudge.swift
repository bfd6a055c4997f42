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
        guard let id = table.findRecord(arguments) else {
            // The subcommand's name, if it is that which is unknown.
            let container = table.findOriginal(arguments[0])
            Quote.append(Bytes(rebasing: arguments[container == nil ? 0 : 1].prefix(64)), to: &name)
            let text = String(decoding: name.bytes, as: UTF8.self)
            return container.map { "Unknown subcommand \(text) of \(table.rows[$0].fullName)" }
                ?? "Unknown command \(text)"
        }
        if table.commands[id].takes(arguments.count) { return nil }
        return "Wrong number of arguments for \(table.rows[id].fullName)"
    }
}
