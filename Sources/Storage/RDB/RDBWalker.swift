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
    package mutating func end(_ checksum: RDBChecksum, at offset: Int) throws(StorageError) {}
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

    package init(_ input: consuming RDBInput, verifiesChecksum: Bool = true) {
        self.input = input
        self.verifiesChecksum = verifiesChecksum
        if !verifiesChecksum { self.input.computesChecksum = false }
    }

    package var key: Bytes { keyBuffer.bytes }

    /// Walks the whole file; what follows its end stays unread.
    package mutating func walk<Visitor: RDBVisitor & ~Copyable>(_ visitor: inout Visitor) throws(StorageError) {
        try readMagic(&visitor)
        var attributes = RDBKeyAttributes()
        while true {
            stage = .type
            let number = try input.byte()
            if let opcode = RDBOpcode(rawValue: number), isKnown(opcode) {
                if opcode == .eof { break }
                try read(opcode, &attributes, &visitor)
                continue
            }
            try readKey(try checkedType(number), attributes, &visitor)
            attributes = RDBKeyAttributes()
        }
        stage = .checksum
        try readChecksum(&visitor)
    }

    // MARK: Ends

    private mutating func readMagic<Visitor: RDBVisitor & ~Copyable>(_ visitor: inout Visitor) throws(StorageError) {
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
        if isValkey { input.dialect = .valkey }
        input.version = RDBVersion(number)
        if !input.version.hasChecksum { input.computesChecksum = false }
        try visitor.begin(input.version)
    }

    private mutating func readChecksum<Visitor: RDBVisitor & ~Copyable>(_ visitor: inout Visitor) throws(StorageError) {
        guard input.version.hasChecksum else { return try visitor.end(.absent, at: input.offset) }
        let computed = input.checksum
        let stored = try input.uint64()
        if !verifiesChecksum || stored == 0 { return try visitor.end(.disabled, at: input.offset) }
        guard stored == computed else { throw input.corrupt("RDB CRC error") }
        try visitor.end(.matches, at: input.offset)
    }

    // MARK: Opcodes

    /// Opcodes that came after a file's version are not opcodes in it.
    private func isKnown(_ opcode: RDBOpcode) -> Bool {
        switch opcode {
        case .keyMetadata: input.version.number >= 13
        case .hashTemplate: input.version.number >= 15 && input.dialect == .redis
        case .keyNoEvict: input.version.number >= 16 && input.dialect == .redis
        case .eof, .selectDatabase, .expireSeconds, .expireMilliseconds, .resizeDatabase, .aux, .frequency, .idle,
             .moduleAux, .functionPreRelease, .function, .slotInfo: true
        }
    }

    private mutating func read<Visitor: RDBVisitor & ~Copyable>(
        _ opcode: RDBOpcode, _ attributes: inout RDBKeyAttributes, _ visitor: inout Visitor
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
        case .resizeDatabase:
            stage = .length
            let keys = try input.length()
            try visitor.resizeDatabase(keys: keys, expires: try input.length())
        case .slotInfo: for _ in 0..<3 { _ = try input.length() }
        case .aux: try readAux(&visitor)
        case .function:
            stage = .function
            try visitor.function(try input.string())
        case .functionPreRelease:
            throw input.unsupported("Pre-release function format not supported")
        case .moduleAux: try readModuleAux(&visitor)
        case .keyMetadata: try skipKeyMetadata()
        case .hashTemplate: throw input.unsupported("hash templates (Redis 8.10)")
        case .keyNoEvict: break
        }
    }

    private mutating func readAux<Visitor: RDBVisitor & ~Copyable>(_ visitor: inout Visitor) throws(StorageError) {
        stage = .aux
        let name = OwnedBytes(copying: try input.string())
        let value = try input.string()
        if input.dialect == .redis, input.version.number < 80 {
            if name.bytes.elementsEqual("valkey-ver".utf8) { input.dialect = .valkey }
            if name.bytes.elementsEqual("df-ver".utf8) { input.dialect = .dragonfly }
            if name.bytes.elementsEqual("mvcc-tstamp".utf8) { input.dialect = .keydb }
        }
        try visitor.aux(name.bytes, value, at: input.offset)
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
        while left > 0 {
            _ = try input.uint32()
            try input.skipModuleParts()
            left -= 1
        }
    }

    // MARK: Keys

    private func checkedType(_ number: UInt8) throws(StorageError) -> RDBType {
        guard let type = RDBType(rawValue: number) else {
            // Numbers that newer or other servers gave a meaning.
            if 26...37 ~= number || number == 64 || 200...224 ~= number {
                throw input.unsupported("Invalid object type: \(number)")
            }
            throw input.corrupt("Invalid object type: \(number)")
        }
        return type
    }

    private mutating func readKey<Visitor: RDBVisitor & ~Copyable>(
        _ type: RDBType, _ attributes: RDBKeyAttributes, _ visitor: inout Visitor
    ) throws(StorageError) {
        self.type = type
        stage = .key
        keyBuffer.truncate(to: 0)
        keyBuffer.append(try input.string())
        hasKey = true
        stage = .value
        try visitor.value(of: keyBuffer.bytes, attributes, type, &input)
        hasKey = false
        self.type = nil
    }
}
