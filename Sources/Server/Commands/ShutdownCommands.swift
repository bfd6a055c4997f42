import Commands
import Engine
import Primitives
import RESP

/// SHUTDOWN: ends the process once its data is safe.
package enum ShutdownCommands {
    package static let all: [Command] = [
        Command("shutdown", arity: -1, [.admin, .noscript, .loading, .stale, .noMulti, .sentinel, .allowBusy],
                [.admin, .slow, .dangerous], group: .server, since: "1.0.0", complexity: "O(N);O(1)",
                summary: "Makes the data set durable and ends the server.", arguments: """
                save-selector:oneof?(nosave:pure-token@NOSAVE save:pure-token@SAVE) now:pure-token@NOW?~7.0.0 \
                force:pure-token@FORCE?~7.0.0 abort:pure-token@ABORT?~7.0.0
                """, .server(shutdown)),
    ]

    static func shutdown(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        var options = ShutdownOptions()
        var aborts = false
        for index in 1..<call.count {
            if call.isWord(index, "NOSAVE") { options.insert(.nosave)
            } else if call.isWord(index, "SAVE") { options.insert(.save)
            } else if call.isWord(index, "NOW") { options.insert(.now)
            } else if call.isWord(index, "FORCE") { options.insert(.force)
            } else if call.isWord(index, "ABORT") { aborts = true
            } else { throw .syntax }
        }
        if options.isSuperset(of: [.save, .nosave]) || (aborts && !options.isEmpty) { throw .syntax }
        if !aborts, !options.contains(.now), !call.mayBlock {
            throw .text("ERR SHUTDOWN without NOW or ABORT isn't allowed for DENY BLOCKING client")
        }
        if aborts {
            guard core.lifecycle.abortShutdown() else { throw .text("ERR No shutdown in progress.") }
            call.reply.ok()
            return
        }
        if core.engine.state.isBusy && !options.contains(.nosave) { throw core.engine.scripts.busyError }
        switch core.lifecycle.shutDown(options, core.engine.current) {
        case .refused: throw .text("ERR Errors trying to SHUTDOWN. Check logs.")
        // No reply: the connection's end is the answer.
        case .waiting: break
        }
    }
}
