import Encodings
import Primitives

// Passing over values by their layout alone.

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
        case .modulePreRelease: throw unsupported("a module value of a pre-release of Redis 4.0")
        case .module2: try skipModuleValue()
        case .listQuicklist2:
            var left = try count()
            while left > 0 {
                _ = try length()
                try skipString()
                left -= 1
            }
        case .streamListpacks, .streamListpacks2, .streamListpacks3: try skipStream(type)
        case .hashMetadataPreRelease, .hashMetadata: try skipHashWithExpires(type)
        case .hashListpackexPreRelease: try skipString()
        case .hashListpackex:
            try skip(8)
            try skipString()
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
        let isValkey = type == .hashMetadataPreRelease && dialect == .valkey
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
                try skip(type == .streamListpacks3 ? 16 : 8)
                var owned = try count()
                while owned > 0 {
                    try skip(StreamID.byteCount)
                    owned -= 1
                }
                consumers -= 1
            }
            groups -= 1
        }
    }
}
