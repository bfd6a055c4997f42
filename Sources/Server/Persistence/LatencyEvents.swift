import Engine
import Primitives
import Storage

// What the latency monitor (`latency-monitor-threshold`) hears of the disk.
//
//     fork                     Persistence.forkChild
//     aof-write, -alone, -active-child, aof-fsync-always      the log's thread, or the engine's where it writes itself
//     aof-write-pending-fsync  from the moment when records met an fsync under way until they were written
//     aof-fstat                opening an increment, which asks for its size
//     aof-rename               giving a new base its name
//     rdb-unlink-temp-file     removing what a child that failed has left
//
// The other events are noted in Engine/ (commands, expire cycle, eviction) and `ServerCore.measureBlocked`.

/// Measures a step that may be another thread's. Made and answered for on the engine's.
struct LatencyStopwatch: @unchecked Sendable {
    // @unchecked: `core` is touched on the engine's thread alone.
    private unowned(unsafe) let core: ServerCore
    private let event: String
    private let isOn: Bool

    init(_ event: String, _ core: ServerCore) {
        self.core = core
        self.event = event
        isOn = core.engine.latencyMonitor.isOn
    }

    /// On any thread.
    func measure<Value>(_ body: () throws(StorageError) -> Value) throws(StorageError) -> Value {
        if !isOn { return try body() }
        let began = MonotonicNanoseconds.now()
        defer {
            let took = MonotonicNanoseconds.now().nanoseconds(since: began) / 1_000_000
            core.runOnEngine { [core, event] in
                core.engine.latencyMonitor.add(event, milliseconds: took, at: core.engine.keyspace.now)
            }
        }
        return try body()
    }
}

extension Persistence {
    /// What the log has measured since the last call.
    func noteLatencies() {
        guard let log else { return }
        let slowest = log.takeSlowest()
        noteWrite(nanoseconds: slowest.write)
        if log.policy == .always { note("aof-fsync-always", slowest.sync) }
    }

    /// A write to the log, by its kind, too.
    func noteWrite(nanoseconds: Int64) {
        note("aof-write", nanoseconds)
        note(child != nil ? "aof-write-active-child" : "aof-write-alone", nanoseconds)
    }

    private func note(_ event: String, _ nanoseconds: Int64) {
        engine.latencyMonitor.add(event, milliseconds: nanoseconds / 1_000_000, at: engine.keyspace.now)
    }

    /// At the end of `flush`. Redis writes while an fsync is under way, and the kernel lets it wait; here the records
    /// wait, and the engine doesn't.
    func notePendingSync(_ log: AppendLog) {
        let waits = log.policy != .always && log.isHealthy && log.writtenOffset < engine.logEnd
        if waits {
            if heldSince == 0 && log.currentCounters.isSyncing { heldSince = engine.monotonicNow }
        } else if heldSince != 0 {
            engine.noteLatency("aof-write-pending-fsync", since: heldSince)
            heldSince = 0
        }
    }

    /// What a child that failed has left.
    func unlinkTemporary(of child: ForkedChild) {
        let stopwatch = LatencyStopwatch("rdb-unlink-temp-file", core)
        disk.run { [fileSystem] in
            try? stopwatch.measure { () throws(StorageError) in try fileSystem.unlink(child.temporary) }
        }
    }
}

extension ServerCore {
    /// `while-blocked-cron`: the server is busy with one thing for long, and looks after the others in between.
    func measureBlocked(_ body: () -> Void) {
        let began = engine.monotonicNow
        body()
        engine.noteLatency("while-blocked-cron", since: began)
    }
}
