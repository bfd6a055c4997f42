import Keyspace
import Primitives
import Synchronization

// Keys that stand one after another in an RDB file, loaded by all threads: the stages of a `LoadPipeline`.
//
//     cut      reads (which sums the checksum, and decompresses a compressed file) and walks over whole keys by their
//              layout; their bytes are a chunk
//     decode   makes entries of a chunk's keys, in memory of the data plane, with their hashes: decompression, checks,
//              containers
//     add      the engine's thread puts them into the tables: `LoadVisitor`
//
// A stretch ends before everything that is no plain key: opcodes, types that need what stands elsewhere in the file,
// values of more than 16 MB, and anything that looks wrong. The bytes of it are given back to the input
// (`RDBInput.rewind`), and the walker reads it as ever: so errors are found, and told, by the code that one thread
// would run. What decoding finds wrong is told when all keys before it were added.
//
// Memory: at most 32 MB of chunks and one more, and what was made of them.

final class RDBStretch: LoadStages, @unchecked Sendable {
    // @unchecked: the walker, and what was cut last, are touched by one thread at a time, the one that cuts, and by
    // nobody else until the stretch has ended; a chunk by whoever has it.

    /// Keys for which memory is asked ahead of adding them.
    static let prefetched = 16
    static let worthwhileBytes = 1 << 12
    private static let valueBytes = 16 << 20

    /// What decoding needs to know.
    struct Context {
        let version: RDBVersion
        let dialect: RDBDialect
        let database: Int
        let dropsExpired: Bool
        let isThorough: Bool
        let skipsUnsupported: Bool
        let now: UnixMilliseconds
        let thresholds: Thresholds
        let hashes: UnsafeMutablePointer<HashContext>
        let usesLFU: Bool
        let accessClock: UInt32
        let chunkBytes: Int

        init(_ walker: borrowing RDBWalker, _ keyspace: borrowing Keyspace, _ options: RDBLoadOptions,
             _ database: Int) {
            version = walker.input.version
            dialect = walker.input.dialect
            self.database = database
            dropsExpired = options.dropsExpired
            isThorough = options.isThorough
            skipsUnsupported = options.skipsUnsupported
            now = options.now
            thresholds = keyspace.thresholds
            hashes = keyspace.context
            usesLFU = keyspace.usesLFU
            accessClock = keyspace.accessClock
            chunkBytes = options.plan.chunkBytes
        }
    }

    struct Key {
        let made: LoadedKey
        let type: RDBType
        /// Where its value ends in the file.
        let end: Int
    }

    private let walker: UnsafeMutablePointer<RDBWalker>
    private let context: Context
    private let path: String
    private let accessClock: Atomic<UInt32>
    /// KeyDB tells of itself only behind a key, and what it tells is about that key.
    private var last = OwnedBytes(capacity: 64)
    /// Of the key that is being passed.
    private var name = OwnedBytes(capacity: 64)
    private var hasLast = false

    init(_ walker: UnsafeMutablePointer<RDBWalker>, _ context: Context) {
        self.walker = walker
        self.context = context
        path = walker.pointee.input.path
        accessClock = Atomic(context.accessClock)
    }

    /// Servers that write things about a key behind it, or keys in compressed blobs, are left to one thread.
    static func isPossible(_ walker: borrowing RDBWalker) -> Bool {
        switch walker.input.dialect {
        case .redis, .valkey: true
        case .keydb, .dragonfly: false
        }
    }

    /// Of all that was cut; nil: nothing was.
    var lastKey: Bytes? { hasLast ? last.bytes : nil }

    /// The time goes on; what is made from now on was accessed then.
    func noteAccessClock(_ keyspace: borrowing Keyspace) {
        accessClock.store(keyspace.accessClock, ordering: .relaxed)
    }

    func makeChunk() -> Chunk { Chunk(context) }

    func byteCount(_ chunk: Chunk) -> Int { chunk.bytes.capacity }

    // MARK: Cutting

    func cut(_ chunk: Chunk) -> Bool {
        chunk.empty()
        chunk.start = walker.pointee.input.offset
        walker.pointee.input.recordLimit = Self.valueBytes
        walker.pointee.input.startRecording(into: &chunk.bytes)
        var goesOn = true
        while goesOn {
            let whole = walker.pointee.input.recordedCount
            if whole >= context.chunkBytes { break }
            do throws(StorageError) {
                goesOn = try pass(&walker.pointee.input)
            } catch {
                goesOn = false
            }
            if !goesOn { walker.pointee.input.rewind(toRecorded: whole) }
        }
        walker.pointee.input.endRecording(into: &chunk.bytes)
        walker.pointee.input.recordLimit = Int.max
        return goesOn
    }

    /// One key with what stands before it. False: something else is next.
    private func pass(_ input: inout RDBInput) throws(StorageError) -> Bool {
        while true {
            let number = try input.byte()
            if let opcode = RDBOpcode(rawValue: number), opcode.isKnown(context.dialect, context.version) {
                switch opcode {
                case .expireSeconds: try input.skip(4)
                case .expireMilliseconds: try input.skip(8)
                case .frequency: try input.skip(1)
                case .idle: _ = try input.length()
                case .eof, .selectDatabase, .resizeDatabase, .aux, .moduleAux, .functionPreRelease, .function,
                     .slotInfo, .keyMetadata, .hashTemplate, .keyNoEvict, .dragonflyFullSyncEnd, .dragonflyZstdBlob,
                     .dragonflyLZ4Blob, .dragonflyBlobEnd, .dragonflyJournalOffset, .dragonflyMask: return false
                }
                continue
            }
            guard let type = RDBType(number: number, context.dialect, context.version), type.standsAlone else {
                return false
            }
            name.truncate(to: 0)
            name.append(try input.string())
            try input.skipValue(type)
            swap(&last, &name)
            hasLast = true
            return true
        }
    }

    // MARK: Decoding

    func decode(_ chunk: Chunk) {
        var input = RDBInput(chunk.bytes.bytes, named: path)
        input.base = chunk.start
        input.version = context.version
        input.dialect = context.dialect
        input.skipsUnsupported = context.skipsUnsupported
        var walker = RDBWalker(input, verifiesChecksum: false)
        walker.begin(in: context.database)
        chunk.keyspace.accessClock = accessClock.load(ordering: .relaxed)
        var visitor = Maker(chunk, context)
        do throws(StorageError) {
            while try walker.input.hasMore() { _ = try walker.readRecord(&visitor) }
        } catch {
            chunk.failure = RDBLoader.told(error, walker)
        }
    }

    // MARK: Chunks

    final class Chunk {
        var bytes = OwnedBytes(capacity: 1 << 18)
        /// Offset in the file of the first byte.
        fileprivate(set) var start = 0
        private(set) var keys: UnsafeMutablePointer<Key>
        private var capacity = 1024
        private(set) var count = 0
        /// So many of the keys are no longer the chunk's.
        var added = 0
        fileprivate(set) var expired = 0
        fileprivate(set) var emptyKeysSkipped = 0
        fileprivate(set) var losses: [RDBLoss] = []
        fileprivate(set) var failure: StorageError?
        /// In which values are made.
        fileprivate var keyspace: Keyspace

        fileprivate init(_ context: Context) {
            keys = .allocate(capacity: capacity)
            keyspace = Keyspace(makingValuesFor: context.hashes, context.thresholds)
            keyspace.usesLFU = context.usesLFU
            keyspace.now = context.now
        }

        deinit {
            discardKeys()
            keys.deallocate()
        }

        private func discardKeys() {
            for index in added..<max(count, added) { keys[index].made.discard() }
        }

        fileprivate func empty() {
            discardKeys()
            count = 0
            added = 0
            expired = 0
            emptyKeysSkipped = 0
            losses = []
            failure = nil
            bytes.removeAll(keeping: 1 << 18)
        }

        fileprivate func append(_ key: Key) {
            if count == capacity {
                let larger = UnsafeMutablePointer<Key>.allocate(capacity: capacity * 2)
                larger.moveInitialize(from: keys, count: count)
                keys.deallocate()
                keys = larger
                capacity *= 2
            }
            (keys + count).initialize(to: key)
            count += 1
        }
    }

    /// Makes the keys of one chunk.
    private struct Maker: RDBVisitor {
        private let chunk: Chunk
        private let context: Context

        init(_ chunk: Chunk, _ context: Context) {
            self.chunk = chunk
            self.context = context
        }

        mutating func lost(_ loss: RDBLoss) { chunk.losses.append(loss) }

        mutating func value(of key: Bytes, _ attributes: RDBKeyAttributes, _ type: RDBType,
                            _ input: inout RDBInput) throws(StorageError) {
            if let expire = attributes.expire, context.dropsExpired, expire < context.now, expire.rawValue != -1 {
                try input.skipValue(type)
                chunk.expired += 1
                return
            }
            let access = chunk.keyspace.access(idleSeconds: attributes.idleSeconds, frequency: attributes.frequency)
            let expire = attributes.expire.flatMap { $0.rawValue == -1 ? nil : $0 }
            let made: LoadedKey
            if type == .string {
                made = chunk.keyspace.makeString(key, try input.string(), expire: expire, access: access)
            } else if let value = try input.value(type, chunk.keyspace, isThorough: context.isThorough) {
                made = chunk.keyspace.make(key, value, expire: expire, access: access)
            } else {
                chunk.emptyKeysSkipped += 1
                return
            }
            chunk.append(Key(made: made, type: type, end: input.offset))
        }
    }
}

extension RDBType {
    /// A value of it can be read without anything that stands elsewhere in the file, and held.
    fileprivate var standsAlone: Bool {
        switch self {
        case .string, .list, .set, .sortedSet, .hash, .sortedSet2, .module2, .hashZipmap, .listZiplist, .setIntset,
             .sortedSetZiplist, .hashZiplist, .listQuicklist, .streamListpacks, .hashListpack, .sortedSetListpack,
             .listQuicklist2, .streamListpacks2, .setListpack, .streamListpacks3, .hashMetadataPreRelease,
             .hashListpackexPreRelease, .hashMetadata, .hashListpackex, .streamListpacks4, .streamListpacks5,
             .valkeyHash: true
        case .modulePreRelease, .array, .hashTemplateListpack, .hashTemplateListpackRef, .hashTemplateArray,
             .hashTemplateArrayRef, .rateLimiter, .keydbCron, .dragonflyJSON, .dragonflyHash, .dragonflySet,
             .dragonflyBloom, .dragonflyChunkedBloom, .dragonflyCountMin, .dragonflyTopK, .dragonflyCuckoo: false
        }
    }
}
