import Glibc
import Primitives

// Sockets as the kernel gives them: made, bound, accepted, tuned; addresses as text.

/// A socket call that failed.
package struct SocketError: Error, CustomStringConvertible, Sendable {
    package let operation: String
    package let code: Int32
    package init(_ operation: String, _ code: Int32) {
        self.operation = operation
        self.code = code
    }
    /// The cause alone, as strerror says it ("Address already in use").
    package var cause: String { String(cString: strerror(code)) }
    package var description: String { "\(operation): \(cause)" }
}

enum Socket {
    /// A listening TCP socket.
    /// - Parameter host: an address, or `*` / `::*` for all of IPv4 / IPv6.
    static func listenTCP(host: String, port: Int, backlog: Int) throws(SocketError) -> Int32 {
        var hints = addrinfo()
        hints.ai_family = host == "::*" || host.contains(":") ? AF_INET6 : host == "*" ? AF_INET : AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_PASSIVE
        var found: UnsafeMutablePointer<addrinfo>?
        let name: String? = host == "*" || host == "::*" ? nil : host
        let status = getaddrinfo(name, "\(port)", &hints, &found)
        guard status == 0, let first = found else {
            throw SocketError("resolving \(host): \(String(cString: gai_strerror(status)))", EADDRNOTAVAIL)
        }
        defer { freeaddrinfo(first) }
        let descriptor = try make(first.pointee.ai_family)
        set(descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
        if first.pointee.ai_family == AF_INET6 { set(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, 1) }
        if bind(descriptor, first.pointee.ai_addr, first.pointee.ai_addrlen) != 0 {
            throw failure("bind", closing: descriptor)
        }
        if listen(descriptor, Int32(clamping: backlog)) != 0 { throw failure("listen", closing: descriptor) }
        return descriptor
    }

    /// A listening Unix socket; what stood at `path` before is removed.
    /// - Parameter permissions: mode bits, 0: as the umask leaves them.
    static func listenUnix(path: String, permissions: Int, backlog: Int) throws(SocketError) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
            throw SocketError("bind \(path)", ENAMETOOLONG)
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        unlink(path)
        let descriptor = try make(AF_UNIX)
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        if bound != 0 { throw failure("bind", closing: descriptor) }
        if permissions != 0 { chmod(path, mode_t(permissions)) }
        if listen(descriptor, Int32(clamping: backlog)) != 0 { throw failure("listen", closing: descriptor) }
        return descriptor
    }

    private static func make(_ family: Int32) throws(SocketError) -> Int32 {
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let descriptor = socket(family, kind, 0)
        if descriptor < 0 { throw SocketError("socket", errno) }
        return descriptor
    }

    private static func failure(_ operation: String, closing descriptor: Int32) -> SocketError {
        let error = SocketError(operation, errno)
        close(descriptor)
        return error
    }

    @discardableResult
    static func set(_ descriptor: Int32, _ level: Int32, _ option: Int32, _ value: Int32) -> Bool {
        var value = value
        return setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size)) == 0
    }

    /// TCP_NODELAY, and keep-alive probes after `keepaliveSeconds` of silence (0: none).
    static func tuneClient(_ descriptor: Int32, keepaliveSeconds: Int) {
        set(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        guard keepaliveSeconds > 0 else { return }
        let seconds = Int32(clamping: keepaliveSeconds)
        set(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1)
        set(descriptor, Int32(IPPROTO_TCP), TCP_KEEPIDLE, seconds)
        set(descriptor, Int32(IPPROTO_TCP), TCP_KEEPINTVL, max(seconds / 3, 1))
        set(descriptor, Int32(IPPROTO_TCP), TCP_KEEPCNT, 3)
    }

    // MARK: Addresses

    enum Side { case local, peer }

    /// `ip:port`, `[ip]:port`; nil for a Unix socket or one that is not connected any more.
    static func address(_ descriptor: Int32, _ side: Side) -> (host: String, port: Int)? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let status = withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                side == .peer ? getpeername(descriptor, $0, &length) : getsockname(descriptor, $0, &length)
            }
        }
        guard status == 0 else { return nil }
        switch Int32(storage.ss_family) {
        case AF_INET:
            return withUnsafeBytes(of: &storage) { bytes in
                var address = bytes.load(as: sockaddr_in.self)
                return (text(AF_INET, &address.sin_addr), Int(UInt16(bigEndian: address.sin_port)))
            }
        case AF_INET6:
            return withUnsafeBytes(of: &storage) { bytes in
                var address = bytes.load(as: sockaddr_in6.self)
                return (text(AF_INET6, &address.sin6_addr), Int(UInt16(bigEndian: address.sin6_port)))
            }
        default: return nil
        }
    }

    private static func text(_ family: Int32, _ address: UnsafeRawPointer) -> String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(INET6_ADDRSTRLEN)) { room in
            guard let start = room.baseAddress,
                  inet_ntop(family, address, start, socklen_t(INET6_ADDRSTRLEN)) != nil else { return "?" }
            return String(cString: start)
        }
    }
}
