import Commands
import Encodings
import Engine
import Keyspace
import Primitives
import RESP
import Storage

/// DEBUG OBJECT, LISTPACK, QUICKLIST, SDSLEN: how one value is held.
enum DebugObject {
    private static func entry(_ core: ServerCore, _ call: Call) throws(CommandError) -> Entry {
        guard let entry = core.engine.keyspace.find(call[2], in: call.database, .peek) else { throw .noSuchKey }
        return entry
    }

    static func object(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let entry = try entry(core, call)
        let keyspace = core.engine.keyspace.accessClock
        let isFast = call.count == 4 && call.isWord(3, "FAST")
        if call.count == 4, !isFast { throw .syntax }
        let address = String(UInt(bitPattern: entry.base), radix: 16)
        var text = "Value at:0x\(address) refcount:1 encoding:\(entry.encoding.name)"
        if !isFast { text += " serializedlength:\(serializedLength(entry))" }
        let idle = core.engine.keyspace.usesLFU ? 0 : (keyspace &- entry.access) & 0xff_ffff
        text += " lru:\(entry.access) lru_seconds_idle:\(idle)"
        if entry.type == .list, entry.encoding == .quicklist { text += quicklistFields(Quicklist(entry.pointer), core) }
        text.withUTF8 { call.reply.simple(Bytes($0)) }
    }

    /// Bytes of the value in a snapshot, without its type.
    private static func serializedLength(_ entry: Entry) -> Int {
        var payload = OwnedBytes()
        RDBPayload.dump(entry, version: .newestRedis, into: &payload)
        return max(0, payload.count - 11)
    }

    private static func quicklistFields(_ list: Quicklist, _ core: ServerCore) -> String {
        var nodes = 0, bytes = 0
        var node = list.head
        while let current = node {
            nodes += 1
            bytes += current.byteCount
            node = current.next
        }
        let mean = nodes == 0 ? 0 : Double(list.count) / Double(nodes)
        return " ql_nodes:\(nodes) ql_avg_node:\(InfoWriter.fixed(mean, 2))"
            + " ql_listpack_max:\(core.engine.keyspace.thresholds.listMaxListpackSize)"
            + " ql_compressed:0 ql_uncompressed_size:\(bytes)"
    }

    static func listpack(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let entry = try entry(core, call)
        guard entry.encoding == .listpack || entry.encoding == .listpackex else {
            throw .text("ERR Not a listpack encoded object.")
        }
        let pack = Listpack(adopting: entry.pointer)
        core.log.write(.warning, "listpack: \(pack.byteCount) bytes, \(pack.count) elements")
        var position = pack.first, number = 0
        while let current = position {
            core.log.write(.warning, "  \(number) at \(current): \(shown(pack.get(current)))")
            position = pack.next(current)
            number += 1
        }
        call.reply.simple("Listpack structure printed on stdout")
    }

    private static func shown(_ element: ListpackElement) -> String {
        withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) { scratch in
            Quoting.quoted(element.text(scratch.baseAddress.unsafelyUnwrapped))
        }
    }

    static func quicklist(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let entry = try entry(core, call)
        guard entry.type == .list, entry.encoding == .quicklist else {
            throw .text("ERR Not a quicklist encoded object.")
        }
        if call.count == 4, let detail = Decimal.parseInt64(call[3]), detail != 0, detail != 1 {
            throw .text("ERR value is out of range, must be between 0 and 1")
        }
        var node = Quicklist(entry.pointer).head, number = 0
        while let current = node {
            let form = current.isPlain ? "plain" : "packed"
            core.log.write(.warning, "quicklist node \(number): \(form), \(current.byteCount) bytes, "
                + "\(current.count) elements")
            node = current.next
            number += 1
        }
        call.reply.simple("Quicklist structure printed on stdout")
    }

    static func stringLengths(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let entry = try entry(core, call)
        guard entry.type == .string, entry.encoding != .int else { throw .text("ERR Not an sds encoded string.") }
        let room = entry.isEmbedded ? 0 : Heap.usableSize(entry.pointer) - 8 - entry.stringCount
        var text = "key_sds_len:\(call[2].count), key_sds_avail:0, key_zmalloc: \(Heap.usableSize(entry.base)), "
            + "val_sds_len:\(entry.stringCount), val_sds_avail:\(max(0, room)), "
            + "val_zmalloc: \(entry.isEmbedded ? 0 : Heap.usableSize(entry.pointer))"
        text.withUTF8 { call.reply.simple(Bytes($0)) }
    }
}

/// Bytes as a line of a log or of MONITOR shows them.
enum Quoting {
    static func quoted(_ bytes: Bytes) -> String {
        var text = OwnedBytes(capacity: bytes.count + 2)
        append(bytes, to: &text)
        return String(decoding: text.bytes, as: UTF8.self)
    }

    /// In double quotes, with backslashes before what is not plain.
    static func append(_ bytes: Bytes, to text: inout OwnedBytes) {
        text.append("\"" as StaticString)
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "\\"), UInt8(ascii: "\""):
                text.append(UInt8(ascii: "\\"))
                text.append(byte)
            case 10: text.append("\\n" as StaticString)
            case 13: text.append("\\r" as StaticString)
            case 9: text.append("\\t" as StaticString)
            case 7: text.append("\\a" as StaticString)
            case 8: text.append("\\b" as StaticString)
            case 32..<127: text.append(byte)
            default:
                text.append("\\x" as StaticString)
                text.append(ASCII.hexDigit(byte >> 4))
                text.append(ASCII.hexDigit(byte & 15))
            }
        }
        text.append("\"" as StaticString)
    }
}
