import Commands
import Primitives
import Storage

// The server's settings. Each directive that the server reads is one typed property here, named as the directive in
// camel case; what it is called, what it accepts and when it may change stands in the tables of Directives/. What has
// no meaning for this server is checked and kept as text, so that CONFIG GET gives back what was set.
//
// 1. A value is in a property only after its directive's checks.
// 2. CONFIG SET changes all of its directives or none (ConfigurationChange.swift).
// 3. All of it belongs to the engine's thread.

/// Why a value is refused, in the words that clients and start-up scripts know from redis-server.
package struct ConfigurationError: Error, Sendable, Equatable {
    package let text: String
    package init(_ text: String) { self.text = text }
}

package final class Configuration {
    /// Every directive, in the order in which CONFIG GET lists them.
    package let directives: [Directive]
    /// Names and aliases, in lower case, to places in `directives`.
    let places: [String: Int]
    /// As at the start, before any file or argument.
    private(set) var defaults: [String] = []

    /// What other parts do when a directive changes; run after all values of a CONFIG SET are in place.
    var hooks: [String: [ChangeHook]] = [:]
    /// What hooks are handed; set once the server stands, and until it ends. (A weak reference would cost each retain
    /// of it a detour.)
    package unowned(unsafe) var core: ServerCore?

    /// Absolute path of the file that CONFIG REWRITE rewrites; nil: started without one.
    package var file: String?

    /// While a file is read: `save` lines add up, the first one replaces the defaults.
    var isReadingFile = false
    var hasReadSave = false
    /// Values are only looked at: nothing outside of this object changes.
    var isTrial = false

    // Lines that only a configuration file can hold.

    /// Words behind `user`, one list a line, for access control. Names and patterns are bytes.
    package var users: [[[UInt8]]] = []
    /// Some of them stand in an included file, where CONFIG REWRITE does not go.
    var includesUsers = false
    /// What the access control list wants written into the file, without `user `; not set, or nil: what is there stays.
    package var userLines: (() -> [String]?)?
    /// Words behind `loadmodule`.
    package var modules: [[String]] = []
    /// Old and new name of each `rename-command`.
    package var renamedCommands: [(old: String, new: String)] = []

    // MARK: Persistence

    package var rdbchecksum = true
    package var rdbcompression = true
    package var rdbSkipUnsupported = false
    package var backupdirname = "backupdir"
    package var backupSealedTtl = 0
    package var preloadFile = ""
    package var aofScrub = true
    /// Bytes a second.
    package var aofScrubRate = 16 << 20
    /// Seconds from the end of one pass to the beginning of the next.
    package var aofScrubInterval = 86400
    package var rdbDelSyncFiles = false
    package var stopWritesOnBgsaveError = true
    package var aofRewriteIncrementalFsync = true
    package var noAppendfsyncOnRewrite = false
    package var rdbSaveIncrementalFsync = true
    package var aofLoadTruncated = true
    package var aofUseRdbPreamble = true
    package var aofTimestampEnabled = false
    package var aofSeal = true
    package var aofPreallocate = true
    package var aofOnCorruption = CorruptionPolicy.refuse
    package var aofHistoryKeep = AOFHistory.Limit.nothing
    package var aofArchiveDir = ""
    package var aofArchiveCommand = ""
    package var aofArchiveCompression = AOFArchive.Compression.none
    package var appendonly = false
    package var aofDisableAutoGc = false
    package var dbfilename = "dump.rdb"
    package var appendfilename = "appendonly.aof"
    package var appenddirname = "appendonlydir"
    package var appendfsync = FsyncPolicy.everysec
    package var aofFsyncError = FsyncErrorPolicy.heal
    /// Bytes of records that may wait for a log at work before writes have to wait; 0: any.
    package var aofBacklogLimit = 256 << 20
    var diskSoftLimit = DiskLimit.auto
    var diskHardLimit = DiskLimit.auto
    package var sanitizeDumpPayload = DumpSanitization.no
    package var autoAofRewritePercentage = 100
    package var importMode = false
    package var rdbKeySaveDelay = 0
    package var keyLoadDelay = 0
    package var autoAofRewriteMinSize = 67108864
    package var loadingProcessEventsIntervalBytes = 2097152
    package var rdbVersion = 12
    /// The working directory, absolute after it was set.
    package var dir = "./"
    package var saveParameters = SaveParameter.standard

    // MARK: Process

    package var daemonize = false
    package var setProcTitle = true
    package var dynamicHz = true
    package var pidfile = ""
    // Lists of processors, empty or as `0,2-5`.
    package var serverCpulist = ""
    package var bioCpulist = ""
    package var bgsaveCpulist = ""
    package var aofRewriteCpulist = ""
    package var procTitleTemplate = "{title} {listen-addr} {server-mode}"
    package var localeCollate = ""
    package var supervised = Supervision.no
    package var disableThp = true
    package var oomScoreAdj = OOMScoreAdjustment.no
    package var databases = 16
    package var hz = 10
    package var shutdownTimeout = 10
    package var busyReplyThreshold = 5000
    package var oomScoreAdjValues = [0, 200, 800]
    package var shutdownOnSigint = ShutdownOptions()
    package var shutdownOnSigterm = ShutdownOptions()

    // MARK: Observation

    package var alwaysShowLogo = false
    package var syslogEnabled = false
    package var crashLogEnabled = true
    package var crashMemcheckEnabled = true
    package var useExitOnPanic = false
    /// Milliseconds; 0: none.
    package var watchdogPeriod = 0
    package var latencyTracking = true
    package var hideUserDataFromLog = false
    package var syslogIdent = "redis"
    package var ignoreWarnings = ""
    package var logfile = ""
    package var syslogFacility = "local0"
    package var loglevel = LogLevel.notice
    package var logFormat = LogFormat.legacy
    package var logTimestampFormat = LogTimestampFormat.legacy
    package var slowlogMaxLen = 128
    package var slowlogLogSlowerThan = 10000
    package var commandlogRequestLargerThan = 1 << 20
    package var commandlogLargeRequestMaxLen = 128
    package var commandlogReplyLargerThan = 1 << 20
    package var commandlogLargeReplyMaxLen = 128
    package var latencyMonitorThreshold = 0
    /// Where /metrics, /healthz and /readyz are served; port 0: nowhere.
    package var metricsPort = 0
    package var metricsBind = "127.0.0.1"
    package var notifyKeyspaceEvents = EventClass(rawValue: 0)
    package var latencyTrackingInfoPercentiles = [50, 99, 99.9]

    // MARK: Network

    package var protectedMode = true
    package var unixsocket = ""
    package var bindSourceAddr = ""
    package var port = 6379
    package var ioThreads = 1
    package var ioThreadsDoReads = false
    package var ioThreadsAlwaysActive = false
    package var tcpKeepalive = 300
    package var timeout = 0
    package var tcpBacklog = 511
    package var socketMarkId = 0
    package var maxclients = 10000
    package var unixsocketperm = 0
    package var maxNewConnectionsPerCycle = 10
    package var protoMaxBulkLen = 536870912
    package var clientQueryBufferLimit = 1073741824
    package var bind = BindAddress.standard
    package var clientOutputBufferLimits = OutputBufferLimits()
    package var tls = TLSConfiguration()

    // MARK: Memory

    package var activerehashing = true
    package var lazyfreeLazyEviction = false
    package var lazyfreeLazyExpire = false
    package var lazyfreeLazyServerDel = false
    package var lazyfreeLazyUserDel = false
    package var lazyfreeLazyUserFlush = false
    package var maxmemoryPolicy = MaxmemoryPolicy.noeviction
    package var listMaxListpackSize = -2
    package var lfuLogFactor = 10
    package var lfuDecayTime = 1
    package var maxmemorySamples = 5
    package var maxmemoryEvictionTenacity = 10
    package var listCompressDepth = 0
    package var activeExpireEffort = 1
    package var streamNodeMaxEntries = 100
    package var streamIdmpDuration = 100
    package var streamIdmpMaxsize = 100
    package var maxmemory = 0
    package var hashMaxListpackEntries = 512
    package var setMaxIntsetEntries = 512
    package var setMaxListpackEntries = 128
    package var setMaxListpackValue = 64
    package var zsetMaxListpackEntries = 128
    package var hashMaxListpackValue = 64
    package var streamNodeMaxBytes = 4096
    package var zsetMaxListpackValue = 64
    package var hllSparseMaxBytes = 3000
    package var trackingTableMaxKeys = 1000000
    package var maxmemoryClients = 0
    package var scriptMemoryLimit = 1 << 30

    // MARK: Replication

    package var replDisableTcpNodelay = false
    package var replDisklessSync = true
    package var replicaLazyFlush = false
    package var replicaServeStaleData = true
    package var replicaReadOnly = true
    package var replicaIgnoreMaxmemory = true
    package var replicaAnnounced = true
    package var replicaIgnoreDiskWriteErrors = false
    package var replicaAnnounceIp = ""
    package var masteruser = ""
    package var masterauth = ""
    package var replDisklessLoad = DisklessLoad.disabled
    package var propagationErrorBehavior = PropagationErrorBehavior.ignore
    package var replicaPriority = 100
    package var replDisklessSyncDelay = 5
    package var replicaAnnouncePort = 0
    package var replTimeout = 60
    package var replPingReplicaPeriod = 10
    package var minReplicasToWrite = 0
    package var minReplicasMaxLag = 10
    package var replDisklessSyncMaxReplicas = 0
    package var replBacklogSize = 1048576
    package var replBacklogTtl = 3600
    /// The primary to follow; nil: none.
    package var replicaof: PrimaryAddress?

    // MARK: Cluster

    package var clusterRequireFullCoverage = true
    package var clusterReplicaNoFailover = false
    package var clusterEnabled = false
    package var clusterAllowReadsWhenDown = false
    package var clusterAllowPubsubshardWhenDown = true
    package var clusterAllowReplicaMigration = true
    package var clusterAnnounceIp = ""
    package var clusterConfigFile = "nodes.conf"
    package var clusterAnnounceHostname = ""
    package var clusterAnnounceHumanNodename = ""
    package var clusterPreferredEndpointType = ClusterEndpointType.ip
    package var clusterReplicaValidityFactor = 10
    package var clusterMigrationBarrier = 1
    package var clusterPort = 0
    package var clusterAnnounceBusPort = 0
    package var clusterAnnouncePort = 0
    package var clusterAnnounceTlsPort = 0
    package var clusterNodeTimeout = 15000
    package var clusterPingInterval = 0
    package var clusterLinkSendbufLimit = 0

    // MARK: Security

    package var aclfile = ""
    package var requirepass = ""
    package var aclPubsubDefault = ACLPubSubDefault.resetchannels
    package var enableProtectedConfigs = AccessPolicy.no
    package var enableDebugCommand = AccessPolicy.no
    package var enableModuleCommand = AccessPolicy.no
    package var acllogMaxLen = 128

    package init() {
        let directives = Directives.all
        var places: [String: Int] = [:]
        for (index, directive) in directives.enumerated() {
            places[directive.name] = index
            if let alias = directive.alias { places[alias] = index }
        }
        self.directives = directives
        self.places = places
        defaults = directives.map { $0.text(self) }
    }

    /// The directive of this name or alias, in either case.
    package func directive(_ name: String) -> Directive? { place(name).map { directives[$0] } }

    /// Where in `directives` it is.
    func place(_ name: String) -> Int? { places[name] ?? places[name.lowercased()] }

    func isDefault(_ directive: Directive) -> Bool {
        places[directive.name].map { defaults[$0] == directive.text(self) } ?? false
    }

    /// The value as CONFIG GET gives it; nil: no such directive.
    package func value(of name: String) -> String? { directive(name)?.text(self) }

    /// Sets a directive as a line of the file does, without asking whether it may still change.
    package func set(_ name: String, _ words: [String]) throws(ConfigurationError) {
        guard let directive = directive(name) else {
            throw ConfigurationError("Bad directive or wrong number of arguments")
        }
        try directive.assign(self, words)
    }

    /// Has `apply` run whenever CONFIG SET changed one of the directives, once a command. What it throws undoes the
    /// whole command; it is then run again with the old values in place.
    package func onChange(_ names: String..., apply: @escaping ChangeHook.Body) { onChange(names, apply: apply) }

    package func onChange(_ names: [String], apply: @escaping ChangeHook.Body) {
        let hook = ChangeHook(apply)
        for name in names { hooks[name, default: []].append(hook) }
    }
}

package final class ChangeHook {
    package typealias Body = (ServerCore) throws(ConfigurationError) -> Void
    let apply: Body
    init(_ apply: @escaping Body) { self.apply = apply }
}
