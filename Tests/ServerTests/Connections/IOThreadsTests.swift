import Glibc
import Testing
@testable import Server

@Suite struct IOThreadsTests {
    /// Lists of all lengths over pairs of sockets: each job is done once, and its outcome is its own.
    @Test(arguments: [2, 3, 8])
    func everyJobIsDoneOnceAndToldTheEngine(threadCount: Int) throws {
        let threads = IOThreads(count: threadCount)
        threads.start()
        defer { threads.stop() }
        var pairs: [(ours: Int32, theirs: Int32)] = []
        for _ in 0..<IOThreads.capacity {
            var ends: [Int32] = [0, 0]
            let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
            #expect(socketpair(AF_UNIX, kind, 0, &ends) == 0)
            pairs.append((ends[0], ends[1]))
        }
        defer { for pair in pairs { close(pair.ours); close(pair.theirs) } }
        let texts = UnsafeMutablePointer<UInt64>.allocate(capacity: IOThreads.capacity)
        defer { texts.deallocate() }
        var wrong = 0
        for round in 0..<3000 {
            let count = round % IOThreads.capacity + 1
            for index in 0..<count {
                texts[index] = UInt64(round * 1000 + index)
                threads.writes[index].kind = .write
                threads.writes[index].descriptor = pairs[index].ours
                threads.writes[index].bytes = UnsafeMutableRawPointer(texts + index)
                threads.writes[index].count = 8
                threads.reads[index].kind = .read
                threads.reads[index].descriptor = pairs[index].theirs
                threads.reads[index].bytes = threads.buffer(index)
                threads.reads[index].count = Connection.sharedReadBytes
            }
            threads.run(threads.writes, count)
            threads.run(threads.reads, count)
            for index in 0..<count {
                let isRight = threads.writes[index].outcome == 8 && threads.reads[index].outcome == 8
                    && threads.buffer(index).load(as: UInt64.self) == texts[index]
                if !isRight { wrong += 1 }
            }
            threads.run(threads.reads, count)
            for index in 0..<count
            where threads.reads[index].outcome != -1 || threads.reads[index].code != EAGAIN { wrong += 1 }
        }
        #expect(wrong == 0)
    }
}
