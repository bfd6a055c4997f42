import Foundation
import Keyspace
import Primitives
import Storage

/// What a real server said about one of its keys (Fixtures/servers/*/keys.jsonl).
struct RecordedKey {
    let database: Int
    let key: [UInt8]
    let type: String
    let encoding: String
    /// Unix ms; -1: none.
    let expire: Int64
    let digest: String
    /// Where it is long it was not kept.
    let dump: [UInt8]?

    var name: String { "\(database) \(String(decoding: key.prefix(40), as: UTF8.self))" }

    /// The keys of a server, and the digest of all of them.
    static func all(of server: String) throws -> (keys: [RecordedKey], digest: String) {
        var keys: [RecordedKey] = []
        var digest = ""
        let text = try RDBFixture.bytes("\(RDBFixture.directory)/\(server)/keys.jsonl")
        for line in text.split(separator: 10) {
            guard let row = try JSONSerialization.jsonObject(with: Data(line)) as? [String: Any] else { continue }
            if let whole = row["dataset_digest"] as? String { digest = whole }
            guard let key = row["key"] as? String else { continue }
            keys.append(RecordedKey(
                database: row["db"] as? Int ?? 0, key: bytes(key) ?? [], type: row["type"] as? String ?? "",
                encoding: row["encoding"] as? String ?? "",
                expire: (row["pexpiretime"] as? NSNumber)?.int64Value ?? -1, digest: row["digest"] as? String ?? "",
                dump: (row["dump"] as? String).flatMap(bytes)))
        }
        return (keys, digest)
    }

    private static func bytes(_ base64: String) -> [UInt8]? { Data(base64Encoded: base64).map { [UInt8]($0) } }
}

func owned(_ bytes: [UInt8]) -> OwnedBytes {
    var copy = OwnedBytes(capacity: bytes.count)
    bytes.withUnsafeBytes { copy.append($0) }
    return copy
}

/// A keyspace to load into, and what one asks it.
final class LoadTarget {
    var keyspace = Keyspace(databaseCount: 16, seed: HashSeed(k0: 1, k1: 2), random: RandomSource(seed: 3))

    func load(_ bytes: [UInt8], _ change: (inout RDBLoadOptions) -> Void = { _ in }) throws(StorageError)
        -> (keys: Int, expired: Int, empty: Int, aux: [String], functions: [String], end: Int) {
        var options = RDBLoadOptions()
        options.now = UnixMilliseconds(1_790_000_000_000)
        options.fileBytes = bytes.count
        change(&options)
        let copy = owned(bytes)
        let result = try RDBLoader.load(RDBInput(copy.bytes), into: &keyspace, options: options) { _ in }
        var functions: [String] = []
        result.functions.forEach { functions.append(String(decoding: $0, as: UTF8.self)) }
        return (result.keysLoaded, result.keysExpired, result.emptyKeysSkipped,
                result.aux.map { "\($0.name)=\($0.value)" }, functions, result.endOffset)
    }

    func find(_ key: [UInt8], _ database: Int = 0) -> Entry? {
        let name = owned(key)
        return keyspace.databases[database].keys.find(name.bytes).map { Entry($0) }
    }

    func dump(_ entry: Entry, _ version: RDBVersion = .redis7_4) -> [UInt8] {
        var target = OwnedBytes()
        RDBPayload.dump(entry, version: version, into: &target)
        return [UInt8](target.bytes)
    }

    /// Puts a payload's value at key `k` of database 0; nil: it was empty.
    func restore(_ payload: [UInt8]) throws(StorageError) -> Entry? {
        let copy = owned(payload)
        let key = owned([107])
        guard let value = try RDBPayload.restore(copy.bytes, keyspace) else { return nil }
        return keyspace.set(key.bytes, to: value, in: 0)
    }

    var keyCount: Int { (0..<16).reduce(0) { $0 + keyspace.databases[$1].keys.count } }

    /// The whole as a file's bytes.
    func snapshot(_ change: (inout RDBSnapshotOptions) -> Void = { _ in }) -> [UInt8] {
        let path = "/tmp/rdb-test-\(UInt64.random(in: 0 ..< .max))"
        let descriptor = open(path, O_RDWR | O_CREAT | O_EXCL, 0o600)
        defer { close(descriptor); unlink(path) }
        var options = RDBSnapshotOptions()
        change(&options)
        let status = RDBSnapshotWriter.write(databases: keyspace.databases, count: keyspace.databaseCount,
                                             to: descriptor, options: options) { _ in }
        guard status == 0 else { return [] }
        return (try? RDBFixture.bytes(path)) ?? []
    }
}

extension [UInt8] {
    var hex: String { map { String(format: "%02x", $0) }.joined() }
}
