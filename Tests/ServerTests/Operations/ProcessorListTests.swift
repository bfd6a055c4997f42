import Foundation
import Glibc
import Testing

/// `server-cpulist` and its like, as the system sees them.
struct ProcessorListTests {
    /// Processors that the test itself may use: the first and the last of them.
    private let ends: (first: Int, last: Int) = {
        let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("Cpus_allowed_list:") } ?? ""
        let numbers = line.split { !$0.isNumber }.compactMap { Int($0) }
        return (numbers.first ?? 0, numbers.last ?? 0)
    }()

    /// Name and allowed processors of every thread.
    private func threads(_ process: Int32) -> [(name: String, processors: String)] {
        let folder = "/proc/\(process)/task"
        let tasks = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return tasks.compactMap { task in
            let file = "\(folder)/\(task)/status"
            guard let status = try? String(contentsOfFile: file, encoding: .utf8) else { return nil }
            func value(_ field: String) -> String {
                status.split(separator: "\n").first { $0.hasPrefix(field + ":") }?
                    .dropFirst(field.count + 1).trimmingCharacters(in: .whitespaces) ?? ""
            }
            return (value("Name"), value("Cpus_allowed_list"))
        }
    }

    private func child(of process: Int32) -> Int32? {
        let text = try? String(contentsOfFile: "/proc/\(process)/task/\(process)/children", encoding: .utf8)
        return text?.split(separator: " ").first.flatMap { Int32($0) }
    }

    @Test func threadsAndChildrenRunWhereTheyAreTold() throws {
        let server = try ServerRun(
            "--server-cpulist", "\(ends.last)", "--bio-cpulist", "\(ends.first)-\(ends.first)",
            "--bgsave-cpulist", " \(ends.first)", "--aof-rewrite-cpulist", "\(ends.first)-\(ends.last):1000",
            "--appendonly", "yes", "--appendfsync", "always", "--io-threads", "3")
        #expect(server.becomesReady())
        // Under load, when the server would otherwise choose its processor itself.
        for _ in 0..<3 { #expect(server.answer("SET k v\r\n") == "+OK\r\n") }
        let process = server.process.processIdentifier
        let found = threads(process)
        let background: Set = ["aof-log", "disk", "background"]
        #expect(found.contains { $0.name == "aof-log" } && found.contains { $0.name == "io_thd_1" })
        for thread in found {
            let wanted = background.contains(thread.name) ? ends.first : ends.last
            #expect(thread.processors == "\(wanted)", "\(thread.name)")
        }
        _ = server.answer("CONFIG SET rdb-key-save-delay 10000000\r\n")
        for command in ["BGSAVE", "BGREWRITEAOF"] {
            #expect(server.answer("\(command)\r\n")?.hasPrefix("+Background") == true)
            #expect(ServerRun.waits {
                child(of: process).map { threads($0).first?.processors == "\(ends.first)" } == true
            })
            if let child = child(of: process) { kill(child, SIGKILL) }
            #expect(ServerRun.waits { child(of: process) == nil })
        }
    }

    @Test func aListThatIsNoneIsIgnoredAndTold() throws {
        let server = try ServerRun("--server-cpulist", "0-", "--bio-cpulist", "x")
        #expect(server.becomesReady())
        #expect(server.log.contains("server-cpulist '0-' is no list of processors: ignored"))
        #expect(server.log.contains("bio-cpulist 'x' is no list of processors: ignored"))
    }
}
