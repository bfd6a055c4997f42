import Commands
import Engine
import Primitives

// Users of the configuration: `requirepass`, lines `user NAME RULE ...`, `aclfile`.

/// What is wrong with a `user` line: the word that is to blame, and why.
struct UserLineError: Error {
    let word: [UInt8]
    let error: RuleError

    var text: String { "Error in user declaration '\(String(decoding: word, as: UTF8.self))': \(error.text)" }
}

extension RuleReader {
    /// The user that the words behind `user` define.
    func define(_ words: [[UInt8]]) throws(UserLineError) -> (name: [UInt8], rules: UserRules) {
        guard let name = words.first, !Self.hasSpaces(name) else {
            throw UserLineError(word: words.first ?? [], error: .syntax)
        }
        let given = Array(words.dropFirst())
        let (merged, unclosed) = Self.merged(given)
        guard let rules = merged else { throw UserLineError(word: given[unclosed], error: .syntax) }
        var user = nothing
        for rule in rules {
            do throws(RuleError) {
                try apply(rule, to: &user)
            } catch {
                throw UserLineError(word: rule, error: error)
            }
        }
        return (name, user)
    }
}

extension ServerCore {
    /// Once, when the server is made. Lines were checked when they were read.
    func startAccessControl() {
        let access = engine.access
        access.describe = { [unowned(unsafe) self] session in
            let described = ClientLine.describe(session, self)
            var line = Array(described.bytes)
            if line.last == UInt8(ascii: "\n") { line.removeLast() }
            return line
        }
        copyAccessSettings()
        access.setDefaultPassword(Array(configuration.requirepass.utf8))
        if !configuration.aclfile.isEmpty {
            aclFile = ACLFile(path: WorkingDirectory.absolute(configuration.aclfile))
        }
        if !configuration.users.isEmpty {
            var users = configuration.users.compactMap { try? access.reader.define($0) }
            let password = access.defaultUser.rules
            if !users.contains(where: { $0.name == AccessControl.defaultName }) {
                users.append((AccessControl.defaultName, password))
            }
            access.replaceAll(users)
        }
        configuration.userLines = { [unowned(unsafe) self] in
            aclFile == nil && !configuration.includesUsers ? engine.access.usersInOrder.map(\.configurationLine) : nil
        }
        configuration.onChange("acl-pubsub-default", "acllog-max-len") { core throws(ConfigurationError) in
            core.copyAccessSettings()
        }
        configuration.onChange("requirepass") { core throws(ConfigurationError) in
            core.engine.access.setDefaultPassword(Array(core.configuration.requirepass.utf8))
            core.usersChanged()
        }
    }

    private func copyAccessSettings() {
        engine.access.allChannelsByDefault = configuration.aclPubsubDefault == .allchannels
        engine.access.log.maximumLength = configuration.acllogMaxLen
    }

    /// Reads the ACL file, if there is one; false: the server must not start.
    func loadUsersAtStart() -> Bool {
        guard let aclFile, let errors = aclFile.load(engine.access, environment.fileSystem) else { return true }
        log.write(.warning, "Aborting Redis startup because of ACL errors: \(errors)")
        return false
    }
}

extension User {
    /// What stands behind `user ` in a configuration file, whose reader takes quotes off.
    fileprivate var configurationLine: String {
        let words = [name] + rules.description.split(separator: UInt8(ascii: " ")).map(Array.init)
        return words.map { word in
            word.withUnsafeBytes { bytes in
                if !word.isEmpty && !Quote.isNeeded(bytes) && !word.contains(UInt8(ascii: "'")) {
                    return String(decoding: bytes, as: UTF8.self)
                }
                var quoted = OwnedBytes()
                Quote.append(bytes, to: &quoted)
                return String(decoding: quoted.bytes, as: UTF8.self)
            }
        }.joined(separator: " ")
    }
}
