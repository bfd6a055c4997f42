import Encodings
import Keyspace
import Primitives
import RESP

// SORT and SORT_RO.
//
//     1. elements   copied out of the list, set or sorted set, in its order
//     2. weights    each element's own text, or what the BY pattern leads to, as number or text
//     3. order      by weight, then by the element's text, then by place: the same wherever it is computed
//     4. window     LIMIT
//     5. output     the elements, or what the GET patterns lead to; replied, or stored as a list
//
// BY with a pattern without `*` asks for no sorting: 2 and 3 are left out, a sorted set keeps the order of its scores,
// and DESC goes backwards.

package enum SortCommands {
    static let sort = Command(
        "sort", arity: -2, [.write, .denyoom, .movablekeys],
        [.write, .set, .sortedset, .list, .slow, .dangerous],
        keys: "idx:1>rng:0/1/0{RO,access}; unk>unk{RO,access}; unk>unk{OW,update}", group: .generic, since: "1.0.0",
        complexity: "O(N+M*log(M));O(N)",
        summary: "Sorts the elements of a list, set or sorted set, and stores the result if asked to.", arguments: """
            key:key#0 by-pattern:pattern#1@BY? limit:block@LIMIT?(offset:integer count:integer) \
            get-pattern:pattern#1@GET?*+ order:oneof?(asc:pure-token@ASC desc:pure-token@DESC) \
            sorting:pure-token@ALPHA? destination:key#2@STORE?
            """, propagates: .verbatim, .data(run))

    static let sortReadOnly = Command(
        "sort_ro", arity: -2, [.readonly, .movablekeys], [.read, .set, .sortedset, .list, .slow, .dangerous],
        keys: "idx:1>rng:0/1/0{RO,access}; unk>unk{RO,access}", group: .generic, since: "7.0.0",
        complexity: "O(N+M*log(M));O(N)", summary: "Sorts the elements of a list, set or sorted set.", arguments: """
            key:key#0 by-pattern:pattern#1@BY? limit:block@LIMIT?(offset:integer count:integer) \
            get-pattern:pattern#1@GET?*+ order:oneof?(asc:pure-token@ASC desc:pure-token@DESC) \
            sorting:pure-token@ALPHA?
            """, .data(runReadOnly))

    static func run(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let options = try SortOptions(call, allowsStore: true)
        try sort(&keyspace, &call, options)
    }

    static func runReadOnly(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let options = try SortOptions(call, allowsStore: false)
        try sort(&keyspace, &call, options)
    }

    private static func sort(_ keyspace: inout Keyspace, _ call: inout Call, _ given: SortOptions)
        throws(CommandError) {
        var options = given
        let entry = keyspace.find(call[1], in: call.database, .read)
        if let entry {
            switch entry.type {
            case .list, .sortedSet: break
            case .set:
                // A set has no order of its own; what is stored must be the same at every replay.
                if options.destination != nil && options.doesNotSort {
                    options.by = nil
                    options.isAlpha = true
                }
            case .string, .hash, .module, .stream: throw .wrongType
            }
        }
        var elements = SortElements()
        if let entry { elements.load(entry) }
        let window = options.window(of: elements.count)
        let order: [Int]
        if options.doesNotSort {
            order = options.isDescending ? Array((0..<elements.count).reversed()) : Array(0..<elements.count)
        } else {
            let weights = try SortWeights(&keyspace, call, elements, options)
            order = weights.order(elements, first: window.upperBound)
        }
        if let destination = options.destination {
            store(&keyspace, &call, elements, order[window], options, at: destination)
        } else {
            reply(&keyspace, call, elements, order[window], options)
        }
    }

    private static func reply(_ keyspace: inout Keyspace, _ call: Call, _ elements: borrowing SortElements,
                              _ order: ArraySlice<Int>, _ options: SortOptions) {
        call.reply.array(order.count * max(options.gets.count, 1))
        var found = OwnedBytes()
        for place in order {
            if options.gets.isEmpty { call.reply.bulk(elements[place]) }
            for index in options.gets {
                found.truncate(to: 0)
                if keyspace.follow(call[index], elements[place], in: call.database, into: &found) {
                    call.reply.bulk(found.bytes)
                } else {
                    call.reply.null()
                }
            }
        }
    }

    private static func store(_ keyspace: inout Keyspace, _ call: inout Call, _ elements: borrowing SortElements,
                              _ order: ArraySlice<Int>, _ options: SortOptions, at destination: Int) {
        let key = call[destination], count = order.count * max(options.gets.count, 1)
        if count == 0 {
            if keyspace.removeReplaced(key, in: call.database) {
                call.modified(key, .generic, "del")
            }
            call.reply.integer(0)
            return
        }
        var list = ListValue.create()
        var found = OwnedBytes()
        func push(_ bytes: Bytes, _ thresholds: Thresholds) {
            list.prepare(adding: 1, bytes: bytes.count, thresholds)
            list.push(bytes, atHead: false, thresholds)
        }
        for place in order {
            if options.gets.isEmpty { push(elements[place], keyspace.thresholds) }
            for index in options.gets {
                found.truncate(to: 0)
                // What is missing is stored as an empty string.
                _ = keyspace.follow(call[index], elements[place], in: call.database, into: &found)
                push(found.bytes, keyspace.thresholds)
            }
        }
        keyspace.set(key, to: list.makeValue(), in: call.database)
        call.modified(key, .list, "sortstore", changes: count)
        call.reply.integer(count)
    }
}

struct SortOptions {
    /// Indexes of arguments.
    var by: Int?
    var gets: [Int] = []
    var destination: Int?
    var isDescending = false
    var isAlpha = false
    private var offset: Int64 = 0
    private var limit: Int64 = -1
    private var byHasNoStar = false

    var doesNotSort: Bool { by != nil && byHasNoStar }

    init(_ call: Call, allowsStore: Bool) throws(CommandError) {
        var index = 2
        while index < call.count {
            let left = call.count - index - 1
            if call.isWord(index, "ASC") {
                isDescending = false
            } else if call.isWord(index, "DESC") {
                isDescending = true
            } else if call.isWord(index, "ALPHA") {
                isAlpha = true
            } else if left >= 2, call.isWord(index, "LIMIT") {
                offset = try call.integer(index + 1)
                limit = try call.integer(index + 2)
                index += 2
            } else if allowsStore, left >= 1, call.isWord(index, "STORE") {
                destination = index + 1
                index += 1
            } else if left >= 1, call.isWord(index, "BY") {
                by = index + 1
                byHasNoStar = !call[index + 1].contains(UInt8(ascii: "*"))
                index += 1
            } else if left >= 1, call.isWord(index, "GET") {
                gets.append(index + 1)
                index += 1
            } else {
                throw .syntax
            }
            index += 1
        }
    }

    /// LIMIT's part of so many elements; a negative count is all the rest.
    func window(of count: Int) -> Range<Int> {
        let start = Int(min(max(offset, 0), Int64(count)))
        let length = limit < 0 ? count - start : Int(min(limit, Int64(count - start)))
        return start..<(start + length)
    }
}

/// Copies of the elements, one behind the other.
struct SortElements: ~Copyable {
    private var text = OwnedBytes()
    private var ends: [Int] = []

    var count: Int { ends.count }
    subscript(index: Int) -> Bytes {
        Bytes(rebasing: text.bytes[(index == 0 ? 0 : ends[index - 1])..<ends[index]])
    }

    mutating func load(_ entry: Entry) {
        switch entry.type {
        case .list:
            ends.reserveCapacity(ListValue(entry).count)
            ListValue(entry).forEach { add($0); return true }
        case .set:
            ends.reserveCapacity(SetValue(entry).count)
            SetValue(entry).forEach { add(.bytes($0)); return true }
        case .sortedSet:
            ends.reserveCapacity(SortedSetValue(entry).count)
            SortedSetValue(entry).forEach { member, _ in add(member); return true }
        case .string, .hash, .module, .stream: break
        }
    }

    private mutating func add(_ element: ListpackElement) {
        text.append(element: element)
        ends.append(text.count)
    }
}

/// What decides the order, by the elements' places.
private struct SortWeights: ~Copyable {
    private struct Numbered {
        let number: Double
        let place: Int
    }

    private let isAlpha: Bool
    private let isDescending: Bool
    private var numbers: [Numbered] = []
    private var text = OwnedBytes()
    /// Where each weight's text lies; nil: the pattern led nowhere.
    private var ranges: [Range<Int>?] = []

    init(_ keyspace: inout Keyspace, _ call: Call, _ elements: borrowing SortElements, _ options: SortOptions)
        throws(CommandError) {
        isAlpha = options.isAlpha
        isDescending = options.isDescending
        if isAlpha { ranges.reserveCapacity(elements.count) } else { numbers.reserveCapacity(elements.count) }
        for place in 0..<elements.count {
            if !isAlpha && options.by == nil {
                numbers.append(Numbered(number: try Self.number(elements[place]), place: place))
                continue
            }
            let start = text.count
            var exists = true
            if let by = options.by {
                exists = keyspace.follow(call[by], elements[place], in: call.database, into: &text)
            } else {
                text.append(elements[place])
            }
            if isAlpha {
                ranges.append(exists ? start..<text.count : nil)
                continue
            }
            let number = exists ? try Self.number(Bytes(rebasing: text.bytes[start...])) : 0
            numbers.append(Numbered(number: number, place: place))
            text.truncate(to: start)
        }
    }

    private static func number(_ bytes: Bytes) throws(CommandError) -> Double {
        // As strtod reads it: an empty weight is zero, white space in front is skipped.
        if bytes.count == 0 { return 0 }
        guard let start = bytes.firstIndex(where: { !ASCII.isSpace($0) }),
              let value = DoubleText.parse(bytes.from(start)) else {
            throw .text("ERR One or more scores can't be converted into double")
        }
        return value
    }

    /// The elements' places in order, the first `wanted` at least.
    func order(_ elements: borrowing SortElements, first wanted: Int) -> [Int] {
        if isAlpha {
            return Self.sorted(Array(0..<elements.count), wanted) { a, b in
                let order = compareTexts(a, b)
                return order == 0 ? a < b : (order < 0) != isDescending
            }
        }
        let sorted = Self.sorted(numbers, wanted) { a, b in
            if a.number != b.number { return (a.number < b.number) != isDescending }
            let order = elements[a.place].compare(elements[b.place])
            return order == 0 ? a.place < b.place : (order < 0) != isDescending
        }
        return sorted.map { $0.place }
    }

    /// Few of many are picked in one walk that keeps the best ones so far.
    @inline(__always)
    private static func sorted<T>(_ all: [T], _ wanted: Int, _ precedes: (T, T) -> Bool) -> [T] {
        if wanted > 64 || wanted > all.count / 4 { return all.sorted(by: precedes) }
        var best: [T] = []
        best.reserveCapacity(wanted + 1)
        for element in all {
            if best.count == wanted {
                guard let last = best.last, precedes(element, last) else { continue }
                best.removeLast()
            }
            var place = best.count
            while place > 0, precedes(element, best[place - 1]) { place -= 1 }
            best.insert(element, at: place)
        }
        return best
    }

    private func compareTexts(_ a: Int, _ b: Int) -> Int {
        // An element without a weight comes first.
        guard let left = ranges[a] else { return ranges[b] == nil ? 0 : -1 }
        guard let right = ranges[b] else { return 1 }
        return Bytes(rebasing: text.bytes[left]).compare(Bytes(rebasing: text.bytes[right]))
    }
}

extension Keyspace {
    /// What a BY or GET pattern leads to for an element: `#` is the element itself, `a*b` the string at the key with
    /// the element in place of the star, `a*b->f` the field f of the hash there. False: nothing, or another type.
    mutating func follow(_ pattern: Bytes, _ element: Bytes, in database: Int, into out: inout OwnedBytes) -> Bool {
        if pattern.count == 1 && pattern[0] == UInt8(ascii: "#") {
            out.append(element)
            return true
        }
        guard let star = pattern.firstIndex(of: UInt8(ascii: "*")) else { return false }
        var end = pattern.count
        var field: Bytes?
        var index = star + 1
        while index + 2 < pattern.count {
            if pattern[index] == UInt8(ascii: "-") && pattern[index + 1] == UInt8(ascii: ">") {
                end = index
                field = pattern.from(index + 2)
                break
            }
            index += 1
        }
        var key = OwnedBytes(capacity: pattern.count + element.count)
        key.append(Bytes(rebasing: pattern[..<star]))
        key.append(element)
        key.append(Bytes(rebasing: pattern[(star + 1)..<end]))
        guard let entry = find(key.bytes, in: database, .read) else { return false }
        if let field {
            guard entry.type == .hash, let alive = withoutDueFields(entry, in: database),
                  let value = HashValue(alive).get(field) else { return false }
            out.append(element: value)
            return true
        }
        guard entry.type == .string else { return false }
        if entry.encoding == .int { out.append(decimal: entry.integer) } else { out.append(entry.stringBytes) }
        return true
    }
}

extension OwnedBytes {
    /// Appends an element's text.
    mutating func append(element: ListpackElement) {
        switch element {
        case .integer(let value): append(decimal: value)
        case .bytes(let bytes): append(bytes)
        }
    }
}
