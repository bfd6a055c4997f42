import Primitives

/// How a directive writes its integer.
enum IntegerForm {
    case decimal
    /// With units: 100mb, 1g.
    case memory
    /// As above, or a share of maxmemory: `20%`, kept as −20.
    case memoryOrPercent
    case octal

    /// As CONFIG GET gives it.
    func text(_ value: Int) -> String {
        switch self {
        case .decimal, .memory: "\(value)"
        case .memoryOrPercent: value < 0 ? "\(-value)%" : "\(value)"
        case .octal: String(value, radix: 8)
        }
    }

    /// As a line of a configuration file holds it: memory in the largest unit that divides it.
    func line(_ value: Int) -> String {
        switch self {
        case .decimal, .octal: return text(value)
        case .memory, .memoryOrPercent:
            guard value > 0 else { return text(value) }
            if value % (1 << 30) == 0 { return "\(value >> 30)gb" }
            if value % (1 << 20) == 0 { return "\(value >> 20)mb" }
            if value % (1 << 10) == 0 { return "\(value >> 10)kb" }
            return "\(value)"
        }
    }

    func parse(_ word: String, _ range: ClosedRange<Int>) throws(ConfigurationError) -> Int {
        var word = word
        let parsed = word.withUTF8 { read(Bytes($0)) }
        guard let value = parsed else { throw ConfigurationError(refusal) }
        if range.contains(value) { return value }
        switch self {
        case .memoryOrPercent where value < 0:
            throw ConfigurationError("percentage argument must be less or equal to \(-range.lowerBound)")
        case .octal:
            let low = String(range.lowerBound, radix: 8), high = String(range.upperBound, radix: 8)
            throw ConfigurationError("argument must be between \(low) and \(high) inclusive")
        case .decimal, .memory, .memoryOrPercent:
            throw ConfigurationError("argument must be between \(range.lowerBound) and \(range.upperBound) inclusive")
        }
    }

    private var refusal: String {
        switch self {
        case .decimal: "argument couldn't be parsed into an integer"
        case .memory: "argument must be a memory value"
        case .memoryOrPercent: "argument must be a memory or percent value"
        case .octal: "argument couldn't be parsed as an octal number"
        }
    }

    private func read(_ bytes: Bytes) -> Int? {
        switch self {
        case .decimal: return Decimal.parseInt64(bytes).map { Int($0) }
        case .octal: return Int(String(decoding: bytes, as: UTF8.self), radix: 8)
        case .memory: return Self.size(bytes)
        case .memoryOrPercent:
            guard bytes.last == UInt8(ascii: "%") else {
                return Self.size(bytes)
            }
            guard let share = Decimal.parseInt64(Bytes(rebasing: bytes.dropLast())), share >= 0 else { return nil }
            return Int(0 - share)
        }
    }

    private static func size(_ bytes: Bytes) -> Int? { MemorySize.parse(bytes).flatMap { Int(exactly: $0) } }
}
