import Commands
import Keyspace
import Primitives
import RESP
import Scripting

// EVAL after SCRIPT DEBUG YES or SYNC.
//
//     YES   the server forks: the child debugs the script with the client, in its own image of the data, and ends with
//           the session. Nothing that it writes is logged or seen by others. The server itself lets the connection go.
//     SYNC  the script runs here, and is logged as ever. Everybody waits meanwhile.
//
// What the debugger shows is not gated: a script's user sees data before it is durable. The script's own reply is.

package enum ScriptDebugMode: Sendable { case off, forked, sync }

/// The server's part in a session: the client's socket, and in a child its end.
package protocol ScriptDebugSession: ScriptDebugUser {
    /// The session's output is whole. A child sends it and ends here.
    func finish()
}

extension ScriptRunner {
    /// Runs a script for somebody who debugs it. In a server that forked, nothing is replied.
    func debug(_ call: inout Call, keyCount: Int, readOnly: Bool) throws(CommandError) {
        let session = engine.current
        guard call.mayBlock, session.gates.isEmpty, let beginDebugging else {
            throw .text("ERR Scripts are debugged outside of MULTI and pipelines only")
        }
        guard let user = try beginDebugging(session) else { return }
        guard let debugger = ScriptDebugger(user, source: call[1], limitMilliseconds: busyThresholdMilliseconds) else {
            throw .text("OOM no memory for a debugger")
        }
        var failure: CommandError?
        do throws(CommandError) {
            let script = try add(call[1], isForgettable: true)
            failure = debugger.debugging(interpreterOfScripts) {
                do throws(CommandError) {
                    try run(script, &call, keyCount: keyCount, readOnly: readOnly)
                    return nil
                } catch {
                    return error
                }
            }
        } catch {
            failure = error
        }
        debugger.end()
        session.debugMode = .off
        session.closeAfterReplies = true
        if session.isForkedForDebugging {
            if let failure { engine.writeError(failure, call.command, session) }
            user.finish()
        }
        if let failure { throw failure }
    }

    /// SCRIPT DEBUG.
    func setDebugMode(_ call: inout Call) throws(CommandError) {
        let session = engine.current
        if !call.mayBlock || session.output.pointee.count > session.sentCount {
            throw .text("ERR SCRIPT DEBUG must be called outside a pipeline")
        }
        if call[2].equalsIgnoringCase("no") {
            session.debugMode = .off
        } else if call[2].equalsIgnoringCase("yes") {
            session.debugMode = .forked
        } else if call[2].equalsIgnoringCase("sync") {
            session.debugMode = .sync
        } else {
            throw .text("ERR Use SCRIPT DEBUG YES/SYNC/NO")
        }
        call.reply.ok()
    }
}
