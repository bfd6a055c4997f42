/// SHA-256, for passwords in ACL rules. Not for anything that has to be fast.
package enum SHA256 {
    private static let roundConstants: [UInt32] = primes(64).map { fraction(ofRoot: cubeRoot, $0) }
    private static let start: [UInt32] = primes(8).map { fraction(ofRoot: squareRoot, $0) }

    /// The digest of `bytes` as 64 lower-case hex digits.
    package static func hex(_ bytes: [UInt8]) -> String {
        digest(bytes).map { byte in
            String(UnicodeScalar(ASCII.hexDigit(byte >> 4))) + String(UnicodeScalar(ASCII.hexDigit(byte & 15)))
        }.joined()
    }

    package static func digest(_ bytes: [UInt8]) -> [UInt8] {
        var message = bytes + [0x80]
        while message.count % 64 != 56 { message.append(0) }
        let bitCount = UInt64(bytes.count) &* 8
        for shift: UInt64 in [56, 48, 40, 32, 24, 16, 8, 0] {
            message.append(UInt8(truncatingIfNeeded: bitCount >> shift))
        }
        var state = start
        for block in stride(from: 0, to: message.count, by: 64) { compress(message, block, &state) }
        return state.flatMap { word in
            [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: word >> UInt32($0)) }
        }
    }

    private static func rotated(_ word: UInt32, _ count: UInt32) -> UInt32 { word >> count | word << (32 - count) }

    private static func compress(_ message: [UInt8], _ block: Int, _ state: inout [UInt32]) {
        var words = [UInt32](repeating: 0, count: 64)
        for index in 0..<16 {
            for byte in 0..<4 { words[index] = words[index] << 8 | UInt32(message[block + index * 4 + byte]) }
        }
        for index in 16..<64 {
            let a = words[index - 15], b = words[index - 2]
            let s0 = rotated(a, 7) ^ rotated(a, 18) ^ a >> 3
            let s1 = rotated(b, 17) ^ rotated(b, 19) ^ b >> 10
            words[index] = words[index - 16] &+ s0 &+ words[index - 7] &+ s1
        }
        var v = state
        for index in 0..<64 {
            let s1 = rotated(v[4], 6) ^ rotated(v[4], 11) ^ rotated(v[4], 25)
            let choice = v[4] & v[5] ^ ~v[4] & v[6]
            let t1 = v[7] &+ s1 &+ choice &+ roundConstants[index] &+ words[index]
            let s0 = rotated(v[0], 2) ^ rotated(v[0], 13) ^ rotated(v[0], 22)
            let majority = v[0] & v[1] ^ v[0] & v[2] ^ v[1] & v[2]
            v = [t1 &+ s0 &+ majority, v[0], v[1], v[2], v[3] &+ t1, v[4], v[5], v[6]]
        }
        for index in 0..<8 { state[index] = state[index] &+ v[index] }
    }

    // MARK: The constants: first 32 bits of the fractions of roots of the first primes

    private static func primes(_ count: Int) -> [UInt64] {
        var found: [UInt64] = []
        var candidate: UInt64 = 2
        while found.count < count {
            if !found.contains(where: { candidate % $0 == 0 }) { found.append(candidate) }
            candidate += 1
        }
        return found
    }

    private static func fraction(ofRoot root: (UInt64) -> UInt64, _ prime: UInt64) -> UInt32 {
        UInt32(truncatingIfNeeded: root(prime))
    }

    /// The root times 2³², rounded down, by bisection in 128 bits.
    private static func squareRoot(_ value: UInt64) -> UInt64 {
        bisect { ($0 * $0) <= (UInt128(value) << 64) }
    }

    private static func cubeRoot(_ value: UInt64) -> UInt64 {
        // value × 2⁹⁶ < 2¹⁰⁵, and the cube of a root below 2³⁵ fits too.
        bisect { ($0 * $0 * $0) <= (UInt128(value) << 96) }
    }

    private static func bisect(_ fits: (UInt128) -> Bool) -> UInt64 {
        var low: UInt128 = 0, high: UInt128 = 1 << 37
        while high - low > 1 {
            let middle = (low + high) / 2
            if fits(middle) { low = middle } else { high = middle }
        }
        return UInt64(low)
    }
}
