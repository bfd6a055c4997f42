import Foundation
import Glibc
import Testing

/// When the system gives no more descriptors.
struct DescriptorTests {
    private func used(_ process: Int32) -> Set<Int> {
        Set((try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(process)/fd"))?.compactMap { Int($0) } ?? [])
    }

    /// User and system time in clock ticks, a hundredth of a second each.
    private func ticks(_ process: Int32) -> Int {
        let text = (try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)) ?? ""
        let fields = text.split(separator: ")").last?.split(separator: " ") ?? []
        return fields.count > 12 ? (Int(fields[11]) ?? 0) + (Int(fields[12]) ?? 0) : 0
    }

    private func limit(_ process: Int32, to descriptors: Int) throws {
        let tool = try Process.run(URL(fileURLWithPath: "/usr/bin/prlimit"),
                                   arguments: ["--pid", "\(process)", "--nofile=\(descriptors):"])
        tool.waitUntilExit()
        #expect(tool.terminationStatus == 0)
    }

    /// accept(2) fails as long as there are none: asking it again and again kept the server from everybody else
    /// (CVE-2025-48367).
    @Test func descriptorsThatRunOutStarveNobody() throws {
        let server = try ServerRun("--save", "", "--hz", "10")
        #expect(server.becomesReady())
        let process = server.process.processIdentifier
        let inside = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(inside) }
        #expect(ServerRun.withAddress(server.port) { connect(inside, $0, $1) } == 0)
        func ping(_ descriptor: Int32) -> Bool {
            var patience = timeval(tv_sec: 30, tv_usec: 0)
            setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
            var reply = [UInt8](repeating: 0, count: 7)
            guard send(descriptor, "PING\r\n", 6, Int32(MSG_NOSIGNAL)) == 6 else { return false }
            return recv(descriptor, &reply, 7, Int32(MSG_WAITALL)) == 7 && reply == Array("+PONG\r\n".utf8)
        }
        #expect(ping(inside))
        let free = (3...).first { !used(process).contains($0) } ?? 0
        try limit(process, to: free)
        let outside = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(outside) }
        // The system completes the connection; the server can't take it.
        #expect(ServerRun.withAddress(server.port) { connect(outside, $0, $1) } == 0)
        #expect(ping(inside))
        let before = ticks(process)
        usleep(1_000_000)
        #expect(ticks(process) - before < 50, "the server is busy with asking")
        #expect(ping(inside))
        try limit(process, to: 1024)
        #expect(ping(outside))
    }
}
