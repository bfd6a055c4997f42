import Primitives
#if canImport(Glibc)
import Glibc
#endif

// HyperLogLog: an estimate of how many different elements were added, in at most 12 KB. It is kept as an ordinary
// string, which clients may read, write and send elsewhere, so its bytes are Redis' to the last one.
//
//     offset 0   "HYLL"
//            4   u8   encoding: 0 dense, 1 sparse
//            5   3 bytes of zeros
//            8   u64  cached estimate, little endian; highest bit set: out of date
//           16   registers
//
// An element's hash picks one of 16384 registers by its low 14 bits; the register keeps the longest run of zero bits
// (plus one) ever seen in the other 50. Dense: 6 bits a register, packed from the low bits of each byte upwards.
// Sparse: see HyperLogLogSparse.swift.
//
// Invariants
//  1. `isValid` is asked before anything else; behind it a dense string has all its registers.
//  2. A sparse string may still be damaged: what reads it to its end says so, and what changes it changes nothing then.
//
// The estimator is Ertl's ("New cardinality estimation algorithms for HyperLogLog sketches"), from the histogram of the
// registers alone: no tables, no bias correction. Its additions are done in the order in which Redis does them, so that
// the doubles are the same.

package enum HyperLogLog {
    package static let registerCount = 1 << indexBits
    package static let headerBytes = 16
    package static let denseBytes = headerBytes + registerCount * registerBits / 8
    /// Of a sparse one without elements.
    package static let emptyBytes = headerBytes + 2
    static let indexBits = 14
    static let registerBits = 6
    /// What is left of the hash: no run is longer than this, plus one.
    static let hashBits = 64 - indexBits
    private static let seed: UInt64 = 0xadc8_3b19
    private static let encodingOffset = 4
    private static let cardinalityOffset = 8
    private static let outOfDate: UInt64 = 1 << 63

    // MARK: Header

    package static func isValid(_ bytes: Bytes) -> Bool {
        guard bytes.count >= headerBytes, Bytes(rebasing: bytes[..<4]).equals(("HYLL" as StaticString).bytes),
              bytes[encodingOffset] <= 1 else { return false }
        return !isDense(bytes) || bytes.count == denseBytes
    }

    /// Of a valid one.
    @inline(__always)
    package static func isDense(_ bytes: Bytes) -> Bool { bytes[encodingOffset] == 0 }

    /// nil: out of date.
    package static func cachedCardinality(_ bytes: Bytes) -> UInt64? {
        let stored = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: cardinalityOffset, as: UInt64.self))
        return stored & outOfDate == 0 ? stored : nil
    }

    package static func cacheCardinality(_ cardinality: UInt64, in base: UnsafeMutableRawPointer) {
        base.storeBytes(of: cardinality.littleEndian, toByteOffset: cardinalityOffset, as: UInt64.self)
    }

    /// Only the bit is set: the old estimate stays, as Redis leaves it.
    package static func invalidateCardinality(in base: UnsafeMutableRawPointer) {
        let last = base.load(fromByteOffset: cardinalityOffset + 7, as: UInt8.self)
        base.storeBytes(of: last | 0x80, toByteOffset: cardinalityOffset + 7, as: UInt8.self)
    }

    /// Writes a sparse one without elements: `emptyBytes`.
    package static func writeEmpty(to base: UnsafeMutableRawPointer) {
        writeHeader(to: base, isDense: false)
        SparseRun(value: 0, registers: registerCount).write(to: base + headerBytes)
    }

    /// Writes a dense one without elements: `denseBytes`.
    package static func writeEmptyDense(to base: UnsafeMutableRawPointer) {
        writeHeader(to: base, isDense: true)
        memset(base + headerBytes, 0, denseBytes - headerBytes)
    }

    private static func writeHeader(to base: UnsafeMutableRawPointer, isDense: Bool) {
        memset(base, 0, headerBytes)
        memcpy(base, ("HYLL" as StaticString).utf8Start, 4)
        markDense(isDense, in: base)
    }

    static func markDense(_ isDense: Bool, in base: UnsafeMutableRawPointer) {
        base.storeBytes(of: isDense ? 0 : 1, toByteOffset: encodingOffset, as: UInt8.self)
    }

    // MARK: Elements

    /// The register that counts an element, and what it must be at least.
    package static func place(of element: Bytes) -> (register: Int, value: UInt8) {
        let hash = MurmurHash64A.hash(element, seed: seed)
        let rest = hash >> UInt64(indexBits) | 1 << UInt64(hashBits)
        return (Int(hash & UInt64(registerCount - 1)), UInt8(rest.trailingZeroBitCount + 1))
    }

    // MARK: Dense registers

    package static func denseRegister(_ index: Int, in base: UnsafeRawPointer) -> UInt8 {
        let bit = index * registerBits, place = base + headerBytes + bit >> 3, shift = UInt8(bit & 7)
        let low = place.load(as: UInt8.self) >> shift
        // The last register ends with the last byte: nothing behind it is read.
        if shift <= 2 { return low & 63 }
        return (low | place.load(fromByteOffset: 1, as: UInt8.self) << (8 - shift)) & 63
    }

    static func storeDense(_ index: Int, _ value: UInt8, in base: UnsafeMutableRawPointer) {
        let bit = index * registerBits, place = base + headerBytes + bit >> 3, shift = UInt8(bit & 7)
        let low = place.load(as: UInt8.self)
        place.storeBytes(of: low & ~(63 << shift) | value << shift, as: UInt8.self)
        if shift <= 2 { return }
        let high = place.load(fromByteOffset: 1, as: UInt8.self)
        place.storeBytes(of: high & ~(63 >> (8 - shift)) | value >> (8 - shift), toByteOffset: 1, as: UInt8.self)
    }

    /// Makes a register `value` if it is less; true if it was.
    package static func raiseDense(_ index: Int, to value: UInt8, in base: UnsafeMutableRawPointer) -> Bool {
        if denseRegister(index, in: base) >= value { return false }
        storeDense(index, value, in: base)
        return true
    }

    /// All registers in order.
    @inline(__always)
    private static func forEachDense(_ base: UnsafeRawPointer, _ body: (_ index: Int, _ value: UInt8) -> Void) {
        forEachEight(base) { index, registers in
            var word = registers
            for step in 0..<8 {
                body(index + step, UInt8(word & 63))
                word >>= UInt64(registerBits)
            }
        }
    }

    /// Eight registers at a time: they are 48 bits, the lowest of `registers`.
    @inline(__always)
    private static func forEachEight(_ base: UnsafeRawPointer, _ body: (_ index: Int, _ registers: UInt64) -> Void) {
        let registers = base + headerBytes, lastWord = denseBytes - headerBytes - 8
        var index = 0, offset = 0
        while index < registerCount {
            // The last eight would be read beyond the end: their word is taken from two bytes before.
            let from = min(offset, lastWord)
            var word = UInt64(littleEndian: registers.loadUnaligned(fromByteOffset: from, as: UInt64.self))
            word >>= UInt64((offset - from) * 8)
            body(index, word & 0xffff_ffff_ffff)
            index += 8
            offset += registerBits
        }
    }

    // MARK: Estimating and merging

    /// The estimate for a valid one; nil: it is damaged.
    package static func cardinality(_ bytes: Bytes) -> UInt64? {
        withHistograms { histogram in
            if isDense(bytes), let base = bytes.baseAddress {
                forEachDense(base) { index, value in histogram[(index & 3) << 6 | Int(value)] &+= 1 }
            } else {
                let isWhole = SparseRun.walk(bytes) { _, run in
                    histogram[Int(run.value)] &+= Int32(run.registers)
                }
                if !isWhole { return nil }
            }
            return estimate(histogram)
        }
    }

    /// The estimate for `registerCount` registers of a byte each.
    package static func cardinality(registers: UnsafePointer<UInt8>) -> UInt64 {
        withHistograms { histogram in
            let words = UnsafeRawPointer(registers)
            for offset in stride(from: 0, to: registerCount, by: 8) {
                var word = words.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
                // Most registers of few elements are 0.
                if word == 0 {
                    histogram[0] &+= 8
                    continue
                }
                for step in 0..<8 {
                    histogram[(step & 3) << 6 | Int(word & 63)] &+= 1
                    word >>= 8
                }
            }
            return estimate(histogram)
        }
    }

    /// Four histograms of zeros, which `estimate` adds up: one alone would wait for itself at each equal register.
    @inline(__always)
    private static func withHistograms<R>(_ body: (UnsafeMutableBufferPointer<Int32>) -> R) -> R {
        withUnsafeTemporaryAllocation(of: Int32.self, capacity: 256) { histogram in
            histogram.initialize(repeating: 0)
            return body(histogram)
        }
    }

    /// Raises `registers` (a byte each) to those of a valid one; false: it is damaged, and they are worth nothing.
    package static func merge(_ bytes: Bytes, into registers: UnsafeMutablePointer<UInt8>) -> Bool {
        if isDense(bytes), let base = bytes.baseAddress {
            let target = UnsafeMutableRawPointer(registers)
            forEachEight(base) { index, word in raise(target + index, to: spread(word)) }
            return true
        }
        return SparseRun.walk(bytes) { first, run in
            if run.value == 0 { return }
            for index in first..<(first + run.registers) { registers[index] = max(registers[index], run.value) }
        }
    }

    /// Raises the registers of a dense one to `registers`, a byte each of at most 63.
    package static func raiseDense(_ base: UnsafeMutableRawPointer, to registers: UnsafePointer<UInt8>) {
        let source = UnsafeRawPointer(registers)
        withUnsafeTemporaryAllocation(byteCount: 8, alignment: 8) { buffer in
            let eight = buffer.baseAddress.unsafelyUnwrapped
            for index in stride(from: 0, to: registerCount, by: 8) {
                let place = base + headerBytes + index / 8 * registerBits
                let low = UInt64(UInt32(littleEndian: place.loadUnaligned(as: UInt32.self)))
                let high = UInt64(UInt16(littleEndian: place.loadUnaligned(fromByteOffset: 4, as: UInt16.self)))
                eight.storeBytes(of: spread(high << 32 | low), as: UInt64.self)
                raise(eight, to: source.loadUnaligned(fromByteOffset: index, as: UInt64.self))
                let packed = packed(eight.load(as: UInt64.self))
                place.storeBytes(of: UInt32(truncatingIfNeeded: packed).littleEndian, as: UInt32.self)
                place.storeBytes(of: UInt16(truncatingIfNeeded: packed >> 32).littleEndian, toByteOffset: 4,
                                 as: UInt16.self)
            }
        }
    }

    /// Raises eight registers of a byte each.
    @inline(__always)
    private static func raise(_ target: UnsafeMutableRawPointer, to registers: UInt64) {
        let old = target.loadUnaligned(as: SIMD8<UInt8>.self)
        let new = pointwiseMax(old, unsafeBitCast(registers, to: SIMD8<UInt8>.self))
        target.storeBytes(of: new, as: SIMD8<UInt8>.self)
    }

    /// Eight registers of 6 bits, the lowest first, as bytes: halves move apart, then quarters, then eighths.
    @inline(__always)
    static func spread(_ registers: UInt64) -> UInt64 {
        var word = registers & 0x00ff_ffff | (registers & 0xffff_ff00_0000) << 8
        word = word & 0x0000_0fff_0000_0fff | (word & 0x00ff_f000_00ff_f000) << 4
        return word & 0x003f_003f_003f_003f | (word & 0x0fc0_0fc0_0fc0_0fc0) << 2
    }

    /// Undoes `spread`.
    @inline(__always)
    static func packed(_ bytes: UInt64) -> UInt64 {
        var word = bytes & 0x003f_003f_003f_003f | (bytes & 0x3f00_3f00_3f00_3f00) >> 2
        word = word & 0x0000_0fff_0000_0fff | (word & 0x0fff_0000_0fff_0000) >> 4
        return word & 0x00ff_ffff | (word & 0x00ff_ffff_0000_0000) >> 8
    }

    private static func estimate(_ histograms: UnsafeMutableBufferPointer<Int32>) -> UInt64 {
        let histogram = histograms
        for value in 0..<64 {
            histogram[value] &+= histograms[64 + value] &+ histograms[128 + value] &+ histograms[192 + value]
        }
        let m = Double(registerCount)
        var z = m * tau((m - Double(histogram[hashBits + 1])) / m)
        for value in stride(from: hashBits, through: 1, by: -1) {
            z += Double(histogram[value])
            z *= 0.5
        }
        z += m * sigma(Double(histogram[0]) / m)
        // 1 / (2 ln 2)
        let estimate = (0.721347520444481703680 * m * m / z).rounded(.toNearestOrAwayFromZero)
        // Registers that no element can have made; the processor's answer to what does not fit, as Redis gives it.
        guard estimate >= 0, estimate < 0x1p63 else { return 1 << 63 }
        return UInt64(estimate)
    }

    /// Of the part of the registers that are not full.
    private static func tau(_ part: Double) -> Double {
        if part == 0 || part == 1 { return 0 }
        var x = part, y = 1.0, z = 1 - part, before: Double
        repeat {
            x = x.squareRoot()
            before = z
            y *= 0.5
            z -= (1 - x) * (1 - x) * y
        } while before != z
        return z / 3
    }

    /// Of the part of the registers that are zero.
    private static func sigma(_ part: Double) -> Double {
        if part == 1 { return .infinity }
        var x = part, y = 1.0, z = part, before: Double
        repeat {
            x *= x
            before = z
            z += x * y
            y += y
        } while before != z
        return z
    }
}
