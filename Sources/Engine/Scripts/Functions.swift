import Commands
import Keyspace
import Primitives
import RESP
import Scripting

// Libraries of functions: loaded, replaced and forgotten as wholes. They belong to the data: FUNCTION's commands are in
// the log, snapshots hold the sources, and a start loads them before anything is served.

/// A function that FCALL finds.
package final class StoredFunction {
    let title: ScriptName
    package let description: [UInt8]?
    package let flags: ScriptFlags
    let handle: Int32

    init(_ declaration: FunctionDeclaration, name: String) {
        title = ScriptName(name)
        description = declaration.description.map { Array($0) }
        flags = declaration.flags
        handle = declaration.handle
    }

    package var name: String { title.text }
}

package final class FunctionLibrary {
    package let name: String
    package let source: [UInt8]
    /// In order of registration.
    package internal(set) var functions: [StoredFunction] = []

    init(name: String, source: [UInt8]) {
        self.name = name
        self.source = source
    }
}

/// What is loaded.
package final class FunctionLibraries {
    package fileprivate(set) var byName: [String: FunctionLibrary] = [:]
    /// By name in lower case: which letters are capitals does not matter.
    fileprivate var functions: [String: (function: StoredFunction, library: FunctionLibrary)] = [:]
    /// Replies that rest on the libraries wait until the log is durable up to here.
    package internal(set) var changedAt = LogOffset(0)

    package var functionCount: Int { functions.count }
    package var libraryCount: Int { byName.count }
    package var sourceBytes: Int { byName.values.reduce(0) { $0 + $1.source.count } }
    /// In order of their names.
    package var sorted: [FunctionLibrary] { byName.values.sorted { $0.name < $1.name } }

    func find(_ name: Bytes) -> StoredFunction? {
        guard name.count <= 512 else { return nil }
        let key = withUnsafeTemporaryAllocation(byteCount: name.count + 1, alignment: 1) { small in
            for index in 0..<name.count { small[index] = ASCII.lowercased(name[index]) }
            return String(decoding: small.prefix(name.count), as: UTF8.self)
        }
        return functions[key]?.function
    }
}

/// What becomes of libraries that are there when others are restored.
package enum RestorePolicy: Sendable { case append, replace, flush }

extension ScriptRunner {
    /// How long a client's library may take to register its functions.
    private static let loadLimitNanoseconds: UInt64 = 500_000_000

    /// FUNCTION LOAD; answers the library's name.
    /// - Parameter isTrusted: from a log or a dump, where it was loaded before.
    package func load(_ source: Bytes, replaces: Bool, isTrusted: Bool) throws(CommandError) -> String {
        let (name, _) = try Shebang.ofLibrary(source)
        if !replaces && libraries.byName[name] != nil { throw .message("ERR Library '\(name)' already exists") }
        let library = try prepare(source, isTrusted: isTrusted)
        try link([library], replaces ? .replace : .append)
        return name
    }

    /// FUNCTION RESTORE: all of the libraries or none.
    package func restore(_ sources: [Bytes], _ policy: RestorePolicy, isTrusted: Bool) throws(CommandError) {
        var prepared: [FunctionLibrary] = []
        do throws(CommandError) {
            for source in sources { prepared.append(try prepare(source, isTrusted: isTrusted)) }
        } catch {
            drop(prepared)
            throw error
        }
        try link(prepared, policy)
    }

    /// FUNCTION DELETE. False: there is none of this name.
    package func deleteLibrary(_ name: String) -> Bool {
        guard let library = libraries.byName[name] else { return false }
        unlink(library)
        noteChange()
        return true
    }

    /// FUNCTION FLUSH.
    package func flushLibraries(lazily: Bool) {
        libraries.byName.removeAll()
        libraries.functions.removeAll()
        forgetFunctions(lazily: lazily)
        noteChange()
    }

    private func noteChange() { libraries.changedAt = LogOffset(engine.logEnd.rawValue &+ 1) }

    /// Runs a library, so that it registers its functions, without making them callable.
    private func prepare(_ source: Bytes, isTrusted: Bool) throws(CommandError) -> FunctionLibrary {
        let (name, body) = try Shebang.ofLibrary(source)
        let interpreter = try functionInterpreter()
        let library = FunctionLibrary(name: name, source: Array(source))
        registering = library
        if !isTrusted { loadDeadline = engine.monotonicNow &+ Self.loadLimitNanoseconds }
        let message = interpreter.loadLibrary(body)
        registering = nil
        loadDeadline = nil
        if let message {
            drop([library])
            throw .message("ERR \(message)")
        }
        if library.functions.isEmpty { throw .text("ERR No functions registered") }
        return library
    }

    package func register(_ function: FunctionDeclaration) -> StaticString? {
        guard let registering else { return "redis.register_function can only be called on FUNCTION LOAD command" }
        guard Shebang.isName(function.name) else {
            return """
                Library names can only contain letters, numbers, or underscores(_) and must be at least one character \
                long
                """
        }
        let name = String(decoding: function.name, as: UTF8.self)
        if registering.functions.contains(where: { $0.name == name }) {
            return "Function already exists in the library"
        }
        registering.functions.append(StoredFunction(function, name: name))
        return nil
    }

    private func link(_ added: [FunctionLibrary], _ policy: RestorePolicy) throws(CommandError) {
        do throws(CommandError) {
            try check(added, policy)
        } catch {
            drop(added)
            throw error
        }
        if policy == .flush { for library in libraries.sorted { unlink(library) } }
        for library in added {
            if let old = libraries.byName[library.name] { unlink(old) }
            libraries.byName[library.name] = library
            for function in library.functions { libraries.functions[function.name.lowercased()] = (function, library) }
        }
        noteChange()
    }

    /// Names are unique: those of libraries, and those of all functions.
    private func check(_ added: [FunctionLibrary], _ policy: RestorePolicy) throws(CommandError) {
        var names: Set<String> = []
        var functionNames: Set<String> = []
        let replaced = policy == .append ? [] : Set(added.map(\.name))
        for library in added {
            if !names.insert(library.name).inserted
                || policy == .append && libraries.byName[library.name] != nil {
                throw .message("ERR Library \(library.name) already exists")
            }
            for function in library.functions {
                let key = function.name.lowercased()
                let holder = policy == .flush ? nil : libraries.functions[key]?.library
                if !functionNames.insert(key).inserted || holder.map({ !replaced.contains($0.name) }) ?? false {
                    throw .message("ERR Function \(function.name) already exists")
                }
            }
        }
    }

    private func unlink(_ library: FunctionLibrary) {
        libraries.byName[library.name] = nil
        for function in library.functions { libraries.functions[function.name.lowercased()] = nil }
        drop([library])
    }

    /// Lua forgets the functions of libraries that are not linked.
    private func drop(_ dropped: [FunctionLibrary]) {
        guard let interpreter = try? functionInterpreter() else { return }
        for library in dropped {
            for function in library.functions { interpreter.dropFunction(function.handle) }
        }
    }
}
