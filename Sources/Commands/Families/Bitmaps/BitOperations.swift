import Keyspace
import Primitives

// BITOP. Shorter strings are as if filled up with zeros. The result is made in pieces that stay in the cache while all
// sources are folded into them.

private enum BitOperation: CaseIterable {
    case and, or, xor, not
    /// Of X and the others: X without them, them without X, X with any of them; what exactly one of all has.
    case diff, diff1, andor, one

    var word: StaticString {
        switch self {
        case .and: "AND"
        case .or: "OR"
        case .xor: "XOR"
        case .not: "NOT"
        case .diff: "DIFF"
        case .diff1: "DIFF1"
        case .andor: "ANDOR"
        case .one: "ONE"
        }
    }

    /// The first source stands apart; the others are joined first.
    var setsFirstApart: Bool {
        switch self {
        case .diff, .diff1, .andor: true
        case .and, .or, .xor, .not, .one: false
        }
    }
    /// Servers of 7.4 know it.
    var isOld: Bool {
        switch self {
        case .and, .or, .xor, .not: true
        case .diff, .diff1, .andor, .one: false
        }
    }
}

extension BitmapCommands {
    private static let pieceBytes = 8192

    static func bitop(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        guard let operation = BitOperation.allCases.first(where: { call.isWord(1, $0.word) }) else { throw .syntax }
        if operation.setsFirstApart && call.count < 5 {
            throw .message("ERR BITOP \(operation.word) must be called with at least two source keys.")
        }
        if operation == .not && call.count != 4 {
            throw .text("ERR BITOP NOT must be called with a single source key.")
        }
        var longest = 0
        for index in 3..<call.count {
            longest = max(longest, try call.entry(&keyspace, index, .string, .read)?.stringCount ?? 0)
        }
        if longest == 0 {
            if keyspace.removeReplaced(call[2], in: call.database) {
                if !operation.isOld { call.recordDelete(call[2], lazily: false) }
                call.modified(call[2], .generic, "del")
            }
        } else {
            let block = StringBlock.create(uninitialized: longest)
            combine(&keyspace, call, operation, into: block)
            if !operation.isOld { call.recordSet(call[2], block.bytes, .none) }
            keyspace.set(call[2], to: Value(.string, .raw, block.base), in: call.database)
            call.modified(call[2], .string, "set")
        }
        call.reply.integer(longest)
    }

    /// Fills `result`, which is as long as the longest of the sources.
    private static func combine(_ keyspace: inout Keyspace, _ call: Call, _ operation: BitOperation,
                                into result: StringBlock) {
        let sourceCount = call.count - 3, digits = 24
        let memory = UnsafeMutableRawPointer.allocate(byteCount: sourceCount * (16 + digits), alignment: 8)
        defer { memory.deallocate() }
        let sources = memory.bindMemory(to: Bytes.self, capacity: sourceCount)
        for index in 0..<sourceCount {
            let scratch = memory + sourceCount * 16 + index * digits
            let entry = keyspace.find(call[3 + index], in: call.database, .peek)
            (sources + index).initialize(to: entry?.string(scratch) ?? Bytes(start: nil, count: 0))
        }
        var offset = 0
        while offset < result.count {
            let piece = result.start + offset, count = min(pieceBytes, result.count - offset)
            let all = UnsafeBufferPointer(start: sources, count: sourceCount)
            if operation.setsFirstApart {
                foldApart(all, offset, operation, into: piece, count)
            } else if operation == .one {
                foldOne(all, offset, into: piece, count)
            } else {
                fill(piece, count, from: sources[0], offset)
                if operation == .not { invert(piece, count) }
                for index in 1..<max(sourceCount, 1) { fold(sources[index], offset, operation, into: piece, count) }
            }
            offset += count
        }
    }

    /// All but the first source are joined, then meet the first.
    private static func foldApart(_ sources: UnsafeBufferPointer<Bytes>, _ offset: Int, _ operation: BitOperation,
                                  into piece: UnsafeMutableRawPointer, _ count: Int) {
        fill(piece, count, from: sources[1], offset)
        for source in sources.dropFirst(2) { fold(source, offset, .or, into: piece, count) }
        fold(sources[0], offset, operation, into: piece, count)
    }

    /// Keeps apart what any source has and what more than one has.
    private static func foldOne(_ sources: UnsafeBufferPointer<Bytes>, _ offset: Int,
                                into piece: UnsafeMutableRawPointer, _ count: Int) {
        withUnsafeTemporaryAllocation(byteCount: pieceBytes, alignment: 8) { buffer in
            let several = buffer.baseAddress.unsafelyUnwrapped
            several.initializeMemory(as: UInt8.self, repeating: 0, count: count)
            fill(piece, count, from: sources[0], offset)
            for source in sources.dropFirst() {
                let common = max(min(source.count - offset, count), 0)
                guard common > 0, let start = source.baseAddress.map({ $0 + offset }) else { continue }
                for place in 0..<common {
                    let any = piece.load(fromByteOffset: place, as: UInt8.self)
                    let more = start.load(fromByteOffset: place, as: UInt8.self)
                    let twice = several.load(fromByteOffset: place, as: UInt8.self) | any & more
                    several.storeBytes(of: twice, toByteOffset: place, as: UInt8.self)
                    piece.storeBytes(of: any | more, toByteOffset: place, as: UInt8.self)
                }
            }
            combine(piece, several, count, { $0 & ~$1 }, { $0 & ~$1 })
        }
    }

    private static func fill(_ piece: UnsafeMutableRawPointer, _ count: Int, from source: Bytes, _ offset: Int) {
        let common = max(min(source.count - offset, count), 0)
        if common > 0, let start = source.baseAddress { piece.copyMemory(from: start + offset, byteCount: common) }
        (piece + common).initializeMemory(as: UInt8.self, repeating: 0, count: count - common)
    }

    private static func invert(_ piece: UnsafeMutableRawPointer, _ count: Int) {
        combine(piece, piece, count, { ~$1 }, { ~$1 })
    }

    private static func fold(_ source: Bytes, _ offset: Int, _ operation: BitOperation,
                             into piece: UnsafeMutableRawPointer, _ count: Int) {
        let common = max(min(source.count - offset, count), 0)
        if operation == .and || operation == .diff || operation == .andor {
            (piece + common).initializeMemory(as: UInt8.self, repeating: 0, count: count - common)
        }
        guard common > 0, let start = source.baseAddress else { return }
        switch operation {
        case .and, .andor: combine(piece, start + offset, common, { $0 & $1 }, { $0 & $1 })
        case .diff: combine(piece, start + offset, common, { ~$0 & $1 }, { ~$0 & $1 })
        case .diff1: combine(piece, start + offset, common, { $0 & ~$1 }, { $0 & ~$1 })
        case .or: combine(piece, start + offset, common, { $0 | $1 }, { $0 | $1 })
        case .xor: combine(piece, start + offset, common, { $0 ^ $1 }, { $0 ^ $1 })
        case .not, .one: break
        }
    }

    @inline(__always)
    private static func combine(_ target: UnsafeMutableRawPointer, _ source: UnsafeRawPointer, _ count: Int,
                                _ word: (UInt64, UInt64) -> UInt64, _ byte: (UInt8, UInt8) -> UInt8) {
        var offset = 0
        while count &- offset >= 8 {
            let left = target.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            let right = source.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            target.storeBytes(of: word(left, right), toByteOffset: offset, as: UInt64.self)
            offset &+= 8
        }
        while offset < count {
            let left = target.load(fromByteOffset: offset, as: UInt8.self)
            let right = source.load(fromByteOffset: offset, as: UInt8.self)
            target.storeBytes(of: byte(left, right), toByteOffset: offset, as: UInt8.self)
            offset &+= 1
        }
    }
}
