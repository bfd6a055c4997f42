import Primitives

/// The LFU counter in an entry's 24 access bits: 16 bits of time in minutes, 8 bits of a logarithmic counter.
package enum LFU {
    static let initialCounter: UInt32 = 5
    /// Settings `lfu-log-factor` and `lfu-decay-time` come with the eviction policies; these are their defaults.
    static let logFactor = 10.0
    static let decayMinutes: UInt32 = 1

    static func initial(_ clock: UInt32) -> UInt32 { (minutes(clock) << 8) | initialCounter }

    /// - Parameter clock: seconds.
    static func minutes(_ clock: UInt32) -> UInt32 { (clock / 60) & 0xffff }

    /// The counter after decay up to now, 0…255.
    package static func counter(_ access: UInt32, _ clock: UInt32) -> UInt32 {
        let elapsed = (minutes(clock) &- (access >> 8)) & 0xffff
        let periods = elapsed / decayMinutes
        let counter = access & 0xff
        return periods > counter ? 0 : counter - periods
    }

    static func touched(_ access: UInt32, _ clock: UInt32, _ random: inout RandomSource) -> UInt32 {
        var counter = counter(access, clock)
        if counter < 255 {
            let base = counter > initialCounter ? Double(counter - initialCounter) : 0
            let chance = 1 / (base * logFactor + 1)
            if Double(random.next() >> 11) / Double(1 << 53) < chance { counter += 1 }
        }
        return (minutes(clock) << 8) | counter
    }
}
