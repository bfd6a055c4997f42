/// Logs, statistics and notifications.
extension Directives {
    static var observation: [Directive] { [
        .bool("always-show-logo", \.alwaysShowLogo, [.immutable]),
        .bool("syslog-enabled", \.syslogEnabled, [.immutable]),
        .bool("crash-log-enabled", \.crashLogEnabled),
        .keptBool("crash-memcheck-enabled", "yes"),
        .keptBool("use-exit-on-panic", "no", [.hidden]),
        .bool("latency-tracking", \.latencyTracking),
        .bool("hide-user-data-from-log", \.hideUserDataFromLog),
        .text("syslog-ident", \.syslogIdent, [.immutable]),
        .text("ignore-warnings", \.ignoreWarnings),
        .text("logfile", \.logfile, [.immutable]),
        .choice("syslog-facility", \.syslogFacility,
                of: ["user"] + (0...7).map { "local\($0)" }, [.immutable]),
        .choice("loglevel", \.loglevel),
        .keptInteger("watchdog-period", 0, 0...int32, [.hidden]),
        .integer("slowlog-max-len", alias: "commandlog-slow-execution-max-len", \.slowlogMaxLen, 0...unbounded),
        .integer("slowlog-log-slower-than", alias: "commandlog-execution-slower-than", \.slowlogLogSlowerThan,
                 -1...unbounded),
        .integer("commandlog-request-larger-than", \.commandlogRequestLargerThan, -1...unbounded),
        .integer("commandlog-large-request-max-len", \.commandlogLargeRequestMaxLen, 0...unbounded),
        .integer("commandlog-reply-larger-than", \.commandlogReplyLargerThan, -1...unbounded),
        .integer("commandlog-large-reply-max-len", \.commandlogLargeReplyMaxLen, 0...unbounded),
        .integer("latency-monitor-threshold", \.latencyMonitorThreshold, 0...unbounded),
        .notifyKeyspaceEvents,
        .percentiles,
    ] }
}
