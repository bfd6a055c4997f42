import Commands
import Engine
import Keyspace
import Primitives
import RESP

/// LATENCY: what took long, and how long commands take.
enum LatencyCommands {
    static let all: [Command] = [
        Command("latency", arity: -2, [], [.slow], group: .server, since: "2.8.13", complexity: "per-subcommand",
                summary: "A container of commands about latency.", subcommands: latencySubcommands, .container),
    ]

    private static let latencySubcommands: [Command] = [
        Command("doctor", arity: 2, [.admin, .noscript, .loading, .stale], [.admin, .slow, .dangerous],
                group: .server, since: "2.8.13", complexity: "O(1)", summary: "Reports on latency in words.",
                tips: "nondeterministic_output,request_policy:all_nodes,response_policy:special", .server(doctor)),
        Command("graph", arity: 3, [.admin, .noscript, .loading, .stale], [.admin, .slow, .dangerous], group: .server,
                since: "2.8.13", complexity: "O(1)", summary: "Draws the latency of an event.",
                tips: "nondeterministic_output,request_policy:all_nodes,response_policy:special",
                arguments: "event:string", .server(graph)),
        Command("help", arity: 2, [.loading, .stale], [.slow], group: .server, since: "2.8.13", complexity: "O(1)",
                summary: "Lists the subcommands.", .server(help)),
        Command("histogram", arity: -2, [.admin, .noscript, .loading, .stale], [.admin, .slow, .dangerous],
                group: .server, since: "7.0.0", complexity: "O(N)",
                summary: "Answers the distribution of commands' latencies.",
                tips: "nondeterministic_output,request_policy:all_nodes,response_policy:special",
                arguments: "COMMAND:string?*", .server(histogram)),
        Command("history", arity: 3, [.admin, .noscript, .loading, .stale], [.admin, .slow, .dangerous],
                group: .server, since: "2.8.13", complexity: "O(1)", summary: "Answers the samples of an event.",
                tips: "nondeterministic_output,request_policy:all_nodes,response_policy:special",
                arguments: "event:string", .server(history)),
        Command("latest", arity: 2, [.admin, .noscript, .loading, .stale], [.admin, .slow, .dangerous],
                group: .server, since: "2.8.13", complexity: "O(1)",
                summary: "Answers the latest sample of every event.",
                tips: "nondeterministic_output,request_policy:all_nodes,response_policy:special", .server(latest)),
        Command("reset", arity: -2, [.admin, .noscript, .loading, .stale], [.admin, .slow, .dangerous],
                group: .server, since: "2.8.13", complexity: "O(1)", summary: "Forgets samples.",
                tips: "request_policy:all_nodes,response_policy:agg_sum", arguments: "event:string?*",
                .server(reset)),
    ]

    private static func latest(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let events = core.engine.latencyMonitor.events.sorted { $0.key < $1.key }
        call.reply.array(events.count)
        for (name, event) in events {
            call.reply.array(4)
            call.reply.bulk(name)
            call.reply.integer(event.samples.last?.second ?? 0)
            call.reply.integer(event.samples.last?.milliseconds ?? 0)
            call.reply.integer(event.maximum)
        }
    }

    private static func history(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let samples = core.engine.latencyMonitor.events[Text(call[2]).description]?.samples ?? []
        call.reply.array(samples.count)
        for sample in samples {
            call.reply.array(2)
            call.reply.integer(sample.second)
            call.reply.integer(sample.milliseconds)
        }
    }

    private static func reset(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let monitor = core.engine.latencyMonitor
        if call.count == 2 {
            call.reply.integer(monitor.resetAll())
            return
        }
        var dropped = 0
        for index in 2..<call.count where monitor.reset(Text(call[index]).description) { dropped += 1 }
        call.reply.integer(dropped)
    }

    /// Bars from the oldest sample to the newest, the highest four rows tall, with the sample's age below.
    private static func graph(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let name = Text(call[2]).description
        guard let event = core.engine.latencyMonitor.events[name] else {
            throw .message("ERR No samples available for event '\(name)'")
        }
        let samples = event.samples.suffix(80)
        let high = samples.map(\.milliseconds).max() ?? 0, low = samples.map(\.milliseconds).min() ?? 0
        var text = "\(name) - high \(high) ms, low \(low) ms (all time high \(event.maximum) ms)\n"
        text += String(repeating: "-", count: 80) + "\n"
        let rows = 4
        let levels = samples.map { high == 0 ? 0 : Int($0.milliseconds * Int64(rows * 2) / max(high, 1)) }
        for row in stride(from: rows - 1, through: 0, by: -1) {
            for level in levels { text += level >= row * 2 + 2 ? "#" : level == row * 2 + 1 ? "_" : " " }
            text += "\n"
        }
        text += "\n"
        let now = core.engine.keyspace.now.seconds
        let ages = samples.map { Array(age(max(0, now - $0.second)).utf8) }
        for line in 0..<(ages.map(\.count).max() ?? 0) {
            for label in ages { text += line < label.count ? String(UnicodeScalar(label[line])) : " " }
            text += "\n"
        }
        var bytes = text
        bytes.withUTF8 { call.reply.verbatim("txt", Bytes($0)) }
    }

    private static func age(_ seconds: Int64) -> String {
        if seconds < 60 { return "\(seconds)s" }
        if seconds < 3600 { return "\(seconds / 60)m" }
        return seconds < 86400 ? "\(seconds / 3600)h" : "\(seconds / 86400)d"
    }

    private static func doctor(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        var text = report(core)
        text.withUTF8 { call.reply.verbatim("txt", Bytes($0)) }
    }

    private static func report(_ core: ServerCore) -> String {
        let monitor = core.engine.latencyMonitor
        if monitor.threshold == 0 {
            return """
                Latency monitoring is off. Turn it on with "CONFIG SET latency-monitor-threshold <milliseconds>" and \
                ask again when something was slow.\n
                """
        }
        if monitor.events.isEmpty {
            return "Nothing took longer than \(monitor.threshold) ms since the last reset: all is well.\n"
        }
        var text = "Events that took longer than \(monitor.threshold) ms:\n\n"
        for (number, (name, event)) in monitor.events.sorted(by: { $0.key < $1.key }).enumerated() {
            text += "\(number + 1). \(name): \(describe(event, core.engine.keyspace.now.seconds)) \(advice(name))\n"
        }
        return text
    }

    private static func describe(_ event: LatencyMonitor.Event, _ now: Int64) -> String {
        let times = event.samples.map(\.milliseconds), count = Int64(max(times.count, 1))
        let mean = times.reduce(0, +) / count
        let deviation = times.map { abs($0 - mean) }.reduce(0, +) / count
        let seconds = Double(max(now - (event.samples.first?.second ?? now), 0)) / Double(count)
        return "\(times.count) spikes, on average \(mean) ms (mean deviation \(deviation) ms), one in "
            + "\(InfoWriter.fixed(seconds, 1)) seconds, at worst \(event.maximum) ms."
    }

    private static func advice(_ event: String) -> String {
        switch event {
        case "command": "See SLOWLOG for the commands; commands over many elements can be split or use SCAN."
        case "fast-command": "Fast commands that are slow mean that the machine is: look at CPU, swap, virtualisation."
        case "command-unblocking":
            "What a waiting client got took long to make: see SLOWLOG, and smaller COUNTs help."
        case "while-blocked-cron": "Clients were served slowly while data was loaded or a script ran for long."
        case "rdb-unlink-temp-file": "Removing a big file takes long here; the engine does not wait for it."
        case "expire-del", "eviction-del":
            "Big values are freed by the engine: lazyfree-lazy-expire and -eviction leave that to a thread."
        case "fork": "Forking takes long: less memory per instance or no transparent huge pages help."
        case let name where name.hasPrefix("aof"): "The disk is slow: look at what else uses it."
        case let name where name.hasPrefix("expire"): "Many keys expire at the same time: spread their TTLs."
        case let name where name.hasPrefix("eviction"): "Much is evicted at once: raise maxmemory."
        default: ""
        }
    }

    private static func histogram(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let table = core.engine.table
        var ids: [Int] = []
        if call.count == 2 {
            ids = Array(0..<table.count)
        } else {
            for index in 2..<call.count {
                guard let id = table.findFullName(call[index]) else { continue }
                let row = table.rows[id]
                ids.append(id)
                if row.subcommandCount > 0 { ids += row.firstSubcommand..<(row.firstSubcommand + row.subcommandCount) }
            }
        }
        let measured = ids.filter { core.engine.histograms[$0] != nil }
        call.reply.map(measured.count)
        for id in measured {
            guard let latencies = core.engine.latencies(id) else { continue }
            call.reply.bulk(table.rows[id].fullName)
            call.reply.map(2)
            call.reply.bulk("calls" as StaticString)
            call.reply.integer(Int64(latencies.total))
            call.reply.bulk("histogram_usec" as StaticString)
            let rows = latencies.cumulative()
            call.reply.map(rows.count)
            for row in rows {
                call.reply.integer(Int64(row.microseconds))
                call.reply.integer(Int64(row.count))
            }
        }
    }

    private static func help(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        HelpText.write(&call, [
            "DOCTOR", "    Report in words.", "GRAPH <event>", "    Draw the samples of an event.",
            "HISTORY <event>", "    Answer time and latency of the samples of an event.",
            "LATEST", "    Answer the latest sample of every event.",
            "RESET [<event> ...]", "    Forget these events, or all.",
            "HISTOGRAM [COMMAND ...]", "    Answer how long calls of these commands, or of all, took.",
        ])
    }
}
