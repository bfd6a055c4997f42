import Keyspace
import Primitives
import RESP

/// Cursor and options that SCAN, HSCAN, SSCAN and ZSCAN share.
package struct ScanOptions {
    package var cursor: UInt64
    package var count = 10
    package var pattern: Bytes?
    package var type: Bytes?
    /// Fields or members alone.
    package var noValues = false

    /// - Parameters:
    ///   - from: index of the first option.
    ///   - allowsType: SCAN only; `noValuesWord`: HSCAN's and ZSCAN's for fields or members alone.
    package init(_ call: Call, _ cursor: UInt64, from: Int, allowsType: Bool = false,
                 noValuesWord: StaticString? = nil) throws(CommandError) {
        self.cursor = cursor
        var index = from
        while index < call.count {
            let hasNext = index + 1 < call.count
            if hasNext && call.isWord(index, "COUNT") {
                let value = try call.integer(index + 1)
                if value < 1 { throw .syntax }
                count = Int(min(value, 1 << 40))
                index += 2
            } else if hasNext && call.isWord(index, "MATCH") {
                let text = call[index + 1]
                pattern = text.count == 1 && text[0] == UInt8(ascii: "*") ? nil : text
                index += 2
            } else if allowsType && hasNext && call.isWord(index, "TYPE") {
                type = call[index + 1]
                index += 2
            } else if let noValuesWord, call.isWord(index, noValuesWord) {
                noValues = true
                index += 1
            } else if call.isWord(index, "NOVALUES") {
                throw .text("ERR NOVALUES option can only be used in HSCAN")
            } else if call.isWord(index, "NOSCORES") {
                throw .text("ERR NOSCORES option can only be used in ZSCAN")
            } else {
                throw .syntax
            }
        }
    }

    /// Looked at before the key is; the options only when there is a key.
    package static func cursor(_ call: Call, _ index: Int) throws(CommandError) -> UInt64 {
        guard let cursor = Decimal.parseUInt64Leniently(call[index]) else { throw .text("ERR invalid cursor") }
        return cursor
    }

    @inline(__always)
    package func accepts(_ bytes: Bytes) -> Bool { pattern.map { Glob.matches($0, bytes) } ?? true }

    /// The reply of a scan of nothing.
    package static func replyNothing(_ call: Call) {
        call.reply.array(2)
        call.reply.bulk("0")
        call.reply.array(0)
    }

    /// Writes the cursor as a bulk string in front of the elements that begin at `mark`.
    package static func insertCursor(_ cursor: UInt64, at mark: Int, _ call: Call) {
        withUnsafeTemporaryAllocation(byteCount: 48, alignment: 8) { buffer in
            let start = buffer.baseAddress.unsafelyUnwrapped
            let digits = Decimal.write(cursor, to: start + 24)
            start.storeBytes(of: UInt8(ascii: "$"), as: UInt8.self)
            var size = 1 + Decimal.write(UInt64(digits), to: start + 1)
            start.storeBytes(of: UInt16(0x0a0d), toByteOffset: size, as: UInt16.self)
            size += 2
            (start + size).copyMemory(from: start + 24, byteCount: digits)
            start.storeBytes(of: UInt16(0x0a0d), toByteOffset: size + digits, as: UInt16.self)
            call.reply.output.pointee.insert(Bytes(start: start, count: size + digits + 2), at: mark)
        }
    }
}
