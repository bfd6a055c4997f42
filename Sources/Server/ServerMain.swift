import Commands
import Engine
import Keyspace
import Primitives

/// Starts the server and runs it until it is told to stop.
package enum ServerMain {
    package static func run(_ arguments: [String]) throws {
        var port = 6379
        if let index = arguments.firstIndex(of: "--port"), index + 1 < arguments.count {
            port = Int(arguments[index + 1]) ?? port
        }
        let engine = Engine(
            keyspace: Keyspace(databaseCount: 16, seed: .random(), random: RandomSource(seed: 1)),
            table: CommandTable(AllCommands.families))
        let loop = try EngineLoop()
        let core = ServerCore(engine: engine, loop: loop)
        let listener = try Listener.listenTCP(core, host: "127.0.0.1", port: port, backlog: 511)
        print("Ready to accept connections tcp")
        loop.run()
        listener.close()
    }
}
