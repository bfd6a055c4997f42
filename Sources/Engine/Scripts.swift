import Commands
import Keyspace
import Primitives
import RESP
import Scripting

// Scripts run by the engine.
//
// A script is a unit of the log, like a transaction: what its commands logged stands between MULTI and EXEC, and the
// reply waits for the unit's record. Its commands run on a session of its own, in the caller's database, without
// waiting. It sees one moment: the clock stands still while it runs.

/// What a `#!lua` line asks for.
struct ScriptFlags: OptionSet {
    let rawValue: UInt8
    static let noWrites = ScriptFlags(rawValue: 1 << 0)
    static let allowOOM = ScriptFlags(rawValue: 1 << 1)
    static let allowStale = ScriptFlags(rawValue: 1 << 2)
    static let noCluster = ScriptFlags(rawValue: 1 << 3)
    static let allowCrossSlotKeys = ScriptFlags(rawValue: 1 << 4)
    /// There was such a line: the script says beforehand what it does.
    static let declared = ScriptFlags(rawValue: 1 << 7)
}

struct StoredScript {
    let source: [UInt8]
    let flags: ScriptFlags
}

package final class ScriptRunner: ScriptHost {
    private unowned(unsafe) let engine: Engine
    private let session = Session(id: -1)
    /// Made when the first script comes.
    private var interpreter: Interpreter?
    private(set) var scripts: [String: StoredScript] = [:]
    private var isReadOnly = false
    private var isOutOfMemory = false
    /// The script comes from a log: gates meant for clients don't apply.
    private var isReplay = false
    /// Where redis.log writes.
    package var onLog: (_ level: Int, _ text: Bytes) -> Void = { _, _ in }

    /// Bytes that one interpreter may hold.
    private static let memoryLimit = 1 << 30

    init(_ engine: Engine) { self.engine = engine }

    package var usedBytes: Int { interpreter?.usedBytes ?? 0 }
    package var count: Int { scripts.count }
    package var sourceBytes: Int { scripts.values.reduce(0) { $0 + $1.source.count + 40 } }

    func forgetAll() {
        scripts.removeAll()
        interpreter = nil
    }

    // MARK: Keeping

    /// Compiles a script, unless it is known; answers its name, the SHA-1 of its source.
    func add(_ source: Bytes) throws(CommandError) -> String {
        let name = SHA1.of(source).hex
        if scripts[name] != nil { return name }
        let (flags, body) = try Self.readFlags(source)
        if interpreter == nil { interpreter = Interpreter(host: self, memoryLimit: Self.memoryLimit) }
        guard let interpreter else { throw .text("OOM no memory for a Lua interpreter") }
        if let message = interpreter.load(body, as: name) {
            throw .message("ERR Error compiling script (new function): \(message)")
        }
        scripts[name] = StoredScript(source: Array(source), flags: flags)
        return name
    }

    /// The flags of a first line `#!lua flags=…`, and the source behind it (its end of line is kept: it counts).
    private static func readFlags(_ source: Bytes) throws(CommandError) -> (ScriptFlags, Bytes) {
        guard source.count >= 2, source[0] == UInt8(ascii: "#"), source[1] == UInt8(ascii: "!") else {
            return ([], source)
        }
        guard let end = source.firstIndex(of: UInt8(ascii: "\n")) else {
            throw .text("ERR Invalid script shebang")
        }
        let line = String(decoding: source[..<end], as: UTF8.self)
        let words = line.split(whereSeparator: { $0 == " " || $0 == "\r" || $0 == "\t" })
        guard let engine = words.first, engine == "#!lua" else {
            throw .message("ERR Unexpected engine in script shebang: \(words.first ?? "")")
        }
        var flags: ScriptFlags = .declared
        for word in words.dropFirst() {
            guard word.hasPrefix("flags=") else { throw .message("ERR Unknown lua shebang option: \(word)") }
            for flag in word.dropFirst(6).split(separator: ",") {
                switch flag {
                case "no-writes": flags.insert(.noWrites)
                case "allow-oom": flags.insert(.allowOOM)
                case "allow-stale": flags.insert(.allowStale)
                case "no-cluster": flags.insert(.noCluster)
                case "allow-cross-slot-keys": flags.insert(.allowCrossSlotKeys)
                default: throw .message("ERR Unexpected flag in script shebang: \(flag)")
                }
            }
        }
        return (flags, source.from(end))
    }

    // MARK: Running

    func run(_ name: String, _ call: inout Call, keyCount: Int, readOnly: Bool) throws(CommandError) {
        guard let script = scripts[name], let interpreter else {
            throw .text("NOSCRIPT No matching script. Please use EVAL.")
        }
        isReadOnly = readOnly || script.flags.contains(.noWrites)
        isOutOfMemory = !script.flags.contains(.allowOOM) && engine.memoryIsExhausted()
        if script.flags.contains(.declared) && !isReadOnly {
            if isOutOfMemory {
                throw .text("""
                    OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'
                    """)
            }
            if engine.state.refusesWrites { throw refusal }
        }
        let caller = engine.current
        session.database = caller.database
        session.noTouch = caller.noTouch
        adopt(caller)
        let isOuter = !engine.isInUnit
        if isOuter { engine.beginUnit() }
        let arguments = UnsafeBufferPointer(start: call.arguments.base + 3, count: call.count - 3)
        let start = call.reply.output.pointee.count, errors = engine.errorReplies
        isReplay = call.isReplay
        interpreter.run(name, arguments, keyCount: keyCount, call.reply)
        engine.current = caller
        session.caller = nil
        if isOuter { engine.endUnit() }
        if engine.unitCount > 0 { caller.lastWriteEnd = engine.logEnd }
        // What the script's commands did is done; the script itself has no effects.
        engine.effects.pointee.reset()
        let reply = call.reply.output.pointee.bytes.from(start)
        guard reply.first == UInt8(ascii: "-") else { return }
        if call.isReplay { throw .message(String(decoding: reply.dropFirst().dropLast(2), as: UTF8.self)) }
        if engine.errorReplies == errors { engine.count(errorLine: reply.from(1)) }
    }

    /// A script may do what its caller may.
    private func adopt(_ caller: Session) {
        session.caller = caller
        session.user = caller.user
        session.isAuthenticated = caller.isAuthenticated
        engine.access.refresh(session)
    }

    private var refusal: CommandError {
        if let line = engine.state.writeRefusal { return .message(line) }
        return engine.state.snapshotRefusal.map { .text($0) } ?? .text("MISCONF Writes are refused.")
    }

    // MARK: What scripts ask for

    package func call(_ arguments: Arguments, resp: RESPVersion) -> Bytes {
        session.output.pointee.removeAll()
        session.gates.removeAll(keepingCapacity: true)
        session.version = resp
        let now = engine.keyspace.now
        if let id = engine.lookUp(arguments) {
            let command = engine.table.commands + id
            if let error = refuse(id, arguments) {
                engine.writeError(error, command, session)
            } else {
                engine.current = session
                engine.run(session, id, arguments, raw: nil, isRetry: false, mayBlock: false)
                if command.pointee.flags.contains(.write) { isOutOfMemory = false }
            }
        } else {
            session.reply.error("ERR Unknown Redis command called from script" as StaticString)
        }
        engine.keyspace.now = now
        return session.output.pointee.bytes
    }

    private func refuse(_ id: Int, _ arguments: Arguments) -> CommandError? {
        let command = engine.table.commands + id
        let flags = command.pointee.flags, arity = command.pointee.arity
        if arity > 0 ? arguments.count != arity : arguments.count < -arity {
            return .text("ERR Wrong number of args calling Redis command from script")
        }
        if flags.contains(.noscript) { return .text("ERR This Redis command is not allowed from script") }
        if isReadOnly && flags.contains(.write) {
            return .text("ERR Write commands are not allowed from read-only scripts.")
        }
        if isReplay { return nil }
        if isOutOfMemory && flags.contains(.denyoom) {
            return .text("OOM command not allowed when used memory > 'maxmemory'.")
        }
        return engine.admit(id, session, arguments)
    }

    package func log(level: Int, _ text: Bytes) { onLog(level, text) }

    package func permits(_ arguments: Arguments) -> Bool? {
        engine.lookUp(arguments).map { engine.permits(session, $0, arguments) }
    }
}
