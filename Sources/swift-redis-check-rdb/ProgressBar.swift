import Primitives
#if canImport(Glibc)
import Glibc
#endif

/// How far reading is, on standard error if that is a terminal: `dump.rdb [######····] 61 %, 210 MB/s, 3 s left`.
final class ProgressBar {
    private static let width = 30
    private static let intervalNanoseconds: Int64 = 200_000_000
    private let name: String
    private let total: Int
    private let isShown: Bool
    private let began = MonotonicNanoseconds.now()
    private var next = 0
    private var last: MonotonicNanoseconds
    private var hasLine = false

    init(_ path: String, _ total: Int) {
        name = path
        self.total = total
        isShown = total > 0 && isatty(STDERR_FILENO) != 0
        // Files that are not read at once have it from the beginning.
        last = total > 1 << 24 ? MonotonicNanoseconds(0) : began
    }

    func tell(_ bytes: Int) {
        guard isShown, bytes >= next else { return }
        next = bytes + 1 << 18
        let now = MonotonicNanoseconds.now()
        guard now.nanoseconds(since: last) >= Self.intervalNanoseconds else { return }
        last = now
        // What a compressed file holds is more than its size.
        let share = min(Double(bytes) / Double(total), 1)
        let seconds = Double(now.nanoseconds(since: began)) / 1e9
        let filled = Int(share * Double(Self.width))
        let bar = String(repeating: "#", count: filled) + String(repeating: "·", count: Self.width - filled)
        let left = share > 0 ? Int(seconds / share - seconds) : 0
        show("\r\(name) [\(bar)] \(Int(share * 100)) %, \(Int(Double(bytes) / seconds / 1_048_576)) MB/s, "
             + "\(left) s left\u{1b}[K")
        hasLine = true
    }

    func clear() {
        guard hasLine else { return }
        hasLine = false
        show("\r\u{1b}[K")
    }

    private func show(_ text: String) {
        var text = text
        text.withUTF8 { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
}
