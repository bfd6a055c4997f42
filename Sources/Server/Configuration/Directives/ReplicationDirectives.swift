/// Primary and replicas.
extension Directives {
    static var replication: [Directive] { [
        .bool("repl-disable-tcp-nodelay", \.replDisableTcpNodelay),
        .bool("repl-diskless-sync", \.replDisklessSync),
        .bool("replica-lazy-flush", alias: "slave-lazy-flush", \.replicaLazyFlush),
        .bool("replica-serve-stale-data", alias: "slave-serve-stale-data", \.replicaServeStaleData),
        .bool("replica-read-only", alias: "slave-read-only", \.replicaReadOnly),
        .bool("replica-ignore-maxmemory", alias: "slave-ignore-maxmemory", \.replicaIgnoreMaxmemory),
        .bool("replica-announced", \.replicaAnnounced),
        .bool("replica-ignore-disk-write-errors", \.replicaIgnoreDiskWriteErrors),
        .text("replica-announce-ip", alias: "slave-announce-ip", \.replicaAnnounceIp),
        .text("masteruser", \.masteruser, [.sensitive]),
        .text("masterauth", \.masterauth, [.sensitive]),
        .choice("repl-diskless-load", \.replDisklessLoad, [.deniedWhileLoading]),
        .choice("propagation-error-behavior", \.propagationErrorBehavior),
        .integer("replica-priority", alias: "slave-priority", \.replicaPriority, 0...int32),
        .integer("repl-diskless-sync-delay", \.replDisklessSyncDelay, 0...int32),
        .integer("replica-announce-port", alias: "slave-announce-port", \.replicaAnnouncePort, 0...65535),
        .integer("repl-timeout", \.replTimeout, 1...int32),
        .integer("repl-ping-replica-period", alias: "repl-ping-slave-period", \.replPingReplicaPeriod, 1...int32),
        .integer("min-replicas-to-write", alias: "min-slaves-to-write", \.minReplicasToWrite, 0...int32),
        .integer("min-replicas-max-lag", alias: "min-slaves-max-lag", \.minReplicasMaxLag, 0...int32),
        .integer("repl-diskless-sync-max-replicas", \.replDisklessSyncMaxReplicas, 0...int32),
        .integer("repl-backlog-size", \.replBacklogSize, 1...unbounded, as: .memory),
        .integer("repl-backlog-ttl", \.replBacklogTtl, 0...unbounded),
        .replicaof,
    ] }
}
