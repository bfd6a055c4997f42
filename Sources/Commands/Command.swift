import Keyspace
import Primitives
import RESP

// The Command record: one declaration a command, in its family's file. From it come dispatch, COMMAND, COMMAND DOCS,
// COMMAND GETKEYS, ACL categories, and the list of commands without a compatibility case.

/// As COMMAND INFO names them; `hidden` ones are kept out of its reply.
package struct CommandFlags: OptionSet, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    package static let write = CommandFlags(rawValue: 1 << 0)
    package static let readonly = CommandFlags(rawValue: 1 << 1)
    package static let denyoom = CommandFlags(rawValue: 1 << 2)
    package static let module = CommandFlags(rawValue: 1 << 3)
    package static let admin = CommandFlags(rawValue: 1 << 4)
    package static let pubsub = CommandFlags(rawValue: 1 << 5)
    package static let noscript = CommandFlags(rawValue: 1 << 6)
    package static let blocking = CommandFlags(rawValue: 1 << 7)
    package static let loading = CommandFlags(rawValue: 1 << 8)
    package static let stale = CommandFlags(rawValue: 1 << 9)
    package static let skipMonitor = CommandFlags(rawValue: 1 << 10)
    package static let skipSlowlog = CommandFlags(rawValue: 1 << 11)
    package static let asking = CommandFlags(rawValue: 1 << 12)
    package static let fast = CommandFlags(rawValue: 1 << 13)
    package static let noAuth = CommandFlags(rawValue: 1 << 14)
    package static let mayReplicate = CommandFlags(rawValue: 1 << 15)
    package static let noAsyncLoading = CommandFlags(rawValue: 1 << 16)
    package static let noMulti = CommandFlags(rawValue: 1 << 17)
    package static let allowBusy = CommandFlags(rawValue: 1 << 18)
    package static let noMandatoryKeys = CommandFlags(rawValue: 1 << 19)
    package static let movablekeys = CommandFlags(rawValue: 1 << 20)
    package static let protected = CommandFlags(rawValue: 1 << 21)
    package static let sentinel = CommandFlags(rawValue: 1 << 22)
    package static let touchesArbitraryKeys = CommandFlags(rawValue: 1 << 23)
    package static let allDatabases = CommandFlags(rawValue: 1 << 24)
    /// `syscmd` in COMMAND DOCS: not meant for applications.
    package static let systemCommand = CommandFlags(rawValue: 1 << 25)

    /// In the order in which COMMAND INFO lists them.
    package static let names: [(CommandFlags, StaticString)] = [
        (.write, "write"), (.readonly, "readonly"), (.denyoom, "denyoom"), (.module, "module"), (.admin, "admin"),
        (.pubsub, "pubsub"), (.noscript, "noscript"), (.blocking, "blocking"), (.loading, "loading"),
        (.stale, "stale"), (.skipMonitor, "skip_monitor"), (.skipSlowlog, "skip_slowlog"), (.asking, "asking"),
        (.fast, "fast"), (.noAuth, "no_auth"), (.noAsyncLoading, "no_async_loading"), (.noMulti, "no_multi"),
        (.noMandatoryKeys, "no_mandatory_keys"), (.allowBusy, "allow_busy"), (.movablekeys, "movablekeys"),
    ]
}

package struct ACLCategories: OptionSet, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    package static let keyspace = ACLCategories(rawValue: 1 << 0)
    package static let read = ACLCategories(rawValue: 1 << 1)
    package static let write = ACLCategories(rawValue: 1 << 2)
    package static let set = ACLCategories(rawValue: 1 << 3)
    package static let sortedset = ACLCategories(rawValue: 1 << 4)
    package static let list = ACLCategories(rawValue: 1 << 5)
    package static let hash = ACLCategories(rawValue: 1 << 6)
    package static let string = ACLCategories(rawValue: 1 << 7)
    package static let bitmap = ACLCategories(rawValue: 1 << 8)
    package static let hyperloglog = ACLCategories(rawValue: 1 << 9)
    package static let geo = ACLCategories(rawValue: 1 << 10)
    package static let stream = ACLCategories(rawValue: 1 << 11)
    package static let pubsub = ACLCategories(rawValue: 1 << 12)
    package static let admin = ACLCategories(rawValue: 1 << 13)
    package static let fast = ACLCategories(rawValue: 1 << 14)
    package static let slow = ACLCategories(rawValue: 1 << 15)
    package static let blocking = ACLCategories(rawValue: 1 << 16)
    package static let dangerous = ACLCategories(rawValue: 1 << 17)
    package static let connection = ACLCategories(rawValue: 1 << 18)
    package static let transaction = ACLCategories(rawValue: 1 << 19)
    package static let scripting = ACLCategories(rawValue: 1 << 20)

    package static let names: [(ACLCategories, StaticString)] = [
        (.keyspace, "keyspace"), (.read, "read"), (.write, "write"), (.set, "set"), (.sortedset, "sortedset"),
        (.list, "list"), (.hash, "hash"), (.string, "string"), (.bitmap, "bitmap"), (.hyperloglog, "hyperloglog"),
        (.geo, "geo"), (.stream, "stream"), (.pubsub, "pubsub"), (.admin, "admin"), (.fast, "fast"), (.slow, "slow"),
        (.blocking, "blocking"), (.dangerous, "dangerous"), (.connection, "connection"),
        (.transaction, "transaction"), (.scripting, "scripting"),
    ]
}

package enum CommandGroup: Sendable {
    case generic, string, list, set, sortedSet, hash, pubsub, transactions, connection, server, scripting
    case hyperloglog, cluster, sentinel, geo, stream, bitmap, module

    /// As COMMAND DOCS prints it.
    package var name: StaticString {
        switch self {
        case .generic: "generic"
        case .string: "string"
        case .list: "list"
        case .set: "set"
        case .sortedSet: "sorted-set"
        case .hash: "hash"
        case .pubsub: "pubsub"
        case .transactions: "transactions"
        case .connection: "connection"
        case .server: "server"
        case .scripting: "scripting"
        case .hyperloglog: "hyperloglog"
        case .cluster: "cluster"
        case .sentinel: "sentinel"
        case .geo: "geo"
        case .stream: "stream"
        case .bitmap: "bitmap"
        case .module: "module"
        }
    }
}

/// What reaches the log when a call changed something.
package enum Propagation: Sendable {
    /// Nothing: the command writes no data.
    case none
    /// The command as it came, unless the handler recorded something else.
    case verbatim
    /// What the handler put together with `call.record…`; a handler that recorded nothing logs nothing.
    case rewritten
}

package enum Handler: Sendable {
    package typealias Data = @Sendable (inout Keyspace, inout Call) throws(CommandError) -> Void
    package typealias Control = @Sendable (AnyObject, inout Call) throws(CommandError) -> Void
    /// Works on data alone: deterministic, the same for a client, a script and the log's replay.
    case data(Data)
    /// Needs the engine or the server (transactions, configuration, persistence …).
    case control(Control)
    /// Only a container of subcommands.
    case container
}

/// A handler as it is called. Taken out of the enum at each call, a function's context would be retained and released;
/// a constant of an object that is known to live is called where it is.
package final class HandlerBody: Sendable {
    package let isData: Bool
    private let data: Handler.Data
    private let control: Handler.Control

    package init(_ handler: Handler) {
        switch handler {
        case .data(let body): (isData, data, control) = (true, body, Self.noControl)
        case .control(let body): (isData, data, control) = (false, Self.noData, body)
        case .container: (isData, data, control) = (true, Self.noData, Self.noControl)
        }
    }

    @Sendable
    private static func noData(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        throw .wrongArity
    }

    @Sendable
    private static func noControl(_ engine: AnyObject, _ call: inout Call) throws(CommandError) { throw .wrongArity }

    @inline(__always)
    package func run(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try data(&keyspace, &call)
    }

    /// - Parameter engine: what a control handler is given; it reaches the keyspace through it.
    @inline(__always)
    package func run(engine: AnyObject, _ call: inout Call) throws(CommandError) { try control(engine, &call) }
}

package struct Command: Sendable {
    /// Lower case, as COMMAND prints it; a subcommand's is the part behind the bar.
    package let name: StaticString
    /// Arguments with the name (and the subcommand's); −n: n or more.
    package let arity: Int
    package let flags: CommandFlags
    package let categories: ACLCategories
    /// Key specs in the notation of docs/COMMANDS.md: `BEGIN>FIND{FLAGS}`, joined by `; `.
    package let keys: StaticString
    package let group: CommandGroup
    package let since: StaticString
    package let complexity: StaticString
    package let summary: StaticString
    package let tips: StaticString
    /// Argument schema, in the notation of docs/COMMANDS.md.
    package let arguments: StaticString
    package let propagation: Propagation
    package let handler: Handler
    package let subcommands: [Command]
    package let deprecatedSince: StaticString
    package let replacedBy: StaticString

    /// Whether so many arguments, the name among them, are as many as it wants.
    @inline(__always)
    package func takes(_ count: Int) -> Bool { arity > 0 ? count == arity : count >= -arity }

    package init(_ name: StaticString, arity: Int, _ flags: CommandFlags, _ categories: ACLCategories,
                 keys: StaticString = "", group: CommandGroup, since: StaticString, complexity: StaticString = "",
                 summary: StaticString, tips: StaticString = "", arguments: StaticString = "",
                 deprecatedSince: StaticString = "", replacedBy: StaticString = "",
                 propagates: Propagation = .none, subcommands: [Command] = [], _ handler: Handler) {
        self.name = name
        self.arity = arity
        self.flags = flags
        self.categories = categories
        self.keys = keys
        self.group = group
        self.since = since
        self.complexity = complexity
        self.summary = summary
        self.tips = tips
        self.arguments = arguments
        self.deprecatedSince = deprecatedSince
        self.replacedBy = replacedBy
        propagation = propagates
        self.subcommands = subcommands
        self.handler = handler
    }
}
