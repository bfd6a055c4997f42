import Commands
import Keyspace
import Primitives
import RESP

// Client-side caching: clients are told when what they keep a copy of changes.
//
//     default   the keys that a client reads are remembered; the next change of one is announced once and forgotten
//     BCAST     nothing is remembered; changes of all keys with the client's prefixes are announced, once a tick
//
// A message goes to the client itself (RESP3), or to the client that it names (REDIRECT), which listens to
// `__redis__:invalidate` if it speaks RESP2.
//
// Invariants
//  1. A message leaves only when the change that it tells of is durable, like the change's own reply.
//  2. A client's own changes are announced behind the reply of the command (or transaction) that made them.
//  3. A key is forgotten only by announcing it, however full the table is.

/// What one client asked for.
package struct TrackingMode {
    package enum Choice: Sendable { case all, optIn, optOut }
    package var choice = Choice.all
    package var broadcasts = false
    package var sparesOwn = false
    /// Another client's id; 0: none.
    package var redirection: Int64 = 0
    package var prefixes: [[UInt8]] = []
    /// The client to redirect to is gone.
    package internal(set) var redirectionIsBroken = false
    /// CLIENT CACHING: how the next command differs.
    package internal(set) var nextIsChosen = false
    package init() {}
}

package struct Tracking {
    /// By id: everybody who tracks.
    package fileprivate(set) var clients: [Int64: Session] = [:]
    /// Who has a copy of a key, whatever its database.
    fileprivate var readers: [[UInt8]: Set<Int64>] = [:]
    fileprivate var broadcasts: [[UInt8]: Prefix] = [:]
    /// What the running client has yet to be told of its own changes.
    fileprivate var ownChanges: [[UInt8]] = []
    fileprivate var ownFlush = false
    fileprivate var specs: [Int: [KeySpec]] = [:]
    /// `tracking-table-max-keys`; 0: no limit.
    package var maximumKeys = 1_000_000

    fileprivate struct Prefix {
        var clients: Set<Int64> = []
        /// Changed keys, and who changed each last.
        var changes: [[UInt8]: Int64] = [:]
    }

    package var isActive: Bool { !clients.isEmpty }
    package var keyCount: Int { readers.count }
    package var itemCount: Int { readers.values.reduce(0) { $0 + $1.count } }
    package var prefixCount: Int { broadcasts.count }
    package var hasBroadcasts: Bool { broadcasts.values.contains { !$0.changes.isEmpty } }
}

extension Engine {
    // MARK: Who

    package func startTracking(_ session: Session, _ mode: TrackingMode) {
        session.tracking = mode
        tracking.clients[session.id] = session
        if mode.broadcasts {
            for prefix in mode.prefixes { tracking.broadcasts[prefix, default: .init()].clients.insert(session.id) }
        }
        isTracking = true
    }

    package func stopTracking(_ session: Session) {
        guard let mode = session.tracking else { return }
        for prefix in mode.prefixes {
            tracking.broadcasts[prefix]?.clients.remove(session.id)
            if tracking.broadcasts[prefix]?.clients.isEmpty == true { tracking.broadcasts[prefix] = nil }
        }
        session.tracking = nil
        tracking.clients[session.id] = nil
        isTracking = tracking.isActive
        // Its ids in `readers` mean nobody now, and go with the keys.
        if !isTracking { tracking.readers = [:] }
    }

    /// CLIENT CACHING: the next command is tracked (OPTIN), or isn't (OPTOUT).
    package func chooseNextCommand(_ session: Session) { session.tracking?.nextIsChosen = true }

    // MARK: What is read

    /// After a command: remembers what it read, and tells its client what it changed.
    func trackAfter(_ session: Session, _ id: Int, _ arguments: Arguments) {
        // What a script reads its caller reads; the script itself only names what it might.
        if table.commands[id].flags.contains(.readonly), table.commands[id].group != .scripting {
            remember(session.caller ?? session, id, arguments)
        }
        if isInUnit { return }
        if let mode = session.tracking, mode.nextIsChosen, !session.inMulti,
           !table.rows[id].fullName.hasPrefix("client|") {
            session.tracking?.nextIsChosen = false
        }
        let changes = tracking.ownChanges, flushed = tracking.ownFlush
        tracking.ownChanges = []
        tracking.ownFlush = false
        if flushed && session.tracking != nil { sendInvalidation(to: session, nil) }
        for key in changes where session.tracking != nil { sendInvalidation(to: session, [key]) }
    }

    private func remember(_ session: Session, _ id: Int, _ arguments: Arguments) {
        guard let mode = session.tracking, !mode.broadcasts else { return }
        switch mode.choice {
        case .all: break
        case .optIn: if !mode.nextIsChosen { return }
        case .optOut: if mode.nextIsChosen { return }
        }
        let command = table.commands + id
        let specs = tracking.specs[id] ?? KeySpec.parse(command.pointee.keys)
        tracking.specs[id] = specs
        for position in KeyPositions.find(command, arguments, specs) ?? [] {
            tracking.readers[Array(arguments[position.index]), default: []].insert(session.id)
        }
        while tracking.maximumKeys > 0, tracking.readers.count > tracking.maximumKeys,
              let key = tracking.readers.first?.key {
            invalidateReaders(key, changedBy: nil)
        }
    }

    // MARK: What changes

    /// Who is behind the running command.
    private var client: Session { current.caller ?? current }

    func trackChange(_ event: KeyEvent) {
        let name = Array(event.key)
        let isNobodys = event.eventClass == .expired || event.eventClass == .evicted
        let session = isNobodys || !isRunning ? nil : client
        for prefix in tracking.broadcasts.keys where name.starts(with: prefix) {
            tracking.broadcasts[prefix]?.changes[name] = session?.id ?? 0
        }
        invalidateReaders(name, changedBy: session)
    }

    private func invalidateReaders(_ key: [UInt8], changedBy session: Session?) {
        guard let readers = tracking.readers.removeValue(forKey: key) else { return }
        for id in readers {
            guard let client = tracking.clients[id], let mode = client.tracking, !mode.broadcasts else { continue }
            if mode.sparesOwn && client === session { continue }
            if isRunning && client === self.client {
                tracking.ownChanges.append(key)
            } else {
                sendInvalidation(to: client, [key])
            }
        }
    }

    /// Databases were emptied: every copy is void.
    func trackFlush() {
        tracking.readers = [:]
        for client in tracking.clients.values {
            if isInUnit && client === self.client {
                tracking.ownFlush = true
            } else {
                sendInvalidation(to: client, nil)
            }
        }
    }

    /// At the end of a tick: the changes of each prefix in one message.
    package func sendBroadcasts() {
        for (prefix, state) in tracking.broadcasts where !state.changes.isEmpty {
            for id in state.clients {
                guard let client = tracking.clients[id], let mode = client.tracking else { continue }
                let keys = state.changes.filter { !mode.sparesOwn || $0.value != id }.map(\.key)
                if !keys.isEmpty { sendInvalidation(to: client, keys) }
            }
            tracking.broadcasts[prefix]?.changes = [:]
        }
    }

    // MARK: Messages

    /// - Parameter keys: nil: all.
    private func sendInvalidation(to client: Session, _ keys: [[UInt8]]?) {
        guard let mode = client.tracking else { return }
        var target = client
        if mode.redirection != 0 {
            guard let other = sessionWithID(mode.redirection) else {
                tellOfBrokenRedirection(client, mode.redirection)
                return
            }
            target = other
        }
        let usesChannel = target.version == .resp2
        // A RESP2 client can take a message only where it listens.
        if usesChannel && (mode.redirection == 0 || target.subscriptions.isEmpty) { return }
        push(to: target, true) { reply in
            if usesChannel {
                reply.array(3)
                reply.bulk("message" as StaticString)
                reply.bulk("__redis__:invalidate" as StaticString)
            } else {
                reply.push(2)
                reply.bulk("invalidate" as StaticString)
            }
            guard let keys else {
                reply.null()
                return
            }
            reply.array(keys.count)
            for key in keys { key.withUnsafeBytes { reply.bulk($0) } }
        }
    }

    private func tellOfBrokenRedirection(_ client: Session, _ id: Int64) {
        client.tracking?.redirectionIsBroken = true
        if client.version == .resp2 { return }
        push(to: client, false) { reply in
            reply.push(2)
            reply.bulk("tracking-redir-broken" as StaticString)
            reply.integer(id)
        }
    }
}
