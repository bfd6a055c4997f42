import Commands
import Keyspace
import Primitives
import RESP
import Scripting

// Scripts and functions run by the engine.
//
// Each run is a unit of the log, like a transaction: what its commands logged stands between MULTI and EXEC, and the
// reply waits for the unit's record. Its commands run on a session of its own, in the caller's database, without
// waiting. It sees one moment: the clock stands still while it runs. What happens when it runs for long:
// BusyScripts.swift.

package final class ScriptRunner: ScriptHost {
    unowned(unsafe) let engine: Engine
    private let session = Session(id: -1)
    /// Made when the first script comes.
    private var interpreter: Interpreter?
    private(set) var cache = ScriptCache()
    /// Scripts that were forgotten to make room.
    package internal(set) var evictedCount = 0
    /// DEBUG SET-DISABLE-DENY-SCRIPTS: scripts may call what is not meant for them.
    package var allowsDenied = false
    /// Where redis.log writes.
    package var onLog: (_ level: Int, _ text: Bytes) -> Void = { _, _ in }
    /// Frees what was given to it, on another thread.
    package var freeLater: ((Interpreter) -> Void)?

    /// What runs at present.
    package internal(set) var running: RunningScript?
    /// `busy-reply-threshold`; 0: nobody is served while a script runs.
    package var busyThresholdMilliseconds = 5000
    /// Begins to debug a session's script; nil: a child does that.
    package var beginDebugging: ((Session) throws(CommandError) -> (any ScriptDebugSession)?)?
    /// Lets clients in between (Server/Connections/BusyRounds.swift).
    package var serveOthers: (() -> Void)?
    /// Where it is told that a script runs for long.
    package var onSlow: (_ milliseconds: UInt64, _ script: RunningScript) -> Void = { _, _ in }

    package let libraries = FunctionLibraries()
    private var functions: Interpreter?
    /// What the library that is being loaded registered.
    var registering: FunctionLibrary?
    /// When loading it takes too long, in monotonic nanoseconds; nil: never.
    var loadDeadline: UInt64?

    /// Bytes that each interpreter may hold.
    package var memoryLimit = 1 << 30 {
        didSet {
            interpreter?.limitMemory(memoryLimit)
            functions?.limitMemory(memoryLimit)
        }
    }

    init(_ engine: Engine) { self.engine = engine }

    var interpreterOfScripts: Interpreter? { interpreter }
    package private(set) var wasRefused = false

    package var scriptBytes: Int { interpreter?.usedBytes ?? 0 }
    package var functionBytes: Int { functions?.usedBytes ?? 0 }
    package var count: Int { cache.count }
    /// What is kept of scripts beside their interpreter; likewise of libraries.
    package var sourceBytes: Int { cache.sourceBytes }
    package var functionSourceBytes: Int { libraries.sourceBytes }

    /// - Parameter lazily: the interpreter is freed on another thread.
    func forgetAll(lazily: Bool) {
        cache.removeAll()
        release(interpreter, lazily)
        interpreter = nil
    }

    func release(_ interpreter: Interpreter?, _ lazily: Bool) {
        if lazily, let interpreter { freeLater?(interpreter) }
    }

    // MARK: Keeping

    /// Compiles a script, unless it is known; answers it.
    /// - Parameter isForgettable: EVAL brought it, not SCRIPT LOAD.
    func add(_ source: Bytes, isForgettable: Bool) throws(CommandError) -> StoredScript {
        if isForgettable, let known = cache.find(source) { return known }
        let digest = SHA1.of(source)
        if let known = cache[ScriptDigest(digest)] {
            if isForgettable { cache.remember(known) } else { cache.keep(known) }
            return known
        }
        let (flags, body) = try Shebang.ofScript(source)
        if interpreter == nil { interpreter = Interpreter(host: self, memoryLimit: memoryLimit) }
        guard let interpreter else { throw .text("OOM no memory for a Lua interpreter") }
        let (handle, message) = interpreter.load(body)
        if let message { throw .message("ERR Error compiling script (new function): \(message)") }
        let script = StoredScript(digest, source: Array(source), handle: handle, flags: flags)
        if let forgotten = cache.add(script, isForgettable: isForgettable) {
            evictedCount += 1
            interpreter.drop(forgotten.handle)
        }
        if isForgettable { cache.remember(script) }
        return script
    }

    func functionInterpreter() throws(CommandError) -> Interpreter {
        if functions == nil {
            functions = Interpreter(host: self, memoryLimit: memoryLimit, isForFunctions: true)
        }
        guard let functions else { throw .text("OOM no memory for a Lua interpreter") }
        return functions
    }

    func forgetFunctions(lazily: Bool) {
        release(functions, lazily)
        functions = nil
    }

    // MARK: Running

    /// Whether what a request would run says of itself that it writes; nil: it says nothing.
    package func declaresWrites(_ id: Int, _ arguments: Arguments) -> Bool? {
        let flags: ScriptFlags?
        switch engine.table.rows[id].fullName {
        case "eval", "eval_ro": flags = (try? Shebang.ofScript(arguments[1]))?.0
        case "evalsha", "evalsha_ro": flags = cache[arguments[1]]?.flags
        case "fcall", "fcall_ro": flags = libraries.find(arguments[1])?.flags
        default: return nil
        }
        guard let flags, flags.contains(.declared) else { return nil }
        return !flags.contains(.noWrites)
    }

    func run(_ script: StoredScript?, _ call: inout Call, keyCount: Int, readOnly: Bool) throws(CommandError) {
        guard let script, let interpreter else { throw .text("NOSCRIPT No matching script. Please use EVAL.") }
        cache.used(script)
        try run(Run(interpreter: interpreter, handle: script.handle, title: script.title, flags: script.flags,
                    isFunction: false, keyCount: keyCount), &call, readOnly: readOnly)
    }

    func run(_ function: StoredFunction, _ call: inout Call, keyCount: Int, readOnly: Bool) throws(CommandError) {
        try run(Run(interpreter: try functionInterpreter(), handle: function.handle, title: function.title,
                    flags: function.flags, isFunction: true, keyCount: keyCount), &call, readOnly: readOnly)
    }

    /// What is to be run; whoever asks holds on to it.
    private struct Run {
        unowned(unsafe) let interpreter: Interpreter
        let handle: Int32
        unowned(unsafe) let title: ScriptName
        let flags: ScriptFlags
        let isFunction: Bool
        let keyCount: Int
    }

    private func run(_ run: Run, _ call: inout Call, readOnly: Bool) throws(CommandError) {
        let (engine, session, flags) = (engine, session, run.flags)
        let isOutOfMemory = !call.isReplay && !flags.contains(.allowOOM) && engine.memoryIsExhausted()
        if flags.contains(.declared) && !call.isReplay {
            try admit(flags, readOnly: readOnly, isOutOfMemory: isOutOfMemory)
        }
        let caller = engine.current
        running = RunningScript(
            title: run.title, isFunction: run.isFunction, began: engine.monotonicNow, caller: caller,
            arguments: call.arguments, isReadOnly: readOnly || flags.contains(.noWrites), isReplay: call.isReplay,
            isOutOfMemory: isOutOfMemory)
        defer { running = nil }
        session.database = caller.database
        session.noTouch = caller.noTouch
        session.isImportSource = caller.isImportSource
        adopt(caller)
        let isOuter = !engine.isInUnit
        if isOuter { engine.beginUnit() }
        if run.isFunction && libraries.changedAt > engine.acknowledged { engine.keyspace.readsEveryKey() }
        let arguments = UnsafeBufferPointer(start: call.arguments.base + 3, count: call.count - 3)
        let start = call.reply.output.pointee.count, errors = engine.errorReplies
        run.interpreter.run(run.handle, run.title, isFunction: run.isFunction, arguments, keyCount: run.keyCount,
                            call.reply)
        engine.current = caller
        session.caller = nil
        if isOuter { engine.endUnit() }
        if engine.unitCount > 0 { caller.lastWriteEnd = engine.logEnd }
        // What the script's commands did is done; the script itself has no effects.
        engine.effects.pointee.reset()
        let reply = call.reply.output.pointee.bytes.from(start)
        guard reply.first == UInt8(ascii: "-") else { return }
        if call.isReplay { throw .message(String(decoding: reply.dropFirst().dropLast(2), as: UTF8.self)) }
        engine.statistics[call.command - UnsafePointer(engine.table.commands)].failed += 1
        let others = running?.errorsOfOthers ?? 0
        if engine.errorReplies - others == errors { engine.count(errorLine: reply.from(1)) }
    }

    /// A script that says beforehand what it does is refused before it does anything.
    private func admit(_ flags: ScriptFlags, readOnly: Bool, isOutOfMemory: Bool) throws(CommandError) {
        // A client's own script is refused as any command of its kind; one that was queued learns which flag it lacks.
        let isQueued = engine.isInUnit
        if flags.contains(.noWrites) { return }
        if isOutOfMemory, !isQueued { throw .text("OOM command not allowed when used memory > 'maxmemory'.") }
        if let general = engine.state.refusal {
            throw isQueued && engine.state.replicaRefusal == nil ? refusal : general
        }
        if readOnly { throw .text("ERR Can not execute a script with write flag using *_ro command.") }
        if isOutOfMemory {
            throw .text("OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'")
        }
    }

    /// A script may do what its caller may.
    private func adopt(_ caller: Session) {
        session.caller = caller
        if session.user !== caller.user { session.user = caller.user }
        session.isAuthenticated = caller.isAuthenticated
        engine.access.refresh(session)
    }

    private var refusal: CommandError {
        let state = engine.state
        if state.writeRefusal == nil, state.snapshotRefusal == nil, let error = state.refusal { return error }
        guard let line = engine.state.writeRefusal else {
            return .text("""
                MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. \
                Writable scripts are blocked. Use 'no-writes' flag for read only scripts.
                """)
        }
        let words = line.split(separator: ": ", maxSplits: 1)
        return .message("""
            MISCONF Redis is configured to persist data to AOF, but it's currently unable to persist to disk. \
            Writable scripts are blocked. Use 'no-writes' flag for read only scripts. AOF error: \(words.last ?? "")
            """)
    }

    // MARK: What scripts ask for

    package func call(_ arguments: Arguments, resp: RESPVersion, targets: ReplicationTargets) -> Bytes {
        session.output.pointee.removeAll()
        if !session.gates.isEmpty { session.gates.removeAll(keepingCapacity: true) }
        session.version = resp
        wasRefused = false
        let engine = engine, session = session
        let now = engine.keyspace.now
        if let id = engine.lookUp(arguments) {
            let command = engine.table.commands + id
            if let error = refuse(id, arguments) {
                wasRefused = true
                engine.writeError(error, command, session)
            } else {
                let isWrite = command.pointee.flags.contains(.write)
                if isWrite {
                    running?.hasWritten = true
                    running?.isOutOfMemory = false
                }
                engine.current = session
                let isLogging = engine.isLogging
                if targets.rawValue & ReplicationTargets.log.rawValue == 0 { engine.isLogging = false }
                engine.run(session, id, arguments, raw: nil, isRetry: false, mayBlock: false)
                engine.isLogging = isLogging
            }
        } else {
            wasRefused = true
            session.reply.error("ERR Unknown Redis command called from script" as StaticString)
        }
        engine.keyspace.now = now
        return session.output.pointee.bytes
    }

    private func refuse(_ id: Int, _ arguments: Arguments) -> CommandError? {
        let command = engine.table.commands + id
        let flags = command.pointee.flags
        // As Command.takes, which would copy the record here: for every command of every script.
        let arity = command.pointee.arity
        guard arity > 0 ? arguments.count == arity : arguments.count >= -arity else {
            return .text("ERR Wrong number of args calling Redis command from script")
        }
        if flags.contains(.noscript) && !allowsDenied {
            return .text("ERR This Redis command is not allowed from script")
        }
        guard let running else { return .text("ERR no script runs") }
        let engine = engine
        if running.isReadOnly && !flags.isDisjoint(with: [.write, .mayReplicate]) {
            return .text("ERR Write commands are not allowed from read-only scripts.")
        }
        if running.isReplay { return nil }
        if running.isOutOfMemory && flags.contains(.denyoom) {
            return .text("OOM command not allowed when used memory > 'maxmemory'.")
        }
        guard running.hasWritten && engine.state.refusesWrites else { return engine.admit(id, session, arguments) }
        // What it began it may finish: half of its writes would be worse.
        let before = engine.state
        engine.state.writeRefusal = nil
        engine.state.snapshotRefusal = nil
        defer { engine.state = before }
        return engine.admit(id, session, arguments)
    }

    package func log(level: Int, _ text: Bytes) { onLog(level, text) }

    package func permits(_ arguments: Arguments) -> Bool? {
        engine.lookUp(arguments).map { engine.permits(session, $0, arguments) }
    }
}
