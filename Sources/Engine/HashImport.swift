import Commands
import Keyspace
import Primitives
import RESP

// HIMPORT: many hashes with the same fields. A connection names the fields once and then sends values alone.
//
// Fieldsets belong to their connection; scripts use those of their caller. The log gets DEL, if something was replaced,
// and HSET.

/// Names of fields, in the order in which values will come.
package struct Fieldset {
    let name: [UInt8]
    let fields: [[UInt8]]

    /// What it takes, for the client's share of memory.
    var byteCount: Int { fields.reduce(name.count + 64) { $0 + $1.count + 40 } }
}

package enum HashImportCommands {
    package static let all: [Command] = [
        Command("himport", arity: -2, [], [.hash, .slow], group: .hash, since: "8.10.0", complexity: "per-subcommand",
                summary: "Container of commands that make many hashes with the same fields.", subcommands: [
            Command("discard", arity: 3, [], [.hash, .slow], group: .hash, since: "8.10.0", complexity: "O(N)",
                    summary: "Forgets a fieldset of the connection.", tips: "request_policy:all_shards",
                    arguments: "fieldset-name:string", .engine(discard)),
            Command("discardall", arity: 2, [], [.hash, .slow], group: .hash, since: "8.10.0", complexity: "O(N)",
                    summary: "Forgets all fieldsets of the connection.", tips: "request_policy:all_shards",
                    .engine(discardAll)),
            Command("prepare", arity: -4, [.denyoom], [.hash, .slow], group: .hash, since: "8.10.0",
                    complexity: "O(N*log(N))", summary: "Names fields for the HIMPORT SETs of this connection.",
                    tips: "request_policy:all_shards", arguments: "fieldset-name:string field:string*",
                    .engine(prepare)),
            Command("set", arity: -5, [.write, .denyoom], [.write, .hash, .slow],
                    keys: "idx:2>rng:0/1/0{OW,update}", group: .hash, since: "8.10.0", complexity: "O(N)",
                    summary: "Makes a hash of a fieldset's fields and these values.",
                    arguments: "key:key#0 fieldset-name:string value:string*", propagates: .rewritten,
                    .engine(set)),
        ], .container),
    ]

    /// Whose fieldsets the running command means.
    private static func owner(_ engine: Engine) -> Session { engine.current.caller ?? engine.current }

    private static func prepare(_ engine: Engine, _ call: inout Call) throws(CommandError) {
        let fieldset = Fieldset(name: Array(call[2]), fields: (3..<call.count).map { Array(call[$0]) })
        if Set(fieldset.fields).count < fieldset.fields.count {
            throw .text("ERR duplicate field name in fieldset")
        }
        let session = owner(engine)
        session.fieldsets.removeAll { $0.name == fieldset.name }
        session.fieldsets.append(fieldset)
        call.reply.ok()
    }

    private static func set(_ engine: Engine, _ call: inout Call) throws(CommandError) {
        guard let fieldset = owner(engine).fieldsets.first(where: { $0.name.elementsEqual(call[3]) }) else {
            throw .text("ERR no such fieldset")
        }
        let fields = fieldset.fields
        guard fields.count == call.count - 4 else {
            throw .text("ERR value count does not match fieldset field count")
        }
        var hash = HashValue.createListpack()
        var longest = 0, total = 0
        for index in 0..<fields.count {
            longest = max(longest, fields[index].count, call[index + 4].count)
            total += fields[index].count + call[index + 4].count
        }
        hash.prepare(added: fields.count, longest: longest, total: total, engine.keyspace)
        for index in 0..<fields.count {
            fields[index].withUnsafeBytes { _ = hash.set($0, call[index + 4], engine.keyspace) }
        }
        let replaces = engine.keyspace.find(call[2], in: call.database, .write) != nil
        engine.keyspace.set(call[2], to: hash.makeValue(), in: call.database)
        record(fields, replaces: replaces, call)
        call.modified(call[2], .hash, "hset", changes: fields.count)
        call.reply.ok()
    }

    private static func record(_ fields: [[UInt8]], replaces: Bool, _ call: Call) {
        if replaces {
            call.record(argumentCount: 2)
            call.recordArgument("DEL")
            call.recordArgument(call[2])
        }
        call.record(argumentCount: 2 + fields.count * 2)
        call.recordArgument("HSET")
        call.recordArgument(call[2])
        for index in 0..<fields.count {
            fields[index].withUnsafeBytes { call.recordArgument($0) }
            call.recordArgument(call[index + 4])
        }
    }

    private static func discard(_ engine: Engine, _ call: inout Call) throws(CommandError) {
        let session = owner(engine), before = session.fieldsets.count
        session.fieldsets.removeAll { $0.name.elementsEqual(call[2]) }
        call.reply.integer(before - session.fieldsets.count)
    }

    private static func discardAll(_ engine: Engine, _ call: inout Call) throws(CommandError) {
        let session = owner(engine)
        call.reply.integer(session.fieldsets.count)
        session.fieldsets = []
    }
}
