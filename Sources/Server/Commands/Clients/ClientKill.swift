import Commands
import Engine
import Primitives

extension ClientCommands {
    static func kill(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let isOldForm = call.count == 3
        var filter = isOldForm ? ClientFilter(address: call[2]) : ClientFilter(skipsCaller: true)
        if !isOldForm {
            try filter.parse(core, call, from: 2, wrongID: .text("ERR client-id should be greater than 0"))
        }
        let caller = core.engine.current
        var killed = 0
        for session in core.sessionsInOrder() where filter.matches(session, core) {
            killed += 1
            if session === caller {
                session.closeAfterReplies = true
            } else {
                core.kill(session)
            }
        }
        if !isOldForm {
            call.reply.integer(killed)
        } else if killed == 0 {
            throw .text("ERR No such client")
        } else {
            call.reply.ok()
        }
    }
}
