import Keyspace
import Primitives

// BITOP. Shorter strings are as if filled up with zeros. The result is made in pieces that stay in the cache while all
// sources are folded into them.

private enum BitOperation { case and, or, xor, not }

extension BitmapCommands {
    private static let pieceBytes = 8192

    static func bitop(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let operation: BitOperation
        if call.isWord(1, "AND") {
            operation = .and
        } else if call.isWord(1, "OR") {
            operation = .or
        } else if call.isWord(1, "XOR") {
            operation = .xor
        } else if call.isWord(1, "NOT") {
            operation = .not
        } else {
            throw .syntax
        }
        if operation == .not && call.count != 4 {
            throw .text("ERR BITOP NOT must be called with a single source key.")
        }
        var longest = 0
        for index in 3..<call.count {
            longest = max(longest, try call.entry(&keyspace, index, .string, .read)?.stringCount ?? 0)
        }
        if longest == 0 {
            if keyspace.delete(call[2], in: call.database, lazily: keyspace.thresholds.lazyfreeLazyServerDel) {
                call.modified(call[2], .generic, "del")
            }
        } else {
            let block = StringBlock.create(uninitialized: longest)
            combine(&keyspace, call, operation, into: block)
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
            fill(piece, count, from: sources[0], offset)
            if operation == .not { invert(piece, count) }
            for index in 1..<max(sourceCount, 1) { fold(sources[index], offset, operation, into: piece, count) }
            offset += count
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
        if operation == .and {
            (piece + common).initializeMemory(as: UInt8.self, repeating: 0, count: count - common)
        }
        guard common > 0, let start = source.baseAddress else { return }
        switch operation {
        case .and: combine(piece, start + offset, common, { $0 & $1 }, { $0 & $1 })
        case .or: combine(piece, start + offset, common, { $0 | $1 }, { $0 | $1 })
        case .xor: combine(piece, start + offset, common, { $0 ^ $1 }, { $0 ^ $1 })
        case .not: break
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
