import Encodings
import Keyspace
import Primitives
import RESP

// Counting instead of listing: SUNIONCARD and SDIFFCARD. (SINTERCARD is with SINTER.)

extension SetCommands {
    static let cardinalities: [Command] = [
        Command("sunioncard", arity: -3, [.readonly, .movablekeys], [.read, .set, .slow],
                keys: "idx:1>num:0/1/1{RO,access}", group: .set, since: "8.10.0", complexity: "O(N)",
                summary: "Counts the members of the union of sets, up to a limit or about.",
                arguments: "numkeys:integer key:key#0* approx:pure-token@APPROX? limit:integer@LIMIT?",
                .data(sunioncard)),
        Command("sdiffcard", arity: -3, [.readonly, .movablekeys], [.read, .set, .slow],
                keys: "idx:1>num:0/1/1{RO,access}", group: .set, since: "8.10.0", complexity: "O(N)",
                summary: "Counts the members of a set that no other set has, up to a limit.",
                arguments: "numkeys:integer key:key#0* limit:integer@LIMIT?", .data(sdiffcard)),
    ]

    /// `numkeys key … [APPROX] [LIMIT n]`.
    struct CardinalityArguments {
        let keys: Range<Int>
        /// 0: none.
        var limit = 0
        var isApproximate = false

        init(_ call: Call, mayApproximate: Bool = false) throws(CommandError) {
            keys = try call.numberedKeys(1, tooMany: .text("ERR Number of keys can't be greater than number of args"))
            var index = keys.upperBound
            while index < call.count {
                if mayApproximate && call.isWord(index, "APPROX") {
                    isApproximate = true
                    index += 1
                    continue
                }
                guard call.isWord(index, "LIMIT"), index + 1 < call.count else { throw .syntax }
                guard let value = Decimal.parseInt64(call[index + 1]), value >= 0 else {
                    throw .text("ERR LIMIT can't be negative")
                }
                limit = Int(value)
                index += 2
            }
        }
    }

    static func sunioncard(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let arguments = try CardinalityArguments(call, mayApproximate: true)
        let sets = try sets(&keyspace, call, arguments.keys).compactMap { $0 }
        let limit = arguments.limit == 0 ? Int.max : arguments.limit
        let count = sets.count < 2 ? sets.first?.count ?? 0
            : arguments.isApproximate ? estimate(sets) : count(sets, limit, keyspace)
        call.reply.integer(min(count, limit))
    }

    private static func count(_ sets: [SetValue], _ limit: Int, _ keyspace: borrowing Keyspace) -> Int {
        if let large = sets.first(where: { $0.count >= limit }) { return large.count }
        var union = SetValue.createTable(keyspace.context)
        for set in sets where union.count < limit {
            set.forEach {
                _ = union.add($0, keyspace)
                return union.count < limit
            }
        }
        let count = union.count
        union.destroy()
        return count
    }

    /// By a HyperLogLog's registers: within about 0.81 %.
    private static func estimate(_ sets: [SetValue]) -> Int {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: HyperLogLog.registerCount) { registers in
            registers.initialize(repeating: 0)
            for set in sets {
                set.forEach { member in
                    let place = HyperLogLog.place(of: member)
                    registers[place.register] = max(registers[place.register], place.value)
                    return true
                }
            }
            return Int(HyperLogLog.cardinality(registers: registers.baseAddress.unsafelyUnwrapped))
        }
    }

    static func sdiffcard(_ keyspace: inout Keyspace, _ call: inout Call) throws(CommandError) {
        let arguments = try CardinalityArguments(call)
        let sets = try sets(&keyspace, call, arguments.keys)
        guard let first = sets[0] else { call.reply.integer(0); return }
        let others = sets.dropFirst().compactMap { $0 }.sorted { $0.count > $1.count }
        var count = 0
        first.forEach { member in
            if !others.contains(where: { $0.contains(member) }) { count += 1 }
            return arguments.limit == 0 || count < arguments.limit
        }
        call.reply.integer(count)
    }
}
