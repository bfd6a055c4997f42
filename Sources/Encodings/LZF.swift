import Primitives
#if canImport(Glibc)
import Glibc
#endif

// LZF: the compression of strings in RDB files, of DUMP payloads and of quicklist nodes.
//
//     000LLLLL bytes                        L + 1 literal bytes (1 … 32)
//     LLLooooo oooooooo                     L + 2 bytes (3 … 8) copied from offset o + 1 back
//     111ooooo LLLLLLLL oooooooo            L + 9 bytes (9 … 264), likewise
//
// A copy may overlap what it writes. Three bytes make at most 264, so the declared size of something compressed can
// be judged before anything is allocated for it.

package enum LZF {
    /// The most that `count` compressed bytes can stand for.
    package static func maximumSize(ofCompressed count: Int) -> Int { (count &+ 2) / 3 &* 264 }

    /// Undoes the compression. False if `input` is damaged, or does not fill `target` exactly.
    package static func decompress(_ input: Bytes, into target: UnsafeMutableRawBufferPointer) -> Bool {
        guard let source = input.baseAddress, let output = target.baseAddress else {
            return input.count == 0 && target.count == 0
        }
        let inputEnd = input.count, outputEnd = target.count
        var at = 0, filled = 0
        while at < inputEnd {
            let control = Int(source.load(fromByteOffset: at, as: UInt8.self))
            at &+= 1
            if control < 32 {
                let run = control &+ 1
                guard run <= inputEnd &- at, run <= outputEnd &- filled else { return false }
                // Mostly a few bytes: more of them are copied than wanted, where there is room; the next ones lie over.
                if inputEnd &- at >= 32 && outputEnd &- filled >= 32 {
                    copySixteen(source + at, output + filled)
                    if run > 16 { copySixteen(source + at + 16, output + filled + 16) }
                } else {
                    memcpy(output + filled, source + at, run)
                }
                at &+= run
                filled &+= run
                continue
            }
            var length = control &>> 5
            if length == 7 {
                guard at < inputEnd else { return false }
                length &+= Int(source.load(fromByteOffset: at, as: UInt8.self))
                at &+= 1
            }
            guard at < inputEnd else { return false }
            let distance = (control & 0x1f) &<< 8 | Int(source.load(fromByteOffset: at, as: UInt8.self))
            at &+= 1
            length &+= 2
            let start = filled &- distance &- 1
            guard start >= 0, length <= outputEnd &- filled else { return false }
            if length <= 16 && distance >= 15 && outputEnd &- filled >= 16 {
                copySixteen(output + start, output + filled)
            } else {
                copy(output, from: start, to: filled, length)
            }
            filled &+= length
        }
        return filled == outputEnd
    }

    @inline(__always)
    private static func copySixteen(_ source: UnsafeRawPointer, _ target: UnsafeMutableRawPointer) {
        target.storeBytes(of: source.loadUnaligned(as: SIMD2<UInt64>.self), as: SIMD2<UInt64>.self)
    }

    /// Copies forwards, so that what is written may be read again.
    @inline(__always)
    private static func copy(_ base: UnsafeMutableRawPointer, from start: Int, to target: Int, _ length: Int) {
        if target &- start >= length {
            memcpy(base + target, base + start, length)
        } else if target &- start == 1 {
            memset(base + target, Int32(base.load(fromByteOffset: start, as: UInt8.self)), length)
        } else {
            for index in 0..<length {
                let byte = base.load(fromByteOffset: start &+ index, as: UInt8.self)
                base.storeBytes(of: byte, toByteOffset: target &+ index, as: UInt8.self)
            }
        }
    }
}

/// Compresses; keeps its table between calls, so that short strings cost no clearing of it.
///
/// Greedy: at each place the latest earlier occurrence of the next three bytes is taken if it lies within 8 kB. What is
/// found decides the bytes of a DUMP payload, so the choices are those of the library that all servers use:
///
///  1. The table is indexed by 16 bits of the three bytes; a place that lost its entry to another is not found.
///  2. Of a match, the first place and the last two are entered.
///  3. The input's first place is no source of a match.
///  4. A match stops short of the input's last two bytes, except that it is followed through its first 3 bytes, and
///     through its first 19 when it could be 17 long.
package struct LZFCompressor: ~Copyable {
    private static let tableBits = 16
    private static let maximumDistance = 1 << 13
    private static let maximumLength = 264
    private static let maximumLiterals = 32

    /// Place of the latest three bytes with this hash, plus `generation`; smaller than `generation`: of an earlier
    /// call.
    private var table: UnsafeMutablePointer<UInt32>?
    private var generation: UInt32 = 1

    package init() {}

    deinit { if let table { Heap.free(UnsafeMutableRawPointer(table)) } }

    private mutating func preparedTable(_ count: Int) -> UnsafeMutablePointer<UInt32> {
        guard let table else {
            let bytes = Heap.allocateZeroed(4 << Self.tableBits)
            let new = bytes.bindMemory(to: UInt32.self, capacity: 1 << Self.tableBits)
            table = new
            return new
        }
        if generation > UInt32.max - UInt32(count) - 1 {
            memset(table, 0, 4 << Self.tableBits)
            generation = 1
        }
        return table
    }

    /// Compresses `input` into `target`; returns the number of bytes, or nil if they don't fit.
    package mutating func compress(_ input: Bytes, into target: UnsafeMutableRawBufferPointer) -> Int? {
        let count = input.count
        guard count >= 4, count < 1 << 31, let source = input.baseAddress,
              let output = target.baseAddress else { return nil }
        let table = preparedTable(count)
        defer { generation &+= UInt32(count) }
        let room = target.count
        var at = 0, written = 1, literals = 0
        guard room > 1 else { return nil }
        while at < count &- 2 {
            let previous = enter(source, at, table)
            guard previous > 0, at &- previous <= Self.maximumDistance, sameThree(source, previous, at) else {
                guard put(source, &at, output, &written, &literals, room) else { return nil }
                continue
            }
            // Close the literal run; an empty one gives its control byte back.
            if literals > 0 {
                output.storeBytes(of: UInt8(literals &- 1), toByteOffset: written &- literals &- 1, as: UInt8.self)
            } else {
                written &-= 1
            }
            literals = 0
            let length = matchLength(source, previous, at, Self.matchLimit(count &- at))
            guard written &+ 4 < room else { return nil }
            let distance = at &- previous &- 1, short = length &- 2
            if short < 7 {
                output.storeBytes(of: UInt8(distance &>> 8 | short &<< 5), toByteOffset: written, as: UInt8.self)
                written &+= 1
            } else {
                output.storeBytes(of: UInt8(distance &>> 8 | 7 &<< 5), toByteOffset: written, as: UInt8.self)
                output.storeBytes(of: UInt8(short &- 7), toByteOffset: written &+ 1, as: UInt8.self)
                written &+= 2
            }
            output.storeBytes(of: UInt8(distance & 0xff), toByteOffset: written, as: UInt8.self)
            written &+= 2
            at &+= length
            if at < count &- 2 {
                _ = enter(source, at &- 2, table)
                _ = enter(source, at &- 1, table)
            }
        }
        guard written &+ 3 <= room else { return nil }
        while at < count {
            guard put(source, &at, output, &written, &literals, room) else { return nil }
        }
        if literals > 0 {
            output.storeBytes(of: UInt8(literals &- 1), toByteOffset: written &- literals &- 1, as: UInt8.self)
            return written
        }
        return written &- 1
    }

    /// Adds a literal; the run's control byte was reserved before it.
    @inline(__always)
    private func put(_ source: UnsafeRawPointer, _ at: inout Int, _ output: UnsafeMutableRawPointer,
                     _ written: inout Int, _ literals: inout Int, _ room: Int) -> Bool {
        guard written < room else { return false }
        output.storeBytes(of: source.load(fromByteOffset: at, as: UInt8.self), toByteOffset: written, as: UInt8.self)
        at &+= 1
        written &+= 1
        literals &+= 1
        if literals == Self.maximumLiterals {
            output.storeBytes(of: UInt8(literals &- 1), toByteOffset: written &- literals &- 1, as: UInt8.self)
            literals = 0
            written &+= 1
            // The byte reserved here is given back if nothing follows.
        }
        return true
    }

    /// Enters the place of three bytes; returns the place that had the entry, -1: none in this input.
    @inline(__always)
    private func enter(_ source: UnsafeRawPointer, _ at: Int, _ table: UnsafeMutablePointer<UInt32>) -> Int {
        let three = UInt32(source.load(fromByteOffset: at, as: UInt8.self)) &<< 16
            | UInt32(source.load(fromByteOffset: at &+ 1, as: UInt8.self)) &<< 8
            | UInt32(source.load(fromByteOffset: at &+ 2, as: UInt8.self))
        let slot = Int((three &>> 8 &- three &* 5) & 0xffff)
        let stored = table[slot]
        table[slot] = generation &+ UInt32(truncatingIfNeeded: at)
        return stored >= generation ? Int(stored &- generation) : -1
    }

    @inline(__always)
    private func sameThree(_ source: UnsafeRawPointer, _ a: Int, _ b: Int) -> Bool {
        source.loadUnaligned(fromByteOffset: a, as: UInt16.self)
            == source.loadUnaligned(fromByteOffset: b, as: UInt16.self)
            && source.load(fromByteOffset: a &+ 2, as: UInt8.self)
            == source.load(fromByteOffset: b &+ 2, as: UInt8.self)
    }

    /// How long a match may be with so many bytes left.
    @inline(__always)
    private static func matchLimit(_ left: Int) -> Int {
        let limit = min(maximumLength, left &- 2)
        return limit > 16 ? max(limit, 19) : max(limit, 3)
    }

    /// Number of equal bytes from two places on; three are known to be.
    @inline(__always)
    private func matchLength(_ source: UnsafeRawPointer, _ a: Int, _ b: Int, _ limit: Int) -> Int {
        var length = 3
        while limit &- length >= 8 {
            let x = source.loadUnaligned(fromByteOffset: a &+ length, as: UInt64.self)
            let y = source.loadUnaligned(fromByteOffset: b &+ length, as: UInt64.self)
            if x != y { return length &+ (x ^ y).trailingZeroBitCount / 8 }
            length &+= 8
        }
        while length < limit, source.load(fromByteOffset: a &+ length, as: UInt8.self)
            == source.load(fromByteOffset: b &+ length, as: UInt8.self) { length &+= 1 }
        return length
    }
}
