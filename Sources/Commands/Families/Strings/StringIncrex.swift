import Keyspace
import Primitives
import RESP

// INCREX: a counter with bounds and an expire, in one step.
//
//     INCREX key [BYINT n|BYFLOAT x] [LBOUND x] [UBOUND x] [SATURATE] [EX …|PX …|EXAT …|PXAT …|PERSIST] [ENX]
//     replies the value and what was added; beyond a bound: the value as it was and 0, and nothing is changed, or
//     with SATURATE the bound. The log gets the outcome as a SET.

/// The numbers of one INCREX, all integers or all long doubles.
private struct Counter<Number: Comparable> {
    var amount: Number
    var lower: Number
    var upper: Number
}

private struct IncrexOptions {
    var isFloat = false
    var amountIndex: Int?
    var lowerIndex: Int?
    var upperIndex: Int?
    var saturates = false
    var persists = false
    var onlyWithoutExpire = false
    var unit: TimeUnit?
    var timeIndex = 0

    init(_ call: Call) throws(CommandError) {
        var index = 2
        while index < call.count {
            let isExpireFree = unit == nil && !persists
            if call.isWord(index, "SATURATE") && !saturates {
                saturates = true
            } else if call.isWord(index, "ENX") && !onlyWithoutExpire {
                onlyWithoutExpire = true
            } else if call.isWord(index, "PERSIST") && isExpireFree {
                persists = true
            } else if index + 1 < call.count {
                try takeValue(call, index, isExpireFree)
                index += 1
            } else {
                throw .syntax
            }
            index += 1
        }
        if onlyWithoutExpire && unit == nil { throw .text("ERR ENX flag requires an expiration") }
    }

    private mutating func takeValue(_ call: Call, _ index: Int, _ isExpireFree: Bool) throws(CommandError) {
        let value = index + 1
        if amountIndex == nil && (call.isWord(index, "BYINT") || call.isWord(index, "BYFLOAT")) {
            isFloat = call.isWord(index, "BYFLOAT")
            amountIndex = value
        } else if lowerIndex == nil && call.isWord(index, "LBOUND") {
            lowerIndex = value
        } else if upperIndex == nil && call.isWord(index, "UBOUND") {
            upperIndex = value
        } else if isExpireFree, let given = TimeUnit(call, index) {
            unit = given
            timeIndex = value
        } else {
            throw .syntax
        }
    }

    func integers(_ call: Call) throws(CommandError) -> Counter<Int64> {
        var counter = Counter<Int64>(amount: 1, lower: .min, upper: .max)
        if let amountIndex {
            guard let value = Decimal.parseInt64(call[amountIndex]) else {
                throw .text("ERR Increment is not an integer or out of range")
            }
            counter.amount = value
        }
        if let lowerIndex {
            guard let value = Decimal.parseInt64(call[lowerIndex]) else {
                throw .text("ERR LBOUND is not an integer or out of range")
            }
            counter.lower = value
        }
        if let upperIndex {
            guard let value = Decimal.parseInt64(call[upperIndex]) else {
                throw .text("ERR UBOUND is not an integer or out of range")
            }
            counter.upper = value
        }
        if counter.lower > counter.upper { throw .text("ERR LBOUND can't be greater than UBOUND") }
        return counter
    }

    func floats(_ call: Call) throws(CommandError) -> Counter<LongDouble> {
        let greatest = LongDouble.greatestFiniteMagnitude
        var counter = Counter<LongDouble>(amount: 1, lower: -greatest, upper: greatest)
        if let amountIndex {
            guard let value = LongDoubleText.parse(call[amountIndex]) else { throw .notFloat }
            if value.isInfinite { throw .text("ERR BYFLOAT increment cannot be Infinity") }
            counter.amount = value
        }
        if let lowerIndex {
            guard let value = LongDoubleText.parse(call[lowerIndex]) else {
                throw .text("ERR LBOUND is not a valid float")
            }
            counter.lower = max(value, -greatest)
        }
        if let upperIndex {
            guard let value = LongDoubleText.parse(call[upperIndex]) else {
                throw .text("ERR UBOUND is not a valid float")
            }
            counter.upper = min(value, greatest)
        }
        if counter.lower > counter.upper { throw .text("ERR LBOUND can't be greater than UBOUND") }
        return counter
    }
}

extension StringCommands {
    static let increxDeclaration = Command(
        "increx", arity: -2, [.write, .denyoom, .fast], [.write, .string, .fast],
        keys: "idx:1>rng:0/1/0{RW,access,update}", group: .string, since: "8.8.0", complexity: "O(1)",
        summary: "Adds to the number at a key within bounds, and sets the key's expire.", arguments: """
            key:key#0 increment:oneof?(float:double@BYFLOAT integer:integer@BYINT) saturate:pure-token@SATURATE? \
            lowerbound:string@LBOUND? upperbound:string@UBOUND? expiration:oneof?(seconds:integer@EX \
            milliseconds:integer@PX unix-time-seconds:unix-time@EXAT unix-time-milliseconds:unix-time@PXAT \
            persist:pure-token@PERSIST) enx:pure-token@ENX?
            """, propagates: .rewritten, .data(increx))

    static func increx(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let options = try IncrexOptions(call)
        if options.isFloat {
            try addFloat(&keyspace, &call, options, try options.floats(call))
        } else {
            try addInteger(&keyspace, &call, options, try options.integers(call))
        }
    }

    private static func addInteger(_ keyspace: inout Keyspace, _ call: inout Call, _ options: IncrexOptions,
                                   _ counter: Counter<Int64>) throws(CommandError) {
        let at = try expire(keyspace, call, options)
        let entry = try call.entry(&keyspace, 1, .string, .write)
        var old: Int64 = 0
        if let entry {
            guard let value = entry.encoding == .int ? entry.integer : Decimal.parseInt64(entry.stringBytes) else {
                throw .notInteger
            }
            old = value
        }
        let (sum, overflow) = old.addingReportingOverflow(counter.amount)
        var new = sum
        if overflow { new = counter.amount > 0 ? .max : .min }
        let isOutside = overflow || new < counter.lower || new > counter.upper
        if isOutside && !options.saturates {
            call.reply.array(2)
            call.reply.integer(old)
            call.reply.integer(0)
            return
        }
        new = min(max(new, counter.lower), counter.upper)
        let (added, isTooMuch) = new.subtractingReportingOverflow(old)
        if isTooMuch { throw .text("ERR applied increment would overflow") }
        call.reply.array(2)
        call.reply.integer(new)
        call.reply.integer(added)
        withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) { scratch in
            let start = scratch.baseAddress.unsafelyUnwrapped
            let text = Bytes(start: start, count: Decimal.write(new, to: start))
            put(&keyspace, call, entry, text, options, at, "incrby")
        }
    }

    private static func addFloat(_ keyspace: inout Keyspace, _ call: inout Call, _ options: IncrexOptions,
                                 _ counter: Counter<LongDouble>) throws(CommandError) {
        let at = try expire(keyspace, call, options)
        let entry = try call.entry(&keyspace, 1, .string, .write)
        var old: LongDouble = 0
        if let entry {
            let value = withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) { scratch in
                LongDoubleText.parse(entry.string(scratch.baseAddress.unsafelyUnwrapped))
            }
            guard let value else { throw .notFloat }
            if value.isInfinite { throw .text("ERR value cannot be Infinity") }
            old = value
        }
        var new = old + counter.amount
        if new < counter.lower || new > counter.upper {
            if !options.saturates {
                call.reply.array(2)
                replyFloat(old, call)
                replyFloat(0, call)
                return
            }
            new = min(max(new, counter.lower), counter.upper)
        }
        let added = new - old
        if added.isInfinite { throw .text("ERR applied increment would be Infinity") }
        call.reply.array(2)
        replyFloat(new, call)
        replyFloat(added, call)
        withUnsafeTemporaryAllocation(byteCount: LongDoubleText.maximumLength, alignment: 8) { scratch in
            let start = scratch.baseAddress.unsafelyUnwrapped
            let text = Bytes(start: start, count: LongDoubleText.write(new, to: start))
            put(&keyspace, call, entry, text, options, at, "incrbyfloat")
        }
    }

    private static func replyFloat(_ value: LongDouble, _ call: Call) {
        withUnsafeTemporaryAllocation(byteCount: LongDoubleText.maximumLength, alignment: 8) { scratch in
            let start = scratch.baseAddress.unsafelyUnwrapped
            call.reply.double(text: Bytes(start: start, count: LongDoubleText.write(value, to: start)))
        }
    }

    private static func expire(_ keyspace: borrowing Keyspace, _ call: Call, _ options: IncrexOptions)
        throws(CommandError) -> UnixMilliseconds? {
        guard let unit = options.unit else { return nil }
        return try call.positiveTime(options.timeIndex, unit, keyspace.now)
    }

    private static func put(_ keyspace: inout Keyspace, _ call: Call, _ entry: Entry?, _ text: Bytes,
                            _ options: IncrexOptions, _ at: UnixMilliseconds?, _ event: StaticString) {
        let hadExpire = entry?.hasExpire == true
        var change = ExpireChange.keep
        if options.persists { change = .none }
        if let at, !(options.onlyWithoutExpire && hadExpire) { change = .at(at) }
        store(&keyspace, call, text, change)
        call.modified(call[1], .string, event)
        switch change {
        case .keep: break
        case .at: call.announce(call[1], .generic, "expire")
        case .none: if hadExpire { call.announce(call[1], .generic, "persist") }
        }
    }
}
