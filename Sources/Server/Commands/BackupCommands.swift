import Commands
import Engine
import Keyspace
import Primitives
import RESP
import Storage

/// BACKUP, as Redis 8.10 has it.
enum BackupCommands {
    static let all: [Command] = [
        Command("backup", arity: 2, [], [.slow], group: .server, since: "8.10.0", complexity: "per-subcommand",
                summary: "A container of commands about backups.", subcommands: subcommands, .container),
    ]

    private static let subcommands: [Command] = [
        Command("abort", arity: 2, [.admin, .noscript], [.admin, .slow, .dangerous], group: .server, since: "8.10.0",
                complexity: "O(1)", summary: "Gives a backup up that is not sealed yet.", .server(abort)),
        Command("cleanup", arity: 2, [.admin, .noscript], [.admin, .slow, .dangerous], group: .server,
                since: "8.10.0", complexity: "O(1)", summary: "Removes a sealed or failed backup's files.",
                .server(cleanUp)),
        Command("help", arity: 2, [.loading, .stale], [.slow], group: .server, since: "8.10.0", complexity: "O(1)",
                summary: "Lists the subcommands.", .server(help)),
        Command("list", arity: 2, [.admin, .stale], [.admin, .slow, .dangerous], group: .server, since: "8.10.0",
                complexity: "O(1)", summary: "Answers the paths of the backup's files that won't change any more.",
                .server(list)),
        Command("seal", arity: 2, [.admin, .noscript], [.admin, .slow, .dangerous], group: .server, since: "8.10.0",
                complexity: "O(1)", summary: "Ends the backup: it holds what was acknowledged up to here.",
                .server(seal)),
        Command("start", arity: 2, [.admin, .noscript], [.admin, .slow, .dangerous], group: .server,
                since: "8.10.0", complexity: "O(1)", summary: "Begins a backup in the backup directory.",
                .server(start)),
        Command("status", arity: 2, [.admin, .stale], [.admin, .slow, .dangerous], group: .server, since: "8.10.0",
                complexity: "O(1)", summary: "Answers how far the backup is.", .server(status)),
    ]

    private static func refusal(_ error: StorageError) -> CommandError {
        if case .unsupported(let text) = error.reason { return .message("ERR \(text)") }
        return .message("ERR \(error)")
    }

    private static func start(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        try changeDirectory(core, &call) { (backup) throws(StorageError) in try backup.start() }
    }

    /// The answer comes when the directory is changed.
    private static func changeDirectory(_ core: ServerCore, _ call: inout Call,
                                        _ begin: (Backup) throws(StorageError) -> Void) throws(CommandError) {
        let backup = core.persistence.backup
        if !call.isRetry {
            do throws(StorageError) { try begin(backup) } catch { throw refusal(error) }
        }
        if backup.changesDirectory {
            waitOrAnswer(&call)
        } else if let error = backup.directoryError {
            throw refusal(error)
        } else {
            call.reply.ok()
        }
    }

    /// Who can't wait is told by STATUS what comes of it.
    private static func waitOrAnswer(_ call: inout Call) {
        if call.mayBlock {
            call.block(firstKey: 0, keyCount: 0, timeoutMilliseconds: 0, timeoutReply: .custom, retryMilliseconds: 50)
        } else {
            call.reply.ok()
        }
    }

    private static func seal(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        // Within a transaction a part of it is in the log.
        if core.engine.isInUnit { throw .text("ERR BACKUP SEAL is not possible within a transaction") }
        let backup = core.persistence.backup
        if call.isRetry {
            if backup.state == .failed { throw .message("ERR \(backup.error)") }
            if backup.state != .sealing { return call.reply.ok() }
        } else {
            do throws(StorageError) { try backup.seal() } catch { throw refusal(error) }
        }
        // Of a short log the answer is that all is done.
        if backup.state == .sealing && backup.isShort { waitOrAnswer(&call) } else { call.reply.ok() }
    }

    private static func abort(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        do throws(StorageError) { try core.persistence.backup.abort() } catch { throw refusal(error) }
        call.reply.ok()
    }

    private static func cleanUp(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        try changeDirectory(core, &call) { (backup) throws(StorageError) in try backup.cleanUp() }
    }

    private static func list(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let paths = core.persistence.backup.paths
        call.reply.array(paths.count)
        for path in paths { call.reply.bulk(path) }
    }

    private static func status(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let backup = core.persistence.backup
        call.reply.map(4)
        call.reply.bulk("state" as StaticString)
        call.reply.bulk(backup.state.rawValue)
        call.reply.bulk("error" as StaticString)
        call.reply.bulk(backup.error)
        call.reply.bulk("start_time" as StaticString)
        call.reply.bulk(integer: backup.startTime)
        call.reply.bulk("end_time" as StaticString)
        call.reply.bulk(integer: backup.endTime)
    }

    private static func help(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        HelpText.write(&call, [
            "START", "    Begin a backup in the directory that backupdirname names.",
            "SEAL", "    End it: it holds everything up to here.",
            "LIST", "    Paths of its files that won't change any more.",
            "STATUS", "    How far it is.",
            "ABORT", "    Give it up.",
            "CLEANUP", "    Remove its files.",
        ])
    }
}
