import Commands
import Engine
import Glibc
import Primitives
import RESP
import Storage

// SYNC for those who want the data of one moment and nothing after it: `redis-cli --rdb` and `--functions-rdb`.
//
//     REPLCONF rdb-only 1                   SYNC → a dump is written, as by BGSAVE → `$<size>` CR LF, its bytes, FIN
//     REPLCONF rdb-filter-only functions    SYNC → the libraries alone, at once
//
// There is no replication: a SYNC without `rdb-only` is refused.
//
// Invariants
//  1. The dump that is sent was begun after SYNC came: it holds all that was acknowledged before.
//  2. Its header is gated by the log's end, and the rest follows it: nobody is shown what a crash could take back.
//  3. No more than `bound` bytes of it are in memory, however slow the client.

enum SnapshotTransferCommands {
    static let all: [Command] = [
        Command("sync", arity: 1, [.admin, .noscript, .noAsyncLoading, .noMulti], [.admin, .slow, .dangerous],
                group: .server, since: "1.0.0", summary: "Sends a dump, to a client that asked for nothing else.",
                .server(sync)),
        Command("replconf", arity: -1, [.admin, .noscript, .loading, .stale, .allowBusy, .systemCommand],
                [.admin, .slow, .dangerous], group: .server, since: "3.0.0", complexity: "O(1)",
                summary: "Says what a client that will SYNC wants.", .server(replconf)),
    ]

    private static func sync(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let session = core.engine.current
        guard session.wantsDump else { throw .text("ERR this server does not support replication yet") }
        try core.snapshotTransfers.begin(session)
    }

    private static func replconf(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        if call.count % 2 == 0 { throw .syntax }
        let session = core.engine.current
        var index = 1
        while index < call.count {
            if call.isWord(index, "ack") || call.isWord(index, "getack") { return }
            if call.isWord(index, "listening-port") {
                _ = try call.integer(index + 1)
            } else if call.isWord(index, "rdb-only") {
                session.wantsDump = try call.integer(index + 1, in: 0...1) == 1
            } else if call.isWord(index, "rdb-filter-only") {
                guard call.isWord(index + 1, "functions") else {
                    throw .message("ERR Unsupported rdb-filter-only option: \(Text(call[index + 1]))")
                }
                session.wantsFunctionsAlone = true
            } else if !call.isWord(index, "capa") && !call.isWord(index, "ip-address") {
                throw .message("ERR Unrecognized REPLCONF option: \(Text(call[index]))")
            }
            index += 2
        }
        call.reply.ok()
    }
}

/// Dumps on their way to clients.
final class SnapshotTransfers {
    private enum Stage {
        /// Until so many dumps were written since the start.
        case waiting(Int)
        case sending(file: Int32, left: Int)
    }

    private struct Transfer {
        let client: Int64
        var stage: Stage
    }

    private static let bound = 1 << 18
    private static let pieceBytes = 1 << 16

    private unowned(unsafe) let core: ServerCore
    private var transfers: [Transfer] = []
    private var timer: LoopTimer?

    init(_ core: ServerCore) { self.core = core }

    func begin(_ session: Session) throws(CommandError) {
        guard let connection = core.connections[session.id] else { throw .text("ERR only a client can SYNC") }
        core.log.write(.notice, "Client \(connection.address) asks for a dump")
        if session.wantsFunctionsAlone {
            guard let file = functionsFile() else { throw .text("ERR BGSAVE failed, replication can't continue") }
            transfers.append(Transfer(client: session.id, stage: announce(file, connection)))
        } else {
            transfers.append(Transfer(client: session.id, stage: .waiting(try dumpsUntilOurs())))
        }
        schedule()
    }

    /// Sees to it that a dump is begun from now on.
    private func dumpsUntilOurs() throws(CommandError) -> Int {
        let persistence = core.persistence
        let isLate = persistence.isSnapshotting
        let wanted = persistence.snapshotCount + (isLate ? 2 : 1)
        if !persistence.startSnapshot() {
            guard persistence.child != nil || persistence.operation != .none else {
                throw .text("ERR BGSAVE failed, replication can't continue")
            }
            persistence.snapshotIsScheduled = true
        }
        return wanted
    }

    /// The libraries as a dump without keys; the file has no name.
    private func functionsFile() -> Int32? {
        let path = FilePath.join(core.configuration.dir, "temp-functions-\(getpid()).rdb")
        let file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        if file < 0 { return nil }
        unlink(path)
        var options = core.persistence.snapshotOptions(.dump)
        options.syncsIncrementally = false
        let failure = RDBSnapshotWriter.write(databases: core.engine.keyspace.databases, count: 0, to: file,
                                              options: options, progress: { _ in })
        if failure == 0, lseek(file, 0, SEEK_SET) == 0 { return file }
        close(file)
        return nil
    }

    // MARK: On its way

    private func schedule() {
        guard timer == nil, !transfers.isEmpty else { return }
        let isSending = transfers.contains { if case .sending = $0.stage { true } else { false } }
        timer = core.loop.schedule(afterMilliseconds: isSending ? 1 : 20) { [unowned self] in
            timer = nil
            advance()
            schedule()
        }
    }

    private func advance() {
        var index = 0
        while index < transfers.count {
            if let stage = next(transfers[index]) {
                transfers[index].stage = stage
                index += 1
            } else {
                transfers.remove(at: index)
            }
        }
    }

    /// Nil when it is over.
    private func next(_ transfer: Transfer) -> Stage? {
        guard let connection = core.connections[transfer.client], connection.isOpen, !connection.isKilled else {
            if case .sending(let file, _) = transfer.stage { close(file) }
            return nil
        }
        // It says nothing, but `timeout` is for those that want nothing.
        connection.session.lastActiveAt = core.engine.keyspace.now
        switch transfer.stage {
        case .waiting(let count):
            let persistence = core.persistence
            if persistence.snapshotCount < count {
                if persistence.child != nil || persistence.snapshotIsScheduled { return transfer.stage }
                refuse(connection)
                return nil
            }
            let file = open(persistence.dumpPath, O_RDONLY | O_CLOEXEC)
            if file < 0 {
                refuse(connection)
                return nil
            }
            return announce(file, connection)
        case .sending(let file, let left): return send(file, left, connection)
        }
    }

    private func refuse(_ connection: Connection) {
        let session = connection.session, start = session.output.pointee.count
        session.reply.error("ERR BGSAVE failed, replication can't continue" as StaticString)
        core.engine.regate(session, start)
        connection.closeSoon()
    }

    private func announce(_ file: Int32, _ connection: Connection) -> Stage {
        let size = max(0, Int(lseek(file, 0, SEEK_END)))
        lseek(file, 0, SEEK_SET)
        let session = connection.session, engine = core.engine
        let start = session.output.pointee.count
        session.output.pointee.append("$\(size)\r\n" as String)
        let end = engine.logEnd
        if engine.keyspace.stamps.isEnabled && end > engine.acknowledged(for: session.durability) {
            if session.durability == .always { engine.syncWanted = max(engine.syncWanted, end) }
            session.gate(from: start, until: end)
        } else {
            engine.regate(session, start)
        }
        connection.outputReady()
        return .sending(file: file, left: size)
    }

    private func send(_ file: Int32, _ left: Int, _ connection: Connection) -> Stage? {
        let session = connection.session
        var left = left
        while left > 0 && connection.unsentBytes < Self.bound {
            let start = session.output.pointee.count
            let count = withUnsafeTemporaryAllocation(byteCount: Self.pieceBytes, alignment: 16) { buffer -> Int in
                let count = read(file, buffer.baseAddress, min(left, buffer.count))
                if count > 0 { session.output.pointee.append(Bytes(start: buffer.baseAddress, count: count)) }
                return count
            }
            if count <= 0 {
                // Half a dump must not look like one.
                close(file)
                connection.kill()
                return nil
            }
            core.engine.regate(session, start)
            left -= count
        }
        connection.outputReady()
        if left > 0 { return .sending(file: file, left: left) }
        close(file)
        core.log.write(.notice, "The dump for client \(connection.address) is sent")
        connection.closeSoon()
        return nil
    }
}
