import Engine
import Primitives
import RESP

// What the log says about clients that were sent away.

extension ServerCore {
    func noteProtocolError(_ connection: Connection, _ error: ProtocolError, _ rest: Bytes) {
        log.write(.verbose, "Protocol error (\(error.reason)) from client: \(line(connection)). "
            + "Query buffer during protocol error: '\(excerpt(rest))'")
    }

    func noteQueryBufferLimit(_ connection: Connection) {
        statistics.queryLimitDisconnections += 1
        log.write(.warning, "Closing client that reached max query buffer length: \(line(connection))")
    }

    func noteOutputLimit(_ connection: Connection) {
        statistics.outputLimitDisconnections += 1
        log.write(.warning, "Client \(line(connection)) scheduled to be closed ASAP for overcoming of output buffer "
            + "limits.")
    }

    func noteEviction(_ connection: Connection) { log.write(.notice, "Evicting client: \(line(connection))") }

    /// At most once a minute: it may last.
    func noteUselessEviction() {
        let now = engine.keyspace.now
        if now.rawValue - lastUselessEviction.rawValue < 60_000 { return }
        lastUselessEviction = now
        log.write(.warning, "Over client maxmemory after evicting all evictable clients")
    }

    func noteIdleTimeout(_ connection: Connection) { log.write(.verbose, "Closing idle client") }

    /// At most once a minute: an attacker shall not fill the disk.
    func noteCrossProtocolRequest(_ session: Session) {
        let now = engine.keyspace.now
        if now.rawValue - lastCrossProtocolNotice.rawValue < 60_000 { return }
        lastCrossProtocolNotice = now
        let address = connections[session.id]?.address ?? "?"
        log.write(.warning, "Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: "
            + "commands to Redis. This is likely due to an attacker attempting to use Cross Protocol Scripting to "
            + "compromise your Redis instance. Connection from \(address) aborted.")
    }

    private func line(_ connection: Connection) -> String {
        // Named, so that it lives until its bytes are copied; without the line's end.
        let line = ClientLine.describe(connection.session, self)
        return String(decoding: line.bytes.dropLast(), as: UTF8.self)
    }

    private static let longestExcerpt = 128

    /// The two ends of the input, what can't be printed as dots.
    private func excerpt(_ bytes: Bytes) -> String {
        func printable(_ part: Bytes.SubSequence) -> String {
            String(decoding: part.map { (32..<127).contains($0) ? $0 : UInt8(ascii: ".") }, as: UTF8.self)
        }
        let half = Self.longestExcerpt / 2
        if bytes.count < Self.longestExcerpt { return printable(bytes[...]) }
        return "\(printable(bytes.prefix(half)))' (... more \(bytes.count - 2 * half) bytes ...) "
            + "'\(printable(bytes.suffix(half)))"
    }
}

extension ProtocolError {
    /// As the log calls it.
    fileprivate var reason: String {
        switch self {
        case .tooBigInline: "too big inline request"
        case .unbalancedQuotes: "unbalanced quotes in inline request"
        case .invalidMultibulkLength: "invalid mbulk count"
        case .tooBigCountString: "too big mbulk count string"
        case .tooBigBulkCountString: "too big bulk count string"
        case .expectedDollar: "expected $ but got something else"
        case .invalidBulkLength: "invalid bulk length"
        case .unauthenticatedMultibulk: "unauth mbulk count"
        case .unauthenticatedBulk: "unauth bulk length"
        }
    }
}
