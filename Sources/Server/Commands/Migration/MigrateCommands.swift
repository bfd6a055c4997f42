import Commands
import Engine
import Keyspace
import Primitives
import RESP
import Storage

// MIGRATE: keys are dumped, restored on another server, and deleted here.
//
//     MIGRATE host port key|"" db timeout [COPY] [REPLACE] [AUTH password|AUTH2 user password] [KEYS key …]
//
// What a failure at each step leaves:
//  1. Before a key's +OK has come: the key is here, and maybe there too.
//  2. After it: the key is there; the log gets its DEL with the command. A crash before that record is durable leaves
//     it here as well. No order of events loses it.
//
// As with Redis the whole server waits for the other one; see MigrateLink for how long.

enum MigrateCommands {
    static let all: [Command] = [
        Command("migrate", arity: -6, [.write, .movablekeys], [.keyspace, .write, .slow, .dangerous],
                keys: """
                    idx:3>rng:0/1/0{RW,access,delete}; kw:KEYS@-2>rng:-1/1/0{RW,access,delete,incomplete}
                    """, group: .generic, since: "2.6.0", complexity: "O(N)",
                summary: "Moves keys to another server.", tips: "nondeterministic_output", arguments: """
                    host:string port:integer key-selector:oneof(key:key#0 empty-string:pure-token@"") \
                    destination-db:integer timeout:integer copy:pure-token@COPY?~3.0.0 \
                    replace:pure-token@REPLACE?~3.0.0 authentication:oneof?(auth:string@AUTH~4.0.7 \
                    auth2:block@AUTH2~6.0.0(username:string password:string)) keys:key#1@KEYS?*~3.0.6
                    """, propagates: .rewritten, .server(migrate)),
    ]

    private struct Options {
        let database: Int64
        let timeoutMilliseconds: Int32
        var copies = false
        var replaces = false
        var user: Int?
        var password: Int?
        var keys = 3..<4

        init(_ call: Call, _ engine: Engine) throws(CommandError) {
            var index = 6
            while index < call.count {
                let left = call.count - 1 - index
                if call.isWord(index, "COPY") {
                    copies = true
                } else if call.isWord(index, "REPLACE") {
                    replaces = true
                } else if call.isWord(index, "AUTH") {
                    if left < 1 { throw .syntax }
                    password = index + 1
                    Self.hide(index + 1, engine)
                    index += 1
                } else if call.isWord(index, "AUTH2") {
                    if left < 2 { throw .syntax }
                    (user, password) = (index + 1, index + 2)
                    Self.hide(index + 1, engine)
                    Self.hide(index + 2, engine)
                    index += 2
                } else if call.isWord(index, "KEYS") {
                    if call[3].count != 0 {
                        throw .text("""
                            ERR When using MIGRATE KEYS option, the key argument must be set to the empty string
                            """)
                    }
                    keys = (index + 1)..<call.count
                    break
                } else {
                    throw .syntax
                }
                index += 1
            }
            let timeout = try call.integer(5)
            database = try call.integer(4)
            timeoutMilliseconds = timeout <= 0 ? 1000 : Int32(clamping: timeout)
        }

        private static func hide(_ index: Int, _ engine: Engine) {
            if index < 64 { engine.redactedArguments |= 1 << UInt64(index) }
        }
    }

    private static func migrate(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let engine = core.engine
        let options = try Options(call, engine)
        let route = try route(core, call, options)
        var waiting: [Int] = []
        for index in options.keys where engine.keyspace.find(call[index], in: call.database, .read) != nil {
            waiting.append(index)
        }
        if waiting.isEmpty { call.reply.simple("NOKEY"); return }
        // What an older server does not understand it may in the form of its time; but that knows no expires of fields.
        var version = engine.keyspace.thresholds.rdbVersion, refusal: String?
        while !waiting.isEmpty {
            let outcome = try transfer(waiting, options, route, version: version, engine, call)
            refusal = refusal ?? outcome.refusal
            waiting = outcome.tooNew.filter { index in
                engine.keyspace.find(call[index], in: call.database, .peek).map { !$0.hasFieldExpires } ?? false
            }
            if !outcome.tooNew.isEmpty && (version <= 9 || waiting.count < outcome.tooNew.count) {
                refusal = refusal ?? outcome.versionRefusal
                break
            }
            version = version > 12 ? 12 : version > 10 ? 10 : 9
        }
        if let refusal { throw .message("ERR Target instance replied with error: \(refusal)") }
        call.reply.ok()
    }

    /// As Redis does: `tls-cluster` decides whether the other server is spoken to over TLS.
    private static func route(_ core: ServerCore, _ call: Call, _ options: Options) throws(CommandError)
        -> MigrateRoute {
        let configuration = core.configuration
        var route = MigrateRoute(host: text(call[1]), port: text(call[2]),
                                 timeoutMilliseconds: options.timeoutMilliseconds, source: configuration.bindSourceAddr)
        if configuration.tls.cluster {
            do throws(ConfigurationError) {
                route.encryption = try configuration.tls.makeContext(forClients: false)
            } catch {
                throw .message("ERR MIGRATE over TLS: \(error.text)")
            }
        }
        return route
    }

    private struct Outcome {
        /// The first error that the other server answered.
        var refusal: String?
        /// Arguments that name keys whose payload was of a version that it does not know, and what it said to that.
        var tooNew: [Int] = []
        var versionRefusal: String?
    }

    /// One connection: sends the keys, deletes what was taken. Throws when the connection fails, with what was taken
    /// until then deleted.
    private static func transfer(_ keys: [Int], _ options: Options, _ route: MigrateRoute, version: Int,
                                 _ engine: Engine, _ call: Call) throws(CommandError) -> Outcome {
        do throws(LinkFailure) {
            var link = try MigrateLink.open(route)
            var request = OwnedBytes()
            // Nothing is restored before the other server has said that it is in the right database.
            let steps = writePreamble(options, call, &request)
            try link.exchange(request.bytes, lineCount: steps)
            for _ in 0..<steps {
                if let line = link.takeLine(), line.hasPrefix("-") { return Outcome(refusal: String(line.dropFirst())) }
            }
            request.removeAll()
            for index in keys { writeRestore(index, options, version, engine, call, &request) }
            var failure: LinkFailure?
            do throws(LinkFailure) {
                try link.exchange(request.bytes, lineCount: keys.count)
            } catch {
                failure = error
            }
            let outcome = settle(keys, &link, options, engine, call)
            if let failure { throw failure }
            return outcome
        } catch {
            throw .text(error.line)
        }
    }

    /// Reads what became of each key.
    private static func settle(_ keys: [Int], _ link: inout MigrateLink, _ options: Options, _ engine: Engine,
                               _ call: Call) -> Outcome {
        var outcome = Outcome()
        for index in keys {
            guard let line = link.takeLine() else { break }
            if line.hasPrefix("+") {
                if !options.copies { remove(index, engine, call) }
                continue
            }
            if line.hasPrefix("-ERR DUMP payload version") {
                outcome.tooNew.append(index)
                outcome.versionRefusal = String(line.dropFirst())
            } else if outcome.refusal == nil {
                outcome.refusal = String(line.dropFirst())
            }
        }
        return outcome
    }

    private static func remove(_ index: Int, _ engine: Engine, _ call: Call) {
        guard engine.keyspace.delete(call[index], in: call.database, lazily: false) else { return }
        call.recordDelete(call[index], lazily: false)
        call.modified(call[index], .generic, "del")
    }

    // MARK: Requests

    /// AUTH if asked for, and SELECT: how many requests these are.
    private static func writePreamble(_ options: Options, _ call: Call, _ request: inout OwnedBytes) -> Int {
        if let password = options.password {
            RequestEncoder.begin(argumentCount: options.user == nil ? 2 : 3, into: &request)
            RequestEncoder.argument(("AUTH" as StaticString).bytes, into: &request)
            if let user = options.user { RequestEncoder.argument(call[user], into: &request) }
            RequestEncoder.argument(call[password], into: &request)
        }
        RequestEncoder.begin(argumentCount: 2, into: &request)
        RequestEncoder.argument(("SELECT" as StaticString).bytes, into: &request)
        RequestEncoder.argument(options.database, into: &request)
        return options.password == nil ? 1 : 2
    }

    private static func writeRestore(_ index: Int, _ options: Options, _ version: Int, _ engine: Engine, _ call: Call,
                                     _ request: inout OwnedBytes) {
        guard let entry = engine.keyspace.find(call[index], in: call.database, .peek) else { return }
        var payload = OwnedBytes()
        RDBPayload.dump(entry, version: RDBVersion(version), compresses: engine.keyspace.thresholds.rdbCompression,
                        into: &payload)
        let left = entry.expire.map { max($0.rawValue - engine.keyspace.now.rawValue, 1) } ?? 0
        RequestEncoder.begin(argumentCount: options.replaces ? 5 : 4, into: &request)
        RequestEncoder.argument(("RESTORE" as StaticString).bytes, into: &request)
        RequestEncoder.argument(call[index], into: &request)
        RequestEncoder.argument(left, into: &request)
        RequestEncoder.argument(payload.bytes, into: &request)
        if options.replaces { RequestEncoder.argument(("REPLACE" as StaticString).bytes, into: &request) }
    }

    private static func text(_ bytes: Bytes) -> String { String(decoding: bytes, as: UTF8.self) }
}
