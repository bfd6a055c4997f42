import Engine
import Primitives
#if canImport(Glibc)
import Glibc
#endif

/// Starts the server and runs it until it is told to stop.
package enum ServerMain {
    package static func run(_ arguments: [String]) throws {
        let startup = Startup(arguments)
        startup.prepareProcess()
        let core = try startup.makeCore()
        startup.showModeOrLogo()
        guard core.loadUsersAtStart() else { exit(1) }
        let lifecycle = core.lifecycle
        guard lifecycle.begin() else { exit(1) }
        core.log.write(.notice, "Server initialized")
        guard Recovery.loadAtStart(core) else { exit(1) }
        lifecycle.beReady()
        core.loop.run()
    }
}
