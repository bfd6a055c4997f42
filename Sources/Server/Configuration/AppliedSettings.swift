import Engine
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
            "stream-node-max-entries", "stream-idmp-duration", "stream-idmp-maxsize",
            "proto-max-bulk-len", "lazyfree-lazy-expire", "lazyfree-lazy-server-del",
            "lazyfree-lazy-user-del", "lazyfree-lazy-user-flush", "maxmemory-policy", "maxmemory", "maxmemory-samples",
            "maxmemory-eviction-tenacity", "lfu-log-factor", "lfu-decay-time", "lazyfree-lazy-eviction",
            "tracking-table-max-keys", "notify-keyspace-events", "loglevel", "log-format",
            "log-timestamp-format", "hz", "repl-backlog-size",
            "rdb-version", "rdbcompression", "hll-sparse-max-bytes", "busy-reply-threshold",
            "script-memory-limit", "import-mode",
        ]
        configuration.onChange(copied) { core throws(ConfigurationError) in core.copySettings() }
    }

    private func copySettings() {
        configuration.hz = min(max(configuration.hz, 1), 500)
        configuration.replBacklogSize = max(configuration.replBacklogSize, 16384)
        engine.keyspace.thresholds.take(configuration)
        copyMemorySettings()
        engine.notifyClasses = configuration.notifyKeyspaceEvents
        requestLimits.maximumBulkBytes = configuration.protoMaxBulkLen
        engine.tracking.maximumKeys = configuration.trackingTableMaxKeys
        log.follow(configuration)
        engine.scripts.busyThresholdMilliseconds = configuration.busyReplyThreshold
        engine.scripts.memoryLimit = configuration.scriptMemoryLimit
        engine.isImporting = configuration.importMode
    }
}

extension ServerCore {
    private func copyMemorySettings() {
        engine.keyspace.usesLFU = configuration.maxmemoryPolicy.usesLFU
        engine.keyspace.readsAreUses = !configuration.maxmemoryPolicy.usesLRM
        engine.keyspace.lfu.logFactor = configuration.lfuLogFactor
        engine.keyspace.lfu.decayMinutes = configuration.lfuDecayTime
        engine.eviction.policy = configuration.maxmemoryPolicy.eviction
        engine.eviction.samples = configuration.maxmemorySamples
        engine.eviction.tenacity = configuration.maxmemoryEvictionTenacity
        engine.eviction.isLazy = configuration.lazyfreeLazyEviction
        engine.eviction.limitChanged(to: configuration.maxmemory)
    }
}

extension MaxmemoryPolicy {
    package var usesLFU: Bool { self == .allkeysLfu || self == .volatileLfu }
    /// The least recently modified go: reading a key is no use of it.
    package var usesLRM: Bool { self == .allkeysLrm || self == .volatileLrm }

    var eviction: EvictionPolicy? {
        switch self {
        case .noeviction: nil
        case .volatileLru, .volatileLrm: EvictionPolicy(.leastRecent, sparesPersistentKeys: true)
        case .volatileLfu: EvictionPolicy(.leastFrequent, sparesPersistentKeys: true)
        case .volatileRandom: EvictionPolicy(.random, sparesPersistentKeys: true)
        case .volatileTtl: EvictionPolicy(.soonestExpired, sparesPersistentKeys: true)
        case .allkeysLru, .allkeysLrm: EvictionPolicy(.leastRecent, sparesPersistentKeys: false)
        case .allkeysLfu: EvictionPolicy(.leastFrequent, sparesPersistentKeys: false)
        case .allkeysRandom: EvictionPolicy(.random, sparesPersistentKeys: false)
        }
    }
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
        streamIdmpDuration = configuration.streamIdmpDuration
        streamIdmpMaxsize = configuration.streamIdmpMaxsize
        hllSparseMaxBytes = configuration.hllSparseMaxBytes
        protoMaxBulkLength = configuration.protoMaxBulkLen
        lazyfreeLazyExpire = configuration.lazyfreeLazyExpire
        lazyfreeLazyServerDel = configuration.lazyfreeLazyServerDel
        lazyfreeLazyUserDel = configuration.lazyfreeLazyUserDel
        lazyfreeLazyUserFlush = configuration.lazyfreeLazyUserFlush
        rdbVersion = configuration.rdbVersion
        rdbCompression = configuration.rdbcompression
    }
}
