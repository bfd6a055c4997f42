import Primitives

/// The rate of something counted, as the mean of the last samples.
struct Rate {
    private var lastCount = 0
    private var lastTime: Int64 = 0
    private var samples: [Double] = []
    private var next = 0

    /// - Parameter time: monotonic nanoseconds.
    mutating func sample(_ count: Int, at time: Int64) {
        defer { (lastCount, lastTime) = (count, time) }
        guard lastTime > 0, time > lastTime else { return }
        let rate = Double(max(0, count - lastCount)) * 1e9 / Double(time - lastTime)
        if samples.count < 16 { samples.append(rate) } else { samples[next] = rate }
        next = (next + 1) % 16
    }

    mutating func reset() {
        samples = []
        next = 0
        lastTime = 0
    }

    /// A second.
    var perSecond: Double { samples.isEmpty ? 0 : samples.reduce(0, +) / Double(samples.count) }
}

/// What is sampled ten times a second.
struct Rates {
    var commands = Rate()
    var input = Rate()
    var output = Rate()
    var cycles = Rate()
    var cycleNanoseconds = Rate()

    mutating func reset() {
        commands.reset()
        input.reset()
        output.reset()
        cycles.reset()
        cycleNanoseconds.reset()
    }
}

/// The largest buffers of clients, in bytes, second by second for the last eight.
struct LargestBuffers {
    typealias Sizes = (input: Int, output: Int)
    private var seconds: [Sizes] = []
    private var next = 0

    mutating func note(_ sizes: Sizes) {
        if seconds.count < 8 { seconds.append(sizes) } else { seconds[next] = sizes }
        next = (next + 1) % 8
    }

    /// With those of now.
    func with(_ now: Sizes) -> Sizes {
        seconds.reduce(now) { (max($0.input, $1.input), max($0.output, $1.output)) }
    }
}

/// Rounds of the event loop.
struct LoopStatistics {
    var logNanoseconds = 0
    var cronNanoseconds = 0
    var cycles = 0
    var nanoseconds = 0
    var longest = 0
    var commandsAtBegin = 0
    var mostCommands = 0
    /// Monotonic nanoseconds.
    var began: Int64 = 0
}
