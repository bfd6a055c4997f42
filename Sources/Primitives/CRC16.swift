/// CRC-16/XMODEM (polynomial 0x1021, not reflected, start 0): which hash slot a key belongs to. Check value of
/// "123456789": 0x31c3.
package enum CRC16 {
    package static let slotCount = 16384

    package static func of(_ bytes: Bytes) -> UInt16 {
        let words = table.words
        var crc: UInt16 = 0
        for byte in bytes {
            crc = crc &<< 8 ^ words[Int(UInt8(truncatingIfNeeded: crc &>> 8) ^ byte)]
        }
        return crc
    }

    /// The cluster's hash slot of `key`, 0 to 16383: of what stands between the first `{` and the first `}` behind
    /// it, if that is not empty, else of the whole key.
    package static func slot(ofKey key: Bytes) -> UInt16 {
        of(hashTag(key)) & 16383
    }

    /// The part of `key` that decides the slot.
    package static func hashTag(_ key: Bytes) -> Bytes {
        guard let open = key.firstIndex(of: 123) else { return key }
        let behind = key[(open + 1)...]
        guard let close = behind.firstIndex(of: 125), close > open + 1 else { return key }
        return Bytes(rebasing: key[open + 1..<close])
    }

    private struct Table: @unchecked Sendable {
        let words: UnsafePointer<UInt16>

        init() {
            let made = UnsafeMutablePointer<UInt16>.allocate(capacity: 256)
            for value in 0..<256 {
                var crc = UInt16(value) << 8
                for _ in 0..<8 { crc = crc & 0x8000 != 0 ? crc << 1 ^ 0x1021 : crc << 1 }
                made[value] = crc
            }
            words = UnsafePointer(made)
        }
    }

    /// Immutable after its first use; lives as long as the program.
    private static let table = Table()
}
