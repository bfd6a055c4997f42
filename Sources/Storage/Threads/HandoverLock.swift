import Primitives
#if canImport(Glibc)
import Glibc
#endif

/// A mutex with two conditions, for the engine and a thread that works for it: held for a few instructions, never
/// during I/O.
package final class HandoverLock: @unchecked Sendable {
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
