import Foundation
import Glibc
import TestSupport
import Testing

/// The real program over one directory, which outlives it: it is killed and started again.
final class DurableServer {
    let directory: TemporaryDirectory
    private(set) var process = Process()
    private var port = 0
    private var socketDescriptor: Int32 = -1

    init() throws { directory = try TemporaryDirectory() }

    deinit { kill9() }

    private static var program: URL {
        URL(fileURLWithPath: BuiltProgram.server)
    }

    var log: String { (try? String(contentsOfFile: directory.path("out.log"), encoding: .utf8)) ?? "" }

    /// Starts it; false if it ends or never answers.
    @discardableResult
    func start(_ arguments: String...) throws -> Bool { try start(with: arguments) }

    @discardableResult
    func start(with arguments: [String]) throws -> Bool {
        try launch(arguments)
        for _ in 0..<3000 {
            if !process.isRunning { return false }
            if log.contains("Ready to accept connections") { return connect() }
            usleep(20_000)
        }
        return false
    }

    /// Starts it and connects, though it may still be loading.
    func startWithoutWaiting(_ arguments: String...) throws -> Bool {
        try launch(arguments)
        for _ in 0..<3000 {
            if !process.isRunning { return false }
            if connect() { return true }
            close(socketDescriptor)
            usleep(20_000)
        }
        return false
    }

    private func launch(_ arguments: [String]) throws {
        port = Int(try ServerProcess.freePort())
        let path = directory.path("out.log")
        _ = FileManager.default.createFile(atPath: path, contents: nil)
        let output = try #require(FileHandle(forWritingAtPath: path))
        process = Process()
        process.executableURL = Self.program
        process.arguments = ["--port", "\(port)", "--dir", directory.path, "--save", ""] + arguments
        process.standardOutput = output
        process.standardError = output
        process.currentDirectoryURL = URL(fileURLWithPath: directory.path)
        try process.run()
    }

    private func connect() -> Bool {
        socketDescriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var patience = timeval(tv_sec: 60, tv_usec: 0)
        setsockopt(socketDescriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(socketDescriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        } == 0
    }

    func kill9() {
        if socketDescriptor >= 0 { close(socketDescriptor) }
        socketDescriptor = -1
        guard process.isRunning else { return }
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }

    /// The exit status of a server that was asked to end or could not start; -1 when it goes on.
    func status() -> Int32 {
        guard ServerRun.waits({ !process.isRunning }) else { return -1 }
        return process.terminationStatus
    }

    /// One command, one reply: a line without its type's letter for `+` and `:`, a bulk's text, `nil` for null.
    @discardableResult
    func call(_ words: String...) -> String {
        request(words)
        return reply()
    }

    /// A command that answers an array of simple replies.
    func list(_ words: String...) -> [String] {
        request(words)
        let line = readLine()
        guard line.first == "*", let count = Int(line.dropFirst()) else { return [line] }
        return (0..<count).map { _ in reply() }
    }

    private func request(_ words: [String]) {
        var request = "*\(words.count)\r\n"
        for word in words { request += "$\(word.utf8.count)\r\n\(word)\r\n" }
        _ = request.withCString { send(socketDescriptor, $0, strlen($0), Int32(MSG_NOSIGNAL)) }
    }

    private func reply() -> String {
        let line = readLine()
        switch line.first {
        case "+", ":": return String(line.dropFirst())
        case "$":
            guard let count = Int(line.dropFirst()), count >= 0 else { return "nil" }
            let text = readBytes(count)
            // CR LF is one Character: it is read by itself.
            _ = readBytes(2)
            return text
        default: return line
        }
    }

    /// Sends `count` SETs of `bytes` bytes before it reads a reply. Gives `count` if all said OK.
    func pipelinedSets(_ count: Int, bytes: Int) -> Int {
        let value = String(repeating: "x", count: bytes)
        var request: [UInt8] = []
        for number in 0..<count {
            let key = "\(10_000_000 + number)"
            request += Array("*3\r\n$3\r\nSET\r\n$8\r\n\(key)\r\n$\(bytes)\r\n\(value)\r\n".utf8)
        }
        var sent = 0
        while sent < request.count {
            let taken = request.withUnsafeBytes {
                send(socketDescriptor, $0.baseAddress.unsafelyUnwrapped + sent, request.count - sent,
                     Int32(MSG_NOSIGNAL))
            }
            if taken <= 0 { return 0 }
            sent += taken
        }
        let expected = String(repeating: "+OK\r\n", count: count)
        return readBytes(expected.utf8.count) == expected ? count : 0
    }

    private func readLine() -> String {
        var text = ""
        while !text.unicodeScalars.suffix(2).elementsEqual(["\r", "\n"]) {
            let next = readBytes(1)
            if next.isEmpty { return text }
            text.unicodeScalars.append(contentsOf: next.unicodeScalars)
        }
        return String(text.unicodeScalars.dropLast(2).map(Character.init))
    }

    private func readBytes(_ count: Int) -> String {
        var bytes = [UInt8](repeating: 0, count: count)
        var done = 0
        while done < count {
            let got = bytes.withUnsafeMutableBytes {
                recv(socketDescriptor, $0.baseAddress.unsafelyUnwrapped + done, count - done, 0)
            }
            if got <= 0 { return "" }
            done += got
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Waits until the log has `text`.
    func logs(_ text: String) -> Bool {
        for _ in 0..<3000 {
            if log.contains(text) { return true }
            usleep(20_000)
        }
        return false
    }

    func files(_ folder: String = "") -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: directory.path(folder))) ?? []).sorted()
    }

    func contents(_ name: String) -> [UInt8] {
        [UInt8]((try? Data(contentsOf: URL(fileURLWithPath: directory.path(name)))) ?? Data())
    }

    func write(_ bytes: [UInt8], to name: String) throws {
        try Data(bytes).write(to: URL(fileURLWithPath: directory.path(name)))
    }
}
