/// XXH3, 64 bits, no seed, the default secret: what DIGEST answers and IFDEQ compares. Fast, not cryptographic:
/// whoever chooses the bytes can make two strings of the same digest.
package enum XXH3 {
    private typealias Words = (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64)

    private static var prime32: (UInt64, UInt64, UInt64) { (0x9e37_79b1, 0x85eb_ca77, 0xc2b2_ae3d) }
    private static var prime1: UInt64 { 0x9e37_79b1_85eb_ca87 }
    private static var prime2: UInt64 { 0xc2b2_ae3d_27d4_eb4f }
    private static var prime3: UInt64 { 0x1656_67b1_9e37_79f9 }
    private static var prime4: UInt64 { 0x85eb_ca77_c2b2_ae63 }
    private static var prime5: UInt64 { 0x27d4_eb2f_1656_67c5 }
    private static var mix1: UInt64 { 0x1656_6791_9e37_79f9 }
    private static var mix2: UInt64 { 0x9fb2_1c65_1e98_df25 }

    /// The 192 bytes of the default secret, as words of the machine.
    private static let secret: (Words, Words, Words) = (
        (0xbe4b_a423_396c_feb8, 0x1cad_21f7_2c81_017c, 0xdb97_9083_e96d_d4de, 0x1f67_b3b7_a4a4_4072,
         0x78e5_c0cc_4ee6_79cb, 0x2172_ffcc_7dd0_5a82, 0x8e24_43f7_7446_08b8, 0x4c26_3a81_e690_35e0),
        (0xcb00_c391_bb52_283c, 0xa32e_531b_8b65_d088, 0x4ef9_0da2_9748_6471, 0xd8ac_dea9_46ef_1938,
         0x3f34_9ce3_3f76_faa8, 0x1d4f_0bc7_c7bb_dcf9, 0x3159_b4cd_4be0_518a, 0x6473_78d9_c97e_9fc8),
        (0xc3eb_d334_83ac_c5ea, 0xeb63_13fa_ffa0_81c5, 0x49da_f0b7_51dd_0d17, 0x9e68_d429_2655_16d3,
         0xfca1_477d_58be_162b, 0xce31_d07a_d1b8_f88f, 0x2804_1695_8f3a_cb45, 0x7e40_4bbb_cafb_d7af)
    )
    private static var secretCount: Int { 192 }

    /// 16 hexadecimal digits, a-f small.
    package static func writeHex(_ digest: UInt64, to target: UnsafeMutableRawPointer) {
        for index in 0..<16 {
            let nibble = UInt8(truncatingIfNeeded: digest >> UInt64(60 - index * 4)) & 15
            target.storeBytes(of: ASCII.hexDigit(nibble), toByteOffset: index, as: UInt8.self)
        }
    }

    package static func hash(_ bytes: Bytes) -> UInt64 {
        guard let input = bytes.baseAddress, bytes.count > 0 else { return avalanche64(word(56) ^ word(64)) }
        return withUnsafeBytes(of: secret) { secret in
            let secret = secret.baseAddress.unsafelyUnwrapped
            switch bytes.count {
            case ...16: return short(input, bytes.count, secret)
            case ...128: return middle(input, bytes.count, secret)
            case ...240: return longer(input, bytes.count, secret)
            default: return long(input, bytes.count, secret)
            }
        }
    }

    private static func word(_ offset: Int) -> UInt64 {
        withUnsafeBytes(of: secret) { $0.loadUnaligned(fromByteOffset: offset, as: UInt64.self) }
    }

    // MARK: By length

    private static func short(_ input: UnsafeRawPointer, _ count: Int, _ secret: UnsafeRawPointer) -> UInt64 {
        if count > 8 {
            let low = read(input, 0) ^ (read(secret, 24) ^ read(secret, 32))
            let high = read(input, count - 8) ^ (read(secret, 40) ^ read(secret, 48))
            return avalanche(UInt64(count) &+ low.byteSwapped &+ high &+ folded(low, high))
        }
        if count >= 4 {
            let first = UInt64(read32(input, 0)), last = UInt64(read32(input, count - 4))
            let keyed = (last &+ first << 32) ^ (read(secret, 8) ^ read(secret, 16))
            var hash = keyed ^ rotated(keyed, 49) ^ rotated(keyed, 24)
            hash = hash &* mix2
            hash ^= hash >> 35 &+ UInt64(count)
            hash = hash &* mix2
            return hash ^ hash >> 28
        }
        let first = UInt64(byte(input, 0)), middle = UInt64(byte(input, count >> 1))
        let last = UInt64(byte(input, count - 1))
        let combined = first << 16 | middle << 24 | last | UInt64(count) << 8
        return avalanche64(combined ^ UInt64(read32(secret, 0) ^ read32(secret, 4)))
    }

    private static func middle(_ input: UnsafeRawPointer, _ count: Int, _ secret: UnsafeRawPointer) -> UInt64 {
        var sum = UInt64(count) &* prime1
        var step = (count - 1) / 32
        while step >= 0 {
            sum = sum &+ mixed(input + step * 16, secret + step * 32)
            sum = sum &+ mixed(input + count - (step + 1) * 16, secret + step * 32 + 16)
            step -= 1
        }
        return avalanche(sum)
    }

    private static func longer(_ input: UnsafeRawPointer, _ count: Int, _ secret: UnsafeRawPointer) -> UInt64 {
        var sum = UInt64(count) &* prime1
        for round in 0..<8 { sum = sum &+ mixed(input + round * 16, secret + round * 16) }
        sum = avalanche(sum)
        for round in 8..<(count / 16) { sum = sum &+ mixed(input + round * 16, secret + (round - 8) * 16 + 3) }
        return avalanche(sum &+ mixed(input + count - 16, secret + 136 - 17))
    }

    /// Stripes of 64 bytes; after each block of 16 the lanes are scrambled; the last stripe ends with the input.
    private static func long(_ input: UnsafeRawPointer, _ count: Int, _ secret: UnsafeRawPointer) -> UInt64 {
        var lanes: Words = (prime32.2, prime1, prime2, prime3, prime4, prime32.1, prime5, prime32.0)
        return withUnsafeMutableBytes(of: &lanes) { lanes in
            let lanes = lanes.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: UInt64.self)
            let stripes = (count - 1) / 64
            for stripe in 0..<stripes {
                accumulate(lanes, input + stripe * 64, secret + stripe % 16 * 8)
                if stripe % 16 == 15 && (stripe + 1) * 64 < count { scramble(lanes, secret + secretCount - 64) }
            }
            accumulate(lanes, input + count - 64, secret + secretCount - 64 - 7)
            var sum = UInt64(count) &* prime1
            for pair in 0..<4 {
                sum = sum &+ folded(lanes[pair * 2] ^ read(secret, 11 + pair * 16),
                                    lanes[pair * 2 + 1] ^ read(secret, 11 + pair * 16 + 8))
            }
            return avalanche(sum)
        }
    }

    @inline(__always)
    private static func accumulate(_ lanes: UnsafeMutablePointer<UInt64>, _ input: UnsafeRawPointer,
                                   _ secret: UnsafeRawPointer) {
        for lane in 0..<8 {
            let value = read(input, lane * 8), keyed = value ^ read(secret, lane * 8)
            lanes[lane ^ 1] = lanes[lane ^ 1] &+ value
            lanes[lane] = lanes[lane] &+ (keyed & 0xffff_ffff) &* (keyed >> 32)
        }
    }

    private static func scramble(_ lanes: UnsafeMutablePointer<UInt64>, _ secret: UnsafeRawPointer) {
        for lane in 0..<8 {
            lanes[lane] = (lanes[lane] ^ lanes[lane] >> 47 ^ read(secret, lane * 8)) &* prime32.0
        }
    }

    // MARK: Mixing

    @inline(__always)
    private static func mixed(_ input: UnsafeRawPointer, _ secret: UnsafeRawPointer) -> UInt64 {
        folded(read(input, 0) ^ read(secret, 0), read(input, 8) ^ read(secret, 8))
    }

    @inline(__always)
    private static func folded(_ a: UInt64, _ b: UInt64) -> UInt64 {
        let (high, low) = a.multipliedFullWidth(by: b)
        return high ^ low
    }

    private static func avalanche(_ value: UInt64) -> UInt64 {
        var hash = value ^ value >> 37
        hash = hash &* mix1
        return hash ^ hash >> 32
    }

    private static func avalanche64(_ value: UInt64) -> UInt64 {
        var hash = value ^ value >> 33
        hash = hash &* prime2
        hash ^= hash >> 29
        hash = hash &* prime3
        return hash ^ hash >> 32
    }

    @inline(__always)
    private static func rotated(_ value: UInt64, _ bits: UInt64) -> UInt64 { value << bits | value >> (64 - bits) }
    @inline(__always)
    private static func read(_ base: UnsafeRawPointer, _ offset: Int) -> UInt64 {
        base.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
    }
    @inline(__always)
    private static func read32(_ base: UnsafeRawPointer, _ offset: Int) -> UInt32 {
        base.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
    }
    private static func byte(_ base: UnsafeRawPointer, _ offset: Int) -> UInt8 {
        base.load(fromByteOffset: offset, as: UInt8.self)
    }
}
