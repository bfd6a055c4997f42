import Commands
import Engine
import Keyspace
import Primitives

/// Commands that put the data set on the disk.
package enum PersistenceCommands {
    package static let all: [Command] = [
        Command("save", arity: 1, [.admin, .noscript, .noAsyncLoading, .noMulti], [.admin, .slow, .dangerous],
                group: .server, since: "1.0.0", complexity: "O(N)",
                summary: "Writes the data set to the dump file and waits until it is there.", .server(save)),
        Command("bgsave", arity: -1, [.admin, .noscript, .noAsyncLoading], [.admin, .slow, .dangerous],
                group: .server, since: "1.0.0", complexity: "O(1)",
                summary: "Writes the data set to the dump file in the background.",
                arguments: "schedule:pure-token@SCHEDULE?~3.2.2", .server(backgroundSave)),
        Command("bgrewriteaof", arity: 1, [.admin, .noscript, .noAsyncLoading], [.admin, .slow, .dangerous],
                group: .server, since: "1.0.0", complexity: "O(1)",
                summary: "Writes a new base for the append-only log in the background.", .server(rewrite)),
        Command("lastsave", arity: 1, [.loading, .stale, .fast], [.admin, .fast, .dangerous], group: .server,
                since: "1.0.0", complexity: "O(1)", summary: "Tells when the last dump succeeded, as Unix time.",
                tips: "nondeterministic_output", .server(lastSave)),
    ]

    static func save(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let persistence = core.persistence
        if persistence.isSnapshotting { throw .text("ERR Background save already in progress") }
        guard persistence.saveNow() else { throw .text("ERR") }
        call.reply.ok()
    }

    static func backgroundSave(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        var schedules = false
        if call.count == 2, call.isWord(1, "CANCEL") { return try cancelSave(core, call) }
        if call.count > 1 {
            guard call.count == 2, call.isWord(1, "SCHEDULE") else { throw .syntax }
            schedules = true
        }
        let persistence = core.persistence
        if persistence.isSnapshotting { throw .text("ERR Background save already in progress") }
        // Within a transaction the image would hold a part of it.
        if persistence.isBusy || core.engine.isInUnit {
            guard schedules || core.engine.isInUnit else {
                throw .text("""
                    ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order \
                    to schedule a BGSAVE whenever possible.
                    """)
            }
            persistence.snapshotIsScheduled = true
            call.reply.simple("Background saving scheduled")
            return
        }
        guard persistence.startSnapshot() else { throw .text("ERR") }
        call.reply.simple("Background saving started")
    }

    /// BGSAVE CANCEL, of Valkey.
    private static func cancelSave(_ core: ServerCore, _ call: Call) throws(CommandError) {
        let persistence = core.persistence
        if persistence.isSnapshotting {
            persistence.cancelChild()
            call.reply.simple("Background saving cancelled")
        } else if persistence.snapshotIsScheduled {
            persistence.snapshotIsScheduled = false
            call.reply.simple("Scheduled background saving cancelled")
        } else {
            throw .text("ERR Background saving is currently not in progress or scheduled")
        }
    }

    static func rewrite(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let persistence = core.persistence
        if persistence.isRewriting {
            throw .text("ERR Background append only file rewriting already in progress")
        }
        // Asked for by hand: the limit on tries after failures is over.
        persistence.rewriteFailures = 0
        persistence.rewriteRetryAt = nil
        if persistence.isSnapshotting || core.engine.isInUnit || persistence.logNeedsHealing {
            persistence.rewriteIsScheduled = true
            call.reply.simple("Background append only file rewriting scheduled")
            return
        }
        guard persistence.startRewrite() else {
            throw .text("""
                ERR Can't execute an AOF background rewriting. Please check the server logs for more information.
                """)
        }
        call.reply.simple("Background append only file rewriting started")
    }

    static func lastSave(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        call.reply.integer(core.persistence.lastSave)
    }

    // MARK: DEBUG

    /// DEBUG RELOAD [NOSAVE] [NOFLUSH] [MERGE]
    static func debugReload(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        var options = ReloadOptions()
        for index in 2..<call.count {
            if call.isWord(index, "NOSAVE") {
                options.saves = false
            } else if call.isWord(index, "NOFLUSH") {
                options.flushes = false
            } else if call.isWord(index, "MERGE") {
                options.merges = true
            } else {
                throw .text("ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.")
            }
        }
        try core.persistence.reload(options)
        call.reply.ok()
    }

    /// DEBUG LOADAOF
    static func debugLoadLog(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        try core.persistence.reloadLog()
        call.reply.ok()
    }
}
