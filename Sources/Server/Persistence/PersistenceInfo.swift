import Engine
import Primitives
import Storage

extension Persistence {
    /// The section Persistence of INFO.
    func report(_ writer: inout InfoWriter) {
        writer.section("Persistence")
        writer.field("loading", engine.state.isLoading)
        writer.field("async_loading", 0)
        writer.field("current_cow_peak", currentCopiedPeak)
        writer.field("current_cow_size", currentCopied)
        writer.field("current_cow_size_age", currentCopiedAge)
        writer.field("current_fork_perc", ratio: currentForkPercent)
        writer.field("current_save_keys_processed", currentKeysDone)
        writer.field("current_save_keys_total", currentKeysTotal)
        reportSnapshots(&writer)
        reportLog(&writer)
        writer.field("module_fork_in_progress", 0)
        writer.field("module_fork_last_cow_size", 0)
        if isLogEnabled { reportLogFiles(&writer) }
        report(scrub.facts, &writer)
        if engine.state.isLoading, let loading { report(loading, &writer) }
    }

    private func reportSnapshots(_ writer: inout InfoWriter) {
        writer.field("rdb_changes_since_last_save", engine.changesSinceSave)
        writer.field("rdb_bgsave_in_progress", isSnapshotting)
        writer.field("rdb_last_save_time", lastSave)
        writer.field("rdb_last_bgsave_status", lastSnapshotSucceeded ? "ok" : "err")
        writer.field("rdb_last_bgsave_time_sec", lastSnapshotSeconds)
        writer.field("rdb_current_bgsave_time_sec", currentSnapshotSeconds)
        writer.field("rdb_saves", snapshotCount)
        writer.field("rdb_last_cow_size", lastSnapshotCopied)
        writer.field("rdb_last_load_keys_expired", lastLoadKeysExpired)
        writer.field("rdb_last_load_keys_loaded", lastLoadKeysLoaded)
    }

    private func reportLog(_ writer: inout InfoWriter) {
        writer.field("aof_enabled", isLogEnabled)
        writer.field("aof_rewrite_in_progress", isRewriting)
        writer.field("aof_rewrite_scheduled", rewriteIsScheduled)
        writer.field("aof_last_rewrite_time_sec", lastRewriteSeconds)
        writer.field("aof_current_rewrite_time_sec", currentRewriteSeconds)
        writer.field("aof_last_bgrewrite_status", lastRewriteSucceeded ? "ok" : "err")
        writer.field("aof_rewrites", rewriteCount)
        writer.field("aof_rewrites_consecutive_failures", rewriteFailures)
        writer.field("aof_last_write_status", lastWriteSucceeded ? "ok" : "err")
        writer.field("aof_last_cow_size", lastRewriteCopied)
    }

    private func reportLogFiles(_ writer: inout InfoWriter) {
        let counters = logCounters
        writer.field("aof_current_size", logBytes)
        writer.field("aof_base_size", sizeAfterRewrite)
        writer.field("aof_pending_rewrite", 0)
        writer.field("aof_buffer_length", logBufferBytes)
        writer.field("aof_pending_bio_fsync", counters.isSyncing)
        writer.field("aof_delayed_fsync", counters.delayedSyncs)
        // Ours.
        report(durabilityFacts, &writer)
    }

    private func report(_ facts: [Fact], _ writer: inout InfoWriter) {
        for fact in facts {
            switch fact.value {
            case .integer(let value): writer.field(fact.name, value)
            case .text(let value): writer.field(fact.name, value)
            case .decimal(let value): writer.field(fact.name, InfoWriter.fixed(value, 3))
            }
        }
    }

    private func report(_ loading: LoadingProgress, _ writer: inout InfoWriter) {
        writer.field("loading_start_time", loading.startedAt)
        writer.field("loading_total_bytes", loading.totalBytes)
        writer.field("loading_rdb_used_mem", loading.usedMemory)
        writer.field("loading_loaded_bytes", loading.loadedBytes)
        writer.field("loading_loaded_perc", ratio: loadingPercent)
        writer.field("loading_eta_seconds", loadingSecondsLeft)
    }
}
