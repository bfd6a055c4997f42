import Primitives
import Scripting

// Scripts that EVALSHA finds, by the SHA-1 of their source.
//
// Those that only EVAL brought are forgotten again, the one unused for longest first, beyond `ScriptCache.evalLimit`:
// clients that write values into their scripts would fill the memory. What SCRIPT LOAD brought stays.

/// A script's SHA-1.
struct ScriptDigest: Hashable {
    private let high: UInt64, middle: UInt64, low: UInt32

    init(_ digest: SHA1.Digest) {
        let words = digest.words
        high = UInt64(words.0) << 32 | UInt64(words.1)
        middle = UInt64(words.2) << 32 | UInt64(words.3)
        low = words.4
    }

    /// Of 40 hexadecimal digits, whatever their case; nil: it is none.
    init?(hex: Bytes) {
        guard hex.count == 40 else { return nil }
        var words: (UInt64, UInt64, UInt64) = (0, 0, 0)
        for index in 0..<40 {
            guard let digit = ASCII.hexDigitValue(hex[index]) else { return nil }
            if index < 16 {
                words.0 = words.0 << 4 | UInt64(digit)
            } else if index < 32 {
                words.1 = words.1 << 4 | UInt64(digit)
            } else {
                words.2 = words.2 << 4 | UInt64(digit)
            }
        }
        high = words.0
        middle = words.1
        low = UInt32(truncatingIfNeeded: words.2)
    }
}

package final class StoredScript {
    let digest: ScriptDigest
    /// The digest as text.
    let name: String
    package let source: [UInt8]
    let flags: ScriptFlags
    /// Of scripts that may be forgotten: their neighbours in order of use.
    fileprivate var newer: StoredScript?
    fileprivate unowned(unsafe) var older: StoredScript?
    fileprivate var isForgettable = false

    init(_ digest: SHA1.Digest, source: [UInt8], flags: ScriptFlags) {
        self.digest = ScriptDigest(digest)
        name = digest.hex
        self.source = source
        self.flags = flags
    }
}

struct ScriptCache {
    static let evalLimit = 500

    private var scripts: [ScriptDigest: StoredScript] = [:]
    private var oldest: StoredScript?
    private unowned(unsafe) var newest: StoredScript?
    private var forgettableCount = 0
    private(set) var sourceBytes = 0

    var count: Int { scripts.count }

    subscript(digest: ScriptDigest) -> StoredScript? { scripts[digest] }
    /// By the name that a client gives.
    subscript(name: Bytes) -> StoredScript? { ScriptDigest(hex: name).flatMap { scripts[$0] } }

    /// - Returns: a script that is forgotten in exchange.
    mutating func add(_ script: StoredScript, isForgettable: Bool) -> StoredScript? {
        scripts[script.digest] = script
        sourceBytes += script.source.count + 40
        guard isForgettable else { return nil }
        append(script)
        guard forgettableCount > Self.evalLimit, let victim = oldest else { return nil }
        unlink(victim)
        scripts[victim.digest] = nil
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
