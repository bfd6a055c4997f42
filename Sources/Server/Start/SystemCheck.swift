#if canImport(Glibc)
import Glibc
#endif

/// How the machine is set up, as far as it matters to a database that forks: `--check-system`, warnings at the start.
enum SystemCheck {
    struct Finding {
        let name: String
        /// nil: all is well, or can't be known.
        let warning: String?
    }

    static func run(backlog: Int) -> [Finding] { [overcommit(), hugePages(), connectionBacklog(backlog)] }

    /// Prints the findings; the exit status.
    static func report() -> Int32 {
        let findings = run(backlog: 511)
        for finding in findings {
            let result = finding.warning.map { "WARNING:\n\($0)" } ?? "OK"
            FileHandleText.write("[\(finding.name)]...\(result)\n", to: STDOUT_FILENO)
        }
        return findings.contains { $0.warning != nil } ? 1 : 0
    }

    private static func overcommit() -> Finding {
        let isEnabled = number("/proc/sys/vm/overcommit_memory") != 0
        return Finding(name: "overcommit", warning: isEnabled ? nil :
            "WARNING Memory overcommit must be enabled! Without it, a background save or replication may fail under "
            + "low memory condition. To fix this issue add 'vm.overcommit_memory = 1' to /etc/sysctl.conf and then "
            + "reboot or run the command 'sysctl vm.overcommit_memory=1' for this to take effect.")
    }

    private static func hugePages() -> Finding {
        let setting = text("/sys/kernel/mm/transparent_hugepage/enabled") ?? ""
        return Finding(name: "THP", warning: !setting.contains("[always]") ? nil :
            "Transparent huge pages are always on: copies of memory by forked children are large and slow. The server "
            + "turns them off for itself ('disable-thp'); 'madvise' in "
            + "/sys/kernel/mm/transparent_hugepage/enabled does so for the machine.")
    }

    private static func connectionBacklog(_ backlog: Int) -> Finding {
        let most = number("/proc/sys/net/core/somaxconn") ?? .max
        return Finding(name: "tcp-backlog", warning: most >= backlog ? nil :
            "WARNING: The TCP backlog setting of \(backlog) cannot be enforced because /proc/sys/net/core/somaxconn is "
            + "set to the lower value of \(most).")
    }

    private static func text(_ path: String) -> String? {
        (try? ConfigurationReader.contents(path)).map { String(decoding: $0, as: UTF8.self) }
    }

    private static func number(_ path: String) -> Int? {
        text(path).flatMap { Int($0.filter { !$0.isWhitespace }) }
    }
}
