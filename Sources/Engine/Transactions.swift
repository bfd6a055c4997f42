import Commands
import Keyspace
import Primitives
import RESP

// MULTI, EXEC, DISCARD, WATCH, UNWATCH.
//
// A transaction is a unit of the log (Propagate.swift): replayed whole or not at all. Its reply waits for the
// unit's record as one.

package enum TransactionCommands {
    package static let all: [Command] = [
        Command("multi", arity: 1, [.noscript, .loading, .stale, .fast, .allowBusy], [.fast, .transaction],
                group: .transactions, since: "1.2.0", complexity: "O(1)",
                summary: "Begins a transaction: commands are queued until EXEC.", .engine(multi)),
        Command("exec", arity: 1, [.noscript, .loading, .stale, .skipSlowlog], [.slow, .transaction],
                group: .transactions, since: "1.2.0", complexity: "depends",
                summary: "Runs all commands of the transaction as one.", .engine(exec)),
        Command("discard", arity: 1, [.noscript, .loading, .stale, .fast, .allowBusy], [.fast, .transaction],
                group: .transactions, since: "2.0.0", complexity: "O(N)",
                summary: "Drops the queued commands of a transaction.", .engine(discard)),
        Command("watch", arity: -2, [.noscript, .loading, .stale, .fast, .allowBusy], [.fast, .transaction],
                keys: "idx:1>rng:-1/1/0{RO}", group: .transactions, since: "2.2.0", complexity: "O(1)",
                summary: "Makes the next EXEC conditional on keys that nobody changes.", arguments: "key:key#0*",
                .engine(watch)),
        Command("unwatch", arity: 1, [.noscript, .loading, .stale, .fast, .allowBusy], [.fast, .transaction],
                group: .transactions, since: "2.2.0", complexity: "O(1)", summary: "Forgets all watched keys.",
                .engine(unwatch)),
    ]

    static func multi(_ engine: Engine, _ call: inout Call) throws(CommandError) {
        let session = engine.current
        if session.inMulti { throw .text("ERR MULTI calls can not be nested") }
        session.inMulti = true
        call.reply.ok()
    }

    static func discard(_ engine: Engine, _ call: inout Call) throws(CommandError) {
        guard engine.current.inMulti else { throw .text("ERR DISCARD without MULTI") }
        engine.endTransaction(engine.current)
        call.reply.ok()
    }

    static func watch(_ engine: Engine, _ call: inout Call) throws(CommandError) {
        let session = engine.current
        if session.inMulti { throw .text("ERR WATCH inside MULTI is not allowed") }
        for index in 1..<call.count { engine.watch(call[index], session) }
        call.reply.ok()
    }

    static func unwatch(_ engine: Engine, _ call: inout Call) throws(CommandError) {
        engine.unwatchAll(engine.current)
        engine.current.watchBroken = false
        call.reply.ok()
    }

    static func exec(_ engine: Engine, _ call: inout Call) throws(CommandError) {
        let session = engine.current
        guard session.inMulti else { throw .text("ERR EXEC without MULTI") }
        if session.transactionFailed {
            engine.endTransaction(session)
            throw .text("EXECABORT Transaction discarded because of previous errors.")
        }
        if session.watchBroken || engine.watchedKeyExpired(session) {
            engine.endTransaction(session)
            call.reply.nullArray()
            return
        }
        try engine.runQueue(session, &call)
    }
}

extension Handler {
    /// A handler that needs the engine.
    package static func engine(
        _ body: @escaping @Sendable (Engine, inout Call) throws(CommandError) -> Void
    ) -> Handler {
        .control { (context: AnyObject, call: inout Call) throws(CommandError) in
            try body(unsafeDowncast(context, to: Engine.self), &call)
        }
    }
}

extension Engine {
    func runQueue(_ session: Session, _ call: inout Call) throws(CommandError) {
        let queue = session.takeQueue()
        unwatchAll(session)
        if let refusal = refusalOfQueue(queue) {
            endTransaction(session)
            throw refusal
        }
        call.reply.array(queue.count)
        let isOuter = !isInUnit
        if isOuter { beginUnit() }
        for stored in queue {
            if let refusal = admit(stored.id, session, stored.arguments) {
                writeError(refusal, table.commands + stored.id, session)
                continue
            }
            current = session
            run(session, stored.id, stored.arguments, raw: nil, isRetry: false, mayBlock: false)
        }
        if isOuter { endUnit() }
        if unitCount > 0 { session.lastWriteEnd = logEnd }
        // What the queued commands did is done; EXEC itself has no effects.
        effects.pointee.reset()
        endTransaction(session)
    }

    /// A queue with a write in it is refused as a whole when writes are.
    private func refusalOfQueue(_ queue: [StoredCommand]) -> CommandError? {
        guard !state.isLoading, let refusal = state.refusal,
              queue.contains(where: { table.commands[$0.id].flags.contains(.write) }) else { return nil }
        return .message("EXECABORT Transaction discarded because of: \(text(of: refusal, 0, withCode: true))")
    }

    package func endTransaction(_ session: Session) {
        session.inMulti = false
        session.transactionFailed = false
        session.clearQueue()
        unwatchAll(session)
        session.watchBroken = false
    }

    func watch(_ key: Bytes, _ session: Session) {
        let name = KeyName(key, session.database)
        if session.watched.contains(where: { $0.name == name }) { return }
        let hash = keyspace.databases[session.database].keys.hash(key)
        let present = keyspace.databases[session.database].keys.find(key, hash).map { Entry($0) }
        let expired = present.map { keyspace.isExpired($0) } ?? false
        session.addWatched(WatchedKey(name: name, existed: present != nil && !expired, wasExpired: expired))
        watchers[name, default: []].append(session)
    }

    package func unwatchAll(_ session: Session) {
        for watched in session.watched {
            guard let index = watchers.index(forKey: watched.name) else { continue }
            watchers.values[index].removeAll { $0 === session }
            if watchers.values[index].isEmpty { watchers.remove(at: index) }
        }
        session.clearWatched()
    }

    func breakWatches(_ name: KeyName) {
        guard let sessions = watchers[name] else { return }
        for session in sessions {
            let wasExpired = session.watchedKey(name)?.wasExpired ?? false
            let exists = name.key.withUnsafeBytes {
                keyspace.databases[name.database].keys.find($0) != nil
            }
            if wasExpired && !exists { continue }
            session.watchBroken = true
        }
    }

    /// There is such a key and its time has not come.
    func isAlive(_ name: KeyName) -> Bool {
        name.key.withUnsafeBytes { key in
            keyspace.databases[name.database].keys.find(key).map { !keyspace.isExpired(Entry($0)) } ?? false
        }
    }

    /// A key that was alive at WATCH and is past its time now makes EXEC answer null.
    func watchedKeyExpired(_ session: Session) -> Bool {
        for watched in session.watched where !watched.wasExpired {
            let expired = watched.name.key.withUnsafeBytes { key -> Bool in
                keyspace.databases[watched.name.database].keys.find(key).map { keyspace.isExpired(Entry($0)) } ?? false
            }
            if expired { return true }
        }
        return false
    }
}
