import Commands
import Engine
import Primitives
import Server
import Storage
import TestSupport

/// A start or its data are not what they should be.
package struct SimulationFailure: Error, CustomStringConvertible {
    package var description: String
    package init(_ description: String) { self.description = description }
}

/// The lives of one server on one disk, its clients, and what they may rely on. All on the calling thread, whose clock
/// it takes.
package final class Simulation {
    package var settings: SimulationSettings
    package private(set) var disk: MemoryFileSystem
    package private(set) var server: SimulatedServer?
    package private(set) var history: History
    package var clock = SimulatedClock()
    package private(set) var clients: [SimulatedClient] = []
    /// Commands that were answered with an error.
    package private(set) var refusals = 0
    package private(set) var answers = 0
    private var lastReplies: [Int64: String] = [:]
    private var changesLeft = Int.max
    private var toolIsDead = false
    /// Since the last start that came through.
    private var lostPower = false
    private let table: CommandTable
    private var tickets: [Ticket] = []
    private var lastWrites: [String: Int] = [:]
    private var lastWritesOfClients: [Int: Int] = [:]

    private struct Ticket {
        /// The state that its answer tells of.
        var state: Int
        var makesDurable: Bool
        /// The client's at that time.
        var durability: Durability
        /// WAITAOF: the client's last write.
        var waitsFor: Int?
    }

    package init(_ settings: SimulationSettings, _ table: CommandTable, clientCount: Int = 3) {
        self.settings = settings
        self.table = table
        disk = MemoryFileSystem(directories: ["/", SimulatedServer.directory])
        history = History(String(repeating: "0", count: 40))
        connect(clientCount)
    }

    /// On a disk with something on it.
    package convenience init(_ settings: SimulationSettings, on disk: MemoryFileSystem) {
        self.init(settings, Simulation.makeTable(), clientCount: 1)
        self.disk = disk
    }

    /// The same server and clients on another disk, after a crash.
    private init(_ other: Simulation, on disk: MemoryFileSystem) {
        settings = other.settings
        table = other.table
        history = other.history
        clock = other.clock
        lastWrites = other.lastWrites
        self.disk = disk
        connect(other.clients.count)
    }

    package static func makeTable() -> CommandTable { CommandTable(AllCommands.families) }

    private func connect(_ count: Int) { clients = (0..<count).map { SimulatedClient(Int64($0 + 1)) } }

    // MARK: Lives

    /// Lets the disk take so many more changes from the server that lives, or from what is started next.
    package func stop(after changes: Int) {
        if let server { server.disk.stop(after: changes) } else { changesLeft = changes }
    }

    /// The disk stopped whoever was at work.
    package var isDead: Bool { server?.isDead ?? toolIsDead }

    /// What a tool does to the disk while no server lives.
    package func withTool(_ body: (any FileSystem) -> Void) {
        let stopping = StoppingFileSystem(disk, after: changesLeft)
        body(stopping)
        toolIsDead = stopping.hasStopped
    }

    /// Takes for granted what a start makes of the disk as it is.
    package func learn() throws {
        history = History(try digestOfAStart())
        history.promiseEverything()
    }

    /// The data that a start on a copy of the disk finds.
    package func digestOfAStart() throws -> String {
        let server = try SimulatedServer(disk.crashed(.killed), settings, table)
        defer { server.abandon() }
        guard server.core.loadData() else { throw SimulationFailure("what is there can't be loaded") }
        return server.digest
    }

    /// The server and its clients are gone; of the disk that is left which survives.
    package func crash(_ survival: MemoryFileSystem.Survival) {
        noteDurable()
        if !isHarmless(survival) { lostPower = true }
        let clone = disk.crashed(survival)
        server?.abandon()
        server = nil
        disk = clone
        tickets = []
        lastWritesOfClients = [:]
        connect(clients.count)
    }

    /// A start on what is left: it must come by itself, and find what it must.
    package func start() throws {
        let server = try SimulatedServer(disk, settings, table, stopAfter: changesLeft)
        changesLeft = .max
        self.server = server
        guard server.core.loadData() else {
            if server.isDead { return }
            throw SimulationFailure("the server does not start by itself; files: \(disk.paths)")
        }
        if server.isDead { return }
        let found = server.digest
        if let complaint = history.complaint(about: found, afterPowerLoss: lostPower) {
            throw SimulationFailure(complaint)
        }
        history.restart(at: found)
        lostPower = false
        // Nothing is served that is not durable.
        if settings.appendonly { history.promiseEverything() }
        for (key, state) in lastWrites { lastWrites[key] = min(state, history.latest) }
    }

    /// The same on a disk that a crash now would leave, with this simulation as it is.
    package func tryCrash(_ survival: MemoryFileSystem.Survival) throws {
        let after = Simulation(self, on: disk.crashed(survival))
        after.noteDurable(of: server)
        after.lostPower = !isHarmless(survival)
        try after.start()
        // And it works: a write is taken, is durable, and is there after another crash.
        after.send(0, ["SET", "after", "crash"])
        after.settle()
        guard after.settings.appendonly else { return }
        if after.refusals > 0 || after.clients[0].hasUnanswered {
            throw SimulationFailure("a write after the restart was not acknowledged")
        }
        after.crash(after.settings.policy == .always ? .nothing : .killed)
        try after.start()
        after.server?.abandon()
    }

    /// Takes no more than a kill. (After a failed fsync the disk may lack what `everysec` had acknowledged.)
    private func isHarmless(_ survival: MemoryFileSystem.Survival) -> Bool {
        survival == .killed && server?.core.logState?.isPoisoned != true
    }

    // MARK: What clients do

    package func send(_ client: Int, _ words: [String]) {
        guard let server, !server.isDead else { return }
        let engine = server.core.engine
        clients[client].send(words, ticket: tickets.count, to: server)
        if server.isDead { return }
        let before = history.latest
        history.note(server.digest, logEnd: engine.logEnd.rawValue)
        let database = clients[client].session.database
        if history.latest > before {
            for word in words.dropFirst() { lastWrites["\(database):\(word)"] = history.latest }
        }
        let isSave = words[0] == "SAVE" && !settings.appendonly
        let key = words.count > 1 && words[0] != "SELECT" ? words[1] : ""
        // What is queued tells of nothing.
        let tells = isSave || history.latest > before ? history.latest
            : clients[client].session.inMulti ? 0 : lastWrites["\(database):\(key)"] ?? 0
        let session = clients[client].session
        if history.latest > before { lastWritesOfClients[client] = history.latest }
        tickets.append(Ticket(state: tells, makesDurable: isSave, durability: session.durability,
                              waitsFor: words[0] == "WAITAOF" ? lastWritesOfClients[client] ?? 0 : nil))
    }

    /// Takes the answers that may leave.
    package func receive() {
        guard let server, !server.isDead else { return }
        for client in clients {
            for (ticket, text) in client.receive(from: server) {
                answers += 1
                lastReplies[client.session.id] = text
                if text.utf8.first == UInt8(ascii: "-") {
                    refusals += 1
                    continue
                }
                let ticket = tickets[ticket]
                if let written = ticket.waitsFor {
                    if text.hasPrefix("*2\r\n:1\r\n") { history.told(written, isDurable: true) }
                    continue
                }
                guard ticket.makesDurable || server.core.durableLogOffset != nil else { continue }
                let isDurable = switch ticket.durability {
                case .standard: server.core.logPolicy == .always
                case .always: true
                case .everysec: false
                }
                history.told(ticket.state, isDurable: ticket.makesDurable || isDurable)
            }
        }
    }

    /// Sends a command and takes what came back within the same round; nil: nothing yet.
    package func ask(_ client: Int, _ words: String...) -> String? {
        let id = clients[client].session.id
        lastReplies[id] = nil
        send(client, words)
        round()
        return lastReplies[id]
    }

    /// The client's last reply since `ask`.
    package func answer(_ client: Int) -> String? { lastReplies[clients[client].session.id] }

    private func noteDurable() { noteDurable(of: server) }

    private func noteDurable(of server: SimulatedServer?) {
        guard let offset = server?.core.durableLogOffset else { return }
        history.logIsDurable(upTo: offset.rawValue)
    }

    // MARK: Time

    package func round() {
        server?.round()
        receive()
    }

    package func step(_ worker: ServerWorker) -> Bool {
        guard let server, !server.isDead else { return false }
        return server.core.takeStep(of: worker)
    }

    package func pass(milliseconds: Int) {
        clock.advance(milliseconds: milliseconds)
        round()
        while step(.log) { round() }
    }

    /// SHUTDOWN. False: it was refused.
    @discardableResult
    package func shutDown(save: Bool) -> Bool {
        guard let server, !server.isDead else { return false }
        let isDone = server.core.prepareShutdown(save: save)
        receive()
        guard isDone, !server.isDead else { return false }
        if server.core.durableLogOffset != nil { history.promiseEverything() }
        return true
    }

    /// Until nobody has anything to do; an fsync that is due in a second is waited for.
    package func settle() {
        for _ in 0..<60 {
            guard let server, !server.isDead else { return }
            server.settle()
            receive()
            clock.advance(milliseconds: 100)
            if server.core.isIdle { break }
        }
        receive()
    }
}
