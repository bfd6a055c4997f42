import Keyspace
import Primitives
import RESP

/// One execution of a command: its arguments, where the reply goes, and the one place where effects are declared.
/// A trivial struct of borrowed addresses: it lives for the call only.
package struct Call {
    package let command: UnsafePointer<Command>
    /// With the command's name at 0 (and a subcommand's at 1).
    package var arguments: Arguments
    package var reply: ReplyWriter
    package let database: Int
    package let effects: UnsafeMutablePointer<Effects>
    /// False inside MULTI, scripts and replay: a command that would wait answers as on timeout.
    package let mayBlock: Bool
    /// The command waited and is tried again because one of its keys changed.
    package let isRetry: Bool
    /// Replay of the log or the primary's stream: limits and gates meant for clients don't apply.
    package let isReplay: Bool

    package init(command: UnsafePointer<Command>, arguments: Arguments, reply: ReplyWriter, database: Int,
                 effects: UnsafeMutablePointer<Effects>, mayBlock: Bool, isRetry: Bool, isReplay: Bool) {
        self.command = command
        self.arguments = arguments
        self.reply = reply
        self.database = database
        self.effects = effects
        self.mayBlock = mayBlock
        self.isRetry = isRetry
        self.isReplay = isReplay
    }

    /// Number of arguments with the command's name.
    @inline(__always) package var count: Int { arguments.count }
    @inline(__always) package subscript(index: Int) -> Bytes { arguments[index] }

    // MARK: Effects

    /// The one side effect a handler declares: `key` was changed. Counts as `changes` for save points, makes the
    /// call reach the log, and touches WATCH, client-side caches, keyspace notifications and waiting clients.
    @inline(__always)
    package func modified(_ key: Bytes, _ eventClass: EventClass, _ event: StaticString, changes: Int = 1) {
        effects.pointee.dirty += changes
        effects.pointee.add(KeyEvent(key: key, database: database, eventClass: eventClass, event: event,
                                     changesKey: true))
    }

    /// As `modified`, for a key of another database (MOVE, COPY DB).
    package func modified(_ key: Bytes, in database: Int, _ eventClass: EventClass, _ event: StaticString,
                          changes: Int = 1) {
        effects.pointee.dirty += changes
        effects.pointee.add(KeyEvent(key: key, database: database, eventClass: eventClass, event: event,
                                     changesKey: true))
    }

    /// An event that is only announced: the change it belongs to was declared already.
    package func announce(_ key: Bytes, _ eventClass: EventClass, _ event: StaticString) {
        effects.pointee.add(KeyEvent(key: key, database: database, eventClass: eventClass, event: event,
                                     changesKey: false))
    }

    /// A container became empty and its key was removed: the announcement that goes with it.
    package func announceRemoval(_ key: Bytes) { announce(key, .generic, "del") }

    /// Begins a log record of a `.rewritten` command; exactly `argumentCount` arguments must follow.
    package func record(argumentCount: Int) {
        RequestEncoder.begin(argumentCount: argumentCount, into: &effects.pointee.records)
        effects.pointee.recordCount += 1
    }
    package func recordArgument(_ bytes: Bytes) { RequestEncoder.argument(bytes, into: &effects.pointee.records) }
    package func recordArgument(_ text: StaticString) {
        RequestEncoder.argument(text.bytes, into: &effects.pointee.records)
    }
    package func recordArgument(_ integer: Int64) { RequestEncoder.argument(integer, into: &effects.pointee.records) }

    /// Records the command as it came (a `.rewritten` command whose arguments need no change).
    package func recordVerbatim() {
        record(argumentCount: count)
        for index in 0..<count { recordArgument(self[index]) }
    }

    /// Parks the client until one of the keys changes; the command is then run again. Nothing may be replied.
    package func block(firstKey: Int, keyCount: Int, timeoutMilliseconds: Int64,
                       timeoutReply: BlockRequest.TimeoutReply, retryMilliseconds: Int64 = 0) {
        effects.pointee.block = BlockRequest(firstKey: firstKey, keyCount: keyCount,
                                             timeoutMilliseconds: timeoutMilliseconds, timeoutReply: timeoutReply,
                                             retryMilliseconds: retryMilliseconds)
    }

    /// After `block`: argument `index` is to be `bytes` when the command is run again (`$` becomes an ID).
    package func replaceArgument(_ index: Int, by bytes: Bytes) {
        effects.pointee.replacedArguments.append(uninitialized: 8) {
            $0.storeBytes(of: UInt32(index), as: UInt32.self)
            $0.storeBytes(of: UInt32(bytes.count), toByteOffset: 4, as: UInt32.self)
        }
        effects.pointee.replacedArguments.append(bytes)
    }

    // MARK: Reading arguments

    /// True if the argument is this word, in either case. `word` must be upper case.
    @inline(__always)
    package func isWord(_ index: Int, _ word: StaticString) -> Bool { self[index].equalsIgnoringCase(word) }

    @inline(__always)
    package func integer(_ index: Int) throws(CommandError) -> Int64 {
        guard let value = Decimal.parseInt64(self[index]) else { throw .notInteger }
        return value
    }

    /// An integer within bounds; outside them the same error as for no integer at all, unless one is given.
    package func integer(_ index: Int, in range: ClosedRange<Int64>, orThrow error: CommandError = .notInteger)
        throws(CommandError) -> Int64 {
        guard let value = Decimal.parseInt64(self[index]), range.contains(value) else { throw error }
        return value
    }

    /// An integer of 32 bits, as database numbers are.
    package func int32(_ index: Int) throws(CommandError) -> Int {
        let value = try integer(index)
        guard let narrow = Int32(exactly: value) else {
            throw .text("ERR value is out of range, value must between -2147483648 and 2147483647")
        }
        return Int(narrow)
    }

    package func double(_ index: Int) throws(CommandError) -> Double {
        guard let value = DoubleText.parse(self[index]) else { throw .notFloat }
        return value
    }

    // MARK: Finding values of one type

    /// The entry of argument `index`, nil if there is none; throws if it holds another type.
    @inline(__always)
    package func entry(_ keyspace: inout Keyspace, _ index: Int, _ type: ValueType, _ access: Access)
        throws(CommandError) -> Entry? {
        guard let entry = keyspace.find(self[index], in: database, access) else { return nil }
        if entry.type != type { throw .wrongType }
        return entry
    }
}
