import Encodings
import Keyspace
import Primitives
import RESP

// Deleting entries with regard to the groups that still refer to them: XDELEX, XACKDEL, and what KEEPREF, DELREF and
// ACKED mean to XADD and XTRIM.
//
// The log gets XDEL and XACK, which servers of 7.4 know too.

/// What becomes of the pending entries of what is deleted.
enum ReferencePolicy {
    /// They stay, and refer to nothing.
    case keep
    /// They are forgotten.
    case delete
    /// Only what every group was given and has acknowledged is deleted.
    case acknowledged

    /// The word at `index`, nil if it is none of these.
    init?(_ call: Call, _ index: Int) {
        if call.isWord(index, "KEEPREF") { self = .keep
        } else if call.isWord(index, "DELREF") { self = .delete
        } else if call.isWord(index, "ACKED") { self = .acknowledged } else { return nil }
    }
}

extension StreamCommands {
    static let referring: [Command] = [
        Command("xdelex", arity: -5, [.write, .fast], [.write, .stream, .fast], keys: "idx:1>rng:0/1/0{RW,delete}",
                group: .stream, since: "8.2.0", complexity: "O(1)",
                summary: "Removes entries from a stream by ID, with regard to the groups that refer to them.",
                arguments: """
                    key:key#0 condition:oneof?(keepref:pure-token@KEEPREF delref:pure-token@DELREF \
                    acked:pure-token@ACKED) ids:block@IDS(numids:integer id:string*)
                    """, propagates: .rewritten, .data(xdelex)),
        Command("xackdel", arity: -6, [.write, .fast], [.write, .stream, .fast],
                keys: "idx:1>rng:0/1/0{RW,update,delete}", group: .stream, since: "8.2.0", complexity: "O(1)",
                summary: "Acknowledges pending entries of a group and removes them from the stream.",
                arguments: """
                    key:key#0 group:string condition:oneof?(keepref:pure-token@KEEPREF delref:pure-token@DELREF \
                    acked:pure-token@ACKED) ids:block@IDS(numids:integer id:string*)
                    """, propagates: .rewritten, .data(xackdel)),
    ]

    /// `[KEEPREF|DELREF|ACKED] IDS n id …` from argument `first` on, in either order.
    private static func parse(_ call: Call, from first: Int) throws(CommandError) -> (ReferencePolicy, Range<Int>) {
        var policy: ReferencePolicy?, ids = 0..<0, index = first
        while index < call.count {
            if policy == nil, let given = ReferencePolicy(call, index) {
                policy = given
                index += 1
            } else if ids.isEmpty && call.isWord(index, "IDS") && index + 1 < call.count {
                guard let number = Decimal.parseInt64(call[index + 1]), number > 0 else {
                    throw .text("ERR Number of IDs must be a positive integer")
                }
                if number > call.count - index - 2 {
                    throw .text("ERR The `numids` parameter must match the number of arguments")
                }
                ids = (index + 2)..<(index + 2 + Int(number))
                index = ids.upperBound
            } else {
                throw .syntax
            }
        }
        if ids.isEmpty { throw .text("ERR IDS option is required") }
        for index in ids { _ = try call.streamID(index) }
        return (policy ?? .keep, ids)
    }

    private static func replyNothing(_ ids: Range<Int>, _ call: Call) {
        call.reply.array(ids.count)
        for _ in ids { call.reply.integer(-1) }
    }

    // MARK: XDELEX, XACKDEL

    static func xdelex(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let (policy, ids) = try parse(call, from: 2)
        guard let stream = try call.stream(&keyspace, 1, .write) else { replyNothing(ids, call); return }
        call.reply.array(ids.count)
        var deleted: [StreamID] = []
        for index in ids {
            let id = try call.streamID(index)
            if policy == .delete { release(id, stream, call) }
            if stream.find(id) == nil {
                call.reply.integer(-1)
            } else {
                remove(id, stream, policy, call, &deleted)
            }
        }
        finish(deleted, call)
    }

    static func xackdel(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let (policy, ids) = try parse(call, from: 3)
        guard let stream = try call.stream(&keyspace, 1, .write), let group = stream.group(call[2]) else {
            replyNothing(ids, call)
            return
        }
        call.reply.array(ids.count)
        var deleted: [StreamID] = []
        for index in ids {
            let id = try call.streamID(index)
            let wasPending = acknowledge(id, group, call), isPresent = stream.find(id) != nil
            if policy == .delete && (wasPending || !isPresent) { release(id, stream, call) }
            if !wasPending || !isPresent {
                call.reply.integer(-1)
            } else {
                remove(id, stream, policy, call, &deleted)
            }
        }
        finish(deleted, call)
    }

    /// Deletes an entry that is there, unless `policy` wants it acknowledged first, and replies which.
    private static func remove(_ id: StreamID, _ stream: StreamValue, _ policy: ReferencePolicy, _ call: Call,
                               _ deleted: inout [StreamID]) {
        if policy == .acknowledged && !stream.isAcknowledged(id) {
            call.reply.integer(2)
            return
        }
        _ = stream.delete(id)
        deleted.append(id)
        call.reply.integer(1)
    }

    private static func acknowledge(_ id: StreamID, _ group: GroupHandle, _ call: Call) -> Bool {
        guard group.acknowledge(id) else { return false }
        recordAcknowledgement(call, group, id)
        call.effects.pointee.dirty += 1
        return true
    }

    static func recordAcknowledgement(_ call: Call, _ group: GroupHandle, _ id: StreamID) {
        call.record(argumentCount: 4)
        call.recordArgument("XACK")
        call.recordArgument(call[1])
        call.recordArgument(group.pointee.name.bytes)
        call.recordArgument(id)
    }

    /// No group has `id` pending any more.
    private static func release(_ id: StreamID, _ stream: StreamValue, _ call: Call) {
        for index in 0..<stream.groups.count { _ = acknowledge(id, stream.groups[index], call) }
    }

    private static func finish(_ deleted: [StreamID], _ call: Call) {
        if deleted.isEmpty { return }
        recordDeletion(deleted, call)
        call.modified(call[1], .stream, "xdel", changes: deleted.count)
    }

    static func recordDeletion(_ ids: [StreamID], _ call: Call) {
        call.record(argumentCount: 2 + ids.count)
        call.recordArgument("XDEL")
        call.recordArgument(call[1])
        for id in ids { call.recordArgument(id) }
    }

    // MARK: Trimming

    /// What a trim removed.
    struct Trimmed {
        var count = 0
        /// The entries that went one by one, around others that had to stay; empty when the oldest ones went.
        var scattered: [StreamID] = []
    }

    /// Trims by the policy. The caller records the trim itself, before `releaseTrimmed`.
    static func apply(_ trim: TrimOptions, _ stream: StreamValue) -> Trimmed {
        if trim.policy == .acknowledged && stream.groups.count > 0 {
            let (ids, isBlocked) = acknowledged(trim, stream)
            if isBlocked {
                for id in ids { _ = stream.delete(id) }
                return Trimmed(count: ids.count, scattered: ids)
            }
        }
        return Trimmed(count: stream.trim(trim.bound, approximately: trim.isApproximate, limit: trim.limit))
    }

    /// The entries to go, and whether others among them have to stay.
    private static func acknowledged(_ trim: TrimOptions, _ stream: StreamValue) -> ([StreamID], Bool) {
        var ids: [StreamID] = [], isBlocked = false
        var most = trim.limit > 0 ? trim.limit : Int.max
        if case .count(let maximum) = trim.bound { most = min(most, stream.count - maximum) }
        stream.forEachEntry { entry in
            if ids.count >= most { return false }
            if case .minimumID(let minimum) = trim.bound, entry.id >= minimum { return false }
            if stream.isAcknowledged(entry.id) { ids.append(entry.id) } else { isBlocked = true }
            return true
        }
        return (ids, isBlocked)
    }

    /// With DELREF, forgets what is pending of the entries that were trimmed: those from `first` on that are gone.
    static func releaseTrimmed(_ trim: TrimOptions, from first: StreamID, _ stream: StreamValue, _ call: Call) {
        guard trim.policy == .delete else { return }
        let end = stream.count > 0 ? stream.firstID : .maximum
        for index in 0..<stream.groups.count {
            let group = stream.groups[index]
            while let place = group.pointee.pending.seek(atLeast: first), place.id < end {
                _ = acknowledge(place.id, group, call)
            }
        }
    }
}
