import Keyspace
import Primitives
import RESP

// Commands on keys whatever they hold, and on whole databases. Their handlers are in the files beside this one.

package enum GenericCommands {
    package static let all: [Command] = keys + expiry + moves + walks + [SortCommands.sort, SortCommands.sortReadOnly]

    private static let keys: [Command] = [
        Command("del", arity: -2, [.write], [.keyspace, .write, .slow], keys: "idx:1>rng:-1/1/0{RM,delete}",
                group: .generic, since: "1.0.0", complexity: "O(N);O(M);O(1)", summary: "Deletes keys.",
                tips: "request_policy:multi_shard,response_policy:agg_sum", arguments: "key:key#0*",
                propagates: .verbatim, .data(del)),
        Command("unlink", arity: -2, [.write, .fast], [.keyspace, .write, .fast],
                keys: "idx:1>rng:-1/1/0{RM,delete}", group: .generic, since: "4.0.0", complexity: "O(1);O(N)",
                summary: "Deletes keys; the memory of large values is freed in the background.",
                tips: "request_policy:multi_shard,response_policy:agg_sum", arguments: "key:key#0*",
                propagates: .verbatim, .data(unlink)),
        Command("exists", arity: -2, [.readonly, .fast], [.keyspace, .read, .fast], keys: "idx:1>rng:-1/1/0{RO}",
                group: .generic, since: "1.0.0", complexity: "O(N)", summary: "Counts which of the keys exist.",
                tips: "request_policy:multi_shard,response_policy:agg_sum", arguments: "key:key#0*", .data(exists)),
        Command("touch", arity: -2, [.readonly, .fast], [.keyspace, .read, .fast], keys: "idx:1>rng:-1/1/0{RO}",
                group: .generic, since: "3.2.1", complexity: "O(N)",
                summary: "Counts which of the keys exist, and marks them as used now.",
                tips: "request_policy:multi_shard,response_policy:agg_sum", arguments: "key:key#0*", .data(touch)),
        Command("type", arity: 2, [.readonly, .fast], [.keyspace, .read, .fast], keys: "idx:1>rng:0/1/0{RO}",
                group: .generic, since: "1.0.0", complexity: "O(1)",
                summary: "Returns the type of the value at a key.", arguments: "key:key#0", .data(type)),
        Command("object", arity: -2, [], [.slow], group: .generic, since: "2.2.3", complexity: "per-subcommand",
                summary: "Container of commands that look into a key's value.",
                subcommands: ObjectCommands.subcommands, .container),
    ]

    private static let expiry: [Command] = [
        expire("expire", "1.0.0", "Sets how many seconds a key lives on.", """
                   key:key#0 seconds:integer condition:oneof?~7.0.0(nx:pure-token@NX xx:pure-token@XX \
                   gt:pure-token@GT lt:pure-token@LT)
                   """, .data(expire)),
        expire("pexpire", "2.6.0", "Sets how many milliseconds a key lives on.", """
                   key:key#0 milliseconds:integer condition:oneof?~7.0.0(nx:pure-token@NX xx:pure-token@XX \
                   gt:pure-token@GT lt:pure-token@LT)
                   """,
               .data(pexpire)),
        expire("expireat", "1.2.0", "Sets until when a key lives, in Unix time.", """
                   key:key#0 unix-time-seconds:unix-time condition:oneof?~7.0.0(nx:pure-token@NX xx:pure-token@XX \
                   gt:pure-token@GT lt:pure-token@LT)
                   """,
               .data(expireat)),
        expire("pexpireat", "2.6.0", "Sets until when a key lives, in Unix time in milliseconds.",
               """
                   key:key#0 unix-time-milliseconds:unix-time condition:oneof?~7.0.0(nx:pure-token@NX xx:pure-token@XX \
                   gt:pure-token@GT lt:pure-token@LT)
                   """, .data(pexpireat)),
        timeLeft("ttl", "1.0.0", "Returns how many seconds a key has left.", tips: "nondeterministic_output",
                 .data(ttl)),
        timeLeft("pttl", "2.6.0", "Returns how many milliseconds a key has left.", tips: "nondeterministic_output",
                 .data(pttl)),
        timeLeft("expiretime", "7.0.0", "Returns until when a key lives, in Unix time.", tips: "", .data(expiretime)),
        timeLeft("pexpiretime", "7.0.0", "Returns until when a key lives, in Unix time in milliseconds.", tips: "",
                 .data(pexpiretime)),
        Command("persist", arity: 2, [.write, .fast], [.keyspace, .write, .fast], keys: "idx:1>rng:0/1/0{RW,update}",
                group: .generic, since: "2.2.0", complexity: "O(1)", summary: "Removes a key's expiry.",
                arguments: "key:key#0", propagates: .verbatim, .data(persist)),
    ]

    private static func expire(_ name: StaticString, _ since: StaticString, _ summary: StaticString,
                               _ schema: StaticString, _ handler: Handler) -> Command {
        Command(name, arity: -3, [.write, .fast], [.keyspace, .write, .fast], keys: "idx:1>rng:0/1/0{RW,update}",
                group: .generic, since: since, complexity: "O(1)", summary: summary,
                arguments: schema, propagates: .rewritten, handler)
    }

    private static func timeLeft(_ name: StaticString, _ since: StaticString, _ summary: StaticString,
                                 tips: StaticString, _ handler: Handler) -> Command {
        Command(name, arity: 2, [.readonly, .fast], [.keyspace, .read, .fast], keys: "idx:1>rng:0/1/0{RO,access}",
                group: .generic, since: since, complexity: "O(1)", summary: summary, tips: tips,
                arguments: "key:key#0", handler)
    }

    private static let moves: [Command] = [
        Command("rename", arity: 3, [.write], [.keyspace, .write, .slow],
                keys: "idx:1>rng:0/1/0{RW,access,delete}; idx:2>rng:0/1/0{OW,update}", group: .generic,
                since: "1.0.0", complexity: "O(1)", summary: "Gives a key another name, replacing what has it.",
                arguments: "key:key#0 newkey:key#1", propagates: .verbatim, .data(rename)),
        Command("renamenx", arity: 3, [.write, .fast], [.keyspace, .write, .fast],
                keys: "idx:1>rng:0/1/0{RW,access,delete}; idx:2>rng:0/1/0{OW,insert}", group: .generic,
                since: "1.0.0", complexity: "O(1)", summary: "Gives a key another name if no key has it.",
                arguments: "key:key#0 newkey:key#1", propagates: .verbatim, .data(renamenx)),
        Command("copy", arity: -3, [.write, .denyoom], [.keyspace, .write, .slow],
                keys: "idx:1>rng:0/1/0{RO,access}; idx:2>rng:0/1/0{OW,update}", group: .generic, since: "6.2.0",
                complexity: "O(N);O(1)", summary: "Copies a key's value and expiry to another key.", arguments: """
                    source:key#0 destination:key#1 destination-db:integer@DB? replace:pure-token@REPLACE?
                    """, propagates: .verbatim, .data(copy)),
        Command("move", arity: 3, [.write, .fast], [.keyspace, .write, .fast],
                keys: "idx:1>rng:0/1/0{RW,access,update}", group: .generic, since: "1.0.0", complexity: "O(1)",
                summary: "Moves a key to another database.", arguments: "key:key#0 db:integer",
                propagates: .verbatim, .data(move)),
        Command("flushall", arity: -1, [.write, .allDatabases], [.keyspace, .write, .slow, .dangerous],
                group: .server, since: "1.0.0", complexity: "O(N)", summary: "Deletes the keys of all databases.",
                tips: "request_policy:all_shards,response_policy:all_succeeded", arguments: """
                    flush-type:oneof?(async:pure-token@ASYNC~4.0.0 sync:pure-token@SYNC~6.2.0)
                    """, propagates: .rewritten, .data(flushall)),
        Command("flushdb", arity: -1, [.write], [.keyspace, .write, .slow, .dangerous], group: .server,
                since: "1.0.0", complexity: "O(N)", summary: "Deletes the keys of the selected database.",
                tips: "request_policy:all_shards,response_policy:all_succeeded", arguments: """
                    flush-type:oneof?(async:pure-token@ASYNC~4.0.0 sync:pure-token@SYNC~6.2.0)
                    """, propagates: .rewritten, .data(flushdb)),
        Command("swapdb", arity: 3, [.write, .fast, .allDatabases], [.keyspace, .write, .fast, .dangerous],
                group: .server, since: "4.0.0", complexity: "O(N)", summary: "Exchanges two databases.",
                arguments: "index1:integer index2:integer", propagates: .verbatim, .data(swapdb)),
    ]

    private static let walks: [Command] = [
        Command("keys", arity: 2, [.readonly], [.keyspace, .read, .slow, .dangerous], group: .generic,
                since: "1.0.0", complexity: "O(N)", summary: "Returns all keys that match a pattern.",
                tips: "request_policy:all_shards,nondeterministic_output_order", arguments: "pattern:pattern",
                .data(keys)),
        Command("scan", arity: -2, [.readonly, .touchesArbitraryKeys], [.keyspace, .read, .slow], group: .generic,
                since: "2.8.0", complexity: "O(1);O(N)", summary: "Walks through the keys, some at each call.",
                tips: "nondeterministic_output,request_policy:special,response_policy:special", arguments: """
                    cursor:integer pattern:pattern@MATCH? count:integer@COUNT? type:string@TYPE?~6.0.0
                    """, .data(scan)),
        Command("randomkey", arity: 1, [.readonly, .touchesArbitraryKeys], [.keyspace, .read, .slow],
                group: .generic, since: "1.0.0", complexity: "O(1)", summary: "Returns a key at random.",
                tips: "request_policy:all_shards,response_policy:special,nondeterministic_output", .data(randomkey)),
        Command("dbsize", arity: 1, [.readonly, .fast], [.keyspace, .read, .fast], group: .server, since: "1.0.0",
                complexity: "O(1)", summary: "Counts the keys of the selected database.",
                tips: "request_policy:all_shards,response_policy:agg_sum", .data(dbsize)),
    ]
}
