import Commands
import Keyspace
import Primitives
import RESP
import Scripting

// A script that runs for longer than `busy-reply-threshold`.
//
// The interpreter asks every few thousand instructions whether it may go on (`tick`). Beyond the threshold each of
// these moments lets other clients in (`serveOthers`): their commands are refused with BUSY, but for those that end the
// script or the server, or concern only their own connection (`allow_busy`).
//
// Invariants
//  1. Nothing that is served meanwhile reads or changes keys, makes records of the log, forks, or runs timers: the
//     keyspace is in the middle of a unit, and its records are not in the log.
//  2. A script that wrote is not ended: half of a unit is never kept. SHUTDOWN NOSAVE drops all of it.
//  3. Replies leave meanwhile as far as their gates allow. What the script's own unit made others be told (keyspace
//     notifications, invalidations) has no gate yet: those connections rest (BusyRounds.swift).

/// A script or function while it runs.
package struct RunningScript {
    unowned(unsafe) let title: ScriptName
    package let isFunction: Bool
    /// Monotonic nanoseconds.
    let began: UInt64
    /// Whose command it is. Its output is in the middle of a reply.
    package unowned(unsafe) let caller: Session
    let arguments: Arguments
    let isReadOnly: Bool
    /// It comes from a log: gates meant for clients don't apply.
    let isReplay: Bool
    var isOutOfMemory: Bool
    /// A command that writes was run.
    var hasWritten = false
    /// Others were let in since it was found to be slow.
    var isSlow = false
    var isKilled = false
    /// Error replies that clients got who were let in.
    var errorsOfOthers = 0
    /// When others are let in again, in monotonic nanoseconds.
    var nextRound: UInt64 = 0

    package var name: String { title.text }

    init(title: ScriptName, isFunction: Bool, began: UInt64, caller: Session, arguments: Arguments, isReadOnly: Bool,
         isReplay: Bool, isOutOfMemory: Bool) {
        self.title = title
        self.isFunction = isFunction
        self.began = began
        self.caller = caller
        self.arguments = arguments
        self.isReadOnly = isReadOnly
        self.isReplay = isReplay
        self.isOutOfMemory = isOutOfMemory
    }
}

extension ScriptRunner {
    /// Between two rounds of events while a script is slow.
    private static let roundNanoseconds: UInt64 = 2_000_000

    package func tick() -> StaticString? {
        if let loadDeadline { return engine.monotonicNow > loadDeadline ? "ERR FUNCTION LOAD timeout" : nil }
        guard let script = running, !script.isReplay, busyThresholdMilliseconds > 0 else { return nil }
        let now = engine.monotonicNow
        guard now > script.began, now >= script.nextRound else { return nil }
        let elapsed = (now - script.began) / 1_000_000
        guard elapsed >= UInt64(busyThresholdMilliseconds), let serveOthers else { return nil }
        if !script.isSlow {
            running?.isSlow = true
            onSlow(elapsed, script)
        }
        letOthersIn(serveOthers)
        running?.nextRound = engine.monotonicNow + Self.roundNanoseconds
        return running?.isKilled == true ? "ERR Script killed by user with SCRIPT KILL..." : nil
    }

    private func letOthersIn(_ body: () -> Void) {
        let keyspace = (now: engine.keyspace.now, clock: engine.keyspace.accessClock, noTouch: engine.keyspace.noTouch)
        let (current, isServing, redacted) = (engine.current, engine.isServing, engine.redactedArguments)
        let errors = engine.errorReplies
        engine.state.isBusy = true
        // Clients that wait for keys are served when the script has ended.
        engine.isServing = true
        body()
        engine.state.isBusy = false
        engine.isServing = isServing
        running?.errorsOfOthers += engine.errorReplies - errors
        engine.current = current
        engine.redactedArguments = redacted
        engine.keyspace.now = keyspace.now
        engine.keyspace.accessClock = keyspace.clock
        engine.keyspace.noTouch = keyspace.noTouch
        engine.lastClockReading.pointee = 0
    }

    /// With what others are refused meanwhile.
    package var busyError: CommandError {
        running?.isFunction == true
            ? .text("BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.")
            : .text("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.")
    }

    /// SCRIPT KILL and FUNCTION KILL.
    package func kill(isFunction: Bool) throws(CommandError) {
        guard let script = running else { throw .text("NOTBUSY No scripts in execution right now.") }
        if script.hasWritten {
            throw .text("""
                UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait \
                the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.
                """)
        }
        if script.isFunction != isFunction { throw busyError }
        running?.isKilled = true
    }

    /// FUNCTION STATS: what runs, its command, and for how many milliseconds.
    package var statistics: (name: String, command: Arguments, milliseconds: Int64)? {
        guard let script = running, script.isFunction else { return nil }
        let elapsed = engine.monotonicNow &- script.began
        return (script.name, script.arguments, Int64(elapsed / 1_000_000))
    }
}
