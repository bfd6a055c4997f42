extension GeoCommands {
    package static let all: [Command] = [
        Command("geoadd", arity: -5, [.write, .denyoom], [.write, .geo, .slow], keys: "idx:1>rng:0/1/0{RW,update}",
                group: .geo, since: "3.2.0", complexity: "O(log(N))",
                summary: "Adds places to a geospatial index, or moves them.", arguments: """
                    key:key#0 condition:oneof?~6.2.0(nx:pure-token@NX xx:pure-token@XX) change:pure-token@CH?~6.2.0 \
                    data:block*(longitude:double latitude:double member:string)
                    """, propagates: .rewritten, .data(geoadd)),
        Command("geodist", arity: -4, [.readonly], [.read, .geo, .slow], keys: "idx:1>rng:0/1/0{RO,access}",
                group: .geo, since: "3.2.0", complexity: "O(1)", summary: "Returns the distance between two members.",
                arguments: """
                    key:key#0 member1:string member2:string \
                    unit:oneof?(m:pure-token@m km:pure-token@km ft:pure-token@ft mi:pure-token@mi)
                    """, .data(geodist)),
        Command("geohash", arity: -2, [.readonly], [.read, .geo, .slow], keys: "idx:1>rng:0/1/0{RO,access}",
                group: .geo, since: "3.2.0", complexity: "O(1)", summary: "Returns members' geohashes as text.",
                arguments: "key:key#0 member:string?*", .data(geohash)),
        Command("geopos", arity: -2, [.readonly], [.read, .geo, .slow], keys: "idx:1>rng:0/1/0{RO,access}",
                group: .geo, since: "3.2.0", complexity: "O(1)", summary: "Returns members' longitude and latitude.",
                arguments: "key:key#0 member:string?*", .data(geopos)),
        Command("georadius", arity: -6, [.write, .denyoom, .movablekeys], [.write, .geo, .slow], keys: """
                    idx:1>rng:0/1/0{RO,access}; kw:STORE@6>rng:0/1/0{OW,update}; \
                    kw:STOREDIST@6>rng:0/1/0{OW,update}
                    """, group: .geo, since: "3.2.0", complexity: "O(N+log(M))",
                summary: "Finds or stores the members within a circle around a place.", arguments: """
                    key:key#0 longitude:double latitude:double radius:double unit:oneof(m:pure-token@m \
                    km:pure-token@km ft:pure-token@ft mi:pure-token@mi) withcoord:pure-token@WITHCOORD? \
                    withdist:pure-token@WITHDIST? withhash:pure-token@WITHHASH? \
                    count-block:block?(count:integer@COUNT any:pure-token@ANY?~6.2.0) \
                    order:oneof?(asc:pure-token@ASC desc:pure-token@DESC) \
                    store:oneof?(storekey:key#1@STORE storedistkey:key#2@STOREDIST)
                    """, deprecatedSince: "6.2.0",
                replacedBy: "GEOSEARCH and GEOSEARCHSTORE with the BYRADIUS argument", propagates: .verbatim,
                .data(georadius)),
        Command("georadiusbymember", arity: -5, [.write, .denyoom, .movablekeys], [.write, .geo, .slow], keys: """
                    idx:1>rng:0/1/0{RO,access}; kw:STORE@5>rng:0/1/0{OW,update}; \
                    kw:STOREDIST@5>rng:0/1/0{OW,update}
                    """, group: .geo, since: "3.2.0", complexity: "O(N+log(M))",
                summary: "Finds or stores the members within a circle around one of them.", arguments: """
                    key:key#0 member:string radius:double unit:oneof(m:pure-token@m km:pure-token@km \
                    ft:pure-token@ft mi:pure-token@mi) withcoord:pure-token@WITHCOORD? \
                    withdist:pure-token@WITHDIST? withhash:pure-token@WITHHASH? \
                    count-block:block?(count:integer@COUNT any:pure-token@ANY?) \
                    order:oneof?(asc:pure-token@ASC desc:pure-token@DESC) \
                    store:oneof?(storekey:key#1@STORE storedistkey:key#2@STOREDIST)
                    """, deprecatedSince: "6.2.0",
                replacedBy: "GEOSEARCH and GEOSEARCHSTORE with the BYRADIUS and FROMMEMBER arguments",
                propagates: .verbatim, .data(georadiusbymember)),
        Command("georadiusbymember_ro", arity: -5, [.readonly], [.read, .geo, .slow],
                keys: "idx:1>rng:0/1/0{RO,access}", group: .geo, since: "3.2.10", complexity: "O(N+log(M))",
                summary: "Finds the members within a circle around one of them.", arguments: """
                    key:key#0 member:string radius:double unit:oneof(m:pure-token@m km:pure-token@km \
                    ft:pure-token@ft mi:pure-token@mi) withcoord:pure-token@WITHCOORD? \
                    withdist:pure-token@WITHDIST? withhash:pure-token@WITHHASH? \
                    count-block:block?(count:integer@COUNT any:pure-token@ANY?) \
                    order:oneof?(asc:pure-token@ASC desc:pure-token@DESC)
                    """, deprecatedSince: "6.2.0",
                replacedBy: "GEOSEARCH with the BYRADIUS and FROMMEMBER arguments", .data(georadiusbymemberRO)),
        Command("georadius_ro", arity: -6, [.readonly], [.read, .geo, .slow],
                keys: "idx:1>rng:0/1/0{RO,access}", group: .geo, since: "3.2.10", complexity: "O(N+log(M))",
                summary: "Finds the members within a circle around a place.", arguments: """
                    key:key#0 longitude:double latitude:double radius:double unit:oneof(m:pure-token@m \
                    km:pure-token@km ft:pure-token@ft mi:pure-token@mi) withcoord:pure-token@WITHCOORD? \
                    withdist:pure-token@WITHDIST? withhash:pure-token@WITHHASH? \
                    count-block:block?(count:integer@COUNT any:pure-token@ANY?~6.2.0) \
                    order:oneof?(asc:pure-token@ASC desc:pure-token@DESC)
                    """, deprecatedSince: "6.2.0", replacedBy: "GEOSEARCH with the BYRADIUS argument",
                .data(georadiusRO)),
        Command("geosearch", arity: -7, [.readonly], [.read, .geo, .slow],
                keys: "idx:1>rng:0/1/0{RO,access}", group: .geo, since: "6.2.0", complexity: "O(N+log(M))",
                summary: "Finds the members within a circle or a box.", arguments: """
                    key:key#0 from:oneof(member:string@FROMMEMBER fromlonlat:block@FROMLONLAT(longitude:double \
                    latitude:double)) by:oneof(circle:block(radius:double@BYRADIUS unit:oneof(m:pure-token@m \
                    km:pure-token@km ft:pure-token@ft mi:pure-token@mi)) box:block(width:double@BYBOX height:double \
                    unit:oneof(m:pure-token@m km:pure-token@km ft:pure-token@ft mi:pure-token@mi))) \
                    order:oneof?(asc:pure-token@ASC desc:pure-token@DESC) \
                    count-block:block?(count:integer@COUNT any:pure-token@ANY?) withcoord:pure-token@WITHCOORD? \
                    withdist:pure-token@WITHDIST? withhash:pure-token@WITHHASH?
                    """, .data(geosearch)),
        Command("geosearchstore", arity: -8, [.write, .denyoom], [.write, .geo, .slow],
                keys: "idx:1>rng:0/1/0{OW,update}; idx:2>rng:0/1/0{RO,access}", group: .geo, since: "6.2.0",
                complexity: "O(N+log(M))", summary: "Stores the members within a circle or a box.", arguments: """
                    destination:key#0 source:key#1 from:oneof(member:string@FROMMEMBER \
                    fromlonlat:block@FROMLONLAT(longitude:double latitude:double)) \
                    by:oneof(circle:block(radius:double@BYRADIUS unit:oneof(m:pure-token@m km:pure-token@km \
                    ft:pure-token@ft mi:pure-token@mi)) box:block(width:double@BYBOX height:double \
                    unit:oneof(m:pure-token@m km:pure-token@km ft:pure-token@ft mi:pure-token@mi))) \
                    order:oneof?(asc:pure-token@ASC desc:pure-token@DESC) \
                    count-block:block?(count:integer@COUNT any:pure-token@ANY?) storedist:pure-token@STOREDIST?
                    """, propagates: .verbatim, .data(geosearchstore)),
    ]
}
