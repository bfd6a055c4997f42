import CShims

/// `watchdog-period`: an engine that does not reach its cron for so long has its stack written to the log, by a signal
/// that interrupts it (`CShims/reports.c`).
extension ServerCore {
    /// Armed anew at every turn of the cron.
    func armWatchdog() {
        let period = configuration.watchdogPeriod
        if period == 0 { return }
        sr_watchdog_arm(Int32(clamping: max(period, 2 * 1000 / max(cronRate, 1))))
    }

    func followWatchdogPeriod() {
        configuration.onChange("watchdog-period") { core throws(ConfigurationError) in
            if core.configuration.watchdogPeriod == 0 { sr_watchdog_arm(0) } else { core.armWatchdog() }
        }
        armWatchdog()
    }
}
