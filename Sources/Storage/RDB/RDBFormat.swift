import Primitives

// The RDB file: a snapshot of all databases.
//
//     magic: "REDIS" and four digits, or "VALKEY" and three
//     opcodes and keys:
//         250 AUX           string name, string value
//         245 FUNCTION2     string: source of a library
//         254 SELECTDB      length
//         251 RESIZEDB      length keys, length expires
//         247 MODULE_AUX    length module id, length 2, length when (1 before the keys, 2 behind them), parts, length 0
//         key               [252 EXPIRETIME_MS i64] [248 IDLE length | 249 FREQ u8] type u8, string key, value
//     255 EOF
//     CRC-64 of all before, u64 little endian; 0: none was computed (version 5 and later)
//
//     length: 00xxxxxx             0 … 63
//             01xxxxxx xxxxxxxx    0 … 16383, big endian
//             0x80 + u32           big endian
//             0x81 + u64           big endian
//             11xxxxxx             not a length but a string encoding
//     string: length, bytes
//             0xC0 i8, 0xC1 i16, 0xC2 i32 (little endian): the decimal of that integer
//             0xC3 length compressed, length uncompressed, LZF
//
// Invariants of what is written
//  1. Lengths take the shortest form; a canonical integer of at most 32 bits is written as one.
//  2. A module's value is written back as it was read, byte for byte.

package enum RDBOpcode: UInt8, Sendable {
    case eof = 255
    case selectDatabase = 254
    case expireSeconds = 253
    case expireMilliseconds = 252
    case resizeDatabase = 251
    case aux = 250
    case frequency = 249
    case idle = 248
    case moduleAux = 247
    case functionPreRelease = 246
    case function = 245
    case slotInfo = 244
    /// Redis 8.6 and later; in Valkey 9 something else.
    case keyMetadata = 243
    case hashTemplate = 242
    case keyNoEvict = 241
    /// Dragonfly's, all of them.
    case dragonflyFullSyncEnd = 200
    case dragonflyZstdBlob = 201
    case dragonflyLZ4Blob = 202
    case dragonflyBlobEnd = 203
    case dragonflyJournalOffset = 211
    case dragonflyMask = 220

    /// Whether files of that dialect and version use the number so. Opcodes that came after a file's version are not
    /// opcodes in it.
    package func isKnown(_ dialect: RDBDialect, _ version: RDBVersion) -> Bool {
        switch self {
        case .keyMetadata: version.number >= 13
        case .hashTemplate: version.number >= 15 && dialect == .redis
        case .keyNoEvict: version.number >= 16 && dialect == .redis
        case .dragonflyFullSyncEnd, .dragonflyZstdBlob, .dragonflyLZ4Blob, .dragonflyBlobEnd, .dragonflyJournalOffset,
             .dragonflyMask: dialect == .dragonfly
        case .eof, .selectDatabase, .expireSeconds, .expireMilliseconds, .resizeDatabase, .aux, .frequency, .idle,
             .moduleAux, .functionPreRelease, .function, .slotInfo: true
        }
    }
}

/// What a value is written as. A number that two servers gave different meanings stands for Redis' one; the other's
/// case has 128 added (`init(number:_:_:)`, `number`).
package enum RDBType: UInt8, CaseIterable, Sendable {
    case string = 0, list = 1, set = 2, sortedSet = 3, hash = 4, sortedSet2 = 5
    case modulePreRelease = 6, module2 = 7
    case hashZipmap = 9, listZiplist = 10, setIntset = 11, sortedSetZiplist = 12, hashZiplist = 13
    case listQuicklist = 14, streamListpacks = 15
    case hashListpack = 16, sortedSetListpack = 17, listQuicklist2 = 18, streamListpacks2 = 19
    case setListpack = 20, streamListpacks3 = 21
    case hashMetadataPreRelease = 22, hashListpackexPreRelease = 23
    case hashMetadata = 24, hashListpackex = 25
    // Redis 8.6 and later.
    case streamListpacks4 = 26, streamListpacks5 = 27, array = 28
    case hashTemplateListpack = 29, hashTemplateListpackRef = 30, hashTemplateArray = 31, hashTemplateArrayRef = 32
    case rateLimiter = 33
    case keydbCron = 64
    case valkeyHash = 150
    case dragonflyJSON = 158, dragonflyHash = 159, dragonflySet = 160, dragonflyBloom = 161
    case dragonflyChunkedBloom = 162, dragonflyCountMin = 163, dragonflyTopK = 164, dragonflyCuckoo = 165

    /// Nil: files of that dialect and version have no such type.
    package init?(number: UInt8, _ dialect: RDBDialect, _ version: RDBVersion) {
        let isRedis = dialect == .redis
        let raw: UInt8
        switch number {
        case 0...21: raw = number
        case 22: raw = dialect == .valkey ? 150 : 22
        case 23...25 where isRedis: raw = number
        case 26 where isRedis && version.number >= 13: raw = number
        case 27...28 where isRedis && version.number >= 14: raw = number
        case 29...33 where isRedis && version.number >= 15: raw = number
        case 30...37 where dialect == .dragonfly: raw = number + 128
        case 64 where dialect == .keydb || isRedis && version <= .redis5: raw = number
        default: return nil
        }
        self.init(rawValue: raw)
    }

    /// The byte in the file.
    package var number: UInt8 { rawValue & 127 }

    /// Why no value of this server can hold it; nil: one can.
    package var obstacle: StaticString? {
        switch self {
        case .modulePreRelease: "a module value of a pre-release of Redis 4.0"
        case .array: "an array (Redis 8.8)"
        case .rateLimiter: "a rate limiter (Redis 8.8 builds with GCRA)"
        case .keydbCron: "a cron job (KeyDB)"
        case .dragonflyJSON: "a JSON document (Dragonfly)"
        case .dragonflyBloom, .dragonflyChunkedBloom: "a Bloom filter (Dragonfly)"
        case .dragonflyCountMin: "a count-min sketch (Dragonfly)"
        case .dragonflyTopK: "a top-k sketch (Dragonfly)"
        case .dragonflyCuckoo: "a cuckoo filter (Dragonfly)"
        case .string, .list, .set, .sortedSet, .hash, .sortedSet2, .module2, .hashZipmap, .listZiplist, .setIntset,
             .sortedSetZiplist, .hashZiplist, .listQuicklist, .streamListpacks, .hashListpack, .sortedSetListpack,
             .listQuicklist2, .streamListpacks2, .setListpack, .streamListpacks3, .hashMetadataPreRelease,
             .hashListpackexPreRelease, .hashMetadata, .hashListpackex, .streamListpacks4, .streamListpacks5,
             .hashTemplateListpack, .hashTemplateListpackRef, .hashTemplateArray, .hashTemplateArrayRef,
             .valkeyHash, .dragonflyHash, .dragonflySet: nil
        }
    }

    /// A stream with what its producers sent.
    var hasProducers: Bool { self == .streamListpacks4 || self == .streamListpacks5 }

    /// As redis-check-rdb names it.
    package var name: StaticString {
        switch self {
        case .string: "string"
        case .list: "list-linked"
        case .set: "set-hashtable"
        case .sortedSet: "zset-v1"
        case .hash: "hash-hashtable"
        case .sortedSet2: "zset-v2"
        case .modulePreRelease: "module-pre-release"
        case .module2: "module-value"
        case .hashZipmap: "hash-zipmap"
        case .listZiplist: "list-ziplist"
        case .setIntset: "set-intset"
        case .sortedSetZiplist: "zset-ziplist"
        case .hashZiplist: "hash-ziplist"
        case .listQuicklist: "quicklist"
        case .streamListpacks: "stream"
        case .hashListpack: "hash-listpack"
        case .sortedSetListpack: "zset-listpack"
        case .listQuicklist2: "quicklist-v2"
        case .streamListpacks2: "stream-v2"
        case .setListpack: "set-listpack"
        case .streamListpacks3: "stream-v3"
        case .hashMetadataPreRelease: "hash-hashtable-md-pre-release"
        case .hashListpackexPreRelease: "hash-listpack-md-pre-release"
        case .hashMetadata: "hash-hashtable-md"
        case .hashListpackex: "hash-listpack-md"
        case .streamListpacks4: "stream-v4"
        case .streamListpacks5: "stream-v5"
        case .array: "array"
        case .hashTemplateListpack: "hash-template-listpack"
        case .hashTemplateListpackRef: "hash-template-listpack-ref"
        case .hashTemplateArray: "hash-template-array"
        case .hashTemplateArrayRef: "hash-template-array-ref"
        case .rateLimiter: "gcra"
        case .keydbCron: "keydb-cron"
        case .valkeyHash: "valkey-hash-md"
        case .dragonflyJSON: "dragonfly-json"
        case .dragonflyHash: "dragonfly-hash-md"
        case .dragonflySet: "dragonfly-set-md"
        case .dragonflyBloom: "dragonfly-bloom"
        case .dragonflyChunkedBloom: "dragonfly-bloom-chunked"
        case .dragonflyCountMin: "dragonfly-cms"
        case .dragonflyTopK: "dragonfly-topk"
        case .dragonflyCuckoo: "dragonfly-cuckoo"
        }
    }
}

/// How a string that is not plain bytes is written: the low six bits of a length byte 11xxxxxx.
package enum RDBStringEncoding {
    package static let int8: UInt8 = 0
    package static let int16: UInt8 = 1
    package static let int32: UInt8 = 2
    package static let lzf: UInt8 = 3
}

/// The parts of a module's value: each preceded by its opcode as a length, so that it can be read by who doesn't
/// know the module.
package enum RDBModuleOpcode: UInt64, Sendable {
    case end = 0, signed = 1, unsigned = 2, float = 3, double = 4, string = 5
}

/// Container of a node of type 18.
package enum RDBQuicklistContainer {
    package static let plain: UInt64 = 1
    package static let packed: UInt64 = 2
}

/// The version of a file or a payload.
package struct RDBVersion: Comparable, Hashable, Sendable {
    package let number: Int

    package init(_ number: Int) { self.number = number }
    package static func < (a: Self, b: Self) -> Bool { a.number < b.number }

    /// Redis 5.0 to 6.2: the oldest that is written.
    package static let redis5 = RDBVersion(9)
    package static let redis7_0 = RDBVersion(10)
    package static let redis7_2 = RDBVersion(11)
    /// Redis 7.4 to 8.4: the one written by default.
    package static let redis7_4 = RDBVersion(12)
    /// Redis 8.6: streams hold what their producers sent.
    package static let redis8_6 = RDBVersion(13)
    /// Redis 8.8: streams hold pending entries without a consumer.
    package static let redis8_8 = RDBVersion(14)
    /// The newest of Redis whose files are read, as far as they hold no type unknown here.
    package static let newestRedis = RDBVersion(16)
    package static let valkey9 = RDBVersion(80)
    package static let newestValkey = RDBVersion(81)

    /// Versions from this on end with a checksum.
    package var hasChecksum: Bool { number >= 5 }

    /// Whether files of this version are read.
    package static func isReadable(_ number: Int) -> Bool {
        1...newestRedis.number ~= number || valkey9.number...newestValkey.number ~= number
    }
}

/// Whose file it is, where numbers have two meanings: told by the magic, else by AUX fields, else by the version.
package enum RDBDialect: String, Sendable {
    case redis, valkey, keydb, dragonfly

    /// What an AUX field of that name tells.
    package init?(aux name: Bytes) {
        if name.elementsEqual("valkey-ver".utf8) {
            self = .valkey
        } else if name.elementsEqual("df-ver".utf8) {
            self = .dragonfly
        } else if name.elementsEqual("mvcc-tstamp".utf8) || name.starts(with: "keydb-".utf8)
                    || name.elementsEqual("repl-masters".utf8) {
            self = .keydb
        } else {
            return nil
        }
    }
}

/// The nine characters of a module type's name, and its encoding version, in 64 bits.
package struct RDBModuleID: Hashable, Sendable {
    package let rawValue: UInt64

    package init(rawValue: UInt64) { self.rawValue = rawValue }

    package var encodingVersion: Int { Int(rawValue & 1023) }

    package var name: String {
        let characters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
        let codes = (0..<9).map { characters[Int(rawValue >> UInt64(58 - 6 * $0)) & 63] }
        return String(decoding: codes, as: UTF8.self)
    }
}

/// What files from outside may not exceed.
package enum RDBLimits {
    /// A string: what Redis' `proto-max-bulk-len` may be set to on any sensible machine, and what fits 32 bits.
    package static let stringBytes = 1 << 32 - 1
    /// An element of a collection.
    package static let elementBytes = 1 << 31 - 1
    /// Time at which a hash field expires, Unix ms.
    package static let fieldExpire: UInt64 = 0xffff_ffff_fffe
    /// Read at once from a file, and the least that is buffered.
    package static let bufferBytes = 1 << 18
    /// Grown to in advance of the bytes that a length promises.
    package static let trustedBytes = 1 << 20
    /// Entries that a RESIZEDB hint or a count may reserve room for.
    package static let trustedCount = 1 << 24
    /// Elements of a collection that a declared count may reserve room for, per byte that is left: none is smaller.
    package static let elementsPerReservation = 1 << 16
    /// Findings that a check's report keeps.
    package static let findings = 1000
    /// Field names of all hash templates of a file together.
    package static let templateFields = 1 << 20
    /// An uncompressed blob of Dragonfly's.
    package static let blobBytes = 1 << 28
    package static let databaseIndex = 1 << 20
}
