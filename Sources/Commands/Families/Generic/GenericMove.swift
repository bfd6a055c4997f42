import Keyspace
import Primitives
import RESP

// Keys that change their name or database: RENAME, RENAMENX, COPY, MOVE; and whole databases: FLUSHALL, FLUSHDB,
// SWAPDB.

extension GenericCommands {
    private static func rename(_ keyspace: inout Keyspace, _ call: inout Call, onlyIfFree: Bool)
        throws(CommandError) {
        guard keyspace.find(call[1], in: call.database, .write) != nil else { throw .noSuchKey }
        if call[1].equals(call[2]) {
            if onlyIfFree { call.reply.integer(0) } else { call.reply.ok() }
            return
        }
        if keyspace.find(call[2], in: call.database, .write) != nil {
            if onlyIfFree { call.reply.integer(0); return }
            _ = keyspace.delete(call[2], in: call.database, lazily: keyspace.thresholds.lazyfreeLazyServerDel)
        }
        guard let entry = keyspace.find(call[1], in: call.database, .peek) else { throw .noSuchKey }
        keyspace.move(entry, from: call.database, to: call[2], in: call.database)
        call.modified(call[1], .generic, "rename_from", changes: 0)
        call.modified(call[2], .generic, "rename_to")
        if onlyIfFree { call.reply.integer(1) } else { call.reply.ok() }
    }

    static func rename(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try rename(&keyspace, &call, onlyIfFree: false)
    }
    static func renamenx(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try rename(&keyspace, &call, onlyIfFree: true)
    }

    private static let sameObject = CommandError.text("ERR source and destination objects are the same")
    private static let badDatabase = CommandError.text("ERR DB index is out of range")

    /// An argument that names a database.
    private static func database(_ keyspace: borrowing Keyspace, _ call: Call, _ index: Int)
        throws(CommandError) -> Int {
        let number = try call.int32(index)
        guard number >= 0, number < keyspace.databaseCount else { throw badDatabase }
        return number
    }

    static func copy(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        var target = call.database, replaces = false, index = 3
        while index < call.count {
            if call.isWord(index, "REPLACE") {
                replaces = true
                index += 1
            } else if call.isWord(index, "DB"), index + 1 < call.count {
                target = try database(keyspace, call, index + 1)
                index += 2
            } else {
                throw .syntax
            }
        }
        if target == call.database && call[1].equals(call[2]) { throw sameObject }
        guard let entry = keyspace.find(call[1], in: call.database, .read) else { call.reply.integer(0); return }
        if keyspace.find(call[2], in: target, .write) != nil && !replaces { call.reply.integer(0); return }
        guard let value = keyspace.copyValue(of: entry) else {
            throw .text("ERR values of this type can't be copied")
        }
        keyspace.set(call[2], to: value, in: target, expire: entry.expire)
        call.modified(call[2], in: target, .generic, "copy_to")
        call.reply.integer(1)
    }

    static func move(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let target = try database(keyspace, call, 2)
        if target == call.database { throw sameObject }
        guard let entry = keyspace.find(call[1], in: call.database, .write),
              keyspace.find(call[1], in: target, .write) == nil else {
            call.reply.integer(0)
            return
        }
        keyspace.move(entry, from: call.database, to: call[1], in: target)
        call.modified(call[1], .generic, "move_from", changes: 0)
        call.modified(call[1], in: target, .generic, "move_to")
        call.reply.integer(1)
    }

    // MARK: Whole databases

    /// ASYNC, SYNC, or as configured.
    private static func flushesLazily(_ keyspace: borrowing Keyspace, _ call: Call) throws(CommandError) -> Bool {
        if call.count > 2 { throw .syntax }
        if call.count == 1 { return keyspace.thresholds.lazyfreeLazyUserFlush }
        if call.isWord(1, "ASYNC") { return true }
        if call.isWord(1, "SYNC") { return false }
        throw .syntax
    }

    // A flush reaches the log even when there was nothing to delete: a replica may have keys where we have none.

    static func flushall(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let lazily = try flushesLazily(keyspace, call)
        call.effects.pointee.dirty += keyspace.flushAll(lazily: lazily)
        call.effects.pointee.flushed = -1
        call.recordVerbatim()
        call.reply.ok()
    }

    static func flushdb(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let lazily = try flushesLazily(keyspace, call)
        call.effects.pointee.dirty += keyspace.flush(call.database, lazily: lazily)
        call.effects.pointee.flushed = call.database
        call.recordVerbatim()
        call.reply.ok()
    }

    static func swapdb(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let range = Int64(Int32.min)...Int64(Int32.max)
        let first = try call.integer(1, in: range, orThrow: .text("ERR invalid first DB index"))
        let second = try call.integer(2, in: range, orThrow: .text("ERR invalid second DB index"))
        let valid = 0..<Int64(keyspace.databaseCount)
        guard valid.contains(first), valid.contains(second) else { throw badDatabase }
        keyspace.swap(Int(first), Int(second))
        call.effects.pointee.dirty += 1
        if first != second { call.effects.pointee.swapped = (Int(first), Int(second)) }
        call.reply.ok()
    }
}
