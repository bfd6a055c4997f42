import Primitives
import RESP

/// What every connection touches with every request: plain memory, so that no reference is counted on the way to it.
struct ClientTraffic {
    /// Where all connections read to; what is to be kept is copied before the next one reads.
    var readBuffer: UnsafeMutableRawPointer
    /// Room for the requests of whoever executes a pipeline; not in use between two of them.
    var batch = RequestBatch()
    var statistics = ServerStatistics()
    /// The round's time.
    var now = UnixMilliseconds(0)
    /// `proto-max-bulk-len`
    var maximumBulkBytes = RequestLimits().maximumBulkBytes
    var clientMemory = ClientMemory()
    /// CLIENT PAUSE is on.
    var isPaused = false
    /// Set to 0 at every read (CommandTiming.swift).
    var lastClockReading: UnsafeMutablePointer<UInt64>?
    /// Connections with replies to send at the end of the tick. Each is alive: one that ends while it is in line is
    /// kept in `departedConnections`.
    private(set) var dirty: UnsafeMutablePointer<Unmanaged<Connection>>
    private(set) var dirtyCount = 0
    private var dirtyCapacity = 256

    init() {
        readBuffer = .allocate(byteCount: Connection.sharedReadBytes, alignment: 64)
        dirty = .allocate(capacity: dirtyCapacity)
    }

    func deallocate() {
        readBuffer.deallocate()
        batch.deallocate()
        dirty.deallocate()
    }

    @inline(__always)
    mutating func enqueueFlush(_ connection: Connection) {
        if connection.session.isQueuedForFlush { return }
        connection.session.isQueuedForFlush = true
        if dirtyCount == dirtyCapacity { grow() }
        (dirty + dirtyCount).initialize(to: .passUnretained(connection))
        dirtyCount += 1
    }

    private mutating func grow() {
        let grown = UnsafeMutablePointer<Unmanaged<Connection>>.allocate(capacity: dirtyCapacity * 2)
        grown.update(from: dirty, count: dirtyCount)
        dirty.deallocate()
        dirty = grown
        dirtyCapacity *= 2
    }

    /// The first `count` were flushed; those that came meanwhile stay.
    mutating func flushed(_ count: Int) {
        dirtyCount -= count
        dirty.update(from: dirty + count, count: dirtyCount)
    }
}
