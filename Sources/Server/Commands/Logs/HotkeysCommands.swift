import Commands
import CShims
import Engine
import Primitives
import RESP

/// HOTKEYS: which keys cost most time and most bytes, while a session runs.
enum HotkeysCommands {
    static let all: [Command] = [
        Command("hotkeys", arity: -2, [], [.slow], group: .server, since: "8.6.0", complexity: "per-subcommand",
                summary: "A container of commands that find expensive keys.", subcommands: subcommands, .container),
    ]

    private static let subcommands: [Command] = [
        Command("get", arity: 2, [.admin, .noscript], [.admin, .slow, .dangerous], group: .server, since: "8.6.0",
                complexity: "O(K)", summary: "Lists the most expensive keys of the session.",
                tips: "nondeterministic_output,request_policy:special,response_policy:special", .server(get)),
        Command("help", arity: 2, [.loading, .stale], [.slow], group: .server, since: "8.6.1", complexity: "O(1)",
                summary: "Lists the subcommands.", .server(help)),
        Command("reset", arity: 2, [.admin, .noscript], [.admin, .slow, .dangerous], group: .server, since: "8.6.0",
                complexity: "O(1)", summary: "Forgets the session.", tips: "request_policy:special", .server(reset)),
        Command("start", arity: -2, [.admin, .noscript], [.admin, .slow, .dangerous], group: .server, since: "8.6.0",
                complexity: "O(1)", summary: "Begins a session.", tips: "request_policy:special", arguments: """
                    metrics:block@METRICS(count:integer cpu:pure-token@CPU? net:pure-token@NET?) k:integer@COUNT? \
                    seconds:integer@DURATION? ratio:integer@SAMPLE? slots:block@SLOTS?(count:integer slot:integer*)
                    """, .server(start)),
        Command("stop", arity: 2, [.admin, .noscript], [.admin, .slow, .dangerous], group: .server, since: "8.6.0",
                complexity: "O(1)", summary: "Ends the session; what it found stays.", tips: "request_policy:special",
                .server(stop)),
    ]

    // MARK: START

    private static func start(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let engine = core.engine
        engine.hotKeys?.checkEnd(engine.keyspace.now)
        if engine.hotKeys?.isActive == true { throw .text("ERR hotkey tracking session already in progress") }
        engine.trackHotKeys(HotKeys(try settings(call), at: engine.keyspace.now))
        core.control.hotKeysProcessorTime = processorTime()
        core.control.hotKeysProcessorEnd = nil
        call.reply.ok()
    }

    private static func settings(_ call: Call) throws(CommandError) -> HotKeys.Settings {
        var settings = HotKeys.Settings()
        var index = 2
        while index < call.count {
            guard index + 1 < call.count else { throw .syntax }
            if call.isWord(index, "METRICS") {
                index = try metrics(call, index + 1, &settings)
                continue
            }
            if call.isWord(index, "COUNT") {
                settings.count = Int(try call.integer(index + 1, in: 1...64,
                                                      orThrow: .text("ERR COUNT must be between 1 and 64")))
            } else if call.isWord(index, "DURATION") {
                settings.seconds = try call.integer(index + 1, in: 1...1_000_000,
                                                    orThrow: .text("ERR DURATION must be between 1 and 1000000"))
            } else if call.isWord(index, "SAMPLE") {
                settings.ratio = try call.integer(index + 1, in: 1...Int64.max,
                                                  orThrow: .text("ERR SAMPLE ratio must be positive"))
            } else if call.isWord(index, "SLOTS") {
                throw .text("ERR SLOTS parameter cannot be used in non-cluster mode")
            } else {
                throw .syntax
            }
            index += 2
        }
        if !settings.countsTime && !settings.countsBytes { throw .text("ERR METRICS parameter is required") }
        return settings
    }

    /// `count [CPU] [NET]` from argument `first` on; the index behind it.
    private static func metrics(_ call: Call, _ first: Int, _ settings: inout HotKeys.Settings)
        throws(CommandError) -> Int {
        let wanted = try call.integer(first)
        var index = first + 1, found: Int64 = 0
        while index < call.count {
            if call.isWord(index, "CPU") {
                if settings.countsTime { throw .text("ERR METRICS CPU defined more than once!") }
                settings.countsTime = true
            } else if call.isWord(index, "NET") {
                if settings.countsBytes { throw .text("ERR METRICS NET defined more than once!") }
                settings.countsBytes = true
            } else { break }
            index += 1
            found += 1
        }
        if found == 0 { throw .text("ERR METRICS no valid metrics passed. Supported: CPU|NET") }
        if found != wanted { throw .text("ERR METRICS count does not match number of metric types provided") }
        return index
    }

    // MARK: STOP, RESET, GET

    private static func stop(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let engine = core.engine
        engine.hotKeys?.checkEnd(engine.keyspace.now)
        guard let session = engine.hotKeys, session.isActive else { call.reply.null(); return }
        session.stop(at: engine.keyspace.now)
        engine.trackHotKeys(session)
        freeze(core)
        call.reply.ok()
    }

    private static func reset(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        core.engine.hotKeys?.checkEnd(core.engine.keyspace.now)
        if core.engine.hotKeys?.isActive == true {
            throw .text("ERR hotkey tracking session in progress, stop tracking first")
        }
        core.engine.trackHotKeys(nil)
        call.reply.ok()
    }

    private static func get(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let engine = core.engine
        guard let session = engine.hotKeys else { call.reply.null(); return }
        session.checkEnd(engine.keyspace.now)
        if !session.isActive { freeze(core) }
        let end = session.end ?? engine.keyspace.now
        let settings = session.settings, reply = call.reply
        reply.map(7 + (settings.countsTime ? 3 : 0) + (settings.countsBytes ? 2 : 0))
        func field(_ name: StaticString, _ value: Int64) {
            reply.bulk(name)
            reply.integer(value)
        }
        field("tracking-active", session.isActive ? 1 : 0)
        field("sample-ratio", settings.ratio)
        reply.bulk("selected-slots")
        // Of a stand-alone server: all of them.
        reply.array(1)
        reply.array(2)
        reply.integer(0)
        reply.integer(16383)
        field("all-commands-all-slots-us", Int64(session.total.nanoseconds / 1000))
        field("net-bytes-all-commands-all-slots", Int64(session.total.bytes))
        field("collection-start-time-unix-ms", session.start.rawValue)
        field("collection-duration-ms", end.rawValue - session.start.rawValue)
        if settings.countsTime {
            let (from, to) = (core.control.hotKeysProcessorTime, core.control.hotKeysProcessorEnd ?? processorTime())
            field("total-cpu-time-user-ms", (to.user - from.user) / 1000)
            field("total-cpu-time-sys-ms", (to.system - from.system) / 1000)
        }
        if settings.countsBytes { field("total-net-bytes", Int64(session.total.bytes)) }
        if settings.countsTime {
            list("by-cpu-time-us", session.top(\.nanoseconds, settings.count), reply) { Int64($0.nanoseconds / 1000) }
        }
        if settings.countsBytes {
            list("by-net-bytes", session.top(\.bytes, settings.count), reply) { Int64($0.bytes) }
        }
    }

    private static func list(_ name: StaticString, _ keys: [(key: [UInt8], cost: HotKeys.Cost)], _ reply: ReplyWriter,
                             _ value: (HotKeys.Cost) -> Int64) {
        reply.bulk(name)
        reply.array(keys.count * 2)
        for (key, cost) in keys {
            key.withUnsafeBytes { reply.bulk($0) }
            reply.integer(value(cost))
        }
    }

    private static func processorTime() -> (user: Int64, system: Int64) {
        var user: Int64 = 0, system: Int64 = 0
        sr_processor_time(0, &user, &system)
        return (user, system)
    }

    /// The processor's time counts until the session ended, or was first seen to have ended.
    private static func freeze(_ core: ServerCore) {
        core.control.hotKeysProcessorEnd = core.control.hotKeysProcessorEnd ?? processorTime()
    }

    private static func help(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        HelpText.write(&call, [
            "START METRICS <count> [CPU] [NET] [COUNT <k>] [DURATION <seconds>] [SAMPLE <ratio>]",
            "    Begin a session: count the time or the bytes of commands (or both) by key, show <k> keys",
            "    (default: 10), end after <seconds>, look at one command in <ratio>.",
            "STOP", "    End the session; what it found stays.", "GET", "    Answer what was found.",
            "RESET", "    Forget what was found.",
        ])
    }
}
