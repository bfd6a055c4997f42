import Commands
import Engine
import Primitives
import RESP

/// Commands that decide how a connection speaks and as whom: HELLO, AUTH, RESET, QUIT.
enum SessionCommands {
    static let all: [Command] = [
        Command("hello", arity: -1, [.noscript, .loading, .stale, .fast, .noAuth, .allowBusy], [.fast, .connection],
                group: .connection, since: "6.0.0", complexity: "O(1)",
                summary: "Greets the server: chooses the protocol, authenticates, names the connection.",
                arguments: helloArguments, .server(hello)),
        Command("auth", arity: -2, [.noscript, .loading, .stale, .fast, .noAuth, .allowBusy], [.fast, .connection],
                group: .connection, since: "1.0.0", complexity: "O(N)", summary: "Authenticates the connection.",
                arguments: "username:string?~6.0.0 password:string", .server(auth)),
        Command("quit", arity: -1, [.noscript, .loading, .stale, .fast, .noAuth, .allowBusy], [.fast, .connection],
                group: .connection, since: "1.0.0", complexity: "O(1)",
                summary: "Closes the connection after its replies.", deprecatedSince: "7.2.0",
                replacedBy: "just closing the connection", .server(quit)),
        Command("reset", arity: 1, [.noscript, .loading, .stale, .fast, .noAuth, .allowBusy], [.fast, .connection],
                group: .connection, since: "6.2.0", complexity: "O(1)",
                summary: "Puts the connection back into the state it began in.", .server(reset)),
    ]

    private static let helloArguments: StaticString = """
        arguments:block?(protover:integer auth:block@AUTH?(username:string password:string) \
        clientname:string@SETNAME?)
        """

    static func hello(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let session = core.engine.current
        for index in 2..<max(2, call.count) where call.isWord(index, "AUTH") {
            core.engine.redact(index + 1)
            core.engine.redact(index + 2)
        }
        var version = session.version
        if call.count >= 2 { version = try protocolVersion(call[1]) }
        var name: Bytes?
        var user: Bytes?, password: Bytes?
        var index = 2
        while index < call.count {
            let left = call.count - 1 - index
            if call.isWord(index, "AUTH"), left >= 2 {
                (user, password) = (call[index + 1], call[index + 2])
                index += 3
            } else if call.isWord(index, "SETNAME"), left >= 1 {
                name = call[index + 1]
                try ClientCommands.checkName(call[index + 1])
                index += 2
            } else {
                throw .message("ERR Syntax error in HELLO option '\(Text(call[index]))'")
            }
        }
        if let user, let password {
            try core.authenticate(session, user: user, password: password, command: call[0])
        }
        if session.mustAuthenticate {
            throw .text("""
                NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH \
                <user> <pass> option can be used to authenticate the client and select the RESP protocol version at \
                the same time
                """)
        }
        if let name { session.name = Array(name) }
        session.version = version
        greet(core, session)
    }

    private static func protocolVersion(_ text: Bytes) throws(CommandError) -> RESPVersion {
        guard let number = Decimal.parseInt64(text) else {
            throw .text("ERR Protocol version is not an integer or out of range")
        }
        switch number {
        case 2: return .resp2
        case 3: return .resp3
        default: throw .text("NOPROTO unsupported protocol version")
        }
    }

    private static func greet(_ core: ServerCore, _ session: Session) {
        let reply = session.reply
        reply.map(7)
        reply.bulk("server" as StaticString)
        reply.bulk("redis" as StaticString)
        reply.bulk("version" as StaticString)
        reply.bulk(ServerVersion.redis)
        reply.bulk("proto" as StaticString)
        reply.integer(Int(session.version.rawValue))
        reply.bulk("id" as StaticString)
        reply.integer(session.id)
        reply.bulk("mode" as StaticString)
        reply.bulk("standalone" as StaticString)
        reply.bulk("role" as StaticString)
        reply.bulk("master" as StaticString)
        reply.bulk("modules" as StaticString)
        reply.array(0)
    }

    static func auth(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        for index in 1..<call.count { core.engine.redact(index) }
        if call.count > 3 { throw .syntax }
        let session = core.engine.current
        if call.count == 2 {
            if core.engine.access.defaultUser.rules.needsNoPassword {
                throw .text("""
                    ERR AUTH <password> called without any password configured for the default user. Are you sure \
                    your configuration is correct?
                    """)
            }
            try core.authenticate(session, user: ("default" as StaticString).bytes, password: call[1],
                                  command: call[0])
        } else {
            try core.authenticate(session, user: call[1], password: call[2], command: call[0])
        }
        call.reply.ok()
    }

    static func quit(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        core.engine.current.closeAfterReplies = true
        call.reply.ok()
    }

    static func reset(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let session = core.engine.current
        core.engine.reset(session)
        call.reply.version = .resp2
        call.reply.simple("RESET")
    }
}

/// Bytes from a client as text of a message.
struct Text: CustomStringConvertible {
    let bytes: Bytes
    init(_ bytes: Bytes) { self.bytes = bytes }
    var description: String { String(decoding: bytes, as: UTF8.self) }
}

extension ServerCore {
    func authenticate(_ session: Session, user name: Bytes, password: Bytes, command: Bytes) throws(CommandError) {
        guard let user = engine.access.authenticated(name, password) else {
            engine.noteFailedAuthentication(session, name, command: command)
            throw .text("WRONGPASS invalid username-password pair or user is disabled.")
        }
        engine.access.logIn(session, user)
    }
}
