import Keyspace

/// Strings as arrays of bits. Bit 0 is the highest of the first byte.
package enum BitmapCommands {
    package static let all: [Command] = [
        Command("setbit", arity: 4, [.write, .denyoom], [.write, .bitmap, .slow],
                keys: "idx:1>rng:0/1/0{RW,access,update}", group: .bitmap, since: "2.2.0", complexity: "O(1)",
                summary: "Sets or clears a bit of a string, and returns what it was.",
                arguments: "key:key#0 offset:integer value:integer", propagates: .verbatim, .data(setbit)),
        Command("getbit", arity: 3, [.readonly, .fast], [.read, .bitmap, .fast], keys: "idx:1>rng:0/1/0{RO,access}",
                group: .bitmap, since: "2.2.0", complexity: "O(1)", summary: "Returns a bit of a string.",
                arguments: "key:key#0 offset:integer", .data(getbit)),
        Command("bitcount", arity: -2, [.readonly], [.read, .bitmap, .slow], keys: "idx:1>rng:0/1/0{RO,access}",
                group: .bitmap, since: "2.6.0", complexity: "O(N)", summary: "Counts the set bits of a string.",
                arguments: """
                    key:key#0 range:block?(start:integer end:integer unit:oneof?~7.0.0(byte:pure-token@BYTE \
                    bit:pure-token@BIT))
                    """, .data(bitcount)),
        Command("bitpos", arity: -3, [.readonly], [.read, .bitmap, .slow], keys: "idx:1>rng:0/1/0{RO,access}",
                group: .bitmap, since: "2.8.7", complexity: "O(N)",
                summary: "Finds the first bit of a string that is set, or clear.", arguments: """
                    key:key#0 bit:integer range:block?(start:integer end-unit-block:block?(end:integer \
                    unit:oneof?~7.0.0(byte:pure-token@BYTE bit:pure-token@BIT)))
                    """, .data(bitpos)),
        Command("bitop", arity: -4, [.write, .denyoom], [.write, .bitmap, .slow],
                keys: "idx:2>rng:0/1/0{OW,update}; idx:3>rng:-1/1/0{RO,access}", group: .bitmap, since: "2.6.0",
                complexity: "O(N)", summary: "Combines the bits of strings and keeps the result.", arguments: """
                    operation:oneof(and:pure-token@AND or:pure-token@OR xor:pure-token@XOR not:pure-token@NOT) \
                    destkey:key#0 key:key#1*
                    """, propagates: .verbatim, .data(bitop)),
        Command("bitfield", arity: -2, [.write, .denyoom], [.write, .bitmap, .slow],
                keys: "idx:1>rng:0/1/0{RW,access,update,variable_flags}", group: .bitmap, since: "3.2.0",
                complexity: "O(1)", summary: "Reads and changes integers of any width in a string.", arguments: """
                    key:key#0 operation:oneof?*(get-block:block@GET(encoding:string offset:integer) \
                    write:block(overflow-block:oneof@OVERFLOW?(wrap:pure-token@WRAP sat:pure-token@SAT \
                    fail:pure-token@FAIL) write-operation:oneof(set-block:block@SET(encoding:string offset:integer \
                    value:integer) incrby-block:block@INCRBY(encoding:string offset:integer increment:integer))))
                    """, propagates: .verbatim, .data(bitfield)),
        Command("bitfield_ro", arity: -2, [.readonly, .fast], [.read, .bitmap, .fast],
                keys: "idx:1>rng:0/1/0{RO,access}", group: .bitmap, since: "6.0.0", complexity: "O(1)",
                summary: "Reads integers of any width in a string.",
                arguments: "key:key#0 get-block:block@GET?*+(encoding:string offset:integer)", .data(bitfieldRO)),
    ]
}
