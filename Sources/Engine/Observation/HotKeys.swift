import Commands
import Keyspace
import Primitives
import RESP

// Which keys cost most: HOTKEYS. While a session runs, commands are sampled, and the time and the bytes of each are
// booked to its keys, in equal parts.
//
// Memory is bounded: of more keys than `capacity` the cheaper half is forgotten. A key that is forgotten and comes
// again begins at nothing, so counts of keys that are not hot may be too low.

package final class HotKeys {
    package struct Cost {
        package var nanoseconds: UInt64 = 0
        package var bytes = 0
    }

    package struct Settings {
        package var countsTime = false
        package var countsBytes = false
        /// How many keys are shown.
        package var count = 10
        /// Ends by itself; nil: when it is told to.
        package var seconds: Int64?
        /// One command in so many is looked at.
        package var ratio: Int64 = 1
        package init() {}
    }

    package let settings: Settings
    package let start: UnixMilliseconds
    package private(set) var end: UnixMilliseconds?
    /// Of all commands, sampled or not.
    package private(set) var total = Cost()
    private var costs: [[UInt8]: Cost] = [:]
    private var untilSample: Int64 = 0
    private static let capacity = 8192

    package init(_ settings: Settings, at start: UnixMilliseconds) {
        self.settings = settings
        self.start = start
    }

    package var isActive: Bool { end == nil }

    package func stop(at time: UnixMilliseconds) { end = end ?? time }

    /// Ends the session if its time is over.
    package func checkEnd(_ now: UnixMilliseconds) {
        guard let seconds = settings.seconds, now.rawValue - start.rawValue >= seconds * 1000 else { return }
        stop(at: UnixMilliseconds(start.rawValue + seconds * 1000))
    }

    func note(_ command: UnsafePointer<Command>, _ arguments: Arguments, _ cost: Cost) {
        total.nanoseconds &+= cost.nanoseconds
        total.bytes &+= cost.bytes
        if untilSample > 0 {
            untilSample -= 1
            return
        }
        untilSample = settings.ratio - 1
        guard command.pointee.keys.utf8CodeUnitCount > 0, let keys = KeyPositions.find(command, arguments),
              !keys.isEmpty else { return }
        for key in keys {
            let bytes = Array(arguments[key.index])
            if costs.count >= Self.capacity && costs[bytes] == nil { forgetCheap() }
            costs[bytes, default: Cost()].nanoseconds &+= cost.nanoseconds / UInt64(keys.count)
            costs[bytes, default: Cost()].bytes &+= cost.bytes / keys.count
        }
    }

    private func forgetCheap() {
        let kept = Set(top(\.nanoseconds, Self.capacity / 4).map(\.key) + top(\.bytes, Self.capacity / 4).map(\.key))
        costs = costs.filter { kept.contains($0.key) }
    }

    /// The most expensive keys, first the one that costs most; none that cost nothing.
    package func top<Value: BinaryInteger>(_ path: KeyPath<Cost, Value>, _ count: Int) -> [(key: [UInt8], cost: Cost)] {
        costs.filter { $0.value[keyPath: path] > 0 }
            .sorted {
                let (a, b) = ($0.value[keyPath: path], $1.value[keyPath: path])
                return a != b ? a > b : $0.key.lexicographicallyPrecedes($1.key)
            }
            .prefix(count).map { ($0.key, $0.value) }
    }
}
