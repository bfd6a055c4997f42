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
        return writer.text
    }

    private static func server(_ core: ServerCore, _ writer: inout InfoWriter) {
        let identity = core.control.identity
        let system = SystemFacts.current()
        let now = UnixMicroseconds.now()
        let uptime = max(0, (now.milliseconds.rawValue - identity.startedAt.rawValue) / 1000)
        writer.section("Server")
        writer.field("redis_version", "\(ServerIdentity.redisVersion)")
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
        writer.field("process_supervised", "no")
        writer.field("run_id", identity.runID)
        writer.field("tcp_port", core.control.port)
        writer.field("server_time_usec", now.rawValue)
        writer.field("uptime_in_seconds", uptime)
        writer.field("uptime_in_days", uptime / 86400)
        writer.field("hz", core.control.hz)
        writer.field("configured_hz", core.control.hz)
        writer.field("lru_clock", Int(core.engine.keyspace.accessClock))
        writer.field("executable", system.executable)
        writer.field("config_file", core.control.configFile)
        writer.field("io_threads_active", false)
    }
}

/// What the operating system says of itself and of this process.
struct SystemFacts {
    var name = ""
    var executable = ""
    /// 16 hex digits that change with the executable.
    var buildID = ""

    static func current() -> SystemFacts {
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
