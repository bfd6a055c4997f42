/// The cluster.
extension Directives {
    static var cluster: [Directive] { [
        .bool("cluster-require-full-coverage", \.clusterRequireFullCoverage),
        .bool("cluster-replica-no-failover", alias: "cluster-slave-no-failover", \.clusterReplicaNoFailover),
        .bool("cluster-enabled", \.clusterEnabled, [.immutable]),
        .bool("cluster-allow-reads-when-down", \.clusterAllowReadsWhenDown),
        .bool("cluster-allow-pubsubshard-when-down", \.clusterAllowPubsubshardWhenDown),
        .bool("cluster-allow-replica-migration", \.clusterAllowReplicaMigration),
        .text("cluster-announce-ip", \.clusterAnnounceIp),
        .text("cluster-config-file", \.clusterConfigFile, [.immutable]),
        .text("cluster-announce-hostname", \.clusterAnnounceHostname, check: .isHostName),
        .text("cluster-announce-human-nodename", \.clusterAnnounceHumanNodename, check: .isNodeName),
        .choice("cluster-preferred-endpoint-type", \.clusterPreferredEndpointType),
        .integer("cluster-replica-validity-factor", alias: "cluster-slave-validity-factor",
                 \.clusterReplicaValidityFactor, 0...int32),
        .integer("cluster-migration-barrier", \.clusterMigrationBarrier, 0...int32),
        .integer("cluster-port", \.clusterPort, 0...65535, [.immutable]),
        .integer("cluster-announce-bus-port", \.clusterAnnounceBusPort, 0...65535),
        .integer("cluster-announce-port", \.clusterAnnouncePort, 0...65535),
        .integer("cluster-announce-tls-port", \.clusterAnnounceTlsPort, 0...65535),
        .integer("cluster-node-timeout", \.clusterNodeTimeout, 0...unbounded),
        .integer("cluster-ping-interval", \.clusterPingInterval, 0...unbounded, [.hidden]),
        .integer("cluster-link-sendbuf-limit", \.clusterLinkSendbufLimit, 0...unbounded, as: .memory),
    ] }
}
