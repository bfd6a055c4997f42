import Engine
import Keyspace
import Primitives

// What the server does by itself, `hz` times a second, on the engine's thread; and between ticks, when it is due.

extension ServerCore {
    /// Starts the timer, and starts it anew when `hz` changes.
    func startCron() {
        restartCronTimer()
        configuration.onChange(["hz", "active-expire-effort"]) { core throws(ConfigurationError) in
            core.restartCronTimer()
        }
    }

    private func restartCronTimer() {
        cronTimer?.cancel()
        engine.expireCycle.effort = configuration.activeExpireEffort - 1
        cronTimer = loop.schedule(everyMilliseconds: max(1000 / cronRate, 1)) { [unowned(unsafe) self] in cron() }
    }

    /// Turns of `cron` in a second.
    var cronRate: Int { min(max(configuration.hz, 1), 500) }

    func cron() {
        engine.expireWaiters()
        if pause == nil { engine.runSlowExpireCycle(hz: cronRate) }
        if configuration.activerehashing { engine.rehashTables(budget: 1_000_000) }
    }

    /// At the end of a tick, before its records go to the log.
    @inline(__always)
    func tidyUp() {
        if engine.wantsFastExpireCycle && pause == nil { engine.runFastExpireCycle() }
        if !engine.keyspace.garbage.isEmpty { background.free(engine.keyspace.takeGarbage()) }
    }
}
