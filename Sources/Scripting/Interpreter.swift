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
    func call(_ arguments: Arguments, resp: RESPVersion, targets: ReplicationTargets) -> Bytes
    /// The last command did not run: scripts may not call it so.
    var wasRefused: Bool { get }
    /// - Parameter level: 0 debug, 1 verbose, 2 notice, 3 warning.
    func log(level: Int, _ text: Bytes)
    /// Whether the user may run this command; nil: there is none.
    func permits(_ arguments: Arguments) -> Bool?
    /// Asked again and again while a script runs: nil, or the error line that ends it.
    func tick() -> StaticString?
    /// A library registers a function: nil, or why it may not (without `ERR`).
    func register(_ function: FunctionDeclaration) -> StaticString?
}

extension ScriptHost {
    package var wasRefused: Bool { false }
}

/// Where the effects of a script's commands go, by redis.set_repl.
package struct ReplicationTargets: OptionSet, Sendable {
    package let rawValue: Int32
    package init(rawValue: Int32) { self.rawValue = rawValue }
    package static let log = ReplicationTargets(rawValue: 1)
    package static let replicas = ReplicationTargets(rawValue: 2)
}

/// What a `#!lua` line or a registration says of a script.
package struct ScriptFlags: OptionSet, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }
    package static let noWrites = ScriptFlags(rawValue: 1 << 0)
    package static let allowOOM = ScriptFlags(rawValue: 1 << 1)
    package static let allowStale = ScriptFlags(rawValue: 1 << 2)
    package static let noCluster = ScriptFlags(rawValue: 1 << 3)
    package static let allowCrossSlotKeys = ScriptFlags(rawValue: 1 << 4)
    /// There was such a line: the script says beforehand what it does.
    package static let declared = ScriptFlags(rawValue: 1 << 7)

    /// In the order in which FUNCTION LIST gives them.
    package static let names: [(ScriptFlags, StaticString)] = [
        (.noWrites, "no-writes"), (.allowOOM, "allow-oom"), (.allowStale, "allow-stale"), (.noCluster, "no-cluster"),
        (.allowCrossSlotKeys, "allow-cross-slot-keys"),
    ]
}

/// A function as its library registers it; the bytes are Lua's, good during the call.
package struct FunctionDeclaration {
    package let name: Bytes
    package let description: Bytes?
    package let flags: ScriptFlags
    /// By which the interpreter knows it.
    package let handle: Int32
}

// @unchecked: used by one thread at a time, which may hand it to another to be freed.
package final class Interpreter: @unchecked Sendable {
    let lua: OpaquePointer
    private let link: HostLink

    /// nil: no memory.
    /// - Parameter memoryLimit: bytes that scripts may hold; one that asks for more fails.
    /// - Parameter isForFunctions: it is given libraries, not scripts.
    package init?(host: any ScriptHost, memoryLimit: Int, isForFunctions: Bool = false) {
        link = HostLink(host)
        let context = Unmanaged.passUnretained(link).toOpaque()
        let callbacks = sr_host(context: context, call: callCommand, log: logText, permits: permitsCommand,
                                sha1hex: digest, tick: askHost, registers: registerFunction)
        guard let lua = sr_interpreter_create(callbacks, memoryLimit, isForFunctions ? 1 : 0) else { return nil }
        self.lua = lua
    }

    deinit { sr_interpreter_free(lua) }

    /// Bytes that scripts may hold from now on.
    package func limitMemory(_ bytes: Int) { sr_interpreter_limit(lua, bytes) }

    /// Bytes that Lua holds.
    package var usedBytes: Int { sr_interpreter_memory(lua) }

    /// Compiles `source` and keeps it: its handle, above 0; or what is wrong with it.
    package func load(_ source: Bytes) -> (handle: Int32, message: String?) {
        var handle: Int32 = 0
        let message = message {
            handle = sr_script_load(lua, Self.text(source), source.count, $0, 512)
            return handle > 0 ? 1 : 0
        }
        return (handle, message)
    }

    package func drop(_ handle: Int32) { sr_script_drop(lua, handle) }

    /// Runs a library, which registers its functions with the host. nil: done; else why not.
    package func loadLibrary(_ source: Bytes) -> String? {
        message { sr_library_load(lua, Self.text(source), source.count, $0, 512) }
    }

    package func dropFunction(_ handle: Int32) { sr_function_drop(lua, handle) }

    private static func text(_ bytes: Bytes) -> UnsafePointer<CChar> {
        (bytes.baseAddress ?? UnsafeRawPointer(("" as StaticString).utf8Start)).assumingMemoryBound(to: CChar.self)
    }

    private func message(_ body: (UnsafeMutablePointer<CChar>?) -> Int32) -> String? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 512) { message in
            message[0] = 0
            if body(message.baseAddress) == 1 { return nil }
            let bytes = message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
            return String(decoding: bytes, as: UTF8.self)
        }
    }

    /// Runs a script that was loaded, or a function that a library registered; its reply is appended.
    /// - Parameter arguments: `keyCount` keys, and what else the script is given.
    package func run(_ handle: Int32, _ name: ScriptName, isFunction: Bool, _ arguments: UnsafeBufferPointer<Bytes>,
                     keyCount: Int, _ reply: ReplyWriter) {
        let count = arguments.count
        withUnsafeTemporaryAllocation(of: UnsafePointer<CChar>?.self, capacity: count + 1) { texts in
            withUnsafeTemporaryAllocation(of: Int.self, capacity: count + 1) { lengths in
                for index in 0..<count {
                    texts[index] = Self.text(arguments[index])
                    lengths[index] = arguments[index].count
                }
                var result: UnsafePointer<CChar>?
                var length = 0
                let body = isFunction ? sr_function_run : sr_script_run
                body(lua, handle, name.terminated, Int32(keyCount), Int32(count), texts.baseAddress,
                     lengths.baseAddress, Int32(reply.version.rawValue), &result, &length)
                reply.output.pointee.append(Bytes(start: result, count: length))
                sr_interpreter_trim(lua)
            }
        }
    }
}

/// The name of a script or function, as Lua takes it, too.
package final class ScriptName: Sendable {
    package let text: String
    nonisolated(unsafe) let terminated: UnsafePointer<CChar>

    package init(_ text: String) {
        self.text = text
        let count = text.utf8.count
        let copy = UnsafeMutablePointer<CChar>.allocate(capacity: count + 1)
        for (index, byte) in text.utf8.enumerated() { copy[index] = CChar(bitPattern: byte) }
        copy[count] = 0
        terminated = UnsafePointer(copy)
    }

    deinit { terminated.deallocate() }
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
                         _ lengths: UnsafePointer<Int>?, _ resp: Int32, _ repl: Int32,
                         _ reply: UnsafeMutablePointer<UnsafePointer<CChar>?>?, _ length: UnsafeMutablePointer<Int>?)
    -> Int32 {
    guard let context else { return 1 }
    let host = Unmanaged<HostLink>.fromOpaque(context).takeUnretainedValue().host
    let bytes = withArguments(count, texts, lengths) {
        host.call($0, resp: resp == 3 ? .resp3 : .resp2, targets: ReplicationTargets(rawValue: repl))
    }
    reply?.pointee = bytes.baseAddress?.assumingMemoryBound(to: CChar.self)
    length?.pointee = bytes.count
    return host.wasRefused ? 1 : 0
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

private func askHost(_ context: UnsafeMutableRawPointer?) -> UnsafePointer<CChar>? {
    guard let context else { return nil }
    let host = Unmanaged<HostLink>.fromOpaque(context).takeUnretainedValue().host
    return host.tick().map { UnsafeRawPointer($0.utf8Start).assumingMemoryBound(to: CChar.self) }
}

private func registerFunction(_ context: UnsafeMutableRawPointer?, _ name: UnsafePointer<CChar>?, _ length: Int,
                              _ description: UnsafePointer<CChar>?, _ descriptionLength: Int, _ flags: UInt32,
                              _ handle: Int32) -> UnsafePointer<CChar>? {
    guard let context else { return nil }
    let host = Unmanaged<HostLink>.fromOpaque(context).takeUnretainedValue().host
    let declaration = FunctionDeclaration(
        name: Bytes(start: name, count: length),
        description: description.map { Bytes(start: $0, count: descriptionLength) },
        flags: ScriptFlags(rawValue: flags).union(.declared), handle: handle)
    return host.register(declaration).map { UnsafeRawPointer($0.utf8Start).assumingMemoryBound(to: CChar.self) }
}
