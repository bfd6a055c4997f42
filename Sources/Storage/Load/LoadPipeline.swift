import CShims
import Primitives

// Loading with all cores: a file is cut into chunks, chunks are decoded, and the engine's thread applies them.
//
//     cut       by one thread at a time, in the file's order: reads, checks checksums, finds where records end
//     decode    by whoever cut the chunk, while another cuts the next one
//     apply     by the engine's thread alone, in the file's order: what `next` gives
//
// Who does it: the engine's thread, and as many workers as there are further processors. The engine's thread cuts and
// decodes, too, when the chunk that it needs next has not been begun by anybody; without workers it does all, and the
// order of everything is that of a serial load.
//
// Invariants (lock held)
//  1. Chunks are numbered as they are cut; `taken` <= `cut` <= `taken` + `places`. Number n waits in
//     `ready[n % places]`.
//  2. Memory: a chunk is begun only while those under way hold fewer than `byteLimit` bytes, or none is under way.
//     What one chunk holds is up to its stages.
//  3. What `next` gives is a prefix of the file, chunk by chunk: what was found wrong behind it is told by the chunk
//     in which it was found, and never earlier.
//  4. Behind `end` no thread of it lives. `end` must come.

/// What a pipeline loads, and how.
package protocol LoadStages: AnyObject, Sendable {
    associatedtype Chunk: AnyObject
    /// An empty one.
    func makeChunk() -> Chunk
    /// Fills `chunk`, maybe one that was used before, with what comes next in the file; one thread at a time calls it.
    /// - Returns: false: there is nothing to be cut behind this chunk.
    func cut(_ chunk: Chunk) -> Bool
    /// Whatever can be done to a chunk without knowing those before it. Any thread.
    func decode(_ chunk: Chunk)
    /// What a chunk that was cut holds in memory.
    func byteCount(_ chunk: Chunk) -> Int
}

/// Made, used and ended by one thread.
package final class LoadPipeline<Stages: LoadStages>: @unchecked Sendable {
    // @unchecked: everything below `lock` is touched only while it is held; a chunk belongs to whoever took it.
    package enum Next {
        case chunk(Stages.Chunk)
        /// Nothing came for a while: time to look after other things.
        case nothing
        case end
    }

    private static var byteLimit: Int { 32 << 20 }
    /// Milliseconds for which `next` waits at most.
    private static var patience: Int64 { 10 }

    private let stages: Stages
    /// Asked for; there may be fewer.
    private let workers: Int
    private let places: Int
    /// The engine's.
    private var threads: [WorkerThread] = []
    /// Its "work" is the engine's (a chunk is ready), its "done" the workers' (there is room).
    private let lock = HandoverLock()
    private var spare: [Stages.Chunk] = []
    private var ready: [Stages.Chunk?]
    private var taken = 0
    private var cut = 0
    private var bytesUnderWay = 0
    private var isCutting = false
    private var isAllCut = false
    private var isCancelled = false

    /// - Parameter workers: threads beside the caller's; fewer if the system gives fewer.
    package init(_ stages: Stages, workers: Int) {
        self.stages = stages
        self.workers = workers
        places = 2 * workers + 2
        ready = Array(repeating: nil, count: places)
        Heap.beginCache()
        for _ in 0..<workers {
            let thread = WorkerThread("load") { [self] in work() }
            guard (try? thread.start()) != nil else { break }
            threads.append(thread)
        }
    }

    // MARK: The engine's side

    /// The next chunk in order; hand it to `recycle` when it is applied.
    package func next() -> Next {
        lock.lock()
        let deadline = MonotonicNanoseconds(MonotonicNanoseconds.now().rawValue + Self.patience * 1_000_000)
        while true {
            if let chunk = ready[taken % places] {
                ready[taken % places] = nil
                taken += 1
                lock.unlock()
                return .chunk(chunk)
            }
            if isAllCut && taken == cut {
                lock.unlock()
                return .end
            }
            if mayCut {
                cutAndDecode()
            } else {
                lock.waitForWork(until: deadline)
                if ready[taken % places] == nil && MonotonicNanoseconds.now() >= deadline {
                    lock.unlock()
                    return .nothing
                }
            }
        }
    }

    package func recycle(_ chunk: Stages.Chunk) {
        let bytes = stages.byteCount(chunk)
        lock.lock()
        bytesUnderWay -= bytes
        spare.append(chunk)
        // Not for each chunk: waking another processor costs more than it is late.
        if cut - taken <= places / 2 { lock.signalDone() }
        lock.unlock()
    }

    /// Stops what is under way and waits for it.
    package func end() {
        lock.lock()
        isCancelled = true
        lock.signalDone()
        lock.unlock()
        for thread in threads { thread.join() }
        threads = []
        Heap.endCache()
    }

    // MARK: Everybody's

    private var mayCut: Bool {
        !isCutting && !isAllCut && cut - taken < places && (bytesUnderWay < Self.byteLimit || bytesUnderWay == 0)
    }

    /// Called, and returns, with the lock held.
    private func cutAndDecode() {
        let number = cut
        cut += 1
        isCutting = true
        let chunk = spare.popLast()
        lock.unlock()
        let filled = chunk ?? stages.makeChunk()
        let isLast = !stages.cut(filled)
        let bytes = stages.byteCount(filled)
        lock.lock()
        isCutting = false
        isAllCut = isLast
        bytesUnderWay += bytes
        if workers > 0 { lock.signalDone() }
        lock.unlock()
        stages.decode(filled)
        lock.lock()
        ready[number % places] = filled
        if number == taken { lock.signalWork() }
    }

    private func work() {
        Heap.beginCache()
        lock.lock()
        while !isCancelled && !isAllCut {
            if mayCut { cutAndDecode() } else { lock.waitForDone() }
        }
        lock.unlock()
        Heap.endCache()
    }
}

/// How a file is loaded. Tests change it: what comes of a load does not depend on it.
package struct LoadPlan: Sendable {
    /// Files below this are loaded by one thread: starting others takes longer.
    private static let worthwhileBytes = 2 << 20

    /// Threads beside the caller's; nil: as many as there are processors for this process besides the caller's, 7 at
    /// most, and none for what is loaded in a moment.
    package var workers: Int?
    /// Commands of a log in a chunk, at most.
    package var chunkCommands = 4096
    /// Bytes of a dump in a chunk; the key that reaches them is the chunk's last.
    package var chunkBytes = 1 << 17
    /// Bytes of a log's file that are read at once, at most.
    package var readBytes = Int.max

    package init() {}

    /// - Parameter bytes: of the file; nil: unknown.
    package func workers(forBytes bytes: Int?) -> Int {
        if let workers { return workers }
        if let bytes, bytes < Self.worthwhileBytes { return 0 }
        return min(Int(sr_processor_count()) - 1, 7)
    }
}
