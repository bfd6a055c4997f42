import Encodings
import Primitives
import Testing

@Suite struct HyperLogLogTests {
    /// A string with room for what one change adds, and a mark behind it that must stay.
    private struct Room: ~Copyable {
        let base: UnsafeMutableRawPointer
        let count: Int

        init(_ bytes: [UInt8]) {
            count = bytes.count
            base = .allocate(byteCount: count + HyperLogLog.sparseGrowth + 8, alignment: 8)
            bytes.withUnsafeBytes { base.copyMemory(from: $0.baseAddress.unsafelyUnwrapped, byteCount: count) }
            (base + count).initializeMemory(as: UInt8.self, repeating: 0xa5, count: HyperLogLog.sparseGrowth + 8)
        }

        var isIntact: Bool {
            let mark = base + count + HyperLogLog.sparseGrowth
            return (0..<8).allSatisfy { mark.load(fromByteOffset: $0, as: UInt8.self) == 0xa5 }
        }

        func bytes(_ count: Int) -> [UInt8] { Array(Bytes(start: base, count: count)) }

        deinit { base.deallocate() }
    }

    private static func empty() -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: HyperLogLog.emptyBytes)
        bytes.withUnsafeMutableBytes { HyperLogLog.writeEmpty(to: $0.baseAddress.unsafelyUnwrapped) }
        return bytes
    }

    private static func registers(of bytes: [UInt8]) -> [UInt8]? {
        var registers = [UInt8](repeating: 0, count: HyperLogLog.registerCount)
        let isWhole = registers.withUnsafeMutableBufferPointer { target in
            bytes.withUnsafeBytes { HyperLogLog.merge($0, into: target.baseAddress.unsafelyUnwrapped) }
        }
        return isWhole ? registers : nil
    }

    private static func dense(_ bytes: [UInt8]) -> [UInt8]? {
        var dense = [UInt8](repeating: 0, count: HyperLogLog.denseBytes)
        let isWhole = dense.withUnsafeMutableBytes { target in
            bytes.withUnsafeBytes { HyperLogLog.writeDense(of: $0, to: target.baseAddress.unsafelyUnwrapped) }
        }
        return isWhole ? dense : nil
    }

    /// The string after a change; nil: it can't be sparse any more.
    private static func raised(_ bytes: [UInt8], _ register: Int, _ value: UInt8, limit: Int) -> [UInt8]? {
        var places = HyperLogLog.SparsePlaces()
        return raised(bytes, register, value, limit: limit, &places)
    }

    private static func raised(_ bytes: [UInt8], _ register: Int, _ value: UInt8, limit: Int,
                               _ places: inout HyperLogLog.SparsePlaces) -> [UInt8]? {
        let room = Room(bytes)
        let change = HyperLogLog.raiseSparse(register, to: value, in: room.base, count: room.count, limit: limit,
                                             &places)
        let isIntact = room.isIntact
        #expect(isIntact)
        switch change {
        case .unchanged, .damaged:
            let after = room.bytes(room.count)
            #expect(after == bytes)
            return after
        case .changed(let count): return room.bytes(count)
        case .mustBeDense:
            let after = room.bytes(room.count)
            #expect(after == bytes)
            return nil
        }
    }

    /// PFMERGE into a sparse one looked for each register from the first run on.
    @Test(arguments: [1, 2, 3] as [UInt64])
    func registersRaisedInTheirOrderAreFoundFromTheLastOne(seed: UInt64) throws {
        var random = RandomSource(seed: seed)
        for _ in 0..<40 {
            var start = Self.empty()
            let spread = 1 + random.next(below: 60)
            for _ in 0..<random.next(below: 200) {
                let register = random.next(below: HyperLogLog.registerCount) % (spread * 20)
                start = try #require(Self.raised(start, register, UInt8(1 + random.next(below: 3)), limit: 9000))
            }
            var alone = start, together = start
            var places = HyperLogLog.SparsePlaces()
            var register = random.next(below: spread)
            while register < min(HyperLogLog.registerCount, spread * 40) {
                let value = UInt8(1 + random.next(below: 4))
                alone = try #require(Self.raised(alone, register, value, limit: 9000))
                together = try #require(Self.raised(together, register, value, limit: 9000, &places))
                #expect(alone == together, "seed \(seed), register \(register)")
                if alone != together { return }
                register += 1 + random.next(below: spread)
            }
        }
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func sparseRegistersAreThoseThatWereRaised(seed: UInt64) throws {
        var random = RandomSource(seed: seed)
        var bytes = Self.empty(), expected = [UInt8](repeating: 0, count: HyperLogLog.registerCount)
        // Few registers, so that runs are split and joined again.
        let first = random.next(below: HyperLogLog.registerCount - 40)
        for _ in 0..<3000 {
            let register = first + random.next(below: 40), value = UInt8(1 + random.next(below: 4))
            bytes = try #require(Self.raised(bytes, register, value, limit: 3000))
            expected[register] = max(expected[register], value)
            #expect(bytes.count < 80)
        }
        let sparse = try #require(Self.registers(of: bytes)), dense = try #require(Self.dense(bytes))
        #expect(sparse == expected)
        #expect(Self.registers(of: dense) == expected)
        let estimates = [bytes, dense].map { $0.withUnsafeBytes { HyperLogLog.cardinality($0) } }
        #expect(estimates[0] != nil && estimates[0] == estimates[1])
        #expect(expected.withUnsafeBufferPointer {
            HyperLogLog.cardinality(registers: $0.baseAddress.unsafelyUnwrapped)
        } == estimates[0])
    }

    @Test(arguments: [1, 2] as [UInt64])
    func denseRegistersAreRaisedAllAtOnceAsOneByOne(seed: UInt64) throws {
        var random = RandomSource(seed: seed)
        let count = HyperLogLog.registerCount
        let wanted = (0..<count).map { _ in UInt8(random.next(below: random.next(below: 4) == 0 ? 64 : 3)) }
        var together = [UInt8](repeating: 0, count: HyperLogLog.denseBytes), alone = together
        together.withUnsafeMutableBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            HyperLogLog.writeEmptyDense(to: base)
            for _ in 0..<2000 {
                _ = HyperLogLog.raiseDense(random.next(below: count), to: UInt8(random.next(below: 64)), in: base)
            }
        }
        alone = together
        together.withUnsafeMutableBytes { bytes in
            wanted.withUnsafeBufferPointer { registers in
                guard let base = bytes.baseAddress, let start = registers.baseAddress else { return }
                HyperLogLog.raiseDense(base, to: start)
            }
        }
        alone.withUnsafeMutableBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            for index in 0..<count { _ = HyperLogLog.raiseDense(index, to: wanted[index], in: base) }
        }
        #expect(together == alone, "seed \(seed)")
        let registers = try #require(Self.registers(of: together))
        #expect(registers == (0..<count).map { index in
            alone.withUnsafeBytes { HyperLogLog.denseRegister(index, in: $0.baseAddress.unsafelyUnwrapped) }
        })
    }

    @Test func damageIsFoundAndNothingIsReadOrWrittenBeyondTheString() {
        let seed: UInt64 = 20
        var random = RandomSource(seed: seed), refused = 0
        for round in 0..<4000 {
            var bytes = Self.empty()
            bytes.removeLast(round % 3 == 0 ? 2 : 0)
            for _ in 0..<random.next(below: 40) {
                let place = HyperLogLog.headerBytes + random.next(below: bytes.count - HyperLogLog.headerBytes + 1)
                bytes.insert(UInt8(random.next(below: 256)), at: place)
            }
            let text = bytes.withUnsafeBytes { source in
                var text = OwnedBytes()
                _ = HyperLogLog.describeSparse(source, into: &text)
                return text.count
            }
            let isWhole = Self.registers(of: bytes) != nil
            #expect((Self.dense(bytes) != nil) == isWhole, "seed \(seed), round \(round), \(text)")
            #expect((bytes.withUnsafeBytes { HyperLogLog.cardinality($0) } != nil) == isWhole)
            refused += isWhole ? 0 : 1
            let register = random.next(below: HyperLogLog.registerCount)
            if let changed = Self.raised(bytes, register, UInt8(1 + random.next(below: 33)), limit: 3000), isWhole {
                #expect(Self.registers(of: changed) != nil, "seed \(seed), round \(round)")
            }
        }
        #expect(refused > 3000)
    }

    @Test func onlyTheHeaderAndAllRegistersMakeOne() {
        func isValid(_ bytes: [UInt8]) -> Bool { bytes.withUnsafeBytes { HyperLogLog.isValid($0) } }
        let empty = Self.empty(), header = empty.prefix(16)
        #expect(isValid(empty) && isValid(Array(header)))
        #expect(!isValid([]) && !isValid(Array(header.dropLast())))
        var dense = Array(header) + [UInt8](repeating: 0, count: HyperLogLog.denseBytes - 16)
        dense[4] = 0
        #expect(isValid(dense) && !isValid(dense.dropLast()) && !isValid(dense + [0]))
        dense[4] = 2
        #expect(!isValid(dense))
    }
}
