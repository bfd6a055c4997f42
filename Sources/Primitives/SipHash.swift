/// The secret of a hash table. One per process, drawn at start: whoever can't read it can't choose keys that
/// collide.
@usableFromInline
package struct HashSeed: Sendable, Equatable {
    @usableFromInline package var k0: UInt64
    @usableFromInline package var k1: UInt64

    @inlinable
    package init(k0: UInt64, k1: UInt64) {
        self.k0 = k0
        self.k1 = k1
    }

    /// A seed from the kernel's random source. Only Server calls it; tests and replay pass fixed seeds.
    package static func random() -> HashSeed {
        var generator = SystemRandomNumberGenerator()
        return HashSeed(k0: generator.next(), k1: generator.next())
    }
}

/// Keyed SipHash-1-2 (one compression round per 8 bytes, two final ones): half the price of SipHash-2-4, and
/// still a keyed function without known seed-independent collisions.
@usableFromInline
package enum SipHash {
    @inlinable
    package static func hash(_ bytes: Bytes, _ seed: HashSeed) -> UInt64 {
        var state = State(seed)
        let count = bytes.count
        guard let base = bytes.baseAddress else { return state.finish(0) }
        var offset = 0
        let wordsEnd = count & ~7
        while offset < wordsEnd {
            state.absorb(UInt64(littleEndian: base.loadUnaligned(fromByteOffset: offset, as: UInt64.self)))
            offset &+= 8
        }
        return state.finish(tail(base + wordsEnd, count & 7) | UInt64(truncatingIfNeeded: count) &<< 56)
    }

    /// As `hash` of the bytes with A-Z made a-z: command and configuration names.
    @inlinable
    package static func hashIgnoringCase(_ bytes: Bytes, _ seed: HashSeed) -> UInt64 {
        var state = State(seed)
        let count = bytes.count
        guard let base = bytes.baseAddress else { return state.finish(0) }
        var offset = 0
        let wordsEnd = count & ~7
        while offset < wordsEnd {
            let word = UInt64(littleEndian: base.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            state.absorb(ASCII.lowercased(word))
            offset &+= 8
        }
        let last = ASCII.lowercased(tail(base + wordsEnd, count & 7))
        return state.finish(last | UInt64(truncatingIfNeeded: count) &<< 56)
    }

    /// The 0 to 7 last bytes as a little-endian number; reads none beyond them.
    @inlinable
    @inline(__always)
    static func tail(_ base: UnsafeRawPointer, _ count: Int) -> UInt64 {
        var word: UInt64 = 0
        var shift = 0
        if count & 4 != 0 {
            word = UInt64(UInt32(littleEndian: base.loadUnaligned(as: UInt32.self)))
            shift = 4
        }
        if count & 2 != 0 {
            let pair = UInt16(littleEndian: base.loadUnaligned(fromByteOffset: shift, as: UInt16.self))
            word |= UInt64(pair) &<< UInt64(truncatingIfNeeded: shift &* 8)
            shift &+= 2
        }
        if count & 1 != 0 {
            let byte = base.load(fromByteOffset: shift, as: UInt8.self)
            word |= UInt64(byte) &<< UInt64(truncatingIfNeeded: shift &* 8)
        }
        return word
    }

    @usableFromInline
    struct State {
        @usableFromInline var v0, v1, v2, v3: UInt64

        @inlinable
        @inline(__always)
        init(_ seed: HashSeed) {
            v0 = seed.k0 ^ 0x736f_6d65_7073_6575
            v1 = seed.k1 ^ 0x646f_7261_6e64_6f6d
            v2 = seed.k0 ^ 0x6c79_6765_6e65_7261
            v3 = seed.k1 ^ 0x7465_6462_7974_6573
        }

        @inlinable
        @inline(__always)
        mutating func round() {
            v0 = v0 &+ v1
            v1 = (v1 &<< 13 | v1 &>> 51) ^ v0
            v0 = v0 &<< 32 | v0 &>> 32
            v2 = v2 &+ v3
            v3 = (v3 &<< 16 | v3 &>> 48) ^ v2
            v0 = v0 &+ v3
            v3 = (v3 &<< 21 | v3 &>> 43) ^ v0
            v2 = v2 &+ v1
            v1 = (v1 &<< 17 | v1 &>> 47) ^ v2
            v2 = v2 &<< 32 | v2 &>> 32
        }

        @inlinable
        @inline(__always)
        mutating func absorb(_ word: UInt64) {
            v3 ^= word
            round()
            v0 ^= word
        }

        /// `last`: the tail bytes, with the length in the top byte.
        @inlinable
        @inline(__always)
        mutating func finish(_ last: UInt64) -> UInt64 {
            absorb(last)
            v2 ^= 0xff
            round()
            round()
            return v0 ^ v1 ^ v2 ^ v3
        }
    }
}
