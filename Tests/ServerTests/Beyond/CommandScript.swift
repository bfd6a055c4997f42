import Commands
import Engine
import Foundation
import Keyspace
import Primitives
import Testing
@testable import Server

/// Requests with their replies, log records and events, one a line:
///
///     SET k v IFEQ x => nil                 what it answers
///     SET k w => OK | SET k w               and what it leaves in the log; several records with `;`
///     HSET h f 1                            whatever it answers
///     +100                                  a hundred milliseconds pass
///
/// Words are parted by spaces, `''` is an empty one. Replies are written as `OK`, `7`, `"text"`, `nil`, `[…, …]` and
/// as the error's line. After the script its log is replayed in an engine of its own, which must end with the same
/// data.
struct CommandScript {
    let bare = BareEngine()
    private let log = LogBytes()
    private final class LogBytes {
        var bytes: [UInt8] = []
        /// What the last request left.
        var records: [String] = []
    }

    static func run(_ text: String, events: EventClass = [], _ expectedEvents: [String] = [],
                    _ location: SourceLocation = #_sourceLocation) {
        let script = CommandScript()
        final class Seen { var events: [String] = [] }
        let seen = Seen()
        script.bare.engine.notifyClasses = events
        script.bare.engine.onKeyEvent = { event in
            seen.events.append("\(event.event) \(String(decoding: event.key, as: UTF8.self))")
        }
        for line in text.split(separator: "\n") where !line.allSatisfy({ $0 == " " }) { script.line(line, location) }
        #expect(seen.events == expectedEvents, sourceLocation: location)
        script.checkReplay(location)
    }

    /// Runs one request; its reply in the notation above.
    @discardableResult
    func reply(_ words: [String]) -> String {
        let text = bare.run(words, bare.session)
        log.bytes += Array(bare.engine.pendingLog.bytes)
        log.records = bare.takeLog()
        var rest = Array(text.utf8)[...]
        return Self.rendered(&rest)
    }

    private func line(_ line: Substring, _ location: SourceLocation) {
        let line = line.split(separator: " ").joined(separator: " ")
        let parts = line.split(separator: "=>", maxSplits: 1).map { $0.trimmed }
        if parts[0].hasPrefix("+"), let milliseconds = Int64(parts[0].dropFirst()) {
            bare.engine.keyspace.now = UnixMilliseconds(bare.engine.keyspace.now.rawValue + milliseconds)
            return
        }
        let words = parts[0].split(separator: " ").map { $0 == "''" ? "" : String($0) }
        let answer = reply(words), records = log.records
        guard parts.count == 2 else { return }
        let bar = parts[1].range(of: " |")
        let expected = bar.map { parts[1][..<$0.lowerBound] } ?? parts[1][...]
        #expect(answer == expected, "\(parts[0])", sourceLocation: location)
        guard let bar else { return }
        let wanted = parts[1][bar.upperBound...].split(separator: ";").map { $0.trimmed }
        #expect(records == wanted, "log of \(parts[0])", sourceLocation: location)
    }

    /// The log so far, in an engine of its own, makes the same data; so do streams' groups.
    func checkReplay(_ location: SourceLocation = #_sourceLocation) {
        let other = BareEngine()
        other.engine.keyspace.expiryPolicy = .ignore
        other.engine.keyspace.now = bare.engine.keyspace.now
        var rest = log.bytes[...]
        while !rest.isEmpty {
            guard let words = Self.record(&rest) else { Issue.record("the log is damaged"); return }
            other.run(words, other.engine.ownSession)
        }
        let (live, replayed) = (KeyspaceDigest.whole(bare.engine.keyspace), KeyspaceDigest.whole(other.engine.keyspace))
        #expect(live.hex == replayed.hex, "the log makes other data", sourceLocation: location)
        for key in Self.keys(bare) where bare.run("TYPE", key) == "+stream\r\n" {
            let groups = bare.run("XINFO", "GROUPS", key)
            #expect(groups == other.run("XINFO", "GROUPS", key), "groups of \(key)", sourceLocation: location)
            var rest = Array(groups.utf8)[...]
            for group in Self.rendered(&rest).components(separatedBy: "\"name\", \"").dropFirst() {
                let request = ["XPENDING", key, String(group.prefix { $0 != "\"" }), "-", "+", "100000"]
                #expect(bare.run(request, bare.session) == other.run(request, other.session), "\(request)",
                        sourceLocation: location)
            }
        }
    }

    private static func keys(_ bare: BareEngine) -> [String] {
        var rest = Array(bare.run("KEYS", "*").utf8)[...]
        return rendered(&rest).dropFirst().dropLast().split(separator: ", ").map { String($0.dropFirst().dropLast()) }
    }

    // MARK: RESP

    private static func record(_ rest: inout ArraySlice<UInt8>) -> [String]? {
        guard let header = text(&rest), header.first == "*", let count = Int(header.dropFirst()) else { return nil }
        return (0..<count).map { _ in
            let length = text(&rest).flatMap { Int($0.dropFirst()) } ?? 0
            defer { rest = rest.dropFirst(length + 2) }
            return String(decoding: rest.prefix(length), as: UTF8.self)
        }
    }

    private static func text(_ rest: inout ArraySlice<UInt8>) -> String? {
        guard let end = rest.firstIndex(of: 13) else { return nil }
        defer { rest = rest[(end + 2)...] }
        return String(decoding: rest[..<end], as: UTF8.self)
    }

    private static func rendered(_ rest: inout ArraySlice<UInt8>) -> String {
        guard let header = text(&rest) else { return "" }
        let count = Int(header.dropFirst()) ?? 0
        switch header.first {
        case "$", "=":
            if count < 0 { return "nil" }
            defer { rest = rest.dropFirst(count + 2) }
            return "\"\(String(decoding: rest.prefix(count), as: UTF8.self))\""
        case "*", "~", ">", "%":
            if count < 0 { return "nil" }
            let elements = (0..<count * (header.first == "%" ? 2 : 1)).map { _ in rendered(&rest) }
            return "[\(elements.joined(separator: ", "))]"
        case "_": return "nil"
        case ",": return header
        default: return String(header.dropFirst())
        }
    }
}

extension Substring {
    fileprivate var trimmed: String {
        String(drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
    }
}
