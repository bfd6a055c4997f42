import Foundation
import Glibc
import Testing
import TestSupport

/// The real program in a process of its own, in a directory of its own.
final class ServerRun {
    let directory: TemporaryDirectory
    let port: Int
    let process = Process()
    private let output: FileHandle

    /// Starts it with a configuration file, if one is given, with `--port` and `--dir`, and what else is given.
    convenience init(file: String? = nil, _ arguments: String..., environment: [String: String] = [:]) throws {
        try self.init(file: file, arguments: arguments, environment: environment)
    }

    /// - Parameter pipe: takes standard output and error; nil: the file `out.log`.
    init(file: String? = nil, arguments: [String], environment: [String: String] = [:],
         output pipe: Pipe? = nil) throws {
        directory = try TemporaryDirectory()
        port = Int(try ServerProcess.freePort())
        let log = directory.path("out.log")
        _ = FileManager.default.createFile(atPath: log, contents: nil)
        output = try #require(FileHandle(forWritingAtPath: log))
        process.executableURL = Self.program
        process.arguments = (file.map { [$0] } ?? []) + ["--port", "\(port)", "--dir", directory.path] + arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardOutput = pipe ?? output
        process.standardError = pipe ?? output
        process.currentDirectoryURL = URL(fileURLWithPath: directory.path)
        try process.run()
    }

    deinit {
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
        process.waitUntilExit()
    }

    static var program: URL {
        URL(fileURLWithPath: BuiltProgram.server)
    }

    var log: String { (try? String(contentsOfFile: directory.path("out.log"), encoding: .utf8)) ?? "" }

    /// Waits until the log has `text`; false after a minute.
    func logs(_ text: String) -> Bool { Self.waits { self.log.contains(text) } }

    func becomesReady() -> Bool { logs("Ready to accept connections") }

    /// The exit status; nil if it goes on running.
    func exitStatus() -> Int32? {
        guard Self.waits({ !self.process.isRunning }) else { return nil }
        return process.terminationReason == .exit ? process.terminationStatus : -process.terminationStatus
    }

    static func waits(_ condition: () -> Bool) -> Bool {
        for _ in 0..<3000 {
            if condition() { return true }
            usleep(20_000)
        }
        return false
    }

    /// Runs the program to its end.
    static func run(_ arguments: String..., input: String = "") throws -> (status: Int32, out: String, error: String) {
        let process = Process(), out = Pipe(), error = Pipe(), standardInput = Pipe()
        process.executableURL = program
        process.arguments = arguments
        process.standardOutput = out
        process.standardError = error
        process.standardInput = standardInput
        try process.run()
        standardInput.fileHandleForWriting.write(Data(input.utf8))
        try standardInput.fileHandleForWriting.close()
        let texts = [out, error].map { String(decoding: $0.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self) }
        process.waitUntilExit()
        return (process.terminationStatus, texts[0], texts[1])
    }

    static func withAddress(_ port: Int, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }

    /// What comes back for inline requests, one a line: a reply for each, or what there was when the server ended the
    /// connection (as it always does after a page of HTTP); nil: it can't be reached.
    func answer(_ request: String, port: Int? = nil) -> String? {
        guard let client = try? TestClient(port: UInt16(port ?? self.port)) else { return nil }
        try? client.send(request)
        var missing = request.split(separator: "\r\n").count
        var bytes: [UInt8] = [], counted = 0
        var chunk = [UInt8](repeating: 0, count: 65536)
        while missing > 0 {
            let count = recv(client.descriptor, &chunk, chunk.count, 0)
            if count < 0 && errno == ECONNRESET { return String(decoding: bytes, as: UTF8.self) + "RESET" }
            if count <= 0 { break }
            bytes += chunk[..<count]
            if bytes.first == UInt8(ascii: "H") { continue }
            let replies = ReplyScanner(bytes: bytes)
            while let end = replies.end(from: counted) { (counted, missing) = (end, missing - 1) }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
