import Primitives
import Testing

@Suite struct TextTests {
    func split(_ line: String) -> [String]? { split(Array(line.utf8)) }
    func split(_ line: [UInt8]) -> [String]? {
        withBytes(line) { bytes in
            guard let list = SplitArguments.split(bytes) else { return nil }
            return list.strings()
        }
    }

    @Test func splitsLines() {
        #expect(split("") == [] && split("  \t ") == [] && split("a") == ["a"])
        #expect(split("  SET key  value\r\n") == ["SET", "key", "value"])
        #expect(split("\"a b\" 'c d' e") == ["a b", "c d", "e"] && split("\"\" ''") == ["", ""])
        #expect(split("\"\\n\\r\\t\\b\\a\\\\\\\"\\q\"") == ["\n\r\t\u{8}\u{7}\\\"q"])
        #expect(split("\"\\x41\\x7a\\xZZ\\x4\"") == ["AzxZZx4"])
        #expect(split("'it\\'s' 'a\\n'") == ["it's", "a\\n"])
        #expect(split("a\"b c\"") == ["ab c"] && split("a'b c'") == ["ab c"] && split("a\\n") == ["a\\n"])
        #expect(split("a\u{b}b \u{c}c") == ["a\u{b}b", "c"])
        #expect(split("save 900 1 # no comment here") == ["save", "900", "1", "#", "no", "comment", "here"])
    }

    @Test func refusesUnbalancedQuotes() {
        for line in ["\"", "'", "\"a", "'a", "\"a\"b", "'a'b", "\"a\"\"b\"", "a\"", "\"a\\\"", "'a\\'", "\"\\"] {
            #expect(split(line) == nil, "\(line)")
        }
    }

    @Test func aNULEndsTheLine() {
        #expect(split([97, 0, 98]) == ["a"] && split([0]) == [] && split([34, 97, 34, 0, 98]) == ["a"])
        #expect(split([34, 97, 0, 34]) == nil)
    }

    @Test func argumentsAreBytes() {
        withBytes("\"\\xff\\x00\" b") { line in
            guard let list = SplitArguments.split(line) else { Issue.record("refused"); return }
            #expect(list.count == 2 && Array(list[0]) == [255, 0] && Array(list[1]) == [98])
        }
    }

    func quoted(_ array: [UInt8]) -> String {
        var out = OwnedBytes()
        withBytes(array) { Quote.append($0, to: &out) }
        return String(decoding: out.bytes, as: UTF8.self)
    }

    @Test func quotes() {
        #expect(quoted([]) == "\"\"" && quoted(Array("a b".utf8)) == "\"a b\"")
        #expect(quoted([92, 34, 10, 13, 9, 7, 8, 0, 127, 255, 39]) == "\"\\\\\\\"\\n\\r\\t\\a\\b\\x00\\x7f\\xff'\"")
        for (text, needed) in [("", false), ("plain", false), ("a b", true),
            ("a\"", true), ("\\", true), ("\u{e9}", true)] {
            #expect(withBytes(text) { Quote.isNeeded($0) } == needed)
        }
    }

    @Test func whatIsQuotedSplitsBack() {
        var random = TestRandom(state: printedSeed())
        for value in UInt8.min ... .max { check([value]) }
        for _ in 0..<2000 {
            check((0..<Int.random(in: 0...40, using: &random)).map { _ in UInt8(truncatingIfNeeded: random.next()) })
        }
        func check(_ array: [UInt8]) {
            withBytes(quoted(array)) { line in
                guard let list = SplitArguments.split(line), list.count == 1 else { Issue.record("refused"); return }
                #expect(Array(list[0]) == array)
            }
        }
    }

    @Test func memorySizes() {
        func size(_ text: String) -> UInt64? { withBytes(text) { MemorySize.parse($0) } }
        // As redis-server 7.0.15 took CONFIG SET maxmemory.
        for (text, expected): (String, UInt64) in [("5", 5), ("5b", 5), ("5B", 5), ("5k", 5000), ("5Kb", 5120), ("5m",
            5_000_000),
                                                   ("5mb", 5 << 20), ("1g", 1_000_000_000), ("1GB", 1 << 30), ("", 0),
                                                   ("mb", 0),
                                                   ("18446744073709551615", .max), ("007k", 7000)] {
            #expect(size(text) == expected, "\(text)")
        }
        for text in ["5 mb", "-5", "+5", "5x", "50%", "1tb", "5kbb", "18446744073709551616", "99999999999gb", " 5"] {
            #expect(size(text) == nil, "\(text)")
        }
    }

    @Test func equalityIgnoringCaseAtEveryLength() {
        var random = TestRandom(state: printedSeed())
        for count in 0..<40 {
            for _ in 0..<20 {
                let array = (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
                var other = array.map { ($0 | 0x20) &- 97 < 26 && random.next() & 1 == 0 ? $0 ^ 0x20 : $0 }
                withBytes(array) { a in withBytes(other) { #expect(a.equalsIgnoringCase($0)) } }
                guard count > 0 else { continue }
                let place = Int.random(in: 0..<count, using: &random)
                other[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
                let same = zip(array, other).allSatisfy { ASCII.lowercased($0) == ASCII.lowercased($1) }
                withBytes(array) { a in withBytes(other) { #expect(a.equalsIgnoringCase($0) == same) } }
            }
        }
        withBytes("WithScores") {
            #expect($0.equalsIgnoringCase("withscores") && !$0.equalsIgnoringCase("withscore"))
            #expect($0.startsIgnoringCase("WITH") && !$0.startsIgnoringCase("WITHSCORESX") && $0.startsIgnoringCase(""))
            #expect($0.from(4).equalsIgnoringCase("SCORES") && $0.from(10).count == 0)
        }
        #expect(Bytes(start: nil, count: 0).equalsIgnoringCase(""))
    }

    @Test func asciiClasses() {
        for byte in UInt8.min ... .max {
            let scalar = Character(UnicodeScalar(byte))
            let ascii = byte < 128
            #expect(ASCII.isSpace(byte) == [32, 9, 10, 11, 12, 13].contains(byte))
            #expect(ASCII.isPrintable(byte) == (32...126).contains(byte))
            #expect(ASCII.isDigit(byte) == (48...57).contains(byte))
            #expect(ASCII.hexDigitValue(byte) == (ascii ? scalar.hexDigitValue.map { UInt8($0) } : nil))
            #expect(ASCII.lowercased(byte) == ((65...90).contains(byte) ? byte + 32 : byte))
        }
    }

    @Test func streamIDNumbers() {
        func lenient(_ text: String) -> UInt64? { withBytes(text) { Decimal.parseUInt64Leniently($0) } }
        #expect(lenient("007") == 7 && lenient("+8") == 8 && lenient(" 9") == 9 && lenient("0") == 0
            && lenient("000") == 0)
        #expect(lenient("18446744073709551615") == .max && lenient("18446744073709551616") == nil)
        for text in ["", " ", "+", "-5", "9 ", "0x10", "a"] { #expect(lenient(text) == nil, "\(text)") }
    }
}

@Suite struct ClockAndRandomTests {
    @Test func clocksAgree() {
        let before = UnixMicroseconds.now()
        let milliseconds = UnixMilliseconds.now()
        let after = UnixMicroseconds.now()
        #expect(before.milliseconds <= milliseconds && milliseconds <= after.milliseconds)
        #expect(milliseconds.rawValue > 1_600_000_000_000)
        let first = MonotonicNanoseconds.now()
        #expect(MonotonicNanoseconds.now().nanoseconds(since: first) >= 0)
    }

    @Test func randomSequencesRepeat() {
        var a = RandomSource(seed: 42), b = RandomSource(seed: 42), c = RandomSource(seed: 43)
        let first = (0..<10).map { _ in a.next() }
        #expect(first == (0..<10).map { _ in b.next() } && first != (0..<10).map { _ in c.next() })
        // xoshiro256** of the state that SplitMix64 makes of 0, as its authors' programs print it.
        var zero = RandomSource(seed: 0)
        #expect([zero.next(), zero.next()] == [0x99ec5f36cb75f2b4, 0xbf6e1f784956452a])
    }

    @Test func boundedNumbersAreEven() {
        var random = RandomSource(seed: printedSeed())
        var counts = [Int](repeating: 0, count: 7)
        for _ in 0..<70_000 { counts[random.next(below: 7)] += 1 }
        for count in counts { #expect(abs(count - 10_000) < 600) }
        #expect(random.next(below: UInt64(1)) == 0)
        for _ in 0..<1000 {
            #expect(random.next(below: UInt64(1) << 63 + 1) <= 1 << 63)
            let unit = random.nextUnit()
            #expect(unit >= 0 && unit < 1)
        }
    }

    @Test func offsets() {
        #expect(LogOffset.zero.advanced(by: 5) > LogOffset(4)
            && ReplicationOffset(-1).advanced(by: 1) == ReplicationOffset(0))
    }
}
