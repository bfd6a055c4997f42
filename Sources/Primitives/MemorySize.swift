/// Amounts of memory as redis.conf writes them: "100mb", "1g", "4096".
package enum MemorySize {
    /// Bytes: digits and then nothing or `b` (1), `k` (1000), `kb` (1024), `m`, `mb`, `g`, `gb`, in any case. No digits
    /// count as 0, as in redis-server. Nil for anything else, and for what UInt64 can't hold (which redis-server
    /// silently wraps around).
    package static func parse(_ bytes: Bytes) -> UInt64? {
        var value: UInt64 = 0
        var digits = 0
        while digits < bytes.count, ASCII.isDigit(bytes[digits]) {
            let (tens, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = tens.addingReportingOverflow(UInt64(bytes[digits] &- 48))
            if overflow || carry { return nil }
            value = sum
            digits += 1
        }
        guard let unit = unit(bytes.from(digits)) else { return nil }
        let (product, overflow) = value.multipliedReportingOverflow(by: unit)
        return overflow ? nil : product
    }

    private static func unit(_ suffix: Bytes) -> UInt64? {
        if suffix.count == 0 || suffix.equalsIgnoringCase("b") { return 1 }
        if suffix.equalsIgnoringCase("k") { return 1000 }
        if suffix.equalsIgnoringCase("kb") { return 1024 }
        if suffix.equalsIgnoringCase("m") { return 1_000_000 }
        if suffix.equalsIgnoringCase("mb") { return 1 << 20 }
        if suffix.equalsIgnoringCase("g") { return 1_000_000_000 }
        if suffix.equalsIgnoringCase("gb") { return 1 << 30 }
        return nil
    }
}
