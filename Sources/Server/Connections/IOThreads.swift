import CShims
import CTLS
import Glibc
import Primitives
import RESP
import Synchronization

// `io-threads`: threads that read from and write to sockets while the engine waits for them (fork and join).
//
//     engine:   list of jobs → open → takes jobs itself … → all done → goes on alone
//     workers:  wait → take jobs, one after another → wait
//
// A job is one system call (or its like on a TLS stream) with addresses, and afterwards its outcome, with the places of
// the requests in what was read. Everything else, which connection it belongs to, what it means, what is executed, is
// the engine's, in the order that it would have without threads (IORounds.swift). So threads change who makes a system
// call, and nothing else.
//
// Invariants
//  1. Between `run` and its return the engine touches nothing but the jobs; outside of it workers touch nothing but
//     `claims` and their own `Worker`. So at a fork, no worker is within an allocator or OpenSSL.
//  2. `claims` counts down from the number of jobs: who takes it from n > 0 owns job n − 1, everybody else nothing. A
//     worker that comes too late finds 0 or less, whatever round it was woken for.
//  3. `run` returns when `completed` equals the number of jobs. Taking a job acquires what the engine wrote before it
//     opened the list; the engine's last look at `completed` acquires what all workers wrote.
//  4. A job's buffer and stream are in no other job of the list.
//  5. Reads and writes have a list each: the log's progress is told by an event, so replies are written while the
//     outcomes of reads lie there.

/// What is to be done with one socket, and what came of it.
struct SocketJob {
    enum Kind { case read, write }
    var kind = Kind.read
    var descriptor: Int32 = -1
    /// nil: the bytes are as they are.
    var stream: OpaquePointer?
    var bytes: UnsafeMutableRawPointer
    /// How many, or room for how many.
    var count = 0
    /// A read: what comes begins with a request; `batch` is to hold the requests in it.
    var parses = false
    let batch: UnsafeMutablePointer<RequestBatch>
    /// As read(2) and send(2) return it; of a stream, as the functions of CTLS do.
    var outcome = 0
    /// errno, if `outcome` is negative.
    var code: Int32 = 0

    mutating func perform() {
        switch (kind, stream) {
        case (.read, nil): outcome = read(descriptor, bytes, count)
        case (.write, nil): outcome = send(descriptor, bytes, count, Int32(MSG_NOSIGNAL))
        case (.read, let stream?): outcome = sr_tls_read(stream, bytes, count)
        case (.write, let stream?): outcome = sr_tls_write(stream, bytes, count)
        }
        code = outcome < 0 ? errno : 0
        if parses && outcome > 0 { batch.pointee.fill(Bytes(start: bytes, count: outcome), from: 0) }
    }
}

final class IOThreads: @unchecked Sendable {
    /// Of one list.
    static let capacity = 64

    let reads: UnsafeMutablePointer<SocketJob>
    let writes: UnsafeMutablePointer<SocketJob>
    /// Which of them is open.
    private var list: UnsafeMutablePointer<SocketJob>
    private let batches: UnsafeMutablePointer<RequestBatch>
    /// Where jobs that read may put their bytes: `Connection.sharedReadBytes` for each.
    private let buffers: UnsafeMutableRawPointer
    /// Events of the round whose sockets are read already, and whose turn is yet to come.
    var undelivered: UnsafeMutableBufferPointer<epoll_event>?

    private let workers: [Worker]
    private let claims = Atomic<Int>(0)
    private let completed = Atomic<Int>(0)
    private let isEnding = Atomic<Bool>(false)

    /// Looks for work this often before it sleeps; each look gives the processor away.
    private static let looks = 50

    /// One thread's bed.
    private final class Worker: @unchecked Sendable {
        let bell: UnsafeMutablePointer<sem_t>
        /// Whoever makes it false owes the other side nothing (the worker itself) or a ring (the engine).
        let isAsleep = Atomic<Bool>(false)

        init() {
            bell = .allocate(capacity: 1)
            sem_init(bell, 0, 0)
        }

        deinit {
            sem_destroy(bell)
            bell.deallocate()
        }

        func ring() {
            if isAsleep.exchange(false, ordering: .sequentiallyConsistent) { sem_post(bell) }
        }

        func wait() { while sem_wait(bell) != 0 {} }
    }

    /// - Parameter count: of all threads, the engine's own among them; more than 1.
    init(count: Int) {
        buffers = .allocate(byteCount: Self.capacity * Connection.sharedReadBytes, alignment: 64)
        reads = .allocate(capacity: Self.capacity)
        writes = .allocate(capacity: Self.capacity)
        batches = .allocate(capacity: Self.capacity)
        for index in 0..<Self.capacity {
            (batches + index).initialize(to: RequestBatch())
            for list in [reads, writes] {
                (list + index).initialize(to: SocketJob(bytes: buffers, batch: batches + index))
            }
        }
        list = reads
        workers = (1..<count).map { _ in Worker() }
    }

    deinit {
        for index in 0..<Self.capacity { batches[index].deallocate() }
        batches.deallocate()
        reads.deallocate()
        writes.deallocate()
        buffers.deallocate()
    }

    /// The threads live from here to `stop`, and keep this object.
    func start() {
        for index in workers.indices {
            let start = Unmanaged.passRetained(WorkerStart(threads: self, index: index))
            var handle = pthread_t()
            sr_move_freely()
            let status = pthread_create(&handle, nil, { argument in
                guard let argument else { return nil }
                let start = Unmanaged<WorkerStart>.fromOpaque(argument).takeRetainedValue()
                sr_set_thread_name("io_thd_\(start.index + 1)")
                start.threads.work(start.threads.workers[start.index])
                return nil
            }, start.toOpaque())
            // Without its threads the engine does the work alone.
            if status == 0 { pthread_detach(handle) } else { start.release() }
        }
    }

    func stop() {
        isEnding.store(true, ordering: .sequentiallyConsistent)
        for worker in workers { worker.ring() }
    }

    func buffer(_ index: Int) -> UnsafeMutableRawPointer { buffers + index * Connection.sharedReadBytes }

    /// With the engine's.
    var count: Int { workers.count + 1 }

    /// Does the first `count` jobs of a list. The engine's thread alone.
    func run(_ jobs: UnsafeMutablePointer<SocketJob>, _ count: Int) {
        list = jobs
        completed.store(0, ordering: .relaxed)
        claims.store(count, ordering: .sequentiallyConsistent)
        for worker in workers.prefix(count - 1) { worker.ring() }
        takeJobs()
        var looks = 0
        while completed.load(ordering: .acquiring) < count {
            looks += 1
            if looks > 100 { sched_yield() }
        }
    }

    private func takeJobs() {
        while true {
            let left = claims.subtract(1, ordering: .acquiringAndReleasing).oldValue
            if left <= 0 { return }
            list[left - 1].perform()
            completed.add(1, ordering: .releasing)
        }
    }

    private func work(_ worker: Worker) {
        while !isEnding.load(ordering: .relaxed) {
            var looks = 0
            while claims.load(ordering: .relaxed) <= 0 && looks < Self.looks {
                sched_yield()
                looks += 1
            }
            if claims.load(ordering: .relaxed) > 0 { takeJobs() } else { sleep(worker) }
        }
    }

    /// The engine opens the list and then looks who is asleep; a worker lies down and then looks at the list: one of
    /// them sees the other.
    private func sleep(_ worker: Worker) {
        worker.isAsleep.store(true, ordering: .sequentiallyConsistent)
        let isWanted = claims.load(ordering: .sequentiallyConsistent) > 0
            || isEnding.load(ordering: .sequentiallyConsistent)
        if isWanted && worker.isAsleep.exchange(false, ordering: .sequentiallyConsistent) { return }
        worker.wait()
    }
}

private final class WorkerStart: Sendable {
    let threads: IOThreads
    let index: Int
    init(threads: IOThreads, index: Int) {
        self.threads = threads
        self.index = index
    }
}
