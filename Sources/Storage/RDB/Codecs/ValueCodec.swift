import Encodings
import Keyspace
import Primitives

// Values of every type: which codec reads and writes them.

extension RDBInput {
    /// Decodes a value of `type`, in the encoding that the keyspace's thresholds ask for.
    /// - Parameter isThorough: duplicates within small collections are looked for, too.
    /// - Returns: nil for an empty collection, which no key may hold.
    package mutating func value(_ type: RDBType, _ keyspace: borrowing Keyspace, isThorough: Bool)
        throws(StorageError) -> Value? {
        switch type {
        case .string: return Value(string: try string())
        case .list, .listZiplist, .listQuicklist, .listQuicklist2:
            return try ListCodec.decode(type, &self, keyspace)
        case .set, .setIntset, .setListpack:
            return try SetCodec.decode(type, &self, keyspace, isThorough: isThorough)
        case .sortedSet, .sortedSet2, .sortedSetZiplist, .sortedSetListpack:
            return try SortedSetCodec.decode(type, &self, keyspace, isThorough: isThorough)
        case .hash, .hashZipmap, .hashZiplist, .hashListpack:
            return try HashCodec.decode(type, &self, keyspace, isThorough: isThorough)
        case .hashMetadataPreRelease, .hashListpackexPreRelease, .hashMetadata, .hashListpackex, .valkeyHash:
            return try HashCodec.decodeExpiring(type, &self, keyspace, isThorough: isThorough)
        case .streamListpacks, .streamListpacks2, .streamListpacks3, .streamListpacks4, .streamListpacks5:
            return try StreamCodec.decode(type, &self)
        case .module2: return try moduleValue()
        case .hashTemplateListpack, .hashTemplateListpackRef, .hashTemplateArray, .hashTemplateArrayRef,
             .dragonflyHash, .dragonflySet:
            return try ForeignCodec.decode(type, &self, keyspace)
        case .modulePreRelease, .array, .rateLimiter, .keydbCron, .dragonflyJSON, .dragonflyBloom,
             .dragonflyChunkedBloom, .dragonflyCountMin, .dragonflyTopK, .dragonflyCuckoo:
            throw unsupported(type.obstacle?.text ?? "")
        }
    }

    private mutating func moduleValue() throws(StorageError) -> Value {
        startRecording()
        let id = try length()
        try skipModuleParts()
        return ModuleValue.create(id: id, endRecording())
    }
}

extension RDBOutput {
    /// The type that stands for an entry's value in files of `version`.
    package static func type(of entry: Entry, _ version: RDBVersion) -> RDBType {
        switch entry.type {
        case .string: .string
        case .list: ListCodec.type(version)
        case .set: SetCodec.type(SetValue(entry), version)
        case .sortedSet: SortedSetCodec.type(SortedSetValue(entry), version)
        case .hash: HashCodec.type(HashValue(entry), version)
        case .stream: StreamCodec.type(version)
        case .module: .module2
        }
    }

    /// An entry's value without its type. Safe in a snapshot child: nothing is changed that others see.
    package mutating func put(valueOf entry: Entry, _ type: RDBType, _ version: RDBVersion) {
        switch entry.type {
        case .string:
            if entry.encoding == .int { put(integerString: entry.integer) } else { put(string: entry.stringBytes) }
        case .list: ListCodec.encode(ListValue(entry), &self, version)
        case .set: SetCodec.encode(SetValue(entry), type, &self)
        case .sortedSet: SortedSetCodec.encode(SortedSetValue(entry), &self, version)
        case .hash: HashCodec.encode(HashValue(entry), type, &self)
        case .stream: StreamCodec.encode(StreamValue(entry), &self, version)
        case .module: put(ModuleValue(entry).bytes)
        }
    }
}
