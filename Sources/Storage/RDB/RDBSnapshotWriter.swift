import Keyspace
import Primitives

// The whole keyspace to a file descriptor, in the server (SAVE) or in a forked child that has an image of its memory.
//
// A child must leave the shared pages alone: nothing here counts references, takes a lock, moves hash-table buckets or
// writes into a value. What a power loss leaves: a temporary file without its end, which nobody looks at; syncing,
// renaming and the directory's sync are the caller's, once `write` has answered 0.

/// Plain values and borrowed bytes, so that a child may use them.
package struct RDBSnapshotOptions {
    /// What stands before each key about its use.
    package enum Access: Sendable {
        case none
        /// Seconds since the last access; with the LRU clock of now.
        case idle(clock: UInt32)
        /// LFU counter; with the clock of now.
        case frequency(LFU, clock: UInt32)
    }

    /// The place in the replication stream that the snapshot stands for.
    package struct Replication {
        package var database: Int
        /// 40 hexadecimal digits.
        package var id: Bytes
        package var offset: Int64
        package init(database: Int, id: Bytes, offset: Int64) {
            self.database = database
            self.id = id
            self.offset = offset
        }
    }

    package var version = RDBVersion.redis7_4
    package var compresses = true
    package var computesChecksum = true
    /// Sync every few megabytes, so that the last sync is short.
    package var syncsIncrementally = true
    package var access = Access.none
    /// The BASE file of an AOF.
    package var isAOFBase = false
    /// A BASE written as commands: it is sealed in blocks.
    package var sealsBlocks = false
    /// Unix seconds, for `ctime`.
    package var createdAt: Int64 = 0
    package var usedMemory = 0
    package var replication: Replication?
    /// `RDBFunctions.bytes`.
    package var functions = Bytes(start: nil, count: 0)
    /// `RDBModuleAux.bytes`.
    package var moduleAux = Bytes(start: nil, count: 0)
    /// Keys between two calls of the progress function.
    package var progressInterval = 1024

    package init() {}
}

package struct RDBSnapshotWriter: ~Copyable {
    static let serverVersion: StaticString = "7.4.1"
    /// Entries on their way from memory while others are written.
    private static let lookahead = 16

    private var output: RDBOutput
    private let options: RDBSnapshotOptions
    private var keysDone = 0

    /// Writes all databases; closing and syncing the descriptor is the caller's.
    /// - Parameter progress: told the number of keys written so far, now and then.
    /// - Returns: 0, or the errno of what failed.
    package static func write(databases: UnsafeMutablePointer<Database>, count: Int, to descriptor: Int32,
                              on disk: ImageDisk = .system, options: RDBSnapshotOptions,
                              progress: (Int) -> Void) -> Int32 {
        var writer = RDBSnapshotWriter(descriptor, disk, options)
        writer.putHeader()
        for index in 0..<count where databases[index].keys.count > 0 {
            writer.put(databases[index], progress)
            if writer.output.failure != 0 { return writer.output.failure }
        }
        progress(writer.keysDone)
        RDBModuleAux.put(options.moduleAux, behindKeys: true, &writer.output)
        writer.output.put(.eof)
        let checksum = options.computesChecksum ? writer.output.checksum : 0
        writer.output.put(checksum)
        writer.output.flush()
        return writer.output.failure
    }

    private init(_ descriptor: Int32, _ disk: ImageDisk, _ options: RDBSnapshotOptions) {
        output = RDBOutput(descriptor: descriptor, on: disk, compresses: options.compresses,
                           computesChecksum: options.computesChecksum,
                           syncsIncrementally: options.syncsIncrementally)
        self.options = options
    }

    // MARK: Before the keys

    private mutating func putHeader() {
        let magic: StaticString = "REDIS00"
        output.put(magic.bytes)
        output.put(UInt8(48 + options.version.number / 10 % 10))
        output.put(UInt8(48 + options.version.number % 10))
        putAux("redis-ver", Self.serverVersion.bytes)
        putAux("redis-bits", Int64(Int.bitWidth))
        putAux("ctime", options.createdAt)
        putAux("used-mem", Int64(options.usedMemory))
        if let replication = options.replication {
            putAux("repl-stream-db", Int64(replication.database))
            putAux("repl-id", replication.id)
            putAux("repl-offset", replication.offset)
        }
        putAux("aof-base", options.isAOFBase ? 1 : 0)
        if options.version >= .redis7_0 {
            RDBFunctions.forEach(in: options.functions) { source in
                output.put(.function)
                output.put(string: source)
            }
        }
        RDBModuleAux.put(options.moduleAux, behindKeys: false, &output)
    }

    private mutating func putAux(_ name: StaticString, _ value: Bytes) {
        output.put(.aux)
        output.put(string: name)
        output.put(string: value)
    }

    private mutating func putAux(_ name: StaticString, _ value: Int64) {
        output.put(.aux)
        output.put(string: name)
        output.put(integerString: value)
    }

    // MARK: Keys

    private mutating func put(_ database: Database, _ progress: (Int) -> Void) {
        output.put(.selectDatabase)
        output.put(length: database.index)
        output.put(.resizeDatabase)
        output.put(length: database.keys.count)
        output.put(length: database.expires.count)
        var iterator = database.keys.makeIterator()
        withUnsafeTemporaryAllocation(of: UnsafeMutableRawPointer.self, capacity: Self.lookahead) { ahead in
            var first = 0, count = 0
            while output.failure == 0 {
                while count < Self.lookahead, let element = iterator.next() {
                    Heap.prefetch(element)
                    ahead[(first &+ count) % Self.lookahead] = element
                    count &+= 1
                }
                if count == 0 { return }
                // Half way to its turn an entry has arrived: what it points at may be fetched.
                if count > Self.lookahead / 2 {
                    let entry = Entry(ahead[(first &+ Self.lookahead / 2) % Self.lookahead])
                    if !entry.isEmbedded, entry.encoding != .int { Heap.prefetch(entry.pointer) }
                }
                put(Entry(ahead[first]))
                first = (first &+ 1) % Self.lookahead
                count &-= 1
                keysDone &+= 1
                if keysDone % options.progressInterval == 0 { progress(keysDone) }
            }
        }
    }

    private mutating func putProducers(_ entry: Entry) {
        if StreamValue(entry).producers == nil { return }
        var field = RDBOutput(compresses: false)
        if StreamCodec.encodeProducers(entry, options.version, &field) {
            putAux(StreamCodec.producersField, field.bytes)
        }
    }

    private mutating func put(_ entry: Entry) {
        if entry.type == .stream { putProducers(entry) }
        if let expire = entry.expire {
            output.put(.expireMilliseconds)
            output.put(expire.rawValue)
        }
        switch options.access {
        case .none: break
        case .idle(let clock):
            output.put(.idle)
            output.put(length: UInt64((clock &- entry.access) & 0xff_ffff))
        case .frequency(let lfu, let clock):
            output.put(.frequency)
            output.put(UInt8(truncatingIfNeeded: lfu.counter(entry.access, clock)))
        }
        let type = RDBOutput.type(of: entry, options.version)
        output.put(type)
        output.put(string: entry.key)
        output.put(valueOf: entry, type, options.version)
    }
}
