import Commands
import Engine
import Keyspace
import Primitives
import RESP
import Storage

/// CONFIG: settings read, changed and written back to their file; statistics set to zero.
package enum ConfigCommands {
    private static let flags: CommandFlags = [.admin, .noscript, .loading, .stale]
    private static let categories: ACLCategories = [.admin, .slow, .dangerous]
    private static let everywhere: StaticString = "request_policy:all_nodes,response_policy:all_succeeded"

    package static let all: [Command] = [
        Command("config", arity: -2, [], [.slow], group: .server, since: "2.0.0", complexity: "per-subcommand",
                summary: "A container for commands about the server's settings.", subcommands: [
            Command("get", arity: -3, flags, categories, group: .server, since: "2.0.0", complexity: "O(N)",
                    summary: "Returns settings whose names match patterns.", arguments: "parameter:string*",
                    .server(get)),
            Command("set", arity: -4, flags, categories, group: .server, since: "2.0.0", complexity: "O(N)",
                    summary: "Changes settings, all of them or none.", tips: everywhere,
                    arguments: "data:block*(parameter:string value:string)", .server(set)),
            Command("rewrite", arity: 2, flags, categories, group: .server, since: "2.8.0", complexity: "O(1)",
                    summary: "Writes the settings of now into the configuration file.", tips: everywhere,
                    .server(rewrite)),
            Command("resetstat", arity: 2, flags, categories, group: .server, since: "2.0.0", complexity: "O(1)",
                    summary: "Sets the statistics that INFO shows to zero.", tips: everywhere,
                    .server(resetStatistics)),
            Command("help", arity: 2, [.loading, .stale], [.slow], group: .server, since: "5.0.0",
                    complexity: "O(1)", summary: "Returns helpful text about the subcommands.", .server(help)),
        ], .container),
    ]

    // MARK: GET

    static func get(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let configuration = core.configuration
        // One name or pattern gives nothing twice.
        var names: Set<String>? = call.count > 3 ? [] : nil
        let reply = call.reply, mark = reply.beginDeferred()
        var count = 0
        func add(_ name: String, _ directive: Directive) {
            if names?.insert(name).inserted == false { return }
            reply.bulk(name)
            reply.bulk(directive.text(configuration))
            count += 1
        }
        for index in 2..<call.count {
            let pattern = call[index]
            if !pattern.contains(where: { [UInt8(ascii: "*"), UInt8(ascii: "?"), UInt8(ascii: "[")].contains($0) }) {
                let name = String(decoding: pattern, as: UTF8.self)
                if let directive = configuration.directive(name) { add(name, directive) }
                continue
            }
            for directive in configuration.directives where !directive.flags.contains(.hidden) {
                if matches(directive.name, pattern) { add(directive.name, directive) }
                if let alias = directive.alias, matches(alias, pattern) { add(alias, directive) }
            }
        }
        reply.endMap(mark, count)
    }

    private static func matches(_ name: String, _ pattern: Bytes) -> Bool {
        var name = name
        return name.withUTF8 { Glob.matches(pattern, Bytes($0), ignoringCase: true) }
    }

    // MARK: SET

    static func set(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        var pairs: [(name: String, value: String)] = []
        for index in stride(from: 2, to: call.count, by: 2) {
            let name = String(decoding: call[index], as: UTF8.self)
            if let place = core.configuration.place(name),
               core.configuration.directives[place].flags.contains(.sensitive) { core.engine.redact(index + 1) }
            if index + 1 == call.count { throw .syntax }
            guard let value = String(validating: call[index + 1], as: UTF8.self) else {
                throw failure(name, "argument must be UTF-8 text")
            }
            pairs.append((name, value))
        }
        let rights = Configuration.ChangeRights(
            mayChangeProtected: core.allows(core.configuration.enableProtectedConfigs, core.engine.current),
            isLoading: core.engine.state.isLoading)
        do throws(Configuration.ChangeRefusal) {
            try core.configuration.change(pairs, rights: rights)
        } catch {
            switch error.reason {
            case .unknown:
                throw .message("ERR Unknown option or number of arguments for CONFIG SET - '\(error.name)'")
            case .refused(let reason): throw failure(error.name, reason)
            case .loading: throw .text("LOADING Redis is loading the dataset in memory")
            }
        }
        call.reply.ok()
    }

    private static func failure(_ name: String, _ reason: String) -> CommandError {
        .message("ERR CONFIG SET failed (possibly related to argument '\(name)') - \(reason)")
    }

    // MARK: REWRITE

    static func rewrite(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        guard let path = core.configuration.file else {
            throw .text("ERR The server is running without a config file")
        }
        do throws(StorageError) {
            var rewrite = ConfigurationRewrite(configuration: core.configuration)
            rewrite.users = core.configuration.userLines?()
            try rewrite.write(path, PosixFileSystem())
        } catch {
            core.log.write(.warning, "CONFIG REWRITE failed: \(error.cause)")
            throw .message("ERR Rewriting config file: \(error.cause)")
        }
        core.log.write(.notice, "CONFIG REWRITE executed with success.")
        call.reply.ok()
    }

    // MARK: The rest

    static func resetStatistics(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        core.resetStatistics()
        call.reply.ok()
    }

    static func help(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        HelpText.write(&call, [
            "GET <pattern>", "    Return parameters matching the glob-like <pattern> and their values.",
            "SET <directive> <value>", "    Set the configuration <directive> to <value>.",
            "RESETSTAT", "    Reset statistics reported by the INFO command.",
            "REWRITE", "    Rewrite the configuration file.",
        ])
    }
}

extension ServerCore {
    /// Zeroes the counters of INFO stats, commandstats and errorstats, and whatever else was registered for it.
    package func resetStatistics() {
        engine.resetStatistics()
        resetOwnStatistics()
        for reset in lifecycle.statisticsResets { reset() }
    }

    /// Whether a client may use what a policy guards.
    package func allows(_ policy: AccessPolicy, _ session: Session) -> Bool {
        switch policy {
        case .no: false
        case .yes: true
        case .local: isLocal(session)
        }
    }

    /// The client is on this machine.
    package func isLocal(_ session: Session) -> Bool {
        guard let connection = connections[session.id] else { return false }
        let address = connection.address
        return connection.isUnix || address.hasPrefix("127.") || address.hasPrefix("[::1]")
    }
}
