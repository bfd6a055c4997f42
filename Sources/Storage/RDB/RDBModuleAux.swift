import Primitives

/// What modules saved beside the keys, kept from the load to the next snapshot as the bytes that it came as.
///
///     repeated: u64 module id | parts: length 2, length when (1 before the keys, 2 behind them), …, end mark
package struct RDBModuleAux: ~Copyable {
    private var records = RDBFunctions()

    package init() {}

    package var count: Int { records.count }

    package mutating func append(_ module: RDBModuleID, _ parts: Bytes) {
        var record = OwnedBytes(capacity: 8 + parts.count)
        record.append(uninitialized: 8) { $0.storeBytes(of: module.rawValue, as: UInt64.self) }
        record.append(parts)
        records.append(record.bytes)
    }

    /// All of it, for `RDBSnapshotOptions.moduleAux`; good until the next change.
    package var bytes: Bytes { records.bytes }

    /// Writes those of one place. Raw memory only.
    static func put(_ bytes: Bytes, behindKeys: Bool, _ output: inout RDBOutput) {
        RDBFunctions.forEach(in: bytes) { record in
            guard record.count >= 10 else { return }
            guard (record[9] == 2) == behindKeys else { return }
            output.put(.moduleAux)
            output.put(length: record.loadUnaligned(as: UInt64.self))
            output.put(record.from(8))
        }
    }
}
