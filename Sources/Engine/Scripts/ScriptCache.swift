import Scripting

// Scripts that EVALSHA finds, by the SHA-1 of their source.
//
// Those that only EVAL brought are forgotten again, the one unused for longest first, beyond `ScriptCache.evalLimit`:
// clients that write values into their scripts would fill the memory. What SCRIPT LOAD brought stays.

package final class StoredScript {
    let name: String
    package let source: [UInt8]
    let flags: ScriptFlags
    /// Of scripts that may be forgotten: their neighbours in order of use.
    fileprivate var newer: StoredScript?
    fileprivate unowned(unsafe) var older: StoredScript?
    fileprivate var isForgettable = false

    init(name: String, source: [UInt8], flags: ScriptFlags) {
        self.name = name
        self.source = source
        self.flags = flags
    }
}

struct ScriptCache {
    static let evalLimit = 500

    private(set) var scripts: [String: StoredScript] = [:]
    private var oldest: StoredScript?
    private unowned(unsafe) var newest: StoredScript?
    private var forgettableCount = 0
    private(set) var sourceBytes = 0

    var count: Int { scripts.count }

    subscript(name: String) -> StoredScript? { scripts[name] }

    /// - Returns: a script that is forgotten in exchange.
    mutating func add(_ script: StoredScript, isForgettable: Bool) -> StoredScript? {
        scripts[script.name] = script
        sourceBytes += script.source.count + 40
        guard isForgettable else { return nil }
        append(script)
        guard forgettableCount > Self.evalLimit, let victim = oldest else { return nil }
        unlink(victim)
        scripts[victim.name] = nil
        sourceBytes -= victim.source.count + 40
        return victim
    }

    mutating func used(_ script: StoredScript) {
        if !script.isForgettable || newest === script { return }
        unlink(script)
        append(script)
    }

    /// SCRIPT LOAD was asked for it.
    mutating func keep(_ script: StoredScript) {
        if script.isForgettable { unlink(script) }
    }

    mutating func removeAll() {
        // One by one: a long chain freed at once would recurse.
        while let script = oldest { unlink(script) }
        scripts.removeAll()
        sourceBytes = 0
    }

    private mutating func append(_ script: StoredScript) {
        script.isForgettable = true
        script.older = newest
        if let newest { newest.newer = script } else { oldest = script }
        newest = script
        forgettableCount += 1
    }

    private mutating func unlink(_ script: StoredScript) {
        let newer = script.newer
        if let older = script.older { older.newer = newer } else { oldest = newer }
        if let newer { newer.older = script.older } else { newest = script.older }
        script.newer = nil
        script.older = nil
        script.isForgettable = false
        forgettableCount -= 1
    }
}
