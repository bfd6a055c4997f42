import Primitives

extension Listpack {
    /// Whether bytes from outside are a listpack: size, count, every header and back length, the end mark. Nothing
    /// outside of `blob` is read, whatever it holds. O(n).
    package static func validate(_ blob: Bytes) -> Bool { check(blob) { _ in true } }

    /// - Parameter visit: called for every element; false refuses the blob.
    package static func validate(_ blob: Bytes, _ visit: (ListpackElement) -> Bool) -> Bool { check(blob, visit) }

    @inline(__always)
    private static func check(_ blob: Bytes, _ visit: (ListpackElement) -> Bool) -> Bool {
        guard blob.count > headerBytes, let base = blob.baseAddress,
              Int(base.loadUnaligned(as: UInt32.self)) == blob.count,
              blob[blob.count - 1] == 0xff else { return false }
        let stored = Int(base.loadUnaligned(fromByteOffset: 4, as: UInt16.self))
        let pack = Listpack(adopting: UnsafeMutableRawPointer(mutating: base))
        let end = blob.count - 1
        var position = headerBytes, count = 0
        while position < end {
            guard let size = checkedSize(blob, position, end) else { return false }
            let backSize = backLengthSize(size)
            guard position + size + backSize <= end else { return false }
            if backSize == 1 {
                if blob[position + size] != UInt8(truncatingIfNeeded: size) { return false }
            } else {
                for index in 0..<backSize {
                    let part = UInt8(truncatingIfNeeded: (size >> (7 * (backSize - 1 - index))) & 0x7f)
                    if blob[position + size + index] != (index == 0 ? part : part | 0x80) { return false }
                }
            }
            if !visit(pack.get(position)) { return false }
            position += size + backSize
            count += 1
        }
        return position == end && (stored == unknownCount || stored == count)
    }

    /// Size of encoding and data if they lie before `end`.
    @inline(__always)
    private static func checkedSize(_ blob: Bytes, _ position: Int, _ end: Int) -> Int? {
        let lead = blob[position]
        var size: Int
        if lead < 0x80 {
            size = 1
        } else if lead < 0xc0 {
            size = 1 + Int(lead & 0x3f)
        } else if lead < 0xe0 {
            size = 2
        } else if lead < 0xf0 {
            guard position + 1 < end else { return nil }
            size = 2 + (Int(lead & 0x0f) << 8 | Int(blob[position + 1]))
        } else {
            switch lead {
            case 0xf0:
                guard position + 5 <= end else { return nil }
                size = 5 + Int(blob.loadUnaligned(fromByteOffset: position + 1, as: UInt32.self))
            case 0xf1: size = 3
            case 0xf2: size = 4
            case 0xf3: size = 5
            case 0xf4: size = 9
            default: return nil
            }
        }
        return size <= end - position ? size : nil
    }
}
