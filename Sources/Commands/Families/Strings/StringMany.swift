import Keyspace
import Primitives
import RESP

// MSETEX: several strings at once, on a condition, with one expire.

extension StringCommands {
    static let msetexDeclaration = Command(
        "msetex", arity: -4, [.write, .denyoom, .movablekeys], [.write, .string, .slow],
        keys: "idx:1>num:0/1/2{OW,update}", group: .string, since: "8.4.0", complexity: "O(N)",
        summary: "Sets several keys to strings, all at once and with one expire, if all or none of them exist.",
        tips: "request_policy:multi_shard,response_policy:all_succeeded", arguments: """
            numkeys:integer data:block*(key:key#0 value:string) condition:oneof?(nx:pure-token@NX xx:pure-token@XX) \
            expiration:oneof?(seconds:integer@EX milliseconds:integer@PX unix-time-seconds:unix-time@EXAT \
            unix-time-milliseconds:unix-time@PXAT keepttl:pure-token@KEEPTTL)
            """, propagates: .rewritten, .data(msetex))

    static func msetex(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        guard let number = Decimal.parseInt64(call[1]), number > 0, number <= Int64(Int32.max / 2) else {
            throw .text("ERR invalid numkeys value")
        }
        let end = 2 + Int(number) * 2
        if end > call.count { throw .text("ERR wrong number of key-value pairs") }
        let options = try StringOptions(call, from: end, allowed: .several)
        let at = try options.expire(call, keyspace.now)
        if options.onlyIfAbsent || options.onlyIfPresent {
            for index in stride(from: 2, to: end, by: 2)
                where (keyspace.find(call[index], in: call.database, .write) != nil) == options.onlyIfAbsent {
                call.reply.integer(0)
                return
            }
        }
        let change: ExpireChange = at.map { .at($0) } ?? (options.keepsExpire ? .keep : .none)
        for index in stride(from: 2, to: end, by: 2) {
            store(&keyspace, call, key: call[index], call[index + 1], change)
            call.modified(call[index], .string, "set")
            if at != nil { call.announce(call[index], .generic, "expire") }
        }
        call.reply.integer(1)
    }
}
