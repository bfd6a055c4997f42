import Keyspace
import Primitives

// What differs between two dumps: keys that only one has, and keys whose value or expire differs. Two values are equal
// if they are for a client: how they are encoded, and the order of what has none, do not count.
//
// Per key of the first dump 16 bytes are kept: a keyed hash of its name and database, and 64 bits of a digest. The
// first dump is read twice, for the names of the keys that only it has.

package struct DumpDiffReport: Sendable {
    package enum Kind: String, Sendable {
        case removed, added, changed
    }

    package struct Difference: Sendable {
        package var kind: Kind
        package var database: Int
        package var key: String
        package var type: String
    }

    package var equal = 0
    package var removed = 0
    package var added = 0
    package var changed = 0
    /// The first thousand.
    package var differences: [Difference] = []

    package var isEqual: Bool { removed + added + changed == 0 }

    mutating func add(_ kind: Kind, _ key: Bytes, _ database: Int, _ type: RDBType) {
        switch kind {
        case .removed: removed += 1
        case .added: added += 1
        case .changed: changed += 1
        }
        guard differences.count < RDBLimits.findings else { return }
        differences.append(Difference(kind: kind, database: database,
                                      key: String(decoding: key.prefix(256), as: UTF8.self), type: type.valueName))
    }

    package var lines: [String] {
        var lines = differences.map { item in
            let sign = item.kind == .removed ? "-" : item.kind == .added ? "+" : "~"
            return "\(sign) \(item.type) '\(item.key)' of DB \(item.database)"
        }
        let told = differences.count, all = removed + added + changed
        if told < all { lines.append("… and \(all - told) more") }
        lines.append("[info] \(equal) keys equal, \(removed) only in the first, \(added) only in the second, "
                     + "\(changed) changed")
        return lines
    }

    package var json: String {
        let items = differences.map { item in
            JSONText.object([JSONText.field("kind", item.kind.rawValue), JSONText.field("db", item.database),
                             JSONText.field("key", item.key), JSONText.field("type", item.type)])
        }
        return JSONText.object([
            JSONText.field("equal", equal), JSONText.field("removed", removed), JSONText.field("added", added),
            JSONText.field("changed", changed), JSONText.field("differences", json: JSONText.array(items)),
        ])
    }
}

package enum DumpDiff {
    package static func run(_ first: String, _ second: String, _ selection: DumpSelection, skipsUnsupported: Bool,
                            in fileSystem: any FileSystem,
                            _ progress: @escaping (Int) -> Void) throws(StorageError) -> DumpDiffReport {
        let seed = HashSeed.random()
        var visitor = DiffVisitor(seed, selection, progress)
        try walk(first, &visitor, skipsUnsupported, fileSystem)
        visitor.phase = .comparing
        try walk(second, &visitor, skipsUnsupported, fileSystem)
        if !visitor.known.isEmpty {
            visitor.phase = .naming
            try walk(first, &visitor, skipsUnsupported, fileSystem)
        }
        return visitor.report
    }

    private static func walk(_ path: String, _ visitor: inout DiffVisitor, _ skipsUnsupported: Bool,
                             _ fileSystem: any FileSystem) throws(StorageError) {
        let file = try fileSystem.open(path, .read)
        defer { fileSystem.close(file) }
        var walker = RDBWalker(RDBInput(path, try RDBCompressedFile.source(file, in: fileSystem)))
        walker.input.skipsUnsupported = skipsUnsupported
        visitor.database = 0
        do throws(StorageError) {
            try walker.walk(&visitor)
        } catch {
            throw RDBLoader.told(error, walker)
        }
        visitor.flush()
    }
}

private struct DiffVisitor: RDBVisitor, ~Copyable {
    enum Phase { case collecting, comparing, naming }

    var report = DumpDiffReport()
    var phase = Phase.collecting
    var database = 0
    /// Of the first dump's keys that the second has not shown yet.
    var known: [UInt64: UInt64] = [:]
    private var scratch = DumpScratch()
    private let seed: HashSeed
    private let selection: DumpSelection
    private let progress: (Int) -> Void
    private var waiting: RDBType?
    private var waitingDatabase = 0

    init(_ seed: HashSeed, _ selection: DumpSelection, _ progress: @escaping (Int) -> Void) {
        self.seed = seed
        self.selection = selection
        self.progress = progress
    }

    mutating func selectDatabase(_ index: Int, at offset: Int) { database = index }

    mutating func memberExpire(_ member: Bytes, _ time: UnixMilliseconds, of key: Bytes) -> Bool {
        waiting == nil || scratch.setExpire(of: member, time)
    }

    mutating func value(of key: Bytes, _ attributes: RDBKeyAttributes, _ type: RDBType,
                        _ input: inout RDBInput) throws(StorageError) {
        flush()
        progress(input.offset)
        guard selection.includes(key, type, database) else { return try input.skipValue(type) }
        guard try scratch.decode(key, attributes, type, &input) != nil else { return }
        waiting = type
        waitingDatabase = database
    }

    /// Deals with the key that was read last, when nothing more can belong to it.
    mutating func flush() {
        guard let type = waiting else { return }
        waiting = nil
        guard let entry = scratch.last() else { return }
        let name = SipHash.hash(entry.key, HashSeed(k0: seed.k0 ^ UInt64(waitingDatabase), k1: seed.k1))
        switch phase {
        case .collecting: known[name] = DumpDigest.of(entry)
        case .comparing:
            guard let digest = known.removeValue(forKey: name) else {
                return report.add(.added, entry.key, waitingDatabase, type)
            }
            if digest == DumpDigest.of(entry) {
                report.equal += 1
            } else {
                report.add(.changed, entry.key, waitingDatabase, type)
            }
        case .naming:
            if known.removeValue(forKey: name) != nil { report.add(.removed, entry.key, waitingDatabase, type) }
        }
    }
}

