import CSimulation
import Primitives

/// The time of the thread that simulates: it moves when it is told to.
package struct SimulatedClock {
    /// 2023-11-14 22:13:20 UTC.
    private static let epoch: Int64 = 1_700_000_000_000_000_000
    /// Nanoseconds since the simulation began.
    package private(set) var elapsed: Int64 = 0

    /// Stops the thread's clocks at the simulation's first moment.
    package init() { show() }

    package mutating func advance(milliseconds: Int) {
        elapsed += Int64(milliseconds) * 1_000_000
        show()
    }

    /// The monotonic clock began a while ago, as on a machine that runs.
    private func show() { sr_simulate_clock(1_000_000_000_000 + elapsed, Self.epoch + elapsed) }

    package static func release() { sr_release_clock() }
}
