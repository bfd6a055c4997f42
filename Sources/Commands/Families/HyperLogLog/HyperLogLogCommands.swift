import Encodings
import Keyspace
import Primitives

// PFADD, PFCOUNT, PFMERGE: a damaged string is an error, and left as it was.

extension HyperLogLogCommands {
    static let damaged = CommandError.text("INVALIDOBJ Corrupted HLL object detected")

    /// The HyperLogLog of argument `index`, nil if there is no key; throws if it is something else.
    static func find(_ keyspace: inout Keyspace, _ call: Call, _ index: Int, _ access: Access) throws(CommandError)
        -> Entry? {
        guard let entry = try call.entry(&keyspace, index, .string, access) else { return nil }
        if entry.encoding == .int || !HyperLogLog.isValid(entry.stringBytes) {
            throw .text("WRONGTYPE Key is not a valid HyperLogLog string value.")
        }
        return entry
    }

    static func pfadd(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let limit = keyspace.thresholds.hllSparseMaxBytes
        guard let entry = try find(&keyspace, call, 1, .write) else {
            var fresh = WritableHyperLogLog(limit: limit)
            var changes = 1
            for index in 2..<call.count where try fresh.add(call[index]) { changes += 1 }
            fresh.invalidateCardinality()
            keyspace.set(call[1], to: Value(.string, .raw, fresh.block.base), in: call.database)
            call.modified(call[1], .string, "pfadd", changes: changes)
            call.reply.integer(1)
            return
        }
        var (present, log) = writable(&keyspace, entry, call, limit)
        // The second element may find damage that the first did not meet.
        let copy = call.count > 3 && !log.isDense ? OwnedBytes(copying: log.block.bytes) : OwnedBytes(capacity: 0)
        var changes = 0
        do throws(CommandError) {
            for index in 2..<call.count where try log.add(call[index]) { changes += 1 }
        } catch {
            if !copy.isEmpty { log.restore(copy.bytes) }
            present.pointer = log.block.base
            throw error
        }
        if changes > 0 { log.invalidateCardinality() }
        present.pointer = log.block.base
        if changes > 0 { call.modified(call[1], .string, "pfadd", changes: changes) }
        call.reply.integer(changes > 0 ? 1 : 0)
    }

    /// The entry's string, to be changed in place; its block must be given back to the entry.
    static func writable(_ keyspace: inout Keyspace, _ entry: Entry, _ call: Call, _ limit: Int)
        -> (Entry, WritableHyperLogLog) {
        let (moved, block) = keyspace.writableString(entry, count: entry.stringCount, in: call.database)
        return (moved, WritableHyperLogLog(block, limit: limit))
    }

    static func pfcount(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        if call.count > 2 {
            let registers = Registers()
            for index in 1..<call.count { try merge(&keyspace, call, index, registers) }
            call.reply.integer(Int64(truncatingIfNeeded: HyperLogLog.cardinality(registers: registers.base)))
            return
        }
        guard let entry = try find(&keyspace, call, 1, .read) else { call.reply.integer(0); return }
        let bytes = entry.stringBytes
        // What keeps its estimate in itself is no longer the string that SET left.
        entry.encoding = .raw
        var cardinality = HyperLogLog.cachedCardinality(bytes)
        if cardinality == nil {
            guard let estimate = HyperLogLog.cardinality(bytes) else { throw damaged }
            cardinality = estimate
            if let start = bytes.baseAddress {
                HyperLogLog.cacheCardinality(estimate, in: UnsafeMutableRawPointer(mutating: start))
            }
            // Nobody hears of it, as with Redis, but watchers do, and the log must give the same bytes again.
            call.modified(call[1], [], "pfcount")
        }
        call.reply.integer(Int64(truncatingIfNeeded: cardinality ?? 0))
    }

    /// Raises `registers` to those of argument `index`, if there is such a key; true if it is dense.
    @discardableResult
    private static func merge(_ keyspace: inout Keyspace, _ call: Call, _ index: Int,
                              _ registers: borrowing Registers) throws(CommandError) -> Bool {
        guard let entry = try find(&keyspace, call, index, .read) else { return false }
        if !HyperLogLog.merge(entry.stringBytes, into: registers.base) { throw damaged }
        return HyperLogLog.isDense(entry.stringBytes)
    }

    static func pfmerge(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let registers = Registers()
        var isDense = false
        for index in 1..<call.count where try merge(&keyspace, call, index, registers) { isDense = true }
        let limit = keyspace.thresholds.hllSparseMaxBytes
        if let entry = try find(&keyspace, call, 1, .write) {
            // It was merged itself, so it is whole, and nothing below can fail.
            let (present, log) = writable(&keyspace, entry, call, limit)
            var target = log
            defer { present.pointer = target.block.base }
            try target.raise(to: registers.base, isDense: isDense)
        } else {
            var fresh = WritableHyperLogLog(limit: limit)
            try fresh.raise(to: registers.base, isDense: isDense)
            keyspace.set(call[1], to: Value(.string, .raw, fresh.block.base), in: call.database)
        }
        call.modified(call[1], .string, "pfadd")
        call.reply.ok()
    }
}

/// A byte for each register, all 0 at first.
private struct Registers: ~Copyable {
    let base: UnsafeMutablePointer<UInt8>

    init() {
        base = .allocate(capacity: HyperLogLog.registerCount)
        base.initialize(repeating: 0, count: HyperLogLog.registerCount)
    }

    deinit { base.deallocate() }
}

/// A HyperLogLog that is being changed: the block may be replaced, so whoever owns it must take `block` afterwards.
struct WritableHyperLogLog {
    private(set) var block: StringBlock
    /// The longest that a sparse one may become, in bytes.
    private let limit: Int

    init(_ block: StringBlock, limit: Int) {
        self.block = block
        self.limit = limit
    }

    /// One without elements.
    init(limit: Int) {
        self.init(.create(uninitialized: HyperLogLog.emptyBytes, room: 30), limit: limit)
        HyperLogLog.writeEmpty(to: block.start)
    }

    var isDense: Bool { HyperLogLog.isDense(block.bytes) }

    /// True if the element changed a register.
    mutating func add(_ element: Bytes) throws(CommandError) -> Bool {
        let place = HyperLogLog.place(of: element)
        return try raise(place.register, to: place.value)
    }

    mutating func raise(_ register: Int, to value: UInt8) throws(CommandError) -> Bool {
        var places = HyperLogLog.SparsePlaces()
        return try raise(register, to: value, &places)
    }

    private mutating func raise(_ register: Int, to value: UInt8, _ places: inout HyperLogLog.SparsePlaces)
        throws(CommandError) -> Bool {
        if isDense { return HyperLogLog.raiseDense(register, to: value, in: block.start) }
        let count = block.count
        block = block.resized(to: count + HyperLogLog.sparseGrowth)
        let change = HyperLogLog.raiseSparse(register, to: value, in: block.start, count: count, limit: limit,
                                             &places)
        if case .changed(let byteCount) = change {
            block = block.resized(to: byteCount)
            return true
        }
        block = block.resized(to: count)
        switch change {
        case .unchanged, .changed: return false
        case .damaged: throw HyperLogLogCommands.damaged
        case .mustBeDense:
            try makeDense()
            return HyperLogLog.raiseDense(register, to: value, in: block.start)
        }
    }

    /// Raises all registers to `registers`, a byte each.
    mutating func raise(to registers: UnsafePointer<UInt8>, isDense: Bool) throws(CommandError) {
        if isDense {
            try makeDense()
            HyperLogLog.raiseDense(block.start, to: registers)
            return invalidateCardinality()
        }
        var places = HyperLogLog.SparsePlaces()
        for index in 0..<HyperLogLog.registerCount where registers[index] > 0 {
            _ = try raise(index, to: registers[index], &places)
        }
        invalidateCardinality()
    }

    /// False if it was dense already; a damaged one stays as it is.
    @discardableResult
    mutating func makeDense() throws(CommandError) -> Bool {
        if isDense { return false }
        let dense = StringBlock.create(uninitialized: HyperLogLog.denseBytes)
        guard HyperLogLog.writeDense(of: block.bytes, to: dense.start) else {
            dense.destroy()
            throw HyperLogLogCommands.damaged
        }
        block.destroy()
        block = dense
        return true
    }

    func invalidateCardinality() { HyperLogLog.invalidateCardinality(in: block.start) }

    /// Makes it what it was before.
    mutating func restore(_ bytes: Bytes) {
        block = block.resized(to: bytes.count)
        if let source = bytes.baseAddress { block.start.copyMemory(from: source, byteCount: bytes.count) }
    }
}
