import Primitives

/// Builds a ziplist (its layout: ZiplistReader.swift) for snapshots and dumps of versions that had no listpacks.
package struct ZiplistWriter: ~Copyable {
    private static let headerBytes = 10
    private var buffer = OwnedBytes(capacity: 256)
    private var previousSize = 0
    private var lastOffset = ZiplistWriter.headerBytes
    private var count = 0

    package init() { reset() }

    /// Begins anew.
    package mutating func reset() {
        buffer.removeAll()
        buffer.append(uninitialized: Self.headerBytes) { _ in }
        previousSize = 0
        lastOffset = Self.headerBytes
        count = 0
    }

    package mutating func append(_ element: ListpackElement) {
        switch element {
        case .integer(let value): append(value)
        case .bytes(let bytes): append(bytes)
        }
    }

    package mutating func append(_ bytes: Bytes) {
        if bytes.count < 32, bytes.count > 0, let integer = Decimal.parseInt64(bytes) { return append(integer) }
        begin()
        let length = bytes.count
        if length < 64 {
            buffer.append(UInt8(length))
        } else if length < 16384 {
            buffer.append(0x40 | UInt8(length >> 8))
            buffer.append(UInt8(length & 0xff))
        } else {
            buffer.append(0x80)
            buffer.append(uninitialized: 4) {
                $0.storeBytes(of: UInt32(truncatingIfNeeded: length).bigEndian, as: UInt32.self)
            }
        }
        buffer.append(bytes)
        end()
    }

    package mutating func append(_ value: Int64) {
        begin()
        switch value {
        case 0...12: buffer.append(0xf1 + UInt8(value))
        case -128...127: put(0xfe, value, 1)
        case -32768...32767: put(0xc0, value, 2)
        case -8_388_608...8_388_607: put(0xf0, value, 3)
        case Int64(Int32.min)...Int64(Int32.max): put(0xd0, value, 4)
        default: put(0xe0, value, 8)
        }
        end()
    }

    private mutating func put(_ lead: UInt8, _ value: Int64, _ size: Int) {
        buffer.append(lead)
        for index in 0..<size { buffer.append(UInt8(truncatingIfNeeded: value >> Int64(index * 8))) }
    }

    /// The size of the entry before.
    private mutating func begin() {
        lastOffset = buffer.count
        if previousSize < 254 {
            buffer.append(UInt8(previousSize))
        } else {
            buffer.append(254)
            let size = UInt32(truncatingIfNeeded: previousSize)
            buffer.append(uninitialized: 4) { $0.storeBytes(of: size.littleEndian, as: UInt32.self) }
        }
    }

    private mutating func end() {
        previousSize = buffer.count - lastOffset
        count += 1
    }

    /// The whole ziplist; good until the next change. Nothing may be appended afterwards but behind `reset`.
    package mutating func finish() -> Bytes {
        buffer.append(0xff)
        let size = UInt32(truncatingIfNeeded: buffer.count), tail = UInt32(truncatingIfNeeded: lastOffset)
        buffer.base.storeBytes(of: size.littleEndian, as: UInt32.self)
        buffer.base.storeBytes(of: tail.littleEndian, toByteOffset: 4, as: UInt32.self)
        buffer.base.storeBytes(of: UInt16(min(count, 65535)).littleEndian, toByteOffset: 8, as: UInt16.self)
        return buffer.bytes
    }
}
