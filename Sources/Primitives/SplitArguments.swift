/// A list of byte strings with one owner, made by `SplitArguments.split`.
package struct ArgumentList: ~Copyable {
    private var storage: OwnedBytes
    private var ends: [Int] = []

    fileprivate init(capacity: Int) { storage = OwnedBytes(capacity: capacity) }

    package var count: Int { ends.count }

    /// Valid as long as the list.
    package subscript(index: Int) -> Bytes {
        let begin = index == 0 ? 0 : ends[index - 1]
        return Bytes(rebasing: storage.bytes[begin..<ends[index]])
    }

    /// Copies, for configuration and tools; what is not UTF-8 is repaired.
    package func strings() -> [String] {
        (0..<count).map { String(decoding: self[$0], as: UTF8.self) }
    }

    fileprivate mutating func append(_ byte: UInt8) { storage.append(byte) }
    fileprivate mutating func endArgument() { ends.append(storage.count) }
}

/// Splits a line of text into arguments: inline commands, redis.conf, the CLI.
///
///     plain         up to the next space, tab, CR, LF
///     "a\n\x41\""   escapes \n \r \t \b \a \xHH; a backslash before anything else stands for that byte
///     'it\'s'       \' only
///
/// A closing quote must end the argument, an opening one may stand within (`a"b c"` is one). A NUL byte ends the line.
package enum SplitArguments {
    /// Nil when quotes are unbalanced. A blank line gives an empty list.
    package static func split(_ line: Bytes) -> ArgumentList? {
        var scanner = Scanner(line: line)
        var list = ArgumentList(capacity: line.count)
        while true {
            while ASCII.isSpace(scanner.current) { scanner.index += 1 }
            if scanner.current == 0 { return list }
            guard scanner.takeArgument(into: &list) else { return nil }
            list.endArgument()
        }
    }

    private struct Scanner {
        let line: Bytes
        var index = 0

        init(line: Bytes) { self.line = line }

        /// 0 at the end.
        var current: UInt8 { at(0) }
        func at(_ offset: Int) -> UInt8 { index + offset < line.count ? line[index + offset] : 0 }

        mutating func takeArgument(into list: inout ArgumentList) -> Bool {
            while true {
                switch current {
                case 0, 32, 9, 10, 13: return true
                case 34:
                    index += 1
                    return takeDoubleQuoted(&list)
                case 39:
                    index += 1
                    return takeSingleQuoted(&list)
                default:
                    list.append(current)
                    index += 1
                }
            }
        }

        /// Behind a closing quote.
        var isAtEndOfArgument: Bool { current == 0 || ASCII.isSpace(current) }

        mutating func takeDoubleQuoted(_ list: inout ArgumentList) -> Bool {
            while true {
                switch current {
                case 0: return false
                case 34:
                    index += 1
                    return isAtEndOfArgument
                case 92 where at(1) != 0:
                    takeEscape(&list)
                default:
                    list.append(current)
                    index += 1
                }
            }
        }

        mutating func takeEscape(_ list: inout ArgumentList) {
            if at(1) == 120, let high = ASCII.hexDigitValue(at(2)), let low = ASCII.hexDigitValue(at(3)) {
                list.append(high << 4 | low)
                index += 4
                return
            }
            switch at(1) {
            case 110: list.append(10)
            case 114: list.append(13)
            case 116: list.append(9)
            case 98: list.append(8)
            case 97: list.append(7)
            default: list.append(at(1))
            }
            index += 2
        }

        mutating func takeSingleQuoted(_ list: inout ArgumentList) -> Bool {
            while true {
                switch current {
                case 0: return false
                case 39:
                    index += 1
                    return isAtEndOfArgument
                case 92 where at(1) == 39:
                    list.append(39)
                    index += 2
                default:
                    list.append(current)
                    index += 1
                }
            }
        }
    }
}

/// Bytes made readable between double quotes, so that `SplitArguments` gives them back: MONITOR, CONFIG REWRITE,
/// log lines.
package enum Quote {
    /// Appends `bytes` quoted: `\\ \" \n \r \t \a \b`, and `\xHH` for whatever else is not printable ASCII.
    package static func append(_ bytes: Bytes, to out: inout OwnedBytes) {
        out.reserve(bytes.count + 2)
        out.append(34)
        for byte in bytes {
            switch byte {
            case 92, 34:
                out.append(92)
                out.append(byte)
            case 10: out.append("\\n")
            case 13: out.append("\\r")
            case 9: out.append("\\t")
            case 7: out.append("\\a")
            case 8: out.append("\\b")
            case 32...126: out.append(byte)
            default:
                out.append("\\x")
                out.append(ASCII.hexDigit(byte >> 4))
                out.append(ASCII.hexDigit(byte & 15))
            }
        }
        out.append(34)
    }

    /// Whether `bytes` hold anything that can't stand unquoted in a line.
    package static func isNeeded(_ bytes: Bytes) -> Bool {
        for byte in bytes where !ASCII.isPrintable(byte) || byte == 32 || byte == 34 || byte == 92 { return true }
        return false
    }
}
