import Primitives
import Storage
import Synchronization
#if canImport(Glibc)
import Glibc
#endif

/// A disk that makes no directory durable while it is stuck.
package final class StuckDirectories: ForwardingFileSystem, @unchecked Sendable {
    // @unchecked: atomics alone.
    private let stuck = Atomic<Bool>(false)
    private let waits = Atomic<Int>(0)
    /// After which somebody must have waited for it who must not.
    private static let patience: Int64 = 30_000_000_000

    package var isStuck: Bool {
        get { stuck.load(ordering: .sequentiallyConsistent) }
        set { stuck.store(newValue, ordering: .sequentiallyConsistent) }
    }

    /// Calls under way.
    package var waiting: Int { waits.load(ordering: .sequentiallyConsistent) }

    package override func syncDirectory(_ directory: String) throws(StorageError) {
        waits.add(1, ordering: .sequentiallyConsistent)
        defer { waits.subtract(1, ordering: .sequentiallyConsistent) }
        let end = MonotonicNanoseconds.now().rawValue + Self.patience
        while isStuck {
            if MonotonicNanoseconds.now().rawValue > end {
                throw StorageError(.syncDirectory, directory, errno: EIO)
            }
            usleep(1000)
        }
        try super.syncDirectory(directory)
    }
}
