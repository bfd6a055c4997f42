import Keyspace
import Primitives
import RESP

// Strings as they are: GET, SET without options, several at once, parts of them. GET and SET are the pattern for all
// families: find, change, declare the change, reply. SET's options are in StringOptions.swift.

extension StringCommands {
    // MARK: Reading

    /// Replies a string entry's value.
    @inline(__always)
    static func replyValue(_ entry: Entry, _ call: Call) {
        if entry.encoding == .int {
            call.reply.bulk(integer: entry.integer)
        } else {
            call.reply.bulk(entry.stringBytes)
        }
    }

    static func get(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        guard let entry = try call.entry(&keyspace, 1, .string, .read) else {
            call.reply.null()
            return
        }
        replyValue(entry, call)
    }

    static func mget(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        call.reply.array(call.count - 1)
        for index in 1..<call.count {
            if let entry = keyspace.find(call[index], in: call.database, .read), entry.type == .string {
                replyValue(entry, call)
            } else {
                call.reply.null()
            }
        }
    }

    static func strlen(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        call.reply.integer(try call.entry(&keyspace, 1, .string, .read)?.stringCount ?? 0)
    }

    static func getrange(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let start = try call.integer(2), end = try call.integer(3)
        guard let entry = try call.entry(&keyspace, 1, .string, .read) else { call.reply.bulk(""); return }
        withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) { scratch in
            let bytes = entry.string(scratch.baseAddress.unsafelyUnwrapped)
            guard let range = part(start, end, of: bytes.count) else { call.reply.bulk(""); return }
            call.reply.bulk(Bytes(rebasing: bytes[range]))
        }
    }

    /// Offsets as clients give them (negative ones count from the end, both ends included) as a range; nil: nothing.
    private static func part(_ start: Int64, _ end: Int64, of count: Int) -> Range<Int>? {
        if count == 0 || (start < 0 && end < 0 && start > end) { return nil }
        let length = Int64(count)
        let first = max(start < 0 ? length &+ start : start, 0)
        let last = min(max(end < 0 ? length &+ end : end, 0), length - 1)
        return first > last ? nil : Int(first)..<Int(last + 1)
    }

    // MARK: Setting

    static func set(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        if call.count > 3 { return try setWithOptions(&keyspace, &call) }
        keyspace.setString(call[1], to: call[2], in: call.database, keepExpire: false)
        call.modified(call[1], .string, "set")
        call.reply.ok()
    }

    static func setnx(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        if keyspace.find(call[1], in: call.database, .write) != nil { call.reply.integer(0); return }
        keyspace.setString(call[1], to: call[2], in: call.database, keepExpire: false)
        call.modified(call[1], .string, "set")
        call.reply.integer(1)
    }

    static func getset(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        if let entry = try call.entry(&keyspace, 1, .string, .read) {
            replyValue(entry, call)
        } else {
            call.reply.null()
        }
        keyspace.setString(call[1], to: call[2], in: call.database, keepExpire: false)
        call.recordSet(call[1], call[2], .none)
        call.modified(call[1], .string, "set")
    }

    private static func setAll(_ keyspace: inout Keyspace, _ call: inout Call) {
        var index = 1
        while index < call.count {
            keyspace.setString(call[index], to: call[index + 1], in: call.database, keepExpire: false)
            call.modified(call[index], .string, "set")
            index += 2
        }
    }

    static func mset(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        if call.count % 2 == 0 { throw .wrongArity }
        setAll(&keyspace, &call)
        call.reply.ok()
    }

    static func msetnx(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        if call.count % 2 == 0 { throw .wrongArity }
        var index = 1
        while index < call.count {
            if keyspace.find(call[index], in: call.database, .write) != nil { call.reply.integer(0); return }
            index += 2
        }
        setAll(&keyspace, &call)
        call.reply.integer(1)
    }

    // MARK: Changing parts

    /// Refuses strings beyond `proto-max-bulk-len`, unless the log or the primary says so.
    private static func checkLength(_ keyspace: borrowing Keyspace, _ call: Call, _ count: Int, plus more: Int)
        throws(CommandError) {
        let (sum, overflow) = count.addingReportingOverflow(more)
        if overflow || (sum > keyspace.thresholds.protoMaxBulkLength && !call.isReplay) {
            throw .text("ERR string exceeds maximum allowed size (proto-max-bulk-len)")
        }
    }

    static func append(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        guard let entry = try call.entry(&keyspace, 1, .string, .write) else {
            keyspace.setString(call[1], to: call[2], in: call.database, keepExpire: false)
            call.modified(call[1], .string, "append")
            call.reply.integer(call[2].count)
            return
        }
        let old = entry.stringCount
        try checkLength(keyspace, call, old, plus: call[2].count)
        let (_, block) = keyspace.writableString(entry, count: old + call[2].count, in: call.database)
        if let source = call[2].baseAddress { (block.start + old).copyMemory(from: source, byteCount: call[2].count) }
        call.modified(call[1], .string, "append")
        call.reply.integer(block.count)
    }

    static func setrange(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let offset = Int(try call.integer(2)), value = call[3]
        if offset < 0 { throw .text("ERR offset is out of range") }
        var entry = try call.entry(&keyspace, 1, .string, .write)
        if value.count == 0 { call.reply.integer(entry?.stringCount ?? 0); return }
        try checkLength(keyspace, call, offset, plus: value.count)
        if entry == nil {
            let block = StringBlock.create(uninitialized: 0, room: offset + value.count)
            entry = keyspace.set(call[1], to: Value(.string, .raw, block.base), in: call.database)
        }
        guard let entry else { return }
        let (_, block) = keyspace.writableString(entry, count: offset + value.count, in: call.database)
        if let source = value.baseAddress { (block.start + offset).copyMemory(from: source, byteCount: value.count) }
        call.modified(call[1], .string, "setrange")
        call.reply.integer(block.count)
    }
}
