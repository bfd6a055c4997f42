import Commands
import Engine
import Primitives

/// What CLIENT KILL closes: the connections that fit all conditions given.
private struct KillFilter {
    var address: Bytes?
    var localAddress: Bytes?
    var id: Int64?
    var kind: ClientTypeFilter?
    var user: User?
    var skipsCaller = true
    /// Seconds.
    var minimumAge: Int64?

    func matches(_ session: Session, _ core: ServerCore) -> Bool {
        let caller = core.engine.current, now = core.engine.keyspace.now
        if let address, !isEqual(SocketFacts(session, core).address, address) { return false }
        if let localAddress, !isEqual(SocketFacts(session, core).localAddress, localAddress) { return false }
        if let id, session.id != id { return false }
        if let kind, ClientTypeFilter(session) != kind { return false }
        if let user, session.user !== user { return false }
        if skipsCaller, session === caller { return false }
        if let minimumAge, (now.rawValue - session.createdAt.rawValue) / 1000 < minimumAge { return false }
        return true
    }

    private func isEqual(_ text: String, _ bytes: Bytes) -> Bool { text.utf8.elementsEqual(bytes) }
}

extension ClientCommands {
    static func kill(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        var filter = KillFilter()
        let isOldForm = call.count == 3
        if isOldForm {
            filter.address = call[2]
            filter.skipsCaller = false
        } else {
            try parse(core, call, &filter)
        }
        let caller = core.engine.current
        var killed = 0
        for session in core.sessionsInOrder() where filter.matches(session, core) {
            killed += 1
            if session === caller {
                session.closeAfterReplies = true
            } else {
                core.kill(session)
            }
        }
        if !isOldForm {
            call.reply.integer(killed)
        } else if killed == 0 {
            throw .text("ERR No such client")
        } else {
            call.reply.ok()
        }
    }

    private static func parse(_ core: ServerCore, _ call: Call, _ filter: inout KillFilter) throws(CommandError) {
        var index = 2
        while index < call.count {
            guard index + 1 < call.count else { throw .syntax }
            let value = call[index + 1]
            if call.isWord(index, "ID") {
                filter.id = try positive(value, "client-id")
            } else if call.isWord(index, "MAXAGE") {
                if Decimal.parseInt64(value) == nil { throw .text("ERR maxage is not an integer or out of range") }
                filter.minimumAge = try positive(value, "maxage")
            } else if call.isWord(index, "TYPE") {
                filter.kind = try ClientTypeFilter(named: value)
            } else if call.isWord(index, "ADDR") {
                filter.address = value
            } else if call.isWord(index, "LADDR") {
                filter.localAddress = value
            } else if call.isWord(index, "USER") {
                guard let user = core.engine.access.user(named: value) else {
                    throw .message("ERR No such user '\(Text(value))'")
                }
                filter.user = user
            } else if call.isWord(index, "SKIPME"), value.equalsIgnoringCase("YES") {
                filter.skipsCaller = true
            } else if call.isWord(index, "SKIPME"), value.equalsIgnoringCase("NO") {
                filter.skipsCaller = false
            } else {
                throw .syntax
            }
            index += 2
        }
    }

    private static func positive(_ text: Bytes, _ name: String) throws(CommandError) -> Int64 {
        guard let number = Decimal.parseInt64(text), number > 0 else {
            throw .message("ERR \(name) should be greater than 0")
        }
        return number
    }
}
