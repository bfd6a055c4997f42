// CONFIG SET: several directives at once, all or none.
//
// 1. Everything is checked that can be without changing anything: names, flags, access.
// 2. The values are put in place one after another; a refusal puts the old ones back.
// 3. Hooks run, each once; a refusal puts the old values back and runs the hooks that ran, again.

extension Configuration {
    /// Why a CONFIG SET was refused.
    struct ChangeRefusal: Error, Equatable {
        /// The name as it was given.
        let name: String
        let reason: Reason
        enum Reason: Equatable {
            case unknown
            case refused(String)
            case loading
        }
    }

    struct ChangeRights {
        var mayChangeProtected: Bool
        var isLoading: Bool
    }

    func change(_ pairs: [(name: String, value: String)], rights: ChangeRights) throws(ChangeRefusal) {
        let changes = try admit(pairs, rights)
        let old = changes.map { $0.directive.text(self) }
        for (index, change) in changes.enumerated() {
            do throws(ConfigurationError) {
                try change.directive.assign(self, change.directive.words(change.value))
            } catch {
                restore(changes.prefix(index), old)
                throw ChangeRefusal(name: change.name, reason: .refused(error.text))
            }
        }
        try runHooks(changes, old)
    }

    private struct Change {
        let directive: Directive
        let name: String
        let value: String
    }

    private func admit(_ pairs: [(name: String, value: String)],
                       _ rights: ChangeRights) throws(ChangeRefusal) -> [Change] {
        var changes: [Change] = []
        for (name, value) in pairs {
            guard let directive = directive(name) else { throw ChangeRefusal(name: name, reason: .unknown) }
            if directive.flags.contains(.immutable) {
                throw ChangeRefusal(name: name, reason: .refused("can't set immutable config"))
            }
            if directive.flags.contains(.protected) && !rights.mayChangeProtected {
                throw ChangeRefusal(name: name, reason: .refused("can't set protected config"))
            }
            if directive.flags.contains(.deniedWhileLoading) && rights.isLoading {
                throw ChangeRefusal(name: name, reason: .loading)
            }
            if changes.contains(where: { $0.directive.name == directive.name }) {
                throw ChangeRefusal(name: name, reason: .refused("duplicate parameter"))
            }
            changes.append(Change(directive: directive, name: name, value: value))
        }
        return changes
    }

    private func runHooks(_ changes: [Change], _ old: [String]) throws(ChangeRefusal) {
        guard let core else { return }
        var ran: [ChangeHook] = []
        for (index, change) in changes.enumerated() {
            let isSame = change.directive.text(self) == old[index] && !change.directive.flags.contains(.volatile)
            if isSame { continue }
            for hook in hooks[change.directive.name] ?? [] where !ran.contains(where: { $0 === hook }) {
                ran.append(hook)
                do throws(ConfigurationError) {
                    try hook.apply(core)
                } catch {
                    restore(changes[...], old)
                    for hook in ran { try? hook.apply(core) }
                    throw ChangeRefusal(name: change.name, reason: .refused(error.text))
                }
            }
        }
    }

    private func restore(_ changes: ArraySlice<Change>, _ old: [String]) {
        for (change, text) in zip(changes, old) {
            // A value that was in place is one that passes the checks.
            try? change.directive.assign(self, change.directive.words(text))
        }
    }
}

extension Directive {
    /// A value as CONFIG SET gives it, in words.
    func words(_ value: String) -> [String] {
        guard flags.contains(.multipleArguments) else { return [value] }
        return value.isEmpty ? [] : value.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
    }
}
