/// xoshiro256** (Blackman, Vigna): small, fast, the same sequence for the same seed. For sampling (eviction,
/// RANDOMKEY, SPOP, skiplist levels), never for secrets.
@usableFromInline
package struct RandomSource: RandomNumberGenerator, Sendable {
    @usableFromInline var s0, s1, s2, s3: UInt64

    /// Any seed will do: SplitMix64 spreads it, so that the state is never all zeros.
    package init(seed: UInt64) {
        var state = seed
        func spread() -> UInt64 {
            state &+= 0x9e37_79b9_7f4a_7c15
            var z = state
            z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
            z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
            return z ^ z >> 31
        }
        s0 = spread()
        s1 = spread()
        s2 = spread()
        s3 = spread()
    }

    @inlinable
    package mutating func next() -> UInt64 {
        let product = s1 &* 5
        let result = (product &<< 7 | product &>> 57) &* 9
        let shifted = s1 &<< 17
        s2 ^= s0
        s3 ^= s1
        s1 ^= s2
        s0 ^= s3
        s2 ^= shifted
        s3 = s3 &<< 45 | s3 &>> 19
        return result
    }

    /// 0 to `bound - 1`, each as likely as the others (Lemire's multiplication with rejection). `bound` above 0.
    @inlinable
    package mutating func next(below bound: UInt64) -> UInt64 {
        precondition(bound > 0)
        var (high, low) = next().multipliedFullWidth(by: bound)
        if low < bound {
            let threshold = (0 &- bound) % bound
            while low < threshold { (high, low) = next().multipliedFullWidth(by: bound) }
        }
        return high
    }

    /// 0 to `bound - 1`, each as likely as the others. `bound` above 0.
    @inlinable
    package mutating func next(below bound: Int) -> Int {
        Int(truncatingIfNeeded: next(below: UInt64(bound)))
    }

    /// 0 up to, not including, 1: 53 random bits.
    @inlinable
    package mutating func nextUnit() -> Double {
        Double(next() &>> 11) * 0x1p-53
    }
}
