import CShims
#if canImport(Glibc)
import Glibc
#endif

/// Going to the background, and the file that says which process it is.
enum Daemon {
    /// The parent's process ends here; the child goes on, without terminal. Before any thread is started.
    static func detach(_ log: ServerLog) {
        let child = sr_fork()
        if child != 0 { exit(child < 0 ? 1 : 0) }
        setsid()
        let null = open("/dev/null", O_RDWR)
        if null >= 0 {
            for standard in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] { dup2(null, standard) }
            if null > STDERR_FILENO { close(null) }
        }
        log.becameDaemon()
        SignalThread.block()
    }

    /// False: it could not be written; the server goes on without.
    static func writePidFile(_ path: String) -> Bool {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { return false }
        FileHandleText.write("\(getpid())\n", to: descriptor)
        close(descriptor)
        return true
    }
}

extension Lifecycle {
    /// Where the process writes its number; nil: nowhere.
    var pidFile: String? {
        if !configuration.pidfile.isEmpty { return configuration.pidfile }
        return configuration.daemonize ? "/var/run/redis.pid" : nil
    }
}
