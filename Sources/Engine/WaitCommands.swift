import Commands
import Keyspace
import Primitives
import RESP

/// WAIT and WAITAOF: how far the connection's last write has come. They park without a key and look again whenever
/// the log or a replica moves on.
package enum WaitCommands {
    package static let all: [Command] = [
        Command("wait", arity: 3, [.blocking], [.slow, .blocking, .connection], group: .generic, since: "3.0.0",
                complexity: "O(1)", summary: "Waits until so many replicas have the connection's writes.",
                tips: "request_policy:all_shards,response_policy:agg_min",
                arguments: "numreplicas:integer timeout:integer", .engine(wait)),
        Command("waitaof", arity: 4, [.blocking], [.slow, .blocking, .connection], group: .generic, since: "7.2.0",
                complexity: "O(1)",
                summary: "Waits until the connection's writes are on the disk, here and at so many replicas.",
                tips: "request_policy:all_shards,response_policy:agg_min",
                arguments: "numlocal:integer numreplicas:integer timeout:integer", .engine(waitaof)),
    ]

    private static func timeout(_ call: Call, _ index: Int) throws(CommandError) -> Int64 {
        let value = try call.integer(index, in: .min ... .max,
                                     orThrow: .text("ERR timeout is not an integer or out of range"))
        if value < 0 { throw .text("ERR timeout is negative") }
        return value
    }

    static func wait(_ engine: Engine, _ call: inout Call) throws(CommandError) {
        let wanted = try call.integer(1), timeout = try timeout(call, 2)
        let have = engine.replicasHaving(engine.current.lastWriteEnd)
        if have >= wanted || !call.mayBlock {
            call.reply.integer(have)
        } else {
            call.block(firstKey: 0, keyCount: 0, timeoutMilliseconds: timeout, timeoutReply: .custom)
        }
    }

    static func waitaof(_ engine: Engine, _ call: inout Call) throws(CommandError) {
        let wantsLocal = try call.integer(1, in: 0...1, orThrow: rangeError(call, 1, .text("""
            ERR value is out of range, value must between 0 and 1
            """)))
        let wanted = try call.integer(2, in: 0...Int64.max, orThrow: rangeError(call, 2, .text("""
            ERR value is out of range, must be positive
            """)))
        let timeout = try timeout(call, 3)
        let durable = engine.durableOffset(), last = engine.current.lastWriteEnd
        if wantsLocal > 0 && durable == nil {
            throw .text("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.")
        }
        let local: Int64 = durable.map { $0 >= last } == true ? 1 : 0
        let replicas = engine.replicasHavingDurably(last)
        if (local >= wantsLocal && replicas >= wanted) || !call.mayBlock {
            call.reply.array(2)
            call.reply.integer(local)
            call.reply.integer(replicas)
        } else {
            call.block(firstKey: 0, keyCount: 0, timeoutMilliseconds: timeout, timeoutReply: .custom)
        }
    }

    private static func rangeError(_ call: Call, _ index: Int, _ error: CommandError) -> CommandError {
        Decimal.parseInt64(call[index]) == nil ? .notInteger : error
    }
}
