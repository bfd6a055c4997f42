import Primitives

/// Writes requests: log records, the replication stream, a client's commands.
package enum RequestEncoder {
    /// Begins a record; exactly `argumentCount` arguments must follow.
    @inline(__always)
    package static func begin(argumentCount: Int, into out: inout OwnedBytes) {
        header(UInt8(ascii: "*"), argumentCount, &out)
    }

    @inline(__always)
    package static func argument(_ bytes: Bytes, into out: inout OwnedBytes) {
        header(UInt8(ascii: "$"), bytes.count, &out)
        out.append(bytes)
        out.append(uninitialized: 2) { $0.storeBytes(of: UInt16(0x0a0d), as: UInt16.self) }
    }

    package static func argument(_ integer: Int64, into out: inout OwnedBytes) {
        withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) { scratch in
            let start = scratch.baseAddress.unsafelyUnwrapped
            argument(Bytes(start: start, count: Decimal.write(integer, to: start)), into: &out)
        }
    }

    @inline(__always)
    static func header(_ mark: UInt8, _ number: Int, _ out: inout OwnedBytes) {
        out.reserve(24)
        let start = out.base + out.count
        start.storeBytes(of: mark, as: UInt8.self)
        let digits = Decimal.write(Int64(number), to: start + 1)
        start.storeBytes(of: UInt16(0x0a0d), toByteOffset: 1 + digits, as: UInt16.self)
        out.commit(digits + 3)
    }
}
