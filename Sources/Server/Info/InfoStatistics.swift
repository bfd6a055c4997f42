import Engine
import Keyspace
import Primitives

extension InfoReport {
    static func stats(_ core: ServerCore, _ writer: inout InfoWriter) {
        let engine = core.engine, rates = core.control.rates, counts = core.statistics
        writer.section("Stats")
        writer.field("total_connections_received", counts.connectionsReceived)
        writer.field("total_commands_processed", engine.commandsProcessed)
        writer.field("instantaneous_ops_per_sec", Int(rates.commands.perSecond.rounded()))
        writer.field("total_net_input_bytes", counts.inputBytes)
        writer.field("total_net_output_bytes", counts.outputBytes)
        writer.field("total_net_repl_input_bytes", 0)
        writer.field("total_net_repl_output_bytes", 0)
        writer.field("instantaneous_input_kbps", ratio: rates.input.perSecond / 1024)
        writer.field("instantaneous_output_kbps", ratio: rates.output.perSecond / 1024)
        writer.field("instantaneous_input_repl_kbps", ratio: 0)
        writer.field("instantaneous_output_repl_kbps", ratio: 0)
        writer.field("rejected_connections", counts.connectionsRejected)
        writer.field("sync_full", 0)
        writer.field("sync_partial_ok", 0)
        writer.field("sync_partial_err", 0)
        keys(core, &writer)
        writer.field("pubsub_channels", engine.subscribers[SubscriptionKind.channel.rawValue].count)
        writer.field("pubsub_patterns", engine.subscribers[SubscriptionKind.pattern.rawValue].count)
        writer.field("pubsubshard_channels", engine.subscribers[SubscriptionKind.shardChannel.rawValue].count)
        forks(core, &writer)
        writer.field("migrate_cached_sockets", 0)
        writer.field("slave_expires_tracked_keys", 0)
        writer.field("active_defrag_hits", 0)
        writer.field("active_defrag_misses", 0)
        writer.field("active_defrag_key_hits", 0)
        writer.field("active_defrag_key_misses", 0)
        writer.field("total_active_defrag_time", 0)
        writer.field("current_active_defrag_time", 0)
        writer.field("tracking_total_keys", engine.tracking.keyCount)
        writer.field("tracking_total_items", engine.tracking.itemCount)
        writer.field("tracking_total_prefixes", engine.tracking.prefixCount)
        writer.field("unexpected_error_replies", counts.unexpectedErrors)
        writer.field("total_error_replies", engine.errorReplies)
        writer.field("dump_payload_sanitizations", engine.keyspace.statistics.payloadsChecked)
        writer.field("total_reads_processed", counts.reads)
        writer.field("total_writes_processed", counts.writes)
        writer.field("io_threaded_reads_processed", counts.threadedReads)
        writer.field("io_threaded_writes_processed", counts.threadedWrites)
        writer.field("client_query_buffer_limit_disconnections", counts.queryLimitDisconnections)
        writer.field("client_output_buffer_limit_disconnections", counts.outputLimitDisconnections)
        writer.field("reply_buffer_shrinks", core.control.replyBufferShrinks)
        writer.field("reply_buffer_expands", core.control.replyBufferExpands)
        cycles(core, &writer)
        let denied = engine.access.counts
        writer.field("acl_access_denied_auth", denied.authentications)
        writer.field("acl_access_denied_cmd", denied.commands)
        writer.field("acl_access_denied_key", denied.keys)
        writer.field("acl_access_denied_channel", denied.channels)
    }

    private static func keys(_ core: ServerCore, _ writer: inout InfoWriter) {
        let counts = core.engine.keyspace.statistics
        writer.field("expired_subkeys", counts.expiredFields)
        writer.field("expired_keys", counts.expiredKeys)
        let cycle = core.engine.expireCycle
        writer.field("expired_stale_perc", ratio: cycle.staleShare * 100)
        writer.field("expired_time_cap_reached_count", cycle.timeCapReached)
        writer.field("expire_cycle_cpu_milliseconds", Int(cycle.nanosecondsSpent / 1_000_000))
        writer.field("evicted_keys", counts.evictedKeys)
        writer.field("evicted_clients", core.statistics.evictedClients)
        writer.field("evicted_scripts", core.engine.scripts.evictedCount)
        let eviction = core.engine.eviction
        let exceeding = eviction.exceededSince == 0 ? 0
            : core.engine.monotonicNow &- eviction.exceededSince
        writer.field("total_eviction_exceeded_time", Int((eviction.exceededNanoseconds &+ exceeding) / 1_000_000))
        writer.field("current_eviction_exceeded_time", Int(exceeding / 1_000_000))
        writer.field("keyspace_hits", counts.hits)
        writer.field("keyspace_misses", counts.misses)
    }

    private static func cycles(_ core: ServerCore, _ writer: inout InfoWriter) {
        let loop = core.control.loop, rates = core.control.rates
        writer.field("eventloop_cycles", loop.cycles)
        writer.field("eventloop_duration_sum", loop.nanoseconds / 1000)
        writer.field("eventloop_duration_cmd_sum", Int(core.engine.commandNanoseconds / 1000))
        writer.field("instantaneous_eventloop_cycles_per_sec", Int(rates.cycles.perSecond.rounded()))
        let cycles = rates.cycles.perSecond
        let mean = cycles == 0 ? 0 : rates.cycleNanoseconds.perSecond / cycles / 1000
        writer.field("instantaneous_eventloop_duration_usec", Int(mean.rounded()))
    }

    // MARK: By command, by error

    static func commandStatistics(_ core: ServerCore, _ writer: inout InfoWriter) {
        writer.section("Commandstats")
        let table = core.engine.table
        let statistics = core.engine.statistics
        for id in 0..<table.count {
            let cell = statistics[id]
            if cell.calls == 0 && cell.rejected == 0 && cell.failed == 0 { continue }
            let mean = cell.calls == 0 ? 0 : Double(cell.nanoseconds) / Double(cell.calls) / 10
            writer.text.append("cmdstat_")
            writer.text.append(table.rows[id].fullName)
            writer.text.append(":calls=")
            writer.number(Int64(cell.calls))
            writer.text.append(",usec=")
            writer.number(Int64(cell.nanoseconds / 1000))
            writer.text.append(",usec_per_call=")
            writer.fixedPoint(Int64(mean.rounded(.toNearestOrEven)), digits: 2)
            writer.text.append(",rejected_calls=")
            writer.number(Int64(cell.rejected))
            writer.text.append(",failed_calls=")
            writer.number(Int64(cell.failed))
            writer.text.append("\r\n")
        }
    }

    static func errorStatistics(_ core: ServerCore, _ writer: inout InfoWriter) {
        writer.section("Errorstats")
        for (name, count) in core.engine.errorCounts.sorted(by: { $0.key < $1.key }) {
            writer.field(named: "errorstat_\(name)", "count=\(count)")
        }
    }

    static func latencyStatistics(_ core: ServerCore, _ writer: inout InfoWriter) {
        writer.section("Latencystats")
        let table = core.engine.table
        if !core.configuration.latencyTracking { return }
        let percents = core.configuration.latencyTrackingInfoPercentiles
        for id in 0..<table.count {
            guard let latencies = core.engine.latencies(id) else { continue }
            let values = percents.map { percent in
                let name = percent == percent.rounded() ? "\(Int(percent))" : "\(percent)"
                return "p\(name)=\(InfoWriter.fixed(Double(latencies.percentile(percent)) / 1000, 3))"
            }
            writer.field(named: "latency_percentiles_usec_\(table.rows[id].fullName)", values.joined(separator: ","))
        }
    }

    static func debug(_ core: ServerCore, _ writer: inout InfoWriter) {
        writer.section("Debug")
        writer.field("eventloop_duration_aof_sum", core.control.loop.logNanoseconds / 1000)
        writer.field("eventloop_duration_cron_sum", core.control.loop.cronNanoseconds / 1000)
        writer.field("eventloop_duration_max", core.control.loop.longest / 1000)
        writer.field("eventloop_cmd_per_cycle_max", core.control.loop.mostCommands)
        // Scripts have no arena of their own: what both interpreters hold is all that can be told.
        let held = core.engine.scripts.scriptBytes + core.engine.scripts.functionBytes
        writer.field("allocator_allocated_lua", held)
        writer.field("allocator_active_lua", held)
        writer.field("allocator_resident_lua", held)
        writer.field("allocator_frag_bytes_lua", 0)
    }
}

extension ServerCore {
    /// What INFO counts on the server's side begins again at 0.
    func resetOwnStatistics() {
        statistics = ServerStatistics()
        engine.access.counts = AccessCounts()
        control.rates.reset()
        control.loop = LoopStatistics()
        control.replyBufferShrinks = 0
        control.replyBufferExpands = 0
    }
}
