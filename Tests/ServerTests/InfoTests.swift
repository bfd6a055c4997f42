import Foundation
import Testing
import TestSupport

/// INFO against the table of fields in Fixtures/info-fields.tsv.
struct InfoTests {
    private struct Field {
        let section: String, name: String, condition: String
    }

    private func table() throws -> [Field] {
        try String(contentsOfFile: Fixture.path("info-fields.tsv"), encoding: .utf8)
            .split(separator: "\n").filter { !$0.hasPrefix("#") }
            .map { line in
                let parts = line.split(separator: "\t").map(String.init)
                return Field(section: parts[0], name: parts[1], condition: parts[2])
            }
    }

    /// Names of the fields of each section, in order; numbers and names in them as in the table.
    private func sections(_ text: String) -> [String: [String]] {
        var sections: [String: [String]] = [:], section = ""
        for line in text.replacingOccurrences(of: "\r\n", with: "\n").split(separator: "\n") {
            if line.hasPrefix("# ") {
                section = String(line.dropFirst(2))
                sections[section] = []
            } else if let colon = line.firstIndex(of: ":"), !section.isEmpty {
                var name = String(line[..<colon])
                for family in ["cmdstat_", "errorstat_", "latency_percentiles_usec_"] where name.hasPrefix(family) {
                    name = family + "%s"
                }
                if name.hasPrefix("db") || name.hasPrefix("listener") {
                    name = name.trimmingCharacters(in: .decimalDigits) + "%d"
                }
                if sections[section]?.last != name { sections[section]?.append(name) }
            }
        }
        return sections
    }

    @Test func everyFieldIsInItsSectionAndInOrder() throws {
        let server = try ServerRun("--appendonly", "yes", "--enable-debug-command", "yes")
        #expect(server.becomesReady())
        let text = try #require(server.answer("SET k v\r\nNOSUCH\r\nINFO everything debug\r\n"))
        let ours = sections(text)
        let present: Set = ["-", "aof enabled", "linux/freebsd", "per listener", "per called cmd", "per error prefix",
                            "per cmd;latency-tracking on", "per non-empty db",
                            "valkey: only if extended-redis-compatibility"]
        let fields = try table().filter { present.contains($0.condition) }
        #expect(fields.count > 180)
        for section in Set(fields.map(\.section)) {
            let wanted = fields.filter { $0.section == section }.map(\.name)
            let found = try #require(ours[section], "no section \(section)").filter { wanted.contains($0) }
            #expect(found == wanted, "section \(section)")
        }
    }

    @Test func withoutALogItsFieldsAreLeftOut() throws {
        let server = try ServerRun("--appendonly", "no")
        #expect(server.becomesReady())
        let ours = sections(try #require(server.answer("INFO persistence\r\n")))
        let absent = try table().filter { $0.condition == "aof enabled" || $0.condition == "while loading" }
        #expect(!absent.isEmpty)
        for field in absent { #expect(ours["Persistence"]?.contains(field.name) == false, "\(field.name)") }
        #expect(ours.keys.sorted() == ["Persistence"])
    }

    /// What is asked for in whatever order and case comes in the order of INFO, each once; a name that is no section
    /// gives nothing.
    @Test func sectionsAreChosen() throws {
        let server = try ServerRun("--appendonly", "no", "--save", "")
        #expect(server.becomesReady())
        _ = server.answer("SET k v\r\nNOSUCH\r\n")
        let standard = ["Server", "Clients", "Memory", "Persistence", "Stats", "Replication", "CPU", "Modules",
                        "Errorstats", "Cluster", "Keyspace"]
        var all = standard
        all.insert("Commandstats", at: 8)
        all.insert("Latencystats", at: 10)
        var cases: [(arguments: String, sections: [String])] = [
            ("", standard), ("default", standard), ("all", all), ("everything", all), ("ALL", all),
            ("default commandstats", standard.prefix(8) + ["Commandstats"] + standard.suffix(3)),
            ("keyspace server clients SERVER", ["Server", "Clients", "Keyspace"]), ("module_list", ["Modules"]),
            ("nosuch", []), ("cpu nosuch", ["CPU"]), ("nosuch default", standard), ("\"\"", []),
        ]
        cases += all.map { ($0.lowercased(), [$0]) }
        for (arguments, wanted) in cases {
            let answer = try #require(server.answer("INFO \(arguments)\r\n"))
            let found = answer.components(separatedBy: "\r\n").filter { $0.hasPrefix("# ") }
                .map { String($0.dropFirst(2)) }
            #expect(found == wanted, "INFO \(arguments)")
            #expect(wanted.isEmpty ? answer == "$0\r\n\r\n" : answer.hasPrefix("$"), "INFO \(arguments)")
        }
    }

    @Test func listenersAreListedAsConfigured() throws {
        let server = try ServerRun("--bind", "127.0.0.1 -::1", "--unixsocket", "redis.sock")
        #expect(server.becomesReady())
        let text = try #require(server.answer("INFO server\r\n"))
        #expect(text.contains("\r\nlistener0:name=tcp,bind=127.0.0.1,bind=-::1,port=\(server.port)\r\n"))
        #expect(text.contains("\r\nlistener1:name=unix,bind="))
        #expect(text.contains("\r\nprocess_supervised:no\r\n"))
    }
}
