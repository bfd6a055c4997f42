import CTLS
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

/// How another server is reached.
struct MigrateRoute {
    var host: String
    var port: String
    /// Without a byte going either way.
    var timeoutMilliseconds: Int32
    /// `bind-source-addr`; empty: the system chooses.
    var source = ""
    /// nil: the bytes are as they are.
    var encryption: TLSContext?
}

/// Owns the socket, and the stream over it.
struct MigrateLink: ~Copyable {
    private let descriptor: Int32
    private let stream: OpaquePointer?
    private let timeoutMilliseconds: Int32
    private var input = OwnedBytes()
    private var lineStart = 0

    static func open(_ route: MigrateRoute) throws(LinkFailure) -> MigrateLink {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(route.host, route.port, &hints, &found) == 0 else { throw .connecting }
        defer { freeaddrinfo(found) }
        var candidate = found
        while let address = candidate {
            if let descriptor = connected(address.pointee, route) {
                return MigrateLink(descriptor, try secured(descriptor, route), route.timeoutMilliseconds)
            }
            candidate = address.pointee.ai_next
        }
        throw .connecting
    }

    /// A stream whose handshake is done; nil: there is to be none. The socket is closed when that fails.
    private static func secured(_ descriptor: Int32, _ route: MigrateRoute) throws(LinkFailure) -> OpaquePointer? {
        guard let encryption = route.encryption else { return nil }
        if let stream = sr_tls_stream_connect(encryption.pointer, descriptor) {
            if shakesHands(stream, descriptor, route.timeoutMilliseconds) { return stream }
            sr_tls_stream_free(stream)
        }
        close(descriptor)
        throw .connecting
    }

    private init(_ descriptor: Int32, _ stream: OpaquePointer?, _ timeoutMilliseconds: Int32) {
        self.descriptor = descriptor
        self.stream = stream
        self.timeoutMilliseconds = timeoutMilliseconds
    }

    deinit {
        if let stream {
            _ = sr_tls_end(stream)
            sr_tls_stream_free(stream)
        }
        close(descriptor)
    }

    private static func connected(_ address: addrinfo, _ route: MigrateRoute) -> Int32? {
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let descriptor = socket(address.ai_family, kind, 0)
        if descriptor < 0 { return nil }
        guard route.source.isEmpty || bind(descriptor, to: route.source, address.ai_family) else {
            close(descriptor)
            return nil
        }
        let isDone = connect(descriptor, address.ai_addr, address.ai_addrlen) == 0
        if !isDone && (errno != EINPROGRESS || !wait(descriptor, POLLOUT, route.timeoutMilliseconds)) {
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

    /// False: this system has no such address, or it is of the other family.
    private static func bind(_ descriptor: Int32, to source: String, _ family: Int32) -> Bool {
        var hints = addrinfo()
        hints.ai_family = family
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(source, nil, &hints, &found) == 0, let found else { return false }
        defer { freeaddrinfo(found) }
        return Glibc.bind(descriptor, found.pointee.ai_addr, found.pointee.ai_addrlen) == 0
    }

    private static func shakesHands(_ stream: OpaquePointer, _ descriptor: Int32, _ timeout: Int32) -> Bool {
        while true {
            let outcome = Int(sr_tls_handshake(stream))
            if outcome == 1 { return true }
            let events = outcome == SR_TLS_WANTS_READ ? POLLIN : outcome == SR_TLS_WANTS_WRITE ? POLLOUT : 0
            if events == 0 || !wait(descriptor, events, timeout) { return false }
        }
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
                guard let count = give(base + sent, part) else { throw .writing }
                sent += count
            }
            if Int32(poller.revents) & ~POLLOUT != 0 {
                // A stream may hold more than the socket tells of.
                repeat {
                    input.reserve(1 << 14)
                    guard let count = take(input.base + input.count, 1 << 14) else { throw failure }
                    input.commit(count)
                } while stream.map { sr_tls_has_more($0) != 0 } ?? false
            }
            while counted < input.count {
                if input.bytes[counted] == 10 { lines += 1 }
                counted += 1
            }
        }
    }

    /// Bytes that were taken, 0 if none can be at present; nil: none ever will.
    private func give(_ bytes: UnsafeRawPointer, _ count: Int) -> Int? {
        let outcome = stream.map { sr_tls_write($0, bytes, count) }
            ?? send(descriptor, bytes, count, Int32(MSG_NOSIGNAL))
        return progress(outcome)
    }

    /// Bytes that came, likewise.
    private func take(_ buffer: UnsafeMutableRawPointer, _ room: Int) -> Int? {
        let outcome = stream.map { sr_tls_read($0, buffer, room) } ?? recv(descriptor, buffer, room, 0)
        return outcome == 0 ? nil : progress(outcome)
    }

    private func progress(_ outcome: Int) -> Int? {
        if outcome >= 0 { return outcome }
        let mayGoOn = stream == nil ? errno == EAGAIN || errno == EINTR
            : outcome == SR_TLS_WANTS_READ || outcome == SR_TLS_WANTS_WRITE
        return mayGoOn ? 0 : nil
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
