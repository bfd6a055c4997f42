import Keyspace
import Primitives
import Storage
import Synchronization
#if canImport(Glibc)
import Glibc
#endif

// The background thread: frees what the keyspace set aside, in the order in which it was given. It never touches the
// keyspace. (What takes long on the disk is DiskQueue's.)

package final class Background: @unchecked Sendable {
    // @unchecked: the queue is guarded by the mutex, the counters are atomic; pthread objects never move.
    /// Garbage on its way: the one owner until it is freed.
    private final class GarbageBatch {
        let records: OwnedBytes
        let objects: Int
        /// Let go with the batch.
        let object: AnyObject?
        init(_ object: AnyObject) {
            records = OwnedBytes(capacity: 16)
            objects = 0
            self.object = object
        }
        init(_ records: consuming OwnedBytes) {
            object = nil
            objects = Garbage.objectCount(records.bytes)
            self.records = records
        }
    }

    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    private var queue: [GarbageBatch] = []
    private var isRunning = false
    private let pending = Atomic<Int>(0)
    private let freed = Atomic<Int>(0)

    package init() {
        mutex = .allocate(capacity: 1)
        condition = .allocate(capacity: 1)
        let status = pthread_mutex_init(mutex, nil) | pthread_cond_init(condition, nil)
        precondition(status == 0)
    }

    /// Objects that wait to be freed, as `lazyfree_pending_objects`.
    package var pendingObjects: Int { pending.load(ordering: .relaxed) }
    /// Objects freed so far, as `lazyfreed_objects`.
    package var freedObjects: Int { freed.load(ordering: .relaxed) }
    package func resetStatistics() { freed.store(0, ordering: .relaxed) }

    /// Frees what `Keyspace.takeGarbage` gave.
    package func free(_ garbage: consuming OwnedBytes) {
        let batch = GarbageBatch(garbage)
        pending.add(batch.objects, ordering: .relaxed)
        add(batch)
    }

    /// Lets go of an object that takes long to go away and that nobody else holds.
    package func release(_ object: any AnyObject & Sendable) { add(GarbageBatch(object)) }

    // MARK: Private

    private func add(_ batch: GarbageBatch) {
        pthread_mutex_lock(mutex)
        queue.append(batch)
        let isFirst = !isRunning
        isRunning = true
        pthread_cond_signal(condition)
        pthread_mutex_unlock(mutex)
        // The thread begins with the first work; without one, the work is done here.
        if isFirst && !start() { drainHere() }
    }

    /// The thread lives, and holds this object, to the end. False: the system gives none.
    private func start() -> Bool { (try? WorkerThread("background") { [self] in work() }.start()) != nil }

    private func work() {
        while true {
            pthread_mutex_lock(mutex)
            while queue.isEmpty { pthread_cond_wait(condition, mutex) }
            let work = queue
            queue = []
            pthread_mutex_unlock(mutex)
            for batch in work { free(batch) }
        }
    }

    private func drainHere() {
        pthread_mutex_lock(mutex)
        let work = queue
        queue = []
        isRunning = false
        pthread_mutex_unlock(mutex)
        for batch in work { free(batch) }
    }

    private func free(_ batch: GarbageBatch) {
        Garbage.free(batch.records.bytes)
        pending.subtract(batch.objects, ordering: .relaxed)
        freed.add(batch.objects, ordering: .relaxed)
    }
}
