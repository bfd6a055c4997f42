import Primitives
import RESP

/// The reply of a container's HELP: a heading, the lines, and the lines about HELP itself.
package enum HelpText {
    package static func write(_ call: inout Call, _ lines: [StaticString]) {
        call.reply.array(lines.count + 3)
        let name = String(decoding: call[0], as: UTF8.self).uppercased()
        var heading = "\(name) <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
        heading.withUTF8 { call.reply.simple(Bytes($0)) }
        for line in lines { call.reply.simple(line) }
        call.reply.simple("HELP")
        call.reply.simple("    Print this help.")
    }
}
