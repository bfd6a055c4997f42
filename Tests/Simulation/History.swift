import Primitives

// What the data was after each change, and how much of it the next start must find.
//
// A crash may take the data back to an earlier state, but to one that was, and never behind
//     a kill           what any client was told
//     a power loss     what clients were told when it was promised to be durable, and what the log said was durable

package struct History {
    /// Signatures of the data: first as the simulation found it, then after each change.
    private var states: [String]
    /// Where the log ended with each state.
    private var ends: [UInt64]
    private var neededAfterKill = 0
    private var neededAfterPowerLoss = 0

    package init(_ state: String) {
        states = [state]
        ends = [0]
    }

    /// The number of the latest state.
    package var latest: Int { states.count - 1 }
    package var latestState: String { states[latest] }

    /// Notes the data after a command.
    package mutating func note(_ state: String, logEnd: UInt64) {
        if state == states[latest] { return }
        states.append(state)
        ends.append(logEnd)
    }

    /// Somebody was told of state `number`.
    package mutating func told(_ number: Int, isDurable: Bool) {
        neededAfterKill = max(neededAfterKill, number)
        if isDurable { neededAfterPowerLoss = max(neededAfterPowerLoss, number) }
    }

    /// The log said that it is durable up to here.
    package mutating func logIsDurable(upTo offset: UInt64) {
        let number = ends.lastIndex { $0 <= offset } ?? 0
        neededAfterPowerLoss = max(neededAfterPowerLoss, number)
    }

    /// All that is known is promised.
    package mutating func promiseEverything() { told(latest, isDurable: true) }

    /// What is wrong with the data that a start found; nil: nothing.
    package func complaint(about found: String, afterPowerLoss: Bool) -> String? {
        let needed = afterPowerLoss ? neededAfterPowerLoss : max(neededAfterKill, neededAfterPowerLoss)
        if states[needed...].contains(found) { return nil }
        if let number = states.lastIndex(of: found) {
            return "the data is that of change \(number), but change \(needed) was promised (\(latest) were made)"
        }
        return "the data is none that ever was (\(latest) changes were made, \(needed) promised)"
    }

    /// A start found `state`: the changes after it are gone.
    package mutating func restart(at state: String) {
        let number = states.lastIndex(of: state) ?? latest
        states = Array(states[...number])
        ends = Array(repeating: 0, count: states.count)
        neededAfterKill = min(neededAfterKill, number)
        neededAfterPowerLoss = min(neededAfterPowerLoss, number)
    }
}
