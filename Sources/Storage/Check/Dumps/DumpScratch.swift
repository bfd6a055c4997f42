import Keyspace
import Primitives

/// Decodes keys of a dump one at a time, exactly as a server would that loads it, duplicates within collections
/// included; memory for one key at a time.
struct DumpScratch: ~Copyable {
    private var keyspace: Keyspace
    private var current = OwnedBytes(capacity: 256)
    private var isFull = false

    init() {
        keyspace = Keyspace(databaseCount: 1, seed: .random(), random: RandomSource(seed: 1))
        keyspace.expiryPolicy = .ignore
    }

    /// Consumes a value from `input` and builds it.
    /// - Returns: nil for an empty collection, which servers leave out; else good until the next call.
    mutating func decode(_ key: Bytes, _ attributes: RDBKeyAttributes, _ type: RDBType,
                         _ input: inout RDBInput) throws(StorageError) -> Entry? {
        clear()
        let start = input.offset
        let raw = try input.recordValue(type)
        var value = input.nested(raw, at: start)
        let expire = attributes.expire.flatMap { $0.rawValue == -1 ? nil : $0 }
        if type == .string {
            _ = keyspace.loadString(key, try value.string(), in: 0, expire: expire, access: nil)
        } else if let decoded = try value.value(type, keyspace, isThorough: true) {
            _ = keyspace.load(key, decoded, in: 0, expire: expire, access: nil)
        } else {
            return nil
        }
        current.append(key)
        isFull = true
        input.lostParts += value.lostParts
        guard try !value.hasMore() else { throw value.corrupt("more bytes than the value has") }
        return keyspace.find(key, in: 0, .peek)
    }

    /// The key decoded last, if there is one.
    mutating func last() -> Entry? { isFull ? keyspace.find(current.bytes, in: 0, .peek) : nil }

    /// Gives a field of the last key an expire. False: it is no hash.
    mutating func setExpire(of field: Bytes, _ time: UnixMilliseconds) -> Bool {
        guard let entry = last() else { return true }
        guard entry.type == .hash else { return false }
        var hash = HashValue(entry)
        if hash.contains(field), time.rawValue <= Int64(RDBLimits.fieldExpire) {
            hash.setExpire(field, time.rawValue)
            hash.store(entry)
            keyspace.setFieldExpires(entry, hash.minimumExpire != nil, in: 0)
        }
        return true
    }

    mutating func clear() {
        if isFull { _ = keyspace.delete(current.bytes, in: 0, lazily: false) }
        isFull = false
        current.removeAll(keeping: 1 << 12)
    }
}

extension RDBInput {
    /// Consumes a value by its layout; its bytes, good until the next read.
    mutating func recordValue(_ type: RDBType) throws(StorageError) -> Bytes {
        startRecording()
        do throws(StorageError) {
            try skipValue(type)
        } catch {
            _ = endRecording()
            throw error
        }
        return endRecording()
    }

    /// An input of bytes that were consumed from this one.
    func nested(_ bytes: Bytes, at offset: Int) -> RDBInput {
        var input = RDBInput(bytes, named: path)
        input.base = offset
        input.fixedOffset = fixedOffset
        input.dialect = dialect
        input.version = version
        input.skipsUnsupported = skipsUnsupported
        input.templates = templates
        input.computesChecksum = false
        return input
    }
}

/// Keys that were there already, by 64 bits of a keyed hash: two keys in one that are taken for one are less likely
/// than a disk that lies.
struct DumpKeys {
    private var seen: Set<UInt64> = []
    private let seed = HashSeed.random()

    mutating func insert(_ key: Bytes, _ database: Int) -> Bool {
        seen.insert(SipHash.hash(key, HashSeed(k0: seed.k0 ^ UInt64(database), k1: seed.k1))).inserted
    }
}

/// Which keys a tool looks at.
package struct DumpSelection: Sendable {
    /// Nil: all.
    package var databases: Set<Int>?
    /// Names as TYPE gives them; nil: all.
    package var types: Set<String>?
    /// A glob pattern; nil: all.
    package var pattern: [UInt8]?

    package init() {}

    package static let typeNames: Set<String> = ["string", "list", "set", "zset", "hash", "stream", "module", "other"]

    package var isEverything: Bool { databases == nil && types == nil && pattern == nil }

    func includes(_ key: Bytes, _ type: RDBType, _ database: Int) -> Bool {
        if let databases, !databases.contains(database) { return false }
        if let types, !types.contains(type.valueName) { return false }
        guard let pattern else { return true }
        return pattern.withUnsafeBytes { Glob.matches($0, key) }
    }
}

extension RDBType {
    /// What TYPE says of such a value; `other`: no server but its own has it.
    package var valueName: String {
        switch self {
        case .string: "string"
        case .list, .listZiplist, .listQuicklist, .listQuicklist2: "list"
        case .set, .setIntset, .setListpack, .dragonflySet: "set"
        case .sortedSet, .sortedSet2, .sortedSetZiplist, .sortedSetListpack: "zset"
        case .hash, .hashZipmap, .hashZiplist, .hashListpack, .hashMetadataPreRelease, .hashListpackexPreRelease,
             .hashMetadata, .hashListpackex, .hashTemplateListpack, .hashTemplateListpackRef, .hashTemplateArray,
             .hashTemplateArrayRef, .valkeyHash, .dragonflyHash: "hash"
        case .streamListpacks, .streamListpacks2, .streamListpacks3, .streamListpacks4, .streamListpacks5: "stream"
        case .module2, .modulePreRelease: "module"
        case .array, .rateLimiter, .keydbCron, .dragonflyJSON, .dragonflyBloom, .dragonflyChunkedBloom,
             .dragonflyCountMin, .dragonflyTopK, .dragonflyCuckoo: "other"
        }
    }
}
