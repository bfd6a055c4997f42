import Encodings
import Keyspace
import Primitives
import RESP

// XNACK: pending entries are given back. They stay pending, belong to no consumer, and whoever claims gets them first.
//
//     XNACK key group SILENT|FAIL|FATAL IDS n id … [RETRYCOUNT count] [FORCE]
//
// The log gets the command as it came: servers of 7.4 have nothing that would say the same.

extension StreamCommands {
    static let releasing: [Command] = [
        Command("xnack", arity: -7, [.write, .fast], [.write, .stream, .fast], keys: "idx:1>rng:0/1/0{RW,update}",
                group: .stream, since: "8.8.0", complexity: "O(1)",
                summary: "Gives pending entries of a group back, for others to claim them.", arguments: """
                    key:key#0 group:string mode:oneof(silent:pure-token@SILENT fail:pure-token@FAIL \
                    fatal:pure-token@FATAL) ids:block@IDS(numids:integer id:string*) count:integer@RETRYCOUNT? \
                    force:pure-token@FORCE?
                    """, propagates: .verbatim, .data(xnack)),
    ]

    /// What becomes of the number of deliveries.
    private enum NackMode {
        /// One less: the last one does not count.
        case silent
        case fail
        /// As many as there can be.
        case fatal
    }

    private struct NackOptions {
        var mode: NackMode
        var ids = 0..<0
        var retryCount: UInt64?
        var isForced = false
    }

    static func xnack(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let options = try parseNack(call)
        guard let stream = try call.stream(&keyspace, 1, .write), let group = stream.group(call[2]) else {
            throw .naming("NOGROUP No such key '%' or consumer group '%'", call[1], call[2])
        }
        var released = 0
        for index in options.ids {
            let id = try call.streamID(index)
            let entry = group.pointee.pending.pendingEntry(id)?.pointee
            if entry == nil, !options.isForced || stream.find(id) == nil { continue }
            group.release(id, deliveryCount: options.retryCount ?? count(entry, options.mode))
            released += 1
        }
        if released > 0 {
            call.effects.pointee.dirty += released
            // No event of Redis', but consumers that wait to claim are to look again.
            call.effects.pointee.add(KeyEvent(key: call[1], database: call.database, eventClass: [], event: "xnack",
                                              changesKey: true))
        }
        call.reply.integer(released)
    }

    private static func count(_ entry: PendingEntry?, _ mode: NackMode) -> UInt64 {
        let before = entry?.deliveryCount ?? 0
        switch mode {
        case .silent: return before > 0 ? before - 1 : 0
        case .fail: return before
        case .fatal: return UInt64(Int64.max)
        }
    }

    private static func parseNack(_ call: Call) throws(CommandError) -> NackOptions {
        var options: NackOptions
        if call.isWord(3, "SILENT") {
            options = NackOptions(mode: .silent)
        } else if call.isWord(3, "FAIL") {
            options = NackOptions(mode: .fail)
        } else if call.isWord(3, "FATAL") {
            options = NackOptions(mode: .fatal)
        } else {
            throw .text("ERR mode must be SILENT, FAIL, or FATAL")
        }
        var index = 4
        while index < call.count {
            if options.ids.isEmpty, call.isWord(index, "IDS"), index + 1 < call.count {
                guard let number = Decimal.parseInt64(call[index + 1]), number > 0 else {
                    throw .text("ERR numids must be a positive integer")
                }
                if number > call.count - index - 2 { throw .text("ERR number of IDs doesn't match numids") }
                options.ids = (index + 2)..<(index + 2 + Int(number))
                index = options.ids.upperBound
            } else if call.isWord(index, "RETRYCOUNT"), index + 1 < call.count {
                let value = try call.integer(index + 1)
                if value < 0 { throw .text("ERR Invalid RETRYCOUNT value, must be >= 0") }
                options.retryCount = UInt64(value)
                index += 2
            } else if call.isWord(index, "FORCE") {
                options.isForced = true
                index += 1
            } else if options.ids.isEmpty {
                throw .text("ERR syntax error, expected IDS keyword")
            } else {
                throw .naming("ERR Unrecognized XNACK option '%'", call[index])
            }
        }
        if options.ids.isEmpty { throw .text("ERR syntax error, expected IDS keyword") }
        for index in options.ids { _ = try call.streamID(index) }
        return options
    }
}
