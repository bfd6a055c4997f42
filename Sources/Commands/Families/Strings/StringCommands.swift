import Keyspace
import Primitives
import RESP

// Strings. GET and SET are the pattern for all families: find, change, declare the change, reply.

package enum StringCommands {
    package static let all: [Command] = [
        Command("get", arity: 2, [.readonly, .fast], [.read, .string, .fast], keys: "idx:1>rng:0/1/0{RO,access}",
                group: .string, since: "1.0.0", complexity: "O(1)", summary: "Returns the string value of a key.",
                arguments: "key:key#0", .data(`get`)),
        Command("set", arity: -3, [.write, .denyoom], [.write, .string, .slow],
                keys: "idx:1>rng:0/1/0{RW,access,update,variable_flags}", group: .string, since: "1.0.0",
                complexity: "O(1)", summary: "Sets a key to a string, whatever it held.", arguments: """
                    key:key#0 value:string
                    """, propagates: .verbatim, .data(`set`)),
    ]

    static func get(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        guard let entry = try call.entry(&keyspace, 1, .string, .read) else {
            call.reply.null()
            return
        }
        if entry.encoding == .int {
            call.reply.bulk(integer: entry.integer)
        } else {
            call.reply.bulk(entry.stringBytes)
        }
    }

    static func set(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        keyspace.setString(call[1], to: call[2], in: call.database, keepExpire: false)
        call.modified(call[1], .string, "set")
        call.reply.ok()
    }
}
