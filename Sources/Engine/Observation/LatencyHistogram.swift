// How long the calls of one command took: log-linear buckets, 128 to each power of two, from 1 ns to 1 s. A value is
// known to 1/128 of itself, whatever its size; a call costs one increment.

package struct LatencyHistogram: ~Copyable {
    private static let linear = 256
    private static let perPower = 128
    private static let bucketCount = 256 + 22 * 128
    /// Longer calls count as this long.
    private static let maximum: UInt64 = 1_000_000_000

    private let counts: UnsafeMutablePointer<UInt64>
    package private(set) var total: UInt64 = 0

    package init() {
        counts = .allocate(capacity: Self.bucketCount)
        counts.initialize(repeating: 0, count: Self.bucketCount)
    }

    deinit { counts.deallocate() }

    package mutating func record(_ nanoseconds: UInt64) {
        counts[Self.index(min(max(nanoseconds, 1), Self.maximum))] += 1
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

    /// The value that `percent` of the calls did not exceed, in nanoseconds.
    package func percentile(_ percent: Double) -> UInt64 {
        let wanted = max(1, UInt64((min(percent, 100) / 100 * Double(total)).rounded(.up)))
        var seen: UInt64 = 0
        for index in 0..<Self.bucketCount {
            seen += counts[index]
            if seen >= wanted { return Self.upperBound(index) }
        }
        return 0
    }

    /// How many calls took at most so long, for bounds that double from 1 µs on; only where the number grows.
    package func cumulative() -> [(microseconds: UInt64, count: UInt64)] {
        var rows: [(microseconds: UInt64, count: UInt64)] = []
        var seen: UInt64 = 0, next = 0
        var level: UInt64 = 1024
        while seen < total && next < Self.bucketCount {
            let last = min(Self.index(min(level, Self.maximum)), Self.bucketCount - 1)
            var here: UInt64 = 0
            while next <= last {
                here += counts[next]
                next += 1
            }
            seen += here
            if here > 0 { rows.append((Self.upperBound(last) / 1000, seen)) }
            if level > Self.maximum { break }
            level *= 2
        }
        return rows
    }
}
