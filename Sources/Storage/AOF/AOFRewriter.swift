import Encodings
import Keyspace
import Primitives

// A data set as commands: the BASE of a log without RDB preamble (`aof-use-rdb-preamble no`).
//
//     FUNCTION LOAD code                               each library
//     SELECT db                                        each database that has keys
//     SET key value                                    string
//     RPUSH | SADD key element …                       64 elements each
//     ZADD key score member …                          64 pairs each
//     HMSET key field value …                          64 pairs each
//     HPEXPIREAT key ms FIELDS 1 field                 each field that expires
//     XADD … XSETID … XGROUP … XCLAIM …                stream (StreamRewrite.swift)
//     RESTORE key 0 payload                            a module's value: only a snapshot's form of it is known
//     PEXPIREAT key ms                                 behind each key that expires
//
// Runs in the server or in a forked child, on raw memory: no reference counting, no locks, no changes to what it
// reads. What a power loss leaves: a temporary file without its end, which nobody looks at; syncing and renaming are
// the caller's, once `write` has answered 0.

package struct AOFRewriter: ~Copyable {
    /// Elements of one command.
    private static let groupSize = 64

    private var output: AOFOutput
    private let options: RDBSnapshotOptions
    private var keysDone = 0
    /// Integers as text: two at a time, of at most 24 bytes.
    private let scratch = Heap.allocate(48)
    private var payload = OwnedBytes(capacity: 16)

    /// Writes all databases; closing and syncing the descriptor is the caller's.
    /// - Parameter options: of these `version` (of payloads), `syncsIncrementally`, `functions`, `progressInterval`,
    ///   `sealsBlocks`.
    /// - Parameter progress: told the number of keys written so far, now and then.
    /// - Returns: 0, or the errno of what failed.
    package static func write(databases: UnsafeMutablePointer<Database>, count: Int, to descriptor: Int32,
                              on disk: ImageDisk = .system, options: RDBSnapshotOptions,
                              progress: (Int) -> Void) -> Int32 {
        var writer = AOFRewriter(descriptor, disk, options)
        writer.putFunctions()
        for index in 0..<count where databases[index].keys.count > 0 {
            writer.put(databases[index], progress)
            if writer.output.failure != 0 { return writer.output.failure }
        }
        progress(writer.keysDone)
        writer.output.flush()
        return writer.output.failure
    }

    private init(_ descriptor: Int32, _ disk: ImageDisk, _ options: RDBSnapshotOptions) {
        output = AOFOutput(descriptor, on: disk, syncsIncrementally: options.syncsIncrementally,
                           isSealed: options.sealsBlocks)
        self.options = options
    }

    deinit { Heap.free(scratch) }

    private mutating func putFunctions() {
        RDBFunctions.forEach(in: options.functions) { source in
            output.begin(3)
            output.argument("FUNCTION")
            output.argument("LOAD")
            output.argument(source)
        }
    }

    private mutating func put(_ database: Database, _ progress: (Int) -> Void) {
        output.begin(2)
        output.argument("SELECT")
        output.argument(Int64(database.index))
        var iterator = database.keys.makeIterator()
        while let element = iterator.next() {
            put(Entry(element))
            if output.failure != 0 { return }
            keysDone &+= 1
            if keysDone % options.progressInterval == 0 { progress(keysDone) }
        }
    }

    private mutating func put(_ entry: Entry) {
        switch entry.type {
        case .string:
            output.begin(3)
            output.argument("SET")
            output.argument(entry.key)
            output.argument(entry.string(scratch))
        case .list: putList(entry)
        case .set: putSet(entry)
        case .sortedSet: putSortedSet(entry)
        case .hash: putHash(entry)
        case .stream: output.withSink { StreamRewrite.write(key: entry.key, StreamValue(entry), into: &$0) }
        case .module: putPayload(entry)
        }
        guard let expire = entry.expire else { return }
        output.begin(3)
        output.argument("PEXPIREAT")
        output.argument(entry.key)
        output.argument(expire.rawValue)
    }

    // MARK: Groups

    /// Before the element number `index` of `count`: begins a command if it is the first of a group.
    @inline(__always)
    private mutating func group(_ command: StaticString, _ key: Bytes, _ index: Int, of count: Int, arguments: Int) {
        guard index % Self.groupSize == 0 else { return }
        output.begin(2 + min(Self.groupSize, count - index) * arguments)
        output.argument(command)
        output.argument(key)
    }

    private mutating func putList(_ entry: Entry) {
        let list = ListValue(entry), count = list.count
        var index = 0
        list.forEach { element in
            group("RPUSH", entry.key, index, of: count, arguments: 1)
            output.argument(element.text(scratch))
            index &+= 1
            return true
        }
    }

    private mutating func putSet(_ entry: Entry) {
        let set = SetValue(entry), count = set.count
        var index = 0
        set.forEach { member in
            group("SADD", entry.key, index, of: count, arguments: 1)
            output.argument(member)
            index &+= 1
            return true
        }
    }

    private mutating func putSortedSet(_ entry: Entry) {
        let set = SortedSetValue(entry), count = set.count
        var index = 0
        set.forEach { member, score in
            group("ZADD", entry.key, index, of: count, arguments: 2)
            output.argument(score)
            output.argument(member.text(scratch))
            index &+= 1
            return true
        }
    }

    private mutating func putHash(_ entry: Entry) {
        let hash = HashValue(entry), count = hash.count
        var index = 0, expiring = 0
        hash.forEach { field, value, expire in
            group("HMSET", entry.key, index, of: count, arguments: 2)
            output.argument(field.text(scratch))
            output.argument(value.text(scratch + 24))
            index &+= 1
            if expire != nil { expiring &+= 1 }
            return true
        }
        if expiring == 0 { return }
        hash.forEach { field, _, expire in
            guard let expire else { return true }
            output.begin(6)
            output.argument("HPEXPIREAT")
            output.argument(entry.key)
            output.argument(expire)
            output.argument("FIELDS")
            output.argument("1")
            output.argument(field.text(scratch))
            return true
        }
    }

    private mutating func putPayload(_ entry: Entry) {
        payload.removeAll()
        RDBPayload.dump(entry, version: options.version, into: &payload)
        output.begin(4)
        output.argument("RESTORE")
        output.argument(entry.key)
        output.argument("0")
        output.argument(payload.bytes)
    }
}
