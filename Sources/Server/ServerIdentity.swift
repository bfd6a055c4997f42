import CShims
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
        withUnsafeTemporaryAllocation(byteCount: (digits + 1) / 2, alignment: 8) { bytes in
            if sr_fill_randomly(bytes.baseAddress, bytes.count) != 0 {
                // A kernel without getrandom(2).
                for index in bytes.indices { bytes[index] = UInt8.random(in: 0...255) }
            }
            return String(unsafeUninitializedCapacity: digits) { text in
                for index in 0..<digits {
                    text[index] = ASCII.hexDigit(index & 1 == 0 ? bytes[index / 2] >> 4 : bytes[index / 2] & 15)
                }
                return digits
            }
        }
    }
}
