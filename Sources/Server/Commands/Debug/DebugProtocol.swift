import Commands
import Engine
import Primitives
import RESP

/// DEBUG PROTOCOL: one reply of each type.
enum DebugProtocol {
    static func reply(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let reply = call.reply
        var name = Text(call[2]).description.lowercased()
        switch name.withUTF8({ String(decoding: $0, as: UTF8.self) }) {
        case "string": reply.bulk("Hello World" as StaticString)
        case "integer": reply.integer(12345)
        case "double": reply.double(3.141)
        case "null": reply.null()
        case "array":
            reply.array(3)
            for number in 0..<3 { reply.integer(number) }
        case "set":
            reply.set(3)
            for number in 0..<3 { reply.integer(number) }
        case "map":
            reply.map(3)
            for number in 0..<3 {
                reply.integer(number)
                reply.boolean(number == 1)
            }
        case "attrib":
            if reply.version == .resp3 {
                reply.attribute(1)
                reply.bulk("key-popularity" as StaticString)
                reply.array(2)
                reply.bulk("key:123" as StaticString)
                reply.integer(90)
            }
            reply.bulk("Some real reply following the attribute" as StaticString)
        case "push":
            if reply.version == .resp2 { throw .text("ERR RESP2 is not supported by this command") }
            reply.push(2)
            reply.bulk("server-cpu-usage" as StaticString)
            reply.integer(42)
            reply.bulk("Some real reply following the push reply" as StaticString)
        case "verbatim": reply.verbatim("txt", ("This is a verbatim\nstring" as StaticString).bytes)
        case "bignum": reply.bigNumber(("1234567999999999999999999999999999999" as StaticString).bytes)
        case "true": reply.boolean(true)
        case "false": reply.boolean(false)
        default:
            throw .text("""
                ERR Wrong protocol type name. Please use one of the following: string|integer|double|bignum|null|array|\
                set|map|attrib|push|verbatim|true|false
                """)
        }
    }
}
