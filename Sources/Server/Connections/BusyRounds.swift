import Commands
import Engine
import Glibc
import Keyspace
import Primitives
import Scripting

// Rounds of events in the middle of a script that runs for long. (What they may do: Engine/Scripts/BusyScripts.swift.)
//
//     who must rest rests → clients' and listeners' events → finished units to the log → replies as gates allow
//
// The round's own machinery is in use further down the stack: events, read buffer and tick are not touched, and no
// task, message or timer runs. The connection whose script it is has half of a reply in its output; those that the
// script's unit sent messages have messages without a gate. Both rest: nothing is read from them or sent to them.

extension ServerCore {
    func connectScripts() {
        let scripts = engine.scripts
        scripts.beginDebugging = { [unowned(unsafe) self]
            (session: Session) throws(CommandError) -> (any ScriptDebugSession)? in
            try beginDebugging(session)
        }
        scripts.serveOthers = { [unowned(unsafe) self] in measureBlocked { serveWhileBusy() } }
        scripts.freeLater = { [unowned(unsafe) self] interpreter in background.release(interpreter) }
        scripts.onLog = { [unowned(unsafe) self] level, text in
            let levels: [LogLevel] = [.debug, .verbose, .notice, .warning]
            log.write(levels[min(max(level, 0), 3)], String(decoding: text.prefix(1 << 10), as: UTF8.self))
        }
        scripts.onSlow = { [unowned(unsafe) self] milliseconds, script in
            let word = script.isFunction ? "FUNCTION" : "SCRIPT"
            log.write(.warning, "Slow script detected: still in execution after \(milliseconds) milliseconds. You can "
                      + "try killing the script using the \(word) KILL command. Script name is: \(script.name).")
        }
    }

    private func serveWhileBusy() {
        guard let script = engine.scripts.running else { return }
        let resting = restingConnections(script.caller)
        for connection in resting { connection.rests = true }
        let buffer = UnsafeMutableRawPointer.allocate(byteCount: Connection.sharedReadBytes, alignment: 64)
        let usual = (buffer: traffic.pointee.readBuffer, isPaused: traffic.pointee.isPaused)
        traffic.pointee.readBuffer = buffer
        // The batch of requests is in use, too: as during a pause, requests are taken one by one.
        traffic.pointee.isPaused = true
        updateClock()
        deliverReadAhead()
        loop.runAside { $0.isClient || $0 is Listener }
        persistence.flush()
        let gated = gatedConnections
        gatedConnections.removeAll(keepingCapacity: true)
        for connection in gated {
            connection.isGated = connection.flush(engine.acknowledged)
            if connection.isGated { gatedConnections.append(connection) }
        }
        flushDirty()
        traffic.pointee.readBuffer = usual.buffer
        traffic.pointee.isPaused = usual.isPaused
        buffer.deallocate()
        for connection in resting {
            connection.rests = false
            if connection.isOpen { traffic.pointee.enqueueFlush(connection) }
        }
    }

    private func restingConnections(_ caller: Session) -> [Connection] {
        var sessions = engine.sessionsToldByUnit
        sessions.append(caller)
        return sessions.compactMap { connections[$0.id] }
    }
}
