import Primitives

// Going through an RDB file from magic to checksum. The one place that knows the order of opcodes; loading, checking
// and exporting are visitors.

/// What stands before a key and belongs to it.
package struct RDBKeyAttributes: Sendable {
    /// Absolute.
    package var expire: UnixMilliseconds?
    /// Seconds since the last access.
    package var idleSeconds: UInt64?
    /// LFU counter.
    package var frequency: UInt8?

    package init() {}
}

/// What reading came to at the end of the file.
package enum RDBChecksum: Sendable {
    case matches
    /// The writer computed none.
    case disabled
    /// Files before version 5 have none.
    case absent
}

/// Told what a file holds, in its order. Bytes are good until the function returns. Throwing ends the walk.
package protocol RDBVisitor: ~Copyable {
    mutating func begin(_ version: RDBVersion) throws(StorageError)
    mutating func aux(_ name: Bytes, _ value: Bytes, at offset: Int) throws(StorageError)
    mutating func selectDatabase(_ index: Int, at offset: Int) throws(StorageError)
    /// Hints, not to be trusted.
    mutating func resizeDatabase(keys: UInt64, expires: UInt64) throws(StorageError)
    /// The source of a library.
    mutating func function(_ code: Bytes) throws(StorageError)
    /// Data of a module that belongs to no key; `parts` is what stands behind the module's id, end mark included.
    mutating func moduleAux(_ module: RDBModuleID, _ parts: Bytes, at offset: Int) throws(StorageError)
    /// KeyDB: a member of the key just told expires by itself. False: no value here can say so.
    mutating func memberExpire(_ member: Bytes, _ time: UnixMilliseconds, of key: Bytes) throws(StorageError) -> Bool
    /// Something that can't be represented was left out (`RDBInput.skipsUnsupported`).
    mutating func lost(_ loss: RDBLoss)
    /// Must consume the value: decode it from `input`, or `skipValue`.
    mutating func value(of key: Bytes, _ attributes: RDBKeyAttributes, _ type: RDBType,
                        _ input: inout RDBInput) throws(StorageError)
    mutating func end(_ checksum: RDBChecksum, at offset: Int) throws(StorageError)
}

extension RDBVisitor where Self: ~Copyable {
    package mutating func begin(_ version: RDBVersion) throws(StorageError) {}
    package mutating func aux(_ name: Bytes, _ value: Bytes, at offset: Int) throws(StorageError) {}
    package mutating func selectDatabase(_ index: Int, at offset: Int) throws(StorageError) {}
    package mutating func resizeDatabase(keys: UInt64, expires: UInt64) throws(StorageError) {}
    package mutating func function(_ code: Bytes) throws(StorageError) {}
    package mutating func moduleAux(_ module: RDBModuleID, _ parts: Bytes, at offset: Int) throws(StorageError) {}
    package mutating func memberExpire(_ member: Bytes, _ time: UnixMilliseconds,
                                       of key: Bytes) throws(StorageError) -> Bool { true }
    package mutating func lost(_ loss: RDBLoss) {}
    package mutating func end(_ checksum: RDBChecksum, at offset: Int) throws(StorageError) {}
}

/// What a file holds and is not in what was made of it.
package struct RDBLoss: Sendable {
    package var database: Int
    /// Nil: it belongs to no key, or to one whose name is lost, too.
    package var key: String?
    /// In the file (uncompressed, if it is compressed), where the lost bytes begin.
    package var offset: Int
    package var bytes: Int
    package var reason: String
    /// A part of the key is lost; `bytes` are the whole key's, of which the rest is there.
    package var isPart = false

    package init(database: Int, key: String?, offset: Int, bytes: Int, reason: String, isPart: Bool = false) {
        self.isPart = isPart
        self.database = database
        self.key = key
        self.offset = offset
        self.bytes = bytes
        self.reason = reason
    }

    package var line: String {
        let name = key.map { "key '\($0)' of DB \(database)" } ?? "DB \(database)"
        let what = isPart ? "left out a part" : "left out \(bytes) bytes"
        return "[offset \(offset)] \(what), \(name): \(reason)"
    }
}

/// Where a walk stands, for telling what a damaged file was damaged in.
package enum RDBStage: String, Sendable {
    case start
    case type = "read-type"
    case expire = "read-expire"
    case key = "read-key"
    case value = "read-object-value"
    case checksum = "check-sum"
    case length = "read-len"
    case aux = "read-aux"
    case moduleAux = "read-module-aux"
    case function = "read-function"
}

package struct RDBWalker: ~Copyable {
    package var input: RDBInput
    package private(set) var stage = RDBStage.start
    /// The type being read, if any.
    package private(set) var type: RDBType? = .string
    package private(set) var hasKey = false
    /// The key being read, while `hasKey`.
    private var keyBuffer = OwnedBytes(capacity: 256)
    /// False: the checksum is neither computed nor compared (`rdbchecksum no`).
    private let verifiesChecksum: Bool
    private var database = 0
    private var attributes = RDBKeyAttributes()
    /// Where the first attribute of the key that is being read, or its type, begins.
    package private(set) var keyOffset: Int?
    /// What stands before a key and no key here can have.
    private var lostAttribute: String?
    private var isInBlob = false
    /// There were compressed blobs of Dragonfly's.
    private(set) var hadBlobs = false
    private var keydbMember = OwnedBytes(capacity: 16)

    package init(_ input: consuming RDBInput, verifiesChecksum: Bool = true) {
        self.input = input
        self.verifiesChecksum = verifiesChecksum
        if !verifiesChecksum { self.input.computesChecksum = false }
    }

    package var key: Bytes { keyBuffer.bytes }

    /// Walks the whole file; what follows its end stays unread.
    package mutating func walk<Visitor: RDBVisitor & ~Copyable>(_ visitor: inout Visitor) throws(StorageError) {
        try walk(&visitor) { (_, _) throws(StorageError) in }
    }

    /// - Parameter stretch: called before each opcode and key; it may read any number of whole keys from `input`, and
    ///   says so (`passed`).
    mutating func walk<Visitor: RDBVisitor & ~Copyable>(
        _ visitor: inout Visitor, _ stretch: (inout RDBWalker, inout Visitor) throws(StorageError) -> Void
    ) throws(StorageError) {
        try readMagic(&visitor)
        repeat {
            if isBetweenKeys { try stretch(&self, &visitor) }
        } while try readRecord(&visitor)
        stage = .checksum
        try readChecksum(&visitor)
    }

    /// Nothing was read yet that belongs to the next key. (An AUX field may stand behind a key's expire.)
    private var isBetweenKeys: Bool {
        keyOffset == nil && attributes.expire == nil && attributes.idleSeconds == nil && attributes.frequency == nil
            && lostAttribute == nil
    }

    /// Keys were read by somebody else, the last of them this.
    mutating func passed(_ key: Bytes) {
        keyBuffer.truncate(to: 0)
        keyBuffer.append(key)
    }

    /// Of the keys that are read next; for what begins in the middle of a file.
    mutating func begin(in database: Int) { self.database = database }

    /// An opcode or a key. False: it was the end mark.
    @inline(__always)
    package mutating func readRecord<Visitor: RDBVisitor & ~Copyable>(
        _ visitor: inout Visitor
    ) throws(StorageError) -> Bool {
        stage = .type
        if keyOffset == nil { keyOffset = input.offset }
        let number = try input.byte()
        if let opcode = RDBOpcode(rawValue: number), opcode.isKnown(input.dialect, input.version) {
            if opcode == .eof { return false }
            try read(opcode, &visitor)
            return true
        }
        try readKey(try checkedType(number), &visitor)
        attributes = RDBKeyAttributes()
        keyOffset = nil
        return true
    }

    /// Forgets the key that was being read, to go on elsewhere.
    package mutating func restart(at offset: Int, in bytes: Bytes) {
        var next = RDBInput(bytes.from(offset), named: input.path)
        next.base = offset
        next.computesChecksum = false
        takeOver(&next)
        hasKey = false
        keyOffset = nil
        attributes = RDBKeyAttributes()
        lostAttribute = nil
    }

    /// Reads on from `next`; what was read from so far is in `next` then.
    private mutating func takeOver(_ next: inout RDBInput) {
        next.dialect = input.dialect
        next.version = input.version
        next.skipsUnsupported = input.skipsUnsupported
        next.templates = input.templates
        next.lostParts = []
        swap(&input, &next)
    }

    // MARK: Ends

    package mutating func readMagic<Visitor: RDBVisitor & ~Copyable>(_ visitor: inout Visitor) throws(StorageError) {
        let magic = try input.take(9)
        let isValkey = magic.starts(with: "VALKEY".utf8)
        guard isValkey || magic.starts(with: "REDIS".utf8) else {
            throw input.corrupt("Wrong signature trying to load DB from file")
        }
        var number = 0
        for digit in magic[(isValkey ? 6 : 5)...] {
            guard 48...57 ~= digit else { throw input.corrupt("Wrong signature trying to load DB from file") }
            number = number * 10 + Int(digit - 48)
        }
        guard RDBVersion.isReadable(number) else {
            throw input.unsupported("Can't handle RDB format version \(number)")
        }
        if isValkey || number >= RDBVersion.valkey9.number { input.dialect = .valkey }
        input.version = RDBVersion(number)
        if !input.version.hasChecksum { input.computesChecksum = false }
        try visitor.begin(input.version)
    }

    package mutating func readChecksum<Visitor: RDBVisitor & ~Copyable>(_ visitor: inout Visitor) throws(StorageError) {
        guard input.version.hasChecksum else { return try visitor.end(.absent, at: input.offset) }
        let computed = input.checksum
        let stored = try input.uint64()
        if !verifiesChecksum || stored == 0 { return try visitor.end(.disabled, at: input.offset) }
        guard stored == computed else { throw input.corrupt("RDB CRC error") }
        try visitor.end(.matches, at: input.offset)
    }

    // MARK: Opcodes

    private mutating func read<Visitor: RDBVisitor & ~Copyable>(
        _ opcode: RDBOpcode, _ visitor: inout Visitor
    ) throws(StorageError) {
        switch opcode {
        case .eof: break
        case .expireSeconds:
            stage = .expire
            let seconds = Int64(Int32(bitPattern: try input.uint32()))
            attributes.expire = UnixMilliseconds(seconds * 1000)
        case .expireMilliseconds:
            stage = .expire
            attributes.expire = UnixMilliseconds(try input.int64())
        case .frequency: attributes.frequency = try input.byte()
        case .idle: attributes.idleSeconds = try input.length()
        case .selectDatabase:
            stage = .length
            let index = try input.length()
            guard index <= UInt64(RDBLimits.databaseIndex) else { throw input.corrupt("database \(index)") }
            try visitor.selectDatabase(Int(index), at: input.offset)
            database = Int(index)
            keyOffset = nil
        case .resizeDatabase:
            stage = .length
            let keys = try input.length()
            try visitor.resizeDatabase(keys: keys, expires: try input.length())
            keyOffset = nil
        case .slotInfo:
            for _ in 0..<3 { _ = try input.length() }
            keyOffset = nil
        case .aux: try readAux(&visitor)
        case .function:
            stage = .function
            try visitor.function(try input.string())
            keyOffset = nil
        case .functionPreRelease:
            throw input.unsupported("Pre-release function format not supported")
        case .moduleAux:
            try readModuleAux(&visitor)
            keyOffset = nil
        case .keyMetadata: try skipKeyMetadata()
        case .hashTemplate:
            try ForeignCodec.readTemplate(&input)
            keyOffset = nil
        case .keyNoEvict: break
        case .dragonflyFullSyncEnd, .dragonflyJournalOffset: try input.skip(8)
        case .dragonflyMask: if try input.uint32() & 2 != 0 { try input.skip(4) }
        case .dragonflyBlobEnd: break
        case .dragonflyZstdBlob, .dragonflyLZ4Blob: try readBlob(opcode, &visitor)
        }
    }

    /// Dragonfly: opcodes and keys in one compressed string.
    private mutating func readBlob<Visitor: RDBVisitor & ~Copyable>(
        _ opcode: RDBOpcode, _ visitor: inout Visitor
    ) throws(StorageError) {
        guard !isInBlob else { throw input.corrupt("a compressed blob within another") }
        let offset = input.offset
        let blob = try RDBBlob.decompress(try input.string(), isZstd: opcode == .dragonflyZstdBlob, input)
        var inner = RDBInput(blob.bytes, named: input.path)
        inner.computesChecksum = false
        // Places within the blob are told as the blob's.
        inner.fixedOffset = offset
        isInBlob = true
        hadBlobs = true
        keyOffset = nil
        takeOver(&inner)
        defer {
            takeOver(&inner)
            isInBlob = false
        }
        while try input.hasMore(), try readRecord(&visitor) {}
        keyOffset = nil
        input.releaseScratch()
    }

    private mutating func readAux<Visitor: RDBVisitor & ~Copyable>(_ visitor: inout Visitor) throws(StorageError) {
        stage = .aux
        let start = input.offset
        let name = OwnedBytes(copying: try input.string())
        let value = try input.string()
        if input.dialect == .redis, let dialect = RDBDialect(aux: name.bytes) { input.dialect = dialect }
        if name.bytes.starts(with: "keydb-subexpire-".utf8) {
            return try readMemberExpire(name.bytes, value, start, &visitor)
        }
        // KeyDB writes one between a key's attributes and its type.
        if !name.bytes.elementsEqual("mvcc-tstamp".utf8) { keyOffset = nil }
        try visitor.aux(name.bytes, value, at: input.offset)
    }

    /// KeyDB: behind a key, for each of its members that expires, two AUX fields: the member, and Unix ms.
    private mutating func readMemberExpire<Visitor: RDBVisitor & ~Copyable>(
        _ name: Bytes, _ value: Bytes, _ start: Int, _ visitor: inout Visitor
    ) throws(StorageError) {
        keyOffset = nil
        if name.elementsEqual("keydb-subexpire-key".utf8) {
            keydbMember.truncate(to: 0)
            keydbMember.append(value)
            return
        }
        guard name.elementsEqual("keydb-subexpire-when".utf8) else { return }
        guard let time = Decimal.parseInt64(value), time >= 0 else {
            throw input.corrupt("a member's expire that is no time")
        }
        if try visitor.memberExpire(keydbMember.bytes, UnixMilliseconds(time), of: key) { return }
        let member = String(decoding: keydbMember.bytes.prefix(128), as: UTF8.self)
        let name = String(decoding: key.prefix(256), as: UTF8.self)
        let reason = "the expire of its member '\(member)' (KeyDB)"
        guard input.skipsUnsupported else {
            throw StorageError(.load, input.path, at: start, .unsupported("\(reason), in key '\(name)'"))
        }
        visitor.lost(RDBLoss(database: database, key: name, offset: start, bytes: input.offset - start,
                             reason: reason, isPart: true))
    }

    private mutating func readModuleAux<Visitor: RDBVisitor & ~Copyable>(
        _ visitor: inout Visitor
    ) throws(StorageError) {
        stage = .moduleAux
        let module = RDBModuleID(rawValue: try input.length())
        input.startRecording()
        // When it was saved: before the keys (1) or behind them (2).
        guard try input.length() == RDBModuleOpcode.unsigned.rawValue else {
            throw input.corrupt("a module's AUX field that does not say when it belongs")
        }
        _ = try input.length()
        let offset = input.offset
        try input.skipModuleParts()
        try visitor.moduleAux(module, input.endRecording(), at: offset)
    }

    /// Redis 8.6: metadata of modules for the key that follows. Valkey 9 has slot migrations under this number.
    private mutating func skipKeyMetadata() throws(StorageError) {
        if input.dialect == .valkey {
            try input.skipString()
            var left = try input.count()
            while left > 0 {
                _ = try input.length()
                _ = try input.length()
                left -= 1
            }
            return
        }
        var left = try input.count()
        if left > 0 { lostAttribute = "metadata of \(left) modules (Redis 8.6)" }
        while left > 0 {
            _ = try input.uint32()
            try input.skipModuleParts()
            left -= 1
        }
    }

    // MARK: Keys

    private func checkedType(_ number: UInt8) throws(StorageError) -> RDBType {
        guard let type = RDBType(number: number, input.dialect, input.version) else {
            // Numbers that newer or other servers gave a meaning.
            if 22...37 ~= number || number == 64 || 200...224 ~= number || 241...243 ~= number {
                throw input.unsupported("Invalid object type: \(number)")
            }
            throw input.corrupt("Invalid object type: \(number)")
        }
        return type
    }

    private mutating func readKey<Visitor: RDBVisitor & ~Copyable>(
        _ type: RDBType, _ visitor: inout Visitor
    ) throws(StorageError) {
        self.type = type
        stage = .key
        keyBuffer.truncate(to: 0)
        keyBuffer.append(try input.string())
        hasKey = true
        stage = .value
        if let obstacle = type.obstacle {
            guard input.skipsUnsupported else {
                throw input.unsupported("\(obstacle) can't be represented")
            }
            try input.skipValue(type)
            tellLoss("\(obstacle) can't be represented", isPart: false, &visitor)
        } else {
            if let lost = lostAttribute { try input.lose(lost) }
            try visitor.value(of: keyBuffer.bytes, attributes, type, &input)
            if !input.lostParts.isEmpty { tellLostParts(&visitor) }
        }
        lostAttribute = nil
        hasKey = false
        self.type = nil
    }

    @inline(never)
    private mutating func tellLostParts<Visitor: RDBVisitor & ~Copyable>(_ visitor: inout Visitor) {
        for part in input.lostParts { tellLoss(part, isPart: true, &visitor) }
        input.lostParts = []
    }

    private func tellLoss<Visitor: RDBVisitor & ~Copyable>(_ reason: String, isPart: Bool,
                                                           _ visitor: inout Visitor) {
        let offset = keyOffset ?? input.offset
        visitor.lost(RDBLoss(database: database, key: String(decoding: key.prefix(256), as: UTF8.self),
                             offset: offset, bytes: input.offset - offset, reason: reason, isPart: isPart))
    }
}
