import Storage

/// One thread for steps that wait for the disk (manifests, renames, unlinks), in the order given. The engine's thread
/// hands a step over and goes on; what follows from the step runs on the engine's thread again.
final class DiskQueue: @unchecked Sendable {
    // @unchecked: `steps` and `isWorking` are used under the lock, the rest by the engine.
    private let lock = HandoverLock()
    private var steps: [() -> Void] = []
    private var isWorking = false
    private var thread: WorkerThread?
    private unowned(unsafe) let core: ServerCore

    init(_ core: ServerCore) { self.core = core }

    /// `step` runs on the disk's thread and must not touch what the engine owns; `then` runs on the engine's.
    func run<Value>(_ step: @escaping () throws(StorageError) -> Value,
                    then: @escaping (Result<Value, StorageError>) -> Void) {
        run { [core] in
            let result: Result<Value, StorageError>
            do throws(StorageError) {
                result = .success(try step())
            } catch {
                result = .failure(error)
            }
            core.runOnEngine { then(result) }
        }
    }

    /// For steps from which nothing follows.
    func run(_ step: @escaping () -> Void) {
        if thread == nil && !start() && !core.environment.isStepped {
            step()
            return
        }
        lock.lock()
        steps.append(step)
        lock.signalWork()
        lock.unlock()
    }

    /// Without a thread, when the system gives none, steps are done at once.
    private func start() -> Bool {
        if core.environment.isStepped { return false }
        let thread = WorkerThread("disk") { [self] in work() }
        guard (try? thread.start()) != nil else { return false }
        self.thread = thread
        return true
    }

    private func work() {
        lock.lock()
        while true {
            guard !steps.isEmpty else {
                isWorking = false
                lock.signalDone()
                lock.waitForWork(until: nil)
                continue
            }
            isWorking = true
            let taken = steps
            steps = []
            lock.unlock()
            for step in taken { step() }
            lock.lock()
        }
    }

    /// Steps wait to be done.
    var hasSteps: Bool {
        lock.lock()
        defer { lock.unlock() }
        return !steps.isEmpty || isWorking
    }

    /// Without a thread: does the next step. False: there is none.
    func takeStep() -> Bool {
        lock.lock()
        let step = steps.isEmpty ? nil : steps.removeFirst()
        lock.unlock()
        step?()
        return step != nil
    }

    /// Without a thread: what waits is not done.
    func dropSteps() {
        lock.lock()
        steps = []
        lock.unlock()
    }

    /// Blocks until all steps so far are done (what follows from them is not yet).
    func wait() {
        while core.environment.isStepped && takeStep() {}
        lock.lock()
        while !steps.isEmpty || isWorking { lock.waitForDone() }
        lock.unlock()
    }
}

/// Carries what belongs to one thread at a time through an API that asks for `Sendable`.
struct UncheckedReference<Value>: @unchecked Sendable {
    let value: Value
    init(_ value: Value) { self.value = value }
}
