import Glibc
import Primitives
import Testing

@Suite struct DoublesTests {
    func parse(_ text: String) -> Double? { withBytes(text) { DoubleText.parse($0) } }
    func print(_ value: Double) -> String { written(DoubleText.maximumLength) { DoubleText.write(value, to: $0) } }
    func print17(_ value: Double) -> String {
        written(DoubleText.maximumLength) { DoubleText.writeSeventeenDigits(value, to: $0) }
    }

    @Test func acceptsWhatAServerAccepts() {
        // As redis-server 7.0.15 answered to ZADD.
        #expect(parse("inf") == .infinity && parse("+inf") == .infinity && parse("InFiNiTy") == .infinity)
        #expect(parse("-inf") == -.infinity && parse("-Infinity") == -.infinity)
        #expect(parse("4.9e-324") == .leastNonzeroMagnitude && parse("0x1.8p1") == 3)
        #expect(parse(".5") == 0.5 && parse("5.") == 5 && parse("+1") == 1 && parse("-.5") == -0.5)
        #expect(parse("-0")?.sign == .minus && parse("0")?.sign == .plus && parse("1e3") == 1000)
        for refused in ["", " 1", "1 ", "\t1", "nan", "-nan", "nan(1)", "1e400", "-1e400", "1e-400", "2e-324", "0x",
            "1e",
                        ".", "-", "+", "-.", "+-1", "1_0", "1..2", "1\0", "\u{0}", "1,5", "--1", "infx"] {
            #expect(parse(refused) == nil, "\(refused)")
        }
        #expect(withBytes("nan") { DoubleText.parseAllowingNaN($0) }?.isNaN == true)
        #expect(DoubleText.parse(Bytes(start: nil, count: 0)) == nil)
        #expect(parse(String(repeating: "0", count: 100_000) + "1.5") == 1.5)
    }

    @Test func printsAsRedis72AndLater() {
        // The first rows stand in the listpack of a redis-server 7.4 DUMP.
        let rows: [(Double, String)] = [
            (.leastNonzeroMagnitude, "5e-324"), (0.1, "0.1"), (1.7976931348623157e308, "1.7976931348623157e+308"),
            (1.0 / 3, "0.3333333333333333"), (5.0 / 3, "1.6666666666666667"), (7.0 / 3, "2.3333333333333335"),
            (.infinity, "inf"), (-.infinity, "-inf"), (.nan, "nan"), (0, "0"), (-0.0, "-0"),
            (1, "1"), (-1, "-1"), (1e17, "100000000000000000"), (0x1p62, "4611686018427387904"),
            (-0x1p62, "-4611686018427387904"), (5e18, "5e+18"), (-5e18, "-5e+18"), (1e21, "1e+21"), (1e100, "1e+100"),
            (12345678901234568, "12345678901234568"), (12345.678901234567, "1.2345678901234567e+4"), (123.456,
            "123.456"),
            (1e-5, "0.00001"), (1e-6, "0.000001"), (1e-7, "1e-7"), (1.5e-6, "1.5e-6"), (-2.5, "-2.5"),
            (0.0012345678901234567, "0.0012345678901234567"),
        ]
        for (value, text) in rows { #expect(print(value) == text) }
        #expect(DoubleText.exactInteger(-0.0) == 0 && DoubleText.exactInteger(0x1p62) == 1 << 62)
        #expect(DoubleText.exactInteger(0x1.0000000000001p62) == nil && DoubleText.exactInteger(0.5) == nil)
        #expect(DoubleText.exactInteger(.nan) == nil && DoubleText.exactInteger(-.infinity) == nil)
    }

    @Test func printsAsRedis70() {
        let rows: [(Double, String)] = [
            (0, "0"), (-0.0, "-0"), (.leastNonzeroMagnitude, "4.9406564584124654e-324"), (1e-5,
            "1.0000000000000001e-05"),
            (0.1, "0.10000000000000001"), (8, "8"), (4503599627370495, "4503599627370495"),
            (4503599627370496, "4503599627370496"), (1e17, "1e+17"), (123456789012345680, "1.2345678901234568e+17"),
            (1e21, "1e+21"), (1e100, "1e+100"), (.infinity, "inf"), (-.infinity, "-inf"), (.nan, "nan"),
        ]
        for (value, text) in rows { #expect(print17(value) == text) }
    }

    @Test func wherePrintedDigitsAreNotTheShortest() {
        // What the Grisu2 of redis-server 7.2 and later gives; shortest-digits printers give others here.
        let rows: [(UInt64, String)] = [
            (0xeb55cdc757affcb4, "-1.1200300002438789e+209"), (0x42ecd4b7e2f52664, "253599549991219.13"),
            (0xc5a0000000000000, "-2.4758800785707606e+27"), (0xffcefe3761baeff7, "-4.3528095202431427e+307"),
            (0xc5a0000000000000, "-2.4758800785707606e+27"), (0xcd5eb84b423338db, "-5.0549732743616985e+64"),
            (0xc3655beec3629165, "-48096444394277672"), (0xc3d0000000000000, "-4611686018427387904"),
            (0x43945af369b97ba0, "366688066017880064"), (0xc3c94b49900940ff, "-3645262714361740800"),
            (0x78115e7cc62830b6, "2.2939989994755112e+270"), (0x800523b9f05dff2a, "-7.147432247064602e-309"),
            (0xc3ced99b04c7f889, "-4445956671842357760"), (0xb86ee1054f22e107, "-7.2596150168445506e-37"),
            (0xc3c28923fda16e6f, "-2671276673468259840"), (0xc3abe3fa32ac2359, "-1004862477140339840"),
            (0xf0fd11051c297b71, "-1.8483708983319209e+236"), (0xc3c0000000000000, "-2305843009213693952"),
            (0x43b6a7c5a1f748aa, "1632490689374235136"), (0xc3a3c025d6faa1c1, "-711589543753605248"),
            (0xc3ba6c9151c5695e, "-1904056522861272576"), (0xc3728534a1c382cd, "-83408170872483024"),
            (0x43aed0e3a51cdfdd, "1110262457293598336"), (0x43a438b2f2a7ec98, "728555617361742848"),
        ]
        for (bits, text) in rows { #expect(print(Double(bitPattern: bits)) == text) }
    }

    @Test func whatIsPrintedReadsBackTheSame() {
        var random = TestRandom(state: printedSeed())
        var longer = 0
        let rounds = 30_000
        for _ in 0..<rounds {
            let value = Double(bitPattern: random.next())
            guard value.isFinite else { continue }
            let text = print(value)
            #expect(parse(text)?.bitPattern == value.bitPattern, "\(text)")
            #expect(parse(print17(value))?.bitPattern == value.bitPattern)
            let digits = text.prefix { $0 != "e" }.filter(\.isNumber).drop { $0 == "0" }
            let shortest = value.description.prefix { $0 != "e" }.filter(\.isNumber).drop { $0 == "0" }
            if digits.count > shortest.count, !shortest.hasSuffix("0") { longer += 1 }
        }
        #expect(longer < rounds / 50)
        for exponent in UInt64(0)..<2047 {
            for value in [Double(bitPattern: exponent << 52), Double(bitPattern: exponent << 52 | 1)] {
                #expect(parse(print(value))?.bitPattern == value.bitPattern)
            }
        }
    }

    @Test func theFastPathReadsAsStrtod() {
        var random = TestRandom(state: printedSeed())
        for _ in 0..<30_000 {
            var text = Bool.random(using: &random) ? "-" : ""
            for _ in 0..<Int.random(in: 0...9, using: &random) { text += String(random.next() % 10) }
            if Bool.random(using: &random) { text += "." }
            for _ in 0..<Int.random(in: 0...9, using: &random) { text += String(random.next() % 10) }
            var end: UnsafeMutablePointer<CChar>?
            let expected: Double? = text.withCString { start in
                let value = strtod(start, &end)
                return end.map { $0 - UnsafeMutablePointer(mutating: start) } == text.utf8.count
                    && !text.isEmpty ? value : nil
            }
            #expect(parse(text)?.bitPattern == expected?.bitPattern, "\(text)")
        }
    }

    /// What is printed without printf is what printf prints, halves between two last digits among it.
    @Test(arguments: [1, 2, 3] as [UInt64]) func longDoublesAreAsPrintfPrintsThem(seed: UInt64) {
        var random = RandomSource(seed: seed)
        for _ in 0..<20000 {
            let exponent = Int(random.next(below: 90)) - 65
            var value = LongDouble(random.next(below: 3) == 0 ? random.next() : random.next() >> 40 | 1)
            while value >= 2 { value /= 2 }
            value *= LongDouble(sign: .plus, exponent: exponent, significand: 1)
            if random.next(below: 2) == 0 { value = LongDouble(Double(value)) }
            if random.next(below: 2) == 0 { value = -value }
            let plain = written(LongDoubleText.maximumLength) { LongDoubleText.write(value, to: $0) }
            let printed = written(LongDoubleText.maximumLength) { LongDoubleText.writeAny(value, to: $0) }
            #expect(plain == printed, "seed \(seed), \(value)")
        }
        for exponent in 1...60 {
            let value = LongDouble(sign: .plus, exponent: -exponent, significand: 1)
            for times in [1, 3, 5, 7] as [LongDouble] {
                let plain = written(LongDoubleText.maximumLength) { LongDoubleText.write(value * times, to: $0) }
                let printed = written(LongDoubleText.maximumLength) { LongDoubleText.writeAny(value * times, to: $0) }
                #expect(plain == printed, "\(times) × 2^-\(exponent)")
            }
        }
    }

    @Test func longDoubles() {
        func read(_ text: String) -> LongDouble? { withBytes(text) { LongDoubleText.parse($0) } }
        func print(_ value: LongDouble) -> String {
            written(LongDoubleText.maximumLength) { LongDoubleText.write(value, to: $0) }
        }
        func again(_ text: String) -> String? { read(text).map(print) }
        // As redis-server 7.0.15 answered to INCRBYFLOAT on a new key.
        for (given, shown) in [("0", "0"), ("1", "1"), ("0.1", "0.1"), ("3.0e3", "3000"), ("1e-17",
            "0.00000000000000001"),
                               ("1e-18", "0"), ("-1e-18", "0"), ("1e17", "100000000000000000"), ("5.0e-3", "0.005"),
                               ("10.5", "10.5"), ("-0", "0"), ("0x1p3", "8"), ("3.6e-4951", "0"), ("-1.50", "-1.5"),
                               ("123456789012345678901234567890", "123456789012345678899921813504")] {
            #expect(again(given) == shown, "\(given)")
        }
        for refused in ["", " 1", "1 ", "nan", "1e5000", "1e-5000", "1\0", String(repeating: "0", count: 5120)] {
            #expect(read(refused) == nil, "\(refused)")
        }
        #expect(again("inf") == "inf" && again("-infinity") == "-inf")
        #expect(print(.greatestFiniteMagnitude).utf8.count == 4933)
        #expect(read("9223372036854775807") == 9223372036854775807)
    }
}
