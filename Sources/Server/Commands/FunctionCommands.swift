import Commands
import Engine
import Keyspace
import Primitives
import RESP
import Scripting
import Storage

/// FUNCTION: libraries of functions, which belong to the data.
package enum FunctionCommands {
    package static let all: [Command] = [
        Command("function", arity: -2, [], [.slow], group: .scripting, since: "7.0.0", complexity: "per-subcommand",
                summary: "A container of commands about libraries of functions.", subcommands: subcommands, .container),
    ]

    private static let everywhere: StaticString = "request_policy:all_shards,response_policy:all_succeeded"

    private static let subcommands: [Command] = [
        subcommand("delete", arity: 3, [.write, .noscript], "O(1)", "Forgets a library and its functions.",
                   tips: everywhere, arguments: "library-name:string", propagates: .verbatim, delete),
        subcommand("dump", arity: 2, [.noscript], "O(N)", "Returns all libraries as bytes for FUNCTION RESTORE.", dump),
        subcommand("flush", arity: -2, [.write, .noscript], "O(N)", "Forgets all libraries.", tips: everywhere,
                   arguments: "flush-type:oneof?(async:pure-token@ASYNC sync:pure-token@SYNC)",
                   propagates: .verbatim, flush),
        subcommand("help", arity: 2, [.loading, .stale], "O(1)", "Lists the subcommands.", help),
        subcommand("kill", arity: 2, [.noscript, .allowBusy], "O(1)", "Ends the function that runs.",
                   tips: "request_policy:all_shards,response_policy:one_succeeded", kill),
        subcommand("list", arity: -2, [.noscript], "O(N)", "Lists libraries and their functions.",
                   tips: "nondeterministic_output_order",
                   arguments: "library-name-pattern:string@LIBRARYNAME? withcode:pure-token@WITHCODE?", list),
        subcommand("load", arity: -3, [.write, .denyoom, .noscript], "O(1)", "Loads a library.", tips: everywhere,
                   arguments: "replace:pure-token@REPLACE? function-code:string", propagates: .verbatim, load),
        subcommand("restore", arity: -3, [.write, .denyoom, .noscript], "O(N)",
                   "Loads the libraries that FUNCTION DUMP gave.", tips: everywhere, arguments: """
                   serialized-value:string policy:oneof?(flush:pure-token@FLUSH append:pure-token@APPEND \
                   replace:pure-token@REPLACE)
                   """, propagates: .verbatim, restore),
        subcommand("stats", arity: 2, [.noscript, .allowBusy], "O(1)", "Tells which function runs, and what is loaded.",
                   tips: "nondeterministic_output,request_policy:all_shards,response_policy:special", stats),
    ]

    private static func subcommand(
        _ name: StaticString, arity: Int, _ flags: CommandFlags, _ complexity: StaticString, _ summary: StaticString,
        tips: StaticString = "", arguments: StaticString = "", propagates: Propagation = .none,
        _ body: @escaping @Sendable (ServerCore, inout Call) throws(CommandError) -> Void
    ) -> Command {
        Command(name, arity: arity, flags, flags.contains(.write) ? [.write, .slow, .scripting] : [.slow, .scripting],
                group: .scripting, since: "7.0.0", complexity: complexity, summary: summary, tips: tips,
                arguments: arguments, propagates: propagates, .server(body))
    }

    // MARK: Changes

    /// The libraries changed: the log is told, and snapshots have the new ones.
    private static func changed(_ core: ServerCore, _ call: borrowing Call) {
        call.effects.pointee.dirty += 1
        core.noteFunctions()
    }

    private static func load(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        var replaces = false
        for index in 2..<(call.count - 1) {
            guard call.isWord(index, "REPLACE") else {
                throw .message("ERR Unknown option given: \(Text(call[index]))")
            }
            replaces = true
        }
        let name = try core.engine.scripts.load(call[call.count - 1], replaces: replaces, isTrusted: call.isReplay)
        changed(core, call)
        call.reply.bulk(name)
    }

    private static func delete(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        guard core.engine.scripts.deleteLibrary(String(decoding: call[2], as: UTF8.self)) else {
            throw .text("ERR Library not found")
        }
        changed(core, call)
        call.reply.ok()
    }

    private static func flush(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        if call.count > 3 { throw wrongCount(call) }
        let isLazy = call.count == 3 && call.isWord(2, "ASYNC")
        if call.count == 3 && !isLazy && !call.isWord(2, "SYNC") {
            throw .text("ERR FUNCTION FLUSH only supports SYNC|ASYNC option")
        }
        core.engine.scripts.flushLibraries(
            lazily: isLazy || call.count == 2 && core.configuration.lazyfreeLazyUserFlush)
        changed(core, call)
        call.reply.ok()
    }

    private static func restore(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        if call.count > 4 { throw wrongCount(call) }
        var policy = RestorePolicy.append
        if call.count == 4 {
            if call.isWord(3, "REPLACE") { policy = .replace
            } else if call.isWord(3, "FLUSH") { policy = .flush
            } else if !call.isWord(3, "APPEND") {
                throw .text("ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.")
            }
        }
        guard RDBPayload.isIntact(call[2], believesChecksum: core.control.skipsChecksums) else {
            throw .text("ERR DUMP payload version or checksum are wrong")
        }
        try core.restore(try functions(in: call[2]), policy, isTrusted: call.isReplay)
        changed(core, call)
        call.reply.ok()
    }

    private static func functions(in payload: Bytes) throws(CommandError) -> RDBFunctions {
        do throws(StorageError) {
            return try RDBFunctionPayload.read(payload)
        } catch {
            throw .message("ERR \(error.cause)")
        }
    }

    private static func wrongCount(_ call: borrowing Call) -> CommandError {
        .message("ERR unknown subcommand or wrong number of arguments for '\(Text(call[1]))'. Try FUNCTION HELP.")
    }

    // MARK: Looking

    private static func dump(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        core.readsFunctions()
        var payload = OwnedBytes()
        RDBFunctionPayload.dump(core.persistence.functions, into: &payload)
        call.reply.bulk(payload.bytes)
    }

    private static func list(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        var pattern: Bytes?
        var showsCode = false
        var index = 2
        while index < call.count {
            if !showsCode && call.isWord(index, "WITHCODE") {
                showsCode = true
            } else if pattern == nil && call.isWord(index, "LIBRARYNAME") {
                index += 1
                guard index < call.count else { throw .text("ERR library name argument was not given") }
                pattern = call[index]
            } else {
                throw .message("ERR Unknown argument \(Text(call[index]))")
            }
            index += 1
        }
        core.readsFunctions()
        let libraries = core.engine.scripts.libraries.sorted.filter { library in
            guard let pattern else { return true }
            return Array(library.name.utf8).withUnsafeBytes { Glob.matches(pattern, $0, ignoringCase: true) }
        }
        call.reply.array(libraries.count)
        for library in libraries { write(library, showsCode: showsCode, call.reply) }
    }

    private static func write(_ library: FunctionLibrary, showsCode: Bool, _ reply: ReplyWriter) {
        reply.map(showsCode ? 4 : 3)
        reply.bulk("library_name" as StaticString)
        reply.bulk(library.name)
        reply.bulk("engine" as StaticString)
        reply.bulk("LUA" as StaticString)
        reply.bulk("functions" as StaticString)
        reply.array(library.functions.count)
        for function in library.functions {
            reply.map(3)
            reply.bulk("name" as StaticString)
            reply.bulk(function.name)
            reply.bulk("description" as StaticString)
            if let description = function.description {
                description.withUnsafeBytes { reply.bulk($0) }
            } else {
                reply.null()
            }
            reply.bulk("flags" as StaticString)
            let flags = ScriptFlags.names.filter { function.flags.contains($0.0) }
            reply.set(flags.count)
            for flag in flags { reply.simple(flag.1) }
        }
        guard showsCode else { return }
        reply.bulk("library_code" as StaticString)
        library.source.withUnsafeBytes { reply.bulk($0) }
    }

    private static func stats(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let scripts = core.engine.scripts, reply = call.reply
        if scripts.running != nil, scripts.running?.isFunction == false { throw scripts.busyError }
        reply.map(2)
        reply.bulk("running_script" as StaticString)
        if let running = scripts.statistics {
            reply.map(3)
            reply.bulk("name" as StaticString)
            reply.bulk(running.name)
            reply.bulk("command" as StaticString)
            reply.array(running.command.count)
            for index in 0..<running.command.count { reply.bulk(running.command[index]) }
            reply.bulk("duration_ms" as StaticString)
            reply.integer(running.milliseconds)
        } else {
            reply.null()
        }
        reply.bulk("engines" as StaticString)
        reply.map(1)
        reply.bulk("LUA" as StaticString)
        reply.map(2)
        reply.bulk("libraries_count" as StaticString)
        reply.integer(scripts.libraries.libraryCount)
        reply.bulk("functions_count" as StaticString)
        reply.integer(scripts.libraries.functionCount)
    }

    private static func kill(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        try core.engine.scripts.kill(isFunction: true)
        call.reply.ok()
    }

    private static func help(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        HelpText.write(&call, [
            "LOAD [REPLACE] <FUNCTION CODE>", "    Load a library; with REPLACE, in place of one of its name.",
            "DELETE <LIBRARY NAME>", "    Forget a library.",
            "LIST [LIBRARYNAME PATTERN] [WITHCODE]", "    List libraries, their functions and, if asked, their code.",
            "STATS", "    Tell which function runs, since when, and how many are loaded.",
            "KILL", "    End the function that runs.",
            "FLUSH [ASYNC|SYNC]", "    Forget all libraries.",
            "DUMP", "    Return all libraries as bytes.",
            "RESTORE <PAYLOAD> [FLUSH|APPEND|REPLACE]", "    Load what DUMP returned, instead of, beside, or over what",
            "    there is.",
        ])
    }
}
