import Encodings
import Keyspace
import Primitives
import RESP

// What stream commands have in common: IDs in arguments, replies and log records, and lookups.

extension CommandError {
    static let invalidStreamID = CommandError.text("ERR Invalid stream ID specified as stream command argument")

    /// `text` with each `%` replaced by one of the arguments.
    static func naming(_ text: String, _ names: Bytes...) -> CommandError {
        var line = "", next = 0
        for character in text {
            if character == "%" {
                line += String(decoding: names[next].prefix { $0 != 0 }, as: UTF8.self)
                next += 1
            } else {
                line.append(character)
            }
        }
        return .message(line)
    }
}

extension Call {
    /// The stream at the key of argument `index`.
    @inline(__always)
    func stream(_ keyspace: inout Keyspace, _ index: Int, _ access: Access) throws(CommandError) -> StreamValue? {
        try entry(&keyspace, index, .stream, access).map { StreamValue($0) }
    }

    /// An ID in full, or its milliseconds alone.
    func streamID(_ index: Int, missingSequence: UInt64 = 0) throws(CommandError) -> StreamID {
        guard let id = StreamID.parse(self[index], missingSequence: missingSequence) else { throw .invalidStreamID }
        return id
    }

    /// The lower end of an interval: an ID, `-`, or `(ID` to leave the ID itself out.
    func intervalStart(_ index: Int) throws(CommandError) -> StreamID {
        let (id, isExclusive) = try intervalEdge(index, missingSequence: 0)
        if !isExclusive { return id }
        guard let next = id.successor else { throw .text("ERR invalid start ID for the interval") }
        return next
    }

    func intervalEnd(_ index: Int) throws(CommandError) -> StreamID {
        let (id, isExclusive) = try intervalEdge(index, missingSequence: .max)
        if !isExclusive { return id }
        guard let previous = id.predecessor else { throw .text("ERR invalid end ID for the interval") }
        return previous
    }

    private func intervalEdge(_ index: Int, missingSequence: UInt64) throws(CommandError) -> (StreamID, Bool) {
        let text = self[index]
        if isWord(index, "-") { return (.minimum, false) }
        if isWord(index, "+") { return (.maximum, false) }
        if text.count > 1, text[0] == UInt8(ascii: "(") {
            guard let id = StreamID.parse(text.from(1), missingSequence: missingSequence) else {
                throw .invalidStreamID
            }
            return (id, true)
        }
        return (try streamID(index, missingSequence: missingSequence), false)
    }

    func recordArgument(_ id: StreamID) {
        id.withText { recordArgument($0) }
    }

    /// Something of a stream other than its entries changed: it is logged and announced, and no WATCH breaks.
    func changedGroups(_ key: Bytes, _ event: StaticString) {
        effects.pointee.dirty += 1
        announce(key, .stream, event)
    }

    /// The error of a subcommand whose arguments make no sense.
    package func subcommandSyntax(_ container: String) -> CommandError {
        .naming("ERR unknown subcommand or wrong number of arguments for '%'. Try \(container) HELP.",
                Bytes(rebasing: self[1].prefix(128)))
    }
}

extension StreamID {
    @inline(__always)
    func withText(_ body: (Bytes) -> Void) {
        withUnsafeTemporaryAllocation(byteCount: Self.maximumTextLength, alignment: 8) { scratch in
            let start = scratch.baseAddress.unsafelyUnwrapped
            body(Bytes(start: start, count: write(to: start)))
        }
    }
}

extension ReplyWriter {
    @inline(__always)
    func bulk(_ id: StreamID) { id.withText { bulk($0) } }

    /// ID and fields of an entry.
    /// - Parameter more: elements that the caller adds.
    func entry(_ entry: StreamEntry, more: Int = 0) {
        array(2 + more)
        bulk(entry.id)
        array(entry.fieldCount * 2)
        entry.forEachField { field, value in
            HashCommands.reply(field, self)
            HashCommands.reply(value, self)
        }
    }

    /// The entries between two IDs; how many.
    /// - Parameter count: at most so many; 0: all.
    @discardableResult
    func entries(_ stream: StreamValue, from start: StreamID, through end: StreamID, reversed: Bool = false,
                 count: Int) -> Int {
        let mark = beginDeferred()
        var replied = 0
        stream.forEachEntry(from: start, through: end, reversed: reversed) {
            entry($0)
            replied += 1
            return replied != count
        }
        endArray(mark, replied)
        return replied
    }
}
