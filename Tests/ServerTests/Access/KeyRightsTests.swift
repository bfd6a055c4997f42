import Commands
import Foundation
import Primitives
import RESP
import TestSupport
import Testing
@testable import Engine
@testable import Server

/// `%R~` and `%W~`, for each key of each command: what Redis' table of commands says that a command does with a key is
/// what a user needs for it.
@Suite struct KeyRightsTests {
    private let table = CommandTable(AllCommands.families)

    /// A key spec in the notation of Fixtures/commands.tsv, read without the code under test.
    private struct Spec {
        var word: String?
        var place = 0
        var isCounted = false
        var numbers: [Int] = []
        var flags: Set<String> = []

        init?(_ text: String) {
            let parts = text.split(whereSeparator: { ">{}".contains($0) }).map(String.init)
            guard parts.count == 3, parts[0] != "unk", parts[1] != "unk" else { return nil }
            if parts[0].hasPrefix("kw:") {
                let pair = parts[0].dropFirst(3).split(separator: "@").map(String.init)
                (word, place) = (pair[0], max(Int(pair[1]) ?? 0, 1))
            } else {
                place = Int(parts[0].dropFirst(4)) ?? 0
            }
            isCounted = parts[1].hasPrefix("num:")
            numbers = parts[1].dropFirst(4).split(separator: "/").compactMap { Int($0) }
            flags = Set(parts[2].split(separator: ",").map(String.init))
        }

        var reads: Bool { flags.contains("access") }
        var writes: Bool { !flags.isDisjoint(with: ["insert", "update", "delete"]) }

        /// Puts a key where this spec finds one.
        func put(_ key: String, into words: inout [Int: String]) {
            var first = place
            if let word {
                words[first] = word
                first += 1
            }
            if isCounted {
                words[first + numbers[0]] = "1"
                words[first + numbers[1]] = key
                return
            }
            words[first] = key
            for number in 0..<max(numbers[0], 0) { words[first + number + 1] = key }
            // Keys up to the n-th argument from the end, or in the first half of what follows.
            let behind = numbers[2] > 1 ? 1 : numbers[0] < 0 ? -numbers[0] - 1 : 0
            for place in 0..<behind { words[first + 1 + place] = words[first + 1 + place] ?? "1" }
        }
    }

    /// Commands whose line decides what they do with a key, or where it is: their own tests are in AccessRulesTests.
    private static let byLine: Set<String> = ["set", "bitfield", "sort", "sort_ro", "migrate", "georadius",
                                              "georadiusbymember", "xread", "xreadgroup"]

    private func rows() throws -> [(name: String, specs: [Spec])] {
        try String(contentsOfFile: Fixture.path("commands.tsv"), encoding: .utf8).split(separator: "\n")
            .filter { !$0.hasPrefix("#") }.dropFirst().compactMap { line in
                let fields = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
                guard fields.count > 4, !Self.byLine.contains(fields[0].lowercased()) else { return nil }
                let specs = fields[4].split(separator: ";").map { String($0.drop { $0 == " " }) }.map { Spec($0) }
                return (fields[0].lowercased(), specs.compactMap { $0?.flags.contains("not_key") == true ? nil : $0 })
            }
    }

    private func permits(_ rules: [String], _ name: String, _ words: [Int: String]) throws -> Bool {
        let access = AccessControl(table)
        try access.change(Array("u".utf8), rules.map { Array($0.utf8) })
        let user = try #require(Array("u".utf8).withUnsafeBytes { access.user(named: Bytes($0)) })
        var line = name.split(separator: "|").map { Array($0.utf8) }
        let last = max(words.keys.max() ?? 0, line.count)
        for place in line.count...last { line.append(Array((words[place] ?? "1").utf8)) }
        let block = line.flatMap { $0 }
        return try block.withUnsafeBytes { bytes in
            var offset = 0
            let ranges = line.map { word in
                defer { offset += word.count }
                return Bytes(rebasing: bytes[offset..<(offset + word.count)])
            }
            return try ranges.withUnsafeBufferPointer { buffer in
                let arguments = Arguments(base: try #require(buffer.baseAddress), count: buffer.count)
                var id = try #require(table.find(arguments[0]), "\(name)")
                if name.contains("|") { id = try #require(table.findSubcommand(arguments[1], of: id), "\(name)") }
                return access.denial(user, id, arguments) == nil
            }
        }
    }

    @Test func eachKeyOfEachCommandNeedsWhatTheCommandDoesWithIt() throws {
        var looked = 0
        for (name, specs) in try rows() {
            for (index, spec) in specs.enumerated() {
                var words: [Int: String] = [:]
                for (other, place) in specs.enumerated() { place.put(other == index ? "target" : "free", into: &words) }
                guard words.values.contains("target") else { continue }
                looked += 1
                let common = ["on", "+@all", "~free"]
                let what = "\(name), key \(index): \(words)"
                #expect(try !permits(common, name, words), "\(what) with no right")
                #expect(try permits(common + ["~target"], name, words), "\(what) with both rights")
                #expect(try permits(common + ["%R~target"], name, words) == !spec.writes, "\(what) with %R~")
                #expect(try permits(common + ["%W~target"], name, words) == !spec.reads, "\(what) with %W~")
                // Nor does what one selector gives help another.
                if spec.reads && spec.writes {
                    let split = common + ["%R~target", "(%W~target ~free +@all)"]
                    #expect(try !permits(split, name, words), "\(what) with rights of two selectors")
                }
            }
        }
        #expect(looked > 180, "\(looked) keys were looked at")
    }
}
