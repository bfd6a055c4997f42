import Encodings
import Keyspace
import Primitives

// PFDEBUG and PFSELFTEST, for whoever works on the format.

extension HyperLogLogCommands {
    static func pfdebug(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        guard let entry = try find(&keyspace, call, 2, .write) else {
            throw .text("ERR The specified key does not exist")
        }
        entry.encoding = .raw
        if call.isWord(1, "GETREG") {
            _ = try makeDense(&keyspace, entry, call)
            guard let entry = keyspace.find(call[2], in: call.database, .peek),
                  let base = entry.stringBytes.baseAddress else { return }
            call.reply.array(HyperLogLog.registerCount)
            for index in 0..<HyperLogLog.registerCount {
                call.reply.integer(Int(HyperLogLog.denseRegister(index, in: base)))
            }
        } else if call.isWord(1, "DECODE") {
            if HyperLogLog.isDense(entry.stringBytes) { throw .text("ERR HLL encoding is not sparse") }
            var text = OwnedBytes()
            guard HyperLogLog.describeSparse(entry.stringBytes, into: &text) else { throw damaged }
            call.reply.bulk(text.bytes)
        } else if call.isWord(1, "ENCODING") {
            call.reply.simple(HyperLogLog.isDense(entry.stringBytes) ? "dense" : "sparse")
        } else if call.isWord(1, "TODENSE") {
            call.reply.integer(try makeDense(&keyspace, entry, call) ? 1 : 0)
        } else {
            throw .message("ERR Unknown PFDEBUG subcommand '\(String(decoding: call[1], as: UTF8.self))'")
        }
    }

    /// A change that nobody hears of, but that the log must have.
    private static func makeDense(_ keyspace: inout Keyspace, _ entry: Entry, _ call: Call) throws(CommandError)
        -> Bool {
        if HyperLogLog.isDense(entry.stringBytes) { return false }
        var (present, log) = writable(&keyspace, entry, call, keyspace.thresholds.hllSparseMaxBytes)
        try log.makeDense()
        present.pointer = log.block.base
        call.modified(call[2], [], "pfdebug")
        return true
    }

    static func pfselftest(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try testRegisters()
        // A longer limit would only make it slow: it is the encodings that are tested, not the setting.
        try testEstimates(limit: min(keyspace.thresholds.hllSparseMaxBytes, 3000))
        call.reply.ok()
    }

    /// Dense registers keep what is stored, and leave their neighbours alone.
    private static func testRegisters() throws(CommandError) {
        var random = RandomSource(seed: 1)
        let block = StringBlock.create(uninitialized: HyperLogLog.denseBytes)
        defer { block.destroy() }
        var expected = [UInt8](repeating: 0, count: HyperLogLog.registerCount)
        for _ in 0..<10 {
            HyperLogLog.writeEmptyDense(to: block.start)
            for index in expected.indices {
                expected[index] = UInt8(random.next(below: 64))
                _ = HyperLogLog.raiseDense(index, to: expected[index], in: block.start)
            }
            for index in expected.indices {
                let found = HyperLogLog.denseRegister(index, in: block.start)
                if found != expected[index] {
                    throw .message("ERR TESTFAILED Register \(index) should be \(expected[index]) but is \(found)")
                }
            }
        }
    }

    /// Both encodings give one estimate, and it is within six standard errors of the truth.
    private static func testEstimates(limit: Int) throws(CommandError) {
        var random = RandomSource(seed: 2)
        var sparse = WritableHyperLogLog(limit: limit), dense = WritableHyperLogLog(limit: limit)
        defer {
            sparse.block.destroy()
            dense.block.destroy()
        }
        try dense.makeDense()
        var checkpoint = 1
        for count in 1...100_000 {
            var element = random.next()
            let place = withUnsafeBytes(of: &element) { HyperLogLog.place(of: $0) }
            _ = try sparse.raise(place.register, to: place.value)
            _ = try dense.raise(place.register, to: place.value)
            if count < checkpoint { continue }
            if count == 1 && limit >= 64 && sparse.isDense { throw .text("ERR TESTFAILED sparse encoding not used") }
            let estimate = HyperLogLog.cardinality(dense.block.bytes)
            guard let estimate, estimate == HyperLogLog.cardinality(sparse.block.bytes) else {
                throw .text("ERR TESTFAILED dense/sparse disagree")
            }
            let error = abs(Double(estimate) - Double(count)), standardError = 0.008125
            if error > (standardError * 6 * Double(count)).rounded(.up) {
                throw .message("ERR TESTFAILED Too big error. card:\(count) abserr:\(UInt64(error))")
            }
            checkpoint *= 10
        }
    }
}
