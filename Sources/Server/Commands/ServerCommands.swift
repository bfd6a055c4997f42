import Commands
import Engine
import Keyspace
import Primitives
import RESP

/// TIME, ROLE, LOLWUT, and the commands of roles that this server does not play yet.
enum ServerCommands {
    static let all: [Command] = [
        Command("time", arity: 1, [.loading, .stale, .fast], [.fast], group: .server, since: "2.6.0",
                complexity: "O(1)", summary: "Answers the server's time: seconds and microseconds.",
                tips: "nondeterministic_output", .server(time)),
        Command("lolwut", arity: -1, [.readonly, .fast], [.read, .fast], group: .server, since: "5.0.0",
                summary: "Draws, and says which version this is.", arguments: "version:integer@VERSION?",
                .server(lolwut)),
        Command("role", arity: 1, [.noscript, .loading, .stale, .fast], [.admin, .fast, .dangerous], group: .server,
                since: "2.8.12", complexity: "O(1)", summary: "Answers the replication role.", .server(role)),
        Command("replicaof", arity: 3, [.admin, .noscript, .stale, .noAsyncLoading], [.admin, .slow, .dangerous],
                group: .server, since: "5.0.0", complexity: "O(1)",
                summary: "Makes the server a replica, or a primary again.", arguments: hostArguments,
                .server(replicaOf)),
        Command("slaveof", arity: 3, [.admin, .noscript, .stale, .noAsyncLoading], [.admin, .slow, .dangerous],
                group: .server, since: "1.0.0", complexity: "O(1)",
                summary: "Makes the server a replica, or a primary again.", arguments: hostArguments,
                deprecatedSince: "5.0.0", replacedBy: "REPLICAOF", .server(replicaOf)),
        Command("failover", arity: -1, [.admin, .noscript, .stale], [.admin, .slow, .dangerous], group: .server,
                since: "6.2.0", complexity: "O(1)", summary: "Hands the primary's role to a replica.",
                arguments: failoverArguments, .server(failover)),
        Command("readonly", arity: 1, [.loading, .stale, .fast], [.fast, .connection], group: .cluster,
                since: "3.0.0", complexity: "O(1)", summary: "Lets the connection read from a cluster replica.",
                .server(clusterOnly)),
        Command("readwrite", arity: 1, [.loading, .stale, .fast], [.fast, .connection], group: .cluster,
                since: "3.0.0", complexity: "O(1)", summary: "Ends READONLY.", .server(clusterOnly)),
        Command("asking", arity: 1, [.fast], [.fast, .connection], group: .cluster, since: "3.0.0",
                complexity: "O(1)", summary: "Says that the next command follows an ASK redirection.",
                .server(clusterOnly)),
    ]

    private static let hostArguments: StaticString = """
        args:oneof(host-port:block(host:string port:integer) no-one:block(no:pure-token@NO one:pure-token@ONE))
        """
    private static let failoverArguments: StaticString = """
        target:block@TO?(host:string port:integer force:pure-token@FORCE?) abort:pure-token@ABORT? \
        milliseconds:integer@TIMEOUT?
        """

    static func time(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let now = UnixMicroseconds.now().rawValue
        call.reply.array(2)
        call.reply.bulk(integer: now / 1_000_000)
        call.reply.bulk(integer: now % 1_000_000)
    }

    static func lolwut(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        // What is drawn takes no arguments; those that Redis' drawings take are checked as there.
        var version: Int64 = 7
        var first = 1
        if call.count >= 3, call.isWord(1, "VERSION") {
            version = try call.integer(2)
            first = 3
        }
        if version == 5 || version == 6 {
            for index in first..<min(call.count, first + (version == 5 ? 3 : 2)) { _ = try call.integer(index) }
        }
        drawing.withUnsafeBytes { call.reply.verbatim("txt", $0) }
    }

    private static let drawing: [UInt8] = {
        var art: [UInt8] = []
        for row in 0..<8 {
            for column in 0..<32 {
                let wave = (row * row + column * (column ^ 5)) % 7
                art.append(wave < 2 ? UInt8(ascii: "#") : wave < 4 ? UInt8(ascii: "+") : UInt8(ascii: "."))
            }
            art.append(UInt8(ascii: "\n"))
        }
        return art + Array("\nRedis ver. \(ServerVersion.redis)\n".utf8)
    }()

    static func role(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        call.reply.array(3)
        call.reply.bulk("master" as StaticString)
        call.reply.integer(0)
        call.reply.array(0)
    }

    /// Only NO ONE, which changes nothing: there is no replication yet.
    static func replicaOf(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        if call.isWord(1, "NO"), call.isWord(2, "ONE") {
            call.reply.ok()
            return
        }
        guard let port = Decimal.parseInt64(call[2]), (0...65535).contains(port) else {
            throw .text("ERR Invalid master port")
        }
        throw .text("ERR this server does not support replication yet")
    }

    static func failover(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        if call.count == 2, call.isWord(1, "ABORT") { throw .text("ERR No failover in progress.") }
        var index = 1
        while index < call.count {
            if call.isWord(index, "TIMEOUT"), index + 1 < call.count {
                if try call.integer(index + 1) <= 0 { throw .text("ERR FAILOVER timeout must be greater than 0") }
                index += 2
            } else if call.isWord(index, "TO"), index + 2 < call.count {
                _ = try call.integer(index + 2)
                index += 3
            } else if call.isWord(index, "FORCE") || call.isWord(index, "ABORT") {
                index += 1
            } else {
                throw .syntax
            }
        }
        throw .text("ERR FAILOVER requires connected replicas.")
    }

    static func clusterOnly(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        throw .text("ERR This instance has cluster support disabled")
    }
}
