import Commands
import Keyspace
import Primitives
import RESP

/// SUBSCRIBE, PUBLISH and their kin.
package enum PubSubCommands {
    package static let all: [Command] = [
        Command("publish", arity: 3, [.pubsub, .loading, .stale, .fast, .mayReplicate], [.pubsub, .fast],
                group: .pubsub, since: "2.0.0", complexity: "O(N+M)",
                summary: "Sends a message to the subscribers of a channel.",
                arguments: "channel:string message:string", .engine(publish)),
        Command("spublish", arity: 3, [.pubsub, .loading, .stale, .fast, .mayReplicate], [.pubsub, .fast],
                keys: "idx:1>rng:0/1/0{not_key}", group: .pubsub, since: "7.0.0", complexity: "O(N)",
                summary: "Sends a message to the subscribers of a shard channel.",
                arguments: "shardchannel:string message:string", .engine(shardPublish)),
        Command("subscribe", arity: -2, [.pubsub, .noscript, .loading, .stale], [.pubsub, .slow], group: .pubsub,
                since: "2.0.0", complexity: "O(N)", summary: "Listens to channels.", arguments: "channel:string*",
                .engine(subscribe)),
        Command("unsubscribe", arity: -1, [.pubsub, .noscript, .loading, .stale], [.pubsub, .slow], group: .pubsub,
                since: "2.0.0", complexity: "O(N)", summary: "Stops listening to channels.",
                arguments: "channel:string?*", .engine(unsubscribe)),
        Command("psubscribe", arity: -2, [.pubsub, .noscript, .loading, .stale], [.pubsub, .slow], group: .pubsub,
                since: "2.0.0", complexity: "O(N)", summary: "Listens to all channels that match patterns.",
                arguments: "pattern:pattern*", .engine(patternSubscribe)),
        Command("punsubscribe", arity: -1, [.pubsub, .noscript, .loading, .stale], [.pubsub, .slow], group: .pubsub,
                since: "2.0.0", complexity: "O(N)", summary: "Stops listening to patterns.",
                arguments: "pattern:pattern?*", .engine(patternUnsubscribe)),
        Command("ssubscribe", arity: -2, [.pubsub, .noscript, .loading, .stale], [.pubsub, .slow],
                keys: "idx:1>rng:-1/1/0{not_key}", group: .pubsub, since: "7.0.0", complexity: "O(N)",
                summary: "Listens to shard channels.", arguments: "shardchannel:string*", .engine(shardSubscribe)),
        Command("sunsubscribe", arity: -1, [.pubsub, .noscript, .loading, .stale], [.pubsub, .slow],
                keys: "idx:1>rng:-1/1/0{not_key}", group: .pubsub, since: "7.0.0", complexity: "O(N)",
                summary: "Stops listening to shard channels.", arguments: "shardchannel:string?*",
                .engine(shardUnsubscribe)),
        Command("pubsub", arity: -2, [], [.slow], group: .pubsub, since: "2.8.0", complexity: "per-subcommand",
                summary: "A container of commands about subscriptions.", subcommands: subcommands, .container),
    ]

    private static let subcommands: [Command] = [
        Command("channels", arity: -2, [.pubsub, .loading, .stale], [.pubsub, .slow], group: .pubsub, since: "2.8.0",
                complexity: "O(N)", summary: "Lists the channels that have subscribers.",
                arguments: "pattern:pattern?", .engine(channels)),
        Command("help", arity: 2, [.loading, .stale], [.slow], group: .pubsub, since: "6.2.0", complexity: "O(1)",
                summary: "Lists the subcommands.", .engine(help)),
        Command("numpat", arity: 2, [.pubsub, .loading, .stale], [.pubsub, .slow], group: .pubsub, since: "2.8.0",
                complexity: "O(1)", summary: "Counts the patterns listened to.", .engine(patternCount)),
        Command("numsub", arity: -2, [.pubsub, .loading, .stale], [.pubsub, .slow], group: .pubsub, since: "2.8.0",
                complexity: "O(N)", summary: "Counts the subscribers of channels.", arguments: "channel:string?*",
                .engine(subscriberCounts)),
        Command("shardchannels", arity: -2, [.pubsub, .loading, .stale], [.pubsub, .slow], group: .pubsub,
                since: "7.0.0", complexity: "O(N)", summary: "Lists the shard channels that have subscribers.",
                arguments: "pattern:pattern?", .engine(shardChannels)),
        Command("shardnumsub", arity: -2, [.pubsub, .loading, .stale], [.pubsub, .slow], group: .pubsub,
                since: "7.0.0", complexity: "O(N)", summary: "Counts the subscribers of shard channels.",
                arguments: "shardchannel:string?*", .engine(shardSubscriberCounts)),
    ]

    // MARK: Publishing

    private static func publish(_ engine: Engine, _ call: inout Call) throws(CommandError) {
        call.reply.integer(engine.publish(call[1], call[2]))
    }

    private static func shardPublish(_ engine: Engine, _ call: inout Call) throws(CommandError) {
        call.reply.integer(engine.publishToShard(call[1], call[2]))
    }

    // MARK: Listening

    /// Whether the command answers with what it made the client listen to, or no longer.
    static func confirms(_ command: String) -> Bool { command.hasSuffix("subscribe") }

    private static func subscribe(_ engine: Engine, _ call: inout Call) throws(CommandError) {
        if isScript(engine, call) { throw .text("ERR SUBSCRIBE isn't allowed for a DENY BLOCKING client") }
        listen(engine, call, .channel, "subscribe")
    }

    private static func patternSubscribe(_ engine: Engine, _ call: inout Call) throws(CommandError) {
        if isScript(engine, call) { throw .text("ERR PSUBSCRIBE isn't allowed for a DENY BLOCKING client") }
        listen(engine, call, .pattern, "psubscribe")
    }

    /// What may not wait and is no transaction (scripts come here by DEBUG SET-DISABLE-DENY-SCRIPTS alone).
    private static func isScript(_ engine: Engine, _ call: Call) -> Bool { !call.mayBlock && !engine.current.inMulti }

    private static func shardSubscribe(_ engine: Engine, _ call: inout Call) throws(CommandError) {
        // Unlike the older two, which always could stand in a transaction.
        if !call.mayBlock { throw .text("ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client") }
        listen(engine, call, .shardChannel, "ssubscribe")
    }

    private static func listen(_ engine: Engine, _ call: Call, _ kind: SubscriptionKind, _ word: StaticString) {
        let session = engine.current
        for index in 1..<call.count {
            _ = engine.subscribe(session, kind, Array(call[index]))
            confirm(call.reply, word, call[index], session.subscriptions.count(for: kind))
        }
    }

    private static func unsubscribe(_ engine: Engine, _ call: inout Call) throws(CommandError) {
        stop(engine, call, .channel, "unsubscribe")
    }

    private static func patternUnsubscribe(_ engine: Engine, _ call: inout Call) throws(CommandError) {
        stop(engine, call, .pattern, "punsubscribe")
    }

    private static func shardUnsubscribe(_ engine: Engine, _ call: inout Call) throws(CommandError) {
        stop(engine, call, .shardChannel, "sunsubscribe")
    }

    private static func stop(_ engine: Engine, _ call: Call, _ kind: SubscriptionKind, _ word: StaticString) {
        let session = engine.current
        if call.count > 1 {
            for index in 1..<call.count {
                engine.unsubscribe(session, kind, Array(call[index]))
                confirm(call.reply, word, call[index], session.subscriptions.count(for: kind))
            }
            return
        }
        let names = session.subscriptions[kind]
        for name in names {
            engine.unsubscribe(session, kind, name)
            name.withUnsafeBytes { confirm(call.reply, word, $0, session.subscriptions.count(for: kind)) }
        }
        if names.isEmpty { confirm(call.reply, word, nil, session.subscriptions.count(for: kind)) }
    }

    private static func confirm(_ reply: ReplyWriter, _ word: StaticString, _ name: Bytes?, _ count: Int) {
        reply.push(3)
        reply.bulk(word)
        if let name { reply.bulk(name) } else { reply.null() }
        reply.integer(count)
    }

    // MARK: PUBSUB

    private static func channels(_ engine: Engine, _ call: inout Call) throws(CommandError) {
        try list(engine, call, .channel)
    }

    private static func shardChannels(_ engine: Engine, _ call: inout Call) throws(CommandError) {
        try list(engine, call, .shardChannel)
    }

    private static func list(_ engine: Engine, _ call: Call, _ kind: SubscriptionKind) throws(CommandError) {
        if call.count > 3 { throw unknown(call) }
        let names = engine.subscribers[kind.rawValue].keys.filter { name in
            call.count == 2 || name.withUnsafeBytes { Glob.matches(call[2], $0) }
        }
        call.reply.array(names.count)
        for name in names { name.withUnsafeBytes { call.reply.bulk($0) } }
    }

    private static func unknown(_ call: Call) -> CommandError {
        let name = String(decoding: call[1], as: UTF8.self)
        return .message("ERR unknown subcommand or wrong number of arguments for '\(name)'. Try PUBSUB HELP.")
    }

    private static func patternCount(_ engine: Engine, _ call: inout Call) throws(CommandError) {
        call.reply.integer(engine.subscribers[SubscriptionKind.pattern.rawValue].count)
    }

    private static func subscriberCounts(_ engine: Engine, _ call: inout Call) throws(CommandError) {
        counts(engine, call, .channel)
    }

    private static func shardSubscriberCounts(_ engine: Engine, _ call: inout Call) throws(CommandError) {
        counts(engine, call, .shardChannel)
    }

    private static func counts(_ engine: Engine, _ call: Call, _ kind: SubscriptionKind) {
        call.reply.array((call.count - 2) * 2)
        for index in 2..<max(2, call.count) {
            call.reply.bulk(call[index])
            call.reply.integer(engine.subscribers[kind.rawValue][Array(call[index])]?.count ?? 0)
        }
    }

    private static func help(_ engine: Engine, _ call: inout Call) throws(CommandError) {
        HelpText.write(&call, [
            "CHANNELS [<pattern>]", "    List the channels that have subscribers (default: '*').",
            "NUMPAT", "    Count the patterns listened to.",
            "NUMSUB [<channel> ...]", "    Count the subscribers of channels, without those by pattern.",
            "SHARDCHANNELS [<pattern>]", "    List the shard channels that have subscribers (default: '*').",
            "SHARDNUMSUB [<shardchannel> ...]", "    Count the subscribers of shard channels.",
        ])
    }
}
