/// Glob patterns over bytes, as KEYS, SCAN MATCH, PSUBSCRIBE, ACL and CONFIG GET know them:
///
///     *        any bytes, also none
///     ?        any one byte
///     [a-z]    one of these; [^a-z] none of these; a backslash takes the next byte literally
///     \x       x itself
///
/// Corners, as clients know them from redis-server:
/// 1. A class without `]` ends with the pattern; its bounds may stand in either order and compare as signed bytes.
/// 2. An escaped byte in a class keeps its case even when case is ignored.
/// 3. Nothing but the empty pattern matches the empty string: not even `*` (KEYS and SCAN treat a lone `*` apart).
///
/// Only the last star is ever tried again: when the rest can't match behind it, moving an earlier star only
/// leaves less. So the cost is at most string length × pattern length, whatever the pattern.
package enum Glob {
    package static func matches(_ pattern: Bytes, _ string: Bytes, ignoringCase: Bool = false) -> Bool {
        guard string.count > 0 else { return pattern.count == 0 }
        var p = 0
        var s = 0
        var afterStar = -1
        var starBegin = 0
        while true {
            if s == string.count {
                while p < pattern.count, pattern[p] == star { p &+= 1 }
                // What is left of the pattern needs bytes, and moving the star on leaves fewer.
                return p == pattern.count
            }
            if p < pattern.count, pattern[p] == star {
                repeat { p &+= 1 } while p < pattern.count && pattern[p] == star
                if p == pattern.count { return true }
                afterStar = p
                starBegin = s
                continue
            }
            if p < pattern.count, matchOne(pattern, &p, string[s], ignoringCase) {
                s &+= 1
                continue
            }
            guard afterStar >= 0 else { return false }
            starBegin &+= 1
            s = starBegin
            p = afterStar
            if s == string.count { return false }
        }
    }

    /// Whether the pattern has nothing special: then it matches itself alone.
    package static func isLiteral(_ pattern: Bytes) -> Bool {
        for byte in pattern where byte == star || byte == 63 || byte == 91 || byte == 92 { return false }
        return true
    }

    private static let star: UInt8 = 42

    /// Matches `byte` against the element at `p` (not a star), and moves `p` behind it.
    @inline(__always)
    private static func matchOne(_ pattern: Bytes, _ p: inout Int, _ byte: UInt8, _ ignoringCase: Bool) -> Bool {
        var expected = pattern[p]
        p &+= 1
        switch expected {
        case 63: // ?
            return true
        case 91: // [
            return matchClass(pattern, &p, byte, ignoringCase)
        case 92 where p < pattern.count: // backslash
            expected = pattern[p]
            p &+= 1
        default:
            break
        }
        return expected == byte || ignoringCase && ASCII.lowercased(expected) == ASCII.lowercased(byte)
    }

    /// Matches `byte` against the class whose `[` is just before `p`, and moves `p` behind its `]`.
    private static func matchClass(_ pattern: Bytes, _ p: inout Int, _ byte: UInt8, _ ignoringCase: Bool) -> Bool {
        let end = pattern.count
        let inverted = p < end && pattern[p] == 94
        if inverted { p &+= 1 }
        let folded = ignoringCase ? ASCII.lowercased(byte) : byte
        var found = false
        while p < end {
            let first = pattern[p]
            if first == 92, end &- p >= 2 {
                if pattern[p &+ 1] == byte { found = true }
                p &+= 2
            } else if first == 93 {
                p &+= 1
                break
            } else if end &- p >= 3, pattern[p &+ 1] == 45 {
                if isWithin(first, pattern[p &+ 2], folded, ignoringCase) { found = true }
                p &+= 3
            } else {
                if (ignoringCase ? ASCII.lowercased(first) : first) == folded { found = true }
                p &+= 1
            }
        }
        return found != inverted
    }

    private static func isWithin(_ a: UInt8, _ b: UInt8, _ byte: UInt8, _ ignoringCase: Bool) -> Bool {
        var low = Int8(bitPattern: a)
        var high = Int8(bitPattern: b)
        if low > high { swap(&low, &high) }
        if ignoringCase {
            low = Int8(bitPattern: ASCII.lowercased(UInt8(bitPattern: low)))
            high = Int8(bitPattern: ASCII.lowercased(UInt8(bitPattern: high)))
        }
        let value = Int8(bitPattern: byte)
        return value >= low && value <= high
    }
}
