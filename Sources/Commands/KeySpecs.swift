import Primitives
import RESP

// Key specs: where a command keeps its keys, and what it does with them.
//
//     spec    BEGIN>FIND{FLAG,FLAG…}          several are joined by "; "
//     BEGIN   idx:POS                         the first key is argument POS
//             kw:WORD@FROM                    the argument behind WORD, searched from FROM (negative: backwards
//                                             from that place before the end)
//             unk                             can't be said
//     FIND    rng:LAST/STEP/LIMIT             keys from the first to LAST (relative to the first; negative: from
//                                             the end), every STEP; LIMIT > 1: only that part of what is left
//             num:COUNT/FIRST/STEP            argument COUNT says how many keys follow from FIRST, both relative
//             unk
//
// A spec that is unknown, incomplete or of varying flags can't be relied on: those few commands (SORT, MIGRATE, SET,
// BITFIELD, GEORADIUS) are looked at one by one.

package struct KeyFlags: OptionSet, Sendable {
    package let rawValue: UInt16
    package init(rawValue: UInt16) { self.rawValue = rawValue }
    package static let readOnly = KeyFlags(rawValue: 1 << 0)
    package static let readWrite = KeyFlags(rawValue: 1 << 1)
    package static let overwrite = KeyFlags(rawValue: 1 << 2)
    package static let remove = KeyFlags(rawValue: 1 << 3)
    package static let access = KeyFlags(rawValue: 1 << 4)
    package static let update = KeyFlags(rawValue: 1 << 5)
    package static let insert = KeyFlags(rawValue: 1 << 6)
    package static let delete = KeyFlags(rawValue: 1 << 7)
    package static let notKey = KeyFlags(rawValue: 1 << 8)
    package static let incomplete = KeyFlags(rawValue: 1 << 9)
    package static let variable = KeyFlags(rawValue: 1 << 10)

    /// As COMMAND INFO lists them.
    package static let names: [(KeyFlags, StaticString)] = [
        (.readOnly, "RO"), (.readWrite, "RW"), (.overwrite, "OW"), (.remove, "RM"), (.access, "access"),
        (.update, "update"), (.insert, "insert"), (.delete, "delete"), (.notKey, "not_key"),
        (.incomplete, "incomplete"), (.variable, "variable_flags"),
    ]
}

package struct KeySpec: Sendable {
    package enum Begin: Sendable {
        case index(Int)
        case keyword(String, from: Int)
        case unknown
    }
    package enum Find: Sendable {
        case range(last: Int, step: Int, limit: Int)
        case counted(count: Int, first: Int, step: Int)
        case unknown
    }
    package let begin: Begin
    package let find: Find
    package let flags: KeyFlags

    /// The specs of a declaration; what does not keep to the notation is left out (a test looks for that).
    package static func parse(_ text: StaticString) -> [KeySpec] {
        if text.utf8CodeUnitCount == 0 { return [] }
        return "\(text)".split(separator: ";").compactMap { KeySpec($0.drop { $0 == " " }) }
    }

    private init?(_ text: Substring) {
        guard let arrow = text.firstIndex(of: ">"), let brace = text.firstIndex(of: "{"), arrow < brace,
              text.last == "}", let begin = Self.begin(text[..<arrow]),
              let find = Self.find(text[text.index(after: arrow)..<brace]) else { return nil }
        self.begin = begin
        self.find = find
        var flags = KeyFlags()
        for name in text[text.index(after: brace)...].dropLast().split(separator: ",") {
            guard let flag = KeyFlags.names.first(where: { "\($0.1)" == name }) else { return nil }
            flags.insert(flag.0)
        }
        self.flags = flags
    }

    private static func begin(_ text: Substring) -> Begin? {
        if text == "unk" { return .unknown }
        if text.hasPrefix("idx:") { return Int(text.dropFirst(4)).map { .index($0) } }
        guard text.hasPrefix("kw:"), let at = text.lastIndex(of: "@"),
              let from = Int(text[text.index(after: at)...]) else { return nil }
        return .keyword(String(text[..<at].dropFirst(3)), from: from)
    }

    private static func find(_ text: Substring) -> Find? {
        if text == "unk" { return .unknown }
        let numbers = text.dropFirst(4).split(separator: "/").compactMap { Int($0) }
        guard numbers.count == 3 else { return nil }
        if text.hasPrefix("rng:") { return .range(last: numbers[0], step: numbers[1], limit: numbers[2]) }
        if text.hasPrefix("num:") { return .counted(count: numbers[0], first: numbers[1], step: numbers[2]) }
        return nil
    }

    /// First key, last key and step of the one plain range that COMMAND INFO's old fields can say; zeros if the
    /// command has none. Keys found by keyword or count make the command a `movablekeys` one.
    package static func legacyRange(_ specs: [KeySpec]) -> (first: Int, last: Int, step: Int) {
        var range: (first: Int, last: Int, step: Int) = (0, 0, 0)
        for spec in specs {
            guard case .index(let first) = spec.begin, case .range(let last, let step, let limit) = spec.find,
                  limit <= 1 else { continue }
            let end = last >= 0 ? first + last : last
            if range.first == 0 {
                range = (first, end, step)
            } else if range.last >= 0, end >= 0, first == range.last + 1, step == range.step {
                range.last = end
            } else if range.last >= 0, end < 0, first == range.last + 1 {
                range.last = end
            }
        }
        return range
    }
}

/// One key of a command line.
package struct KeyPosition: Sendable {
    package let index: Int
    package let flags: KeyFlags

    package init(index: Int, flags: KeyFlags) {
        self.index = index
        self.flags = flags
    }
}

package enum KeyPositions {
    /// The keys of a command line, in the order of the specs; nil: the arguments don't make sense.
    package static func find(_ command: UnsafePointer<Command>, _ arguments: Arguments) -> [KeyPosition]? {
        find(command, arguments, KeySpec.parse(command.pointee.keys))
    }

    package static func find(_ command: UnsafePointer<Command>, _ arguments: Arguments, _ specs: [KeySpec])
        -> [KeyPosition]? {
        if specs.contains(where: { !$0.isReliable }) { return findByCommand(command, arguments, specs) }
        var found: [KeyPosition] = []
        for spec in specs {
            guard let keys = positions(spec, arguments) else { return nil }
            found += keys
        }
        return found
    }

    /// The keys that one spec finds, nil if a count among them is wrong. A keyword that isn't there: none.
    private static func positions(_ spec: KeySpec, _ arguments: Arguments) -> [KeyPosition]? {
        guard let first = begin(spec, arguments) else { return [] }
        var last: Int, step: Int, start = first
        switch spec.find {
        case .unknown: return nil
        case .range(let relativeLast, let by, let limit):
            step = by
            if relativeLast >= 0 {
                last = first + relativeLast
            } else if limit <= 1 {
                last = arguments.count + relativeLast
            } else {
                last = first + (arguments.count - first) / limit + relativeLast
            }
        case .counted(let count, let firstKey, let by):
            step = by
            guard first + count < arguments.count,
                  let number = Decimal.parseInt64(arguments[first + count]), number >= 0,
                  number <= arguments.count else { return nil }
            start = first + firstKey
            last = start + (Int(number) - 1) * by
        }
        if last >= arguments.count { return nil }
        if step < 1 { return nil }
        return stride(from: start, through: last, by: step).map { KeyPosition(index: $0, flags: spec.flags) }
    }

    private static func begin(_ spec: KeySpec, _ arguments: Arguments) -> Int? {
        switch spec.begin {
        case .unknown: return nil
        case .index(let index): return index
        case .keyword(let word, let from):
            let forward = from > 0
            var index = forward ? from : arguments.count + from
            while index > 0 && index < arguments.count {
                if arguments[index].isKeyword(word) {
                    return index + 1 < arguments.count ? index + 1 : nil
                }
                index += forward ? 1 : -1
            }
            return nil
        }
    }

    // MARK: Commands whose specs don't tell all

    private static func findByCommand(_ command: UnsafePointer<Command>, _ arguments: Arguments, _ specs: [KeySpec])
        -> [KeyPosition]? {
        let name = command.pointee.name.bytes
        if name.equalsIgnoringCase("sort") || name.equalsIgnoringCase("sort_ro") { return sort(arguments, name) }
        if name.equalsIgnoringCase("migrate") { return migrate(arguments) }
        if name.equalsIgnoringCase("set") { return set(arguments) }
        if name.equalsIgnoringCase("delex") { return delex(arguments) }
        if name.equalsIgnoringCase("bitfield") { return bitfield(arguments) }
        return specs.flatMap { $0.isReliable ? positions($0, arguments) ?? [] : [] }
    }

    /// The key, and what follows the last STORE.
    private static func sort(_ arguments: Arguments, _ name: Bytes) -> [KeyPosition]? {
        guard arguments.count > 1 else { return nil }
        var keys = [KeyPosition(index: 1, flags: [.readOnly, .access])]
        if name.equalsIgnoringCase("sort_ro") { return keys }
        var target: Int?
        var index = 2
        while index < arguments.count {
            let word = arguments[index]
            if word.equalsIgnoringCase("LIMIT") {
                index += 2
            } else if word.equalsIgnoringCase("GET") || word.equalsIgnoringCase("BY") {
                index += 1
            } else if word.equalsIgnoringCase("STORE"), index + 1 < arguments.count {
                target = index + 1
                index += 1
            }
            index += 1
        }
        if let target { keys.append(KeyPosition(index: target, flags: [.overwrite, .update])) }
        return keys
    }

    /// Argument 3, or, when that is empty, all that follow KEYS.
    private static func migrate(_ arguments: Arguments) -> [KeyPosition]? {
        guard arguments.count > 5 else { return nil }
        let flags: KeyFlags = [.readWrite, .access, .delete]
        var index = 6
        while index < arguments.count {
            let word = arguments[index]
            if word.equalsIgnoringCase("KEYS") {
                guard arguments[3].count == 0, index + 1 < arguments.count else { break }
                return ((index + 1)..<arguments.count).map { KeyPosition(index: $0, flags: flags) }
            }
            index += word.equalsIgnoringCase("AUTH") ? 2 : word.equalsIgnoringCase("AUTH2") ? 3 : 1
        }
        return [KeyPosition(index: 3, flags: flags)]
    }

    /// SET reads its key only with GET or a condition on its value.
    private static func set(_ arguments: Arguments) -> [KeyPosition]? {
        guard arguments.count > 1 else { return nil }
        for index in 3..<max(3, arguments.count)
            where arguments[index].equalsIgnoringCase("GET") || isCondition(arguments[index]) {
            return [KeyPosition(index: 1, flags: [.readWrite, .access, .update])]
        }
        return [KeyPosition(index: 1, flags: [.overwrite, .update])]
    }

    private static func isCondition(_ word: Bytes) -> Bool {
        word.equalsIgnoringCase("IFEQ") || word.equalsIgnoringCase("IFNE")
            || word.equalsIgnoringCase("IFDEQ") || word.equalsIgnoringCase("IFDNE")
    }

    /// DELEX without a condition is DEL.
    private static func delex(_ arguments: Arguments) -> [KeyPosition]? {
        guard arguments.count > 1 else { return nil }
        return [KeyPosition(index: 1, flags: arguments.count > 2 ? [.readWrite, .access, .delete] : [.remove, .delete])]
    }

    /// BITFIELD writes only with SET or INCRBY.
    private static func bitfield(_ arguments: Arguments) -> [KeyPosition]? {
        guard arguments.count > 1 else { return nil }
        var index = 2
        var writes = false
        while index < arguments.count {
            let word = arguments[index], left = arguments.count - 1 - index
            if word.equalsIgnoringCase("GET"), left >= 2 {
                index += 3
            } else if word.equalsIgnoringCase("SET") || word.equalsIgnoringCase("INCRBY"), left >= 3 {
                writes = true
                index += 4
            } else if word.equalsIgnoringCase("OVERFLOW"), left >= 1 {
                index += 2
            } else {
                writes = true
                break
            }
        }
        return [KeyPosition(index: 1, flags: writes ? [.readWrite, .access, .update] : [.readOnly, .access])]
    }
}

extension KeySpec {
    var isReliable: Bool {
        if flags.contains(.incomplete) || flags.contains(.variable) { return false }
        if case .unknown = begin { return false }
        if case .unknown = find { return false }
        return true
    }
}

extension UnsafeRawBufferPointer {
    /// Equality with a keyword of a spec, in either case.
    fileprivate func isKeyword(_ word: String) -> Bool {
        var word = word
        return word.withUTF8 { equalsIgnoringCase(Bytes($0)) }
    }
}

extension Arguments {
    /// The arguments behind the first `count`.
    package func dropFirst(_ count: Int) -> Arguments {
        precondition(count >= 0 && count <= self.count)
        return Arguments(base: base + count, count: self.count - count)
    }
}
