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

    /// - Parameter base: what `read` gave at the start.
    /// - Returns: false if the kernel refused.
    @discardableResult
    package static func apply(_ configuration: Configuration, _ role: Role, base: Int) -> Bool {
        var value = configuration.oomScoreAdjValues[role.rawValue]
        switch configuration.oomScoreAdj {
        case .no: return true
        case .yes, .relative: value += base
        case .absolute: break
        }
        let descriptor = open(path, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var text = "\(min(max(value, -1000), 1000))"
        return text.withUTF8 { write(descriptor, $0.baseAddress, $0.count) == $0.count }
    }
}
