import Engine
import Primitives
import Storage

// The end: what was acknowledged is on the disk before the process goes.

extension Persistence {
    /// Makes everything durable for SHUTDOWN and SIGTERM. False: the server must not end, for it would lose data; the
    /// log says why. Replies that waited have left the engine when it returns.
    /// - Parameters:
    ///   - save: write a dump.
    ///   - force: end whatever fails.
    func prepareShutdown(save: Bool, force: Bool = false) -> Bool {
        if let child {
            core.log.write(.warning, child.purpose.isDump ? "There is a child saving an .rdb. Killing it!"
                           : "There is a child rewriting the AOF. Killing it!")
            if logMode == .awaitingBase && !force {
                core.log.write(.warning, "Writing initial AOF, can't exit.")
                return false
            }
            endChild()
        }
        if log != nil, !drainLog(), !force { return false }
        // A data set that is half loaded must not replace its own file.
        if save && !engine.state.isLoading {
            core.log.write(.notice, "Saving the final RDB snapshot before exiting.")
            if !saveNow() {
                core.log.write(.warning, "Error trying to save the DB, can't exit.")
                if !force { return false }
            }
        }
        noteReach(isLast: true)
        disk.wait()
        return true
    }

    /// False: acknowledged writes may not be on the disk.
    private func drainLog() -> Bool {
        guard let log else { return true }
        core.log.write(.notice, "Calling fsync() on the AOF file.")
        do throws(StorageError) {
            try log.drain(&engine.pendingLog, sync: true)
            sealEnd()
        } catch {
            core.log.write(.warning, "Error writing to the AOF file: \(error)")
        }
        engine.pendingLogStart = log.takenOffset
        core.logProgressed(log.acknowledgedOffset)
        // What could not be written was not acknowledged; what could not be synced may have been.
        if log.currentState.isPoisoned {
            core.log.write(.warning, "The AOF can't be trusted and its data is in memory alone, can't exit.")
            return false
        }
        return true
    }
}
