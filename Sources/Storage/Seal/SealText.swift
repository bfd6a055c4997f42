import Primitives
#if canImport(Glibc)
import Glibc
#endif

/// Reads a line word by word, each with the blank behind it.
struct SealText {
    let line: Bytes
    var position = 0

    init(_ line: Bytes) { self.line = line }

    mutating func take(_ word: StaticString) -> Bool {
        let word = word.bytes
        guard line.count >= position + word.count,
              Bytes(rebasing: line[position..<(position + word.count)]).equals(word) else { return false }
        position += word.count
        return true
    }

    mutating func decimal() -> Int? {
        var value = 0, place = position
        while place < line.count, ASCII.isDigit(line[place]), place - position < 18 {
            value = value * 10 + Int(line[place] - 48)
            place += 1
        }
        guard place > position, place < line.count, line[place] == 32 else { return nil }
        if line[position] == 48 && place - position > 1 { return nil }
        position = place + 1
        return value
    }

    mutating func hex(_ digits: Int) -> UInt64? {
        guard let value = digitsValue(digits), line.count > position + digits, line[position + digits] == 32 else {
            return nil
        }
        position += digits + 1
        return value
    }

    /// The number that ends the line.
    mutating func lastHex(_ digits: Int) -> UInt64? {
        guard let value = digitsValue(digits), line.count == position + digits + 2, line[line.count - 2] == 13,
              line[line.count - 1] == 10 else { return nil }
        return value
    }

    private func digitsValue(_ digits: Int) -> UInt64? {
        guard line.count >= position + digits else { return nil }
        var value: UInt64 = 0
        for place in position..<(position + digits) {
            let byte = line[place]
            guard ASCII.isDigit(byte) || (byte >= 97 && byte <= 102), let digit = ASCII.hexDigitValue(byte) else {
                return nil
            }
            value = value << 4 | UInt64(digit)
        }
        return value
    }

    static func append(hex value: UInt64, digits: Int, to out: inout OwnedBytes) {
        out.reserve(digits)
        let start = out.base + out.count
        for place in 0..<digits {
            let shift = UInt64(digits - 1 - place) &* 4
            start.storeBytes(of: ASCII.hexDigit(UInt8(truncatingIfNeeded: value >> shift & 15)), toByteOffset: place,
                             as: UInt8.self)
        }
        out.commit(digits)
    }

    /// For messages and the manifest.
    static func hex(_ value: UInt64, _ digits: Int) -> String {
        let text = String(value, radix: 16)
        return String(repeating: "0", count: max(0, digits - text.count)) + text
    }
}

extension Bytes {
    /// Where the first line that may be an annotation ends: its line feed.
    var annotationEnd: Int? {
        guard let base = baseAddress,
              let found = memchr(base, 10, Swift.min(count, AOFLimits.annotationBytes - 1)) else { return nil }
        return UnsafeRawPointer(found) - base
    }
}

extension UnixMilliseconds {
    /// `2026-11-26 00:33:00.123 UTC`.
    package var text: String {
        let seconds = rawValue >= 0 ? rawValue / 1000 : 0
        let (day, second) = (seconds / 86400, seconds % 86400)
        // Days since 0000-03-01, in eras of 400 years (the civil calendar's period).
        let z = day + 719_468
        let era = z / 146_097, dayOfEra = z % 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        func two(_ value: Int64) -> String { value < 10 ? "0\(value)" : "\(value)" }
        let thousandths = String(1000 + (rawValue >= 0 ? rawValue % 1000 : 0)).dropFirst()
        return "\(year)-\(two(month))-\(two(dayOfYear - (153 * monthFromMarch + 2) / 5 + 1)) \(two(second / 3600)):"
            + "\(two(second / 60 % 60)):\(two(second % 60)).\(thousandths) UTC"
    }
}
