import Commands
import Engine
import Keyspace
import Primitives
import RESP

/// MODULE: there are none, and none can be loaded.
enum ModuleCommands {
    static let all: [Command] = [
        Command("module", arity: -2, [], [.slow], group: .server, since: "4.0.0", complexity: "per-subcommand",
                summary: "A container of commands about modules.", subcommands: moduleSubcommands, .container),
    ]

    private static let moduleSubcommands: [Command] = [
        Command("help", arity: 2, [.loading, .stale], [.slow], group: .server, since: "5.0.0", complexity: "O(1)",
                summary: "Lists the subcommands.", .server(help)),
        Command("list", arity: 2, [.admin, .noscript], [.admin, .slow, .dangerous], group: .server, since: "4.0.0",
                complexity: "O(N)", summary: "Lists the loaded modules.", tips: "nondeterministic_output_order",
                .server(list)),
        Command("load", arity: -3, [.admin, .noscript, .noAsyncLoading, .protected], [.admin, .slow, .dangerous],
                group: .server, since: "4.0.0", complexity: "O(1)", summary: "Loads a module.",
                arguments: "path:string arg:string?*", .server(load)),
        Command("loadex", arity: -3, [.admin, .noscript, .noAsyncLoading, .protected], [.admin, .slow, .dangerous],
                group: .server, since: "7.0.0", complexity: "O(1)", summary: "Loads a module with configuration.",
                arguments: "path:string configs:block@CONFIG?*+(name:string value:string) args:string@ARGS?*",
                .server(load)),
        Command("unload", arity: 3, [.admin, .noscript, .noAsyncLoading, .protected], [.admin, .slow, .dangerous],
                group: .server, since: "4.0.0", complexity: "O(1)", summary: "Unloads a module.",
                arguments: "name:string", .server(unload)),
    ]

    private static func list(_ core: ServerCore, _ call: inout Call) throws(CommandError) { call.reply.array(0) }

    private static func load(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        try core.allow("MODULE", by: core.configuration.enableModuleCommand, option: "enable-module-command")
        throw .text("ERR Error loading the extension. Please check the server logs.")
    }

    private static func unload(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        try core.allow("MODULE", by: core.configuration.enableModuleCommand, option: "enable-module-command")
        throw .text("ERR Error unloading module: no such module with that name")
    }

    private static func help(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        HelpText.write(&call, [
            "LIST", "    List the loaded modules.", "LOAD <path> [<arg> ...]", "    Load a module.",
            "LOADEX <path> [[CONFIG NAME VALUE] [CONFIG NAME VALUE]] [ARGS ...]",
            "    Load a module with configuration.", "UNLOAD <name>", "    Unload a module.",
        ])
    }
}
