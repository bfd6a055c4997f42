import Engine
import Keyspace
import Primitives

// What the server does by itself, `hz` times a second, on the engine's thread; and between ticks, when it is due.

extension ServerCore {
    /// Has `step` run at every turn of the cron, behind those registered before.
    package func onCron(_ step: @escaping () -> Void) { lifecycle.cronSteps.append(step) }

    /// Starts the timer, and starts it anew when `hz` changes.
    func startCron() {
        scheduleCron()
        configuration.onChange(["hz", "dynamic-hz", "active-expire-effort"]) { core throws(ConfigurationError) in
            core.scheduleCron()
        }
    }

    func scheduleCron() {
        cronTimer?.cancel()
        if control.cronIsPaused { return }
        engine.expireCycle.effort = configuration.activeExpireEffort - 1
        lifecycle.adjustFrequency()
        let interval = max(1000 / cronRate, 1)
        cronTimer = loop.schedule(everyMilliseconds: interval) { [unowned(unsafe) self] in cron() }
    }

    /// Turns of `cron` in a second.
    var cronRate: Int { lifecycle.hz }

    func cron() {
        let began = MonotonicNanoseconds.now().rawValue
        defer { control.loop.cronNanoseconds += Int(MonotonicNanoseconds.now().rawValue - began) }
        armWatchdog()
        engine.retryKeylessWaiters()
        if pause == nil { engine.runSlowExpireCycle(hz: cronRate) }
        if configuration.activerehashing { engine.rehashTables(budget: 1_000_000) }
        lifecycle.cron()
        considerMoving(at: began)
        reapDebugChildren()
        if control.memoryReturn.isDue(used: Heap.usedBytes) { Allocator.purge() }
        for step in lifecycle.cronSteps { step() }
        if lifecycle.frequencyIsOld { scheduleCron() }
    }

    /// At the end of a tick, before its records go to the log.
    @inline(__always)
    func tidyUp() {
        if engine.wantsFastExpireCycle && pause == nil { engine.runFastExpireCycle() }
        if engine.isTracking && engine.tracking.hasBroadcasts { engine.sendBroadcasts() }
        if engine.eviction.isUnderway, engine.makeRoom() == .underway { loop.stayAwake() }
        if engine.wasFlushed { persistence.everythingWasFlushed() }
        if !engine.keyspace.garbage.isEmpty { background.free(engine.keyspace.takeGarbage()) }
        if let deadline = engine.earliestDeadline, waiterTimer?.deadline ?? .max > deadline.rawValue {
            armWaiterTimer(deadline)
        }
    }

    /// Waits with a timeout end when they are due, not at the next turn of `cron`.
    private func armWaiterTimer(_ deadline: UnixMilliseconds) {
        waiterTimer?.timer.cancel()
        let wait = Int(min(max(deadline.rawValue &- engine.keyspace.now.rawValue, 0), 86_400_000))
        let timer = loop.schedule(afterMilliseconds: wait) { [unowned(unsafe) self] in
            waiterTimer = nil
            updateClock()
            engine.expireWaiters()
        }
        waiterTimer = (timer, deadline.rawValue)
    }
}
