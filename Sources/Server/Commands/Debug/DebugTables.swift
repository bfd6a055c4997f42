import Commands
import Engine
import Keyspace
import Primitives
import RESP

/// DEBUG HTSTATS: how full hash tables are.
enum DebugTables {
    static func database(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let index = try call.integer(2)
        guard index >= 0, index < core.engine.keyspace.databaseCount else { throw .text("ERR Out of range database") }
        let database = core.engine.keyspace.databases[Int(index)]
        var text = "[Dictionary HT]\n" + describe(database.keys) + "\n[Expires HT]\n" + describe(database.expires)
        text.withUTF8 { call.reply.verbatim("txt", Bytes($0)) }
    }

    static func key(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        guard let entry = core.engine.keyspace.find(call[2], in: call.database, .peek) else { throw .noSuchKey }
        guard var text = entry.describeTable() else {
            throw .text("ERR The value stored at the specified key is not represented using an hash table")
        }
        text.withUTF8 { call.reply.verbatim("txt", Bytes($0)) }
    }

    private static func describe(_ table: HashTable<EntryElement>) -> String { table.statistics }
}
