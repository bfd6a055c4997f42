import Engine
import Keyspace
import Primitives
#if canImport(Glibc)
import Glibc
#endif

/// What INFO prints, section by section.
enum InfoReport {
    static func make(_ core: ServerCore, _ sections: InfoSections) -> OwnedBytes {
        var writer = InfoWriter()
        if sections.contains(.server) { server(core, &writer) }
        if sections.contains(.clients) { clients(core, &writer) }
        if sections.contains(.memory) { memory(core, &writer) }
        if sections.contains(.persistence) { persistence(core, &writer) }
        if sections.contains(.stats) { stats(core, &writer) }
        if sections.contains(.replication) { replication(core, &writer) }
        if sections.contains(.cpu) { processor(&writer) }
        if sections.contains(.hotKeys) { hotKeys(core, &writer) }
        if sections.contains(.modules) { writer.section("Modules") }
        if sections.contains(.commandStats) { commandStatistics(core, &writer) }
        if sections.contains(.errorStats) { errorStatistics(core, &writer) }
        if sections.contains(.latencyStats) { latencyStatistics(core, &writer) }
        if sections.contains(.cluster) {
            writer.section("Cluster")
            writer.field("cluster_enabled", false)
        }
        if sections.contains(.keyspace) { keyspace(core, &writer) }
        if sections.contains(.debug) { debug(core, &writer) }
        return writer.text
    }

    private static func server(_ core: ServerCore, _ writer: inout InfoWriter) {
        let identity = core.control.identity
        let system = SystemFacts.shared
        let now = UnixMicroseconds.now()
        let uptime = max(0, (now.milliseconds.rawValue - identity.startedAt.rawValue) / 1000)
        writer.section("Server")
        writer.field("redis_version", ServerVersion.redis)
        writer.field("redis_git_sha1", "00000000")
        writer.field("redis_git_dirty", 0)
        writer.field("redis_build_id", system.buildID)
        writer.field("redis_mode", "standalone")
        writer.field("os", system.name)
        writer.field("arch_bits", Int.bitWidth)
        writer.field("monotonic_clock", "POSIX clock_gettime")
        writer.field("multiplexing_api", "epoll")
        writer.field("atomicvar_api", "c11-builtin")
        writer.field("gcc_version", "0.0.0")
        writer.field("process_id", Int(getpid()))
        writer.field("process_supervised", core.lifecycle.supervisor.kind.rawValue)
        writer.field("run_id", identity.runID)
        writer.field("tcp_port", core.configuration.listenedPort)
        writer.field("server_time_usec", now.rawValue)
        writer.field("uptime_in_seconds", uptime)
        writer.field("uptime_in_days", uptime / 86400)
        writer.field("hz", core.lifecycle.hz)
        writer.field("configured_hz", core.configuration.hz)
        writer.field("lru_clock", Int(core.engine.keyspace.accessClock))
        writer.field("executable", system.executable)
        writer.field("config_file", core.configuration.file ?? "")
        writer.field("io_threads_active", core.engine.keyspace.now.rawValue - core.lastThreadedRound.rawValue <= 1000)
        if let pending = core.lifecycle.pendingShutdown {
            let left = pending.deadline.rawValue - core.engine.keyspace.now.rawValue
            writer.field("shutdown_in_milliseconds", max(0, left))
        }
        listeners(core, &writer)
    }

    /// A line for each kind of listener, with all its addresses as they are configured.
    private static func listeners(_ core: ServerCore, _ writer: inout InfoWriter) {
        let binds = core.configuration.bind.map { ",bind=\($0.isOptional ? "-" : "")\($0.host)" }.joined()
        if let port = core.lifecycle.tcpListeners.first?.port {
            writer.field(named: "listener0", "name=tcp\(binds),port=\(port)")
        }
        if let path = core.lifecycle.unixListener?.unixPath {
            writer.field(named: "listener1", "name=unix,bind=\(path)")
        }
        if let port = core.lifecycle.tlsListeners.first?.port {
            writer.field(named: "listener2", "name=tls\(binds),port=\(port)")
        }
    }

    private static func clients(_ core: ServerCore, _ writer: inout InfoWriter) {
        var blockedWithDeadline = 0, watching = 0, subscribed = 0
        let largest = core.control.largestBuffers.with(core.largestBuffers())
        for connection in core.connections.values {
            let session = connection.session
            if session.waiting?.deadline != nil { blockedWithDeadline += 1 }
            if !session.watched.isEmpty { watching += 1 }
            if !session.subscriptions.isEmpty { subscribed += 1 }
        }
        writer.section("Clients")
        writer.field("connected_clients", core.connections.count)
        writer.field("cluster_connections", 0)
        writer.field("maxclients", core.configuration.maxclients)
        writer.field("client_recent_max_input_buffer", largest.input)
        writer.field("client_recent_max_output_buffer", largest.output)
        writer.field("blocked_clients", core.engine.waitingCount)
        writer.field("tracking_clients", core.engine.tracking.clients.count)
        writer.field("pubsub_clients", subscribed)
        writer.field("watching_clients", watching)
        writer.field("clients_in_timeout_table", blockedWithDeadline)
        writer.field("total_watched_keys", core.engine.watchers.count)
        writer.field("total_blocking_keys", core.engine.waiters.count)
        writer.field("total_blocking_keys_on_nokey", keysWaitedForToGo(core))
    }

    /// Keys at which XREADGROUP waits: it ends, too, when the key goes.
    private static func keysWaitedForToGo(_ core: ServerCore) -> Int {
        let engine = core.engine
        return engine.waiters.values.count { sessions in
            sessions.contains { session in
                session.waiting.map { engine.table.rows[$0.command.id].fullName == "xreadgroup" } ?? false
            }
        }
    }

    private static func replication(_ core: ServerCore, _ writer: inout InfoWriter) {
        writer.section("Replication")
        writer.field("role", "master")
        writer.field("connected_slaves", 0)
        if core.configuration.minReplicasToWrite > 0 && core.configuration.minReplicasMaxLag > 0 {
            writer.field("min_slaves_good_slaves", 0)
        }
        writer.field("master_failover_state", "no-failover")
        writer.field("master_replid", core.control.identity.replicationID)
        writer.field("master_replid2", "0000000000000000000000000000000000000000")
        writer.field("master_repl_offset", 0)
        writer.field("second_repl_offset", -1)
        writer.field("repl_backlog_active", false)
        writer.field("repl_backlog_size", core.configuration.replBacklogSize)
        writer.field("repl_backlog_first_byte_offset", 0)
        writer.field("repl_backlog_histlen", 0)
    }

    private static func processor(_ writer: inout InfoWriter) {
        writer.section("CPU")
        func time(_ name: StaticString, _ microseconds: Int64) {
            writer.text.append(name)
            writer.text.append(":")
            writer.fixedPoint(microseconds, digits: 6)
            writer.text.append("\r\n")
        }
        let own = ProcessFacts.processorTime(.process), children = ProcessFacts.processorTime(.children)
        let thread = ProcessFacts.processorTime(.thread)
        time("used_cpu_sys", own.system)
        time("used_cpu_user", own.user)
        time("used_cpu_sys_children", children.system)
        time("used_cpu_user_children", children.user)
        time("used_cpu_sys_main_thread", thread.system)
        time("used_cpu_user_main_thread", thread.user)
    }

    /// As newer systems have it: while there is a session of HOTKEYS, or what one found.
    private static func hotKeys(_ core: ServerCore, _ writer: inout InfoWriter) {
        guard let session = core.engine.hotKeys else { return }
        session.checkEnd(core.engine.keyspace.now)
        writer.section("Hotkeys")
        writer.field("hotkeys-tracking-active", session.isActive)
        writer.field("hotkeys-cmd-cpu-time", Int(session.total.nanoseconds / 1000))
    }

    private static func keyspace(_ core: ServerCore, _ writer: inout InfoWriter) {
        writer.section("Keyspace")
        for index in 0..<core.engine.keyspace.databaseCount {
            let database = core.engine.keyspace.databases[index]
            if database.keys.count == 0 { continue }
            writer.field(named: "db\(index)", "keys=\(database.keys.count),expires=\(database.expires.count),"
                + "avg_ttl=\(database.averageTTL),subexpiry=\(database.fieldExpires.count)")
        }
    }
}

/// What the operating system says of itself and of this process.
struct SystemFacts: Sendable {
    static let shared = current()

    var name = ""
    var executable = ""
    /// 16 hex digits that change with the executable.
    var buildID = ""

    private static func current() -> SystemFacts {
        var facts = SystemFacts()
        var system = utsname()
        if uname(&system) == 0 {
            facts.name = [text(&system.sysname), text(&system.release), text(&system.machine)].joined(separator: " ")
        }
        var path = [UInt8](repeating: 0, count: 4096)
        let length = path.withUnsafeMutableBufferPointer { bytes in
            bytes.withMemoryRebound(to: CChar.self) { $0.baseAddress.map { readlink("/proc/self/exe", $0, 4096) } ?? 0 }
        }
        if length > 0 { facts.executable = String(decoding: path[..<length], as: UTF8.self) }
        var status = stat()
        if stat("/proc/self/exe", &status) == 0 {
            let mixed = UInt64(bitPattern: Int64(status.st_mtim.tv_sec)) &* 0x9e37_79b9_7f4a_7c15
                ^ UInt64(status.st_size) ^ UInt64(status.st_mtim.tv_nsec) << 20
            let digits = String(mixed, radix: 16)
            facts.buildID = String(repeating: "0", count: 16 - digits.utf8.count) + digits
        }
        return facts
    }

    private static func text<T>(_ field: inout T) -> String {
        withUnsafeBytes(of: &field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
}
