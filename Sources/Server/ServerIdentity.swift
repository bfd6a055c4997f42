import Primitives
#if canImport(Glibc)
import Glibc
#endif

/// What this server says it is. Clients decide by the version which commands they use.
package struct ServerIdentity: Sendable {
    /// 40 hex digits, new at every start.
    package let runID: String
    package let startedAt = UnixMilliseconds.now()
    /// The first replication ID; CHANGE-REPL-ID and failovers replace it.
    package var replicationID: String

    init() {
        runID = Self.randomHex(40)
        replicationID = Self.randomHex(40)
    }

    static func randomHex(_ digits: Int) -> String {
        var generator = SystemRandomNumberGenerator()
        var text = ""
        while text.utf8.count < digits {
            let word = String(generator.next() as UInt64, radix: 16)
            text += String(repeating: "0", count: 16 - word.utf8.count) + word
        }
        return String(text.prefix(digits))
    }
}
