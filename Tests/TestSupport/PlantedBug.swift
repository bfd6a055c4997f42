import Primitives
import Storage

/// A mistake laid over the file system, which the simulation must find. The server itself has no switch for it.
package enum PlantedBug: String, CaseIterable, Sendable {
    /// Batches are acknowledged though nothing was synced.
    case replyBeforeSync
    /// New names are used before their directory is synced.
    case missingDirectorySync
    /// A failed fsync is tried again, and what it says the second time is believed.
    case retriedSync

    package func over(_ inner: any FileSystem) -> any FileSystem {
        switch self {
        case .replyBeforeSync: SyncSwallower(inner)
        case .missingDirectorySync: DirectorySyncSwallower(inner)
        case .retriedSync: SyncRetrier(inner)
        }
    }
}

private final class SyncSwallower: ForwardingFileSystem, @unchecked Sendable {
    override func syncData(_ file: File) throws(StorageError) {}
}

private final class DirectorySyncSwallower: ForwardingFileSystem, @unchecked Sendable {
    override func syncDirectory(_ directory: String) throws(StorageError) {}
}

private final class SyncRetrier: ForwardingFileSystem, @unchecked Sendable {
    override func syncData(_ file: File) throws(StorageError) {
        do throws(StorageError) {
            try super.syncData(file)
        } catch {
            try super.syncData(file)
        }
    }
}
