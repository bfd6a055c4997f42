import Commands
import Engine
import Primitives
import RESP

enum ACLLogCommand {
    private static let shownEntries: Int64 = 10

    static func log(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        if call.count > 3 { throw ACLCommands.wrongCount(call) }
        let log = core.engine.access.log
        if call.count == 3, call.isWord(2, "RESET") {
            log.removeAll()
            call.reply.ok()
            return
        }
        let count = call.count == 3 ? try call.integer(2) : shownEntries
        let entries = log.entries.prefix(Int(clamping: max(0, count)))
        call.reply.array(entries.count)
        for entry in entries { write(entry, call.reply, now: core.engine.keyspace.now.rawValue) }
    }

    private static func write(_ entry: AccessLog.Entry, _ reply: ReplyWriter, now: Int64) {
        reply.map(10)
        reply.bulk("count" as StaticString)
        reply.integer(entry.count)
        reply.bulk("reason" as StaticString)
        reply.bulk(entry.reason.rawValue)
        reply.bulk("context" as StaticString)
        reply.bulk(entry.context.rawValue)
        reply.bulk("object" as StaticString)
        entry.object.withUnsafeBytes { reply.bulk($0) }
        reply.bulk("username" as StaticString)
        entry.user.withUnsafeBytes { reply.bulk($0) }
        reply.bulk("age-seconds" as StaticString)
        reply.double(Double(now - entry.updated.rawValue) / 1000)
        reply.bulk("client-info" as StaticString)
        entry.client.withUnsafeBytes { reply.bulk($0) }
        reply.bulk("entry-id" as StaticString)
        reply.integer(entry.id)
        reply.bulk("timestamp-created" as StaticString)
        reply.integer(entry.created.rawValue)
        reply.bulk("timestamp-last-updated" as StaticString)
        reply.integer(entry.updated.rawValue)
    }
}
