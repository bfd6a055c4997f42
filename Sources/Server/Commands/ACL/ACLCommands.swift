import Commands
import Engine
import Keyspace
import Primitives
import RESP

/// ACL: users, their rules, and what they were refused.
enum ACLCommands {
    private static let everybody: CommandFlags = [.noscript, .loading, .stale]
    private static let administrators: CommandFlags = [.admin, .noscript, .loading, .stale]
    private static let dangerous: ACLCategories = [.admin, .slow, .dangerous]

    static let all: [Command] = [
        Command("acl", arity: -2, [], [.slow], group: .server, since: "6.0.0", complexity: "per-subcommand",
                summary: "A container of commands about access control.",
                subcommands: forEverybody + forAdministrators, .container),
    ]

    private static let forEverybody: [Command] = [
        Command("cat", arity: -2, everybody, [.slow], group: .server, since: "6.0.0",
                complexity: "O(1)", summary: "Lists categories, or the commands of one.",
                arguments: "category:string?", .server(cat)),
        Command("genpass", arity: -2, everybody, [.slow], group: .server, since: "6.0.0",
                complexity: "O(1)", summary: "Makes a random password.", arguments: "bits:integer?",
                .server(genPass)),
        Command("help", arity: 2, [.loading, .stale], [.slow], group: .server, since: "6.0.0", complexity: "O(1)",
                summary: "Lists the subcommands.", .server(help)),
        Command("whoami", arity: 2, everybody, [.slow], group: .server, since: "6.0.0",
                complexity: "O(1)", summary: "Answers the user of the connection.", .server(whoAmI)),
    ]

    private static let forAdministrators: [Command] = [
        Command("deluser", arity: -3, administrators, dangerous, group: .server, since: "6.0.0", complexity: "O(1)",
                summary: "Removes users and ends their connections.",
                tips: "request_policy:all_nodes,response_policy:all_succeeded", arguments: "username:string*",
                .server(ACLUsers.remove)),
        Command("dryrun", arity: -4, administrators, dangerous, group: .server, since: "7.0.0",
                complexity: "O(1)", summary: "Tells whether a user may run a command, without running it.",
                arguments: "username:string command:string arg:string?*", .server(ACLUsers.dryRun)),
        Command("getuser", arity: 3, administrators, dangerous, group: .server, since: "6.0.0", complexity: "O(N)",
                summary: "Describes a user.", arguments: "username:string", .server(ACLUsers.describe)),
        Command("list", arity: 2, administrators, dangerous, group: .server, since: "6.0.0", complexity: "O(N)",
                summary: "Lists the users as rules.", .server(ACLUsers.list)),
        Command("load", arity: 2, administrators, dangerous, group: .server, since: "6.0.0", complexity: "O(N)",
                summary: "Reads the users anew from the ACL file.", .server(ACLFileCommands.load)),
        Command("log", arity: -2, administrators, dangerous, group: .server, since: "6.0.0", complexity: "O(N)",
                summary: "Lists what was refused lately.",
                arguments: "operation:oneof?(count:integer reset:pure-token@RESET)", .server(ACLLogCommand.log)),
        Command("save", arity: 2, administrators, dangerous, group: .server, since: "6.0.0", complexity: "O(N)",
                summary: "Writes the users into the ACL file.",
                tips: "request_policy:all_nodes,response_policy:all_succeeded", .server(ACLFileCommands.save)),
        Command("setuser", arity: -3, administrators, dangerous, group: .server, since: "6.0.0", complexity: "O(N)",
                summary: "Makes or changes a user.",
                tips: "request_policy:all_nodes,response_policy:all_succeeded",
                arguments: "username:string rule:string?*", .server(ACLUsers.set)),
        Command("users", arity: 2, administrators, dangerous, group: .server, since: "6.0.0", complexity: "O(N)",
                summary: "Lists the names of users.", .server(ACLUsers.names)),
    ]

    /// More arguments than a subcommand takes.
    static func wrongCount(_ call: Call) -> CommandError {
        .message("ERR unknown subcommand or wrong number of arguments for '\(Text(call[1]))'. Try ACL HELP.")
    }

    private static func whoAmI(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        guard let user = core.engine.current.user else { return call.reply.null() }
        user.name.withUnsafeBytes { call.reply.bulk($0) }
    }

    private static func cat(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        if call.count > 3 { throw wrongCount(call) }
        if call.count == 2 {
            call.reply.array(ACLCategories.names.count)
            for (_, name) in ACLCategories.names { call.reply.bulk(name) }
            return
        }
        guard let category = ACLCategories(named: call[2]) else {
            throw .message("ERR Unknown category '\(Text(Bytes(rebasing: call[2].prefix(128).prefix { $0 != 0 })))'")
        }
        let table = core.engine.table
        let rows = (0..<table.count).map { table.rows[$0] }.filter { $0.command.categories.contains(category) }
        call.reply.array(rows.count)
        for row in rows { call.reply.bulk(row.fullName) }
    }

    private static func genPass(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        if call.count > 3 { throw wrongCount(call) }
        var bits: Int64 = 256
        if call.count == 3 {
            bits = try call.integer(2)
            if !(1...4096).contains(bits) {
                throw .text("""
                    ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up \
                    to 4096
                    """)
            }
        }
        call.reply.bulk(ServerIdentity.randomHex(Int((bits + 3) / 4)))
    }

    private static func help(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        HelpText.write(&call, [
            "CAT [<category>]", "    List the categories, or the commands of one.",
            "DELUSER <username> [<username> ...]", "    Remove users and end their connections.",
            "DRYRUN <username> <command> [<arg> ...]", "    Tell whether a user may run a command.",
            "GENPASS [<bits>]", "    Make a random password.", "GETUSER <username>", "    Describe a user.",
            "LIST", "    List the users as rules.", "LOAD", "    Read the users anew from the ACL file.",
            "LOG [<count> | RESET]", "    List what was refused lately, or forget it.",
            "SAVE", "    Write the users into the ACL file.",
            "SETUSER <username> <rule> [<rule> ...]", "    Make or change a user.",
            "USERS", "    List the names of users.", "WHOAMI", "    Answer the user of this connection.",
        ])
    }
}
