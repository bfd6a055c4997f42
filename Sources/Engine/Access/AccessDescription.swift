import Primitives

// Users as text that `RuleReader` reads back:
//
//     on nopass sanitize-payload ~* &* +@all
//     off sanitize-payload #9f86… %R~log:* resetchannels -@all +get (~tmp:* resetchannels -@all +@write)

extension UserRules {
    /// Without `user` and the name.
    package var description: [UInt8] {
        var words = flags.map { Array("\($0)".utf8) }
        words += passwords.map { Array("#".utf8) + $0 }
        words += root.words
        for selector in selectors {
            words.append(Array("(".utf8) + Self.joined(selector.words.map(Self.quotedWithin)) + Array(")".utf8))
        }
        return Self.joined(words)
    }

    package var flags: [StaticString] {
        var flags: [StaticString] = [isEnabled ? "on" : "off"]
        if needsNoPassword { flags.append("nopass") }
        flags.append(skipsSanitizing ? "skip-sanitize-payload" : "sanitize-payload")
        return flags
    }

    static func joined(_ words: [[UInt8]]) -> [UInt8] { Array(words.joined(separator: [UInt8(ascii: " ")])) }

    /// A selector's words are split as a shell's: what looks like a quote, or ends like the selector, is quoted.
    private static func quotedWithin(_ word: [UInt8]) -> [UInt8] {
        let hasQuotes = word.contains(UInt8(ascii: "\"")) || word.contains(UInt8(ascii: "'"))
        if !hasQuotes && word.last != UInt8(ascii: ")") { return word }
        var quoted = OwnedBytes()
        word.withUnsafeBytes { Quote.append($0, to: &quoted) }
        return Array(quoted.bytes)
    }
}

extension Selector {
    var words: [[UInt8]] {
        keyWords + (allowsAllChannels ? [] : [Array("resetchannels".utf8)]) + channelWords + commandWords
    }

    private var keyWords: [[UInt8]] { allowsAllKeys ? [Array("~*".utf8)] : keys.map(\.text) }
    private var channelWords: [[UInt8]] {
        allowsAllChannels ? [Array("&*".utf8)] : channels.map { Array("&".utf8) + $0 }
    }
    private var commandWords: [[UInt8]] {
        let sign = { (allows: Bool) -> [UInt8] in [UInt8(ascii: allows ? "+" : "-")] }
        return [sign(beginsWithAll) + Array("@all".utf8)] + commandRules.map { sign($0.allows) + $0.text }
    }

    // As ACL GETUSER shows them.
    package var keyText: [UInt8] { UserRules.joined(keyWords) }
    package var channelText: [UInt8] { UserRules.joined(channelWords) }
    package var commandText: [UInt8] { UserRules.joined(commandWords) }
}

extension KeyPattern {
    fileprivate var text: [UInt8] {
        let sign = switch permissions {
        case .read: "%R~"
        case .write: "%W~"
        default: "~"
        }
        return Array(sign.utf8) + pattern
    }
}
