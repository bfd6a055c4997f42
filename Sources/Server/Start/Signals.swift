import CShims
import Engine
import Primitives
import Synchronization
#if canImport(Glibc)
import Glibc
#endif

// SIGTERM and SIGINT are blocked in all threads and waited for by one that does nothing else: so what they cause is
// ordinary code, and works while the engine is busy. The engine's thread is woken to shut down; what can't wait (a
// second SIGINT, any signal while data is loaded) ends the process from here. Forked children unblock them (sr_fork).

final class SignalThread: @unchecked Sendable {
    private let loop: EngineLoop
    private let log: ServerLog
    /// Runs on the engine's thread.
    private let onSignal: @Sendable (Int32) -> Void
    private let isAsked = Atomic(false)
    /// While true, there is nothing to save and a signal ends the process at once.
    let isLoading = Atomic(false)

    init(_ loop: EngineLoop, _ log: ServerLog, onSignal: @escaping @Sendable (Int32) -> Void) {
        self.loop = loop
        self.log = log
        self.onSignal = onSignal
    }

    /// Must be called before any thread is started.
    static func block() {
        signal(SIGPIPE, SIG_IGN)
        signal(SIGHUP, SIG_IGN)
        var set = waited()
        pthread_sigmask(SIG_BLOCK, &set, nil)
    }

    private static func waited() -> sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, SIGTERM)
        sigaddset(&set, SIGINT)
        return set
    }

    func start() {
        var thread = pthread_t()
        let argument = Unmanaged.passRetained(self).toOpaque()
        pthread_create(&thread, nil, { argument in
            guard let argument else { return nil }
            sr_set_thread_name("signals")
            Unmanaged<SignalThread>.fromOpaque(argument).takeRetainedValue().run()
            return nil
        }, argument)
        pthread_detach(thread)
    }

    private func run() {
        var set = Self.waited()
        while true {
            var number: Int32 = 0
            guard sigwait(&set, &number) == 0 else { continue }
            handle(number)
        }
    }

    private func handle(_ number: Int32) {
        let wasAsked = isAsked.exchange(true, ordering: .relaxed)
        if wasAsked && number == SIGINT {
            log.write(.warning, "You insist... exiting now.")
            _exit(1)
        }
        if isLoading.load(ordering: .relaxed) {
            log.write(.warning, "Received shutdown signal during loading, exiting now.")
            _exit(0)
        }
        log.write(.warning, number == SIGINT ? "Received SIGINT scheduling shutdown..."
                  : number == SIGTERM ? "Received SIGTERM scheduling shutdown..."
                  : "Received shutdown signal, scheduling shutdown...")
        loop.wake { [onSignal] in onSignal(number) }
    }

    /// The end was refused: a signal is a first one again.
    func refused() { isAsked.store(false, ordering: .relaxed) }
}
