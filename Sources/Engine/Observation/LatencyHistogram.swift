import Histogram

// How long the calls of one command took.
//
// Calls are counted in raw memory: log-linear buckets, 128 to each power of two, from 1 ns to 1 s, 24 KB; a call costs
// one increment. They are the buckets that HdrHistogram makes for two significant digits; whoever wants to know
// something gets such a histogram, and asks it; it is made anew when calls were counted since the last time. (Why they
// are not counted there: docs/ARCHITECTURE.md.)

package struct LatencyHistogram: ~Copyable {
    private static let linear = 256
    private static let perPower = 128
    private static let bucketCount = 256 + 22 * 128
    /// Longer calls count as this long.
    private static let longest: UInt64 = 1_000_000_000

    private let counts: UnsafeMutablePointer<UInt64>
    package private(set) var total: UInt64 = 0
    /// What was last read, and still holds if its total is this one's.
    private var latest: LatencyDistribution?

    package init() {
        counts = .allocate(capacity: Self.bucketCount)
        counts.initialize(repeating: 0, count: Self.bucketCount)
    }

    deinit { counts.deallocate() }

    package mutating func record(_ nanoseconds: UInt64) {
        counts[Self.index(min(max(nanoseconds, 1), Self.longest))] += 1
        total += 1
    }

    private static func index(_ value: UInt64) -> Int {
        if value < 256 { return Int(value) }
        let power = 63 - value.leadingZeroBitCount
        let part = Int(value >> UInt64(power - 7))
        return linear + (power - 8) * perPower + part - perPower
    }

    /// The largest value that counts in the same bucket.
    private static func upperBound(_ index: Int) -> UInt64 {
        if index < linear { return UInt64(index) }
        let power = (index - linear) / perPower + 8
        let part = UInt64((index - linear) % perPower + perPower)
        return ((part + 1) << UInt64(power - 7)) - 1
    }

    /// What was counted so far.
    package mutating func read() -> LatencyDistribution {
        if let latest, latest.total == total { return latest }
        var histogram = Histogram<UInt64>(highestTrackableValue: Self.longest, numberOfSignificantValueDigits: .two)
        for index in 0..<Self.bucketCount where counts[index] > 0 {
            histogram.record(Self.upperBound(index), count: counts[index])
        }
        let read = LatencyDistribution(histogram)
        latest = read
        return read
    }
}

/// A histogram's answers.
package final class LatencyDistribution {
    package let histogram: Histogram<UInt64>
    package let total: UInt64
    private var rows: [Row]?

    package struct Row {
        package let microseconds: UInt64
        package let count: UInt64
    }

    init(_ histogram: Histogram<UInt64>) {
        self.histogram = histogram
        total = histogram.totalCount
    }

    /// The value that `percent` of the calls did not exceed, in nanoseconds; 0: there were none.
    package func percentile(_ percent: Double) -> UInt64 { histogram.valueAtPercentile(percent) }

    /// How many calls took at most so long, for bounds that double from 1 µs on; only where the number grows.
    package func cumulative() -> [Row] {
        if let rows { return rows }
        var made: [Row] = []
        var level: UInt64 = 1024, count: UInt64 = 0
        var bound = histogram.highestEquivalentForValue(level)
        for recorded in histogram.recordedValues() {
            while recorded.value > bound {
                if count > made.last?.count ?? 0 { made.append(Row(microseconds: bound / 1000, count: count)) }
                level *= 2
                bound = histogram.highestEquivalentForValue(level)
            }
            count += UInt64(recorded.count)
        }
        if count > made.last?.count ?? 0 { made.append(Row(microseconds: bound / 1000, count: count)) }
        rows = made
        return made
    }
}
