import Encodings
import Keyspace
import Primitives

// Lists.
//
//     1  list-linked    n, n strings
//     10 list-ziplist   a ziplist
//     14 quicklist      n, n ziplists
//     18 quicklist-v2   n, n × (container, string): 1 a plain element, 2 a listpack

enum ListCodec {
    /// Nil: an empty list.
    static func decode(_ type: RDBType, _ input: inout RDBInput, _ keyspace: borrowing Keyspace)
        throws(StorageError) -> Value? {
        let quicklist = Quicklist.create()
        do throws(StorageError) {
            if type == .listQuicklist2 {
                try decodeNodes(&input, quicklist)
            } else if type == .listQuicklist {
                try decodeZiplists(&input, quicklist)
            } else if type == .listZiplist {
                try decodeZiplist(&input, quicklist, keyspace.thresholds)
            } else {
                try decodeElements(&input, quicklist, keyspace.thresholds)
            }
        } catch {
            quicklist.destroy()
            throw error
        }
        var list = ListValue(.quicklist, quicklist.base)
        if quicklist.count == 0 {
            list.destroy()
            return nil
        }
        list.convertToListpackIfSmall(shrunk: false, keyspace.thresholds)
        return list.makeValue()
    }

    private static func decodeElements(_ input: inout RDBInput, _ list: Quicklist, _ thresholds: Thresholds)
        throws(StorageError) {
        var left = try input.count()
        while left > 0 {
            list.push(try input.element(), atHead: false, thresholds)
            left -= 1
        }
    }

    private static func decodeZiplist(_ input: inout RDBInput, _ list: Quicklist, _ thresholds: Thresholds)
        throws(StorageError) {
        guard var reader = ZiplistReader(try input.string()) else {
            throw input.corrupt("List ziplist integrity check failed.")
        }
        withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) { scratch in
            while let element = reader.next() {
                list.push(element.text(scratch.baseAddress.unsafelyUnwrapped), atHead: false, thresholds)
            }
        }
    }

    private static func decodeZiplists(_ input: inout RDBInput, _ list: Quicklist) throws(StorageError) {
        var left = try input.count()
        while left > 0 {
            if let pack = try input.listpackOfZiplist(stride: 1, name: "Quicklist") { list.append(node: pack) }
            left -= 1
        }
    }

    private static func decodeNodes(_ input: inout RDBInput, _ list: Quicklist) throws(StorageError) {
        var left = try input.count()
        while left > 0 {
            switch try input.length() {
            case RDBQuicklistContainer.plain: list.append(plain: try input.element())
            case RDBQuicklistContainer.packed:
                if let pack = try input.listpack(stride: 1, name: "Quicklist") { list.append(node: pack) }
            default: throw input.corrupt("Quicklist integrity check failed.")
            }
            left -= 1
        }
    }

    static func type(_ version: RDBVersion) -> RDBType { version < .redis7_0 ? .listQuicklist : .listQuicklist2 }

    static func encode(_ list: ListValue, _ output: inout RDBOutput, _ version: RDBVersion) {
        if list.encoding == .listpack {
            output.put(length: 1)
            put(list.listpack, &output, version)
            return
        }
        output.put(length: list.quicklist.nodeCount)
        var node = list.quicklist.head
        while let current = node {
            if !current.isPlain {
                put(current.listpack, &output, version)
            } else if version < .redis7_0 {
                var writer = ZiplistWriter()
                writer.append(current.bytes)
                output.put(string: writer.finish())
            } else {
                output.put(length: RDBQuicklistContainer.plain)
                output.put(string: current.bytes)
            }
            node = current.next
        }
    }

    private static func put(_ pack: Listpack, _ output: inout RDBOutput, _ version: RDBVersion) {
        if version < .redis7_0 {
            output.put(ziplistOf: pack)
        } else {
            output.put(length: RDBQuicklistContainer.packed)
            output.put(string: pack.bytes)
        }
    }
}

extension RDBOutput {
    /// A listpack's elements as a ziplist.
    mutating func put(ziplistOf pack: Listpack) {
        var writer = ZiplistWriter()
        var current = pack.first
        while let at = current {
            writer.append(pack.get(at))
            current = pack.next(at)
        }
        put(string: writer.finish())
    }
}
