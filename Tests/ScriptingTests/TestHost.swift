import Primitives
import RESP
import Scripting

/// Runs scripts without a server: each command answers what the test wants.
final class TestHost: ScriptHost {
    /// The reply, as RESP, of every command.
    var reply = Array("+OK\r\n".utf8)
    private(set) var commands: [[String]] = []
    private(set) var logged: [String] = []
    private(set) var functions: [String: Int32] = [:]
    /// Scripts end after so many ticks.
    var ticksLeft = Int.max
    private var interpreter: Interpreter?
    private let held = UnsafeMutablePointer<OwnedBytes>.allocate(capacity: 1)

    struct NoMemory: Error {}

    init(memoryLimit: Int = 64 << 20, isForFunctions: Bool = false) throws {
        held.initialize(to: OwnedBytes())
        interpreter = Interpreter(host: self, memoryLimit: memoryLimit, isForFunctions: isForFunctions)
        if interpreter == nil { throw NoMemory() }
    }

    deinit {
        held.deinitialize(count: 1)
        held.deallocate()
    }

    var usedBytes: Int { interpreter?.usedBytes ?? 0 }

    func limitMemory(_ bytes: Int) { interpreter?.limitMemory(bytes) }

    func eval(_ source: String, keys: [String] = [], _ arguments: [[UInt8]] = [],
              version: RESPVersion = .resp2) -> String {
        eval(Array(source.utf8), keys: keys, arguments, version: version)
    }

    func eval(_ source: [UInt8], keys: [String] = [], _ arguments: [[UInt8]] = [],
              version: RESPVersion = .resp2) -> String {
        guard let interpreter else { return "" }
        let (script, message) = source.withUnsafeBytes { interpreter.load($0) }
        if let message { return message }
        defer { interpreter.drop(script) }
        return withReply(version, keys, arguments) {
            interpreter.run(script, ScriptName("s"), isFunction: false, $0, keyCount: keys.count, $1)
        }
    }

    func debugging<R>(_ debugger: ScriptDebugger, _ body: () -> R) -> R { debugger.debugging(interpreter, body) }

    func load(_ source: String) -> String? {
        Array(source.utf8).withUnsafeBytes { interpreter?.loadLibrary($0) }
    }

    func call(_ name: String, keys: [String] = [], _ arguments: [[UInt8]] = []) -> String {
        guard let interpreter, let handle = functions[name] else { return "" }
        return withReply(.resp2, keys, arguments) {
            interpreter.run(handle, ScriptName(name), isFunction: true, $0, keyCount: keys.count, $1)
        }
    }

    private func withReply(_ version: RESPVersion, _ keys: [String], _ arguments: [[UInt8]],
                           _ body: (UnsafeBufferPointer<Bytes>, ReplyWriter) -> Void) -> String {
        let all = keys.map { Array($0.utf8) } + arguments
        let copies = all.map { bytes in
            let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
            copy.copyBytes(from: bytes)
            return copy
        }
        defer { for copy in copies { copy.deallocate() } }
        held.pointee.removeAll()
        copies.map { Bytes($0) }.withUnsafeBufferPointer { body($0, ReplyWriter(held, version)) }
        return String(decoding: held.pointee.bytes, as: UTF8.self)
    }

    // MARK: ScriptHost

    func call(_ arguments: Arguments, resp: RESPVersion, targets: ReplicationTargets) -> Bytes {
        commands.append((0..<arguments.count).map { String(decoding: arguments[$0], as: UTF8.self) })
        return reply.withUnsafeBytes { $0 }
    }

    func log(level: Int, _ text: Bytes) { logged.append("\(level) \(String(decoding: text, as: UTF8.self))") }
    func permits(_ arguments: Arguments) -> Bool? { true }

    func tick() -> StaticString? {
        ticksLeft -= 1
        return ticksLeft < 0 ? "ERR ended" : nil
    }

    func register(_ function: FunctionDeclaration) -> StaticString? {
        functions[String(decoding: function.name, as: UTF8.self)] = function.handle
        return nil
    }
}
