import Commands
import Keyspace
import Primitives
import RESP

/// Commands about the connection itself that need no more than the session.
package enum ConnectionCommands {
    package static let all: [Command] = [
        Command("ping", arity: -1, [.fast], [.fast, .connection], group: .connection, since: "1.0.0",
                complexity: "O(1)", summary: "Answers PONG, or the message given.",
                tips: "request_policy:all_shards,response_policy:all_succeeded", arguments: "message:string?",
                .engine(ping)),
        Command("echo", arity: 2, [.loading, .stale, .fast], [.fast, .connection], group: .connection, since: "1.0.0",
                complexity: "O(1)", summary: "Answers its argument.", arguments: "message:string", .engine(echo)),
        Command("select", arity: 2, [.loading, .stale, .fast], [.fast, .connection], group: .connection,
                since: "1.0.0", complexity: "O(1)", summary: "Chooses the database of the connection.",
                arguments: "index:integer", .engine(select)),
    ]

    static func ping(_ engine: Engine, _ call: inout Call) throws(CommandError) {
        if call.count > 2 { throw .wrongArity }
        if !engine.current.subscriptions.isEmpty && engine.current.version == .resp2 {
            // As a message, so that a client that listens can read it.
            call.reply.array(2)
            call.reply.bulk("pong" as StaticString)
            if call.count == 2 { call.reply.bulk(call[1]) } else { call.reply.bulk("" as StaticString) }
            return
        }
        if call.count == 2 { call.reply.bulk(call[1]) } else { call.reply.simple("PONG") }
    }

    static func echo(_ engine: Engine, _ call: inout Call) throws(CommandError) { call.reply.bulk(call[1]) }

    static func select(_ engine: Engine, _ call: inout Call) throws(CommandError) {
        let index = try call.int32(1)
        guard index >= 0, index < engine.keyspace.databaseCount else { throw .text("ERR DB index is out of range") }
        engine.current.database = index
        call.reply.ok()
    }
}
