import Primitives
import RESP

/// The latest commands that took long, newest last; or those whose request or reply was large.
package final class SlowLog {
    package struct Entry {
        package let id: Int64
        package let time: UnixMilliseconds
        /// Microseconds, or bytes.
        package let amount: Int64
        package let arguments: [[UInt8]]
        package let address: String
        package let name: [UInt8]
    }

    /// More arguments than this are only counted.
    private static let shownArguments = 32
    private static let shownBytes = 128

    package private(set) var entries: [Entry] = []
    private var nextID: Int64 = 0
    /// `slowlog-max-len`
    package var maximumLength = 128 {
        didSet { trim() }
    }

    init() {}

    func add(_ arguments: Arguments, redacted: UInt64, amount: Int64, at time: UnixMilliseconds,
             address: String, name: [UInt8]) {
        let count = min(arguments.count, Self.shownArguments)
        var shown: [[UInt8]] = []
        for index in 0..<count {
            if index == Self.shownArguments - 1 && arguments.count > Self.shownArguments {
                shown.append(Array("... (\(arguments.count - count + 1) more arguments)".utf8))
            } else if index < 64 && redacted & (1 << UInt64(index)) != 0 {
                shown.append(Array("(redacted)".utf8))
            } else {
                shown.append(Self.shortened(arguments[index]))
            }
        }
        entries.append(Entry(id: nextID, time: time, amount: amount, arguments: shown,
                             address: address, name: name))
        nextID += 1
        trim()
    }

    private static func shortened(_ bytes: Bytes) -> [UInt8] {
        if bytes.count <= shownBytes { return Array(bytes) }
        return Array(bytes.prefix(shownBytes)) + Array("... (\(bytes.count - shownBytes) more bytes)".utf8)
    }

    private func trim() {
        if entries.count > maximumLength { entries.removeFirst(entries.count - maximumLength) }
    }

    package func removeAll() { entries.removeAll() }
}
