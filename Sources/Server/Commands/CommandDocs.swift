import Commands
import Engine
import Primitives
import RESP

/// COMMAND DOCS.
enum CommandDocs {
    static func docs(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let table = core.engine.table
        var ids = core.commandReplies.topLevel
        if call.count > 2 { ids = (2..<call.count).compactMap { table.findFullName(call[$0]) } }
        let reply = call.reply
        reply.map(ids.count)
        for id in ids {
            core.commandReplies.write(.documentation, id, reply) {
                reply.bulk(table.rows[id].fullName)
                write(table.rows[id], table, reply)
            }
        }
    }

    private static func write(_ row: CommandTable.Row, _ table: CommandTable, _ reply: ReplyWriter) {
        let command = row.command
        let mark = reply.beginDeferred()
        var pairs = 0
        func field(_ name: StaticString, _ value: String) {
            reply.bulk(name)
            reply.bulk(value)
            pairs += 1
        }
        func name(_ text: StaticString) {
            reply.bulk(text)
            pairs += 1
        }
        field("summary", "\(command.summary)")
        field("since", "\(command.since)")
        field("group", "\(command.group.name)")
        let complexity = complexityText(command.complexity)
        if !complexity.isEmpty { field("complexity", complexity) }
        let isDeprecated = command.deprecatedSince.utf8CodeUnitCount > 0
        let isForSystem = command.flags.contains(.systemCommand)
        if isDeprecated || isForSystem {
            name("doc_flags")
            reply.set((isDeprecated ? 1 : 0) + (isForSystem ? 1 : 0))
            if isDeprecated { reply.simple("deprecated") }
            if isForSystem { reply.simple("syscmd") }
        }
        if isDeprecated {
            field("deprecated_since", "\(command.deprecatedSince)")
            field("replaced_by", quotingCommands(command.replacedBy))
        }
        let arguments = ArgumentSchema.parse(command.arguments) ?? []
        if !arguments.isEmpty {
            name("arguments")
            write(arguments, reply)
        }
        if row.subcommandCount > 0 {
            name("subcommands")
            reply.map(row.subcommandCount)
            for sub in row.firstSubcommand..<(row.firstSubcommand + row.subcommandCount) {
                reply.bulk(table.rows[sub].fullName)
                write(table.rows[sub], table, reply)
            }
        }
        reply.endMap(mark, pairs)
    }

    /// Names of commands and of their arguments, which are upper case, stand between back quotes.
    private static func quotingCommands(_ text: StaticString) -> String {
        var out = "", isQuoting = false
        for word in "\(text)".split(separator: " ") {
            let isName = word.utf8.allSatisfy { $0 == UInt8(ascii: "!") || $0 &- UInt8(ascii: "A") < 26 }
            if isQuoting && !isName { out += "`" }
            if !out.isEmpty { out += " " }
            if isName && !isQuoting { out += "`" }
            out += word
            isQuoting = isName
        }
        return isQuoting ? out + "`" : out
    }

    private static func complexityText(_ complexity: StaticString) -> String {
        switch "\(complexity)" {
        case "per-subcommand": "Depends on subcommand."
        case "depends": "Depends on the data."
        case let text: text
        }
    }

    private static func write(_ arguments: [ArgumentSchema], _ reply: ReplyWriter) {
        reply.array(arguments.count)
        for argument in arguments { write(argument, reply) }
    }

    private static func write(_ argument: ArgumentSchema, _ reply: ReplyWriter) {
        let mark = reply.beginDeferred()
        var pairs = 0
        func field(_ name: StaticString, _ value: String?) {
            guard let value else { return }
            reply.bulk(name)
            reply.bulk(value)
            pairs += 1
        }
        field("name", argument.name)
        field("type", argument.type)
        if argument.arguments.isEmpty { field("display_text", argument.name) }
        if let spec = argument.keySpec {
            reply.bulk("key_spec_index" as StaticString)
            reply.integer(spec)
            pairs += 1
        }
        field("token", argument.token)
        field("since", argument.since)
        field("deprecated_since", argument.deprecatedSince)
        let flags: [StaticString] = (argument.isOptional ? ["optional"] : [])
            + (argument.isMultiple ? ["multiple"] : []) + (argument.repeatsToken ? ["multiple_token"] : [])
        if !flags.isEmpty {
            reply.bulk("flags" as StaticString)
            reply.set(flags.count)
            for flag in flags { reply.simple(flag) }
            pairs += 1
        }
        if !argument.arguments.isEmpty {
            reply.bulk("arguments" as StaticString)
            write(argument.arguments, reply)
            pairs += 1
        }
        reply.endMap(mark, pairs)
    }
}
