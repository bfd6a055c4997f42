import Primitives

/// What a key holds; raw values are those of the RDB-independent object types, in the order of `TYPE` numbers.
package enum ValueType: UInt8, CaseIterable, Sendable {
    case string = 0, list = 1, set = 2, sortedSet = 3, hash = 4, module = 5, stream = 6

    /// The reply of TYPE. Module values answer with their module type's name instead.
    package var name: StaticString {
        switch self {
        case .string: "string"
        case .list: "list"
        case .set: "set"
        case .sortedSet: "zset"
        case .hash: "hash"
        case .module: "module"
        case .stream: "stream"
        }
    }
}

/// How a value is held; raw values are the field's encoding numbers.
package enum Encoding: UInt8, CaseIterable, Sendable {
    case raw = 0, int = 1, hashtable = 2, intset = 6, skiplist = 7, embstr = 8, quicklist = 9, stream = 10
    case listpack = 11, listpackex = 12

    /// The reply of OBJECT ENCODING.
    package var name: StaticString {
        switch self {
        case .raw: "raw"
        case .int: "int"
        case .hashtable: "hashtable"
        case .intset: "intset"
        case .skiplist: "skiplist"
        case .embstr: "embstr"
        case .quicklist: "quicklist"
        case .stream: "stream"
        case .listpack: "listpack"
        case .listpackex: "listpackex"
        }
    }
}

/// When values change their encoding, and the other settings that the data plane reads. Set by configuration;
/// the defaults are Redis 7.4's.
package struct Thresholds: Sendable {
    package var hashMaxListpackEntries = 512
    package var hashMaxListpackValue = 64
    package var setMaxIntsetEntries = 512
    package var setMaxListpackEntries = 128
    package var setMaxListpackValue = 64
    package var zsetMaxListpackEntries = 128
    package var zsetMaxListpackValue = 64
    package var listMaxListpackSize = -2
    package var listCompressDepth = 0
    /// Elements of at least this many bytes get a quicklist node of their own; 0: by the node limit.
    package var quicklistPackedThreshold = 0
    package var streamNodeMaxBytes = 4096
    package var streamNodeMaxEntries = 100
    /// Seconds, and messages of one producer: what streams remember that have no settings of their own.
    package var streamIdmpDuration = 100
    package var streamIdmpMaxsize = 100
    package var hllSparseMaxBytes = 3000
    package var protoMaxBulkLength = 512 << 20
    package var lazyfreeLazyExpire = false
    package var lazyfreeLazyServerDel = false
    package var lazyfreeLazyUserDel = false
    package var lazyfreeLazyUserFlush = false
    /// Version of DUMP payloads and snapshots, and whether long strings in them are compressed.
    package var rdbVersion = 12
    package var rdbCompression = true
    package init() {}
}
