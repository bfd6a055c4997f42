import Commands
import Engine
import Keyspace
import Primitives
import RESP
#if canImport(Glibc)
import Glibc
#endif

/// DEBUG: for tests and for looking inside.
enum DebugCommands {
    static let all: [Command] = [
        Command("debug", arity: -2, [.admin, .noscript, .loading, .stale, .protected, .systemCommand],
                [.admin, .slow, .dangerous], group: .server, since: "1.0.0", complexity: "per-subcommand",
                summary: "A container of debugging commands.", .server(debug)),
    ]

    static func debug(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        if call.isWord(1, "HELP"), call.count == 2 { help(&call); return }
        if call.isWord(1, "SLEEP"), call.count == 3 { try sleep(core, &call); return }
        let name = Text(call[1])
        throw .message("ERR unknown subcommand or wrong number of arguments for '\(name)'. Try DEBUG HELP.")
    }

    private static func sleep(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let seconds = min(max(DoubleText.parse(call[2]) ?? 0, 0), 1e9)
        var left = timespec(tv_sec: Int(seconds), tv_nsec: Int((seconds - seconds.rounded(.down)) * 1e9))
        var rest = timespec()
        while nanosleep(&left, &rest) != 0 && errno == EINTR { left = rest }
        call.reply.ok()
    }

    private static func help(_ call: inout Call) {
        HelpText.write(&call, ["SLEEP <seconds>", "    Stop the server for <seconds>."])
    }
}
