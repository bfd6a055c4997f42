import CScripting
import Primitives
import RESP

// Scripts, apart from any engine: a Lua interpreter that is given a way to run commands.
//
// Lua leaves its functions by longjmp. All code that it may leave so is C (CScripting); what is called from there
// answers bytes and never raises, so that no Swift frame is ever jumped over.

/// What a script may ask of whoever runs it. Called on the thread that runs the script.
package protocol ScriptHost: AnyObject {
    /// Runs a command; the reply, as RESP of version `resp`, is good until the next call.
    func call(_ arguments: Arguments, resp: RESPVersion) -> Bytes
    /// - Parameter level: 0 debug, 1 verbose, 2 notice, 3 warning.
    func log(level: Int, _ text: Bytes)
    /// Whether the user may run this command; nil: there is none.
    func permits(_ arguments: Arguments) -> Bool?
}

package final class Interpreter {
    private let lua: OpaquePointer
    private let link: HostLink

    /// nil: no memory.
    /// - Parameter memoryLimit: bytes that scripts may hold; one that asks for more fails.
    package init?(host: any ScriptHost, memoryLimit: Int) {
        link = HostLink(host)
        let context = Unmanaged.passUnretained(link).toOpaque()
        let callbacks = sr_host(context: context, call: callCommand, log: logText, permits: permitsCommand,
                                sha1hex: digest)
        guard let lua = sr_interpreter_create(callbacks, memoryLimit) else { return nil }
        self.lua = lua
    }

    deinit { sr_interpreter_free(lua) }

    /// Bytes that Lua holds.
    package var usedBytes: Int { sr_interpreter_memory(lua) }

    /// Compiles `source` and keeps it as `name`. nil: done; else what is wrong with it.
    package func load(_ source: Bytes, as name: String) -> String? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 512) { message in
            message[0] = 0
            let start = source.baseAddress?.assumingMemoryBound(to: CChar.self)
            if sr_script_load(lua, name, start, source.count, message.baseAddress, 512) == 1 { return nil }
            let bytes = message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
            return String(decoding: bytes, as: UTF8.self)
        }
    }

    package func drop(_ name: String) { sr_script_drop(lua, name) }

    /// Runs a script that was loaded; its reply is appended.
    /// - Parameter arguments: `keyCount` keys, and what else the script is given.
    package func run(_ name: String, _ arguments: UnsafeBufferPointer<Bytes>, keyCount: Int, _ reply: ReplyWriter) {
        let count = arguments.count
        withUnsafeTemporaryAllocation(of: UnsafePointer<CChar>?.self, capacity: count + 1) { texts in
            withUnsafeTemporaryAllocation(of: Int.self, capacity: count + 1) { lengths in
                for index in 0..<count {
                    let start = arguments[index].baseAddress ?? UnsafeRawPointer(("" as StaticString).utf8Start)
                    texts[index] = start.assumingMemoryBound(to: CChar.self)
                    lengths[index] = arguments[index].count
                }
                var result: UnsafePointer<CChar>?
                var length = 0
                sr_script_run(lua, name, Int32(keyCount), Int32(count), texts.baseAddress, lengths.baseAddress,
                              Int32(reply.version.rawValue), &result, &length)
                reply.output.pointee.append(Bytes(start: result, count: length))
            }
        }
    }
}

/// What the callbacks' context points at.
private final class HostLink {
    unowned(unsafe) let host: any ScriptHost
    init(_ host: any ScriptHost) { self.host = host }
}

private typealias Texts = UnsafePointer<UnsafePointer<CChar>?>

private func withArguments<R>(_ count: Int32, _ texts: Texts?, _ lengths: UnsafePointer<Int>?,
                              _ body: (Arguments) -> R) -> R {
    let count = Int(count)
    return withUnsafeTemporaryAllocation(of: Bytes.self, capacity: count + 1) { ranges in
        for index in 0..<count {
            ranges.initializeElement(at: index, to: Bytes(start: texts?[index], count: lengths?[index] ?? 0))
        }
        return body(Arguments(base: UnsafePointer(ranges.baseAddress.unsafelyUnwrapped), count: count))
    }
}

private func callCommand(_ context: UnsafeMutableRawPointer?, _ count: Int32, _ texts: Texts?,
                         _ lengths: UnsafePointer<Int>?, _ resp: Int32,
                         _ reply: UnsafeMutablePointer<UnsafePointer<CChar>?>?, _ length: UnsafeMutablePointer<Int>?) {
    guard let context else { return }
    let host = Unmanaged<HostLink>.fromOpaque(context).takeUnretainedValue().host
    let bytes = withArguments(count, texts, lengths) { host.call($0, resp: resp == 3 ? .resp3 : .resp2) }
    reply?.pointee = bytes.baseAddress?.assumingMemoryBound(to: CChar.self)
    length?.pointee = bytes.count
}

private func logText(_ context: UnsafeMutableRawPointer?, _ level: Int32, _ text: UnsafePointer<CChar>?,
                     _ length: Int) {
    guard let context else { return }
    let host = Unmanaged<HostLink>.fromOpaque(context).takeUnretainedValue().host
    host.log(level: Int(level), Bytes(start: text, count: length))
}

private func permitsCommand(_ context: UnsafeMutableRawPointer?, _ count: Int32, _ texts: Texts?,
                            _ lengths: UnsafePointer<Int>?) -> Int32 {
    guard let context else { return 0 }
    let host = Unmanaged<HostLink>.fromOpaque(context).takeUnretainedValue().host
    return withArguments(count, texts, lengths) { host.permits($0) }.map { $0 ? 1 : 0 } ?? -1
}

private func digest(_ text: UnsafePointer<CChar>?, _ length: Int, _ target: UnsafeMutablePointer<CChar>?) {
    guard let target else { return }
    SHA1.of(Bytes(start: text, count: length)).writeHex(to: target)
}
