import Primitives
import Scripting

// Scripts that EVALSHA finds, by the SHA-1 of their source.
//
// Those that only EVAL brought are forgotten again, the one unused for longest first, beyond `ScriptCache.evalLimit`:
// clients that write values into their scripts would fill the memory. What SCRIPT LOAD brought stays.

/// A script's SHA-1.
struct ScriptDigest: Hashable {
    private static let notHex: UInt8 = 0xff
    /// What each byte is worth as a hexadecimal digit.
    private static let values: [UInt8] = (0...255).map { ASCII.hexDigitValue($0) ?? notHex }

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
        var seen: UInt8 = 0
        func word(_ range: Range<Int>) -> UInt64 {
            Self.values.withUnsafeBufferPointer { values in
                var word: UInt64 = 0
                for index in range {
                    let value = values[Int(hex[index])]
                    seen |= value
                    word = word &<< 4 | UInt64(value & 15)
                }
                return word
            }
        }
        high = word(0..<16)
        middle = word(16..<32)
        low = UInt32(truncatingIfNeeded: word(32..<40))
        if seen > 15 { return nil }
    }

    /// The digests of different scripts differ anywhere.
    func hash(into hasher: inout Hasher) { hasher.combine(high) }
}

package final class StoredScript {
    let digest: ScriptDigest
    /// The digest as text.
    let title: ScriptName
    package let source: [UInt8]
    /// By which the interpreter knows it.
    let handle: Int32
    let flags: ScriptFlags
    /// Of scripts that may be forgotten: their neighbours in order of use.
    fileprivate var newer: StoredScript?
    fileprivate unowned(unsafe) var older: StoredScript?
    fileprivate var isForgettable = false

    var name: String { title.text }

    init(_ digest: SHA1.Digest, source: [UInt8], handle: Int32, flags: ScriptFlags) {
        self.digest = ScriptDigest(digest)
        title = ScriptName(digest.hex)
        self.source = source
        self.handle = handle
        self.flags = flags
    }
}

struct ScriptCache {
    static let evalLimit = 500

    /// A power of two.
    private static let recentCount = 64

    private var scripts: [ScriptDigest: StoredScript] = [:]
    /// Scripts that came as a whole, each at a place that its text gives: looking there first saves a digest.
    private var recent: [StoredScript?] = Array(repeating: nil, count: ScriptCache.recentCount)
    private var oldest: StoredScript?
    private unowned(unsafe) var newest: StoredScript?
    private var forgettableCount = 0
    private(set) var sourceBytes = 0

    var count: Int { scripts.count }

    subscript(digest: ScriptDigest) -> StoredScript? { scripts[digest] }
    /// By the name that a client gives.
    subscript(name: Bytes) -> StoredScript? { ScriptDigest(hex: name).flatMap { scripts[$0] } }

    /// The script with this text, if it came lately.
    func find(_ source: Bytes) -> StoredScript? {
        guard let found = recent[Self.place(source)], found.source.count == source.count else { return nil }
        let isSame = found.source.withUnsafeBytes { $0.elementsEqual(source) }
        return isSame ? found : nil
    }

    mutating func remember(_ script: StoredScript) {
        recent[script.source.withUnsafeBytes { Self.place($0) }] = script
    }

    private mutating func forget(_ script: StoredScript) {
        let place = script.source.withUnsafeBytes { Self.place($0) }
        if recent[place] === script { recent[place] = nil }
    }

    private static func place(_ source: Bytes) -> Int {
        var mixed = UInt64(source.count)
        if source.count >= 8, let start = source.baseAddress {
            mixed ^= start.loadUnaligned(fromByteOffset: source.count - 8, as: UInt64.self)
            mixed ^= start.loadUnaligned(fromByteOffset: source.count / 2 - 4, as: UInt64.self) &<< 1
        }
        return Int(truncatingIfNeeded: (mixed &* 0x9e37_79b9_7f4a_7c15) &>> 32) & (recentCount - 1)
    }

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
        forget(victim)
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
        recent = Array(repeating: nil, count: Self.recentCount)
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
