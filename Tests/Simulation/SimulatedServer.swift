import Commands
import Engine
import Keyspace
import Primitives
import RESP
import Server
import Storage
import TestSupport

/// What a simulated server is started with.
package struct SimulationSettings: Sendable {
    package var policy = FsyncPolicy.always
    package var appendonly = true
    package var usesPreamble = true
    /// Bytes from which on the log rewrites itself; 0: never.
    package var rewriteMinimum = 0
    /// How far ahead of its end the log's file is made.
    package var preallocation = LogPreallocation.Rule.usual
    package var bug: PlantedBug?
    /// Prints the server's log.
    package var isVerbose = false
    /// Further changes of the configuration.
    package var configure: (@Sendable (Configuration) -> Void)?

    package init(_ policy: FsyncPolicy = .always) { self.policy = policy }
}

/// One life of the whole server core over a disk in memory: engine, log, snapshots, recovery, cron; without sockets,
/// threads and children. It ends when the disk stops, or when it is abandoned.
package final class SimulatedServer {
    package static let directory = "/data"
    package let core: ServerCore
    package let disk: StoppingFileSystem
    private let images: ImageDiskAdapter
    /// What the server ended itself with; nil: it did not.
    package var exitStatus: Int32? { exits.status }
    private let exits = Exits()

    private final class Exits {
        var status: Int32?
    }

    /// Its files are let go when it is not needed any more.
    private var isAbandoned = false

    /// - Parameter stopAfter: how many changes the disk takes before this life ends.
    package init(_ memory: MemoryFileSystem, _ settings: SimulationSettings, _ table: CommandTable,
                 stopAfter: Int = .max) throws {
        disk = StoppingFileSystem(memory, through: settings.bug?.over(memory) ?? memory, after: stopAfter)
        images = ImageDiskAdapter(disk)
        let keyspace = Keyspace(databaseCount: 4, seed: HashSeed(k0: 1, k1: 2), random: RandomSource(seed: 1))
        let engine = Engine(keyspace: keyspace, table: table)
        let log = ServerLog()
        var environment = ServerEnvironment(simulating: disk, imageDisk: images.imageDisk)
        let exits = exits
        environment.exit = { exits.status = $0 }
        var numbers = RandomSource(seed: UInt64(memory.changeCount))
        environment.makeID = { numbers.next() | 1 << 63 }
        environment.preallocation = settings.preallocation
        if let bug = settings.bug { environment.overFraming = bug.over }
        let configuration = Configuration()
        configuration.dir = Self.directory
        configuration.databases = 4
        configuration.appendonly = settings.appendonly
        configuration.appendfsync = settings.policy
        configuration.aofUseRdbPreamble = settings.usesPreamble
        configuration.saveParameters = []
        if !settings.isVerbose { configuration.loglevel = .nothing }
        configuration.autoAofRewritePercentage = settings.rewriteMinimum > 0 ? 100 : 0
        configuration.autoAofRewriteMinSize = settings.rewriteMinimum
        settings.configure?(configuration)
        core = ServerCore(engine: engine, loop: try EngineLoop(), configuration: configuration, log: log,
                          environment: environment)
    }

    deinit { abandon() }

    package func abandon() {
        if !isAbandoned { core.abandon() }
        isAbandoned = true
    }

    /// What happened since happened to nobody: the process is dead.
    package var isDead: Bool { disk.hasStopped }

    /// One round of the event loop: timers that are due, cron, what workers brought, the end of a tick.
    package func round() { core.loop.runOnce() }

    /// Rounds and steps until nobody has anything to do.
    package func settle() {
        for _ in 0..<1000 {
            round()
            var isBusy = false
            for worker in ServerWorker.allCases where core.takeStep(of: worker) { isBusy = true }
            if !isBusy { break }
        }
        round()
    }

    package var digest: String { core.dataDigest }
}

/// A client without a socket: what leaves its session's gates has arrived.
package final class SimulatedClient {
    package let session: Session
    /// Reply bytes made so far, and those that arrived.
    private var produced = 0
    private var arrived = 0
    /// Commands whose replies have not arrived, with where these end.
    private var waiting: [(ticket: Int, end: Int, text: String)] = []
    private var blockedTicket: Int?

    package init(_ id: Int64) { session = Session(id: id) }

    package var isBlocked: Bool { blockedTicket != nil }
    package var hasUnanswered: Bool { !waiting.isEmpty || blockedTicket != nil }

    /// Executes a command as if its bytes had come.
    package func send(_ words: [String], ticket: Int, to server: SimulatedServer) {
        let before = session.output.pointee.count
        SimulatedClient.withArguments(words) { server.core.engine.execute(session, $0, raw: nil) }
        let made = session.output.pointee.count - before
        if made == 0 && session.waiting != nil {
            blockedTicket = ticket
            return
        }
        produced += made
        waiting.append((ticket, produced, text(from: before)))
    }

    /// Takes what may leave: the tickets answered, and with what.
    package func receive(from server: SimulatedServer) -> [(ticket: Int, text: String)] {
        let engine = server.core.engine
        if let ticket = blockedTicket, session.waiting == nil {
            blockedTicket = nil
            let start = produced - arrived + session.sentCount
            produced = arrived + session.output.pointee.count - session.sentCount
            waiting.append((ticket, produced, text(from: start)))
        }
        let ready = session.releasable(engine.acknowledged(for: session.durability)) - session.sentCount
        if ready > 0 {
            arrived += ready
            session.sent(ready)
        }
        let answered = waiting.prefix { $0.end <= arrived }
        waiting.removeFirst(answered.count)
        return answered.map { ($0.ticket, $0.text) }
    }

    /// A reply's beginning, as it is in the output.
    private func text(from start: Int) -> String {
        String(decoding: session.output.pointee.bytes.from(start).prefix(400), as: UTF8.self)
    }

    package static func withArguments(_ words: [String], _ body: (Arguments) -> Void) {
        var block = OwnedBytes(capacity: 64)
        var bounds: [(Int, Int)] = []
        for word in words {
            bounds.append((block.count, word.utf8.count))
            block.append(word)
        }
        block.reserve(1)
        let ranges = bounds.map { Bytes(start: block.base + $0.0, count: $0.1) }
        ranges.withUnsafeBufferPointer { buffer in
            if let base = buffer.baseAddress { body(Arguments(base: base, count: buffer.count)) }
        }
    }
}
