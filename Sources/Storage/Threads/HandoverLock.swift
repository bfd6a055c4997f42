import CShims
import Primitives
#if canImport(Glibc)
import Glibc
#endif

/// A mutex with two conditions, for the engine and a thread that works for it: held for a few instructions, never
/// during I/O.
package final class LogLock: @unchecked Sendable {
    // @unchecked: pthread objects are made to be shared; they never move.
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let work: UnsafeMutablePointer<pthread_cond_t>
    private let done: UnsafeMutablePointer<pthread_cond_t>

    package init() {
        mutex = .allocate(capacity: 1)
        work = .allocate(capacity: 1)
        done = .allocate(capacity: 1)
        var status = pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        status |= pthread_cond_init(work, &attributes)
        status |= pthread_cond_init(done, &attributes)
        pthread_condattr_destroy(&attributes)
        precondition(status == 0)
    }

    deinit {
        pthread_cond_destroy(work)
        pthread_cond_destroy(done)
        pthread_mutex_destroy(mutex)
        work.deallocate()
        done.deallocate()
        mutex.deallocate()
    }

    @inline(__always) package func lock() { pthread_mutex_lock(mutex) }
    @inline(__always) package func unlock() { pthread_mutex_unlock(mutex) }

    /// For the working thread: there may be work. Lock held by the caller.
    @inline(__always) package func signalWork() { pthread_cond_signal(work) }
    /// For whoever waits in `waitForDone`. Lock held by the caller.
    @inline(__always) package func signalDone() { pthread_cond_broadcast(done) }

    /// Lets the lock go until there may be work or `deadline` is past; it may also return for no reason.
    package func waitForWork(until deadline: MonotonicNanoseconds?) {
        guard let deadline else { pthread_cond_wait(work, mutex); return }
        var time = timespec(tv_sec: Int(deadline.rawValue / 1_000_000_000),
                            tv_nsec: Int(deadline.rawValue % 1_000_000_000))
        pthread_cond_timedwait(work, mutex, &time)
    }

    package func waitForDone() { pthread_cond_wait(done, mutex) }
}

/// A thread that runs one function, with every signal blocked. Joined, or let go: then what it took goes with it.
package final class LogThread: @unchecked Sendable {
    // @unchecked: the body runs once, on the thread; the handle is the owner's, and at last of whoever lets it go.
    private var handle = pthread_t()
    private var isJoinable = false
    private let body: @Sendable () -> Void
    private let name: String

    package init(_ name: String, _ body: @escaping @Sendable () -> Void) {
        self.name = name
        self.body = body
    }

    deinit { if isJoinable { pthread_detach(handle) } }

    /// - Throws: errno when the system gives no thread.
    package func start() throws(StorageError) {
        var all = sigset_t(), before = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_SETMASK, &all, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        let retained = Unmanaged.passRetained(self)
        sr_move_freely()
        let status = pthread_create(&handle, nil, { argument in
            guard let argument else { return nil }
            let thread = Unmanaged<LogThread>.fromOpaque(argument).takeRetainedValue()
            sr_set_thread_name(thread.name)
            _ = sr_run_as(sr_runs_background)
            thread.body()
            return nil
        }, retained.toOpaque())
        if status != 0 {
            retained.release()
            throw StorageError(.create, "thread \(name)", errno: status)
        }
        isJoinable = true
    }

    package func join() {
        pthread_join(handle, nil)
        isJoinable = false
    }
}
