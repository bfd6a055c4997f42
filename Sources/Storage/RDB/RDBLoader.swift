import Keyspace
import Primitives

// A snapshot into the keyspace: a visitor of `RDBWalker` that decodes every value and adds it.
//
// Invariants
//  1. A load that throws has added keys: the caller empties the keyspace, or ends.
//  2. A key that comes twice is an error, unless `replacesKeys`.
//  3. Nothing is reserved on a hint that the file's size does not bear out.

package struct RDBLoadOptions {
    package var now = UnixMilliseconds(0)
    /// Keys whose time has come are left out; false: they are kept as they are (replicas, an AOF's base).
    package var dropsExpired = true
    package var verifiesChecksum = true
    /// Look for duplicates within small collections, too.
    package var isThorough = false
    /// A key that exists gives way; false: that is an error.
    package var replacesKeys = false
    /// What can't be represented is left out and told in the result; false: that is an error.
    package var skipsUnsupported = false
    /// Size of the file, if known: bounds what hints may reserve.
    package var fileBytes: Int?
    /// Bytes between two calls of the progress function.
    package var progressInterval = 2 << 20
    package var plan = LoadPlan()
    /// False: key by key, as the file is read (RDBStretch.swift has the other way).
    package var readsStretches = true
    /// Called before each key, for tests (`key-load-delay`).
    package var delay: (() -> Void)?

    package init() {}
}

package struct RDBLoadProgress: Sendable {
    /// Read from the file so far (after decompression).
    package var bytes: Int
    package var keys: Int
    /// What the file says its data set took in memory, in bytes; 0: it didn't say.
    package var usedMemory = 0
}

package struct RDBLoadResult: ~Copyable {
    package var version = RDBVersion.redis7_4
    package var keysLoaded = 0
    package var keysExpired = 0
    /// Collections without an element, left out.
    package var emptyKeysSkipped = 0
    /// AUX fields in their order.
    package var aux: [(name: String, value: String)] = []
    package var functions = RDBFunctions()
    package var moduleAux = RDBModuleAux()
    package var dialect = RDBDialect.redis
    /// What was left out: the first thousand, and how many there were.
    package var losses: [RDBLoss] = []
    package var lossCount = 0
    package var checksum = RDBChecksum.absent
    /// Where the file's end mark and checksum end.
    package var endOffset = 0

    package init() {}

    package func auxValue(_ name: String) -> String? { aux.first { $0.name == name }?.value }
}

package enum RDBLoader {
    /// Adds what `input` holds to the keyspace.
    /// - Throws: what is wrong with the file, where, and in which key.
    package static func load(_ input: consuming RDBInput, into keyspace: inout Keyspace, options: RDBLoadOptions,
                             progress: (RDBLoadProgress) -> Void) throws(StorageError) -> RDBLoadResult {
        let path = input.path
        var walker = RDBWalker(input, verifiesChecksum: options.verifiesChecksum)
        walker.input.skipsUnsupported = options.skipsUnsupported
        var failure: StorageError?
        var result = withoutActuallyEscaping(progress) { progress in
            withUnsafeMutablePointer(to: &keyspace) { keyspace in
                var visitor = LoadVisitor(path, keyspace, options, progress)
                do throws(StorageError) {
                    try walker.walk(&visitor) { (walker, visitor) throws(StorageError) in
                        try visitor.loadStretch(&walker)
                    }
                } catch {
                    failure = error
                }
                return visitor.takeResult()
            }
        }
        if let failure { throw told(failure, walker) }
        result.dialect = walker.input.dialect
        result.endOffset = walker.input.offset
        return result
    }

    static func place(_ key: String, _ type: RDBType?) -> String {
        " (in key '\(key)'\(type.map { " of type \($0.name)" } ?? ""))"
    }

    /// The error with the key that it happened in. (What can't be decompressed is no key's fault.)
    static func told(_ error: StorageError, _ walker: borrowing RDBWalker) -> StorageError {
        guard walker.hasKey, error.operation != .decompress else { return error }
        var error = error
        let place = place(String(decoding: walker.key.prefix(256), as: UTF8.self), walker.type)
        switch error.reason {
        case .truncated(let text): error.reason = .truncated(text + place)
        case .corrupt(let text): error.reason = .corrupt(text + place)
        case .unsupported(let text): error.reason = .unsupported(text + place)
        case .system, .shortWrite: break
        }
        return error
    }
}

private struct LoadVisitor: RDBVisitor, ~Copyable {
    private let path: String
    // `var`, since Swift 6.3 with ThreadSanitizer crashes on changes through a `let` pointer of a ~Copyable struct.
    private var keyspace: UnsafeMutablePointer<Keyspace>
    private let options: RDBLoadOptions
    private let progress: (RDBLoadProgress) -> Void
    private var database = 0
    /// What the next key's producers sent, if it is a stream of an older type.
    private var producers = OwnedBytes()
    private var nextProgress: Int
    private var lastOffset = 0
    private var usedMemory = 0
    private var result = RDBLoadResult()
    /// So many opcodes and keys are read before a stretch is tried again, and how many it will be the next time: where
    /// there are but few plain keys in a row, a stretch is not worth its beginning.
    private var restBeforeStretch = 0
    private var nextRest = 1

    init(_ path: String, _ keyspace: UnsafeMutablePointer<Keyspace>, _ options: RDBLoadOptions,
         _ progress: @escaping (RDBLoadProgress) -> Void) {
        self.path = path
        self.keyspace = keyspace
        self.options = options
        self.progress = progress
        nextProgress = options.progressInterval
    }

    consuming func takeResult() -> RDBLoadResult { result }

    mutating func begin(_ version: RDBVersion) { result.version = version }

    mutating func aux(_ name: Bytes, _ value: Bytes, at offset: Int) {
        if name.elementsEqual("used-mem".utf8) { usedMemory = Int(clamping: Decimal.parseInt64(value) ?? 0) }
        if name.equals(StreamCodec.producersField.bytes) {
            producers.removeAll()
            producers.append(value)
            return
        }
        // Some servers write one for every key.
        guard result.aux.count < RDBLimits.findings else { return }
        result.aux.append((String(decoding: name, as: UTF8.self), String(decoding: value, as: UTF8.self)))
    }

    mutating func selectDatabase(_ index: Int, at offset: Int) throws(StorageError) {
        guard index < keyspace.pointee.databaseCount else {
            throw StorageError(.load, path, at: offset, .unsupported(
                "Data file was created with a Redis server configured to handle more than "
                    + "\(keyspace.pointee.databaseCount) databases"))
        }
        database = index
    }

    mutating func resizeDatabase(keys: UInt64, expires: UInt64) {
        // No key takes fewer than four bytes.
        let bound = UInt64(min((options.fileBytes ?? .max) / 4, RDBLimits.trustedCount))
        let known = keyspace.pointee.databases[database]
        keyspace.pointee.reserve(keys: known.keys.count + Int(min(keys, bound)),
                                 expires: known.expires.count + Int(min(expires, bound)), in: database)
    }

    mutating func function(_ code: Bytes) { result.functions.append(code) }

    mutating func moduleAux(_ module: RDBModuleID, _ parts: Bytes, at offset: Int) {
        result.moduleAux.append(module, parts)
    }

    mutating func memberExpire(_ member: Bytes, _ time: UnixMilliseconds, of key: Bytes) -> Bool {
        // A key that was left out for its own expire is gone with its members.
        guard let entry = keyspace.pointee.find(key, in: database, .peek) else { return true }
        guard entry.type == .hash else { return false }
        var hash = HashValue(entry)
        if hash.contains(member), time.rawValue <= Int64(RDBLimits.fieldExpire) {
            hash.setExpire(member, time.rawValue)
            hash.store(entry)
            keyspace.pointee.setFieldExpires(entry, hash.minimumExpire != nil, in: database)
        }
        return true
    }

    mutating func lost(_ loss: RDBLoss) {
        result.lossCount += 1
        if result.losses.count < RDBLimits.findings { result.losses.append(loss) }
    }

    mutating func end(_ checksum: RDBChecksum, at offset: Int) {
        result.checksum = checksum
        tellProgress(offset)
    }

    mutating func value(of key: Bytes, _ attributes: RDBKeyAttributes, _ type: RDBType,
                        _ input: inout RDBInput) throws(StorageError) {
        if input.offset >= nextProgress { tellProgress(input.offset) }
        if let delay = options.delay { delay() }
        defer { producers.truncate(to: 0) }
        if let expire = attributes.expire, options.dropsExpired, expire < options.now, expire.rawValue != -1 {
            try input.skipValue(type)
            result.keysExpired += 1
            return
        }
        let access = keyspace.pointee.access(idleSeconds: attributes.idleSeconds, frequency: attributes.frequency)
        let expire = attributes.expire.flatMap { $0.rawValue == -1 ? nil : $0 }
        var isNew = true
        if type == .string {
            let text = try input.string()
            makeWay(for: key)
            isNew = keyspace.pointee.loadString(key, text, in: database, expire: expire, access: access)
        } else if let value = try input.value(type, keyspace.pointee, isThorough: options.isThorough) {
            if producers.count > 0, value.type == .stream {
                try StreamCodec.applyProducers(producers.bytes, to: StreamValue(value))
            }
            makeWay(for: key)
            isNew = keyspace.pointee.load(key, value, in: database, expire: expire, access: access)
        } else {
            result.emptyKeysSkipped += 1
            return
        }
        guard isNew else { throw input.corrupt("RDB has a duplicated key in DB \(database)") }
        result.keysLoaded += 1
    }

    @inline(__always)
    private func makeWay(for key: Bytes) {
        if options.replacesKeys { _ = keyspace.pointee.delete(key, in: database, lazily: false) }
    }

    private mutating func tellProgress(_ offset: Int) {
        lastOffset = offset
        nextProgress = offset &+ options.progressInterval
        progress(RDBLoadProgress(bytes: offset, keys: result.keysLoaded, usedMemory: usedMemory))
    }

    // MARK: Stretches

    /// Keys one after another, by all threads; see RDBStretch.swift. Ends before whatever is to be read by one thread.
    mutating func loadStretch(_ walker: inout RDBWalker) throws(StorageError) {
        if restBeforeStretch > 0 {
            restBeforeStretch -= 1
            return
        }
        // What was told of the next key's producers is applied where one thread reads it.
        guard options.readsStretches, producers.isEmpty, RDBStretch.isPossible(walker) else { return }
        let start = walker.input.offset
        let context = RDBStretch.Context(walker, keyspace.pointee, options, database)
        let failure = withUnsafeMutablePointer(to: &walker) { walker -> StorageError? in
            let stretch = RDBStretch(walker, context)
            do throws(StorageError) {
                try load(stretch)
                if let last = stretch.lastKey { walker.pointee.passed(last) }
                return nil
            } catch {
                return error
            }
        }
        if walker.input.offset &- start < RDBStretch.worthwhileBytes {
            restBeforeStretch = nextRest
            nextRest = min(nextRest * 2, 64)
        } else {
            nextRest = 1
        }
        if let failure { throw failure }
    }

    private mutating func load(_ stretch: RDBStretch) throws(StorageError) {
        // By this thread, which most often is all there is to do between two opcodes.
        let first = stretch.makeChunk()
        let goesOn = stretch.cut(first)
        stretch.decode(first)
        try add(first, stretch)
        guard goesOn else { return }
        let pipeline = LoadPipeline(stretch, workers: options.plan.workers(forBytes: options.fileBytes))
        defer { pipeline.end() }
        while true {
            switch pipeline.next() {
            case .chunk(let chunk):
                try add(chunk, stretch)
                pipeline.recycle(chunk)
            case .nothing: tellProgress(lastOffset)
            case .end: return
            }
        }
    }

    private mutating func add(_ chunk: RDBStretch.Chunk, _ stretch: RDBStretch) throws(StorageError) {
        let keys = chunk.keys, count = chunk.count
        for index in 0..<min(count, RDBStretch.prefetched) { keyspace.pointee.prefetch(keys[index].made, in: database) }
        for index in 0..<count {
            let ahead = index &+ RDBStretch.prefetched
            if ahead < count { keyspace.pointee.prefetch(keys[ahead].made, in: database) }
            if keys[index].end >= nextProgress { tellProgress(keys[index].end) }
            if let delay = options.delay { delay() }
            if options.replacesKeys { makeWay(for: keys[index].made.entry.key) }
            guard keyspace.pointee.add(keys[index].made, in: database) else { throw duplicate(keys[index]) }
            chunk.added = index &+ 1
            result.keysLoaded += 1
        }
        result.keysExpired += chunk.expired
        result.emptyKeysSkipped += chunk.emptyKeysSkipped
        for loss in chunk.losses { lost(loss) }
        if let failure = chunk.failure { throw failure }
        stretch.noteAccessClock(keyspace.pointee)
    }

    private func duplicate(_ key: RDBStretch.Key) -> StorageError {
        let name = String(decoding: key.made.entry.key.prefix(256), as: UTF8.self)
        return StorageError(.load, path, at: key.end, .corrupt(
            "RDB has a duplicated key in DB \(database)\(RDBLoader.place(name, key.type))"))
    }
}
