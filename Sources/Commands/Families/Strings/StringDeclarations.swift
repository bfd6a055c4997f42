import Keyspace
import Primitives
import RESP

// The string commands. Their handlers are in the files beside this one.

package enum StringCommands {
    package static let all: [Command] = reading + setting + several + counting + conditional
        + [msetexDeclaration, increxDeclaration]

    private static let reading: [Command] = [
        read("get", arity: 2, "1.0.0", "Returns the string value of a key.", "key:key#0", .data(`get`)),
        Command("strlen", arity: 2, [.readonly, .fast], [.read, .string, .fast], keys: "idx:1>rng:0/1/0{RO}",
                group: .string, since: "2.2.0", complexity: "O(1)", summary: "Returns the length of a string.",
                arguments: "key:key#0", .data(strlen)),
        range("getrange", "2.4.0", "Returns a part of a string, given by its offsets.", .data(getrange)),
        range("substr", "1.0.0", "Returns a part of a string, given by its offsets.", deprecatedSince: "2.0.0",
              replacedBy: "GETRANGE", .data(getrange)),
        Command("lcs", arity: -3, [.readonly], [.read, .string, .slow], keys: "idx:1>rng:1/1/0{RO,access}",
                group: .string, since: "7.0.0", complexity: "O(N*M)",
                summary: "Returns the longest common subsequence of two strings.", arguments: """
                    key1:key#0 key2:key#0 len:pure-token@LEN? idx:pure-token@IDX? \
                    min-match-len:integer@MINMATCHLEN? withmatchlen:pure-token@WITHMATCHLEN?
                    """, .data(lcs)),
        Command("getdel", arity: 2, [.write, .fast], [.write, .string, .fast],
                keys: "idx:1>rng:0/1/0{RW,access,delete}", group: .string, since: "6.2.0", complexity: "O(1)",
                summary: "Returns the string value of a key and deletes the key.", arguments: "key:key#0",
                propagates: .rewritten, .data(getdel)),
        Command("getex", arity: -2, [.write, .fast], [.write, .string, .fast],
                keys: "idx:1>rng:0/1/0{RW,access,update}", group: .string, since: "6.2.0", complexity: "O(1)",
                summary: "Returns the string value of a key and changes its expiry.", arguments: """
                    key:key#0 expiration:oneof?(seconds:integer@EX milliseconds:integer@PX \
                    unix-time-seconds:unix-time@EXAT unix-time-milliseconds:unix-time@PXAT \
                    persist:pure-token@PERSIST)
                    """, propagates: .rewritten, .data(getex)),
    ]

    private static func read(_ name: StaticString, arity: Int, _ since: StaticString, _ summary: StaticString,
                             _ schema: StaticString, _ handler: Handler) -> Command {
        Command(name, arity: arity, [.readonly, .fast], [.read, .string, .fast], keys: "idx:1>rng:0/1/0{RO,access}",
                group: .string, since: since, complexity: "O(1)", summary: summary, arguments: schema, handler)
    }

    private static func range(_ name: StaticString, _ since: StaticString, _ summary: StaticString,
                              deprecatedSince: StaticString = "", replacedBy: StaticString = "",
                              _ handler: Handler) -> Command {
        Command(name, arity: 4, [.readonly], [.read, .string, .slow], keys: "idx:1>rng:0/1/0{RO,access}",
                group: .string, since: since, complexity: "O(N);O(1)", summary: summary,
                arguments: "key:key#0 start:integer end:integer", deprecatedSince: deprecatedSince,
                replacedBy: replacedBy, handler)
    }

    private static let setting: [Command] = [
        Command("set", arity: -3, [.write, .denyoom], [.write, .string, .slow],
                keys: "idx:1>rng:0/1/0{RW,access,update,variable_flags}", group: .string, since: "1.0.0",
                complexity: "O(1)", summary: "Sets a key to a string, whatever it held.", arguments: """
                    key:key#0 value:string condition:oneof?~2.6.12(nx:pure-token@NX xx:pure-token@XX) \
                    get:pure-token@GET?~6.2.0 expiration:oneof?(seconds:integer@EX~2.6.12 \
                    milliseconds:integer@PX~2.6.12 unix-time-seconds:unix-time@EXAT~6.2.0 \
                    unix-time-milliseconds:unix-time@PXAT~6.2.0 keepttl:pure-token@KEEPTTL~6.0.0)
                    """, propagates: .verbatim, .data(`set`)),
        Command("setnx", arity: 3, [.write, .denyoom, .fast], [.write, .string, .fast],
                keys: "idx:1>rng:0/1/0{OW,insert}", group: .string, since: "1.0.0", complexity: "O(1)",
                summary: "Sets a key to a string if it does not exist.", arguments: "key:key#0 value:string",
                deprecatedSince: "2.6.12", replacedBy: "SET with the NX argument", propagates: .verbatim,
                .data(setnx)),
        Command("setex", arity: 4, [.write, .denyoom], [.write, .string, .slow], keys: "idx:1>rng:0/1/0{OW,update}",
                group: .string, since: "2.0.0", complexity: "O(1)",
                summary: "Sets a key to a string that lives for a number of seconds.",
                arguments: "key:key#0 seconds:integer value:string", deprecatedSince: "2.6.12",
                replacedBy: "SET with the EX argument", propagates: .rewritten, .data(setex)),
        Command("psetex", arity: 4, [.write, .denyoom], [.write, .string, .slow],
                keys: "idx:1>rng:0/1/0{OW,update}", group: .string, since: "2.6.0", complexity: "O(1)",
                summary: "Sets a key to a string that lives for a number of milliseconds.",
                arguments: "key:key#0 milliseconds:integer value:string", deprecatedSince: "2.6.12",
                replacedBy: "SET with the PX argument", propagates: .rewritten, .data(psetex)),
        Command("getset", arity: 3, [.write, .denyoom, .fast], [.write, .string, .fast],
                keys: "idx:1>rng:0/1/0{RW,access,update}", group: .string, since: "1.0.0", complexity: "O(1)",
                summary: "Sets a key to a string and returns the one before.", arguments: "key:key#0 value:string",
                deprecatedSince: "6.2.0", replacedBy: "SET with the !GET argument", propagates: .rewritten,
                .data(getset)),
        Command("setrange", arity: 4, [.write, .denyoom], [.write, .string, .slow],
                keys: "idx:1>rng:0/1/0{RW,update}", group: .string, since: "2.2.0", complexity: "O(1);O(M)",
                summary: "Overwrites a part of a string from an offset on.",
                arguments: "key:key#0 offset:integer value:string", propagates: .verbatim, .data(setrange)),
        Command("append", arity: 3, [.write, .denyoom, .fast], [.write, .string, .fast],
                keys: "idx:1>rng:0/1/0{RW,insert}", group: .string, since: "2.0.0", complexity: "O(1)",
                summary: "Adds bytes to the end of a string.", arguments: "key:key#0 value:string",
                propagates: .verbatim, .data(append)),
    ]

    private static let several: [Command] = [
        Command("mget", arity: -2, [.readonly, .fast], [.read, .string, .fast],
                keys: "idx:1>rng:-1/1/0{RO,access}", group: .string, since: "1.0.0", complexity: "O(N)",
                summary: "Returns the string values of several keys.", tips: "request_policy:multi_shard",
                arguments: "key:key#0*", .data(mget)),
        Command("mset", arity: -3, [.write, .denyoom], [.write, .string, .slow],
                keys: "idx:1>rng:-1/2/0{OW,update}", group: .string, since: "1.0.1", complexity: "O(N)",
                summary: "Sets several keys to strings, all at once.",
                tips: "request_policy:multi_shard,response_policy:all_succeeded",
                arguments: "data:block*(key:key#0 value:string)", propagates: .verbatim, .data(mset)),
        Command("msetnx", arity: -3, [.write, .denyoom], [.write, .string, .slow],
                keys: "idx:1>rng:-1/2/0{OW,insert}", group: .string, since: "1.0.1", complexity: "O(N)",
                summary: "Sets several keys to strings if none of them exists.",
                arguments: "data:block*(key:key#0 value:string)", propagates: .verbatim, .data(msetnx)),
    ]

    private static let counting: [Command] = [
        count("incr", arity: 2, "1.0.0", "Adds one to the number at a key.", "key:key#0", .verbatim, .data(incr)),
        count("decr", arity: 2, "1.0.0", "Takes one from the number at a key.", "key:key#0", .verbatim,
              .data(decr)),
        count("incrby", arity: 3, "1.0.0", "Adds an integer to the number at a key.",
              "key:key#0 increment:integer", .verbatim, .data(incrby)),
        count("decrby", arity: 3, "1.0.0", "Takes an integer from the number at a key.",
              "key:key#0 decrement:integer", .verbatim, .data(decrby)),
        count("incrbyfloat", arity: 3, "2.6.0", "Adds a floating-point number to the number at a key.",
              "key:key#0 increment:double", .rewritten, .data(incrbyfloat)),
    ]

    private static func count(_ name: StaticString, arity: Int, _ since: StaticString, _ summary: StaticString,
                              _ schema: StaticString, _ propagation: Propagation, _ handler: Handler) -> Command {
        Command(name, arity: arity, [.write, .denyoom, .fast], [.write, .string, .fast],
                keys: "idx:1>rng:0/1/0{RW,access,update}", group: .string, since: since, complexity: "O(1)",
                summary: summary, arguments: schema, propagates: propagation, handler)
    }
}
