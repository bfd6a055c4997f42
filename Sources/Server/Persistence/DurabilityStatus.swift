import Commands
import Engine
import Primitives
import RESP
import Storage

// What is known about how safe the data is, as facts with a name: INFO persistence prints them, DURABILITY STATUS
// gives them as a map.

enum DurabilityFact {
    case integer(Int64)
    case text(String)
    /// Seconds, or a share.
    case decimal(Double)

    static func bytes(_ value: Int) -> DurabilityFact { .integer(Int64(value)) }
    static func offset(_ value: LogOffset) -> DurabilityFact { .integer(Int64(clamping: value.rawValue)) }
}

extension Persistence {
    typealias Fact = (name: StaticString, value: DurabilityFact)

    /// healthy: all that is acknowledged is where the policy wants it. failed: writes to the file fail. poisoned: an
    /// fsync failed. full: writes are refused for want of room. preparing: the first base is being written. off.
    var durabilityState: String {
        guard let log, logMode != .off else { return "off" }
        switch log.currentState {
        case .failed: return "failed"
        case .poisoned: return "poisoned"
        case .healthy:
            if logMode == .awaitingBase { return "preparing" }
            return watch.isFull ? "full" : "healthy"
        }
    }

    var durabilityFacts: [Fact] {
        guard let log else { return [("aof_state", .text(durabilityState))] }
        let counters = log.currentCounters, insight = log.currentInsight
        return state(log, insight) + offsets(log, insight) + batches(counters, insight) + syncs(counters, insight)
            + backlog(counters) + room + findingFacts
    }

    private func state(_ log: AppendLog, _ insight: AppendLogInsight) -> [Fact] {
        var facts: [Fact] = [
            ("aof_state", .text(durabilityState)), ("aof_fsync_policy", .text(log.policy.rawValue)),
            ("aof_fsync_error_policy", .text(configuration.aofFsyncError.rawValue)),
            ("aof_healings", .integer(Int64(healings))),
        ]
        if let logError { facts.append(("aof_error", .text(logError))) }
        if let refusal = engine.state.writeRefusal { facts.append(("aof_refusal", .text(refusal))) }
        facts.append(("aof_last_error", .text(insight.lastError?.description ?? "")))
        facts.append(("aof_last_error_time", .integer(insight.lastErrorAt.milliseconds.seconds)))
        return facts
    }

    private func offsets(_ log: AppendLog, _ insight: AppendLogInsight) -> [Fact] {
        let durable = log.durableOffset, end = engine.logEnd
        let exposure = insight.exposedSince.map { MonotonicNanoseconds.now().nanoseconds(since: $0) } ?? 0
        return [
            ("aof_log_offset", .offset(end)), ("aof_written_offset", .offset(log.writtenOffset)),
            ("aof_durable_offset", .offset(durable)),
            // Should the power go now: how much is lost, and from how long.
            ("aof_exposed_bytes", .integer(Int64(clamping: end.rawValue - min(durable.rawValue, end.rawValue)))),
            ("aof_exposure_seconds", .decimal(Double(exposure) / 1e9)),
            ("aof_longest_exposure_seconds", .decimal(Double(max(insight.longestExposure, exposure)) / 1e9)),
        ]
    }

    private func batches(_ counters: AppendLogCounters, _ insight: AppendLogInsight) -> [Fact] {
        [
            ("aof_batches", .integer(Int64(counters.batches))),
            ("aof_last_batch_bytes", .bytes(insight.lastBatchBytes)),
            ("aof_average_batch_bytes", .bytes(insight.batches == 0 ? 0 : insight.batchBytes / insight.batches)),
            ("aof_largest_batch_bytes", .bytes(insight.largestBatchBytes)),
            ("aof_write_failures", .integer(Int64(counters.writeFailures))),
        ]
    }

    private func syncs(_ counters: AppendLogCounters, _ insight: AppendLogInsight) -> [Fact] {
        func percentile(_ percent: Double) -> DurabilityFact {
            .integer(insight.syncs.totalCount == 0 ? 0 : Int64(clamping: insight.syncs.valueAtPercentile(percent)))
        }
        return [
            ("aof_fsyncs", .integer(Int64(counters.syncs))),
            ("aof_fsync_failures", .integer(Int64(counters.syncFailures))),
            ("aof_last_fsync_usec", .integer(counters.lastSyncNanoseconds / 1000)),
            ("aof_fsync_usec_p50", percentile(50)), ("aof_fsync_usec_p90", percentile(90)),
            ("aof_fsync_usec_p99", percentile(99)), ("aof_fsync_usec_p999", percentile(99.9)),
            ("aof_fsync_usec_max", percentile(100)),
        ]
    }

    private func backlog(_ counters: AppendLogCounters) -> [Fact] {
        [
            ("aof_backlog_bytes", .bytes(engine.pendingLog.count + counters.pendingBytes)),
            ("aof_backlog_limit", .bytes(configuration.aofBacklogLimit)),
            ("aof_backlog_holds", .integer(Int64(backlogHolds))),
            ("aof_clients_waiting", .integer(Int64(core.gatedConnections.count))),
        ]
    }

    private var room: [Fact] {
        guard let space = watch.space else { return [] }
        return [
            ("disk_state", .text(watch.isFull ? "full" : watch.isLow ? "low" : "ok")),
            ("disk_free_bytes", .bytes(space.free)), ("disk_total_bytes", .bytes(space.total)),
            ("disk_soft_limit_bytes", .bytes(watch.softBytes)), ("disk_hard_limit_bytes", .bytes(watch.hardBytes)),
            ("disk_full_periods", .integer(Int64(watch.refusals))),
        ]
    }
}

/// DURABILITY STATUS (ours): the facts above.
enum DurabilityCommands {
    static let all: [Command] = [
        Command("durability", arity: -2, [], [.slow], group: .server, since: "7.4.0", complexity: "per-subcommand",
                summary: "A container of commands about what would survive a crash.", subcommands: [
                    Command("status", arity: 2, [.loading, .stale], [.slow, .dangerous], group: .server,
                            since: "7.4.0", complexity: "O(1)",
                            summary: "Tells how far the log is on the disk, and what is wrong with it.",
                            tips: "nondeterministic_output", .server(status)),
                    Command("help", arity: 2, [.loading, .stale], [.slow], group: .server, since: "7.4.0",
                            complexity: "O(1)", summary: "Lists the subcommands.", .server(help)),
                ], .container),
    ]

    static func status(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        let facts = core.persistence.durabilityFacts + core.persistence.scrub.facts
        call.reply.map(facts.count)
        for fact in facts {
            call.reply.bulk(fact.name)
            switch fact.value {
            case .integer(let value): call.reply.integer(value)
            case .text(let value): call.reply.bulk(value)
            case .decimal(let value): call.reply.double(value)
            }
        }
    }

    static func help(_ core: ServerCore, _ call: inout Call) throws(CommandError) {
        HelpText.write(&call, ["STATUS", "    How far the log is on the disk, and what is wrong with it."])
    }
}
