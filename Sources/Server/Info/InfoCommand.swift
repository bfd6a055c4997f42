import Commands
import Engine
import Keyspace
import Primitives
import RESP

/// INFO.
enum InfoCommand {
    static let all: [Command] = [
        Command("info", arity: -1, [.loading, .stale], [.slow, .dangerous], group: .server, since: "1.0.0",
                complexity: "O(1)", summary: "Reports state and statistics of the server.",
                tips: "nondeterministic_output,request_policy:all_shards,response_policy:special",
                arguments: "section:string?*", .server(info)),
    ]

    static func info(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        var sections = InfoSections()
        if call.count == 1 { sections = .standard }
        for index in 1..<max(1, call.count) { sections.formUnion(InfoSections(named: call[index])) }
        let text = InfoReport.make(core, sections)
        call.reply.verbatim("txt", text.bytes)
    }
}
