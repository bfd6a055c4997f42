import Foundation
import Storage
import Synchronization
import Testing

@Suite struct WorkerThreadTests {
    private final class Count: Sendable {
        let value = Atomic<Int>(0)
    }

    /// The pages that guard stacks, of all threads that live or were not let go.
    private func guardPages() throws -> Int {
        try String(contentsOfFile: "/proc/self/maps", encoding: .utf8).split(separator: "\n").count {
            guard $0.contains(" ---p "), let range = $0.split(separator: " ").first else { return false }
            let ends = range.split(separator: "-").compactMap { UInt64($0, radix: 16) }
            return ends.count == 2 && ends[1] - ends[0] == UInt64(getpagesize())
        }
    }

    @Test func aThreadThatNobodyJoinsLeavesNoStackBehind() throws {
        let before = try guardPages(), ran = Count()
        for number in 1...400 {
            let thread = WorkerThread("short") { ran.value.add(1, ordering: .relaxed) }
            try thread.start()
            while ran.value.load(ordering: .relaxed) < number { usleep(50) }
        }
        let deadline = Date.now + 30
        // The last ones are on their way out.
        while try guardPages() > before + 200, Date.now < deadline { usleep(1000) }
        #expect(try guardPages() <= before + 200)
    }
}
