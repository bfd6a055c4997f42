import Commands
import Engine
import Keyspace
import Primitives
import Storage
#if canImport(Glibc)
import Glibc
#endif

// DEBUG RELOAD and DEBUG LOADAOF: the data set through a file and back, in a running server.

struct ReloadOptions {
    /// Write a dump first; false: load the one that is there.
    var saves = true
    /// Empty the keyspace first; false: a key that the dump has, too, is an error.
    var flushes = true
    /// A key that the dump has, too, is replaced.
    var merges = false
}

extension Persistence {
    /// DEBUG RELOAD.
    func reload(_ options: ReloadOptions) throws(CommandError) {
        if engine.state.isLoading { throw .text("LOADING Redis is loading the dataset in memory") }
        if options.saves {
            if isSnapshotting { endChild() }
            guard saveNow() else { throw .text("ERR") }
        }
        if options.flushes {
            _ = engine.keyspace.flushAll(lazily: false)
            engine.announceReload()
            core.forgetFunctions()
        }
        do throws(StorageError) {
            _ = try loading { () throws(StorageError) in
                try Recovery.loadDump(core, replacesKeys: options.merges)
            }
        } catch {
            core.log.write(.warning, "\(error)")
            throw .text("ERR Error trying to load the RDB dump, check server logs.")
        }
        if options.saves { engine.changesSinceSave = 0 }
        // The log does not tell of what an older dump brought back.
        if !options.saves || !options.flushes, logMode != .off { rewriteIsScheduled = true }
        core.log.write(.warning, "DB reloaded by DEBUG RELOAD")
    }

    /// DEBUG LOADAOF. Ends the process when the log can't be read: the memory was emptied, the files are as they were.
    func reloadLog() throws(CommandError) {
        guard let log, operation == .none else { throw .text("ERR the AOF is off or being rewritten") }
        do throws(StorageError) {
            try log.drain(&engine.pendingLog, sync: false)
        } catch {
            throw .message("ERR \(error)")
        }
        engine.pendingLogStart = log.takenOffset
        _ = engine.keyspace.flushAll(lazily: false)
        engine.announceReload()
        core.forgetFunctions()
        engine.isLogging = false
        do throws(StorageError) {
            _ = try loading { () throws(StorageError) in
                try LogReplay.load(directory: directory, manifest: manifest, core, repairs: false)
            }
        } catch {
            core.log.write(.warning, "\(error)")
            core.log.write(.warning, "Fatal error loading the DB, check server logs. Exiting.")
            exit(1)
        }
        engine.isLogging = true
        engine.changesSinceSave = 0
        core.log.write(.warning, "Append Only File loaded by DEBUG LOADAOF")
    }

    /// The command that asks is under way: what loading leaves in the engine's own state is put back.
    private func loading<Value: ~Copyable>(_ body: () throws(StorageError) -> Value) throws(StorageError) -> Value {
        let session = engine.current
        let policy = engine.keyspace.expiryPolicy
        engine.state.isLoading = true
        core.lifecycle.supervisor.isReloading()
        defer {
            core.lifecycle.supervisor.isReady()
            engine.state.isLoading = false
            engine.keyspace.expiryPolicy = policy
            engine.keyspace.expired.removeAll()
            engine.keyspace.expiredFields.removeAll()
            engine.current = session
            engine.effects.pointee.reset()
            engine.keyspace.stamps.wroteEverything(upTo: engine.logEnd)
            loading = nil
        }
        return try body()
    }
}
