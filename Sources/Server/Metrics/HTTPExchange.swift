import Engine
import Glibc
import Primitives

// One request and its answer over HTTP/1.1; then the connection ends.
//
//     reading ── whole head ──▶ answering ── all written ──▶ over
//
// 1. A head has at most `longestHead` bytes; bodies are not read.
// 2. An exchange that is not over after `patience` ends as it is.

final class HTTPExchange: LoopSource {
    private unowned(unsafe) let listener: MetricsListener
    private var head: [UInt8] = []
    private var answer: [UInt8] = []
    private var sent = 0
    private let began = MonotonicNanoseconds.now()

    static let longestHead = 4096
    private static let patience: Int64 = 5_000_000_000

    init(_ listener: MetricsListener, descriptor: Int32) {
        self.listener = listener
        super.init(descriptor: descriptor)
    }

    @available(*, unavailable, message: "say whose it is")
    override init(descriptor: Int32) { preconditionFailure("never called") }

    func isLate(_ now: MonotonicNanoseconds) -> Bool { now.nanoseconds(since: began) > Self.patience }

    /// Ends it, whatever is unsent.
    func end() {
        guard isWatched else { return }
        listener.core.loop.remove(self)
        close(descriptor)
        listener.ended(self)
    }

    override func ready(_ events: LoopEvents) {
        if answer.isEmpty { readHead() } else { writeAnswer() }
    }

    private func readHead() {
        let room = Self.longestHead + 1 - head.count
        let buffer = listener.core.readBuffer
        let count = read(descriptor, buffer, room)
        if count < 0 && (errno == EAGAIN || errno == EINTR) { return }
        if count <= 0 { return end() }
        head += UnsafeRawBufferPointer(start: buffer, count: count)
        if let length = Self.length(ofHead: head) {
            answer = MetricsPages(listener.core).answer(HTTPRequest(head[..<length]))
        } else if head.count > Self.longestHead {
            answer = HTTPAnswer(.headTooLong, "the head of a request has at most \(Self.longestHead) bytes\n").bytes
        } else {
            return
        }
        writeAnswer()
    }

    /// Nil: its end, an empty line, has not come.
    static func length(ofHead bytes: [UInt8]) -> Int? {
        var previousEnd = false
        for (index, byte) in bytes.enumerated() where byte != UInt8(ascii: "\r") {
            let isEnd = byte == UInt8(ascii: "\n")
            if isEnd && previousEnd { return index + 1 }
            previousEnd = isEnd
        }
        return nil
    }

    private func writeAnswer() {
        while sent < answer.count {
            let count = answer.withUnsafeBytes { bytes in
                send(descriptor, bytes.baseAddress.map { $0 + sent }, bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count < 0 && errno == EINTR { continue }
            if count < 0 && errno == EAGAIN { return listener.core.loop.change(self, to: .write) }
            if count < 0 { return end() }
            sent += count
        }
        // The rest of what the peer sends is read and thrown away: RST could take the answer from it.
        listener.core.loop.remove(self)
        listener.core.lingering.append(Lingering(listener.core, descriptor: descriptor))
        listener.ended(self)
    }
}

/// What a request asks for.
enum HTTPRequest: Equatable {
    case page(path: String, withBody: Bool)
    case otherMethod
    case malformed

    init(_ head: ArraySlice<UInt8>) {
        let line = head.prefix { $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "\r") }
        let words = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
        guard words.count == 3, words[1].first == UInt8(ascii: "/"), words[2].starts(with: "HTTP/1.".utf8) else {
            self = .malformed
            return
        }
        let path = String(decoding: words[1].prefix { $0 != UInt8(ascii: "?") }, as: UTF8.self)
        switch String(decoding: words[0], as: UTF8.self) {
        case "GET": self = .page(path: path, withBody: true)
        case "HEAD": self = .page(path: path, withBody: false)
        case _: self = .otherMethod
        }
    }
}

struct HTTPAnswer {
    enum Status: String {
        case ok = "200 OK"
        case malformed = "400 Bad Request"
        case notFound = "404 Not Found"
        case otherMethod = "405 Method Not Allowed"
        case headTooLong = "431 Request Header Fields Too Large"
        case unavailable = "503 Service Unavailable"
    }

    let status: Status
    let body: String
    var type = "text/plain; charset=utf-8"
    var withBody = true

    init(_ status: Status, _ body: String) {
        self.status = status
        self.body = body
    }

    var bytes: [UInt8] {
        var head = "HTTP/1.1 \(status.rawValue)\r\nContent-Type: \(type)\r\nContent-Length: \(body.utf8.count)\r\n"
        if status == .otherMethod { head += "Allow: GET, HEAD\r\n" }
        head += "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
        return Array(head.utf8) + (withBody ? Array(body.utf8) : [])
    }
}
