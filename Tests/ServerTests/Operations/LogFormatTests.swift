import Foundation
import Primitives
@testable import Server
import Synchronization
import Testing

/// `log-format`, `log-timestamp-format`, syslog.
struct LogFormatTests {
    private func line(_ text: String, _ format: LogFormat, _ timestamps: LogTimestampFormat = .legacy,
                      role: LogLine.Role = .primary, offset: Int = 0) -> String {
        LogLine(process: 7, role: role, level: .notice, time: UnixMilliseconds(1_795_639_201_123),
                utcOffsetSeconds: offset, text: text).write(format, timestamps)
    }

    @Test func linesLookAsTheirFormatSays() {
        #expect(line("hello", .legacy) == "7:M 25 Nov 2026 20:40:01.123 * hello")
        #expect(line("hello", .legacy, .iso8601, offset: -12_600) == "7:M 2026-11-25T17:10:01.123-03:30 * hello")
        #expect(line("hello", .legacy, .milliseconds, role: .child) == "7:C 1795639201123 * hello")
        #expect(line("hello", .logfmt, .iso8601)
            == "pid=7 role=primary timestamp=\"2026-11-25T20:40:01.123+00:00\" level=notice message=\"hello\"")
        #expect(line("hello", .json, .milliseconds, role: .replica)
            == #"{"pid":7,"role":"replica","timestamp":1795639201123,"level":"notice","message":"hello"}"#)
    }

    /// Whatever the text is, a JSON line can be read, and gives it back.
    @Test func jsonGivesBackAnyText() throws {
        var random = RandomSource(seed: 20_261_126)
        let pieces = ["\"", "\\", "\n", "\r", "\t", "\u{0}", "\u{1f}", "\u{7f}", "é", "𝄞", "\u{2028}", "x", "}", "="]
        for _ in 0..<500 {
            let count = Int(random.next(below: 12)), kinds = UInt64(pieces.count)
            let text = (0..<count).map { _ in pieces[Int(random.next(below: kinds))] }.joined()
            let written = line(text, .json, .iso8601)
            #expect(!written.utf8.contains { $0 < 32 })
            let read = try JSONSerialization.jsonObject(with: Data(written.utf8)) as? [String: Any]
            #expect(read?["message"] as? String == text)
            let logfmt = line(text, .logfmt)
            #expect(!logfmt.utf8.contains { $0 < 32 })
            let start = try #require(logfmt.range(of: "message="))
            let value = try JSONSerialization.jsonObject(with: Data(logfmt[start.upperBound...].utf8),
                                                         options: .fragmentsAllowed)
            #expect(value as? String == text)
        }
    }

    @Test func theFormatChangesWhileTheServerRuns() throws {
        let server = try ServerRun("--save", "", "--enable-debug-command", "yes", "--log-format", "json",
                                   "--log-timestamp-format", "iso8601")
        #expect(server.logs("Ready to accept connections"))
        for line in server.log.split(separator: "\n") {
            let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
            #expect(object?["pid"] as? Int == Int(server.process.processIdentifier))
            #expect((object?["timestamp"] as? String)?.contains("T") == true)
        }
        _ = server.answer("CONFIG SET log-format logfmt log-timestamp-format milliseconds\r\n")
        // As bytes: an invalid one, a quote, a line feed.
        _ = server.answer("DEBUG LOG \"a\\xffb\\\"c\\nlevel=fake\"\r\n")
        #expect(server.logs("level=warning message=\"DEBUG LOG: a\u{fffd}b\\\"c\\nlevel=fake\""))
        _ = server.answer("CONFIG SET log-format legacy log-timestamp-format legacy\r\nDEBUG LOG plain\r\n")
        #expect(server.logs("# DEBUG LOG: plain"))
        let pattern = #"^\d+:M \d\d [A-Z][a-z][a-z] \d{4} \d\d:\d\d:\d\d\.\d{3} # DEBUG LOG: plain$"#
        let lines = server.log.split(separator: "\n")
        #expect(lines.contains { $0.range(of: pattern, options: .regularExpression) != nil })
        #expect(server.answer("CONFIG SET log-format xml\r\n")?.hasPrefix("-ERR") == true)
        #expect(server.answer("CONFIG GET log-format\r\n")?.contains("legacy") == true)
    }

    @Test func aRecordOfTheSystemLogIsOneLine() {
        #expect(Syslog.oneLine("plain é") == "plain é")
        #expect(Syslog.oneLine("a\nb\r\t\u{0}\u{7f}é") == "a\\nb\\r\\t\\0\\u{7F}é")
    }

    /// Where nobody listens to /dev/log, the test does.
    @Test(.enabled(if: SystemLog.isFree)) func theSystemLogHearsEveryLine() throws {
        let log = try SystemLog()
        let server = try ServerRun("--save", "", "--enable-debug-command", "yes", "--syslog-enabled", "yes",
                                   "--syslog-ident", "my-redis", "--syslog-facility", "local3")
        #expect(server.becomesReady())
        _ = server.answer("DEBUG LOG \"two\\nlines\"\r\n")
        // Facility 19, warning: 19 * 8 + 4.
        #expect(log.hears { $0.hasPrefix("<156>") && $0.contains("my-redis[\(server.process.processIdentifier)]: ")
            && $0.hasSuffix("DEBUG LOG: two\\nlines") })
        #expect(log.records.contains { $0.hasPrefix("<157>") && $0.hasSuffix("Ready to accept connections tcp") })
        _ = server.answer("CONFIG SET log-format json\r\nDEBUG LOG x\r\n")
        #expect(log.hears { $0.hasSuffix("\"level\":\"warning\",\"message\":\"DEBUG LOG: x\"}") })
    }
}

/// A socket that takes datagrams until its owner goes away. A thread of its own takes them at once: the kernel keeps
/// ten, and what comes then is lost.
final class DatagramSocket {
    let path: String
    private let descriptor: Int32
    private let taken = Taken()

    private final class Taken: Sendable {
        let records = Mutex<[String]>([])
    }

    var records: [String] { taken.records.withLock { $0 } }

    init(_ path: String) throws {
        self.path = path
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let status = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        if status != 0 { throw SocketFailure(operation: "bind \(path)", code: errno) }
        Thread.detachNewThread { [descriptor, taken] in
            var bytes = [UInt8](repeating: 0, count: 4096)
            while true {
                let count = recv(descriptor, &bytes, bytes.count, 0)
                if count < 0 && errno == EINTR { continue }
                if count <= 0 { break }
                let text = String(decoding: bytes.prefix(count).prefix { $0 != 0 }, as: UTF8.self)
                taken.records.withLock { $0.append(text) }
            }
            close(descriptor)
        }
    }

    deinit {
        // Ends the thread's waiting.
        shutdown(descriptor, Int32(SHUT_RDWR))
        unlink(path)
    }

    /// Waits for a record.
    func hears(_ condition: (String) -> Bool) -> Bool {
        ServerRun.waits { records.contains(where: condition) }
    }
}

/// The socket that syslog(3) writes to, where there is none.
private final class SystemLog {
    static let path = "/dev/log"
    static var isFree: Bool { access(path, F_OK) != 0 && access("/dev", W_OK) == 0 }
    private let socket = try? DatagramSocket(path)

    init() throws { _ = try #require(socket) }

    var records: [String] { socket?.records ?? [] }
    func hears(_ condition: (String) -> Bool) -> Bool { socket?.hears(condition) ?? false }
}
