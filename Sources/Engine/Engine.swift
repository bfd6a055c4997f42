import Commands
import Keyspace
import Primitives
import RESP

// The engine: one thread that owns the keyspace and runs commands one after another.
//
//     execute → look up → gates → (queue inside MULTI) → run → propagate → announce → gate the reply
//
// It has no sockets, files, clock or randomness of its own: bytes, time and settings come in, reply bytes and log
// records go out, so that a client's command, the replay of a log and a simulation run the same code.

/// Calls and time of one command, for INFO commandstats.
package struct CommandStatistics {
    package var calls = 0
    package var nanoseconds: UInt64 = 0
    package var rejected = 0
    package var failed = 0
}

/// Why the data set is not to be changed or read at present.
package struct ServiceState {
    package var isLoading = false { didSet { isHindered = isLoading || isBusy } }
    /// Others are let in while a script runs (BusyScripts.swift).
    package var isBusy = false { didSet { isHindered = isLoading || isBusy } }
    /// Not every command is welcome.
    private(set) var isHindered = false
    /// How far loading is, while `isLoading`.
    package var loadedPercent = 0
    /// Whole error line with which writes are refused; nil: they are welcome.
    package var writeRefusal: String? { didSet { noteRefusals() } }
    /// MISCONF line for a failed snapshot with stop-writes-on-bgsave-error.
    package var snapshotRefusal: StaticString? { didSet { noteRefusals() } }
    /// NOREPLICAS line while fewer replicas than `min-replicas-to-write` are there.
    package var replicaRefusal: StaticString? { didSet { noteRefusals() } }
    /// One of these. (Stored: asked for with every command, it would cost a copy of the whole.)
    package private(set) var refusesWrites = false
    private mutating func noteRefusals() {
        refusesWrites = writeRefusal != nil || snapshotRefusal != nil || replicaRefusal != nil
    }
    /// With what a write is refused; nil: it is welcome.
    package var refusal: CommandError? {
        if let writeRefusal { return .message(writeRefusal) }
        return (snapshotRefusal ?? replicaRefusal).map { .text($0) }
    }
    package init() {}
}

package final class Engine {
    package var keyspace: Keyspace
    package let table: CommandTable
    let firstKeys: FirstKeys
    package let statistics: UnsafeMutablePointer<CommandStatistics>
    package let effects: UnsafeMutablePointer<Effects>
    package var state = ServiceState()
    /// `import-mode`: a client that is the source puts data in, and says what goes. Nothing expires or is evicted by
    /// itself; for other clients a key that is past its time is not there.
    package var isImporting = false {
        didSet { if isImporting != oldValue { keyspace.expiryPolicy = isImporting ? .hide : .delete } }
    }
    /// The session whose command runs; control handlers read it. `forget` takes a session away that ends.
    package unowned(unsafe) var current: Session
    /// Runs replayed records, the expire cycle's effects and the like.
    package let ownSession: Session
    /// The server around the engine, for control commands declared in the Server module. It owns the engine.
    package unowned(unsafe) var host: AnyObject?

    /// Records made since the server last took them, and the offset at which they begin.
    package var pendingLog = OwnedBytes(capacity: Engine.usualLogBytes)
    /// What the buffer of pending records always takes.
    package static let usualLogBytes = 1 << 16
    package var pendingLogStart = LogOffset(0)
    /// False: nothing keeps a log, so no records are made.
    package var isLogging = false
    /// The database that the log's last SELECT chose; −1 forces a SELECT.
    package var logDatabase = -1
    /// Records of the transaction that runs, and their number.
    package var unit = OwnedBytes()
    package var unitCount = 0
    package var isInUnit = false
    /// A command of the unit changed the data set.
    package var unitWrote = false
    /// Up to where replies may be released without asking; beyond it they are gated.
    package var acknowledged = LogOffset(0)
    /// The same for clients that chose their durability, given by the server.
    package var acknowledgedOtherwise: (Durability) -> LogOffset = { _ in LogOffset(0) }
    /// Clients wait for the disk up to here: an fsync is to be asked for.
    package var syncWanted = LogOffset(0)

    /// Clients that wrote since `beginWriters`; each of them bears the mark.
    package private(set) var writersInTick = 0
    private var writerMark = 1
    package var changesSinceSave = 0
    /// FLUSHALL ran; whoever keeps dumps takes note and sets it back.
    package var wasFlushed = false
    package var commandsProcessed = 0
    package var errorCounts: [String: Int] = [:]
    package var errorReplies = 0
    /// Time spent in commands.
    package var commandNanoseconds: UInt64 = 0
    package var watchers: [KeyName: [Session]] = [:]
    package var waiters: [KeyName: [Session]] = [:]
    package var readyKeys: [KeyName] = []
    package var waitingCount = 0
    /// When the first wait times out; nil: none does. Waits that ended otherwise may have left it too early.
    package var earliestDeadline: UnixMilliseconds?
    package var isServing = false
    package var expireCycle = ExpireCycle()
    package var tracking = Tracking()
    /// Somebody keeps copies.
    package internal(set) var isTracking = false
    package var sessionWithID: (Int64) -> Session? = { _ in nil }
    package var eviction = Eviction()
    package var usedMemory: () -> Int = { Heap.usedBytes }
    /// Bytes in use that eviction leaves out, beside the records that were not taken yet.
    package var uncountedMemory: () -> Int = { 0 }
    /// Hands `keyspace.garbage` to whoever frees it.
    package var releaseGarbage: (() -> Void)?

    /// Users, and what they may do.
    package let access: AccessControl
    /// Called for every key event that passed `notifyClasses`, after the command.
    package var onKeyEvent: ((KeyEvent) -> Void)?
    package var notifyClasses = EventClass(rawValue: 0) {
        didSet {
            keyspace.sightings.notesMisses = notifyClasses.contains(.keyMiss)
            keyspace.sightings.notesNew = notifyClasses.contains(.newKey)
            notesSightings = keyspace.sightings.notesMisses || keyspace.sightings.notesNew
        }
    }
    private var notesSightings = false
    /// Called for each command that ran, when somebody monitors.
    package var onMonitor: ((Session, Arguments) -> Void)?
    /// Called when a client speaks HTTP; its connection ends.
    package var onCrossProtocolRequest: ((Session) -> Void)?
    /// Arguments of the running command that logs and monitors must not show, a bit for each of the first 64.
    package var redactedArguments: UInt64 = 0
    /// The log's end on the disk; nil: no log is kept.
    package var durableOffset: () -> LogOffset? = { nil }
    /// How many replicas have what the log held up to an offset.
    package var replicasHaving: (LogOffset) -> Int = { _ in 0 }
    /// Likewise on their disks.
    package var replicasHavingDurably: (LogOffset) -> Int = { _ in 0 }
    package var timing = CommandTiming()
    package private(set) lazy var scripts = ScriptRunner(self)
    /// Listeners by name, for each `SubscriptionKind`.
    package internal(set) var subscribers: [[[UInt8]: [Session]]] = [[:], [:], [:]]
    /// Messages that told of writes of the unit that runs: whose output, from where on.
    var unitPushes: [(Session, Int)] = []
    /// Between a command's begin and the gating of its reply.
    var isRunning = false
    /// Of the command that runs, or ran last; theirs is the memory of whoever runs it.
    var latestArguments: Arguments?
    /// For a crash report.
    package var runningArguments: Arguments? { isRunning ? latestArguments : nil }
    package let slowLog = SlowLog()
    package let largeRequests = SlowLog()
    package let largeReplies = SlowLog()
    /// Requests and replies of fewer bytes are of no interest to COMMANDLOG.
    package var largestUnnoticedRequest = Int.max
    package var largestUnnoticedReply = Int.max
    /// The session of HOTKEYS, running or ended.
    package internal(set) var hotKeys: HotKeys?
    var tracksHotKeys = false
    package let latencyMonitor = LatencyMonitor()
    /// By command id; made at a command's first call.
    package let histograms: UnsafeMutablePointer<UnsafeMutablePointer<LatencyHistogram>?>
    /// The clock at the end of the last command, if nothing but parsing came after it; else 0.
    package let lastClockReading: UnsafeMutablePointer<UInt64>
    /// Commands shorter than this, in nanoseconds, are of no interest to SLOWLOG and LATENCY.
    var slowestUnnoticed: UInt64 = 10_000_000
    /// A client whose queue between MULTI and EXEC takes more ends (`client-query-buffer-limit`).
    package var longestQueueBytes = Int.max
    /// A client's address as SLOWLOG and MONITOR show it.
    package var addressOf: (Session) -> String = { _ in "" }
    /// Reads the time that commands see anew, given by the server.
    package var refreshClock: () -> Void = {}
    /// Where monotonic nanoseconds come from in simulations; nil: from the system.
    package var monotonicNanoseconds: (() -> UInt64)?
    @inline(__always)
    package var monotonicNow: UInt64 {
        guard let given = monotonicNanoseconds else { return UInt64(bitPattern: MonotonicNanoseconds.now().rawValue) }
        return given()
    }

    package init(keyspace: consuming Keyspace, table: CommandTable) {
        self.keyspace = keyspace
        self.table = table
        firstKeys = FirstKeys(table)
        access = AccessControl(table)
        statistics = .allocate(capacity: table.count)
        statistics.initialize(repeating: CommandStatistics(), count: table.count)
        lastClockReading = .allocate(capacity: 1)
        lastClockReading.initialize(to: 0)
        histograms = .allocate(capacity: table.count)
        histograms.initialize(repeating: nil, count: table.count)
        effects = .allocate(capacity: 1)
        effects.initialize(to: Effects())
        ownSession = Session(id: 0)
        current = ownSession
    }

    deinit {
        for id in 0..<table.count { dropHistogram(id) }
        histograms.deallocate()
        lastClockReading.deallocate()
        statistics.deallocate()
        effects.deinitialize(count: 1)
        effects.deallocate()
    }

    /// The end of all records made so far.
    @inline(__always)
    package var logEnd: LogOffset { LogOffset(pendingLogStart.rawValue + UInt64(pendingLog.count)) }

    // MARK: A client's command

    /// Runs one request of `session`, or refuses or queues it; the reply is appended to the session's output.
    /// - Parameter raw: the request as it came, if it is canonical RESP that the log may copy.
    /// - Parameter commandID: that of the command `arguments[0]` names, if it is known; −1: it isn't.
    package func execute(_ session: Session, _ arguments: Arguments, raw: Bytes?, commandID: Int = -1) {
        current = session
        guard let id = commandID >= 0 ? resolve(commandID, arguments) : lookUp(arguments) else {
            refuseUnknown(session, arguments)
            return
        }
        session.lastCommandID = id
        if let refusal = admit(id, session, arguments) {
            refuse(session, id, refusal)
            return
        }
        if session.inMulti && !runsInsideMulti(id) {
            session.enqueue(StoredCommand(id: id, arguments))
            if session.queuedBytes > longestQueueBytes { session.link?.queueOverLimit() }
            session.reply.simple("QUEUED")
            return
        }
        run(session, id, arguments, raw: raw, isRetry: false, mayBlock: true)
        if !readyKeys.isEmpty && !isServing { serveReadyKeys() }
    }

    @inline(__always)
    package func lookUp(_ arguments: Arguments) -> Int? {
        guard let id = table.find(arguments[0]) else { return nil }
        return resolve(id, arguments)
    }

    /// The subcommand's id, if the command is a container.
    @inline(__always)
    private func resolve(_ id: Int, _ arguments: Arguments) -> Int? {
        table.isContainer[id] ? table.resolveSubcommand(id, arguments) : id
    }

    // MARK: Running

    /// Runs a command that was admitted and does everything that follows from it.
    package func run(_ session: Session, _ id: Int, _ arguments: Arguments, raw: Bytes?, isRetry: Bool,
                     mayBlock: Bool) {
        let command = table.commands + id
        let start = session.output.pointee.count
        effects.pointee.reset()
        isRunning = true
        latestArguments = arguments
        redactedArguments = 0
        if !isInUnit { keyspace.stamps.begin() }
        keyspace.noTouch = session.noTouch
        if isImporting { followImport(session) }
        var call = Call(command: command, arguments: arguments, reply: session.reply, database: session.database,
                        effects: effects, mayBlock: mayBlock && !session.inMulti, isRetry: isRetry,
                        isReplay: session === ownSession)
        let began = clockAtStart()
        let failed = perform(command, id, &call, start, session)
        book(id, from: began, session, arguments)
        let sent = raw?.count ?? requestBytes(arguments), replied = session.output.pointee.count &- start
        if sent >= largestUnnoticedRequest || replied >= largestUnnoticedReply {
            noteLarge(id, request: sent, reply: replied, session, arguments)
        }
        if tracksHotKeys {
            noteHotKeys(id, arguments, nanoseconds: lastClockReading.pointee &- began, bytes: sent &+ replied)
        }
        let cell = statistics + id
        if failed { cell.pointee.failed += 1 }
        if !isRetry {
            cell.pointee.calls += 1
            commandsProcessed += 1
            session.commandCount += 1
        }
        if onMonitor != nil && !isRetry { showMonitors(session, command, arguments) }
        finish(session, id, arguments, raw: raw, replyStart: start)
        isRunning = false
    }

    @inline(never)
    private func followImport(_ session: Session) {
        if state.isLoading || session === ownSession { return }
        keyspace.expiryPolicy = session.isImportSource ? .ignore : .hide
    }

    @inline(__always)
    func perform(_ command: UnsafePointer<Command>, _ id: Int, _ call: inout Call, _ start: Int,
                         _ session: Session) -> Bool {
        let failure = table.bodies[id]._withUnsafeGuaranteedRef { body -> CommandError? in
            do throws(CommandError) {
                if body.isData { try body.run(&keyspace, &call) } else { try body.run(engine: self, &call) }
                return nil
            } catch {
                return error
            }
        }
        guard let failure else { return false }
        session.output.pointee.truncate(to: start)
        writeError(failure, command, session)
        return true
    }

    /// Everything after the handler, in this order: log, watchers, events, waiters, the reply's gate.
    @inline(__always)
    func finish(_ session: Session, _ id: Int, _ arguments: Arguments, raw: Bytes?, replyStart: Int) {
        if keyspace.hasExpiredKeys { propagateExpired() }
        // Before anything that is no reply follows.
        if session.replyMode != .on, !isInUnit { applyReplyMode(session, replyStart, id) }
        var wrote = false
        if effects.pointee.dirty != 0 || effects.pointee.recordCount != 0 {
            changesSinceSave += effects.pointee.dirty
            wrote = propagate(session, id, arguments, raw: raw)
            session.lastWriteEnd = logEnd
        }
        if notesSightings && !keyspace.sightings.isEmpty { announceSightings() }
        if effects.pointee.eventCount > 0 { announce() }
        if effects.pointee.flushed != nil || effects.pointee.swapped != nil { announceWhole() }
        if isTracking { trackAfter(session, id, arguments) }
        if effects.pointee.block != nil { park(session, id, arguments) }
        if keyspace.stamps.isEnabled { gateReply(session, replyStart, wrote: wrote) }
    }

    /// Replies of writes wait for their own record, replies of reads for the last write to what they read.
    private func gateReply(_ session: Session, _ replyStart: Int, wrote: Bool) {
        if isInUnit {
            unitWrote = unitWrote || wrote
            // Its record is the unit's: the stamp is set when the unit ends.
            if effects.pointee.flushed != nil { keyspace.readsEveryKey() }
            return
        }
        let end = logEnd
        var offset = end
        if wrote || unitWrote {
            unitWrote = false
            keyspace.stamps.wrote(upTo: end)
            if session.writerMark != writerMark { noteWriter(session) }
        } else {
            offset = keyspace.stamps.readOffset(latest: end)
        }
        guard session.output.pointee.count > replyStart else { return }
        if offset > acknowledged(for: session.durability) {
            if session.durability == .always { syncWanted = max(syncWanted, offset) }
            session.gate(from: replyStart, until: offset)
        } else {
            regate(session, replyStart)
        }
    }

    private func noteWriter(_ session: Session) {
        session.writerMark = writerMark
        writersInTick += 1
    }

    /// Writers are counted from here on.
    package func beginWriters() {
        writersInTick = 0
        writerMark &+= 1
    }

    /// - Parameter id: the command that ran; nil: it was refused.
    private func applyReplyMode(_ session: Session, _ start: Int, _ id: Int?) {
        // Confirmations of subscriptions are messages: whoever silenced the replies still listens.
        let isMessage = id.map { PubSubCommands.confirms(table.rows[$0].fullName) } ?? false
        switch session.replyMode {
        case .on: break
        case .off: if !isMessage { session.output.pointee.truncate(to: start) }
        case .skip:
            if !isMessage { session.output.pointee.truncate(to: start) }
            session.replyMode = .on
        case .skipNext: session.replyMode = .skip
        }
    }

    // MARK: Errors

    package func writeError(_ error: CommandError, _ command: UnsafePointer<Command>?, _ session: Session) {
        if let text = error.fixedText {
            count(errorLine: text.bytes)
            session.reply.error(text)
            return
        }
        var line = text(of: error, command.map { $0 - table.commands } ?? 0, withCode: true)
        line.withUTF8 {
            count(errorLine: Bytes($0))
            session.reply.error(Bytes($0))
        }
    }

    /// For INFO errorstats: counted by the line's first word.
    package func count(errorLine: Bytes) {
        errorReplies += 1
        let word = errorLine.prefix { $0 != UInt8(ascii: " ") }
        let name = String(decoding: word, as: UTF8.self)
        if errorCounts[name] != nil || errorCounts.count < 128 { errorCounts[name, default: 0] += 1 }
    }

    private func refuse(_ session: Session, _ id: Int, _ error: CommandError) {
        statistics[id].rejected += 1
        let start = session.output.pointee.count
        if table.rows[id].fullName == "exec" {
            endTransaction(session)
            writeError(.message("EXECABORT Transaction discarded because of: \(text(of: error, id, withCode: false))"),
                       nil, session)
        } else {
            if session.inMulti { session.transactionFailed = true }
            writeError(error, table.commands + id, session)
        }
        regate(session, start)
        if session.replyMode != .on { applyReplyMode(session, start, nil) }
    }

    /// The error's line; without a code that says nothing (`ERR`) if so wanted.
    /// The error line with which writes are refused; nil: they are not.
    package func line(of refusal: CommandError?) -> String? { refusal.map { text(of: $0, 0, withCode: true) } }

    func text(of error: CommandError, _ id: Int, withCode: Bool) -> String {
        let line: String
        switch error {
        case .message(let text): line = text
        case .wrongArity: line = "ERR wrong number of arguments for '\(table.rows[id].fullName)' command"
        case .wrongType, .syntax, .notInteger, .notFloat, .noSuchKey, .indexOutOfRange, .text:
            line = error.fixedText.map { "\($0)" } ?? "ERR"
        }
        return !withCode && line.hasPrefix("ERR ") ? String(line.dropFirst(4)) : line
    }

    /// As a log would tell of it.
    package func line(of error: CommandError) -> String { text(of: error, 0, withCode: false) }

    /// A reply that follows gated ones leaves after them.
    package func regate(_ session: Session, _ start: Int) {
        if let last = session.gates.last { session.gate(from: start, until: last.offset) }
    }

    private func refuseUnknown(_ session: Session, _ arguments: Arguments) {
        if arguments[0].equalsIgnoringCase("POST") || arguments[0].equalsIgnoringCase("HOST:") {
            // A browser was made to talk to us: not a word, and the connection ends.
            session.closeAfterReplies = true
            onCrossProtocolRequest?(session)
            return
        }
        if session.inMulti { session.transactionFailed = true }
        let start = session.output.pointee.count
        let line = unknownLine(arguments)
        count(errorLine: line.bytes)
        session.reply.error(line.bytes)
        regate(session, start)
        if session.replyMode != .on { applyReplyMode(session, start, nil) }
    }

    /// What the client sent is shown as it is, whatever its bytes; up to 128 of them, and never beyond a NUL.
    private func unknownLine(_ arguments: Arguments) -> OwnedBytes {
        func shown(_ bytes: Bytes, _ limit: Int) -> Bytes { Bytes(rebasing: bytes.prefix(limit).prefix { $0 != 0 }) }
        var line = OwnedBytes()
        if let container = table.find(arguments[0]) {
            let name = "\(table.commands[container].name)".uppercased()
            line.append("ERR unknown subcommand '" as StaticString)
            line.append(shown(arguments[1], 128))
            line.append("'. Try \(name) HELP.")
            return line
        }
        line.append("ERR unknown command '" as StaticString)
        line.append(shown(arguments[0], 128))
        line.append("', with args beginning with: " as StaticString)
        let start = line.count
        var index = 1
        while index < arguments.count && line.count - start < 128 {
            let room = 128 - (line.count - start)
            line.append(UInt8(ascii: "'"))
            line.append(shown(arguments[index], room))
            line.append("' " as StaticString)
            index += 1
        }
        return line
    }
}
