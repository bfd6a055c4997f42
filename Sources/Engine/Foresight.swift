import Commands
import Keyspace
import Primitives
import RESP

// What can be known of a logged command before it is its turn. A thread that reads the log ahead looks the command up
// and hashes its key; the engine asks for the memory of several commands at once (as in Pipeline.swift), then runs
// them.

/// A command of a log that is being replayed. Its arguments lie in the window that was read.
package struct ForeseenCommand {
    package var arguments: Arguments
    /// In the file.
    package var offset: Int
    package var end: Int
    /// −1: there is no such command.
    package var id = -1
    /// There is such a command, and it takes so many arguments.
    package var isSound = false
    /// Of the first key, if `hasHash`; `keyPlace` is where it stands among the arguments.
    package var keyHash: UInt64 = 0
    package var keyPlace = 0
    package var hasHash = false

    package init(_ arguments: Arguments, offset: Int, end: Int) {
        self.arguments = arguments
        self.offset = offset
        self.end = end
    }
}

/// Looks up and hashes as an engine would; any thread.
package struct Foresight: Sendable {
    private let table: CommandTable
    private nonisolated(unsafe) let keyPlaces: UnsafePointer<UInt8>
    private let seed: HashSeed

    /// - Parameter engine: lives longer.
    package init(_ engine: Engine) {
        table = engine.table
        keyPlaces = engine.firstKeys.all
        seed = engine.keyspace.context.pointee.seed
    }

    package func look(at command: inout ForeseenCommand) {
        let arguments = command.arguments
        guard let id = table.findRecord(arguments) else { return }
        command.id = id
        command.isSound = table.commands[id].takes(arguments.count)
        let place = Int(keyPlaces[id])
        guard place > 0, place < arguments.count else { return }
        command.keyPlace = place
        command.keyHash = SipHash.hash(arguments[place], seed)
        command.hasHash = true
    }
}

extension Engine {
    /// Asks for what the commands will look at.
    package func prefetch(_ commands: UnsafePointer<ForeseenCommand>, count: Int, in database: Int) {
        for index in 0..<count where commands[index].hasHash {
            keyspace.prefetchBucket(commands[index].keyHash, in: database)
        }
        for index in 0..<count where commands[index].hasHash {
            keyspace.prefetchEntry(commands[index].keyHash, in: database)
        }
        for index in 0..<count where commands[index].hasHash {
            keyspace.prefetchValue(commands[index].keyHash, in: database)
        }
    }

    /// Runs a logged command as the engine's own: as `run`, but for what is told of traffic (statistics, latencies,
    /// slow log, MONITOR). Its reply is in the session's output.
    package func replay(_ command: ForeseenCommand) {
        let session = ownSession, arguments = command.arguments
        let start = session.output.pointee.count
        if command.hasHash { keyspace.knownHash.set(arguments[command.keyPlace], command.keyHash) }
        current = session
        effects.pointee.reset()
        isRunning = true
        latestArguments = arguments
        redactedArguments = 0
        session.lastCommandID = command.id
        if !isInUnit { keyspace.stamps.begin() }
        keyspace.noTouch = session.noTouch
        var call = Call(command: table.commands + command.id, arguments: arguments, reply: session.reply,
                        database: session.database, effects: effects, mayBlock: false, isRetry: false, isReplay: true)
        _ = perform(table.commands + command.id, command.id, &call, start, session)
        keyspace.knownHash.forget()
        finish(session, command.id, arguments, raw: nil, replyStart: start)
        isRunning = false
    }
}
