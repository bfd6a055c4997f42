import Commands
import Engine
import Primitives
import RESP

/// COMMANDLOG: the slow log, and its like for large requests and large replies.
enum CommandlogCommands {
    static let all: [Command] = [
        Command("commandlog", arity: -2, [], [.slow], group: .server, since: "8.1.0", complexity: "per-subcommand",
                summary: "A container of commands about slow and large commands.", subcommands: subcommands,
                .container),
    ]

    private static let types: StaticString = """
        type:oneof(slow:pure-token@slow large-request:pure-token@large-request large-reply:pure-token@large-reply)
        """

    private static let subcommands: [Command] = [
        Command("get", arity: 4, [.admin, .loading, .stale], [.admin, .slow, .dangerous], group: .server,
                since: "8.1.0", complexity: "O(N)", summary: "Answers the latest entries of a log.",
                tips: "request_policy:all_nodes,nondeterministic_output", arguments: """
                    count:integer type:oneof(slow:pure-token@slow large-request:pure-token@large-request \
                    large-reply:pure-token@large-reply)
                    """, .server(get)),
        Command("help", arity: 2, [.loading, .stale], [.slow], group: .server, since: "8.1.0", complexity: "O(1)",
                summary: "Lists the subcommands.", .server(help)),
        Command("len", arity: 3, [.admin, .loading, .stale], [.admin, .slow, .dangerous], group: .server,
                since: "8.1.0", complexity: "O(1)", summary: "Counts the entries of a log.",
                tips: "request_policy:all_nodes,response_policy:agg_sum,nondeterministic_output", arguments: types,
                .server(length)),
        Command("reset", arity: 3, [.admin, .loading, .stale], [.admin, .slow, .dangerous], group: .server,
                since: "8.1.0", complexity: "O(N)", summary: "Empties a log.",
                tips: "request_policy:all_nodes,response_policy:all_succeeded", arguments: types, .server(reset)),
    ]

    private static func log(_ core: ServerCore, _ call: Call, _ index: Int) throws(CommandError) -> SlowLog {
        if call.isWord(index, "SLOW") { return core.engine.slowLog }
        if call.isWord(index, "LARGE-REQUEST") { return core.engine.largeRequests }
        if call.isWord(index, "LARGE-REPLY") { return core.engine.largeReplies }
        throw .text("ERR type should be one of the following: slow, large-request, large-reply")
    }

    private static func get(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let log = try log(core, call, 3)
        SlowlogCommands.reply(log, count: try SlowlogCommands.count(call, log), call)
    }

    private static func length(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        call.reply.integer(try log(core, call, 2).entries.count)
    }

    private static func reset(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        try log(core, call, 2).removeAll()
        call.reply.ok()
    }

    private static func help(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        HelpText.write(&call, [
            "GET <count> <type>", "    Answer the latest <count> entries (-1: all), newest first, each with id, time,",
            "    microseconds (slow) or bytes (large-request, large-reply), arguments, address and name of the client.",
            "LEN <type>", "    Count the entries.", "RESET <type>", "    Drop all entries.",
        ])
    }
}
