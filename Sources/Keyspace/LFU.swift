import Primitives

/// The LFU counter in an entry's 24 access bits: 16 bits of time in minutes, 8 bits of a logarithmic counter.
package struct LFU: Sendable {
    static let initialCounter: UInt32 = 5

    /// `lfu-log-factor`: how many more accesses each further step of the counter takes.
    package var logFactor = 10
    /// `lfu-decay-time`: minutes after which the counter loses one; 0: it never does.
    package var decayMinutes = 1

    package init() {}

    static func initial(_ clock: UInt32) -> UInt32 { (minutes(clock) << 8) | initialCounter }

    /// - Parameter clock: seconds.
    static func minutes(_ clock: UInt32) -> UInt32 { (clock / 60) & 0xffff }

    /// The counter after decay up to now, 0…255.
    package func counter(_ access: UInt32, _ clock: UInt32) -> UInt32 {
        let counter = access & 0xff
        if decayMinutes <= 0 { return counter }
        let elapsed = (Self.minutes(clock) &- (access >> 8)) & 0xffff
        let periods = elapsed / UInt32(clamping: decayMinutes)
        return periods > counter ? 0 : counter - periods
    }

    func touched(_ access: UInt32, _ clock: UInt32, _ random: inout RandomSource) -> UInt32 {
        var counter = counter(access, clock)
        if counter < 255 {
            let base = counter > Self.initialCounter ? Double(counter - Self.initialCounter) : 0
            let chance = 1 / (base * Double(logFactor) + 1)
            if Double(random.next() >> 11) / Double(1 << 53) < chance { counter += 1 }
        }
        return (Self.minutes(clock) << 8) | counter
    }
}
