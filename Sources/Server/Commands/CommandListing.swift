import Commands
import Engine
import Keyspace
import Primitives
import RESP

/// COMMAND: what the server knows of its commands, all of it taken from their declarations.
enum CommandListing {
    static let all: [Command] = [
        Command("command", arity: -1, [.loading, .stale], [.slow, .connection], group: .server, since: "2.8.13",
                complexity: "O(N)", summary: "Describes all commands.", tips: "nondeterministic_output_order",
                subcommands: subcommands, .server(everything)),
    ]

    private static let subcommands: [Command] = [
        Command("count", arity: 2, [.loading, .stale], [.slow, .connection], group: .server, since: "2.8.13",
                complexity: "O(1)", summary: "Counts the commands.", .server(count)),
        Command("docs", arity: -2, [.loading, .stale], [.slow, .connection], group: .server, since: "7.0.0",
                complexity: "O(N)", summary: "Documents commands.", tips: "nondeterministic_output_order",
                arguments: "command-name:string?*", .server(CommandDocs.docs)),
        Command("getkeys", arity: -3, [.loading, .stale], [.slow, .connection], group: .server, since: "2.8.13",
                complexity: "O(N)", summary: "Extracts the keys of a command line.",
                arguments: "command:string arg:string?*", .server(getKeys)),
        Command("getkeysandflags", arity: -3, [.loading, .stale], [.slow, .connection], group: .server,
                since: "7.0.0", complexity: "O(N)",
                summary: "Extracts the keys of a command line and how they are used.",
                arguments: "command:string arg:string?*", .server(getKeysAndFlags)),
        Command("help", arity: 2, [.loading, .stale], [.slow, .connection], group: .server, since: "5.0.0",
                complexity: "O(1)", summary: "Lists the subcommands.", .server(help)),
        Command("info", arity: -2, [.loading, .stale], [.slow, .connection], group: .server, since: "2.8.13",
                complexity: "O(N)", summary: "Describes commands.", tips: "nondeterministic_output_order",
                arguments: "command-name:string?*", .server(info)),
        Command("list", arity: -2, [.loading, .stale], [.slow, .connection], group: .server, since: "7.0.0",
                complexity: "O(N)", summary: "Lists the names of commands.", tips: "nondeterministic_output_order",
                arguments: listArguments, .server(list)),
    ]

    private static let listArguments: StaticString = """
        filterby:oneof@FILTERBY?(module-name:string@MODULE category:string@ACLCAT pattern:pattern@PATTERN)
        """

    // MARK: COMMAND, COMMAND INFO

    private static func everything(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        describeAll(core, call.reply)
    }

    private static func describeAll(_ core: ServerCore, _ reply: ReplyWriter) {
        reply.array(core.commandReplies.topLevel.count)
        for id in core.commandReplies.topLevel { describe(id, core, reply) }
    }

    private static func describe(_ id: Int, _ core: ServerCore, _ reply: ReplyWriter) {
        core.commandReplies.write(.description, id, reply) {
            describe(core.engine.table.rows[id], core.engine.table, reply)
        }
    }

    private static func count(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        call.reply.integer(core.commandReplies.topLevel.count)
    }

    private static func info(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let table = core.engine.table
        if call.count == 2 {
            describeAll(core, call.reply)
            return
        }
        call.reply.array(call.count - 2)
        for index in 2..<call.count {
            if let id = table.findFullName(call[index]) {
                describe(id, core, call.reply)
            } else {
                call.reply.null()
            }
        }
    }

    private static func describe(_ row: CommandTable.Row, _ table: CommandTable, _ reply: ReplyWriter) {
        let command = row.command
        let specs = KeySpec.parse(command.keys)
        let range = KeySpec.legacyRange(specs)
        reply.array(10)
        reply.bulk(row.fullName)
        reply.integer(command.arity)
        writeSet(CommandFlags.names.filter { command.flags.contains($0.0) }.map(\.1), reply)
        reply.integer(range.first)
        reply.integer(range.last)
        reply.integer(range.step)
        writeCategories(command.categories, reply)
        writeTips(command.tips, reply)
        reply.set(specs.count)
        for spec in specs { describe(spec, reply) }
        reply.array(row.subcommandCount)
        for sub in row.firstSubcommand..<(row.firstSubcommand + row.subcommandCount) {
            describe(table.rows[sub], table, reply)
        }
    }

    private static func writeSet(_ names: [StaticString], _ reply: ReplyWriter) {
        reply.set(names.count)
        for name in names { reply.simple(name) }
    }

    private static func writeCategories(_ categories: ACLCategories, _ reply: ReplyWriter) {
        let names = ACLCategories.names.filter { categories.contains($0.0) }.map(\.1)
        reply.set(names.count)
        for name in names {
            var text = "@\(name)"
            text.withUTF8 { reply.simple(Bytes($0)) }
        }
    }

    private static func writeTips(_ tips: StaticString, _ reply: ReplyWriter) {
        let list = "\(tips)".split(separator: ",")
        reply.set(list.count)
        for tip in list { reply.bulk(String(tip)) }
    }

    private static func describe(_ spec: KeySpec, _ reply: ReplyWriter) {
        reply.map(3)
        reply.bulk("flags" as StaticString)
        writeSet(KeyFlags.names.filter { spec.flags.contains($0.0) }.map(\.1), reply)
        reply.bulk("begin_search" as StaticString)
        switch spec.begin {
        case .index(let index): write("index", [("index", index)], reply)
        case .unknown: write("unknown", [], reply)
        case .keyword(let word, let from):
            reply.map(2)
            reply.bulk("type" as StaticString)
            reply.bulk("keyword" as StaticString)
            reply.bulk("spec" as StaticString)
            reply.map(2)
            reply.bulk("keyword" as StaticString)
            reply.bulk(word)
            reply.bulk("startfrom" as StaticString)
            reply.integer(from)
        }
        reply.bulk("find_keys" as StaticString)
        switch spec.find {
        case .range(let last, let step, let limit):
            write("range", [("lastkey", last), ("keystep", step), ("limit", limit)], reply)
        case .counted(let count, let first, let step):
            write("keynum", [("keynumidx", count), ("firstkey", first), ("keystep", step)], reply)
        case .unknown: write("unknown", [], reply)
        }
    }

    private static func write(_ type: StaticString, _ fields: [(StaticString, Int)], _ reply: ReplyWriter) {
        reply.map(2)
        reply.bulk("type" as StaticString)
        reply.bulk(type)
        reply.bulk("spec" as StaticString)
        reply.map(fields.count)
        for (name, value) in fields {
            reply.bulk(name)
            reply.integer(value)
        }
    }

    // MARK: COMMAND LIST

    private static func list(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let table = core.engine.table
        if call.count == 2 {
            call.reply.array(table.count)
            for id in 0..<table.count { call.reply.bulk(table.rows[id].fullName) }
            return
        }
        var rows = Array(UnsafeBufferPointer(start: table.rows, count: table.count))
        guard call.count == 5, call.isWord(2, "FILTERBY") else { throw .syntax }
        let value = call[4]
        if call.isWord(3, "MODULE") {
            rows = []
        } else if call.isWord(3, "ACLCAT") {
            let category = ACLCategories(named: value)
            rows = rows.filter { row in category.map { row.command.categories.contains($0) } ?? false }
        } else if call.isWord(3, "PATTERN") {
            rows = rows.filter { row in
                var name = row.fullName
                return name.withUTF8 { Glob.matches(value, Bytes($0), ignoringCase: true) }
            }
        } else {
            throw .syntax
        }
        call.reply.array(rows.count)
        for row in rows { call.reply.bulk(row.fullName) }
    }

    // MARK: COMMAND GETKEYS

    private static func getKeys(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let (line, keys) = try keysOfLine(core, call)
        call.reply.array(keys.count)
        for key in keys { call.reply.bulk(line[key.index]) }
    }

    private static func getKeysAndFlags(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let (line, keys) = try keysOfLine(core, call)
        call.reply.array(keys.count)
        for key in keys {
            call.reply.array(2)
            call.reply.bulk(line[key.index])
            writeSet(KeyFlags.names.filter { key.flags.contains($0.0) }.map(\.1), call.reply)
        }
    }

    private static func keysOfLine(_ core: ServerCore, _ call: Call) throws(CommandError)
        -> (Arguments, [KeyPosition]) {
        let line = call.arguments.dropFirst(2)
        guard let id = core.engine.lookUp(line) else { throw .text("ERR Invalid command specified") }
        let command = core.engine.table.commands + id
        let specs = core.commandReplies.specs(id, of: command)
        if specs.isEmpty { throw .text("ERR The command has no key arguments") }
        guard command.pointee.takes(line.count) else {
            throw .text("ERR Invalid number of arguments specified for command")
        }
        let keys = KeyPositions.find(command, line, specs) ?? []
        if keys.isEmpty {
            // EVAL with a number of keys that can't be is one without keys.
            if command.pointee.flags.contains(.noMandatoryKeys) { return (line, []) }
            throw .text("ERR Invalid arguments specified for command")
        }
        return (line, keys)
    }

    private static func help(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        HelpText.write(&call, [
            "(no subcommand)", "    Describe all commands.",
            "COUNT", "    Count the commands.",
            "LIST [FILTERBY (MODULE <name>|ACLCAT <category>|PATTERN <pattern>)]", "    List the names of commands.",
            "INFO [<command-name> ...]", "    Describe these commands, or all.",
            "DOCS [<command-name> ...]", "    Document these commands, or all.",
            "GETKEYS <full-command>", "    Answer the keys of a command line.",
            "GETKEYSANDFLAGS <full-command>", "    Answer the keys of a command line and how they are used.",
        ])
    }
}
