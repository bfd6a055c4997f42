import Histogram

// How long the calls of one command took, in an HDR histogram of 1 ns to 1 s, two digits of each value kept: 128
// buckets to a power of two, 24 KB. A call costs one increment.

package struct LatencyHistogram: ~Copyable {
    /// Longer calls count as this long.
    private static let longest: UInt64 = 1_000_000_000

    private var histogram = Histogram<UInt64>(highestTrackableValue: longest, numberOfSignificantValueDigits: .two)

    package init() {}

    package var total: UInt64 { histogram.totalCount }

    @inline(__always)
    package mutating func record(_ nanoseconds: UInt64) {
        histogram.record(min(max(nanoseconds, 1), Self.longest))
    }

    /// The value that `percent` of the calls did not exceed, in nanoseconds; 0: there were none.
    package func percentile(_ percent: Double) -> UInt64 { histogram.valueAtPercentile(percent) }

    /// How many calls took at most so long, for bounds that double from 1 µs on; only where the number grows.
    package func cumulative() -> [(microseconds: UInt64, count: UInt64)] {
        var rows: [(microseconds: UInt64, count: UInt64)] = []
        var level: UInt64 = 1024
        while (rows.last?.count ?? 0) < total {
            let bound = histogram.highestEquivalentForValue(min(level, Self.longest))
            let count = histogram.count(within: 0...bound)
            if count > rows.last?.count ?? 0 { rows.append((bound / 1000, count)) }
            if level > Self.longest { break }
            level *= 2
        }
        return rows
    }
}
