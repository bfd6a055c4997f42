/// Sockets and what clients may take.
extension Directives {
    static var network: [Directive] { [
        .bool("io-threads-do-reads", \.ioThreadsDoReads, [.immutable]),
        .bool("io-threads-always-active", \.ioThreadsAlwaysActive, [.hidden]),
        .bool("protected-mode", \.protectedMode),
        .text("unixsocket", \.unixsocket, [.immutable]),
        .text("bind-source-addr", \.bindSourceAddr),
        .keptText("req-res-logfile", "", [.immutable, .hidden]),
        .integer("port", \.port, 0...65535),
        .integer("io-threads", \.ioThreads, 1...128, [.immutable]),
        .integer("tcp-keepalive", \.tcpKeepalive, 0...int32),
        .integer("timeout", \.timeout, 0...int32),
        .integer("tcp-backlog", \.tcpBacklog, 0...int32, [.immutable]),
        .integer("maxclients", \.maxclients, 1...uint32),
        .integer("unixsocketperm", \.unixsocketperm, 0...0o777, as: .octal, [.immutable]),
        .integer("socket-mark-id", \.socketMarkId, 0...uint32, [.immutable]),
        .integer("max-new-connections-per-cycle", \.maxNewConnectionsPerCycle, 1...1000),
        .integer("max-new-tls-connections-per-cycle", \.tls.maxNewConnectionsPerCycle, 1...1000),
        .keptInteger("client-default-resp", 2, 2...3, [.immutable, .hidden]),
        .integer("proto-max-bulk-len", \.protoMaxBulkLen, 1048576...unbounded, as: .memory),
        .integer("client-query-buffer-limit", \.clientQueryBufferLimit, 1048576...unbounded, as: .memory),
        .clientOutputBufferLimit,
        .bind,
    ] }
}
