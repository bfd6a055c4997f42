import Commands
import Engine
import Keyspace
import Primitives
#if canImport(Glibc)
import Glibc
#endif

/// Starts the server and runs it until it is told to stop.
package enum ServerMain {
    package static func run(_ arguments: [String]) throws {
        let commandLine = CommandLineArguments(arguments)
        let table = CommandTable(AllCommands.families)
        let configuration = Configuration()
        do throws(ConfigurationFileError) {
            try configuration.load(commandLine, table)
        } catch {
            FileHandleText.write(error.report, to: STDERR_FILENO)
            exit(1)
        }
        let engine = Engine(
            keyspace: Keyspace(databaseCount: configuration.databases, seed: .random(),
                               random: RandomSource(seed: 1)), table: table)
        let loop = try EngineLoop()
        let core = ServerCore(engine: engine, loop: loop, configuration: configuration)
        core.log.write(.notice, "Server initialized")
        let listener = try Listener.listenTCP(core, host: "127.0.0.1", port: configuration.port, backlog: 511)
        core.log.write(.notice, "Ready to accept connections tcp")
        loop.run()
        listener.close()
    }
}
