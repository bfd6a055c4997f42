import Commands
import Engine
import Keyspace
import Primitives
import RESP

/// ACL, as far as one user goes: `default`, who may do everything, with the password of `requirepass` or none.
enum ACLCommands {
    static let all: [Command] = [
        Command("acl", arity: -2, [], [.slow], group: .server, since: "6.0.0", complexity: "per-subcommand",
                summary: "A container of commands about access control.", subcommands: subcommands, .container),
    ]

    private static let subcommands: [Command] = [
        Command("cat", arity: -2, [.noscript, .loading, .stale], [.slow], group: .server, since: "6.0.0",
                complexity: "O(1)", summary: "Lists categories, or the commands of one.",
                arguments: "category:string?", .server(cat)),
        Command("genpass", arity: -2, [.noscript, .loading, .stale], [.slow], group: .server, since: "6.0.0",
                complexity: "O(1)", summary: "Makes a random password.", arguments: "bits:integer?",
                .server(genPass)),
        Command("getuser", arity: 3, [.admin, .noscript, .loading, .stale], [.admin, .slow, .dangerous],
                group: .server, since: "6.0.0", complexity: "O(N)", summary: "Describes a user.",
                arguments: "username:string", .server(getUser)),
        Command("help", arity: 2, [.loading, .stale], [.slow], group: .server, since: "6.0.0", complexity: "O(1)",
                summary: "Lists the subcommands.", .server(help)),
        Command("list", arity: 2, [.admin, .noscript, .loading, .stale], [.admin, .slow, .dangerous], group: .server,
                since: "6.0.0", complexity: "O(N)", summary: "Lists the users as rules.", .server(list)),
        Command("users", arity: 2, [.admin, .noscript, .loading, .stale], [.admin, .slow, .dangerous], group: .server,
                since: "6.0.0", complexity: "O(N)", summary: "Lists the names of users.", .server(users)),
        Command("whoami", arity: 2, [.noscript, .loading, .stale], [.slow], group: .server, since: "6.0.0",
                complexity: "O(1)", summary: "Answers the user of the connection.", .server(whoAmI)),
    ]

    private static func whoAmI(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        call.reply.bulk(core.engine.current.user)
    }

    private static func users(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        call.reply.array(1)
        call.reply.bulk("default" as StaticString)
    }

    /// As the rules name it: SHA-256 of the password in hex.
    private static func passwordHash(_ core: ServerCore) -> String? {
        let password = core.engine.requiredPassword
        if password.isEmpty { return nil }
        return SHA256.hex(password)
    }

    private static func list(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        call.reply.array(1)
        let secret = passwordHash(core).map { "#" + $0 } ?? "nopass"
        call.reply.bulk("user default on \(secret) ~* &* +@all")
    }

    private static func getUser(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        guard call[2].equals(("default" as StaticString).bytes) else {
            call.reply.null()
            return
        }
        let hash = passwordHash(core)
        call.reply.map(6)
        call.reply.bulk("flags" as StaticString)
        call.reply.set(hash == nil ? 2 : 1)
        call.reply.bulk("on" as StaticString)
        if hash == nil { call.reply.bulk("nopass" as StaticString) }
        call.reply.bulk("passwords" as StaticString)
        call.reply.array(hash == nil ? 0 : 1)
        if let hash { call.reply.bulk(hash) }
        call.reply.bulk("commands" as StaticString)
        call.reply.bulk("+@all" as StaticString)
        call.reply.bulk("keys" as StaticString)
        call.reply.bulk("~*" as StaticString)
        call.reply.bulk("channels" as StaticString)
        call.reply.bulk("&*" as StaticString)
        call.reply.bulk("selectors" as StaticString)
        call.reply.array(0)
    }

    private static func cat(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        if call.count > 3 { throw .wrongArity }
        if call.count == 2 {
            call.reply.array(ACLCategories.names.count)
            for (_, name) in ACLCategories.names { call.reply.bulk(name) }
            return
        }
        guard let category = ACLCategories.named(call[2]) else {
            throw .message("ERR Unknown category '\(Text(call[2]))'")
        }
        let table = core.engine.table
        let rows = (0..<table.count).map { table.rows[$0] }.filter { $0.command.categories.contains(category) }
        call.reply.array(rows.count)
        for row in rows { call.reply.bulk(row.fullName) }
    }

    private static func genPass(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        if call.count > 3 { throw .wrongArity }
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
            "GENPASS [<bits>]", "    Make a random password.", "GETUSER <username>", "    Describe a user.",
            "LIST", "    List the users as rules.", "USERS", "    List the names of users.",
            "WHOAMI", "    Answer the user of this connection.",
        ])
    }
}
