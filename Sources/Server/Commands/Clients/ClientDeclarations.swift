import Commands

extension ClientCommands {
    static let all: [Command] = [
        Command("client", arity: -2, [], [.slow], group: .connection, since: "2.4.0", complexity: "per-subcommand",
                summary: "A container of commands about client connections.",
                subcommands: aboutItself + aboutOthers + tracking, .container),
    ]

    private static let durabilityArguments: StaticString = """
        mode:oneof(always:pure-token@ALWAYS everysec:pure-token@EVERYSEC default:pure-token@DEFAULT)
        """

    private static let aboutItself: [Command] = [
        // Valkey's.
        Command("capa", arity: -3, [.noscript, .loading, .stale, .allowBusy], [.slow, .connection],
                group: .connection, since: "8.0.0", complexity: "O(1)", summary: "Notes what the client can do.",
                arguments: "capability:string*", .server(capabilities)),
        Command("import-source", arity: 3, [.noscript, .loading, .stale], [.slow, .connection], group: .connection,
                since: "8.1.0", complexity: "O(1)", summary: "Would mark the source of an import.",
                arguments: "enabled:oneof(on:pure-token@ON off:pure-token@OFF)", .server(importSource)),
        // Ours.
        Command("durability", arity: 3, [.noscript, .loading, .stale], [.slow, .connection], group: .connection,
                since: "7.4.0", complexity: "O(1)",
                summary: "Chooses what the connection's replies wait for, whatever appendfsync says.",
                arguments: durabilityArguments,
                .server(durability)),
        Command("getname", arity: 2, [.noscript, .loading, .stale], [.slow, .connection], group: .connection,
                since: "2.6.9", complexity: "O(1)", summary: "Answers the connection's name.", .server(getName)),
        Command("help", arity: 2, [.loading, .stale], [.slow, .connection], group: .connection, since: "5.0.0",
                complexity: "O(1)", summary: "Lists the subcommands.", .server(help)),
        Command("id", arity: 2, [.noscript, .loading, .stale], [.slow, .connection], group: .connection,
                since: "5.0.0", complexity: "O(1)", summary: "Answers the connection's number.", .server(id)),
        Command("info", arity: 2, [.noscript, .loading, .stale], [.slow, .connection], group: .connection,
                since: "6.2.0", complexity: "O(1)", summary: "Describes the connection.",
                tips: "nondeterministic_output", .server(info)),
        Command("no-evict", arity: 3, [.admin, .noscript, .loading, .stale], [.admin, .slow, .dangerous, .connection],
                group: .connection, since: "7.0.0", complexity: "O(1)",
                summary: "Exempts the connection from eviction of clients.",
                arguments: "enabled:oneof(on:pure-token@ON off:pure-token@OFF)", .server(noEvict)),
        Command("no-touch", arity: 3, [.noscript, .loading, .stale], [.slow, .connection], group: .connection,
                since: "7.2.0", complexity: "O(1)",
                summary: "Keeps the connection's commands from refreshing LRU and LFU of keys.",
                arguments: "enabled:oneof(on:pure-token@ON off:pure-token@OFF)", .server(noTouch)),
        Command("reply", arity: 3, [.noscript, .loading, .stale], [.slow, .connection], group: .connection,
                since: "3.2.0", complexity: "O(1)", summary: "Turns replies on or off.",
                arguments: "action:oneof(on:pure-token@ON off:pure-token@OFF skip:pure-token@SKIP)",
                .server(replyMode)),
        Command("setinfo", arity: 4, [.noscript, .loading, .stale], [.slow, .connection], group: .connection,
                since: "7.2.0", complexity: "O(1)", summary: "Notes name or version of the client library.",
                tips: "request_policy:all_nodes,response_policy:all_succeeded",
                arguments: "attr:oneof(libname:string@lib-name libver:string@lib-ver)", .server(setInfo)),
        Command("setname", arity: 3, [.noscript, .loading, .stale], [.slow, .connection], group: .connection,
                since: "2.6.9", complexity: "O(1)", summary: "Names the connection.",
                tips: "request_policy:all_nodes,response_policy:all_succeeded", arguments: "connection-name:string",
                .server(setName)),
    ]

    private static let aboutOthers: [Command] = [
        Command("kill", arity: -3, [.admin, .noscript, .loading, .stale], [.admin, .slow, .dangerous, .connection],
                group: .connection, since: "2.4.0", complexity: "O(N)", summary: "Closes connections.",
                arguments: killArguments, .server(kill)),
        Command("list", arity: -2, [.admin, .noscript, .loading, .stale], [.admin, .slow, .dangerous, .connection],
                group: .connection, since: "2.4.0", complexity: "O(N)", summary: "Describes all connections.",
                tips: "nondeterministic_output", arguments: listArguments, .server(list)),
        Command("pause", arity: -3, [.admin, .noscript, .loading, .stale], [.admin, .slow, .dangerous, .connection],
                group: .connection, since: "3.0.0", complexity: "O(1)",
                summary: "Holds the commands of clients back for a while.",
                arguments: "timeout:integer mode:oneof?~6.2.0(write:pure-token@WRITE all:pure-token@ALL)",
                .server(pause)),
        Command("unblock", arity: -3, [.admin, .noscript, .loading, .stale], [.admin, .slow, .dangerous, .connection],
                group: .connection, since: "5.0.0", complexity: "O(logN)",
                summary: "Ends the wait of a client that is blocked.",
                arguments: "client-id:integer unblock-type:oneof?(timeout:pure-token@TIMEOUT error:pure-token@ERROR)",
                .server(unblock)),
        Command("unpause", arity: 2, [.admin, .noscript, .loading, .stale], [.admin, .slow, .dangerous, .connection],
                group: .connection, since: "6.2.0", complexity: "O(N)", summary: "Lets held-back commands run.",
                .server(unpause)),
    ]

    private static let tracking: [Command] = [
        Command("caching", arity: 3, [.noscript, .loading, .stale], [.slow, .connection], group: .connection,
                since: "6.0.0", complexity: "O(1)", summary: "Says whether the next command's keys are tracked.",
                arguments: "mode:oneof(yes:pure-token@YES no:pure-token@NO)", .server(ClientTracking.caching)),
        Command("getredir", arity: 2, [.noscript, .loading, .stale], [.slow, .connection], group: .connection,
                since: "6.0.0", complexity: "O(1)", summary: "Answers the client that invalidation messages go to.",
                .server(ClientTracking.getRedirection)),
        Command("tracking", arity: -3, [.noscript, .loading, .stale], [.slow, .connection], group: .connection,
                since: "6.0.0", complexity: "O(1)", summary: "Turns server-assisted client-side caching on or off.",
                arguments: trackingArguments, .server(ClientTracking.tracking)),
        Command("trackinginfo", arity: 2, [.noscript, .loading, .stale], [.slow, .connection], group: .connection,
                since: "6.2.0", complexity: "O(1)", summary: "Describes the connection's tracking.",
                .server(ClientTracking.trackingInfo)),
    ]

    private static let killArguments: StaticString = """
        filter:oneof(old-format:string!2.8.12 new-format:oneof*(client-id:integer@ID?~2.8.12 \
        client-type:oneof@TYPE?~2.8.12(normal:pure-token@normal master:pure-token@master~3.2.0 \
        slave:pure-token@slave replica:pure-token@replica~5.0.0 pubsub:pure-token@pubsub) username:string@USER? \
        addr:string@ADDR? laddr:string@LADDR?~6.2.0 skipme:oneof@SKIPME?(yes:pure-token@YES no:pure-token@NO) \
        maxage:integer@MAXAGE?~7.4.0))
        """
    private static let listArguments: StaticString = """
        client-type:oneof@TYPE?~5.0.0(normal:pure-token@normal master:pure-token@master replica:pure-token@replica \
        pubsub:pure-token@pubsub) client-id:integer@ID?*~6.2.0
        """
    private static let trackingArguments: StaticString = """
        status:oneof(on:pure-token@ON off:pure-token@OFF) client-id:integer@REDIRECT? prefix:string@PREFIX?*+ \
        BCAST:pure-token@BCAST? OPTIN:pure-token@OPTIN? OPTOUT:pure-token@OPTOUT? NOLOOP:pure-token@NOLOOP?
        """
}
