import Commands
import Keyspace
import Primitives
import RESP

extension Engine {
    /// Puts a session back into the state of a new connection, as one of `default`.
    package func reset(_ session: Session) {
        endTransaction(session)
        unsubscribeAll(session)
        stopTracking(session)
        session.isMonitor = false
        session.wantsDump = false
        session.wantsFunctionsAlone = false
        session.database = 0
        session.version = .resp2
        access.logOut(session)
        session.name = []
        session.fieldsets = []
        session.debugMode = .off
        session.noEvict = false
        session.noTouch = false
        session.isImportSource = false
        session.capabilities = ""
        session.setDurability(.standard)
        session.replyMode = .on
    }

    /// Keeps an argument of the running command out of SLOWLOG and MONITOR.
    package func redact(_ index: Int) {
        redactedArguments |= 1 << UInt64(min(index, 63))
    }

    /// The last bit stands for all arguments from its own on.
    package func isRedacted(_ index: Int) -> Bool { redactedArguments & (1 << UInt64(min(index, 63))) != 0 }

    /// Tells monitors of a command that ran; administrative ones, and what comes from a file, are nobody's business.
    func showMonitors(_ session: Session, _ command: UnsafePointer<Command>, _ arguments: Arguments) {
        if session === ownSession { return }
        if command.pointee.flags.isDisjoint(with: [.admin, .skipMonitor]) { onMonitor?(session, arguments) }
    }

    /// A script is shown before it runs, so that what it calls stands after it.
    func showMonitors(script call: Call) {
        if onMonitor != nil { onMonitor?(current, call.arguments) }
    }
}

/// What a client's replies wait for (CLIENT DURABILITY), whatever `appendfsync` says.
package enum Durability: UInt8, Sendable {
    /// As `appendfsync` has it.
    case standard
    /// The disk: an fsync is asked for.
    case always
    /// The kernel.
    case everysec
}

extension Engine {
    /// Up to where replies of a client with this durability may leave.
    @inline(__always)
    package func acknowledged(for durability: Durability) -> LogOffset {
        durability == .standard ? acknowledged : acknowledgedOtherwise(durability)
    }
}

extension Session {
    /// What was promised for replies that still wait is kept: a weaker durability begins when they are out.
    package func setDurability(_ new: Durability) {
        wantedDurability = new
        if gates.isEmpty || new == .always { durability = new }
    }
}
