import Keyspace
import Primitives

/// What a dump's keys are: by type, by prefix, by time to live, and the biggest of them. Memory is what the key would
/// take in this server.
package struct DumpStatistics: Sendable {
    package struct Sum: Sendable, Equatable {
        package var keys = 0
        /// Elements of collections, bytes of strings.
        package var elements = 0
        /// In the file.
        package var bytes = 0
        package var memory = 0
    }

    package struct Key: Sendable {
        package var name: String
        package var database: Int
        package var type: String
        package var elements: Int
        package var bytes: Int
        package var memory: Int
    }

    package static let lifetimes: [(name: String, seconds: Int64)] = [
        ("expired", 0), ("1 minute", 60), ("1 hour", 3600), ("1 day", 86400), ("1 week", 604_800),
        ("30 days", 2_592_000), ("1 year", 31_536_000), ("longer", .max),
    ]
    /// More prefixes than this are summed up as one.
    private static let prefixLimit = 20_000

    package var types: [String: Sum] = [:]
    package var prefixes: [String: Sum] = [:]
    package var otherPrefixes = Sum()
    package var persistent = 0
    /// Keys that expire, by `lifetimes`.
    package var expiring = [Int](repeating: 0, count: lifetimes.count)
    /// In falling order of memory.
    package private(set) var biggest: [Key] = []

    private let limit: Int
    private let separator: UInt8
    private let depth: Int
    private let now: UnixMilliseconds

    package init(now: UnixMilliseconds, biggest limit: Int = 10, separator: UInt8 = UInt8(ascii: ":"), depth: Int = 1) {
        self.now = now
        self.limit = limit
        self.separator = separator
        self.depth = depth
    }

    mutating func add(_ entry: Entry, _ database: Int, bytes: Int) {
        let memory = entry.memoryBytes(samples: 5), type = entry.type.name.text, elements = Self.elements(entry)
        let own = Sum(keys: 1, elements: elements, bytes: bytes, memory: memory)
        types[type, default: Sum()].add(own)
        addPrefix(entry.key, own)
        addLifetime(entry.expire)
        guard limit > 0, biggest.count < limit || memory > biggest[biggest.count - 1].memory else { return }
        let key = Key(name: String(decoding: entry.key.prefix(256), as: UTF8.self), database: database, type: type,
                      elements: elements, bytes: bytes, memory: memory)
        let place = biggest.firstIndex { $0.memory < memory } ?? biggest.count
        biggest.insert(key, at: place)
        if biggest.count > limit { biggest.removeLast() }
    }

    private mutating func addPrefix(_ key: Bytes, _ own: Sum) {
        var left = depth, end = 0
        while end < key.count {
            if key[end] == separator {
                left -= 1
                if left == 0 { break }
            }
            end += 1
        }
        let name = left > 0 ? "" : String(decoding: key[..<min(end + 1, 128, key.count)], as: UTF8.self)
        if prefixes[name] == nil, prefixes.count >= Self.prefixLimit {
            otherPrefixes.add(own)
        } else {
            prefixes[name, default: Sum()].add(own)
        }
    }

    private mutating func addLifetime(_ expire: UnixMilliseconds?) {
        guard let expire else {
            persistent += 1
            return
        }
        let seconds = expire < now ? -1 : (expire.rawValue &- now.rawValue) / 1000
        let index = Self.lifetimes.firstIndex { seconds < $0.seconds } ?? Self.lifetimes.count - 1
        expiring[index] += 1
    }

    private static func elements(_ entry: Entry) -> Int {
        switch entry.type {
        case .string: entry.stringCount
        case .list: ListValue(entry).count
        case .set: SetValue(entry).count
        case .sortedSet: SortedSetValue(entry).count
        case .hash: HashValue(entry).count
        case .stream: StreamValue(entry).count
        case .module: 1
        }
    }
}

extension DumpStatistics.Sum {
    mutating func add(_ other: Self) {
        keys += other.keys
        elements += other.elements
        bytes += other.bytes
        memory += other.memory
    }

    fileprivate var json: String {
        JSONText.object([JSONText.field("keys", keys), JSONText.field("elements", elements),
                         JSONText.field("bytes", bytes), JSONText.field("memory", memory)])
    }
}

// MARK: - As text

extension DumpStatistics {
    private static let prefixesShown = 20

    private var prefixesBySize: [(key: String, value: Sum)] {
        prefixes.sorted { ($1.value.memory, $0.key) < ($0.value.memory, $1.key) }
    }

    package var lines: [String] {
        var lines = ["[stats] type        keys     elements   bytes in file       memory"]
        for (name, sum) in types.sorted(by: { $0.key < $1.key }) { lines.append("[stats] " + Self.row(name, sum)) }
        lines.append("[stats] biggest keys by memory:")
        for key in biggest {
            lines.append("[stats]   \(Self.size(key.memory)) memory, \(Self.size(key.bytes)) in file, "
                         + "\(key.elements) elements: \(key.type) '\(key.name)' of DB \(key.database)")
        }
        lines.append("[stats] prefix      keys     elements   bytes in file       memory")
        for (name, sum) in prefixesBySize.prefix(Self.prefixesShown) {
            lines.append("[stats] " + Self.row(name.isEmpty ? "(none)" : name, sum))
        }
        if prefixes.count > Self.prefixesShown || otherPrefixes.keys > 0 {
            lines.append("[stats] … and \(max(prefixes.count - Self.prefixesShown, 0)) more prefixes")
        }
        lines.append("[stats] time to live: \(persistent) keys never expire")
        for (index, count) in expiring.enumerated() where count > 0 {
            let name = Self.lifetimes[index].name
            let label = index == 0 ? "expired already" : name == "longer" ? "longer" : "less than \(name)"
            lines.append("[stats]   \(Self.padded("\(count)", 10)) \(label)")
        }
        return lines
    }

    private static func row(_ name: String, _ sum: Sum) -> String {
        let columns = [padded("\(sum.keys)", 6), padded("\(sum.elements)", 12), padded(size(sum.bytes), 15),
                       padded(size(sum.memory), 12)]
        return name + String(repeating: " ", count: max(10 - name.count, 1)) + columns.joined(separator: " ")
    }

    private static func padded(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(width - text.count, 0)) + text
    }

    static func size(_ bytes: Int) -> String {
        let units = ["B", "KB", "MB", "GB", "TB"]
        var unit = 0, value = Double(bytes)
        while value >= 1024, unit < units.count - 1 {
            value /= 1024
            unit += 1
        }
        if unit == 0 { return "\(bytes) B" }
        let tenths = Int((value * 10).rounded())
        return "\(tenths / 10).\(tenths % 10) \(units[unit])"
    }

    package var json: String {
        let typeFields = types.sorted { $0.key < $1.key }.map { "\(JSONText.quoted($0.key)):\($0.value.json)" }
        let prefixFields = prefixesBySize.map { "\(JSONText.quoted($0.key)):\($0.value.json)" }
        let keys = biggest.map { key in
            JSONText.object([JSONText.field("key", key.name), JSONText.field("db", key.database),
                             JSONText.field("type", key.type), JSONText.field("elements", key.elements),
                             JSONText.field("bytes", key.bytes), JSONText.field("memory", key.memory)])
        }
        let lives = zip(Self.lifetimes, expiring).map { "\(JSONText.quoted($0.name)):\($1)" }
        return JSONText.object([
            JSONText.field("types", json: JSONText.object(typeFields)),
            JSONText.field("biggest", json: JSONText.array(keys)),
            JSONText.field("prefixes", json: JSONText.object(prefixFields)),
            JSONText.field("other_prefixes", json: otherPrefixes.json),
            JSONText.field("persistent", persistent),
            JSONText.field("ttl", json: JSONText.object(lives)),
        ])
    }
}
