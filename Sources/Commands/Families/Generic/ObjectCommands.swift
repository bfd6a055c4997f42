import Keyspace
import Primitives
import RESP

/// OBJECT and its subcommands.
package enum ObjectCommands {
    static let subcommands: [Command] = [
        subcommand("encoding", "2.2.3", "Returns how the value of a key is held in memory.", .data(encoding)),
        subcommand("freq", "4.0.0", "Returns the logarithmic access counter of a key.", .data(freq)),
        Command("help", arity: 2, [.loading, .stale], [.keyspace, .slow], group: .generic, since: "6.2.0",
                complexity: "O(1)", summary: "Returns a text about the subcommands.", .data(help)),
        subcommand("idletime", "2.2.3", "Returns the seconds since the last access to a key.", .data(idletime)),
        subcommand("refcount", "2.2.3", "Returns how many places share the value of a key.", .data(refcount)),
    ]

    private static func subcommand(_ name: StaticString, _ since: StaticString, _ summary: StaticString,
                                   _ handler: Handler) -> Command {
        Command(name, arity: 3, [.readonly], [.keyspace, .read, .slow], keys: "idx:2>rng:0/1/0{RO}",
                group: .generic, since: since, complexity: "O(1)", summary: summary,
                tips: "nondeterministic_output", arguments: "key:key#0", handler)
    }

    /// The entry asked about; without one, null was replied.
    private static func entry(_ keyspace: inout Keyspace, _ call: Call) -> Entry? {
        let entry = keyspace.find(call[2], in: call.database, .glance)
        if entry == nil { call.reply.null() }
        return entry
    }

    static func encoding(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        if let entry = entry(&keyspace, call) { call.reply.bulk(entry.encoding.name) }
    }

    /// Nothing is shared here; small integers answer as where they are, which clients use to recognise them.
    static func refcount(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        guard let entry = entry(&keyspace, call) else { return }
        let isSmall = entry.encoding == .int && (0..<10_000).contains(entry.integer)
        call.reply.integer(isSmall ? Int(Int32.max) : 1)
    }

    static func idletime(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        guard let entry = entry(&keyspace, call) else { return }
        if keyspace.usesLFU {
            throw .text("""
                ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching \
                between policies at runtime LRU and LFU data will take some time to adjust.
                """)
        }
        call.reply.integer(Int64((keyspace.accessClock &- entry.access) & 0xff_ffff))
    }

    static func freq(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        guard let entry = entry(&keyspace, call) else { return }
        if !keyspace.usesLFU {
            throw .text("""
                ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when \
                switching between policies at runtime LRU and LFU data will take some time to adjust.
                """)
        }
        call.reply.integer(Int64(keyspace.lfu.counter(entry.access, keyspace.accessClock)))
    }

    static func help(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let lines: [StaticString] = [
            "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
            "ENCODING <key>", "    How the value is held in memory.",
            "FREQ <key>", "    The access counter, under an LFU maxmemory policy.",
            "IDLETIME <key>", "    Seconds since the last access, under any other.",
            "REFCOUNT <key>", "    How many places share the value.",
            "HELP", "    This text.",
        ]
        call.reply.array(lines.count)
        for line in lines { call.reply.simple(line) }
    }
}
