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
    /// The seal of a batch counts though the batch was not written.
    case wrongChain

    package func over(_ inner: any FileSystem) -> any FileSystem {
        switch self {
        case .replyBeforeSync: SyncSwallower(inner)
        case .missingDirectorySync: DirectorySyncSwallower(inner)
        case .retriedSync: SyncRetrier(inner)
        case .wrongChain: inner
        }
    }

    package func over(_ framing: any BatchFraming) -> any BatchFraming {
        self == .wrongChain ? RashFraming(framing) : framing
    }
}

/// Takes every batch that it framed for written.
private final class RashFraming: BatchFraming, @unchecked Sendable {
    // @unchecked: as the framing within.
    private let inner: any BatchFraming
    init(_ inner: any BatchFraming) { self.inner = inner }

    func frame(_ batch: Bytes, at offset: LogOffset, _ now: UnixMicroseconds, syncs: Bool,
               into head: inout OwnedBytes) {
        inner.frame(batch, at: offset, now, syncs: syncs, into: &head)
        inner.wrote()
    }
    func wrote() {}
    var isSealed: Bool { inner.isSealed }
    func synced() { inner.synced() }
    func mark(_ now: UnixMicroseconds, into head: inout OwnedBytes) -> Bool {
        defer { inner.wrote() }
        return inner.mark(now, into: &head)
    }
    func fileChanged() { inner.fileChanged() }
    func follow(_ other: any BatchFraming, bytes: Int) { inner.follow(other, bytes: bytes) }
    var position: SealPosition { inner.position }
    var writesTimestamps: Bool {
        get { inner.writesTimestamps }
        set { inner.writesTimestamps = newValue }
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
