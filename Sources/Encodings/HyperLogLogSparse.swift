import Primitives
#if canImport(Glibc)
import Glibc
#endif

// The sparse encoding of a HyperLogLog's registers: runs of equal registers, in order, all 16384 of them.
//
//     00nnnnnn            ZERO    n + 1 registers are 0           (1 … 64)
//     01nnnnnn nnnnnnnn   XZERO   n + 1 registers are 0           (1 … 16384), high bits first
//     1vvvvvnn            VAL     n + 1 registers are v + 1       (1 … 4 registers, values 1 … 32)
//
// A register that needs more than 32, or a string that would become longer than `hll-sparse-max-bytes`, makes it dense
// for good. Which of several possible spellings a change leaves is part of the format, for DUMP payloads and replicas
// are compared byte for byte: a run is split where it was hit, and neighbours that became equal are joined only within
// five runs from the one before.

/// One run of registers.
struct SparseRun {
    static let longestZero = 64
    static let longestValue = 4
    static let greatestValue: UInt8 = 32

    let value: UInt8
    let registers: Int

    /// Bytes that `write` needs.
    var byteCount: Int { value == 0 && registers > Self.longestZero ? 2 : 1 }

    /// The run at `offset`, nil if the string ends before it does. XZERO takes two bytes whatever its length.
    @inline(__always)
    static func read(_ bytes: Bytes, _ offset: Int) -> (run: SparseRun, byteCount: Int)? {
        guard offset < bytes.count else { return nil }
        let first = bytes[offset]
        if first & 0x80 != 0 {
            return (SparseRun(value: (first >> 2 & 31) + 1, registers: Int(first & 3) + 1), 1)
        }
        if first & 0x40 == 0 { return (SparseRun(value: 0, registers: Int(first) + 1), 1) }
        guard offset + 1 < bytes.count else { return nil }
        return (SparseRun(value: 0, registers: (Int(first & 63) << 8 | Int(bytes[offset + 1])) + 1), 2)
    }

    /// `byteCount` bytes. A run of a value must not be longer than four.
    func write(to target: UnsafeMutableRawPointer) {
        if value != 0 {
            target.storeBytes(of: 0x80 | (value - 1) << 2 | UInt8(registers - 1), as: UInt8.self)
        } else if registers <= Self.longestZero {
            target.storeBytes(of: UInt8(registers - 1), as: UInt8.self)
        } else {
            target.storeBytes(of: UInt16(0x4000 | (registers - 1)).bigEndian, as: UInt16.self)
        }
    }

    /// All runs with their first registers; false if they are not exactly the 16384 registers there are. No run that
    /// is handed out goes beyond them.
    @inline(__always)
    static func walk(_ bytes: Bytes, _ body: (_ first: Int, _ run: SparseRun) -> Void) -> Bool {
        var offset = HyperLogLog.headerBytes, first = 0
        while let (run, byteCount) = read(bytes, offset) {
            guard first + run.registers <= HyperLogLog.registerCount else { return false }
            body(first, run)
            first += run.registers
            offset += byteCount
        }
        return first == HyperLogLog.registerCount && offset == bytes.count
    }
}

extension HyperLogLog {
    package enum SparseChange {
        /// The register is as great already.
        case unchanged
        /// Done; the string has this many bytes now.
        case changed(byteCount: Int)
        /// The sparse encoding can't hold it: nothing was changed.
        case mustBeDense
        /// No run covers the register: nothing was changed.
        case damaged
    }

    /// More bytes than this a change never adds; there must be room for them behind the string.
    package static let sparseGrowth = 3

    /// Where to look for a register that is not before the last one: two runs that end before it. Good as long as
    /// nothing else changes the string.
    package struct SparsePlaces {
        fileprivate var newer: SparsePlace?
        fileprivate var older: SparsePlace?
        package init() {}
    }

    /// A run's offset and its first register.
    fileprivate struct SparsePlace {
        let offset: Int
        let first: Int
    }

    /// Makes a register `value` if it is less, in a sparse one of `count` bytes. `limit`: the longest it may become.
    /// - Parameter places: kept from one register to the next, raising many in their order takes one walk in all.
    package static func raiseSparse(_ register: Int, to value: UInt8, in base: UnsafeMutableRawPointer, count: Int,
                                    limit: Int, _ places: inout SparsePlaces) -> SparseChange {
        if value > SparseRun.greatestValue { return .mustBeDense }
        guard let hit = find(register, in: Bytes(start: base, count: count), &places) else { return .damaged }
        let run = hit.run, place = base + hit.offset
        if run.value >= value { return .unchanged }
        var count = count
        if run.registers == 1 && hit.byteCount == 1 {
            SparseRun(value: value, registers: 1).write(to: place)
        } else {
            let before = SparseRun(value: run.value, registers: register - hit.first)
            let after = SparseRun(value: run.value, registers: run.registers - before.registers - 1)
            let needed = (before.registers > 0 ? before.byteCount : 0) + 1 + (after.registers > 0 ? after.byteCount : 0)
            let growth = needed - hit.byteCount
            if growth > 0 && count + growth > limit { return .mustBeDense }
            let rest = hit.offset + hit.byteCount
            memmove(place + needed, base + rest, count - rest)
            count += growth
            var target = place
            if before.registers > 0 {
                before.write(to: target)
                target += before.byteCount
            }
            SparseRun(value: value, registers: 1).write(to: target)
            if after.registers > 0 { after.write(to: target + 1) }
        }
        count = joinValues(base, count: count, from: hit.previous ?? headerBytes)
        invalidateCardinality(in: base)
        return .changed(byteCount: count)
    }

    private struct Hit {
        let run: SparseRun
        let byteCount: Int
        let offset: Int
        /// The run's first register.
        let first: Int
        /// Where the run before it is.
        let previous: Int?
    }

    private static func find(_ register: Int, in bytes: Bytes, _ places: inout SparsePlaces) -> Hit? {
        if let start = places.newer, start.first <= register,
           let hit = find(register, in: bytes, from: start, &places) { return hit }
        if let start = places.older, start.first <= register {
            places.older = nil
            if let hit = find(register, in: bytes, from: start, &places) { return hit }
        }
        places = SparsePlaces()
        return find(register, in: bytes, from: SparsePlace(offset: headerBytes, first: 0), &places)
    }

    /// nil also if the run is the one at `start`, and the one before is therefore not known. Notes the two runs
    /// before the hit.
    private static func find(_ register: Int, in bytes: Bytes, from start: SparsePlace, _ places: inout SparsePlaces)
        -> Hit? {
        var place = start
        var previous: SparsePlace?, beforePrevious: SparsePlace?
        while let (run, byteCount) = SparseRun.read(bytes, place.offset) {
            if register < place.first + run.registers {
                if previous == nil && start.offset != headerBytes { return nil }
                places.newer = previous
                places.older = beforePrevious ?? places.older
                return Hit(run: run, byteCount: byteCount, offset: place.offset, first: place.first,
                           previous: previous?.offset)
            }
            beforePrevious = previous
            previous = place
            place = SparsePlace(offset: place.offset + byteCount, first: place.first + run.registers)
        }
        return nil
    }

    /// Joins neighbouring runs of one value where four registers are enough for both; the new length.
    private static func joinValues(_ base: UnsafeMutableRawPointer, count: Int, from start: Int) -> Int {
        var count = count, offset = start
        for _ in 0..<5 {
            let bytes = Bytes(start: base, count: count)
            guard let (run, byteCount) = SparseRun.read(bytes, offset) else { break }
            if run.value != 0, let (next, _) = SparseRun.read(bytes, offset + 1), next.value == run.value,
               run.registers + next.registers <= SparseRun.longestValue {
                SparseRun(value: run.value, registers: run.registers + next.registers).write(to: base + offset + 1)
                memmove(base + offset, base + offset + 1, count - offset - 1)
                count -= 1
            } else {
                offset += byteCount
            }
        }
        return count
    }

    /// Writes the dense form of a sparse one, `denseBytes`, with the same header but for the encoding; false: it is
    /// damaged.
    package static func writeDense(of sparse: Bytes, to target: UnsafeMutableRawPointer) -> Bool {
        guard let source = sparse.baseAddress else { return false }
        memcpy(target, source, headerBytes)
        markDense(true, in: target)
        memset(target + headerBytes, 0, denseBytes - headerBytes)
        return SparseRun.walk(sparse) { first, run in
            if run.value == 0 { return }
            for index in first..<(first + run.registers) { storeDense(index, run.value, in: target) }
        }
    }

    /// The runs as PFDEBUG DECODE shows them: `z:` and `Z:` zeros, `v:` value and length; false: its last run is cut
    /// off.
    package static func describeSparse(_ bytes: Bytes, into text: inout OwnedBytes) -> Bool {
        var offset = headerBytes
        while let (run, byteCount) = SparseRun.read(bytes, offset) {
            if offset > headerBytes { text.append(UInt8(ascii: " ")) }
            if run.value == 0 {
                text.append(byteCount == 1 ? "z:" : "Z:")
            } else {
                text.append("v:")
                text.append(decimal: Int64(run.value))
                text.append(UInt8(ascii: ","))
            }
            text.append(decimal: Int64(run.registers))
            offset += byteCount
        }
        return offset == bytes.count
    }
}
