import CShims
import Primitives
#if canImport(Glibc)
import Glibc
#endif

/// How the machine is set up, as far as it matters to a database that forks and asks for the time at every command:
/// `--check-system`, warnings at the start.
enum SystemCheck {
    enum Result: Equatable {
        case fine
        case warning(String)
        /// The machine does not say.
        case skipped
    }

    struct Finding {
        let name: String
        let result: Result
    }

    /// What the kernel says of itself. Tests give their own.
    struct Facts {
        var overcommit: Int?
        var hugePages: String?
        var clockSource: String?
        var clockSources: String?
        /// Of the time spent on asking for the time, the share spent in the kernel, in percent.
        var clockKernelShare: Int?
        var connectionBacklog: Int?
        var openFiles: Int?
        var openFilesOfMachine: Int?

        static func read(measuresClock: Bool) -> Facts {
            let clock = "/sys/devices/system/clocksource/clocksource0/"
            var limit = rlimit()
            let hasLimit = getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0
            return Facts(overcommit: number("/proc/sys/vm/overcommit_memory"),
                         hugePages: text("/sys/kernel/mm/transparent_hugepage/enabled"),
                         clockSource: text(clock + "current_clocksource"),
                         clockSources: text(clock + "available_clocksource"),
                         clockKernelShare: measuresClock ? measureClock() : nil,
                         connectionBacklog: number("/proc/sys/net/core/somaxconn"),
                         openFiles: hasLimit ? Int(clamping: limit.rlim_max) : nil,
                         openFilesOfMachine: number("/proc/sys/fs/file-max"))
        }

        private static func text(_ path: String) -> String? {
            (try? ConfigurationReader.contents(path)).map { bytes in
                String(decoding: bytes.filter { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
            }
        }

        private static func number(_ path: String) -> Int? { text(path).flatMap { Int($0) } }

        /// A good clock source is read without the kernel.
        private static func measureClock() -> Int? {
            var before = (user: Int64(0), system: Int64(0)), after = before
            let start = MonotonicNanoseconds.now()
            sr_processor_time(0, &before.user, &before.system)
            while MonotonicNanoseconds.now().nanoseconds(since: start) < 50_000_000 {}
            sr_processor_time(0, &after.user, &after.system)
            let system = after.system - before.system, all = system + after.user - before.user
            return all > 0 ? Int(system * 100 / all) : nil
        }
    }

    static func run(_ facts: Facts, backlog: Int, clients: Int) -> [Finding] {
        [
            Finding(name: "slow-clocksource", result: slowClock(facts)),
            Finding(name: "xen-clocksource", result: xenClock(facts)),
            Finding(name: "overcommit", result: overcommit(facts)),
            Finding(name: "THP", result: hugePages(facts)),
            Finding(name: "tcp-backlog", result: connectionBacklog(facts, backlog)),
            Finding(name: "open-files", result: openFiles(facts, clients)),
        ]
    }

    /// Prints the findings for the settings of a server that is not told otherwise; the exit status.
    static func report() -> Int32 {
        let usual = Configuration()
        let findings = run(.read(measuresClock: true), backlog: usual.tcpBacklog, clients: usual.maxclients)
        for finding in findings { FileHandleText.write(line(finding), to: STDOUT_FILENO) }
        return status(findings)
    }

    static func line(_ finding: Finding) -> String {
        switch finding.result {
        case .fine: "[\(finding.name)]...OK\n"
        case .skipped: "[\(finding.name)]...skipped\n"
        case .warning(let text): "[\(finding.name)]...WARNING:\n\(text)\n"
        }
    }

    static func status(_ findings: [Finding]) -> Int32 {
        findings.contains { if case .warning = $0.result { true } else { false } } ? 1 : 0
    }

    /// The same at the start, but what takes time to find out, and what the server sees to itself.
    static func warn(_ log: ServerLog, backlog: Int, turnsHugePagesOff: Bool) {
        let facts = Facts.read(measuresClock: false)
        var results = [overcommit(facts), xenClock(facts), connectionBacklog(facts, backlog)]
        if !turnsHugePagesOff { results.append(hugePages(facts)) }
        for case .warning(let text) in results {
            log.write(.warning, text.hasPrefix("WARNING") ? text : "WARNING " + text)
        }
    }

    // MARK: One by one

    private static func slowClock(_ facts: Facts) -> Result {
        guard let share = facts.clockKernelShare else { return .skipped }
        if share <= 10 { return .fine }
        return .warning("Slow system clocksource detected: asking for the time takes the way through the kernel. "
            + "Current clocksource: \(facts.clockSource ?? "unknown"). Available clocksources: "
            + "\(facts.clockSources ?? "unknown"). For example: run the command 'echo tsc > "
            + "/sys/devices/system/clocksource/clocksource0/current_clocksource' as root; the kernel's command line "
            + "parameter 'clocksource=' makes it last.")
    }

    private static func xenClock(_ facts: Facts) -> Result {
        guard let source = facts.clockSource else { return .skipped }
        if source != "xen" { return .fine }
        return .warning("Your system is configured to use the 'xen' clocksource which might lead to degraded "
            + "performance. Run 'swift-redis-server --check-system' and look at [slow-clocksource].")
    }

    private static func overcommit(_ facts: Facts) -> Result {
        guard let setting = facts.overcommit else { return .skipped }
        if setting != 0 { return .fine }
        return .warning("Memory overcommit must be enabled! Without it, a background save or replication may fail "
            + "under low memory condition. To fix this issue add 'vm.overcommit_memory = 1' to /etc/sysctl.conf and "
            + "then reboot or run the command 'sysctl vm.overcommit_memory=1' for this to take effect.")
    }

    private static func hugePages(_ facts: Facts) -> Result {
        guard let setting = facts.hugePages else { return .skipped }
        if !setting.contains("[always]") { return .fine }
        return .warning("Transparent huge pages are always on: copies of memory by forked children are large and slow. "
            + "The server turns them off for itself ('disable-thp'); the command 'echo madvise > "
            + "/sys/kernel/mm/transparent_hugepage/enabled' as root does so for the machine.")
    }

    private static func connectionBacklog(_ facts: Facts, _ backlog: Int) -> Result {
        guard let most = facts.connectionBacklog else { return .skipped }
        if most >= backlog { return .fine }
        return .warning("WARNING: The TCP backlog setting of \(backlog) cannot be enforced because "
            + "/proc/sys/net/core/somaxconn is set to the lower value of \(most).")
    }

    private static func openFiles(_ facts: Facts, _ clients: Int) -> Result {
        guard let own = facts.openFiles else { return .skipped }
        let most = min(own, facts.openFilesOfMachine ?? own), needed = clients + ResourceLimits.reserved
        if most >= needed { return .fine }
        return .warning("No more than \(most) files can be open, and \(clients) clients need \(needed): 'ulimit -Hn' "
            + "or LimitNOFILE= of the unit says how many a process may open, /proc/sys/fs/file-max how many all may.")
    }
}
