import Primitives

/// Lines `name:value` under headings, as INFO prints them.
struct InfoWriter: ~Copyable {
    var text = OwnedBytes(capacity: 8192)

    mutating func section(_ name: StaticString) {
        if !text.isEmpty { text.append("\r\n" as StaticString) }
        text.append("# " as StaticString)
        text.append(name)
        text.append("\r\n" as StaticString)
    }

    mutating func field(_ name: StaticString, _ value: String) {
        text.append(name)
        text.append(":" as StaticString)
        text.append(value)
        text.append("\r\n" as StaticString)
    }

    mutating func field(named name: String, _ value: String) {
        text.append(name)
        text.append(":" as StaticString)
        text.append(value)
        text.append("\r\n" as StaticString)
    }

    mutating func field(_ name: StaticString, _ value: Int64) {
        text.append(name)
        text.append(":" as StaticString)
        number(value)
        text.append("\r\n" as StaticString)
    }

    mutating func field(_ name: StaticString, _ value: Int) { field(name, Int64(value)) }
    mutating func field(_ name: StaticString, _ value: Bool) { field(name, value ? 1 as Int64 : 0) }

    mutating func number(_ value: Int64) {
        text.append(uninitialized: Decimal.digitCount(value)) { _ = Decimal.write(value, to: $0) }
    }

    /// With so many digits behind the point, whatever zeros.
    mutating func fixedPoint(_ value: Int64, digits: Int) {
        var scale: Int64 = 1
        for _ in 0..<digits { scale *= 10 }
        number(value / scale)
        text.append(".")
        let fraction = value % scale
        for _ in Decimal.digitCount(fraction)..<max(digits, Decimal.digitCount(fraction)) { text.append("0") }
        number(fraction)
    }
    mutating func field(_ name: StaticString, ratio: Double) { field(name, Self.fixed(ratio, 2)) }
    mutating func field(_ name: StaticString, percent: Double) { field(name, Self.fixed(percent, 2) + "%") }

    /// Bytes, and again as people read them.
    mutating func field(_ name: StaticString, _ humanName: StaticString, bytes: Int) {
        field(name, bytes)
        field(humanName, Self.human(bytes))
    }

    /// `1.50M`
    static func human(_ bytes: Int) -> String {
        if bytes < 1024 { return "\(bytes)B" }
        var value = Double(bytes) / 1024
        for unit in ["K", "M", "G", "T", "P"] {
            if value < 1024 { return fixed(value, 2) + unit }
            value /= 1024
        }
        return fixed(value, 2) + "E"
    }

    /// A number with so many digits behind the point.
    static func fixed(_ value: Double, _ digits: Int) -> String {
        guard value.isFinite, abs(value) < 1e15 else { return fixed(0, digits) }
        var scale = 1
        for _ in 0..<digits { scale *= 10 }
        let scaled = Int((abs(value) * Double(scale)).rounded(.toNearestOrEven))
        let fraction = "\(scaled % scale)"
        let sign = value < 0 && scaled > 0 ? "-" : ""
        if digits == 0 { return "\(sign)\(scaled)" }
        return "\(sign)\(scaled / scale)." + String(repeating: "0", count: digits - fraction.utf8.count) + fraction
    }
}
