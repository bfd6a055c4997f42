import Commands
import Engine
import Keyspace
import Primitives
import RESP

/// Counters of INFO stats that belong to sockets.
package struct ServerStatistics {
    package var inputBytes = 0
    package var outputBytes = 0
    /// Reads from and writes to sockets of clients.
    package var reads = 0
    package var writes = 0
    package var connectionsReceived = 0
    package var connectionsRejected = 0
    package var queryLimitDisconnections = 0
    package var outputLimitDisconnections = 0
    package var evictedClients = 0
    /// Records of the log that answered an error when they were replayed.
    package var unexpectedErrors = 0
    /// Reads and writes that I/O threads shared.
    package var threadedReads = 0
    package var threadedWrites = 0
}

/// The server around one engine: all of it runs on one event loop.
package final class ServerCore {
    package let engine: Engine
    package let loop: EngineLoop
    package let configuration: Configuration
    package let log: ServerLog
    package let environment: ServerEnvironment
    package private(set) lazy var lifecycle = Lifecycle(self)
    package var statistics: ServerStatistics {
        get { traffic.pointee.statistics }
        set { traffic.pointee.statistics = newValue }
    }
    /// What control commands and INFO keep.
    package let control = ControlState()
    /// What COMMAND has said before.
    private(set) lazy var commandReplies = CommandReplies(engine.table)
    /// The log, snapshots, and what is known of the disk.
    package private(set) lazy var persistence: Persistence = {
        let made = Persistence(self, fileSystem: environment.fileSystem)
        roundsPersistence = .passUnretained(made)
        return made
    }()
    /// The same, for what is done every round: it is called without being retained.
    private(set) var roundsPersistence: Unmanaged<Persistence>?

    /// TLS: its certificates, and connections that are not clients yet.
    private(set) lazy var encryption = Encryption(self)

    /// Frees memory and closes files on a thread of its own.
    package let background = Background()
    var cronTimer: LoopTimer?
    /// Runs when the first of the waiting clients times out, at this Unix time in ms.
    var waiterTimer: (timer: LoopTimer, deadline: Int64)?

    /// `aclfile`; nil: there is none.
    var aclFile: ACLFile?

    // MARK: Clients

    package var requestLimits = RequestLimits() {
        didSet { traffic.pointee.maximumBulkBytes = requestLimits.maximumBulkBytes }
    }
    package var connectionLimits = ConnectionLimits()
    /// By session id.
    package var connections: [Int64: Connection] = [:]
    var nextSessionID: Int64 = 1
    /// As CLIENT LIST shows the address of a Unix socket's clients.
    package var unixSocketPath = ""
    /// What connections touch with every request.
    let traffic: UnsafeMutablePointer<ClientTraffic>
    /// Room of `Connection.sharedReadBytes` for whoever reads from a socket next.
    var readBuffer: UnsafeMutableRawPointer { traffic.pointee.readBuffer }
    /// Connections that ended and are still in line to be flushed.
    var departedConnections: [Connection] = []
    /// Copies of the server in which scripts are debugged.
    var debugChildren: [Int32] = []
    /// Connections whose replies wait for the log.
    var gatedConnections: [Connection] = []
    /// Ticks in a row whose clients all wait for the log.
    var ticksOfWriters = 0
    /// There is a log, and its policy is `always`.
    var awaitsSyncs = false
    /// Nanoseconds.
    var syncsUsuallyTake: Int64 = 0
    /// When the loop may next change its processor.
    var nextMove: Int64 = 0
    /// Connections with kept input to execute.
    var resumingConnections: [Connection] = []
    package internal(set) var pause: ClientPause? {
        didSet {
            traffic.pointee.isPaused = pause != nil || logIsBehind
            engine.eviction.rests = pause != nil
        }
    }
    /// Too much waits for the log: writes are held back until it caught up.
    var logIsBehind = false {
        didSet {
            traffic.pointee.isPaused = pause != nil || logIsBehind
            if oldValue && !logIsBehind { resumePausedClients() }
        }
    }
    var pauseTimer: LoopTimer?
    private(set) lazy var snapshotTransfers = SnapshotTransfers(self)
    var pausedConnections: [Connection] = []
    var lingering: [Lingering] = []
    /// nil: `io-threads 1`.
    var ioThreads: IOThreads?
    /// The events of a round are being delivered with them.
    var isDelivering = false
    /// When they last shared a round's work.
    var lastThreadedRound = UnixMilliseconds(0)

    // What others want to know or decide about clients.

    /// Whole reply line (with minus and CR LF) that refuses a new connection; nil: welcome. Given the peer's IP
    /// (nil for a Unix socket).
    package var refusal: ((_ host: String?, _ isUnix: Bool) -> String?)?
    package var onConnect: ((Connection) -> Void)?
    package var onDisconnect: ((Connection) -> Void)?
    var lastCrossProtocolNotice = UnixMilliseconds(0)
    var lastUselessEviction = UnixMilliseconds(0)

    package init(engine: Engine, loop: EngineLoop, configuration: Configuration = Configuration(),
                 log: ServerLog = ServerLog(), environment: ServerEnvironment = ServerEnvironment()) {
        self.environment = environment
        self.engine = engine
        self.loop = loop
        self.configuration = configuration
        self.log = log
        traffic = .allocate(capacity: 1)
        traffic.initialize(to: ClientTraffic())
        engine.host = self
        configuration.core = self
        applySettings()
        startAccessControl()
        engine.onCrossProtocolRequest = { [unowned(unsafe) self] in noteCrossProtocolRequest($0) }
        engine.sessionWithID = { [unowned(unsafe) self] id in connections[id]?.session }
        engine.uncountedMemory = { [unowned(unsafe) self] in persistence.logCounters.pendingBytes }
        engine.releaseGarbage = { [unowned(unsafe) self] in
            background.free(self.engine.keyspace.takeGarbage())
        }
        engine.refreshClock = { [unowned self] in updateClock() }
        updateClock()
        loop.core = .passUnretained(self)
        startObserving()
        connectScripts()
        loop.schedule(everyMilliseconds: 1000) { [unowned(unsafe) self] in lookAfterClients() }
        startCron()
    }

    deinit {
        if loop.core?.toOpaque() == Unmanaged.passUnretained(self).toOpaque() { loop.core = nil }
        if configuration.core === self { configuration.core = nil }
        engine.host = nil
        traffic.pointee.deallocate()
        traffic.deallocate()
    }
}
