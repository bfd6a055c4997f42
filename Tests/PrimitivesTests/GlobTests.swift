import Primitives
import Testing

@Suite struct GlobTests {
    func matches(_ pattern: String, _ string: String, _ ignoringCase: Bool = false) -> Bool {
        withBytes(pattern) { p in withBytes(string) { Glob.matches(p, $0, ignoringCase: ignoringCase) } }
    }

    @Test func everydayPatterns() {
        for (pattern, string) in [("*", "a"), ("a*", "a"), ("a**", "a"), ("*a", "ba"), ("h?llo", "hallo"), ("h*llo",
            "hllo"),
                                  ("h[ae]llo", "hello"), ("h[^e]llo", "hbllo"), ("h[a-b]llo", "hbllo"), ("h[b-a]llo",
                                  "hallo"),
                                  ("\\*", "*"), ("a\\bc", "abc"), ("[\\]]", "]"), ("[\\^x]", "^"), ("a\\", "a\\"),
                                  ("*?", "x"),
                                  ("a*b*c", "axxbyybzc"), ("user:*:name", "user:1000:name"), ("*a*a*", "banana"), ("",
                                  "")] {
            #expect(matches(pattern, string), "\(pattern) \(string)")
        }
        for (pattern, string) in [("a", "b"), ("a", "aa"), ("aa", "a"), ("h?llo", "hllo"), ("h[ae]llo", "hillo"),
                                  ("h[^e]llo", "hello"), ("*a", "ab"), ("a*b*c", "acb"), ("", "a"), ("A", "a"), ("?",
                                  "")] {
            #expect(!matches(pattern, string), "\(pattern) \(string)")
        }
    }

    @Test func onlyTheEmptyPatternMatchesTheEmptyString() {
        // As redis-server 7.0.15 answered to KEYS with an empty key there.
        #expect(!matches("**", "") && !matches("*?", "") && !matches("*", "") && matches("", ""))
        #expect(Glob.matches(Bytes(start: nil, count: 0), Bytes(start: nil, count: 0)))
    }

    @Test func unfinishedClasses() {
        #expect(matches("[abc", "b") && !matches("[abc", "d") && matches("[^", "x") && !matches("[", "x"))
        #expect(matches("[a-", "a") && matches("[a-", "-") && matches("[\\", "\\"))
        // `a-]` is a range from `]` to `a`, and the class goes on to the end of the pattern.
        #expect(matches("[a-]", "^") && matches("[a-]", "a") && matches("[a-]", "]") && !matches("[a-]", "b"))
    }

    @Test func classesAsRedis70MatchedThem() {
        // Pattern, string, ignoring case, answer: of KEYS (classes with bytes from 0x80 up) and of
        // COMMAND LIST FILTERBY PATTERN.
        let rows: [([UInt8], [UInt8], Bool, Bool)] = [
            ([42, 91, 122, 45, 65, 93, 115], [120, 105, 110, 102, 111, 124, 103, 114, 111, 117, 112, 115], true, true),
            ([255, 91, 94, 94, 94, 65], [255, 98], false, true),
            ([93, 91, 94, 91, 42, 98, 255, 65], [93, 92], false, true),
            ([92, 103, 91, 97, 45, 116, 93, 42], [103, 101, 111, 114, 97, 100, 105, 117, 115], true, true),
            ([42, 82, 91, 91, 122, 45, 65, 93], [122, 99, 97, 114, 100], true, true),
            ([91, 65, 42, 91, 94, 122, 255, 92], [94], false, true),
            ([91, 94, 83, 91, 91, 65, 45, 112, 93, 42, 103], [114, 101, 115, 116, 111, 114, 101, 45, 97, 115, 107,
            105, 110, 103], true, true),
            ([99, 91, 94, 99, 255, 91, 42, 92, 65], [99, 92], false, true),
            ([91, 94, 128, 97, 91, 92, 93, 91], [65], false, true),
            ([42, 42, 115, 91, 94, 104], [97, 99, 108, 124, 103, 101, 110, 112, 97, 115, 115], true, true),
            ([91, 63, 128], [128], false, true),
            ([91, 97, 122, 128, 122, 45], [128], false, true),
            ([91, 122, 45, 65, 93, 103, 63, 91, 97, 45, 116, 93, 42], [104, 103, 101, 116, 97, 108, 108], true, true),
            ([42, 91, 94, 122, 128, 42, 98], [128, 122, 255, 66], false, true),
            ([82, 91, 122, 45, 65, 93, 42, 91, 84, 45, 65, 93, 82, 42], [114, 101, 115, 116, 111, 114, 101, 45, 97,
            115, 107, 105, 110, 103], true, true),
            ([91, 65, 45, 112, 93, 42, 84, 91, 65, 45, 112, 93, 91, 84, 45, 65, 93, 42, 71], [99, 108, 117, 115, 116,
            101, 114, 124, 115, 97, 118, 101, 99, 111, 110, 102, 105, 103], true, true),
            ([93, 91, 66, 255, 66, 92, 91, 94, 45], [93, 91], false, true),
            ([42, 42, 115, 42, 91, 65, 45, 112, 93, 114], [99, 108, 117, 115, 116, 101, 114], true, true),
            ([128, 91, 94, 42, 98], [128, 255], false, true),
            ([92, 92, 91, 128, 92, 98, 42, 255], [92, 128], false, true),
            ([71, 91, 97, 45, 116, 93, 91, 94, 82, 83], [103, 101, 116], true, true),
            ([91, 94, 63, 128, 98, 99, 92, 42, 42], [91], false, true),
            ([42, 101, 108, 101, 91, 84, 45, 65, 93, 42, 63], [115, 101, 108, 101, 99, 116], true, true),
            ([108, 42, 91, 84, 45, 65, 93, 91, 84, 82, 71], [108, 97, 116, 101, 110, 99, 121, 124, 108, 97, 116, 101,
            115, 116], true, true),
            ([45, 91, 84, 45, 65, 93, 69, 91, 84, 45, 65, 93, 91, 97, 45, 116, 93], [104, 109, 115, 101, 116], true,
            false),
            ([91, 94, 92, 42, 116], [115, 99, 114, 105, 112, 116, 124, 100, 101, 98, 117, 103], true, false),
            ([93, 42, 122, 128, 91, 94, 66], [65, 42, 91, 42], false, false),
            ([82, 114, 116, 91, 42], [97, 99, 108, 124, 117, 115, 101, 114, 115], true, false),
            ([103, 116, 45, 45, 91, 84, 45, 65, 93, 42, 116], [99, 108, 117, 115, 116, 101, 114, 124, 115, 101, 116,
            115, 108, 111, 116], true, false),
            ([42, 91], [99, 108, 105, 101, 110, 116, 124, 114, 101, 112, 108, 121], true, false),
            ([108, 97, 91, 122, 45, 65, 93, 45, 91, 65, 45, 112, 93, 45], [108, 97, 116, 101, 110, 99, 121, 124, 104,
            101, 108, 112], true, false),
            ([42, 91, 97, 45, 116, 93, 82, 108], [108, 112, 111, 115], true, false),
            ([101, 91, 94, 42, 108, 84, 42], [120, 105, 110, 102, 111, 124, 99, 111, 110, 115, 117, 109, 101, 114,
            115], true, false),
            ([128, 91], [122, 94], false, false),
            ([63, 114, 45, 91, 84, 45, 65, 93, 91, 97, 45, 116, 93, 63, 91, 97, 45, 116, 93], [111, 98, 106, 101, 99,
            116, 124, 101, 110, 99, 111, 100, 105, 110, 103], true, false),
            ([91, 97, 45, 116, 93, 91, 84, 45, 65, 93, 93, 114, 42, 83, 124], [104, 115, 116, 114, 108, 101, 110],
            true, false),
            ([91, 122, 45, 65, 93, 97, 93, 42, 115, 104], [115, 97, 118, 101], true, false),
            ([91, 97, 45, 116, 93, 124, 91, 122, 45, 65, 93], [108, 114, 97, 110, 103, 101], true, false),
            ([94, 63, 122, 42, 128, 91, 91, 94], [93], false, false),
            ([99, 128, 91, 91, 94], [122, 91, 99], false, false),
        ]
        for (pattern, string, ignoringCase, expected) in rows {
            let got = withBytes(pattern) { p in withBytes(string) { Glob.matches(p, $0, ignoringCase: ignoringCase) } }
            #expect(got == expected, "\(pattern) \(string)")
        }
    }

    @Test func ignoringCase() {
        #expect(matches("HeLLo*", "hEllO w", true) && matches("[A-C]x", "bX", true) && matches("[ABC]", "b", true))
        #expect(!matches("[\\A]", "a", true) && matches("[\\A]", "A", true) && matches("\\A", "a", true))
    }

    @Test func manyStarsStayCheap() {
        let pattern = String(repeating: "a*", count: 500) + "b"
        #expect(!matches(pattern, String(repeating: "a", count: 20_000)))
        #expect(matches(pattern, String(repeating: "a", count: 5_000) + "b"))
    }

    @Test func literals() {
        for (pattern, literal) in [("abc", true), ("", true), ("a*", false), ("?", false), ("[a]", false), ("\\a",
            false)] {
            #expect(withBytes(pattern) { Glob.isLiteral($0) } == literal)
        }
    }

    /// Every star tried at every place: slow, and plainly right.
    static func slow(_ pattern: ArraySlice<UInt8>, _ string: ArraySlice<UInt8>) -> Bool {
        guard let first = pattern.first else { return string.isEmpty }
        if first == 42 {
            return (0...string.count).contains { slow(pattern.dropFirst(), string.dropFirst($0)) }
        }
        guard let byte = string.first else { return false }
        return (first == 63 || first == byte) && slow(pattern.dropFirst(), string.dropFirst())
    }

    @Test func everyShortPatternOfStarsMarksAndLetters() {
        let symbols: [UInt8] = [42, 63, 97, 98]
        func all(_ length: Int, _ symbols: [UInt8]) -> [[UInt8]] {
            length == 0 ? [[]] : all(length - 1, symbols).flatMap { head in symbols.map { head + [$0] } }
        }
        let strings = (1...4).flatMap { all($0, [97, 98]) }
        var wrong = 0
        for pattern in (0...5).flatMap({ all($0, symbols) }) {
            for string in strings {
                let expected = Self.slow(pattern[...], string[...])
                withBytes(pattern) { p in withBytes(string) { if Glob.matches(p, $0) != expected { wrong += 1 } } }
            }
        }
        #expect(wrong == 0)
    }
}
