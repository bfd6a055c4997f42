import Commands
import Keyspace
import Primitives
import RESP

// From effects to log records.
//
// A unit is what must be replayed as a whole or not at all: all records of one command, or of one transaction or
// script. A unit of more than one record stands between MULTI and EXEC in the log.

extension Engine {
    /// Logs what the call declared; true if it changed the data set.
    func propagate(_ session: Session, _ id: Int, _ arguments: Arguments, raw: Bytes?) -> Bool {
        guard isLogging else { return true }
        let database = session.database
        switch table.commands[id].propagation {
        case .none: return effects.pointee.dirty != 0
        case .verbatim:
            if effects.pointee.recordCount > 0 {
                logRecords(database)
            } else if isInUnit {
                select(database, into: &unit)
                append(arguments, raw, to: &unit)
                unitCount += 1
            } else {
                select(database, into: &pendingLog)
                append(arguments, raw, to: &pendingLog)
            }
        case .rewritten:
            if effects.pointee.recordCount == 0 { return true }
            logRecords(database)
        }
        return true
    }

    private func logRecords(_ database: Int) {
        let count = effects.pointee.recordCount
        if isInUnit {
            select(database, into: &unit)
            unit.append(effects.pointee.records.bytes)
            unitCount += count
            return
        }
        if count > 1 { logWord("MULTI") }
        select(database, into: &pendingLog)
        pendingLog.append(effects.pointee.records.bytes)
        if count > 1 { logWord("EXEC") }
    }

    private func logWord(_ word: StaticString) {
        RequestEncoder.begin(argumentCount: 1, into: &pendingLog)
        RequestEncoder.argument(word.bytes, into: &pendingLog)
    }

    @inline(__always)
    private func append(_ arguments: Arguments, _ raw: Bytes?, to log: inout OwnedBytes) {
        if let raw, !table.hasRenames { log.append(raw); return }
        RequestEncoder.begin(argumentCount: arguments.count, into: &log)
        // The log knows the command by its own name.
        let name = table.hasRenames ? table.find(arguments[0]).map { table.commands[$0].name.bytes } : nil
        RequestEncoder.argument(name ?? arguments[0], into: &log)
        for index in 1..<arguments.count { RequestEncoder.argument(arguments[index], into: &log) }
    }

    @inline(__always)
    private func select(_ database: Int, into log: inout OwnedBytes) {
        if logDatabase != database { writeSelect(database, into: &log) }
    }

    private func writeSelect(_ database: Int, into log: inout OwnedBytes) {
        logDatabase = database
        RequestEncoder.begin(argumentCount: 2, into: &log)
        RequestEncoder.argument(("SELECT" as StaticString).bytes, into: &log)
        RequestEncoder.argument(Int64(database), into: &log)
    }

    // MARK: Units

    /// Records are gathered from here on, until `endUnit`.
    package func beginUnit() {
        isInUnit = true
        unitWrote = false
        unitCount = 0
        unit.removeAll()
        keyspace.stamps.begin()
    }

    package func endUnit() {
        isInUnit = false
        defer { if !unitPushes.isEmpty { gateUnitPushes() } }
        guard unitCount > 0 else { return }
        if unitCount > 1 { logWord("MULTI") }
        pendingLog.append(unit.bytes)
        if unitCount > 1 { logWord("EXEC") }
    }

    // MARK: Keys whose time has come

    /// Logs and announces the keys that lookups or the expire cycle removed. Lookup order: the removal precedes the
    /// command that found the key gone.
    package func propagateExpired() {
        var offset = 0
        let bytes = keyspace.expired.bytes
        while offset < bytes.count {
            let database = Int(bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
            let length = Int(bytes.loadUnaligned(fromByteOffset: offset + 4, as: UInt32.self))
            let key = Bytes(rebasing: bytes[(offset + 8)..<(offset + 8 + length)])
            offset += 8 + length
            if isLogging {
                logRemoval(key, database, keyspace.thresholds.lazyfreeLazyExpire ? "UNLINK" : "DEL")
            }
            announce(KeyEvent(key: key, database: database, eventClass: .expired, event: "expired", changesKey: true))
        }
        keyspace.expired.removeAll()
        if !keyspace.expiredFields.isEmpty { propagateExpiredFields() }
    }

    private func propagateExpiredFields() {
        let bytes = keyspace.expiredFields.bytes
        var offset = 0
        func word() -> Int {
            offset += 4
            return Int(bytes.loadUnaligned(fromByteOffset: offset - 4, as: UInt32.self))
        }
        func text(_ count: Int) -> Bytes {
            offset += count
            return Bytes(rebasing: bytes[(offset - count)..<offset])
        }
        while offset < bytes.count {
            let database = word(), keyCount = word(), fields = word(), isGone = word() == 1
            let key = text(keyCount)
            if isLogging {
                writeFieldRemoval(key, database, fields) { text(word()) }
            } else {
                for _ in 0..<fields { _ = text(word()) }
            }
            announce(KeyEvent(key: key, database: database, eventClass: .hash, event: "hexpired", changesKey: true))
            if isGone {
                announce(KeyEvent(key: key, database: database, eventClass: .generic, event: "del",
                                  changesKey: false))
            }
        }
        keyspace.expiredFields.removeAll()
    }

    private func writeFieldRemoval(_ key: Bytes, _ database: Int, _ count: Int, _ next: () -> Bytes) {
        var record = OwnedBytes()
        RequestEncoder.begin(argumentCount: 2 + count, into: &record)
        RequestEncoder.argument(("HDEL" as StaticString).bytes, into: &record)
        RequestEncoder.argument(key, into: &record)
        for _ in 0..<count { RequestEncoder.argument(next(), into: &record) }
        if isInUnit {
            select(database, into: &unit)
            unit.append(record.bytes)
            unitCount += 1
        } else {
            select(database, into: &pendingLog)
            pendingLog.append(record.bytes)
        }
    }

    func logRemoval(_ key: Bytes, _ database: Int, _ word: StaticString) {
        func write(_ log: inout OwnedBytes) {
            select(database, into: &log)
            RequestEncoder.begin(argumentCount: 2, into: &log)
            RequestEncoder.argument(word.bytes, into: &log)
            RequestEncoder.argument(key, into: &log)
        }
        if isInUnit {
            write(&unit)
            unitCount += 1
        } else {
            write(&pendingLog)
        }
    }

    // MARK: Who wants to know

    /// Tells watchers, subscribers of key events and waiting clients of the call's changes.
    func announce() {
        let count = effects.pointee.eventCount
        if watchers.isEmpty && waiters.isEmpty && notifyClasses.rawValue == 0 && !isTracking { return }
        for index in 0..<count { announce(effects.pointee.events[index]) }
    }

    /// Keys that the call looked for in vain, and keys that it made: before its own events.
    func announceSightings() {
        keyspace.sightings.forEach { key, database, isNew in
            announce(KeyEvent(key: key, database: database, eventClass: isNew ? .newKey : .keyMiss,
                              event: isNew ? "new" : "keymiss", changesKey: false))
        }
        keyspace.sightings.removeAll()
    }

    package func announce(_ event: KeyEvent) {
        if event.changesKey && !watchers.isEmpty { breakWatches(KeyName(event.key, event.database)) }
        if event.changesKey && isTracking { trackChange(event) }
        if !notifyClasses.isDisjoint(with: event.eventClass) { onKeyEvent?(event) }
        if event.changesKey && !waiters.isEmpty {
            let name = KeyName(event.key, event.database)
            if waiters[name] != nil && !readyKeys.contains(name) { readyKeys.append(name) }
        }
    }

    /// Databases changed as a whole.
    func announceWhole() {
        if let flushed = effects.pointee.flushed {
            if flushed < 0 && !state.isLoading { wasFlushed = true }
            announceFlush(flushed)
            if isTracking { trackFlush() }
        }
        if let (first, second) = effects.pointee.swapped { announceSwap(first, second) }
    }

    /// All keys went, and perhaps came back, without a command: DEBUG RELOAD and LOADAOF.
    package func announceReload() {
        announceFlush(-1)
        if isTracking { trackFlush() }
    }

    /// A watched key that existed is gone; one that did not exist still doesn't. A watch that nothing broke yet
    /// knows which it was.
    private func announceFlush(_ database: Int) {
        for (name, sessions) in watchers where database < 0 || name.database == database {
            for session in sessions where session.watchedKey(name)?.existed == true { session.watchBroken = true }
        }
    }

    /// A watched key that existed is another one now (the other database's, or none); one that did not exist may.
    private func announceSwap(_ first: Int, _ second: Int) {
        for (name, sessions) in watchers where name.database == first || name.database == second {
            let exists = isAlive(name)
            for session in sessions where exists || session.watchedKey(name)?.existed == true {
                session.watchBroken = true
            }
        }
        for name in waiters.keys where (name.database == first || name.database == second)
            && !readyKeys.contains(name) {
            readyKeys.append(name)
        }
    }
}
