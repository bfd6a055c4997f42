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

    /// All registers in order: eight of them are 48 bits.
    @inline(__always)
    private static func forEachDense(_ base: UnsafeRawPointer, _ body: (_ index: Int, _ value: UInt8) -> Void) {
        let registers = base + headerBytes, lastWord = denseBytes - headerBytes - 8
        var index = 0, offset = 0
        while index < registerCount {
            // The last eight would be read beyond the end: their word is taken from two bytes before.
            let from = min(offset, lastWord)
            var word = UInt64(littleEndian: registers.loadUnaligned(fromByteOffset: from, as: UInt64.self))
            word >>= UInt64((offset - from) * 8)
            for step in 0..<8 {
                body(index + step, UInt8(word & 63))
                word >>= UInt64(registerBits)
            }
            index += 8
            offset += registerBits
        }
    }

    // MARK: Estimating and merging

    /// The estimate for a valid one; nil: it is damaged.
    package static func cardinality(_ bytes: Bytes) -> UInt64? {
        withUnsafeTemporaryAllocation(of: Int32.self, capacity: 64) { histogram in
            histogram.initialize(repeating: 0)
            if isDense(bytes), let base = bytes.baseAddress {
                forEachDense(base) { _, value in histogram[Int(value)] &+= 1 }
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
        withUnsafeTemporaryAllocation(of: Int32.self, capacity: 64) { histogram in
            histogram.initialize(repeating: 0)
            for index in 0..<registerCount { histogram[Int(registers[index] & 63)] &+= 1 }
            return estimate(histogram)
        }
    }

    /// Raises `registers` (a byte each) to those of a valid one; false: it is damaged, and they are worth nothing.
    package static func merge(_ bytes: Bytes, into registers: UnsafeMutablePointer<UInt8>) -> Bool {
        if isDense(bytes), let base = bytes.baseAddress {
            forEachDense(base) { index, value in registers[index] = max(registers[index], value) }
            return true
        }
        return SparseRun.walk(bytes) { first, run in
            if run.value == 0 { return }
            for index in first..<(first + run.registers) { registers[index] = max(registers[index], run.value) }
        }
    }

    private static func estimate(_ histogram: UnsafeMutableBufferPointer<Int32>) -> UInt64 {
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
