import Commands
import Engine

/// CLUSTER: this server is no node of one.
enum ClusterCommands {
    static let all: [Command] = [
        Command("cluster", arity: -2, [], [.slow], group: .cluster, since: "3.0.0", complexity: "per-subcommand",
                summary: "A container of commands about the cluster.", subcommands: subcommands, .container),
    ]

    private static func refuse(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        throw .text("ERR This instance has cluster support disabled")
    }

    private static let setslotArguments: StaticString = """
        slot:integer subcommand:oneof(importing:string@IMPORTING migrating:string@MIGRATING node:string@NODE \
        stable:pure-token@STABLE)
        """

    private static let subcommands: [Command] = [
        Command("addslots", arity: -3, [.admin, .stale, .noAsyncLoading], [.admin, .slow, .dangerous],
                group: .cluster, since: "3.0.0", complexity: "O(N)", summary: "Assigns hash slots to this node.",
                arguments: "slot:integer*", .server(refuse)),
        Command("addslotsrange", arity: -4, [.admin, .stale, .noAsyncLoading], [.admin, .slow, .dangerous],
                group: .cluster, since: "7.0.0", complexity: "O(N)",
                summary: "Assigns ranges of hash slots to this node.",
                arguments: "range:block*(start-slot:integer end-slot:integer)", .server(refuse)),
        Command("bumpepoch", arity: 2, [.admin, .stale, .noAsyncLoading], [.admin, .slow, .dangerous],
                group: .cluster, since: "3.0.0", complexity: "O(1)", summary: "Advances the config epoch.",
                tips: "nondeterministic_output", .server(refuse)),
        Command("count-failure-reports", arity: 3, [.admin, .stale], [.admin, .slow, .dangerous], group: .cluster,
                since: "3.0.0", complexity: "O(N)", summary: "Counts the failure reports about a node.",
                tips: "nondeterministic_output", arguments: "node-id:string", .server(refuse)),
        Command("countkeysinslot", arity: 3, [.stale], [.slow], group: .cluster, since: "3.0.0", complexity: "O(1)",
                summary: "Counts the keys of a hash slot.", arguments: "slot:integer", .server(refuse)),
        Command("delslots", arity: -3, [.admin, .stale, .noAsyncLoading], [.admin, .slow, .dangerous],
                group: .cluster, since: "3.0.0", complexity: "O(N)", summary: "Takes hash slots from this node.",
                arguments: "slot:integer*", .server(refuse)),
        Command("delslotsrange", arity: -4, [.admin, .stale, .noAsyncLoading], [.admin, .slow, .dangerous],
                group: .cluster, since: "7.0.0", complexity: "O(N)",
                summary: "Takes ranges of hash slots from this node.",
                arguments: "range:block*(start-slot:integer end-slot:integer)", .server(refuse)),
        Command("failover", arity: -2, [.admin, .stale, .noAsyncLoading], [.admin, .slow, .dangerous],
                group: .cluster, since: "3.0.0", complexity: "O(1)",
                summary: "Makes a replica take over from its primary.",
                arguments: "options:oneof?(force:pure-token@FORCE takeover:pure-token@TAKEOVER)", .server(refuse)),
        Command("flushslots", arity: 2, [.admin, .stale, .noAsyncLoading], [.admin, .slow, .dangerous],
                group: .cluster, since: "3.0.0", complexity: "O(1)", summary: "Takes all hash slots from this node.",
                .server(refuse)),
        Command("forget", arity: 3, [.admin, .stale, .noAsyncLoading], [.admin, .slow, .dangerous], group: .cluster,
                since: "3.0.0", complexity: "O(1)", summary: "Removes a node.", arguments: "node-id:string",
                .server(refuse)),
        Command("getkeysinslot", arity: 4, [.stale], [.slow], group: .cluster, since: "3.0.0", complexity: "O(N)",
                summary: "Answers keys of a hash slot.", tips: "nondeterministic_output",
                arguments: "slot:integer count:integer", .server(refuse)),
        Command("help", arity: 2, [.loading, .stale], [.slow], group: .cluster, since: "5.0.0", complexity: "O(1)",
                summary: "Lists the subcommands.", .server(refuse)),
        Command("info", arity: 2, [.stale], [.slow], group: .cluster, since: "3.0.0", complexity: "O(1)",
                summary: "Describes the state of this node.", tips: "nondeterministic_output", .server(refuse)),
        Command("keyslot", arity: 3, [.stale], [.slow], group: .cluster, since: "3.0.0", complexity: "O(N)",
                summary: "Answers the hash slot of a key.", arguments: "key:string", .server(refuse)),
        Command("links", arity: 2, [.stale], [.slow], group: .cluster, since: "7.0.0", complexity: "O(N)",
                summary: "Lists the links to other nodes.", tips: "nondeterministic_output", .server(refuse)),
        Command("meet", arity: -4, [.admin, .stale, .noAsyncLoading], [.admin, .slow, .dangerous], group: .cluster,
                since: "3.0.0", complexity: "O(1)", summary: "Adds a node.",
                arguments: "ip:string port:integer cluster-bus-port:integer?~4.0.0", .server(refuse)),
        Command("myid", arity: 2, [.stale], [.slow], group: .cluster, since: "3.0.0", complexity: "O(1)",
                summary: "Answers the ID of this node.", .server(refuse)),
        Command("myshardid", arity: 2, [.stale], [.slow], group: .cluster, since: "7.2.0", complexity: "O(1)",
                summary: "Answers the ID of this shard.", tips: "nondeterministic_output", .server(refuse)),
        Command("nodes", arity: 2, [.stale], [.slow], group: .cluster, since: "3.0.0", complexity: "O(N)",
                summary: "Describes all nodes.", tips: "nondeterministic_output", .server(refuse)),
        Command("replicas", arity: 3, [.admin, .stale], [.admin, .slow, .dangerous], group: .cluster, since: "5.0.0",
                complexity: "O(N)", summary: "Lists the replicas of a node.", tips: "nondeterministic_output",
                arguments: "node-id:string", .server(refuse)),
        Command("replicate", arity: 3, [.admin, .stale, .noAsyncLoading], [.admin, .slow, .dangerous],
                group: .cluster, since: "3.0.0", complexity: "O(1)", summary: "Makes this node a replica of another.",
                arguments: "node-id:string", .server(refuse)),
        Command("reset", arity: -2, [.admin, .noscript, .stale], [.admin, .slow, .dangerous], group: .cluster,
                since: "3.0.0", complexity: "O(N)", summary: "Makes this node forget its cluster.",
                arguments: "reset-type:oneof?(hard:pure-token@HARD soft:pure-token@SOFT)", .server(refuse)),
        Command("saveconfig", arity: 2, [.admin, .stale, .noAsyncLoading], [.admin, .slow, .dangerous],
                group: .cluster, since: "3.0.0", complexity: "O(1)", summary: "Saves the state of the cluster.",
                .server(refuse)),
        Command("set-config-epoch", arity: 3, [.admin, .stale, .noAsyncLoading], [.admin, .slow, .dangerous],
                group: .cluster, since: "3.0.0", complexity: "O(1)", summary: "Sets the config epoch of a new node.",
                arguments: "config-epoch:integer", .server(refuse)),
        Command("setslot", arity: -4, [.admin, .stale, .noAsyncLoading], [.admin, .slow, .dangerous], group: .cluster,
                since: "3.0.0", complexity: "O(1)", summary: "Binds a hash slot to a node, or moves it.",
                arguments: setslotArguments, .server(refuse)),
        Command("shards", arity: 2, [.loading, .stale], [.slow], group: .cluster, since: "7.0.0", complexity: "O(N)",
                summary: "Describes slots and nodes.", tips: "nondeterministic_output", .server(refuse)),
        Command("slaves", arity: 3, [.admin, .stale], [.admin, .slow, .dangerous], group: .cluster, since: "3.0.0",
                complexity: "O(N)", summary: "Lists the replicas of a node.", tips: "nondeterministic_output",
                arguments: "node-id:string", deprecatedSince: "5.0.0", replacedBy: "CLUSTER REPLICAS",
                .server(refuse)),
        Command("slots", arity: 2, [.loading, .stale], [.slow], group: .cluster, since: "3.0.0", complexity: "O(N)",
                summary: "Describes the assignment of slots.", tips: "nondeterministic_output",
                deprecatedSince: "7.0.0", replacedBy: "CLUSTER SHARDS", .server(refuse)),
    ]
}
