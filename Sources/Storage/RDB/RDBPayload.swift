import Encodings
import Keyspace
import Primitives
#if canImport(Glibc)
import Glibc
#endif

// The payload of DUMP and RESTORE: one value, on its own.
//
//     type u8 | value | version u16 little endian | CRC-64 of all before, u64 little endian

package enum RDBPayload {
    private static let footerBytes = 10

    /// Appends the payload of an entry's value: the bytes that a server of that version gives.
    package static func dump(_ entry: Entry, version: RDBVersion, compresses: Bool = true,
                             into target: inout OwnedBytes) {
        var compressor = LZFCompressor()
        dump(entry, version: version, compresses: compresses, into: &target, &compressor)
    }

    /// - Parameter compressor: is kept from one value to the next, for making its table costs more than most values.
    package static func dump(_ entry: Entry, version: RDBVersion, compresses: Bool, into target: inout OwnedBytes,
                             _ compressor: inout LZFCompressor) {
        var output = RDBOutput(compresses: compresses)
        output.exchange(&compressor)
        defer { output.exchange(&compressor) }
        let type = RDBOutput.type(of: entry, version)
        output.put(type)
        output.put(valueOf: entry, type, version)
        output.put(UInt8(truncatingIfNeeded: version.number))
        output.put(UInt8(truncatingIfNeeded: version.number >> 8))
        output.put(output.checksum)
        target.append(output.bytes)
    }

    /// Whether the footer is one that this server takes: its version, and its checksum.
    package static func isIntact(_ payload: Bytes, believesChecksum: Bool = false) -> Bool {
        guard payload.count >= footerBytes else { return false }
        let body = payload.count - footerBytes
        let version = Int(payload[body]) | Int(payload[body + 1]) << 8
        guard version == 0 || RDBVersion.isReadable(version) else { return false }
        if believesChecksum { return true }
        let stored = UInt64(littleEndian: payload.loadUnaligned(fromByteOffset: body + 2, as: UInt64.self))
        return stored == CRC64.of(Bytes(rebasing: payload[..<(body + 2)]))
    }

    /// The value that an intact payload holds.
    /// - Returns: nil for an empty collection.
    /// - Throws: corrupt or unsupported, with the offset in the payload.
    package static func restore(_ payload: Bytes, _ keyspace: borrowing Keyspace, isThorough: Bool = true)
        throws(StorageError) -> Value? {
        guard payload.count > footerBytes else {
            throw StorageError(.load, "payload", at: 0, .truncated("shorter than its footer"))
        }
        let body = payload.count - footerBytes
        var input = RDBInput(Bytes(rebasing: payload[..<body]))
        input.computesChecksum = false
        let version = Int(payload[body]) | Int(payload[body + 1]) << 8
        input.version = RDBVersion(version)
        if version >= RDBVersion.valkey9.number { input.dialect = .valkey }
        guard let type = RDBType(number: try input.byte(), input.dialect, input.version) else {
            throw input.unsupported("a value of an unknown type")
        }
        let value = try input.value(type, keyspace, isThorough: isThorough)
        guard try !input.hasMore() else { throw input.corrupt("more bytes than the value has") }
        return value
    }
}
