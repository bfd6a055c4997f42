import Commands
import Engine
import Keyspace
import Primitives

/// What the server knows of itself in Prometheus' text format (0.0.4): INFO under the names of `MetricName`, and what
/// has labels: commands, errors, databases, the instance.
struct MetricsReport {
    private let core: ServerCore
    private var text = ""

    static func make(_ core: ServerCore) -> String {
        var report = MetricsReport(core: core)
        report.text.reserveCapacity(1 << 16)
        report.write()
        return report.text
    }

    private init(core: ServerCore) { self.core = core }

    private mutating func write() {
        family("up", "gauge") { ["": "1"] }
        writeInstance()
        writeFields()
        let configuration = core.configuration
        family("config_maxclients", "gauge") { ["": "\(configuration.maxclients)"] }
        family("config_maxmemory", "gauge") { ["": "\(configuration.maxmemory)"] }
        family("config_io_threads", "gauge") { ["": "\(configuration.ioThreads)"] }
        writeDatabases()
        writeCommands()
        writeErrors()
        writeSlowLog()
    }

    // MARK: INFO

    private mutating func writeFields() {
        let info = InfoReport.make(core, .standard)
        for line in String(decoding: info.bytes, as: UTF8.self).split(whereSeparator: \.isNewline) {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let field = String(line[..<colon])
            guard let name = MetricName.all[field], let value = Self.number(line[line.index(after: colon)...])
            else { continue }
            text += "# TYPE redis_\(name.metric) \(name.isCounter ? "counter" : "gauge")\n"
            text += "redis_\(name.metric) \(value)\n"
        }
    }

    /// Numbers as they are, states as 1 and 0.
    static func number(_ value: Substring) -> String? {
        switch value {
        case "ok": "1"
        case "err", "fail": "0"
        case _: Double(value) == nil ? nil : String(value)
        }
    }

    // MARK: Families with labels

    /// Samples by their labels, in the labels' order.
    private mutating func family(_ name: String, _ type: String, _ samples: () -> [String: String]) {
        let samples = samples()
        if samples.isEmpty { return }
        text += "# TYPE redis_\(name) \(type)\n"
        for (labels, value) in samples.sorted(by: { $0.key < $1.key }) {
            text += "redis_\(name)\(labels.isEmpty ? "" : "{\(labels)}") \(value)\n"
        }
    }

    static func label(_ name: String, _ value: String) -> String {
        var escaped = ""
        for character in value.unicodeScalars {
            switch character {
            case "\\": escaped += "\\\\"
            case "\"": escaped += "\\\""
            case "\n": escaped += "\\n"
            case _: escaped.unicodeScalars.append(character)
            }
        }
        return "\(name)=\"\(escaped)\""
    }

    private mutating func writeInstance() {
        let identity = core.control.identity, system = SystemFacts.shared, configuration = core.configuration
        let labels = [
            ("role", "master"), ("redis_version", ServerVersion.redis), ("redis_build_id", system.buildID),
            ("redis_mode", "standalone"), ("os", system.name), ("tcp_port", "\(configuration.port)"),
            ("run_id", identity.runID), ("process_id", "\(ProcessFacts.identifier)"),
            ("maxmemory_policy", configuration.maxmemoryPolicy.rawValue),
        ].map { Self.label($0.0, $0.1) }.joined(separator: ",")
        let forked = Double(core.persistence.lastForkMicroseconds) / 1e6
        family("instance_info", "gauge") { [labels: "1"] }
        family("start_time_seconds", "gauge") { ["": "\(identity.startedAt.seconds)"] }
        family("latest_fork_seconds", "gauge") { ["": "\(forked)"] }
    }

    private mutating func writeDatabases() {
        let keyspace = core.engine.keyspace.databases, count = core.engine.keyspace.databaseCount
        func each(_ value: (Database) -> String?) -> [String: String] {
            var samples: [String: String] = [:]
            for index in 0..<count {
                if let value = value(keyspace[index]) { samples[Self.label("db", "db\(index)")] = value }
            }
            return samples
        }
        family("db_keys", "gauge") { each { "\($0.keys.count)" } }
        family("db_keys_expiring", "gauge") { each { "\($0.expires.count)" } }
        family("db_avg_ttl_seconds", "gauge") {
            each { $0.keys.count == 0 ? nil : InfoWriter.fixed(Double($0.averageTTL) / 1000, 3) }
        }
    }

    private mutating func writeCommands() {
        let engine = core.engine
        func each(_ value: (CommandStatistics) -> String) -> [String: String] {
            var samples: [String: String] = [:]
            for id in 0..<engine.table.count {
                let cell = engine.statistics[id]
                if cell.calls == 0 && cell.rejected == 0 && cell.failed == 0 { continue }
                samples[Self.label("cmd", engine.table.rows[id].fullName)] = value(cell)
            }
            return samples
        }
        family("commands_total", "counter") { each { "\($0.calls)" } }
        family("commands_duration_seconds_total", "counter") { each { "\(Double($0.nanoseconds / 1000) / 1e6)" } }
        family("commands_rejected_calls_total", "counter") { each { "\($0.rejected)" } }
        family("commands_failed_calls_total", "counter") { each { "\($0.failed)" } }
        let measured = (0..<engine.table.count).filter { engine.histograms[$0] != nil }
            .sorted { engine.table.rows[$0].fullName < engine.table.rows[$1].fullName }
        if measured.isEmpty { return }
        text += "# TYPE redis_latency_percentiles_usec summary\n"
        for id in measured { writePercentiles(id) }
        text += "# TYPE redis_commands_latencies_usec histogram\n"
        for id in measured { writeHistogram(id) }
    }

    private mutating func writePercentiles(_ id: Int) {
        guard let latencies = core.engine.latencies(id) else { return }
        let command = Self.label("cmd", core.engine.table.rows[id].fullName)
        for percent in core.configuration.latencyTrackingInfoPercentiles {
            let name = percent == percent.rounded() ? "\(Int(percent))" : "\(percent)"
            let value = Double(latencies.percentile(percent)) / 1000
            text += "redis_latency_percentiles_usec{\(command),quantile=\"\(name)\"} \(InfoWriter.fixed(value, 3))\n"
        }
        writeTotals("latency_percentiles_usec", id, command, latencies.total)
    }

    private mutating func writeHistogram(_ id: Int) {
        guard let latencies = core.engine.latencies(id) else { return }
        let command = Self.label("cmd", core.engine.table.rows[id].fullName)
        for row in latencies.cumulative() {
            text += "redis_commands_latencies_usec_bucket{\(command),le=\"\(row.microseconds)\"} \(row.count)\n"
        }
        text += "redis_commands_latencies_usec_bucket{\(command),le=\"+Inf\"} \(latencies.total)\n"
        writeTotals("commands_latencies_usec", id, command, latencies.total)
    }

    private mutating func writeTotals(_ name: String, _ id: Int, _ command: String, _ count: UInt64) {
        text += "redis_\(name)_sum{\(command)} \(core.engine.statistics[id].nanoseconds / 1000)\n"
        text += "redis_\(name)_count{\(command)} \(count)\n"
    }

    private mutating func writeErrors() {
        let counts = core.engine.errorCounts
        family("errors_total", "counter") {
            Dictionary(uniqueKeysWithValues: counts.map { (Self.label("err", $0.key), "\($0.value)") })
        }
    }

    private mutating func writeSlowLog() {
        let log = core.engine.slowLog
        family("slowlog_length", "gauge") { ["": "\(log.entries.count)"] }
        family("slowlog_last_id", "gauge") { ["": "\(log.entries.last?.id ?? 0)"] }
        let last = Double(log.entries.last?.amount ?? 0) / 1e6
        family("last_slow_execution_duration_seconds", "gauge") { ["": "\(last)"] }
    }
}
