import Keyspace

// Settings of which the layers below keep copies, at the start and whenever CONFIG SET changes them.

extension ServerCore {
    /// Hands out all settings, and does so again when one of them changes.
    func applySettings() {
        copySettings()
        let copied = [
            "hash-max-listpack-entries", "hash-max-listpack-value", "set-max-intset-entries",
            "set-max-listpack-entries", "set-max-listpack-value", "zset-max-listpack-entries",
            "zset-max-listpack-value", "list-max-listpack-size", "list-compress-depth", "stream-node-max-bytes",
            "stream-node-max-entries", "proto-max-bulk-len", "lazyfree-lazy-expire", "lazyfree-lazy-server-del",
            "lazyfree-lazy-user-del", "lazyfree-lazy-user-flush", "maxmemory-policy", "requirepass",
            "notify-keyspace-events", "loglevel", "hz", "repl-backlog-size", "rdb-version", "rdbcompression",
        ]
        configuration.onChange(copied) { core throws(ConfigurationError) in core.copySettings() }
    }

    private func copySettings() {
        configuration.hz = min(max(configuration.hz, 1), 500)
        configuration.replBacklogSize = max(configuration.replBacklogSize, 16384)
        engine.keyspace.thresholds.take(configuration)
        engine.keyspace.usesLFU = configuration.maxmemoryPolicy.usesLFU
        engine.requiredPassword = Array(configuration.requirepass.utf8)
        engine.notifyClasses = configuration.notifyKeyspaceEvents
        requestLimits.maximumBulkBytes = configuration.protoMaxBulkLen
        log.level = configuration.loglevel
    }
}

extension MaxmemoryPolicy {
    package var usesLFU: Bool { self == .allkeysLfu || self == .volatileLfu }
}

extension Thresholds {
    fileprivate mutating func take(_ configuration: Configuration) {
        hashMaxListpackEntries = configuration.hashMaxListpackEntries
        hashMaxListpackValue = configuration.hashMaxListpackValue
        setMaxIntsetEntries = configuration.setMaxIntsetEntries
        setMaxListpackEntries = configuration.setMaxListpackEntries
        setMaxListpackValue = configuration.setMaxListpackValue
        zsetMaxListpackEntries = configuration.zsetMaxListpackEntries
        zsetMaxListpackValue = configuration.zsetMaxListpackValue
        listMaxListpackSize = configuration.listMaxListpackSize
        listCompressDepth = configuration.listCompressDepth
        streamNodeMaxBytes = configuration.streamNodeMaxBytes
        streamNodeMaxEntries = configuration.streamNodeMaxEntries
        protoMaxBulkLength = configuration.protoMaxBulkLen
        lazyfreeLazyExpire = configuration.lazyfreeLazyExpire
        lazyfreeLazyServerDel = configuration.lazyfreeLazyServerDel
        lazyfreeLazyUserDel = configuration.lazyfreeLazyUserDel
        lazyfreeLazyUserFlush = configuration.lazyfreeLazyUserFlush
        rdbVersion = configuration.rdbVersion
        rdbCompression = configuration.rdbcompression
    }
}
