import Commands
import Keyspace
import Primitives
import RESP

/// EVAL, EVALSHA, their read-only forms, and SCRIPT.
package enum ScriptCommands {
    private static let flags: CommandFlags = [.noscript, .stale, .skipMonitor, .noMandatoryKeys, .movablekeys]

    package static let all: [Command] = [
        Command("eval", arity: -3, flags.union(.mayReplicate), [.slow, .scripting],
                keys: "idx:2>num:0/1/1{RW,access,update}", group: .scripting, since: "2.6.0", complexity: "depends",
                summary: "Runs a Lua script.", arguments: "script:string numkeys:integer key:key#0?* arg:string?*",
                .engine { (engine: Engine, call: inout Call) throws(CommandError) in
                    try eval(engine, &call, readOnly: false)
                }),
        Command("evalsha", arity: -3, flags.union(.mayReplicate), [.slow, .scripting],
                keys: "idx:2>num:0/1/1{RW,access,update}", group: .scripting, since: "2.6.0", complexity: "depends",
                summary: "Runs a Lua script that the server knows by its SHA-1.",
                arguments: "sha1:string numkeys:integer key:key#0?* arg:string?*",
                .engine { (engine: Engine, call: inout Call) throws(CommandError) in
                    try evalsha(engine, &call, readOnly: false)
                }),
        Command("evalsha_ro", arity: -3, flags.union(.readonly), [.slow, .scripting],
                keys: "idx:2>num:0/1/1{RO,access}", group: .scripting, since: "7.0.0", complexity: "depends",
                summary: "Runs a Lua script, known by its SHA-1, that may not write.",
                arguments: "sha1:string numkeys:integer key:key#0?* arg:string?*",
                .engine { (engine: Engine, call: inout Call) throws(CommandError) in
                    try evalsha(engine, &call, readOnly: true)
                }),
        Command("eval_ro", arity: -3, flags.union(.readonly), [.slow, .scripting],
                keys: "idx:2>num:0/1/1{RO,access}", group: .scripting, since: "7.0.0", complexity: "depends",
                summary: "Runs a Lua script that may not write.",
                arguments: "script:string numkeys:integer key:key#0?* arg:string?*",
                .engine { (engine: Engine, call: inout Call) throws(CommandError) in
                    try eval(engine, &call, readOnly: true)
                }),
        Command("fcall", arity: -3, flags.union(.mayReplicate), [.slow, .scripting],
                keys: "idx:2>num:0/1/1{RW,access,update}", group: .scripting, since: "7.0.0", complexity: "depends",
                summary: "Runs a function of a library.",
                arguments: "function:string numkeys:integer key:key#0?* arg:string?*",
                .engine { (engine: Engine, call: inout Call) throws(CommandError) in
                    try fcall(engine, &call, readOnly: false)
                }),
        Command("fcall_ro", arity: -3, flags.union(.readonly), [.slow, .scripting],
                keys: "idx:2>num:0/1/1{RO,access}", group: .scripting, since: "7.0.0", complexity: "depends",
                summary: "Runs a function that may not write.",
                arguments: "function:string numkeys:integer key:key#0?* arg:string?*",
                .engine { (engine: Engine, call: inout Call) throws(CommandError) in
                    try fcall(engine, &call, readOnly: true)
                }),
        Command("script", arity: -2, [], [.slow], group: .scripting, since: "2.6.0", complexity: "per-subcommand",
                summary: "A container of commands about scripts.", subcommands: subcommands, .container),
    ]

    private static let subcommands: [Command] = [
        Command("debug", arity: 3, [.noscript], [.slow, .scripting], group: .scripting, since: "3.2.0",
                complexity: "O(1)", summary: "Chooses whether the connection's next EVAL is debugged, and how.",
                arguments: "mode:oneof(yes:pure-token@YES sync:pure-token@SYNC no:pure-token@NO)", .engine(debug)),
        Command("exists", arity: -3, [.noscript], [.slow, .scripting], group: .scripting, since: "2.6.0",
                complexity: "O(N);O(1)", summary: "Tells which scripts the server knows.",
                tips: "request_policy:all_shards,response_policy:agg_logical_and", arguments: "sha1:string*",
                .engine(exists)),
        Command("flush", arity: -2, [.noscript], [.slow, .scripting], group: .scripting, since: "2.6.0",
                complexity: "O(N)", summary: "Forgets all scripts.",
                tips: "request_policy:all_nodes,response_policy:all_succeeded",
                arguments: "flush-type:oneof?~6.2.0(async:pure-token@ASYNC sync:pure-token@SYNC)", .engine(flush)),
        Command("help", arity: 2, [.loading, .stale], [.slow, .scripting], group: .scripting, since: "5.0.0",
                complexity: "O(1)", summary: "Lists the subcommands.", .engine(help)),
        Command("kill", arity: 2, [.noscript, .allowBusy], [.slow, .scripting], group: .scripting, since: "2.6.0",
                complexity: "O(1)", summary: "Ends the script that runs.",
                tips: "request_policy:all_shards,response_policy:one_succeeded", .engine(kill)),
        Command("load", arity: 3, [.noscript, .stale], [.slow, .scripting], group: .scripting, since: "2.6.0",
                complexity: "O(N)", summary: "Keeps a script for EVALSHA.",
                tips: "request_policy:all_nodes,response_policy:all_succeeded", arguments: "script:string",
                .engine(load)),
        Command("show", arity: 3, [.noscript, .stale], [.slow, .scripting], group: .scripting, since: "8.0.0",
                complexity: "O(1)", summary: "Returns the source of a script.", arguments: "sha1:string",
                .engine(show)),
    ]

    // MARK: Running

    private static func eval(_ engine: Engine, _ call: inout Call, readOnly: Bool) throws(CommandError) {
        engine.showMonitors(script: call)
        let keyCount = try keyCount(call)
        if engine.current.debugMode != .off {
            try engine.scripts.debug(&call, keyCount: keyCount, readOnly: readOnly)
            return
        }
        let script = try engine.scripts.add(call[1], isForgettable: true)
        try engine.scripts.run(script, &call, keyCount: keyCount, readOnly: readOnly)
    }

    private static func fcall(_ engine: Engine, _ call: inout Call, readOnly: Bool) throws(CommandError) {
        engine.showMonitors(script: call)
        guard let function = engine.scripts.libraries.find(call[1]) else { throw .text("ERR Function not found") }
        guard let count = Decimal.parseInt64(call[2]) else { throw .text("ERR Bad number of keys provided") }
        try check(count, call)
        try engine.scripts.run(function, &call, keyCount: Int(count), readOnly: readOnly)
    }

    private static func evalsha(_ engine: Engine, _ call: inout Call, readOnly: Bool) throws(CommandError) {
        engine.showMonitors(script: call)
        // Known by its length before anything else is looked at.
        guard call[1].count == 40 else { throw .text("NOSCRIPT No matching script. Please use EVAL.") }
        let keyCount = try keyCount(call)
        if engine.current.debugMode != .off { throw .text("ERR Please use EVAL instead of EVALSHA for debugging") }
        try engine.scripts.run(engine.scripts.cache[call[1]], &call, keyCount: keyCount, readOnly: readOnly)
    }

    private static func keyCount(_ call: Call) throws(CommandError) -> Int {
        guard let count = Decimal.parseInt64(call[2]) else { throw .notInteger }
        try check(count, call)
        return Int(count)
    }

    private static func check(_ count: Int64, _ call: Call) throws(CommandError) {
        if count > Int64(call.count - 3) { throw .text("ERR Number of keys can't be greater than number of args") }
        if count < 0 { throw .text("ERR Number of keys can't be negative") }
    }

    // MARK: SCRIPT

    private static func load(_ engine: Engine, _ call: inout Call) throws(CommandError) {
        call.reply.bulk(try engine.scripts.add(call[2], isForgettable: false).name)
    }

    private static func exists(_ engine: Engine, _ call: inout Call) throws(CommandError) {
        call.reply.array(call.count - 2)
        for index in 2..<call.count {
            call.reply.integer(engine.scripts.cache[call[index]] == nil ? 0 : 1)
        }
    }

    private static func flush(_ engine: Engine, _ call: inout Call) throws(CommandError) {
        guard call.count == 2 || call.count == 3
            && (call[2].equalsIgnoringCase("sync") || call[2].equalsIgnoringCase("async")) else {
            throw .text("ERR SCRIPT FLUSH only support SYNC|ASYNC option")
        }
        let lazily = call.count == 3 ? call[2].equalsIgnoringCase("async")
            : engine.keyspace.thresholds.lazyfreeLazyUserFlush
        engine.scripts.forgetAll(lazily: lazily)
        call.reply.ok()
    }

    private static func kill(_ engine: Engine, _ call: inout Call) throws(CommandError) {
        try engine.scripts.kill(isFunction: false)
        call.reply.ok()
    }

    private static func show(_ engine: Engine, _ call: inout Call) throws(CommandError) {
        guard let script = engine.scripts.cache[call[2]] else {
            throw .text("NOSCRIPT No matching script. Please use EVAL.")
        }
        script.source.withUnsafeBytes { call.reply.bulk($0) }
    }

    private static func debug(_ engine: Engine, _ call: inout Call) throws(CommandError) {
        try engine.scripts.setDebugMode(&call)
    }

    private static func help(_ engine: Engine, _ call: inout Call) throws(CommandError) {
        HelpText.write(&call, [
            "DEBUG (YES|SYNC|NO)", "    Debug the next EVAL in a copy of the server, in the server itself, or not.",
            "EXISTS <sha1> [<sha1> ...]", "    Tell which of these scripts are kept.",
            "FLUSH [ASYNC|SYNC]", "    Forget all scripts.",
            "KILL", "    End the script that runs.",
            "LOAD <script>", "    Keep a script without running it.",
            "SHOW <sha1>", "    Return the source of a script.",
        ])
    }
}
