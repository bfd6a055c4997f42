import Commands
import Keyspace
import Primitives
import RESP

// Who listens to what. Messages are pushed to the listeners' outputs at once.

/// The kinds of names that a client may listen to; raw values index `Subscriptions.names`.
package enum SubscriptionKind: Int, CaseIterable, Sendable {
    case channel, pattern, shardChannel
}

/// What one client listens to, in the order in which it asked for it.
package struct Subscriptions {
    package var names: [[[UInt8]]] = [[], [], []]
    package init() {}

    package subscript(kind: SubscriptionKind) -> [[UInt8]] { names[kind.rawValue] }
    package var isEmpty: Bool { names[0].isEmpty && names[1].isEmpty && names[2].isEmpty }
    /// Channels and patterns: what SUBSCRIBE and its kin count.
    package var count: Int { names[0].count + names[1].count }
    package var shardCount: Int { names[2].count }
}
