import Keyspace
import Primitives
import RESP

// DEL, UNLINK, EXISTS, TOUCH, TYPE, and the walks over all keys: KEYS, SCAN, RANDOMKEY, DBSIZE.

extension GenericCommands {
    // MARK: One or a few keys

    private static func delete(_ keyspace: inout Keyspace, _ call: inout Call, lazily: Bool) {
        var count = 0
        for index in 1..<call.count where keyspace.delete(call[index], in: call.database, lazily: lazily) {
            call.modified(call[index], .generic, "del")
            count += 1
        }
        call.reply.integer(count)
    }

    static func del(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        delete(&keyspace, &call, lazily: keyspace.thresholds.lazyfreeLazyUserDel)
    }

    static func unlink(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        delete(&keyspace, &call, lazily: true)
    }

    private static func countFound(_ keyspace: inout Keyspace, _ call: inout Call, _ access: Access) {
        var count = 0
        for index in 1..<call.count where keyspace.find(call[index], in: call.database, access) != nil { count += 1 }
        call.reply.integer(count)
    }

    static func exists(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        countFound(&keyspace, &call, .glance)
    }

    static func touch(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        countFound(&keyspace, &call, .read)
    }

    static func type(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        call.reply.simple(keyspace.find(call[1], in: call.database, .glance)?.type.name ?? "none")
    }

    // MARK: All keys

    static func keys(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let pattern = call[1], reply = call.reply
        let matchesAll = pattern.count == 1 && pattern[0] == UInt8(ascii: "*")
        let mark = reply.beginDeferred()
        var count = 0
        keyspace.forEachKey(in: call.database) { entry in
            guard matchesAll || Glob.matches(pattern, entry.key) else { return }
            reply.bulk(entry.key)
            count += 1
        }
        reply.endArray(mark, count)
    }

    static func scan(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let options = try ScanOptions(call, ScanOptions.cursor(call, 1), from: 2, allowsType: true)
        // A type that no value has is no error: nothing is of it.
        let type = options.type.map { ValueType(named: $0) }
        call.reply.array(2)
        let reply = call.reply, mark = reply.beginDeferred()
        var count = 0
        let cursor = keyspace.scan(call.database, from: options.cursor, count: options.count) { entry in
            if let type, type != entry.type { return }
            guard options.accepts(entry.key) else { return }
            reply.bulk(entry.key)
            count += 1
        }
        reply.endArray(mark, count)
        ScanOptions.insertCursor(cursor, at: mark, call)
    }

    static func randomkey(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        if let entry = keyspace.randomKey(in: call.database) { call.reply.bulk(entry.key) } else { call.reply.null() }
    }

    static func dbsize(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        keyspace.readsEveryKey()
        call.reply.integer(keyspace.databases[call.database].keys.count)
    }
}

extension ValueType {
    /// The type that TYPE prints as `name`, in either case; nil: there is none.
    init?(named name: Bytes) {
        for type in Self.allCases where type != .module && name.equalsIgnoringCase(type.name) {
            self = type
            return
        }
        return nil
    }
}
