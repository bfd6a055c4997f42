import Encodings
import Primitives

// DEBUG DIGEST and DEBUG DIGEST-VALUE: 160 bits that two servers give for equal data. Two ways of folding bytes in:
//
//     mix    digest = SHA1(digest xor SHA1(bytes))    the order counts
//     fold   digest = digest xor SHA1(bytes)          the order does not
//
//     value: mix the type's number (u32 big endian), then
//            string      mix the text
//            list        mix each element
//            set         fold each member
//            sorted set  for each: from zero, mix member, mix score's text; fold the digest's 20 bytes in
//            hash        for each: from zero, mix field, mix value, fold "!!hexpire!!" if the field expires; fold in
//            stream      mix each "ms.seq", then each of its fields and values
//            then fold "!!expire!!" if the key expires
//     key:   from zero, mix the key, then its value
//     whole: per database that has keys: mix its number (u32 big endian), then fold each key's digest in

package enum KeyspaceDigest {
    /// Of everything.
    package static func whole(_ keyspace: borrowing Keyspace) -> SHA1.Digest {
        var digest = SHA1.Digest()
        for index in 0..<keyspace.databaseCount where keyspace.databases[index].keys.count > 0 {
            digest.mix(UInt32(index))
            var iterator = keyspace.databases[index].keys.makeIterator()
            while let element = iterator.next() {
                let entry = Entry(element)
                var own = SHA1.Digest()
                own.mix(entry.key)
                own.mixValue(entry)
                digest.fold(own)
            }
        }
        return digest
    }

    /// Of one key's value and whether it expires.
    package static func value(_ entry: Entry) -> SHA1.Digest {
        var digest = SHA1.Digest()
        digest.mixValue(entry)
        return digest
    }
}

extension SHA1.Digest {
    mutating func fold(_ bytes: Bytes) { formXor(SHA1.of(bytes)) }

    mutating func mix(_ bytes: Bytes) {
        fold(bytes)
        self = hashed
    }

    mutating func fold(_ other: SHA1.Digest) { formXor(other.hashed) }

    private var hashed: SHA1.Digest {
        withUnsafeTemporaryAllocation(byteCount: 20, alignment: 4) { buffer in
            write(to: buffer.baseAddress.unsafelyUnwrapped)
            return SHA1.of(Bytes(buffer))
        }
    }

    mutating func mix(_ number: UInt32) { withUnsafeBytes(of: number.bigEndian) { mix($0) } }

    mutating func mix(_ element: ListpackElement) {
        withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) {
            mix(element.text($0.baseAddress.unsafelyUnwrapped))
        }
    }

    mutating func mix(_ score: Double) {
        withUnsafeTemporaryAllocation(byteCount: DoubleText.maximumLength, alignment: 8) {
            let text = $0.baseAddress.unsafelyUnwrapped
            mix(Bytes(start: text, count: DoubleText.write(score, to: text)))
        }
    }

    mutating func mixID(_ id: StreamID) {
        withUnsafeTemporaryAllocation(byteCount: StreamID.maximumTextLength, alignment: 8) {
            let text = $0.baseAddress.unsafelyUnwrapped
            var count = Decimal.write(id.milliseconds, to: text)
            text.storeBytes(of: UInt8(ascii: "."), toByteOffset: count, as: UInt8.self)
            count += 1
            count += Decimal.write(id.sequence, to: text + count)
            mix(Bytes(start: text, count: count))
        }
    }

    mutating func mixValue(_ entry: Entry) {
        mix(UInt32(entry.type.rawValue))
        switch entry.type {
        case .string:
            withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) {
                mix(entry.string($0.baseAddress.unsafelyUnwrapped))
            }
        case .list: ListValue(entry).forEach { mix($0); return true }
        case .set: SetValue(entry).forEach { fold($0); return true }
        case .sortedSet:
            SortedSetValue(entry).forEach { member, score in
                var own = SHA1.Digest()
                own.mix(member)
                own.mix(score)
                fold(own)
                return true
            }
        case .hash:
            HashValue(entry).forEach { field, value, expire in
                var own = SHA1.Digest()
                own.mix(field)
                own.mix(value)
                if expire != nil { own.fold(("!!hexpire!!" as StaticString).bytes) }
                fold(own)
                return true
            }
        case .stream:
            StreamValue(entry).forEachEntry { item in
                mixID(item.id)
                item.forEachField { field, value in
                    mix(field)
                    mix(value)
                }
                return true
            }
        case .module: mix(ModuleValue(entry).bytes)
        }
        if entry.hasExpire { fold(("!!expire!!" as StaticString).bytes) }
    }
}
