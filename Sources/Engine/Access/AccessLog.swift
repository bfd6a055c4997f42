import Keyspace
import Primitives

/// What was refused lately, newest first: ACL LOG. The same refusal within a minute is one entry.
package final class AccessLog {
    package enum Reason: String { case command, key, channel, auth }
    package enum Context: String { case toplevel, multi, lua }

    package struct Entry {
        package let id: Int64
        package let reason: Reason
        package let context: Context
        /// The command, key or channel that was refused.
        package let object: [UInt8]
        package let user: [UInt8]
        package let created: UnixMilliseconds
        package internal(set) var updated: UnixMilliseconds
        package internal(set) var client: [UInt8]
        package internal(set) var count = 1

        func isLike(_ other: Entry) -> Bool {
            reason == other.reason && context == other.context && user == other.user && object == other.object
                && other.updated.rawValue - updated.rawValue <= AccessLog.groupedMilliseconds
        }
    }

    private static let groupedMilliseconds: Int64 = 60_000
    /// Of how many entries a new one may be a repetition.
    private static let searchedEntries = 10

    package private(set) var entries: [Entry] = []
    private var nextID: Int64 = 0
    /// `acllog-max-len`
    package var maximumLength = 128 {
        didSet { trim() }
    }

    func add(_ reason: Reason, _ context: Context, object: [UInt8], user: [UInt8], client: [UInt8],
             at now: UnixMilliseconds) {
        let entry = Entry(id: nextID, reason: reason, context: context, object: object, user: user, created: now,
                          updated: now, client: client)
        if let place = entries.prefix(Self.searchedEntries).firstIndex(where: { $0.isLike(entry) }) {
            var known = entries.remove(at: place)
            known.count += 1
            known.updated = now
            known.client = client
            entries.insert(known, at: 0)
        } else {
            nextID += 1
            entries.insert(entry, at: 0)
            trim()
        }
    }

    private func trim() {
        if entries.count > maximumLength { entries.removeLast(entries.count - maximumLength) }
    }

    package func removeAll() { entries.removeAll() }
}
