/// Digits of a double by Grisu2 (F. Loitsch, "Printing Floating-Point Numbers Quickly and Accurately with
/// Integers", 2010): few digits that read back as the same double, without big numbers.
///
/// Grisu2 is not always shortest nor nearest (about one double in a thousand gets a digit more, or a last digit
/// one off), so which powers of ten are cached and in which order they are tried shows in the output. Both are
/// chosen here so that scores come out as redis-server 7.2 and later print them: into replies, listpacks, AOF.
///
/// Invariants:
/// 1. What is printed reads back as the same double.
/// 2. At most 17 digits, the first of them not 0.
/// 3. Input is finite and greater than 0: `DoubleText` takes the other cases away.
enum ShortestDouble {
    /// `digits` ASCII digits, to be read as an integer times ten to the `exponent`.
    struct Decomposed {
        var count: Int
        var exponent: Int
    }

    /// A binary floating point number: `fraction` times two to the `exponent`.
    private struct Scaled {
        var fraction: UInt64
        var exponent: Int

        /// The top half of the product, rounded half up.
        @inline(__always)
        func times(_ other: Scaled) -> Scaled {
            let (high, low) = fraction.multipliedFullWidth(by: other.fraction)
            return Scaled(fraction: high &+ low &>> 63, exponent: exponent &+ other.exponent &+ 64)
        }
    }

    /// Writes the digits of `value` at `digits` (room for 18 bytes).
    static func decompose(_ value: Double, _ digits: UnsafeMutableRawPointer) -> Decomposed {
        let hiddenBit: UInt64 = 1 << 52
        var fraction = value.significandBitPattern
        var exponent = -1074
        if value.exponentBitPattern != 0 {
            fraction |= hiddenBit
            exponent = Int(value.exponentBitPattern) &- 1075
        }
        // The number and the middles between it and its neighbours, all with the exponent of the normalised upper
        // middle. The lower neighbour of a power of two is half as far away.
        let upperRaw = fraction &<< 1 | 1
        let shift = upperRaw.leadingZeroBitCount
        let normalised = exponent &- 1 &- shift
        let upper = Scaled(fraction: upperRaw &<< UInt64(shift), exponent: normalised)
        let lowerShift = fraction == hiddenBit ? 2 : 1
        let lowerRaw = fraction &<< UInt64(lowerShift) &- 1
        let lower = Scaled(fraction: lowerRaw &<< UInt64(exponent &- lowerShift &- normalised), exponent: normalised)
        let middleShift = fraction.leadingZeroBitCount
        let middle = Scaled(fraction: fraction &<< UInt64(middleShift), exponent: exponent &- middleShift)

        let (power, tenExponent) = cachedPower(upper.exponent)
        let scaled = middle.times(power)
        var high = upper.times(power)
        var low = lower.times(power)
        // One unit inwards on both sides makes up for the rounding of the products.
        low.fraction &+= 1
        high.fraction &-= 1
        return generate(scaled.fraction, high, low.fraction, -tenExponent, digits)
    }

    /// Cuts digits off `high` until what is left lies within the interval, then steps the last one towards `middle`.
    private static func generate(_ middle: UInt64, _ high: Scaled, _ low: UInt64, _ exponent: Int,
                                 _ digits: UnsafeMutableRawPointer) -> Decomposed {
        let bits = UInt64(-high.exponent)
        let mask: UInt64 = 1 &<< bits &- 1
        var distance = high.fraction &- middle
        var interval = high.fraction &- low
        var whole = high.fraction &>> bits
        var rest = high.fraction & mask
        var count = 0
        var kappa = 10
        var unit: UInt64 = 1_000_000_000
        while kappa > 0 {
            let digit = whole / unit
            if digit != 0 || count != 0 {
                digits.storeBytes(of: 48 &+ UInt8(truncatingIfNeeded: digit), toByteOffset: count, as: UInt8.self)
                count &+= 1
            }
            whole &-= digit &* unit
            kappa &-= 1
            let left = whole &<< bits &+ rest
            if left <= interval {
                settle(digits + (count - 1), interval, left, unit &<< bits, distance)
                return Decomposed(count: count, exponent: exponent &+ kappa)
            }
            unit /= 10
        }
        // At most 9 more: 17 digits tell any double from its neighbours.
        while true {
            rest = rest &* 10
            interval = interval &* 10
            distance = distance &* 10
            kappa &-= 1
            let digit = rest &>> bits
            if digit != 0 || count != 0 {
                digits.storeBytes(of: 48 &+ UInt8(truncatingIfNeeded: digit), toByteOffset: count, as: UInt8.self)
                count &+= 1
            }
            rest &= mask
            if rest < interval {
                settle(digits + (count - 1), interval, rest, mask &+ 1, distance)
                return Decomposed(count: count, exponent: exponent &+ kappa)
            }
        }
    }

    /// Lowers the last digit while that brings it nearer to the number and stays within the interval.
    @inline(__always)
    private static func settle(_ last: UnsafeMutableRawPointer, _ interval: UInt64, _ left: UInt64, _ unit: UInt64,
                               _ distance: UInt64) {
        var digit = last.load(as: UInt8.self)
        var left = left
        while left < distance, interval &- left >= unit,
              left &+ unit < distance || distance &- left > left &+ unit &- distance {
            digit &-= 1
            left &+= unit
        }
        last.storeBytes(of: digit, as: UInt8.self)
    }

    /// A power of ten that brings a number with the binary exponent `exponent` into -60 ... -32, and its exponent.
    private static func cachedPower(_ exponent: Int) -> (Scaled, Int) {
        let estimate = Int(Double(-(exponent &+ 87)) * 0.30102999566398114)
        var index = (estimate &+ 348) / 8
        while true {
            let tenExponent = index &* 8 &- 348
            // floor(log2(10^n)) - 63, exact for all n in the table.
            let binary = (tenExponent &* 1_741_647) >> 19 &- 63
            let sum = exponent &+ binary &+ 64
            if sum < -60 {
                index &+= 1
            } else if sum > -32 {
                index &-= 1
            } else {
                precondition(index >= 0 && index < powers.count)
                return (Scaled(fraction: powers[index], exponent: binary), tenExponent)
            }
        }
    }

    /// The 64 leading bits, rounded to nearest, of ten to the -348, -340, ... 340.
    private static let powers: [UInt64] = [
        0xfa8fd5a0081c0288, 0xbaaee17fa23ebf76, 0x8b16fb203055ac76, 0xcf42894a5dce35ea,
        0x9a6bb0aa55653b2d, 0xe61acf033d1a45df, 0xab70fe17c79ac6ca, 0xff77b1fcbebcdc4f,
        0xbe5691ef416bd60c, 0x8dd01fad907ffc3c, 0xd3515c2831559a83, 0x9d71ac8fada6c9b5,
        0xea9c227723ee8bcb, 0xaecc49914078536d, 0x823c12795db6ce57, 0xc21094364dfb5637,
        0x9096ea6f3848984f, 0xd77485cb25823ac7, 0xa086cfcd97bf97f4, 0xef340a98172aace5,
        0xb23867fb2a35b28e, 0x84c8d4dfd2c63f3b, 0xc5dd44271ad3cdba, 0x936b9fcebb25c996,
        0xdbac6c247d62a584, 0xa3ab66580d5fdaf6, 0xf3e2f893dec3f126, 0xb5b5ada8aaff80b8,
        0x87625f056c7c4a8b, 0xc9bcff6034c13053, 0x964e858c91ba2655, 0xdff9772470297ebd,
        0xa6dfbd9fb8e5b88f, 0xf8a95fcf88747d94, 0xb94470938fa89bcf, 0x8a08f0f8bf0f156b,
        0xcdb02555653131b6, 0x993fe2c6d07b7fac, 0xe45c10c42a2b3b06, 0xaa242499697392d3,
        0xfd87b5f28300ca0e, 0xbce5086492111aeb, 0x8cbccc096f5088cc, 0xd1b71758e219652c,
        0x9c40000000000000, 0xe8d4a51000000000, 0xad78ebc5ac620000, 0x813f3978f8940984,
        0xc097ce7bc90715b3, 0x8f7e32ce7bea5c70, 0xd5d238a4abe98068, 0x9f4f2726179a2245,
        0xed63a231d4c4fb27, 0xb0de65388cc8ada8, 0x83c7088e1aab65db, 0xc45d1df942711d9a,
        0x924d692ca61be758, 0xda01ee641a708dea, 0xa26da3999aef774a, 0xf209787bb47d6b85,
        0xb454e4a179dd1877, 0x865b86925b9bc5c2, 0xc83553c5c8965d3d, 0x952ab45cfa97a0b3,
        0xde469fbd99a05fe3, 0xa59bc234db398c25, 0xf6c69a72a3989f5c, 0xb7dcbf5354e9bece,
        0x88fcf317f22241e2, 0xcc20ce9bd35c78a5, 0x98165af37b2153df, 0xe2a0b5dc971f303a,
        0xa8d9d1535ce3b396, 0xfb9b7cd9a4a7443c, 0xbb764c4ca7a44410, 0x8bab8eefb6409c1a,
        0xd01fef10a657842c, 0x9b10a4e5e9913129, 0xe7109bfba19c0c9d, 0xac2820d9623bf429,
        0x80444b5e7aa7cf85, 0xbf21e44003acdd2d, 0x8e679c2f5e44ff8f, 0xd433179d9c8cb841,
        0x9e19db92b4e31ba9, 0xeb96bf6ebadf77d9, 0xaf87023b9bf0ee6b,
    ]
}
