import Commands
import Engine
import Primitives
import Storage

// Function libraries between the engine, which runs them, and files, which keep their sources.

extension ServerCore {
    /// The engine's libraries changed: what snapshots and bases are to hold follows.
    func noteFunctions() {
        persistence.functions.removeAll()
        for library in engine.scripts.libraries.sorted {
            library.source.withUnsafeBytes { persistence.functions.append($0) }
        }
    }

    /// The reply tells of libraries that the log may still lose.
    func readsFunctions() {
        if engine.scripts.libraries.changedAt > engine.acknowledged { engine.keyspace.readsEveryKey() }
    }

    func restore(_ functions: borrowing RDBFunctions, _ policy: RestorePolicy, isTrusted: Bool) throws(CommandError) {
        var sources: [Bytes] = []
        functions.forEach { sources.append($0) }
        try engine.scripts.restore(sources, policy, isTrusted: isTrusted)
    }

    /// What a loaded file holds is callable from now on.
    func take(_ functions: borrowing RDBFunctions, _ path: String, replaces: Bool) throws(StorageError) {
        if functions.count == 0 { return }
        do throws(CommandError) {
            try restore(functions, replaces ? .replace : .append, isTrusted: true)
        } catch {
            throw StorageError(.load, path, .unsupported(
                "a library of functions can't be loaded: \(engine.line(of: error)). Remove it with the server that "
                    + "wrote the file (FUNCTION DELETE), or repair its code"))
        }
        noteFunctions()
    }

    /// Before files are loaded into a server that runs.
    func forgetFunctions() {
        engine.scripts.flushLibraries(lazily: false)
        noteFunctions()
    }
}
