import Primitives

/// Moments at which something took longer than `latency-monitor-threshold`, by kind of event.
package final class LatencyMonitor {
    package struct Sample {
        package var second: Int64
        package var milliseconds: Int64
    }
    package struct Event {
        /// Oldest first; at most one a second.
        package var samples: [Sample] = []
        /// Of all time, in milliseconds.
        package var maximum: Int64 = 0
    }

    private static let keptSamples = 160

    /// In milliseconds; 0: nothing is noted.
    package var threshold: Int64 = 0
    package private(set) var events: [String: Event] = [:]

    init() {}

    /// Whether it is worth to read a clock.
    package var isOn: Bool { threshold > 0 }

    /// Notes `name` if it took too long.
    package func add(_ name: String, milliseconds: Int64, at time: UnixMilliseconds) {
        guard threshold > 0, milliseconds >= threshold else { return }
        var event = events[name] ?? Event()
        event.maximum = max(event.maximum, milliseconds)
        if let last = event.samples.last, last.second == time.seconds {
            event.samples[event.samples.count - 1].milliseconds = max(last.milliseconds, milliseconds)
        } else {
            event.samples.append(Sample(second: time.seconds, milliseconds: milliseconds))
            if event.samples.count > Self.keptSamples { event.samples.removeFirst() }
        }
        events[name] = event
    }

    /// Forgets one event; false if there was none.
    package func reset(_ name: String) -> Bool { events.removeValue(forKey: name) != nil }

    /// Forgets all; returns how many there were.
    package func resetAll() -> Int {
        defer { events = [:] }
        return events.count
    }
}
