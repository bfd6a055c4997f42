import Primitives
#if canImport(Glibc)
import Glibc
#endif

/// What the kernel's out-of-memory killer thinks of the process: `oom-score-adj`.
package enum OOMScore {
    /// The role of a process; raw values index `oom-score-adj-values`.
    package enum Role: Int { case primary, replica, child }

    private static let path = "/proc/self/oom_score_adj"

    /// What the process was started with.
    static func read() -> Int {
        guard let text = try? ConfigurationReader.contents(path) else { return 0 }
        return Int(String(decoding: text, as: UTF8.self).filter { !$0.isWhitespace }) ?? 0
    }

    /// What the settings ask for; nil: nothing.
    /// - Parameter base: what `read` gave at the start.
    package static func value(_ configuration: Configuration, _ role: Role, base: Int) -> Int? {
        let value = configuration.oomScoreAdjValues[role.rawValue]
        let sum = switch configuration.oomScoreAdj {
        case .no: nil as Int?
        case .yes, .relative: value + base
        case .absolute: value
        }
        return sum.map { min(max($0, -1000), 1000) }
    }

    /// - Returns: false if the kernel refused.
    @discardableResult
    package static func apply(_ configuration: Configuration, _ role: Role, base: Int) -> Bool {
        value(configuration, role, base: base).map(write) ?? true
    }

    /// Raw memory only, for a forked child.
    static func write(_ value: Int) -> Bool {
        let descriptor = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        return withUnsafeTemporaryAllocation(byteCount: 32, alignment: 8) { buffer -> Bool in
            guard let base = buffer.baseAddress else { return false }
            let count = Decimal.write(Int64(value), to: base)
            return Glibc.write(descriptor, base, count) == count
        }
    }
}
