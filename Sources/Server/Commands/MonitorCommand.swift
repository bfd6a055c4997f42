import Commands
import Engine
import Primitives
import RESP

// MONITOR: every command that a client ran, to every client that asked for it.
//
//     +1339518083.107412 [0 127.0.0.1:60866] "keys" "*"
//     +1339518083.107421 [0 lua] "get" "k"                    what a script calls, after the script

enum MonitorCommand {
    static let all: [Command] = [
        Command("monitor", arity: 1, [.admin, .noscript, .loading, .stale], [.admin, .slow, .dangerous],
                group: .server, since: "1.0.0", summary: "Streams every command that the server runs.",
                .server(monitor)),
    ]

    private static func monitor(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let session = core.engine.current
        if !call.mayBlock { throw .text("ERR MONITOR isn't allowed for DENY BLOCKING client") }
        if !session.isMonitor {
            session.isMonitor = true
            core.engine.access.refresh(session)
            core.control.monitors.append(session)
            core.engine.onMonitor = { [unowned(unsafe) core] in core.showMonitors($0, $1) }
        }
        call.reply.ok()
    }
}

extension ServerCore {
    fileprivate func showMonitors(_ session: Session, _ arguments: Arguments) {
        control.monitors.removeAll { !$0.isMonitor || connections[$0.id] == nil }
        if control.monitors.isEmpty {
            engine.onMonitor = nil
            return
        }
        let line = monitorLine(session, arguments)
        for monitor in control.monitors where monitor.replyMode == .on {
            engine.push(to: monitor, false) { $0.simple(line.bytes) }
        }
    }

    private func monitorLine(_ session: Session, _ arguments: Arguments) -> OwnedBytes {
        let now = UnixMicroseconds.now().rawValue
        let fraction = "\(now % 1_000_000)"
        let zeros = String(repeating: "0", count: 6 - fraction.utf8.count)
        let connection = connections[session.id]
        let address = connection == nil ? "lua" : connection?.isUnix == true ? "unix:\(unixSocketPath)"
            : engine.addressOf(session)
        var line = OwnedBytes(capacity: 256)
        line.append("\(now / 1_000_000).\(zeros)\(fraction) [\(session.database) \(address)]" as String)
        for index in 0..<arguments.count {
            line.append(" " as StaticString)
            if engine.isRedacted(index) {
                line.append("\"(redacted)\"" as StaticString)
            } else {
                Quoting.append(arguments[index], to: &line)
            }
        }
        return line
    }
}
