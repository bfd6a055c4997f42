extension ListCommands {
    package static let all: [Command] = [
        Command("blmove", arity: 6, [.write, .denyoom, .blocking], [.write, .list, .slow, .blocking],
                keys: "idx:1>rng:0/1/0{RW,access,delete}; idx:2>rng:0/1/0{RW,insert}", group: .list, since: "6.2.0",
                complexity: "O(1)", summary: "Moves an element from one list to another, or waits for one.", arguments: """
                    source:key#0 destination:key#1 wherefrom:oneof(left:pure-token@LEFT right:pure-token@RIGHT) \
                    whereto:oneof(left:pure-token@LEFT right:pure-token@RIGHT) timeout:double
                    """, propagates: .rewritten, .data(blmove)),
        Command("blmpop", arity: -5, [.write, .blocking, .movablekeys], [.write, .list, .slow, .blocking],
                keys: "idx:2>num:0/1/1{RW,access,delete}", group: .list, since: "7.0.0", complexity: "O(N+M)",
                summary: "Takes elements from the first of several lists that is not empty, or waits for one.", arguments: """
                    timeout:double numkeys:integer key:key#0* where:oneof(left:pure-token@LEFT right:pure-token@RIGHT) \
                    count:integer@COUNT?
                    """, propagates: .rewritten, .data(blmpop)),
        Command("blpop", arity: -3, [.write, .blocking], [.write, .list, .slow, .blocking],
                keys: "idx:1>rng:-2/1/0{RW,access,delete}", group: .list, since: "2.0.0", complexity: "O(N)",
                summary: "Takes the first element of the first of several lists that is not empty, or waits for one.",
                arguments: "key:key#0* timeout:double", propagates: .rewritten, .data(blpop)),
        Command("brpop", arity: -3, [.write, .blocking], [.write, .list, .slow, .blocking],
                keys: "idx:1>rng:-2/1/0{RW,access,delete}", group: .list, since: "2.0.0", complexity: "O(N)",
                summary: "Takes the last element of the first of several lists that is not empty, or waits for one.",
                arguments: "key:key#0* timeout:double", propagates: .rewritten, .data(brpop)),
        Command("brpoplpush", arity: 4, [.write, .denyoom, .blocking], [.write, .list, .slow, .blocking],
                keys: "idx:1>rng:0/1/0{RW,access,delete}; idx:2>rng:0/1/0{RW,insert}", group: .list, since: "2.2.0",
                complexity: "O(1)",
                summary: "Moves the last element of a list to the head of another, or waits for one.",
                arguments: "source:key#0 destination:key#1 timeout:double",
                deprecatedSince: "6.2.0", replacedBy: "BLMOVE with the RIGHT and LEFT arguments", propagates: .rewritten,
                .data(brpoplpush)),
        Command("lindex", arity: 3, [.readonly], [.read, .list, .slow], keys: "idx:1>rng:0/1/0{RO,access}", group: .list,
                since: "1.0.0", complexity: "O(N);O(1)", summary: "Returns an element of a list by its index.",
                arguments: "key:key#0 index:integer",
                .data(lindex)),
        Command("linsert", arity: 5, [.write, .denyoom], [.write, .list, .slow], keys: "idx:1>rng:0/1/0{RW,insert}",
                group: .list, since: "2.2.0", complexity: "O(N);O(1)", summary: "Inserts an element before or after another.", arguments: """
                    key:key#0 where:oneof(before:pure-token@BEFORE after:pure-token@AFTER) pivot:string element:string
                    """, propagates: .verbatim, .data(linsert)),
        Command("llen", arity: 2, [.readonly, .fast], [.read, .list, .fast], keys: "idx:1>rng:0/1/0{RO}", group: .list,
                since: "1.0.0", complexity: "O(1)", summary: "Counts the elements of a list.", arguments: "key:key#0",
                .data(llen)),
        Command("lmove", arity: 5, [.write, .denyoom], [.write, .list, .slow],
                keys: "idx:1>rng:0/1/0{RW,access,delete}; idx:2>rng:0/1/0{RW,insert}", group: .list, since: "6.2.0",
                complexity: "O(1)", summary: "Moves an element from one end of a list to an end of another.", arguments: """
                    source:key#0 destination:key#1 wherefrom:oneof(left:pure-token@LEFT right:pure-token@RIGHT) \
                    whereto:oneof(left:pure-token@LEFT right:pure-token@RIGHT)
                    """, propagates: .verbatim, .data(lmove)),
        Command("lmpop", arity: -4, [.write, .movablekeys], [.write, .list, .slow],
                keys: "idx:1>num:0/1/1{RW,access,delete}", group: .list, since: "7.0.0", complexity: "O(N+M)",
                summary: "Takes elements from the first of several lists that is not empty.", arguments: """
                    numkeys:integer key:key#0* where:oneof(left:pure-token@LEFT right:pure-token@RIGHT) \
                    count:integer@COUNT?
                    """, propagates: .rewritten, .data(lmpop)),
        Command("lpop", arity: -2, [.write, .fast], [.write, .list, .fast], keys: "idx:1>rng:0/1/0{RW,access,delete}",
                group: .list, since: "1.0.0", complexity: "O(N)", summary: "Takes elements from the head of a list.",
                arguments: "key:key#0 count:integer?~6.2.0", propagates: .verbatim, .data(lpop)),
        Command("lpos", arity: -3, [.readonly], [.read, .list, .slow], keys: "idx:1>rng:0/1/0{RO,access}", group: .list,
                since: "6.0.6", complexity: "O(N)", summary: "Returns the index of elements that match a value.", arguments: """
                    key:key#0 element:string rank:integer@RANK? num-matches:integer@COUNT? len:integer@MAXLEN?
                    """, .data(lpos)),
        Command("lpush", arity: -3, [.write, .denyoom, .fast], [.write, .list, .fast], keys: "idx:1>rng:0/1/0{RW,insert}",
                group: .list, since: "1.0.0", complexity: "O(1);O(N)",
                summary: "Puts elements before the head of a list, which is created if needed.",
                arguments: "key:key#0 element:string*", propagates: .verbatim, .data(lpush)),
        Command("lpushx", arity: -3, [.write, .denyoom, .fast], [.write, .list, .fast],
                keys: "idx:1>rng:0/1/0{RW,insert}",
                group: .list, since: "2.2.0", complexity: "O(1);O(N)",
                summary: "Puts elements before the head of a list that exists.",
                arguments: "key:key#0 element:string*", propagates: .verbatim, .data(lpushx)),
        Command("lrange", arity: 4, [.readonly], [.read, .list, .slow], keys: "idx:1>rng:0/1/0{RO,access}", group: .list,
                since: "1.0.0", complexity: "O(S+N)", summary: "Returns a range of elements of a list.",
                arguments: "key:key#0 start:integer stop:integer",
                .data(lrange)),
        Command("lrem", arity: 4, [.write], [.write, .list, .slow], keys: "idx:1>rng:0/1/0{RW,delete}", group: .list,
                since: "1.0.0", complexity: "O(N+M)", summary: "Removes elements that equal a value.",
                arguments: "key:key#0 count:integer element:string",
                propagates: .verbatim, .data(lrem)),
        Command("lset", arity: 4, [.write, .denyoom], [.write, .list, .slow], keys: "idx:1>rng:0/1/0{RW,update}",
                group: .list, since: "1.0.0", complexity: "O(N);O(1)", summary: "Sets an element of a list by its index.",
                arguments: "key:key#0 index:integer element:string", propagates: .verbatim, .data(lset)),
        Command("ltrim", arity: 4, [.write], [.write, .list, .slow], keys: "idx:1>rng:0/1/0{RW,delete}", group: .list,
                since: "1.0.0", complexity: "O(N)", summary: "Cuts a list to a range of elements.",
                arguments: "key:key#0 start:integer stop:integer",
                propagates: .verbatim, .data(ltrim)),
        Command("rpop", arity: -2, [.write, .fast], [.write, .list, .fast], keys: "idx:1>rng:0/1/0{RW,access,delete}",
                group: .list, since: "1.0.0", complexity: "O(N)", summary: "Takes elements from the tail of a list.",
                arguments: "key:key#0 count:integer?~6.2.0", propagates: .verbatim, .data(rpop)),
        Command("rpoplpush", arity: 3, [.write, .denyoom], [.write, .list, .slow],
                keys: "idx:1>rng:0/1/0{RW,access,delete}; idx:2>rng:0/1/0{RW,insert}", group: .list, since: "1.2.0",
                complexity: "O(1)", summary: "Moves the last element of a list to the head of another.",
                arguments: "source:key#0 destination:key#1", deprecatedSince: "6.2.0",
                replacedBy: "LMOVE with the RIGHT and LEFT arguments", propagates: .verbatim, .data(rpoplpush)),
        Command("rpush", arity: -3, [.write, .denyoom, .fast], [.write, .list, .fast], keys: "idx:1>rng:0/1/0{RW,insert}",
                group: .list, since: "1.0.0", complexity: "O(1);O(N)",
                summary: "Puts elements behind the tail of a list, which is created if needed.",
                arguments: "key:key#0 element:string*", propagates: .verbatim, .data(rpush)),
        Command("rpushx", arity: -3, [.write, .denyoom, .fast], [.write, .list, .fast],
                keys: "idx:1>rng:0/1/0{RW,insert}",
                group: .list, since: "2.2.0", complexity: "O(1);O(N)",
                summary: "Puts elements behind the tail of a list that exists.",
                arguments: "key:key#0 element:string*", propagates: .verbatim, .data(rpushx)),
    ]
}
