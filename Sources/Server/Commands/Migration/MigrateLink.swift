import Glibc
import Primitives

// A connection to another server for the time of one command. The engine's thread waits here, never longer than the
// timeout without a byte going either way.

/// What went wrong with the other server's connection.
enum LinkFailure: Error {
    case connecting, writing, reading

    var line: StaticString {
        switch self {
        case .connecting: "IOERR error or timeout connecting to the client"
        case .writing: "IOERR error or timeout writing to target instance"
        case .reading: "IOERR error or timeout reading from target instance"
        }
    }
}

/// Owns the socket.
struct MigrateLink: ~Copyable {
    private let descriptor: Int32
    private let timeoutMilliseconds: Int32
    private var input = OwnedBytes()
    private var lineStart = 0

    init(host: String, port: String, timeoutMilliseconds: Int32) throws(LinkFailure) {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, port, &hints, &found) == 0 else { throw .connecting }
        defer { freeaddrinfo(found) }
        var candidate = found
        while let address = candidate {
            if let descriptor = Self.connected(address.pointee, timeoutMilliseconds) {
                self.descriptor = descriptor
                self.timeoutMilliseconds = timeoutMilliseconds
                return
            }
            candidate = address.pointee.ai_next
        }
        throw .connecting
    }

    deinit { close(descriptor) }

    private static func connected(_ address: addrinfo, _ timeoutMilliseconds: Int32) -> Int32? {
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let descriptor = socket(address.ai_family, kind, 0)
        if descriptor < 0 { return nil }
        let isDone = connect(descriptor, address.ai_addr, address.ai_addrlen) == 0
        if !isDone && (errno != EINPROGRESS || !wait(descriptor, POLLOUT, timeoutMilliseconds)) {
            close(descriptor)
            return nil
        }
        var problem: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        guard getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &problem, &length) == 0, problem == 0 else {
            close(descriptor)
            return nil
        }
        Socket.set(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        return descriptor
    }

    private static func wait(_ descriptor: Int32, _ events: Int32, _ timeoutMilliseconds: Int32) -> Bool {
        var request = pollfd(fd: descriptor, events: Int16(events), revents: 0)
        while true {
            let status = poll(&request, 1, timeoutMilliseconds)
            if status > 0 { return true }
            if status == 0 || errno != EINTR { return false }
        }
    }

    /// Sends everything, and reads until `lineCount` lines have come. (Reading goes on while it sends: the other side
    /// may not take more before its replies are taken.)
    mutating func exchange(_ request: Bytes, lineCount: Int) throws(LinkFailure) {
        var sent = 0, lines = 0, counted = lineStart
        while sent < request.count || lines < lineCount {
            let events = POLLIN | (sent < request.count ? POLLOUT : 0)
            let failure = sent < request.count ? LinkFailure.writing : .reading
            var poller = pollfd(fd: descriptor, events: Int16(events), revents: 0)
            let status = poll(&poller, 1, timeoutMilliseconds)
            if status < 0 && errno == EINTR { continue }
            if status <= 0 { throw failure }
            if Int32(poller.revents) & POLLOUT != 0, let base = request.baseAddress {
                let part = min(request.count - sent, 1 << 16)
                let count = send(descriptor, base + sent, part, Int32(MSG_NOSIGNAL))
                if count > 0 { sent += count } else if errno != EAGAIN && errno != EINTR { throw .writing }
            }
            if Int32(poller.revents) & ~POLLOUT != 0 {
                let start = input.count
                input.reserve(1 << 14)
                let count = recv(descriptor, input.base + start, 1 << 14, 0)
                if count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR) { throw failure }
                if count > 0 { input.commit(count) }
            }
            while counted < input.count {
                if input.bytes[counted] == 10 { lines += 1 }
                counted += 1
            }
        }
    }

    /// The next line that came, without its end; nil: there is no whole one.
    mutating func takeLine() -> String? {
        let rest = input.bytes[lineStart...]
        guard let end = rest.firstIndex(of: 10) else { return nil }
        let line = rest[..<end].prefix { $0 != 13 }
        lineStart = end + 1
        return String(decoding: line, as: UTF8.self)
    }
}
