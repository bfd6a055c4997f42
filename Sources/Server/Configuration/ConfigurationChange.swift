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
        let old = changes.map { directives[$0.place].text(self) }
        for (index, change) in changes.enumerated() {
            do throws(ConfigurationError) {
                try directives[change.place].assign(self, directives[change.place].words(change.value))
            } catch {
                restore(changes.prefix(index), old)
                throw ChangeRefusal(name: change.name, reason: .refused(error.text))
            }
        }
        try runHooks(changes, old)
    }

    private struct Change {
        /// In `directives`.
        let place: Int
        let name: String
        let value: String
    }

    private func admit(_ pairs: [(name: String, value: String)],
                       _ rights: ChangeRights) throws(ChangeRefusal) -> [Change] {
        var changes: [Change] = []
        changes.reserveCapacity(pairs.count)
        for (name, value) in pairs {
            guard let place = place(name) else { throw ChangeRefusal(name: name, reason: .unknown) }
            let flags = directives[place].flags
            if flags.contains(.immutable) {
                throw ChangeRefusal(name: name, reason: .refused("can't set immutable config"))
            }
            if flags.contains(.protected) && !rights.mayChangeProtected {
                throw ChangeRefusal(name: name, reason: .refused("can't set protected config"))
            }
            if flags.contains(.deniedWhileLoading) && rights.isLoading {
                throw ChangeRefusal(name: name, reason: .loading)
            }
            if changes.contains(where: { $0.place == place }) {
                throw ChangeRefusal(name: name, reason: .refused("duplicate parameter"))
            }
            changes.append(Change(place: place, name: name, value: value))
        }
        return changes
    }

    private func runHooks(_ changes: [Change], _ old: [String]) throws(ChangeRefusal) {
        guard let core else { return }
        var ran: [ChangeHook] = []
        for (index, change) in changes.enumerated() {
            let directive = directives[change.place]
            if !directive.flags.contains(.volatile), directive.text(self) == old[index] { continue }
            for hook in hooks[directive.name] ?? [] where !ran.contains(where: { $0 === hook }) {
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
            try? directives[change.place].assign(self, directives[change.place].words(text))
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
