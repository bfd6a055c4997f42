@testable import Server
import Testing

/// `--check-system`.
struct SystemCheckTests {
    private func results(_ facts: SystemCheck.Facts, backlog: Int = 511, clients: Int = 10_000) -> [String: String] {
        let findings = SystemCheck.run(facts, backlog: backlog, clients: clients)
        return Dictionary(uniqueKeysWithValues: findings.map { finding in
            switch finding.result {
            case .fine: (finding.name, "OK")
            case .skipped: (finding.name, "skipped")
            case .warning(let text): (finding.name, text)
            }
        })
    }

    private let good = SystemCheck.Facts(
        overcommit: 1, hugePages: "always [madvise] never", clockSource: "tsc", clockSources: "tsc hpet",
        clockKernelShare: 2, connectionBacklog: 4096, openFiles: 1 << 20, openFilesOfMachine: 1 << 22)

    @Test func aGoodMachineIsFine() {
        #expect(results(good).values.allSatisfy { $0 == "OK" })
        #expect(SystemCheck.status(SystemCheck.run(good, backlog: 511, clients: 10_000)) == 0)
    }

    @Test func whatIsWrongIsNamed() {
        var bad = good
        bad.overcommit = 0
        bad.hugePages = "[always] madvise never"
        bad.clockSource = "xen"
        bad.clockKernelShare = 80
        bad.connectionBacklog = 128
        bad.openFiles = 1024
        let results = results(bad)
        #expect(results["overcommit"]?.hasPrefix("Memory overcommit must be enabled!") == true)
        #expect(results["THP"]?.contains("transparent_hugepage/enabled") == true)
        #expect(results["xen-clocksource"]?.contains("'xen'") == true)
        let clock = "Current clocksource: xen. Available clocksources: tsc hpet"
        #expect(results["slow-clocksource"]?.contains(clock) == true)
        #expect(results["tcp-backlog"]?.contains("setting of 511 cannot be enforced") == true)
        #expect(results["open-files"]?.contains("10000 clients need 10032") == true)
        #expect(SystemCheck.status(SystemCheck.run(bad, backlog: 511, clients: 10_000)) == 1)
        bad = good
        bad.openFilesOfMachine = 1000
        #expect(self.results(bad)["open-files"] != "OK")
    }

    @Test func whatTheMachineDoesNotSayIsSkipped() {
        #expect(results(SystemCheck.Facts()).values.allSatisfy { $0 == "skipped" })
        #expect(SystemCheck.status(SystemCheck.run(SystemCheck.Facts(), backlog: 511, clients: 10_000)) == 0)
    }

    @Test func theProgramPrintsItsFindings() throws {
        let (status, out, _) = try ServerRun.run("--check-system")
        let lines = out.split(separator: "\n").filter { $0.hasPrefix("[") }
        #expect(lines.map { String($0.prefix { $0 != "." }) } == [
            "[slow-clocksource]", "[xen-clocksource]", "[overcommit]", "[THP]", "[tcp-backlog]", "[open-files]",
        ])
        #expect(lines.allSatisfy { ["OK", "skipped", "WARNING:"].contains($0.drop { $0 != "]" }.dropFirst(4)) })
        #expect(status == (out.contains("]...WARNING") ? 1 : 0))
    }
}
