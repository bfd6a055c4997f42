import Keyspace

/// Streams: append-only logs of entries with consumer groups.
package enum StreamCommands {
    package static let all: [Command] = entries + reading + groups + referring + releasing + idempotent

    private static let entries: [Command] = [
        Command("xadd", arity: -5, [.write, .denyoom, .fast], [.write, .stream, .fast],
                keys: "idx:1>rng:0/1/0{RW,update}", group: .stream, since: "5.0.0", complexity: "O(1);O(N)",
                summary: "Appends an entry to a stream, which is created if needed, and may trim it.",
                tips: "nondeterministic_output",
                arguments: """
                    key:key#0 nomkstream:pure-token@NOMKSTREAM?~6.2.0 \
                    trim:block?(strategy:oneof(maxlen:pure-token@MAXLEN minid:pure-token@MINID~6.2.0) \
                    operator:oneof?(equal:pure-token@= approximately:pure-token@~) threshold:string \
                    count:integer@LIMIT?~6.2.0) id-selector:oneof(auto-id:pure-token@* id:string) \
                    data:block*(field:string value:string)
                    """,
                propagates: .rewritten, .data(xadd)),
        Command("xdel", arity: -3, [.write, .fast], [.write, .stream, .fast], keys: "idx:1>rng:0/1/0{RW,delete}",
                group: .stream, since: "5.0.0", complexity: "O(1)", summary: "Removes entries from a stream by ID.",
                arguments: "key:key#0 ID:string*", propagates: .verbatim, .data(xdel)),
        Command("xlen", arity: 2, [.readonly, .fast], [.read, .stream, .fast], keys: "idx:1>rng:0/1/0{RO}",
                group: .stream, since: "5.0.0", complexity: "O(1)", summary: "Counts the entries of a stream.",
                arguments: "key:key#0", .data(xlen)),
        Command("xsetid", arity: -3, [.write, .denyoom, .fast], [.write, .stream, .fast],
                keys: "idx:1>rng:0/1/0{RW,update}", group: .stream, since: "5.0.0", complexity: "O(1)",
                summary: "Sets the last ID of a stream. Used by replication and the log.",
                arguments: """
                    key:key#0 last-id:string entries-added:integer@ENTRIESADDED?~7.0.0 \
                    max-deleted-id:string@MAXDELETEDID?~7.0.0
                    """,
                propagates: .verbatim, .data(xsetid)),
        Command("xtrim", arity: -4, [.write], [.write, .stream, .slow], keys: "idx:1>rng:0/1/0{RW,delete}",
                group: .stream, since: "5.0.0", complexity: "O(N)",
                summary: "Removes the oldest entries of a stream beyond a length or before an ID.",
                tips: "nondeterministic_output",
                arguments: """
                    key:key#0 trim:block(strategy:oneof(maxlen:pure-token@MAXLEN minid:pure-token@MINID~6.2.0) \
                    operator:oneof?(equal:pure-token@= approximately:pure-token@~) threshold:string \
                    count:integer@LIMIT?~6.2.0)
                    """,
                propagates: .rewritten, .data(xtrim)),
    ]

    private static let reading: [Command] = [
        Command("xrange", arity: -4, [.readonly], [.read, .stream, .slow], keys: "idx:1>rng:0/1/0{RO,access}",
                group: .stream, since: "5.0.0", complexity: "O(N);O(1)",
                summary: "Returns the entries of a stream between two IDs.",
                arguments: "key:key#0 start:string end:string count:integer@COUNT?", .data(xrange)),
        Command("xrevrange", arity: -4, [.readonly], [.read, .stream, .slow], keys: "idx:1>rng:0/1/0{RO,access}",
                group: .stream, since: "5.0.0", complexity: "O(N);O(1)",
                summary: "Returns the entries of a stream between two IDs, the last first.",
                arguments: "key:key#0 end:string start:string count:integer@COUNT?", .data(xrevrange)),
        Command("xread", arity: -4, [.readonly, .blocking, .movablekeys], [.read, .stream, .slow, .blocking],
                keys: "kw:STREAMS@1>rng:-1/1/2{RO,access}", group: .stream, since: "5.0.0",
                summary: "Returns the entries of streams behind given IDs, or waits for some.",
                arguments: """
                    count:integer@COUNT? milliseconds:integer@BLOCK? streams:block@STREAMS(key:key#0* ID:string*)
                    """,
                .data(xread)),
        Command("xreadgroup", arity: -7, [.write, .blocking, .movablekeys], [.write, .stream, .slow, .blocking],
                keys: "kw:STREAMS@4>rng:-1/1/2{RO,access}", group: .stream, since: "5.0.0",
                complexity: "O(M);O(1);O(N)",
                summary: "Gives a consumer of a group new entries of streams, or its pending ones again.",
                arguments: """
                    group-block:block@GROUP(group:string consumer:string) count:integer@COUNT? \
                    milliseconds:integer@BLOCK? noack:pure-token@NOACK? \
                    streams:block@STREAMS(key:key#0* ID:string*)
                    """,
                propagates: .rewritten, .data(xreadgroup)),
        Command("xinfo", arity: -2, [], [.slow], group: .stream, since: "5.0.0", complexity: "per-subcommand",
                summary: "Container of commands that describe streams.", subcommands: [
            Command("consumers", arity: 4, [.readonly], [.read, .stream, .slow], keys: "idx:2>rng:0/1/0{RO,access}",
                    group: .stream, since: "5.0.0", complexity: "O(1)", summary: "Lists the consumers of a group.",
                    tips: "nondeterministic_output", arguments: "key:key#0 group:string", .data(infoConsumers)),
            Command("groups", arity: 3, [.readonly], [.read, .stream, .slow], keys: "idx:2>rng:0/1/0{RO,access}",
                    group: .stream, since: "5.0.0", complexity: "O(1)", summary: "Lists the groups of a stream.",
                    arguments: "key:key#0", .data(infoGroups)),
            Command("help", arity: 2, [.loading, .stale], [.stream, .slow], group: .stream, since: "5.0.0",
                    complexity: "O(1)", summary: "Describes the subcommands.", .data(infoHelp)),
            Command("stream", arity: -3, [.readonly], [.read, .stream, .slow], keys: "idx:2>rng:0/1/0{RO,access}",
                    group: .stream, since: "5.0.0", complexity: "O(1)", summary: "Describes a stream.",
                    arguments: "key:key#0 full-block:block?(full:pure-token@FULL count:integer@COUNT?)",
                    .data(infoStream)),
        ], .container),
    ]

    private static let groups: [Command] = [
        Command("xack", arity: -4, [.write, .fast], [.write, .stream, .fast], keys: "idx:1>rng:0/1/0{RW,update}",
                group: .stream, since: "5.0.0", complexity: "O(1)",
                summary: "Counts and forgets pending entries of a group, which were dealt with.",
                arguments: "key:key#0 group:string ID:string*", propagates: .verbatim, .data(xack)),
        Command("xautoclaim", arity: -6, [.write, .fast], [.write, .stream, .fast],
                keys: "idx:1>rng:0/1/0{RW,delete}", group: .stream, since: "6.2.0", complexity: "O(1)",
                summary: "Takes over pending entries that nobody has touched for a while.",
                tips: "nondeterministic_output",
                arguments: """
                    key:key#0 group:string consumer:string min-idle-time:string start:string count:integer@COUNT? \
                    justid:pure-token@JUSTID?
                    """,
                propagates: .rewritten, .data(xautoclaim)),
        Command("xclaim", arity: -6, [.write, .fast], [.write, .stream, .fast], keys: "idx:1>rng:0/1/0{RW,update}",
                group: .stream, since: "5.0.0", complexity: "O(logN)", summary: "Takes over given pending entries.",
                tips: "nondeterministic_output",
                arguments: """
                    key:key#0 group:string consumer:string min-idle-time:string ID:string* ms:integer@IDLE? \
                    unix-time-milliseconds:unix-time@TIME? count:integer@RETRYCOUNT? force:pure-token@FORCE? \
                    justid:pure-token@JUSTID? lastid:string@LASTID?
                    """,
                propagates: .rewritten, .data(xclaim)),
        Command("xpending", arity: -3, [.readonly], [.read, .stream, .slow], keys: "idx:1>rng:0/1/0{RO,access}",
                group: .stream, since: "5.0.0", complexity: "O(N);O(1);O(M)",
                summary: "Describes the pending entries of a group.", tips: "nondeterministic_output",
                arguments: """
                    key:key#0 group:string filters:block?(min-idle-time:integer@IDLE?~6.2.0 start:string \
                    end:string count:integer consumer:string?)
                    """,
                .data(xpending)),
        Command("xgroup", arity: -2, [], [.slow], group: .stream, since: "5.0.0", complexity: "per-subcommand",
                summary: "Container of commands that manage consumer groups.", subcommands: groupSubcommands,
                .container),
    ]

    private static let groupSubcommands: [Command] = [
        Command("create", arity: -5, [.write, .denyoom], [.write, .stream, .slow],
                keys: "idx:2>rng:0/1/0{RW,insert}", group: .stream, since: "5.0.0", complexity: "O(1)",
                summary: "Creates a consumer group.",
                arguments: """
                    key:key#0 group:string id-selector:oneof(id:string new-id:pure-token@$) \
                    mkstream:pure-token@MKSTREAM? entriesread:integer@ENTRIESREAD?
                    """,
                propagates: .verbatim, .data(groupCreate)),
        Command("createconsumer", arity: 5, [.write, .denyoom], [.write, .stream, .slow],
                keys: "idx:2>rng:0/1/0{RW,insert}", group: .stream, since: "6.2.0", complexity: "O(1)",
                summary: "Creates a consumer in a group.", arguments: "key:key#0 group:string consumer:string",
                propagates: .verbatim, .data(groupCreateConsumer)),
        Command("delconsumer", arity: 5, [.write], [.write, .stream, .slow], keys: "idx:2>rng:0/1/0{RW,delete}",
                group: .stream, since: "5.0.0", complexity: "O(1)",
                summary: "Removes a consumer of a group, with its pending entries.",
                arguments: "key:key#0 group:string consumer:string", propagates: .verbatim,
                .data(groupDeleteConsumer)),
        Command("destroy", arity: 4, [.write], [.write, .stream, .slow], keys: "idx:2>rng:0/1/0{RW,delete}",
                group: .stream, since: "5.0.0", complexity: "O(N)", summary: "Removes a consumer group.",
                arguments: "key:key#0 group:string", propagates: .verbatim, .data(groupDestroy)),
        Command("help", arity: 2, [.loading, .stale], [.stream, .slow], group: .stream, since: "5.0.0",
                complexity: "O(1)", summary: "Describes the subcommands.", .data(groupHelp)),
        Command("setid", arity: -5, [.write], [.write, .stream, .slow], keys: "idx:2>rng:0/1/0{RW,update}",
                group: .stream, since: "5.0.0", complexity: "O(1)", summary: "Sets the last delivered ID of a group.",
                arguments: """
                    key:key#0 group:string id-selector:oneof(id:string new-id:pure-token@$) \
                    entriesread:integer@ENTRIESREAD?
                    """,
                propagates: .verbatim, .data(groupSetID)),
    ]
}
