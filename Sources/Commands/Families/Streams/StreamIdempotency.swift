import Encodings
import Keyspace
import Primitives
import RESP

// Messages that are sent again: the IDMP options of XADD, XCFGSET, XIDMPRECORD.
//
// What the log gets: XADD as without the options, and XIDMPRECORD with the producer, the message's id and the entry
// that it became, in one unit; XCFGSET as it came. A message that was there already leaves nothing.

extension StreamCommands {
    static let idempotent: [Command] = [
        Command("xcfgset", arity: -2, [.write, .fast], [.write, .stream, .fast], keys: "idx:1>rng:0/1/0{RW,update}",
                group: .stream, since: "8.6.0", complexity: "O(1)",
                summary: "Sets how many messages a stream remembers by their ids, and for how long.", arguments: """
                    key:key#0 idmp-duration:integer@IDMP-DURATION? idmp-maxsize:integer@IDMP-MAXSIZE?
                    """, propagates: .verbatim, .data(xcfgset)),
        Command("xidmprecord", arity: 5, [.write, .denyoom, .fast], [.write, .stream, .fast],
                keys: "idx:1>rng:0/1/0{RW,update}", group: .stream, since: "8.6.2", complexity: "O(1)",
                summary: "Notes which entry a producer's message became. Used by the log.",
                arguments: "key:key#0 pid:string iid:string stream-id:string", propagates: .verbatim,
                .data(xidmprecord)),
    ]

    /// The options of XADD: who sends the message, and what it calls it.
    struct SentAs {
        var producer: Bytes
        /// nil: after what it says.
        var message: Bytes?
    }

    /// Reads `IDMPAUTO pid` or `IDMP pid iid` at `index`; the index behind it, nil if it is neither.
    static func parseSentAs(_ call: Call, _ index: Int, _ sentAs: inout SentAs?) throws(CommandError) -> Int? {
        let isAutomatic = call.isWord(index, "IDMPAUTO")
        guard isAutomatic || call.isWord(index, "IDMP") else { return nil }
        let end = index + (isAutomatic ? 2 : 3)
        if end > call.count { throw .syntax }
        if sentAs != nil { throw .text("ERR syntax error, IDMP/IDMPAUTO specified multiple times") }
        if call[index + 1].isEmpty {
            throw isAutomatic ? .text("ERR syntax error, IDMPAUTO requires a non-empty producer ID")
                : .text("ERR syntax error, IDMP requires a non-empty producer ID")
        }
        if !isAutomatic, call[index + 2].isEmpty {
            throw .text("ERR syntax error, IDMP requires a non-empty idempotent ID")
        }
        sentAs = SentAs(producer: call[index + 1], message: isAutomatic ? nil : call[index + 2])
        return end
    }

    /// Calls `body` with a message's id: the one given, or the SHA-1 of its fields and values with their lengths.
    static func withMessageID<R>(_ sentAs: SentAs, _ pairs: UnsafeBufferPointer<Bytes>, _ body: (Bytes) -> R) -> R {
        if let message = sentAs.message { return body(message) }
        var hash = SHA1()
        for part in pairs {
            var length = UInt64(part.count).littleEndian
            withUnsafeBytes(of: &length) { hash.update($0) }
            hash.update(part)
        }
        let digest = hash.finish()
        return withUnsafeTemporaryAllocation(byteCount: 20, alignment: 8) { bytes in
            let start = bytes.baseAddress.unsafelyUnwrapped
            digest.write(to: start)
            return body(Bytes(start: start, count: 20))
        }
    }

    /// The entry that a message has become already.
    static func entry(of message: Bytes, _ sentAs: SentAs, in stream: StreamValue?, _ keyspace: borrowing Keyspace)
        -> StreamID? {
        guard let producers = stream?.producers else { return nil }
        let oldest = oldestRemembered(producers.pointee, keyspace)
        guard let id = producers.pointee.entry(of: message, from: sentAs.producer, oldest: oldest) else { return nil }
        producers.pointee.duplicates &+= 1
        return id
    }

    /// Notes that a message became the entry `id`, and records it.
    static func remember(_ message: Bytes, _ sentAs: SentAs, as id: StreamID, in stream: StreamValue, _ call: Call,
                         _ keyspace: borrowing Keyspace) {
        remember(message, from: sentAs.producer, as: id, in: stream, keyspace)
        call.record(argumentCount: 5)
        call.recordArgument("XIDMPRECORD")
        call.recordArgument(call[1])
        call.recordArgument(sentAs.producer)
        call.recordArgument(message)
        call.recordArgument(id)
    }

    private static func remember(_ message: Bytes, from producer: Bytes, as id: StreamID, in stream: StreamValue,
                                 _ keyspace: borrowing Keyspace) {
        let producers = stream.makeProducers()
        let own = producers.pointee.maximumSize
        producers.pointee.remember(message, from: producer, id,
                                   oldest: oldestRemembered(producers.pointee, keyspace),
                                   maximumSize: own > 0 ? own : keyspace.thresholds.streamIdmpMaxsize)
        producers.pointee.added &+= 1
    }

    static func oldestRemembered(_ producers: StreamProducers, _ keyspace: borrowing Keyspace) -> StreamID {
        let seconds = producers.duration > 0 ? producers.duration : keyspace.thresholds.streamIdmpDuration
        return StreamID(UInt64(max(keyspace.now.rawValue &- Int64(seconds) &* 1000, 0)), 0)
    }

    // MARK: XCFGSET

    static func xcfgset(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        var duration: Int?, maximumSize: Int?
        var index = 2
        while index < call.count {
            guard index + 1 < call.count else { throw .syntax }
            if call.isWord(index, "IDMP-DURATION") {
                if duration != nil { throw .text("ERR IDMP-DURATION specified multiple times") }
                duration = Int(try call.integer(index + 1, in: 1...86_400, orThrow: .text(
                    "ERR IDMP-DURATION must be between 1 and 86400 seconds")))
            } else if call.isWord(index, "IDMP-MAXSIZE") {
                if maximumSize != nil { throw .text("ERR IDMP-MAXSIZE specified multiple times") }
                maximumSize = Int(try call.integer(index + 1, in: 1...10_000, orThrow: .text(
                    "ERR IDMP-MAXSIZE must be between 1 and 10000 entries")))
            } else {
                throw .syntax
            }
            index += 2
        }
        if duration == nil && maximumSize == nil { throw .text("ERR At least one parameter must be specified") }
        guard let stream = try call.stream(&keyspace, 1, .write) else { throw .noSuchKey }
        let producers = stream.makeProducers()
        let before = (producers.pointee.duration, producers.pointee.maximumSize)
        if let duration { producers.pointee.duration = duration }
        if let maximumSize { producers.pointee.maximumSize = maximumSize }
        if before != (producers.pointee.duration, producers.pointee.maximumSize) {
            // What is remembered was promised under other terms.
            producers.pointee.forgetAll()
            call.effects.pointee.dirty += 1
        }
        call.reply.ok()
    }

    // MARK: XIDMPRECORD

    static func xidmprecord(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        if call[2].isEmpty { throw .text("ERR producer ID must be non-empty") }
        if call[3].isEmpty { throw .text("ERR idempotent ID must be non-empty") }
        let id = try call.streamID(4)
        guard let stream = try call.stream(&keyspace, 1, .write) else { throw .noSuchKey }
        // A record of the log is true, even if the entry was trimmed at once and the message's id used before.
        if !call.isReplay {
            if stream.find(id) == nil { throw .text("ERR No such message in stream") }
            let producers = stream.producers?.pointee ?? StreamProducers()
            let oldest = oldestRemembered(producers, keyspace)
            if let known = producers.entry(of: call[3], from: call[2], oldest: oldest) {
                if known != id { throw .text("ERR IID already exists for this producer with a different stream ID") }
                call.reply.ok()
                return
            }
        }
        remember(call[3], from: call[2], as: id, in: stream, keyspace)
        call.effects.pointee.dirty += 1
        call.reply.ok()
    }
}
