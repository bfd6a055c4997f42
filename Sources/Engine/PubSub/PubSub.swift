import Commands
import Keyspace
import Primitives
import RESP

// Who listens to what. A message is written to its listeners' outputs at once, in the order of their replies.
//
// A message that tells of a write (a keyspace event) leaves only when that write is durable, like the write's own
// reply; one of PUBLISH says nothing about the data and leaves behind what its listener already waits for.

/// The kinds of names that a client may listen to; raw values index `Subscriptions.names` and `Engine.subscribers`.
package enum SubscriptionKind: Int, CaseIterable, Sendable {
    case channel, pattern, shardChannel
}

/// What one client listens to, in the order in which it asked for it.
package struct Subscriptions {
    package fileprivate(set) var names: [[[UInt8]]] = [[], [], []]
    package fileprivate(set) var isEmpty = true
    /// What the names take.
    package fileprivate(set) var byteCount = 0
    package init() {}

    /// With what arrays and the table of listeners take for it.
    fileprivate static func bytes(of name: [UInt8]) -> Int { name.count + 64 }

    package subscript(kind: SubscriptionKind) -> [[UInt8]] { names[kind.rawValue] }

    /// What a reply of this kind counts: channels and patterns together, shard channels apart.
    package func count(for kind: SubscriptionKind) -> Int {
        switch kind {
        case .channel, .pattern: names[0].count + names[1].count
        case .shardChannel: names[2].count
        }
    }
}

extension Engine {
    /// True if the session did not listen to it before.
    func subscribe(_ session: Session, _ kind: SubscriptionKind, _ name: [UInt8]) -> Bool {
        if subscribers[kind.rawValue][name]?.contains(where: { $0 === session }) == true { return false }
        subscribers[kind.rawValue][name, default: []].append(session)
        session.subscriptions.names[kind.rawValue].append(name)
        session.subscriptions.byteCount += Subscriptions.bytes(of: name)
        session.subscriptions.isEmpty = false
        session.kind = .pubsub
        return true
    }

    func unsubscribe(_ session: Session, _ kind: SubscriptionKind, _ name: [UInt8]) {
        guard let place = session.subscriptions.names[kind.rawValue].firstIndex(of: name) else { return }
        session.subscriptions.names[kind.rawValue].remove(at: place)
        session.subscriptions.byteCount -= Subscriptions.bytes(of: name)
        forget(session, kind, name)
        session.subscriptions.isEmpty = session.subscriptions.names.allSatisfy { $0.isEmpty }
        if session.subscriptions.isEmpty { session.kind = .normal }
    }

    /// Takes it off the table of listeners.
    private func forget(_ session: Session, _ kind: SubscriptionKind, _ name: [UInt8]) {
        guard let index = subscribers[kind.rawValue].index(forKey: name) else { return }
        subscribers[kind.rawValue].values[index].removeAll { $0 === session }
        if subscribers[kind.rawValue].values[index].isEmpty { subscribers[kind.rawValue].remove(at: index) }
    }

    /// Without a word: the connection is gone or begins anew.
    package func unsubscribeAll(_ session: Session) {
        if session.subscriptions.isEmpty { return }
        for kind in SubscriptionKind.allCases {
            for name in session.subscriptions[kind] { forget(session, kind, name) }
        }
        session.subscriptions = Subscriptions()
        session.kind = .normal
    }

    // MARK: Messages

    /// Sends a message to all who listen to the channel, or to a pattern that it matches; returns how many.
    package func publish(_ channel: Bytes, _ message: Bytes, tellsOfWrite: Bool = false) -> Int {
        let name = Array(channel)
        var count = 0
        for session in subscribers[SubscriptionKind.channel.rawValue][name] ?? [] {
            push(to: session, tellsOfWrite) { reply in
                reply.push(3)
                reply.bulk("message" as StaticString)
                reply.bulk(channel)
                reply.bulk(message)
            }
            count += 1
        }
        for (pattern, sessions) in subscribers[SubscriptionKind.pattern.rawValue]
        where pattern.withUnsafeBytes({ Glob.matches($0, channel) }) {
            for session in sessions {
                push(to: session, tellsOfWrite) { reply in
                    reply.push(4)
                    reply.bulk("pmessage" as StaticString)
                    pattern.withUnsafeBytes { reply.bulk($0) }
                    reply.bulk(channel)
                    reply.bulk(message)
                }
                count += 1
            }
        }
        return count
    }

    func publishToShard(_ channel: Bytes, _ message: Bytes) -> Int {
        let sessions = subscribers[SubscriptionKind.shardChannel.rawValue][Array(channel)] ?? []
        for session in sessions {
            push(to: session, false) { reply in
                reply.push(3)
                reply.bulk("smessage" as StaticString)
                reply.bulk(channel)
                reply.bulk(message)
            }
        }
        return sessions.count
    }

    /// Writes something unasked to a session.
    package func push(to session: Session, _ tellsOfWrite: Bool, _ write: (ReplyWriter) -> Void) {
        let start = session.output.pointee.count
        write(session.reply)
        // What the running command's own client gets is gated with its reply.
        if session !== current || !isRunning { gatePush(session, start, tellsOfWrite) }
        session.link?.outputReady()
    }

    private func gatePush(_ session: Session, _ start: Int, _ tellsOfWrite: Bool) {
        if tellsOfWrite && isInUnit {
            unitPushes.append((session, start))
        } else if tellsOfWrite && keyspace.stamps.isEnabled && logEnd > acknowledged {
            session.gate(from: start, until: logEnd)
        } else {
            regate(session, start)
        }
    }

    /// Sessions whose output tells of the unit that runs and has no gate yet.
    package var sessionsToldByUnit: [Session] { unitPushes.map(\.0) }

    /// The unit's records are in the log now: what told of them waits for them.
    func gateUnitPushes() {
        let pushes = unitPushes
        unitPushes = []
        for (session, start) in pushes where start < session.output.pointee.count {
            if keyspace.stamps.isEnabled && logEnd > acknowledged {
                session.gate(from: start, until: logEnd)
            } else {
                regate(session, start)
            }
        }
    }

    // MARK: Keyspace notifications

    /// Publishes a key event as `notify-keyspace-events` asks for it.
    package func notify(_ event: KeyEvent) {
        if subscribers[0].isEmpty && subscribers[1].isEmpty { return }
        var channel = OwnedBytes()
        if notifyClasses.contains(.keyspace) {
            channel.append("__keyspace@\(event.database)__:" as String)
            channel.append(event.key)
            _ = publish(channel.bytes, event.event.bytes, tellsOfWrite: true)
        }
        if notifyClasses.contains(.keyevent) {
            channel.removeAll()
            channel.append("__keyevent@\(event.database)__:" as String)
            channel.append(event.event.bytes)
            _ = publish(channel.bytes, event.key, tellsOfWrite: true)
        }
    }
}
