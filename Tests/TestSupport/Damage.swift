import Primitives

/// Seeded damage to the bytes of a file.
package enum Damage {
    /// - Returns: the damaged bytes, and what was done to them.
    package static func of(_ bytes: [UInt8], _ random: inout RandomSource) -> (bytes: [UInt8], what: String) {
        func below(_ count: Int) -> Int { count <= 0 ? 0 : Int(random.next(below: UInt64(count))) }
        guard !bytes.isEmpty else { return ([UInt8](repeating: 0, count: 1 + below(50)), "zeros in an empty file") }
        var damaged = bytes
        // Half of the time near the end, where logs are torn.
        let start = below(4) == 0 ? max(0, bytes.count - 1 - below(200)) : below(bytes.count)
        let end = min(bytes.count, start + 1 + below(below(3) == 0 ? 5000 : 40))
        let what: String
        switch below(8) {
        case 0:
            damaged.removeLast(bytes.count - start)
            what = "cut at \(start)"
        case 1:
            damaged.insert(contentsOf: bytes[start..<end], at: end)
            what = "\(start)..<\(end) twice"
        case 2:
            damaged.removeSubrange(start..<end)
            what = "without \(start)..<\(end)"
        case 3:
            damaged.insert(contentsOf: (0..<(end - start)).map { _ in UInt8(truncatingIfNeeded: random.next()) },
                           at: start)
            what = "\(end - start) random bytes at \(start)"
        case 4:
            for place in start..<end { damaged[place] = 0 }
            what = "zeros at \(start)..<\(end)"
        case 5:
            damaged[start] = UInt8(truncatingIfNeeded: random.next())
            what = "byte \(start) is \(damaged[start])"
        default:
            let bit = below(8)
            damaged[start] ^= 1 << bit
            what = "bit \(bit) of byte \(start)"
        }
        return (damaged, what)
    }
}
