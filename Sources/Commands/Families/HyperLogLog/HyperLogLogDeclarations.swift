import Keyspace

/// Estimates of how many different elements were added. The format is in Encodings/HyperLogLog.swift.
package enum HyperLogLogCommands {
    package static let all: [Command] = [
        Command("pfadd", arity: -2, [.write, .denyoom, .fast], [.write, .hyperloglog, .fast],
                keys: "idx:1>rng:0/1/0{RW,insert}", group: .hyperloglog, since: "2.8.9", complexity: "O(1)",
                summary: "Adds elements to a HyperLogLog, which is created if needed.",
                arguments: "key:key#0 element:string?*", propagates: .verbatim, .data(pfadd)),
        // May write: the estimate is kept in the string.
        Command("pfcount", arity: -2, [.readonly, .mayReplicate], [.read, .hyperloglog, .slow],
                keys: "idx:1>rng:-1/1/0{RW,access}", group: .hyperloglog, since: "2.8.9", complexity: "O(1);O(N)",
                summary: "Estimates how many different elements were added to HyperLogLogs.",
                arguments: "key:key#0*", propagates: .verbatim, .data(pfcount)),
        Command("pfmerge", arity: -2, [.write, .denyoom], [.write, .hyperloglog, .slow],
                keys: "idx:1>rng:0/1/0{RW,access,insert}; idx:2>rng:-1/1/0{RO,access}", group: .hyperloglog,
                since: "2.8.9", complexity: "O(N)", summary: "Adds the elements of HyperLogLogs to one of them.",
                arguments: "destkey:key#0 sourcekey:key#1?*", propagates: .verbatim, .data(pfmerge)),
        Command("pfdebug", arity: 3, [.write, .denyoom, .admin, .systemCommand],
                [.write, .hyperloglog, .admin, .slow, .dangerous], keys: "idx:2>rng:0/1/0{RW,access}",
                group: .hyperloglog, since: "2.8.9", complexity: "depends",
                summary: "Shows the registers and the encoding of a HyperLogLog, or makes it dense.",
                arguments: "subcommand:string key:key#0", propagates: .verbatim, .data(pfdebug)),
        Command("pfselftest", arity: 1, [.admin, .systemCommand], [.hyperloglog, .admin, .slow, .dangerous],
                group: .hyperloglog, since: "2.8.9", complexity: "depends",
                summary: "Tests the registers and the estimates of HyperLogLogs.", .data(pfselftest)),
    ]
}
