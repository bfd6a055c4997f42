import Commands
import Engine
import Keyspace
import NIOCore
import NIOPosix
import Primitives

/// Starts the server and runs it until it is told to stop.
package enum ServerMain {
    package static func run(_ arguments: [String]) throws {
        var port = 6379
        if let index = arguments.firstIndex(of: "--port"), index + 1 < arguments.count {
            port = Int(arguments[index + 1]) ?? port
        }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        let engine = Engine(
            keyspace: Keyspace(databaseCount: 16, seed: .random(), random: RandomSource(seed: 1)),
            table: CommandTable(AllCommands.families))
        let core = ServerCore(engine: engine, loop: loop)
        let listener = Listener(server: core, group: group)
        let channel = try listener.bootstrap(backlog: 511).bind(host: "127.0.0.1", port: port).wait()
        print("Ready to accept connections tcp")
        try channel.closeFuture.wait()
    }
}
