import Glibc
import Synchronization
import TestSupport

/// The server that was built beside the tests, running on a free port until its owner goes away.
final class ServerProcess {
    let port: UInt16
    private let pid: pid_t
    private let directory: TemporaryDirectory

    init(_ options: [String] = []) throws {
        directory = try TemporaryDirectory()
        port = try Self.freePort()
        let path = BuiltProgram.server, log = directory.path("log")
        pid = try Self.spawn([path, "--port", "\(port)", "--dir", directory.path, "--save", ""] + options, log)
        for _ in 0..<3000 {
            var status: Int32 = 0
            if waitpid(pid, &status, WNOHANG) == pid { throw SocketFailure(operation: "start: \(log)", code: status) }
            if let probe = try? TestClient(port: port) {
                // Its end is waited for: it shall not count against limits.
                probe.endSending()
                _ = try? probe.textUntilEnd()
                return
            }
            usleep(20_000)
        }
        throw SocketFailure(operation: "waiting for the server", code: ETIMEDOUT)
    }

    /// Starts a program; its process.
    private static func spawn(_ words: [String], _ log: String) throws -> pid_t {
        var arguments = words.map { strdup($0) } + [nil]
        defer { for case let word? in arguments { free(word) } }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        defer { posix_spawn_file_actions_destroy(&actions) }
        var child: pid_t = 0
        let status = posix_spawn(&child, words[0], &actions, nil, &arguments, environ)
        guard status == 0 else { throw SocketFailure(operation: "spawn \(words[0])", code: status) }
        return child
    }

    deinit {
        kill(pid, SIGKILL)
        var status: Int32 = 0
        waitpid(pid, &status, 0)
    }

    func client() throws -> TestClient { try TestClient(port: port) }

    /// Resident memory in MB.
    func residentMegabytes() -> Int {
        guard let file = fopen("/proc/\(pid)/statm", "r") else { return 0 }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 256)
        guard fgets(&line, 256, file) != nil else { return 0 }
        let text = line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        let words = String(decoding: text, as: UTF8.self).split(separator: " ")
        return words.count > 1 ? (Int(words[1]) ?? 0) * 4096 >> 20 : 0
    }

    /// The next port to try: no two tests get the same, and none that the system gives to outgoing connections (from
    /// 32768 on), which could take it before the server does.
    private static let nextPort = Atomic<Int>(Int.random(in: 0..<10_000))

    static func freePort() throws -> UInt16 {
        for _ in 0..<10_000 {
            let port = UInt16(20_000 + nextPort.add(1, ordering: .relaxed).oldValue % 10_000)
            let probe = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
            defer { close(probe) }
            var address = TestClient.loopback(port: port)
            let status = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(probe, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            if status == 0 { return port }
        }
        throw SocketFailure(operation: "bind", code: errno)
    }
}

struct SocketFailure: Error {
    let operation: String
    let code: Int32
}

/// A blocking connection; nothing waits longer than a minute.
final class TestClient {
    let descriptor: Int32

    static func loopback(port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return address
    }

    init(port: UInt16) throws {
        // Not for children: with one that has it, too, no close would end the connection.
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var timeout = timeval(tv_sec: 60, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        var address = Self.loopback(port: port)
        let status = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        if status != 0 {
            let code = errno
            close(descriptor)
            throw SocketFailure(operation: "connect", code: code)
        }
    }

    deinit { close(descriptor) }

    func send(_ bytes: [UInt8]) throws {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress.map { $0 + sent }, bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count < 0 { throw SocketFailure(operation: "send", code: errno) }
            sent += count
        }
    }

    func send(_ text: String) throws { try send(Array(text.utf8)) }

    /// Exactly `count` bytes, fewer if the server ends the connection.
    func receive(_ count: Int) throws -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: count)
        var received = 0
        while received < count {
            let more = buffer.withUnsafeMutableBytes {
                recv(descriptor, $0.baseAddress.map { $0 + received }, count - received, 0)
            }
            if more < 0 { throw SocketFailure(operation: "recv", code: errno) }
            if more == 0 { break }
            received += more
        }
        return Array(buffer[0..<received])
    }

    /// As `receive`, as text.
    func text(_ count: Int) throws -> String { String(decoding: try receive(count), as: UTF8.self) }

    /// Everything up to the server's FIN; throws ECONNRESET for a RST.
    func textUntilEnd() throws -> String {
        var all: [UInt8] = []
        while true {
            let more = try receive(1)
            if more.isEmpty { return String(decoding: all, as: UTF8.self) }
            all += more
        }
    }

    /// Says that nothing more will be sent.
    func endSending() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Sends a request and expects just this reply.
    func ask(_ words: String..., reply: String) throws -> Bool {
        try send(request(words))
        return try text(reply.utf8.count) == reply
    }
}

/// A request as RESP.
func request(_ words: [String]) -> [UInt8] {
    var bytes = Array("*\(words.count)\r\n".utf8)
    for word in words { bytes += Array("$\(word.utf8.count)\r\n\(word)\r\n".utf8) }
    return bytes
}
