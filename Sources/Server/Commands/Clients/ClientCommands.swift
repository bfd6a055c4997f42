import Commands
import Engine
import Primitives
import RESP

/// CLIENT: what a connection says about itself and may do to others.
enum ClientCommands {
    // MARK: About itself

    static func id(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        call.reply.integer(core.engine.current.id)
    }

    static func getName(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let name = core.engine.current.name
        if name.isEmpty { call.reply.null() } else { name.withUnsafeBytes { call.reply.bulk($0) } }
    }

    static func setName(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        try checkName(call[2])
        core.engine.current.name = Array(call[2])
        call.reply.ok()
    }

    /// Names stand in lines with fields between spaces: only visible ASCII is let in.
    static func checkName(_ name: Bytes) throws(CommandError) {
        if !name.allSatisfy(isVisible) {
            throw .text("ERR Client names cannot contain spaces, newlines or special characters.")
        }
    }

    private static func isVisible(_ byte: UInt8) -> Bool { byte > 32 && byte < 127 }

    static func setInfo(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let isName = call.isWord(2, "LIB-NAME")
        guard isName || call.isWord(2, "LIB-VER") else {
            throw .message("ERR Unrecognized option '\(Text(call[2]))'")
        }
        if !call[3].allSatisfy(isVisible) {
            let option = Text(call[2])
            throw .message("ERR \(option) cannot contain spaces, newlines or special characters.")
        }
        let session = core.engine.current
        if isName { session.libraryName = Array(call[3]) } else { session.libraryVersion = Array(call[3]) }
        call.reply.ok()
    }

    static func info(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let line = ClientLine.describe(core.engine.current, core)
        call.reply.verbatim("txt", line.bytes)
    }

    static func noEvict(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        core.engine.current.noEvict = try onOrOff(call, 2)
        call.reply.ok()
    }

    static func noTouch(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        core.engine.current.noTouch = try onOrOff(call, 2)
        call.reply.ok()
    }

    /// CLIENT DURABILITY ALWAYS | EVERYSEC | DEFAULT
    static func durability(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let session = core.engine.current
        if call.isWord(2, "ALWAYS") {
            if core.persistence.logMode == .off {
                throw .text("ERR CLIENT DURABILITY ALWAYS needs a log, but appendonly is disabled.")
            }
            session.setDurability(.always)
        } else if call.isWord(2, "EVERYSEC") {
            core.persistence.announcesWrites = true
            session.setDurability(.everysec)
        } else if call.isWord(2, "DEFAULT") {
            session.setDurability(.standard)
        } else {
            throw .syntax
        }
        call.reply.ok()
    }

    /// CLIENT CAPA <capability> [<capability> ...]: what is not known is passed over.
    static func capabilities(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        for index in 2..<call.count where call.isWord(index, "REDIRECT") { core.engine.current.capabilities = "r" }
        call.reply.ok()
    }

    /// CLIENT IMPORT-SOURCE: the client brings the data of another server (`import-mode`).
    static func importSource(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let isSource = try onOrOff(call, 2)
        if isSource && !core.engine.isImporting { throw .text("ERR Server is not in import mode") }
        core.engine.current.isImportSource = isSource
        call.reply.ok()
    }

    private static func onOrOff(_ call: Call, _ index: Int) throws(CommandError) -> Bool {
        if call.isWord(index, "ON") { return true }
        if call.isWord(index, "OFF") { return false }
        throw .syntax
    }

    static func replyMode(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let session = core.engine.current
        if call.isWord(2, "ON") {
            session.replyMode = .on
            call.reply.ok()
        } else if call.isWord(2, "OFF") {
            session.replyMode = .off
        } else if call.isWord(2, "SKIP") {
            if session.replyMode != .off { session.replyMode = .skipNext }
        } else {
            throw .syntax
        }
    }

    // MARK: About others

    static func list(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        var filter = ClientFilter(skipsCaller: false)
        try filter.parse(core, call, from: 2, wrongID: .text("ERR Invalid client ID"), leastID: .min)
        let text = ClientLine.describeAll(core, filter)
        call.reply.verbatim("txt", text.bytes)
    }

    static func unblock(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        var error: StaticString?
        if call.count == 4 {
            if call.isWord(3, "ERROR") {
                error = "UNBLOCKED client unblocked via CLIENT UNBLOCK"
            } else if !call.isWord(3, "TIMEOUT") {
                throw .text("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
            }
        } else if call.count > 4 {
            throw call.subcommandSyntax("CLIENT")
        }
        let id = try call.integer(2)
        guard let session = core.session(id), session.waiting != nil else {
            call.reply.integer(0)
            return
        }
        core.engine.endWait(session, error: error)
        call.reply.integer(1)
    }

    static func pause(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        var writesOnly = false
        if call.count == 4 {
            writesOnly = call.isWord(3, "WRITE")
            if !writesOnly, !call.isWord(3, "ALL") { throw .text("ERR CLIENT PAUSE mode must be WRITE or ALL") }
        } else if call.count > 4 {
            throw call.subcommandSyntax("CLIENT")
        }
        guard let milliseconds = Decimal.parseInt64(call[2]) else {
            throw .text("ERR timeout is not an integer or out of range")
        }
        if milliseconds < 0 { throw .text("ERR timeout is negative") }
        let end = core.engine.keyspace.now.rawValue.addingReportingOverflow(milliseconds)
        if end.overflow { throw .text("ERR timeout is out of range") }
        core.pause(until: UnixMilliseconds(end.partialValue), writesOnly: writesOnly)
        call.reply.ok()
    }

    static func unpause(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        core.unpauseClients()
        call.reply.ok()
    }

    static func help(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        HelpText.write(&call, [
            "CAPA <capability> [<capability> ...]", "    Note what the client can do: redirect.",
            "CACHING (YES|NO)", "    Track the keys of the next command, or don't (OPTIN, OPTOUT).",
            "GETNAME", "    Answer the name of this connection.",
            "GETREDIR", "    Answer the client that invalidation messages go to.",
            "ID", "    Answer the number of this connection.",
            "IMPORT-SOURCE (ON|OFF)", "    ON is refused: there is no import mode.",
            "INFO", "    Describe this connection.",
            "KILL <ip:port>", "    Close the connection that comes from this address.",
            "KILL <option> <value> [<option> <value> [...]]",
            "    Close all connections that fit: ADDR, LADDR (<ip:port>|<unixsocket>:0), ID <client-id>,",
            "    TYPE (NORMAL|MASTER|REPLICA|PUBSUB), USER <username>, MAXAGE <seconds>, IDLE <seconds>,",
            "    IP <ip>, NAME <name>, LIB-NAME <name>, LIB-VER <version>, DB <index>, FLAGS <letters>,",
            "    CAPA <letters>; NOT-… of each but MAXAGE and IDLE: those that don't;",
            "    SKIPME (YES|NO): leave this connection out (default: yes).",
            "LIST [<option> <value> [...]]", "    Describe the connections that fit; options as of KILL.",
            "NO-EVICT (ON|OFF)", "    Exempt this connection from the eviction of clients.",
            "NO-TOUCH (ON|OFF)", "    Leave LRU and LFU of keys alone.",
            "PAUSE <timeout> [WRITE|ALL]", "    Hold back commands (that write) for <timeout> milliseconds.",
            "REPLY (ON|OFF|SKIP)", "    Turn replies to this connection on or off.",
            "SETINFO <option> <value>", "    Note LIB-NAME or LIB-VER of the client library.",
            "SETNAME <name>", "    Name this connection.",
            "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]] [OPTIN] [OPTOUT] [NOLOOP]",
            "    Client side caching.",
            "TRACKINGINFO", "    Describe this connection's tracking.",
            "UNBLOCK <clientid> [TIMEOUT|ERROR]", "    End the wait of a blocked client.",
            "UNPAUSE", "    End PAUSE.",
        ])
    }
}
