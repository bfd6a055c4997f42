import RESP

enum RESPVersionChoice {
    case two, three
    var version: RESPVersion { self == .two ? .resp2 : .resp3 }
}

/// Where one reply ends; nil: it is not well formed.
enum ReplyShape {
    static func length(_ bytes: [UInt8], _ start: Int) -> Int? {
        guard start < bytes.count, let end = line(bytes, start) else { return nil }
        let number = Int(String(decoding: bytes[(start + 1)..<end], as: UTF8.self))
        switch bytes[start] {
        case UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: ":"), UInt8(ascii: "_"), UInt8(ascii: "#"),
             UInt8(ascii: ","), UInt8(ascii: "("):
            return end + 2
        case UInt8(ascii: "$"), UInt8(ascii: "="):
            guard let number else { return nil }
            let next = number < 0 ? end + 2 : end + 2 + number + 2
            return next <= bytes.count ? next : nil
        case UInt8(ascii: "*"), UInt8(ascii: "~"): return number.flatMap { items(bytes, end + 2, $0) }
        case UInt8(ascii: "%"): return number.flatMap { items(bytes, end + 2, $0 * 2) }
        case _: return nil
        }
    }

    private static func items(_ bytes: [UInt8], _ start: Int, _ count: Int) -> Int? {
        var next = start
        for _ in 0..<max(count, 0) {
            guard let end = length(bytes, next) else { return nil }
            next = end
        }
        return next
    }

    private static func line(_ bytes: [UInt8], _ start: Int) -> Int? {
        var index = start
        while index + 1 < bytes.count {
            if bytes[index] == 13 { return bytes[index + 1] == 10 ? index : nil }
            index += 1
        }
        return nil
    }
}
