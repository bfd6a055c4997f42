/// Finds where replies end in what a server has sent so far.
struct ReplyScanner {
    let bytes: [UInt8]

    /// The end of the reply that begins at `start`; nil: more has to come.
    func end(from start: Int) -> Int? {
        guard start < bytes.count, let newline = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) else { return nil }
        let count = Int(String(decoding: bytes[(start + 1)..<newline].dropLast(), as: UTF8.self)) ?? 0
        switch bytes[start] {
        case UInt8(ascii: "$"), UInt8(ascii: "="), UInt8(ascii: "!"):
            let end = count < 0 ? newline + 1 : newline + 1 + count + 2
            return end <= bytes.count ? end : nil
        case UInt8(ascii: "*"), UInt8(ascii: "~"), UInt8(ascii: ">"): return end(of: count, from: newline + 1)
        case UInt8(ascii: "%"): return end(of: 2 * count, from: newline + 1)
        default: return newline + 1
        }
    }

    private func end(of count: Int, from start: Int) -> Int? {
        var end = start
        for _ in 0..<max(count, 0) {
            guard let next = self.end(from: end) else { return nil }
            end = next
        }
        return end
    }
}
