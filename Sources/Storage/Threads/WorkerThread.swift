import CShims
#if canImport(Glibc)
import Glibc
#endif

/// A thread that runs one function, with every signal blocked. Joined, or let go: then what it took goes with it.
package final class WorkerThread: @unchecked Sendable {
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
            let thread = Unmanaged<WorkerThread>.fromOpaque(argument).takeRetainedValue()
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
