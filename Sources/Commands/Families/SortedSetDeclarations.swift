extension SortedSetCommands {
    package static let all: [Command] = [
        Command("bzmpop", arity: -5, [.write, .blocking, .movablekeys], [.write, .sortedset, .slow, .blocking],
                keys: "idx:2>num:0/1/1{RW,access,delete}", group: .sortedSet, since: "7.0.0",
                complexity: "O(K);O(M*log(N))",
                summary: """
                    Takes members with the lowest or highest scores from the first of several sorted sets that is \
                    not empty, or waits for one.
                    """,
                arguments: """
                    timeout:double numkeys:integer key:key#0* where:oneof(min:pure-token@MIN max:pure-token@MAX) \
                    count:integer@COUNT?
                    """, propagates: .rewritten, .data(bzmpop)),
        Command("bzpopmax", arity: -3, [.write, .blocking, .fast], [.write, .sortedset, .fast, .blocking],
                keys: "idx:1>rng:-2/1/0{RW,access,delete}", group: .sortedSet, since: "5.0.0", complexity: "O(log(N))",
                summary: """
                    Takes the member with the highest score from the first of several sorted sets that is not empty, \
                    or waits for one.
                    """,
                arguments: "key:key#0* timeout:double", propagates: .rewritten, .data(bzpopmax)),
        Command("bzpopmin", arity: -3, [.write, .blocking, .fast], [.write, .sortedset, .fast, .blocking],
                keys: "idx:1>rng:-2/1/0{RW,access,delete}", group: .sortedSet, since: "5.0.0", complexity: "O(log(N))",
                summary: """
                    Takes the member with the lowest score from the first of several sorted sets that is not empty, \
                    or waits for one.
                    """,
                arguments: "key:key#0* timeout:double", propagates: .rewritten, .data(bzpopmin)),
        Command("zadd", arity: -4, [.write, .denyoom, .fast], [.write, .sortedset, .fast],
                keys: "idx:1>rng:0/1/0{RW,update}", group: .sortedSet, since: "1.2.0", complexity: "O(log(N))",
                summary: "Adds members to a sorted set or updates their scores.", arguments: """
                    key:key#0 condition:oneof?~3.0.2(nx:pure-token@NX xx:pure-token@XX) \
                    comparison:oneof?~6.2.0(gt:pure-token@GT lt:pure-token@LT) change:pure-token@CH?~3.0.2 \
                    increment:pure-token@INCR?~3.0.2 data:block*(score:double member:string)
                    """, propagates: .verbatim, .data(zadd)),
        Command("zcard", arity: 2, [.readonly, .fast], [.read, .sortedset, .fast], keys: "idx:1>rng:0/1/0{RO}",
                group: .sortedSet, since: "1.2.0", complexity: "O(1)", summary: "Counts the members of a sorted set.",
                arguments: "key:key#0", .data(zcard)),
        Command("zcount", arity: 4, [.readonly, .fast], [.read, .sortedset, .fast], keys: "idx:1>rng:0/1/0{RO,access}",
                group: .sortedSet, since: "2.0.0", complexity: "O(log(N))",
                summary: "Counts the members whose score lies in a range.",
                arguments: "key:key#0 min:double max:double", .data(zcount)),
        Command("zdiff", arity: -3, [.readonly, .movablekeys], [.read, .sortedset, .slow],
                keys: "idx:1>num:0/1/1{RO,access}", group: .sortedSet, since: "6.2.0", complexity: "O(L+(N-K)log(N))",
                summary: "Returns the members of the first sorted set that are in none of the others.",
                arguments: "numkeys:integer key:key#0* withscores:pure-token@WITHSCORES?", .data(zdiff)),
        Command("zdiffstore", arity: -4, [.write, .denyoom, .movablekeys], [.write, .sortedset, .slow],
                keys: "idx:1>rng:0/1/0{OW,update}; idx:2>num:0/1/1{RO,access}", group: .sortedSet, since: "6.2.0",
                complexity: "O(L+(N-K)log(N))", summary: "Stores the difference of sorted sets at a key.",
                arguments: "destination:key#0 numkeys:integer key:key#1*",
                propagates: .verbatim, .data(zdiffstore)),
        Command("zincrby", arity: 4, [.write, .denyoom, .fast], [.write, .sortedset, .fast],
                keys: "idx:1>rng:0/1/0{RW,access,update}", group: .sortedSet, since: "1.2.0", complexity: "O(log(N))",
                summary: "Adds a number to the score of a member.",
                arguments: "key:key#0 increment:integer member:string", propagates: .verbatim,
                .data(zincrby)),
        Command("zinter", arity: -3, [.readonly, .movablekeys], [.read, .sortedset, .slow],
                keys: "idx:1>num:0/1/1{RO,access}", group: .sortedSet, since: "6.2.0", complexity: "O(N*K);O(M*log(M))",
                summary: "Returns the members that all sorted sets have.", arguments: """
                    numkeys:integer key:key#0* weight:integer@WEIGHTS?* aggregate:oneof@AGGREGATE?(sum:pure-token@SUM \
                    min:pure-token@MIN max:pure-token@MAX) withscores:pure-token@WITHSCORES?
                    """, .data(zinter)),
        Command("zintercard", arity: -3, [.readonly, .movablekeys], [.read, .sortedset, .slow],
                keys: "idx:1>num:0/1/1{RO,access}", group: .sortedSet, since: "7.0.0", complexity: "O(N*K)",
                summary: "Counts the members that all sorted sets have, up to a limit.",
                arguments: "numkeys:integer key:key#0* limit:integer@LIMIT?", .data(zintercard)),
        Command("zinterstore", arity: -4, [.write, .denyoom, .movablekeys], [.write, .sortedset, .slow],
                keys: "idx:1>rng:0/1/0{OW,update}; idx:2>num:0/1/1{RO,access}", group: .sortedSet, since: "2.0.0",
                complexity: "O(N*K);O(M*log(M))", summary: "Stores the intersection of sorted sets at a key.",
                arguments: """
                    destination:key#0 numkeys:integer key:key#1* weight:integer@WEIGHTS?* \
                    aggregate:oneof@AGGREGATE?(sum:pure-token@SUM min:pure-token@MIN max:pure-token@MAX)
                    """, propagates: .verbatim, .data(zinterstore)),
        Command("zlexcount", arity: 4, [.readonly, .fast], [.read, .sortedset, .fast],
                keys: "idx:1>rng:0/1/0{RO,access}",
                group: .sortedSet, since: "2.8.9", complexity: "O(log(N))",
                summary: "Counts the members of equal score that lie in a lexicographic range.",
                arguments: "key:key#0 min:string max:string", .data(zlexcount)),
        Command("zmpop", arity: -4, [.write, .movablekeys], [.write, .sortedset, .slow],
                keys: "idx:1>num:0/1/1{RW,access,delete}", group: .sortedSet, since: "7.0.0",
                complexity: "O(K);O(M*log(N))",
                summary: """
                    Takes members with the lowest or highest scores from the first of several sorted sets that is \
                    not empty.
                    """,
                arguments: """
                    numkeys:integer key:key#0* where:oneof(min:pure-token@MIN max:pure-token@MAX) count:integer@COUNT?
                    """, propagates: .rewritten, .data(zmpop)),
        Command("zmscore", arity: -3, [.readonly, .fast], [.read, .sortedset, .fast],
                keys: "idx:1>rng:0/1/0{RO,access}",
                group: .sortedSet, since: "6.2.0", complexity: "O(N)",
                summary: "Returns the scores of several members.",
                arguments: "key:key#0 member:string*", .data(zmscore)),
        Command("zpopmax", arity: -2, [.write, .fast], [.write, .sortedset, .fast],
                keys: "idx:1>rng:0/1/0{RW,access,delete}", group: .sortedSet, since: "5.0.0", complexity: "O(log(N)*M)",
                summary: "Takes the members with the highest scores.", arguments: "key:key#0 count:integer?",
                propagates: .verbatim, .data(zpopmax)),
        Command("zpopmin", arity: -2, [.write, .fast], [.write, .sortedset, .fast],
                keys: "idx:1>rng:0/1/0{RW,access,delete}", group: .sortedSet, since: "5.0.0", complexity: "O(log(N)*M)",
                summary: "Takes the members with the lowest scores.", arguments: "key:key#0 count:integer?",
                propagates: .verbatim, .data(zpopmin)),
        Command("zrandmember", arity: -2, [.readonly], [.read, .sortedset, .slow], keys: "idx:1>rng:0/1/0{RO,access}",
                group: .sortedSet, since: "6.2.0", complexity: "O(N)",
                summary: "Returns random members of a sorted set.", tips: "nondeterministic_output",
                arguments: "key:key#0 options:block?(count:integer withscores:pure-token@WITHSCORES?)",
                .data(zrandmember)),
        Command("zrange", arity: -4, [.readonly], [.read, .sortedset, .slow], keys: "idx:1>rng:0/1/0{RO,access}",
                group: .sortedSet, since: "1.2.0", complexity: "O(log(N)+M)",
                summary: "Returns members in a range of ranks, scores or members.", arguments: """
                    key:key#0 start:string stop:string sortby:oneof?~6.2.0(byscore:pure-token@BYSCORE \
                    bylex:pure-token@BYLEX) rev:pure-token@REV?~6.2.0 limit:block@LIMIT?~6.2.0(offset:integer \
                    count:integer) withscores:pure-token@WITHSCORES?
                    """, .data(zrange)),
        Command("zrangebylex", arity: -4, [.readonly], [.read, .sortedset, .slow], keys: "idx:1>rng:0/1/0{RO,access}",
                group: .sortedSet, since: "2.8.9", complexity: "O(log(N)+M);O(log(N))",
                summary: "Returns members of equal score in a lexicographic range.",
                arguments: "key:key#0 min:string max:string limit:block@LIMIT?(offset:integer count:integer)",
                deprecatedSince: "6.2.0", replacedBy: "ZRANGE with the BYLEX argument", .data(zrangebylex)),
        Command("zrangebyscore", arity: -4, [.readonly], [.read, .sortedset, .slow], keys: "idx:1>rng:0/1/0{RO,access}",
                group: .sortedSet, since: "1.0.5", complexity: "O(log(N)+M);O(log(N))",
                summary: "Returns members whose score lies in a range.", arguments: """
                    key:key#0 min:double max:double withscores:pure-token@WITHSCORES?~2.0.0 \
                    limit:block@LIMIT?(offset:integer count:integer)
                    """, deprecatedSince: "6.2.0", replacedBy: "ZRANGE with the BYSCORE argument",
                .data(zrangebyscore)),
        Command("zrangestore", arity: -5, [.write, .denyoom], [.write, .sortedset, .slow],
                keys: "idx:1>rng:0/1/0{OW,update}; idx:2>rng:0/1/0{RO,access}", group: .sortedSet, since: "6.2.0",
                complexity: "O(log(N)+M)", summary: "Stores members of a range at another key.", arguments: """
                    dst:key#0 src:key#1 min:string max:string sortby:oneof?(byscore:pure-token@BYSCORE \
                    bylex:pure-token@BYLEX) rev:pure-token@REV? limit:block@LIMIT?(offset:integer count:integer)
                    """, propagates: .verbatim, .data(zrangestore)),
        Command("zrank", arity: -3, [.readonly, .fast], [.read, .sortedset, .fast], keys: "idx:1>rng:0/1/0{RO,access}",
                group: .sortedSet, since: "2.0.0", complexity: "O(log(N))",
                summary: "Returns the rank of a member, lowest score first.",
                arguments: "key:key#0 member:string withscore:pure-token@WITHSCORE?", .data(zrank)),
        Command("zrem", arity: -3, [.write, .fast], [.write, .sortedset, .fast], keys: "idx:1>rng:0/1/0{RW,delete}",
                group: .sortedSet, since: "1.2.0", complexity: "O(M*log(N))",
                summary: "Removes members from a sorted set.",
                arguments: "key:key#0 member:string*", propagates: .verbatim, .data(zrem)),
        Command("zremrangebylex", arity: 4, [.write], [.write, .sortedset, .slow], keys: "idx:1>rng:0/1/0{RW,delete}",
                group: .sortedSet, since: "2.8.9", complexity: "O(log(N)+M)",
                summary: "Removes members of equal score in a lexicographic range.",
                arguments: "key:key#0 min:string max:string", propagates: .verbatim, .data(zremrangebylex)),
        Command("zremrangebyrank", arity: 4, [.write], [.write, .sortedset, .slow], keys: "idx:1>rng:0/1/0{RW,delete}",
                group: .sortedSet, since: "2.0.0", complexity: "O(log(N)+M)",
                summary: "Removes members in a range of ranks.",
                arguments: "key:key#0 start:integer stop:integer", propagates: .verbatim, .data(zremrangebyrank)),
        Command("zremrangebyscore", arity: 4, [.write], [.write, .sortedset, .slow], keys: "idx:1>rng:0/1/0{RW,delete}",
                group: .sortedSet, since: "1.2.0", complexity: "O(log(N)+M)",
                summary: "Removes members whose score lies in a range.",
                arguments: "key:key#0 min:double max:double", propagates: .verbatim, .data(zremrangebyscore)),
        Command("zrevrange", arity: -4, [.readonly], [.read, .sortedset, .slow], keys: "idx:1>rng:0/1/0{RO,access}",
                group: .sortedSet, since: "1.2.0", complexity: "O(log(N)+M)",
                summary: "Returns members in a range of ranks, highest score first.",
                arguments: "key:key#0 start:integer stop:integer withscores:pure-token@WITHSCORES?",
                deprecatedSince: "6.2.0", replacedBy: "ZRANGE with the REV argument", .data(zrevrange)),
        Command("zrevrangebylex", arity: -4, [.readonly], [.read, .sortedset, .slow],
                keys: "idx:1>rng:0/1/0{RO,access}",
                group: .sortedSet, since: "2.8.9", complexity: "O(log(N)+M);O(log(N))",
                summary: "Returns members of equal score in a lexicographic range, backwards.",
                arguments: "key:key#0 max:string min:string limit:block@LIMIT?(offset:integer count:integer)",
                deprecatedSince: "6.2.0", replacedBy: "ZRANGE with the REV and BYLEX arguments", .data(zrevrangebylex)),
        Command("zrevrangebyscore", arity: -4, [.readonly], [.read, .sortedset, .slow],
                keys: "idx:1>rng:0/1/0{RO,access}",
                group: .sortedSet, since: "2.2.0", complexity: "O(log(N)+M);O(log(N))",
                summary: "Returns members whose score lies in a range, highest first.", arguments: """
                    key:key#0 max:double min:double withscores:pure-token@WITHSCORES? \
                    limit:block@LIMIT?(offset:integer count:integer)
                    """, deprecatedSince: "6.2.0", replacedBy: "ZRANGE with the REV and BYSCORE arguments",
                .data(zrevrangebyscore)),
        Command("zrevrank", arity: -3, [.readonly, .fast], [.read, .sortedset, .fast],
                keys: "idx:1>rng:0/1/0{RO,access}",
                group: .sortedSet, since: "2.0.0", complexity: "O(log(N))",
                summary: "Returns the rank of a member, highest score first.",
                arguments: "key:key#0 member:string withscore:pure-token@WITHSCORE?", .data(zrevrank)),
        Command("zscan", arity: -3, [.readonly], [.read, .sortedset, .slow], keys: "idx:1>rng:0/1/0{RO,access}",
                group: .sortedSet, since: "2.8.0", complexity: "O(1);O(N)",
                summary: "Walks the members of a sorted set with a cursor.", tips: "nondeterministic_output",
                arguments: "key:key#0 cursor:integer pattern:pattern@MATCH? count:integer@COUNT?", .data(zscan)),
        Command("zscore", arity: 3, [.readonly, .fast], [.read, .sortedset, .fast], keys: "idx:1>rng:0/1/0{RO,access}",
                group: .sortedSet, since: "1.2.0", complexity: "O(1)", summary: "Returns the score of a member.",
                arguments: "key:key#0 member:string",
                .data(zscore)),
        Command("zunion", arity: -3, [.readonly, .movablekeys], [.read, .sortedset, .slow],
                keys: "idx:1>num:0/1/1{RO,access}", group: .sortedSet, since: "6.2.0", complexity: "O(N);O(M*log(M))",
                summary: "Returns the members that any of the sorted sets has.", arguments: """
                    numkeys:integer key:key#0* weight:integer@WEIGHTS?* aggregate:oneof@AGGREGATE?(sum:pure-token@SUM \
                    min:pure-token@MIN max:pure-token@MAX) withscores:pure-token@WITHSCORES?
                    """, .data(zunion)),
        Command("zunionstore", arity: -4, [.write, .denyoom, .movablekeys], [.write, .sortedset, .slow],
                keys: "idx:1>rng:0/1/0{OW,update}; idx:2>num:0/1/1{RO,access}", group: .sortedSet, since: "2.0.0",
                complexity: "O(N);O(Mlog(M))", summary: "Stores the union of sorted sets at a key.", arguments: """
                    destination:key#0 numkeys:integer key:key#1* weight:integer@WEIGHTS?* \
                    aggregate:oneof@AGGREGATE?(sum:pure-token@SUM min:pure-token@MIN max:pure-token@MAX)
                    """, propagates: .verbatim, .data(zunionstore)),
    ]
}
