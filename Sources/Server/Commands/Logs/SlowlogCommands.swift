import Commands
import Engine
import Keyspace
import Primitives
import RESP

/// SLOWLOG.
enum SlowlogCommands {
    static let all: [Command] = [
        Command("slowlog", arity: -2, [], [.slow], group: .server, since: "2.2.12", complexity: "per-subcommand",
                summary: "A container of commands about slow commands.", subcommands: slowlogSubcommands, .container),
    ]

    private static let slowlogSubcommands: [Command] = [
        Command("get", arity: -2, [.admin, .loading, .stale], [.admin, .slow, .dangerous], group: .server,
                since: "2.2.12", complexity: "O(N)", summary: "Answers the latest slow commands.",
                tips: "request_policy:all_nodes,nondeterministic_output", arguments: "count:integer?", .server(get)),
        Command("help", arity: 2, [.loading, .stale], [.slow], group: .server, since: "6.2.0", complexity: "O(1)",
                summary: "Lists the subcommands.", .server(help)),
        Command("len", arity: 2, [.admin, .loading, .stale], [.admin, .slow, .dangerous], group: .server,
                since: "2.2.12", complexity: "O(1)", summary: "Counts the entries of the slow log.",
                tips: "request_policy:all_nodes,response_policy:agg_sum,nondeterministic_output", .server(length)),
        Command("reset", arity: 2, [.admin, .loading, .stale], [.admin, .slow, .dangerous], group: .server,
                since: "2.2.12", complexity: "O(N)", summary: "Empties the slow log.",
                tips: "request_policy:all_nodes,response_policy:all_succeeded", .server(reset)),
    ]

    private static func get(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        if call.count > 3 { throw call.subcommandSyntax("SLOWLOG") }
        let log = core.engine.slowLog
        reply(log, count: call.count == 3 ? try count(call, log) : 10, call)
    }

    /// Argument 2: how many entries; −1: all.
    static func count(_ call: Call, _ log: SlowLog) throws(CommandError) -> Int {
        guard let wanted = Decimal.parseInt64(call[2]), wanted >= -1 else {
            throw .text("ERR count should be greater than or equal to -1")
        }
        return wanted == -1 ? log.entries.count : Int(wanted)
    }

    static func reply(_ log: SlowLog, count: Int, _ call: Call) {
        if log.entries.isEmpty {
            call.reply.array(0)
            return
        }
        let shown = log.entries.suffix(count).reversed()
        call.reply.array(shown.count)
        for entry in shown {
            call.reply.array(6)
            call.reply.integer(entry.id)
            call.reply.integer(entry.time.seconds)
            call.reply.integer(entry.amount)
            call.reply.array(entry.arguments.count)
            for argument in entry.arguments { argument.withUnsafeBytes { call.reply.bulk($0) } }
            call.reply.bulk(entry.address)
            entry.name.withUnsafeBytes { call.reply.bulk($0) }
        }
    }

    private static func length(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        call.reply.integer(core.engine.slowLog.entries.count)
    }

    private static func reset(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        core.engine.slowLog.removeAll()
        call.reply.ok()
    }

    private static func help(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        HelpText.write(&call, [
            "GET [<count>]", "    Answer the latest <count> entries (default: 10, -1: all), newest first, each with",
            "    id, time, duration in microseconds, arguments, address and name of the client.",
            "LEN", "    Count the entries.", "RESET", "    Drop all entries.",
        ])
    }
}
