import Commands
import Engine
import Keyspace
import Primitives
import RESP

/// MEMORY: where the memory goes.
enum MemoryCommands {
    static let all: [Command] = [
        Command("memory", arity: -2, [], [.slow], group: .server, since: "4.0.0", complexity: "per-subcommand",
                summary: "A container of commands about memory.", subcommands: memorySubcommands, .container),
    ]

    private static let memorySubcommands: [Command] = [
        Command("doctor", arity: 2, [], [.slow], group: .server, since: "4.0.0", complexity: "O(1)",
                summary: "Reports on memory in words.",
                tips: "nondeterministic_output,request_policy:all_shards,response_policy:special", .server(doctor)),
        Command("help", arity: 2, [.loading, .stale], [.slow], group: .server, since: "4.0.0", complexity: "O(1)",
                summary: "Lists the subcommands.", .server(help)),
        Command("malloc-stats", arity: 2, [], [.slow], group: .server, since: "4.0.0", complexity: "depends",
                summary: "Answers the allocator's own report.",
                tips: "nondeterministic_output,request_policy:all_shards,response_policy:special",
                .server(mallocStats)),
        Command("purge", arity: 2, [], [.slow], group: .server, since: "4.0.0", complexity: "depends",
                summary: "Gives free memory back to the system.",
                tips: "request_policy:all_shards,response_policy:all_succeeded", .server(purge)),
        Command("stats", arity: 2, [], [.slow], group: .server, since: "4.0.0", complexity: "O(1)",
                summary: "Answers where the memory goes.",
                tips: "nondeterministic_output,request_policy:all_shards,response_policy:special", .server(stats)),
        Command("usage", arity: -3, [.readonly], [.read, .slow], keys: "idx:2>rng:0/1/0{RO}", group: .server,
                since: "4.0.0", complexity: "O(N)", summary: "Answers the bytes that a key and its value take.",
                arguments: "key:key#0 count:integer@SAMPLES?", .server(usage)),
    ]

    private static func usage(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        var samples = 5
        var index = 3
        while index < call.count {
            guard call.isWord(index, "SAMPLES"), index + 1 < call.count else { throw .syntax }
            let wanted = try call.integer(index + 1)
            if wanted < 0 { throw .syntax }
            samples = Int(wanted)
            index += 2
        }
        guard let entry = core.engine.keyspace.find(call[2], in: call.database, .peek) else {
            call.reply.null()
            return
        }
        let database = core.engine.keyspace.databases[call.database]
        call.reply.integer(entry.memoryBytes(in: database, samples: samples))
    }

    private static func stats(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let facts = MemoryFacts(core)
        let filled = (0..<core.engine.keyspace.databaseCount).filter {
            core.engine.keyspace.databases[$0].keys.count > 0
        }
        let mark = call.reply.beginDeferred()
        let reply = call.reply
        var pairs = 0
        func field(_ name: StaticString, _ value: Int) {
            reply.bulk(name)
            reply.integer(value)
            pairs += 1
        }
        func ratio(_ name: StaticString, _ value: Double) {
            reply.bulk(name)
            reply.double(value)
            pairs += 1
        }
        field("peak.allocated", facts.peak)
        field("total.allocated", facts.used)
        field("startup.allocated", facts.startup)
        field("replication.backlog", 0)
        field("clients.slaves", 0)
        field("clients.normal", facts.clients)
        field("cluster.links", 0)
        field("aof.buffer", facts.logBuffer)
        field("lua.caches", core.engine.scripts.sourceBytes)
        field("functions.caches", core.engine.scripts.functionSourceBytes)
        for index in filled {
            let database = core.engine.keyspace.databases[index]
            reply.bulk("db.\(index)")
            pairs += 1
            reply.map(2)
            reply.bulk("overhead.hashtable.main" as StaticString)
            reply.integer(database.keys.overheadBytes)
            reply.bulk("overhead.hashtable.expires" as StaticString)
            reply.integer(database.expires.overheadBytes)
        }
        field("overhead.db.hashtable.lut", facts.tables)
        field("overhead.db.hashtable.rehashing", facts.rehashing)
        field("db.dict.rehashing.count", facts.rehashingCount)
        field("overhead.total", facts.overhead)
        field("keys.count", facts.keys)
        field("keys.bytes-per-key", facts.keys == 0 ? 0 : max(0, facts.used - facts.startup) / facts.keys)
        field("dataset.bytes", facts.dataset)
        ratio("dataset.percentage", facts.datasetPercent)
        ratio("peak.percentage", facts.peakPercent)
        field("allocator.allocated", facts.allocator.allocated)
        field("allocator.active", facts.allocator.active)
        field("allocator.resident", facts.allocator.resident)
        field("allocator.muzzy", 0)
        ratio("allocator-fragmentation.ratio", facts.allocator.fragmentationRatio)
        field("allocator-fragmentation.bytes", facts.allocator.active - facts.allocator.allocated)
        ratio("allocator-rss.ratio", facts.allocator.residentRatio)
        field("allocator-rss.bytes", facts.allocator.resident - facts.allocator.active)
        ratio("rss-overhead.ratio", facts.residentOverheadRatio)
        field("rss-overhead.bytes", facts.resident - facts.allocator.resident)
        ratio("fragmentation", facts.fragmentation)
        field("fragmentation.bytes", facts.resident - facts.used)
        reply.endMap(mark, pairs)
    }

    private static func doctor(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        var text = MemoryDoctor(core).report
        text.withUTF8 { call.reply.verbatim("txt", Bytes($0)) }
    }

    private static func purge(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        Allocator.purge()
        core.control.processMemory.forget()
        call.reply.ok()
    }

    private static func mallocStats(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        var text = Allocator.report()
        text.withUTF8 { call.reply.verbatim("txt", Bytes($0)) }
    }

    private static func help(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        HelpText.write(&call, [
            "DOCTOR", "    Report in words.", "MALLOC-STATS", "    Answer the allocator's own report.",
            "PURGE", "    Give free memory back to the system.", "STATS", "    Answer where the memory goes.",
            "USAGE <key> [SAMPLES <count>]", "    Answer the bytes that <key> and its value take; of nested elements",
            "    <count> are looked at (default: 5, 0: all).",
        ])
    }
}
