import Encodings
import Primitives

// Passing over values by their layout alone.

extension RDBType {
    /// Consumers of the stream say when they last got something.
    var hasActiveTime: Bool { self == .streamListpacks3 || self == .streamListpacks4 || self == .streamListpacks5 }
}

extension StaticString {
    var text: String { String(decoding: bytes, as: UTF8.self) }
}

extension RDBInput {
    /// Consumes a value of `type` without building it.
    package mutating func skipValue(_ type: RDBType) throws(StorageError) {
        switch type {
        case .string, .hashZipmap, .listZiplist, .setIntset, .sortedSetZiplist, .hashZiplist, .hashListpack,
             .sortedSetListpack, .setListpack:
            try skipString()
        case .list, .set, .listQuicklist: try skipStrings(perElement: 1)
        case .hash: try skipStrings(perElement: 2)
        case .sortedSet, .sortedSet2: try skipScores(type)
        case .modulePreRelease, .rateLimiter, .dragonflyCountMin, .dragonflyTopK, .dragonflyCuckoo:
            // How long such a value is only its server knows.
            throw unsupported("\(type.obstacle?.text ?? ""), whose layout is not known")
        case .module2: try skipModuleValue()
        case .listQuicklist2:
            var left = try count()
            while left > 0 {
                _ = try length()
                try skipString()
                left -= 1
            }
        case .streamListpacks, .streamListpacks2, .streamListpacks3, .streamListpacks4, .streamListpacks5:
            try skipStream(type)
        case .hashMetadataPreRelease, .hashMetadata, .valkeyHash: try skipHashWithExpires(type)
        case .hashListpackexPreRelease: try skipString()
        case .hashListpackex:
            try skip(8)
            try skipString()
        case .array, .hashTemplateListpack, .hashTemplateListpackRef, .hashTemplateArray, .hashTemplateArrayRef,
             .keydbCron, .dragonflyJSON, .dragonflyHash, .dragonflySet, .dragonflyBloom, .dragonflyChunkedBloom:
            try skipForeign(type)
        }
    }

    /// Types of newer and other servers.
    private mutating func skipForeign(_ type: RDBType) throws(StorageError) {
        switch type {
        case .array: try skipArray()
        case .hashTemplateListpack:
            try skipStrings(perElement: 1)
            try skipString()
        case .hashTemplateArray: try skipStrings(perElement: 2)
        case .hashTemplateArrayRef:
            let id = try length()
            guard let fields = templates.count(of: id) else { throw corrupt("hash template \(id) is not there") }
            for _ in 0..<fields { try skipString() }
        case .keydbCron:
            try skipString()
            try skip(16)
            try skipStrings(perElement: 1)
            try skipStrings(perElement: 1)
        case .dragonflyHash: try skipStrings(perElement: 3)
        case .dragonflySet: try skipStrings(perElement: 2)
        case .dragonflyBloom, .dragonflyChunkedBloom: try skipBloom(isChunked: type == .dragonflyChunkedBloom)
        case .hashTemplateListpackRef, .dragonflyJSON: try skipString()
        case .string, .list, .set, .sortedSet, .hash, .sortedSet2, .modulePreRelease, .module2, .hashZipmap,
             .listZiplist, .setIntset, .sortedSetZiplist, .hashZiplist, .listQuicklist, .streamListpacks,
             .hashListpack, .sortedSetListpack, .listQuicklist2, .streamListpacks2, .setListpack, .streamListpacks3,
             .hashMetadataPreRelease, .hashListpackexPreRelease, .hashMetadata, .hashListpackex, .streamListpacks4,
             .streamListpacks5, .rateLimiter, .valkeyHash, .dragonflyCountMin, .dragonflyTopK, .dragonflyCuckoo:
            break
        }
    }

    /// Redis 8.8: elements of an array, each with its index and a tag of its form.
    private mutating func skipArray() throws(StorageError) {
        var left = try count()
        if try length() != 0 { _ = try length() }
        while left > 0 {
            _ = try length()
            switch try length() {
            case 0, 3: try skipString()
            case 1, 2: try skip(8)
            default: throw corrupt("an array element of an unknown form")
            }
            left -= 1
        }
    }

    private mutating func skipBloom(isChunked: Bool) throws(StorageError) {
        _ = try length()
        try skip(16)
        for _ in 0..<3 { _ = try length() }
        var filters = try count()
        while filters > 0 {
            _ = try length()
            if isChunked {
                var left = try count()
                while left > 0 {
                    let chunk = try string().count
                    guard 1...left ~= chunk else { throw corrupt("a Bloom filter's chunk of \(chunk) bytes") }
                    left -= chunk
                }
            } else {
                try skipString()
            }
            filters -= 1
        }
    }

    private mutating func skipStrings(perElement strings: Int) throws(StorageError) {
        var left = try count()
        while left > 0 {
            for _ in 0..<strings { try skipString() }
            left -= 1
        }
    }

    private mutating func skipScores(_ type: RDBType) throws(StorageError) {
        var left = try count()
        while left > 0 {
            try skipString()
            if type == .sortedSet { _ = try textDouble() } else { try skip(8) }
            left -= 1
        }
    }

    private mutating func skipHashWithExpires(_ type: RDBType) throws(StorageError) {
        let isValkey = type == .valkeyHash
        if type == .hashMetadata { try skip(8) }
        var left = try count()
        while left > 0 {
            if !isValkey { _ = try length() }
            try skipString()
            try skipString()
            if isValkey { try skip(8) }
            left -= 1
        }
    }

    /// A module's value behind its id, or the part of an AUX that belongs to a module: opcode and data up to `end`.
    package mutating func skipModuleParts() throws(StorageError) {
        while true {
            guard let opcode = RDBModuleOpcode(rawValue: try length()) else {
                throw corrupt("a module's value with an unknown part")
            }
            switch opcode {
            case .end: return
            case .signed, .unsigned: _ = try length()
            case .float: try skip(4)
            case .double: try skip(8)
            case .string: try skipString()
            }
        }
    }

    private mutating func skipModuleValue() throws(StorageError) {
        _ = try length()
        try skipModuleParts()
    }

    private mutating func skipStream(_ type: RDBType) throws(StorageError) {
        try skipStrings(perElement: 2)
        // Length and last ID; since 7.0 also first ID, greatest deleted ID, number ever added.
        for _ in 0..<(type == .streamListpacks ? 3 : 8) { _ = try length() }
        var groups = try count()
        while groups > 0 {
            try skipString()
            for _ in 0..<(type == .streamListpacks ? 2 : 3) { _ = try length() }
            var pending = try count()
            while pending > 0 {
                try skip(StreamID.byteCount + 8)
                _ = try length()
                pending -= 1
            }
            var consumers = try count()
            while consumers > 0 {
                try skipString()
                try skip(type.hasActiveTime ? 16 : 8)
                var owned = try count()
                while owned > 0 {
                    try skip(StreamID.byteCount)
                    owned -= 1
                }
                consumers -= 1
            }
            if type == .streamListpacks5 {
                var released = try count()
                while released > 0 {
                    try skip(StreamID.byteCount)
                    released -= 1
                }
            }
            groups -= 1
        }
        if type.hasProducers { try skipProducers() }
    }

    /// Redis 8.6: what a stream knows of messages that were sent before.
    mutating func skipProducers() throws(StorageError) {
        _ = try length()
        _ = try length()
        var left = try count()
        while left > 0 {
            try skipString()
            var ids = try count()
            while ids > 0 {
                try skipString()
                _ = try length()
                _ = try length()
                ids -= 1
            }
            left -= 1
        }
    }
}
