/// The process: start, stop, its place in the system.
extension Directives {
    static var process: [Directive] { [
        .bool("daemonize", \.daemonize, [.immutable]),
        .bool("set-proc-title", \.setProcTitle, [.immutable]),
        .bool("dynamic-hz", \.dynamicHz),
        .bool("disable-thp", \.disableThp, [.immutable]),
        .text("pidfile", \.pidfile, [.immutable]),
        .text("server-cpulist", alias: "server_cpulist", \.serverCpulist, [.immutable]),
        .text("bio-cpulist", alias: "bio_cpulist", \.bioCpulist, [.immutable]),
        .text("bgsave-cpulist", alias: "bgsave_cpulist", \.bgsaveCpulist, [.immutable]),
        .text("proc-title-template", \.procTitleTemplate, check: .isTitleTemplate),
        .text("locale-collate", \.localeCollate),
        .choice("supervised", \.supervised, [.immutable]),
        .choice("oom-score-adj", \.oomScoreAdj),
        .shutdownOptions("shutdown-on-sigint", \.shutdownOnSigint),
        .shutdownOptions("shutdown-on-sigterm", \.shutdownOnSigterm),
        .integer("databases", \.databases, 1...int32, [.immutable]),
        .integer("hz", \.hz, 0...int32),
        .integer("shutdown-timeout", \.shutdownTimeout, 0...int32),
        .integer("busy-reply-threshold", alias: "lua-time-limit", \.busyReplyThreshold, 0...unbounded),
        .oomScoreAdjValues,
    ] }
}
