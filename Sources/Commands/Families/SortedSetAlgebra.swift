import Encodings
import Keyspace
import Primitives
import RESP

// ZUNION, ZINTER, ZDIFF, their STORE forms, ZINTERCARD. Operands are sorted sets, or sets whose members all score 1.

extension SortedSetCommands {
    private enum Operation { case union, intersection, difference }
    /// `count`: as if every score were 1, added up.
    private enum Aggregate { case sum, minimum, maximum, count }

    private enum Operand {
        case none, set(SetValue), sortedSet(SortedSetValue)

        var count: Int {
            switch self {
            case .none: 0
            case .set(let set): set.count
            case .sortedSet(let set): set.count
            }
        }

        func score(of member: Bytes) -> Double? {
            switch self {
            case .none: nil
            case .set(let set): set.contains(member) ? 1 : nil
            case .sortedSet(let set): set.score(of: member)
            }
        }

        func forEach(_ visit: (Bytes, Double) -> Bool) {
            switch self {
            case .none: break
            case .set(let set): set.forEach { visit($0, 1) }
            case .sortedSet(let set):
                withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) { buffer in
                    let scratch = buffer.baseAddress.unsafelyUnwrapped
                    set.forEach { visit($0.text(scratch), $1) }
                }
            }
        }
    }

    private struct Plan {
        var operands: [Operand] = []
        var weights: [Double] = []
        var aggregate = Aggregate.sum
        var withScores = false
        var limit = 0
    }

    private static func operand(_ keyspace: inout Keyspace, _ call: Call, _ index: Int) throws(CommandError)
        -> Operand {
        guard let entry = keyspace.find(call[index], in: call.database, .read) else { return .none }
        switch entry.type {
        case .set: return .set(SetValue(entry))
        case .sortedSet: return .sortedSet(SortedSetValue(entry))
        case .string, .list, .hash, .module, .stream: throw .wrongType
        }
    }

    /// Parses `numkeys key … [WEIGHTS w …] [AGGREGATE …] [WITHSCORES] [LIMIT n]` from `first` on.
    private static func parse(_ keyspace: inout Keyspace, _ call: Call, _ first: Int, _ operation: Operation,
                              stores: Bool, countsOnly: Bool = false) throws(CommandError) -> Plan {
        _ = try call.integer(first, in: Int64(Int32.min)...Int64(Int32.max))
        let name = call.command.pointee.name
        let noKeys = CommandError.message("ERR at least 1 input key is needed for '\(name)' command")
        let keys = try call.numberedKeys(first, tooFew: noKeys, tooMany: .syntax)
        var plan = Plan()
        for index in keys { plan.operands.append(try operand(&keyspace, call, index)) }
        plan.weights = Array(repeating: 1, count: plan.operands.count)
        var index = keys.upperBound
        while index < call.count {
            let left = call.count - index - 1
            if !countsOnly, operation != .difference, left >= plan.weights.count, call.isWord(index, "WEIGHTS") {
                for place in plan.weights.indices {
                    guard let weight = DoubleText.parse(call[index + 1 + place]) else {
                        throw .text("ERR weight value is not a float")
                    }
                    plan.weights[place] = weight
                }
                index += 1 + plan.weights.count
            } else if !countsOnly, operation != .difference, left >= 1, call.isWord(index, "AGGREGATE") {
                plan.aggregate = try aggregate(call, index + 1)
                index += 2
            } else if !countsOnly, !stores, call.isWord(index, "WITHSCORES") {
                plan.withScores = true
                index += 1
            } else if countsOnly, left >= 1, call.isWord(index, "LIMIT") {
                guard let limit = Decimal.parseInt64(call[index + 1]), limit >= 0 else {
                    throw .text("ERR LIMIT can't be negative")
                }
                plan.limit = Int(limit)
                index += 2
            } else {
                throw .syntax
            }
        }
        return plan
    }

    private static func aggregate(_ call: Call, _ index: Int) throws(CommandError) -> Aggregate {
        if call.isWord(index, "SUM") { return .sum }
        if call.isWord(index, "MIN") { return .minimum }
        if call.isWord(index, "MAX") { return .maximum }
        if call.isWord(index, "COUNT") { return .count }
        throw .syntax
    }

    /// What a score of the operand at `place` counts.
    private static func weighted(_ score: Double, _ place: Int, _ plan: Plan) -> Double {
        weighted(score, by: plan.weights[place], plan.aggregate)
    }

    @inline(__always)
    private static func weighted(_ score: Double, by weight: Double, _ aggregate: Aggregate) -> Double {
        if aggregate == .count { return weight }
        let product = score * weight
        return product.isNaN ? 0 : product
    }

    private static func aggregate(_ a: Double, _ b: Double, _ how: Aggregate) -> Double {
        switch how {
        case .sum, .count:
            // inf + −inf counts as 0.
            let sum = a + b
            return sum.isNaN ? 0 : sum
        // On a tie (0 and −0 are one) the score that came first stays.
        case .minimum: return b < a ? b : a
        case .maximum: return b > a ? b : a
        }
    }

    // MARK: Computing

    /// The operands' places, the smallest first: the order in which scores are added up, which shows where an
    /// infinity meets its negative.
    private static func smallestFirst(_ plan: Plan) -> [Int] {
        plan.operands.indices.sorted { plan.operands[$0].count < plan.operands[$1].count }
    }

    /// Visits the members that all operands have; `visit` answers false to stop.
    private static func intersect(_ plan: Plan, _ visit: (Bytes, Double) -> Bool) {
        let how = plan.aggregate
        let ordered = smallestFirst(plan).map { (operand: plan.operands[$0], weight: plan.weights[$0]) }
        // Lent as a buffer: no array is retained for each member.
        ordered.withUnsafeBufferPointer { all in
            all[0].operand.forEach { member, score in
                var total = weighted(score, by: all[0].weight, how)
                for place in 1..<all.count {
                    guard let other = all[place].operand.score(of: member) else { return true }
                    // No number (0 × inf) counts as 0 in the first operand; in others it wins against nothing.
                    let weight = all[place].weight
                    total = aggregate(total, how == .count ? weight : other * weight, how)
                }
                return visit(member, total)
            }
        }
    }

    /// The result as the big form; the caller owns it.
    private static func compute(_ plan: Plan, _ operation: Operation, _ keyspace: borrowing Keyspace)
        -> SortedSetValue {
        let result = SortedSetValue.createSkiplist(keyspace.context)
        let set = result.sortedSet
        switch operation {
        case .union:
            for place in smallestFirst(plan) {
                plan.operands[place].forEach { member, score in
                    let score = weighted(score, place, plan)
                    if let node = set.find(member) {
                        set.update(node, score: aggregate(node.score, score, plan.aggregate))
                    } else {
                        set.insert(score, member)
                    }
                    return true
                }
            }
        case .intersection:
            intersect(plan) { member, score in
                set.insert(score, member)
                return true
            }
        case .difference:
            plan.operands[0].forEach { member, score in
                if !plan.operands.dropFirst().contains(where: { $0.score(of: member) != nil }) {
                    set.insert(score, member)
                }
                return true
            }
        }
        return result
    }

    private static func reply(_ keyspace: inout Keyspace, _ call: inout Call, _ operation: Operation)
        throws(CommandError) {
        let plan = try parse(&keyspace, call, 1, operation, stores: false)
        let result = compute(plan, operation, keyspace)
        beginPairs(result.count, plan.withScores, call.reply)
        let writer = call.reply
        result.forEach { member, score in
            replyPair(member, score, plan.withScores, writer)
            return true
        }
        result.destroy()
    }

    private static func store(_ keyspace: inout Keyspace, _ call: inout Call, _ operation: Operation,
                              _ event: StaticString) throws(CommandError) {
        let plan = try parse(&keyspace, call, 2, operation, stores: true)
        var result = compute(plan, operation, keyspace)
        result.convertToListpackIfFitting(keyspace)
        storeResult(&keyspace, &call, result, event, isRecorded: plan.aggregate == .count)
    }

    static func zunion(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try reply(&keyspace, &call, .union)
    }
    static func zinter(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try reply(&keyspace, &call, .intersection)
    }
    static func zdiff(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try reply(&keyspace, &call, .difference)
    }
    static func zunionstore(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try store(&keyspace, &call, .union, "zunionstore")
    }
    static func zinterstore(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try store(&keyspace, &call, .intersection, "zinterstore")
    }
    static func zdiffstore(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        try store(&keyspace, &call, .difference, "zdiffstore")
    }

    static func zintercard(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let plan = try parse(&keyspace, call, 1, .intersection, stores: false, countsOnly: true)
        var count = 0
        intersect(plan) { _, _ in
            count += 1
            return plan.limit == 0 || count < plan.limit
        }
        call.reply.integer(count)
    }
}
