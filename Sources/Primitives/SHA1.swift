#if canImport(Glibc)
import Glibc
#endif

/// SHA-1, incremental: names of scripts, DEBUG DIGEST. A name, not a defence: SHA-1 collisions can be made.
package struct SHA1 {
    /// 160 bits, the first word holding the first four bytes.
    package struct Digest: Sendable, Equatable {
        package var words: (UInt32, UInt32, UInt32, UInt32, UInt32)

        /// All zeros.
        package init() { words = (0, 0, 0, 0, 0) }

        package static func == (a: Digest, b: Digest) -> Bool { a.words == b.words }

        /// Folds `other` in, so that the order of folding makes no difference.
        package mutating func formXor(_ other: Digest) {
            words.0 ^= other.words.0
            words.1 ^= other.words.1
            words.2 ^= other.words.2
            words.3 ^= other.words.3
            words.4 ^= other.words.4
        }

        /// Writes the 20 bytes.
        package func write(to target: UnsafeMutableRawPointer) {
            for index in 0..<5 {
                target.storeBytes(of: word(index).bigEndian, toByteOffset: index * 4, as: UInt32.self)
            }
        }

        /// Writes 40 hexadecimal digits, a-f small.
        package func writeHex(to target: UnsafeMutableRawPointer) {
            for index in 0..<40 {
                let nibble = word(index / 8) >> UInt32(28 - index % 8 * 4) & 15
                let digit = ASCII.hexDigit(UInt8(truncatingIfNeeded: nibble))
                target.storeBytes(of: digit, toByteOffset: index, as: UInt8.self)
            }
        }

        private func word(_ index: Int) -> UInt32 {
            withUnsafeBytes(of: words) { $0.load(fromByteOffset: index * 4, as: UInt32.self) }
        }

        /// 40 hexadecimal digits, a-f small.
        package var hex: String {
            withUnsafeTemporaryAllocation(byteCount: 40, alignment: 1) { text in
                writeHex(to: text.baseAddress.unsafelyUnwrapped)
                return String(decoding: text, as: UTF8.self)
            }
        }
    }

    private var state: (UInt32, UInt32, UInt32, UInt32, UInt32)
    /// The bytes of a block that is not full yet, `length % 64` of them.
    private var pending: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64)
    private var length: UInt64 = 0

    package init() {
        state = (0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0)
        pending = (0, 0, 0, 0, 0, 0, 0, 0)
    }

    /// The digest of `bytes`.
    package static func of(_ bytes: Bytes) -> Digest {
        var hash = SHA1()
        hash.update(bytes)
        return hash.finish()
    }

    package mutating func update(_ bytes: Bytes) {
        guard var next = bytes.baseAddress, bytes.count > 0 else { return }
        var rest = bytes.count
        let filled = Int(length & 63)
        length &+= UInt64(rest)
        if filled > 0 {
            let taken = min(rest, 64 - filled)
            _ = withUnsafeMutableBytes(of: &pending) { memcpy($0.baseAddress.unsafelyUnwrapped + filled, next, taken) }
            guard filled + taken == 64 else { return }
            let block = pending
            withUnsafeBytes(of: block) { absorb($0.baseAddress.unsafelyUnwrapped) }
            next += taken
            rest -= taken
        }
        while rest >= 64 {
            absorb(next)
            next += 64
            rest -= 64
        }
        if rest > 0 {
            _ = withUnsafeMutableBytes(of: &pending) { memcpy($0.baseAddress.unsafelyUnwrapped, next, rest) }
        }
    }

    /// The digest of everything so far. Ends the use of this value.
    package mutating func finish() -> Digest {
        let bits = (length &* 8).bigEndian
        let filled = Int(length & 63)
        let padding = filled < 56 ? 56 - filled : 120 - filled
        withUnsafeTemporaryAllocation(byteCount: 72, alignment: 8) { tail in
            let base = tail.baseAddress.unsafelyUnwrapped
            memset(base, 0, 72)
            base.storeBytes(of: 0x80, as: UInt8.self)
            base.storeBytes(of: bits, toByteOffset: padding, as: UInt64.self)
            update(Bytes(start: base, count: padding + 8))
        }
        var digest = Digest()
        digest.words = state
        return digest
    }

    /// One block of 64 bytes.
    private mutating func absorb(_ block: UnsafeRawPointer) {
        var (a, b, c, d, e) = state
        withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 80) { w in
            for index in 0..<16 {
                w[index] = UInt32(bigEndian: block.loadUnaligned(fromByteOffset: index &* 4, as: UInt32.self))
            }
            for index in 16..<80 {
                let mixed = w[index &- 3] ^ w[index &- 8] ^ w[index &- 14] ^ w[index &- 16]
                w[index] = mixed &<< 1 | mixed &>> 31
            }
            @inline(__always) func step(_ f: UInt32, _ constant: UInt32, _ index: Int) {
                let next = (a &<< 5 | a &>> 27) &+ f &+ e &+ constant &+ w[index]
                e = d
                d = c
                c = b &<< 30 | b &>> 2
                b = a
                a = next
            }
            for index in 0..<20 { step(d ^ (b & (c ^ d)), 0x5a82_7999, index) }
            for index in 20..<40 { step(b ^ c ^ d, 0x6ed9_eba1, index) }
            for index in 40..<60 { step((b & c) | (d & (b | c)), 0x8f1b_bcdc, index) }
            for index in 60..<80 { step(b ^ c ^ d, 0xca62_c1d6, index) }
        }
        state = (state.0 &+ a, state.1 &+ b, state.2 &+ c, state.3 &+ d, state.4 &+ e)
    }
}
