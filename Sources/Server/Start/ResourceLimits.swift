import Primitives
#if canImport(Glibc)
import Glibc
#endif

/// Open files that the system allows, against those that `maxclients` needs.
enum ResourceLimits {
    /// Descriptors that are not clients: files, listeners, pipes.
    static let reserved = 32

    /// Raises the limit so that `clients` fit; returns how many do.
    static func makeRoom(forClients clients: Int, _ log: ServerLog) -> Int {
        let needed = clients + reserved
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return clients }
        let old = Int(clamping: limit.rlim_cur)
        if old >= needed { return clients }
        if raise(to: needed, limit) {
            log.write(.notice, "Increased maximum number of open files to \(needed) "
                + "(it was originally set to \(old)).")
            return clients
        }
        // Without privileges the hard limit is as far as it goes.
        let hard = Int(clamping: limit.rlim_max)
        let reached = hard > old && raise(to: hard, limit) ? hard : old
        return max(reached - reserved, 1)
    }

    private static func raise(to count: Int, _ old: rlimit) -> Bool {
        var limit = rlimit(rlim_cur: rlim_t(count), rlim_max: max(rlim_t(count), old.rlim_max))
        return setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0
    }
}
