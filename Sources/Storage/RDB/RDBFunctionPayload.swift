import Primitives

// The payload of FUNCTION DUMP and FUNCTION RESTORE: libraries as a snapshot holds them.
//
//     repeated: opcode 245 | source as a string        version u16 | CRC-64 of all before, u64, both little endian

package enum RDBFunctionPayload {
    /// Servers that have functions know all that is used here.
    private static let version = RDBVersion(10)
    private static let footerBytes = 10

    package static func dump(_ functions: borrowing RDBFunctions, into target: inout OwnedBytes) {
        var output = RDBOutput(compresses: true)
        functions.forEach { source in
            output.put(RDBOpcode.function)
            output.put(string: source)
        }
        output.put(UInt8(truncatingIfNeeded: version.number))
        output.put(UInt8(truncatingIfNeeded: version.number >> 8))
        output.put(output.checksum)
        target.append(output.bytes)
    }

    /// The sources in a payload that `RDBPayload.isIntact` accepted.
    package static func read(_ payload: Bytes) throws(StorageError) -> RDBFunctions {
        var functions = RDBFunctions()
        guard payload.count > footerBytes else { return functions }
        var input = RDBInput(Bytes(rebasing: payload[..<(payload.count - footerBytes)]))
        input.computesChecksum = false
        while try input.hasMore() {
            guard try input.byte() == RDBOpcode.function.rawValue else {
                throw input.unsupported("given type is not a function")
            }
            functions.append(try input.string())
        }
        return functions
    }
}
