import Glibc
import Primitives
import Testing
import TestSupport

/// The string's UTF-8 as borrowed bytes.
func withBytes<R>(_ text: String, _ body: (Bytes) throws -> R) rethrows -> R {
    try withBytes(Array(text.utf8), body)
}

func withBytes<R>(_ array: [UInt8], _ body: (Bytes) throws -> R) rethrows -> R {
    try array.withUnsafeBytes { try body($0) }
}

/// What `write` put into a buffer that a guard byte follows.
func written(_ capacity: Int = 64, _ write: (UnsafeMutableRawPointer) -> Int) -> String {
    withUnsafeTemporaryAllocation(byteCount: capacity + 1, alignment: 1) { buffer in
        buffer[capacity] = 0xa5
        let count = write(buffer.baseAddress!)
        #expect(count <= capacity && buffer[capacity] == 0xa5)
        return String(decoding: buffer[0..<count], as: UTF8.self)
    }
}

/// A seed that the failing test's output shows.
func printedSeed(_ name: String = #function) -> UInt64 {
    let seed = testSeed()
    print("seed of \(name): \(seed)")
    return seed
}

/// SplitMix64, so that a printed seed repeats a run.
struct TestRandom: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
        return z ^ z >> 31
    }
}

@Suite struct NumbersTests {
    func parse(_ text: String) -> Int64? { withBytes(text) { Decimal.parseInt64($0) } }
    func parseUnsigned(_ text: String) -> UInt64? { withBytes(text) { Decimal.parseUInt64($0) } }

    @Test func canonicalNumbersOnly() {
        #expect(parse("0") == 0 && parse("7") == 7 && parse("-1") == -1 && parse("10") == 10)
        for refused in ["", "-", "+1", "-0", "00", "01", "-01", " 1", "1 ", "1a", "a", "--1", "1.0", "0x1", "1\0",
            "\u{661}"] {
            #expect(parse(refused) == nil, "\(refused)")
            if refused != "" { #expect(parseUnsigned(refused) == nil, "\(refused)") }
        }
        #expect(Decimal.parseInt64(Bytes(start: nil, count: 0)) == nil)
        #expect(Decimal.parseUInt64(Bytes(start: nil, count: 0)) == nil)
    }

    @Test func rangeEnds() {
        #expect(parse("9223372036854775807") == .max)
        #expect(parse("9223372036854775808") == nil)
        #expect(parse("-9223372036854775808") == .min)
        #expect(parse("-9223372036854775809") == nil)
        #expect(parse("9999999999999999999") == nil && parse("-9999999999999999999") == nil)
        #expect(parse("10000000000000000000") == nil && parse("-10000000000000000000") == nil)
        #expect(parse("18446744073709551616") == nil && parse("100000000000000000000") == nil)
        #expect(parseUnsigned("18446744073709551615") == .max)
        #expect(parseUnsigned("18446744073709551616") == nil)
        #expect(parseUnsigned("28446744073709551615") == nil && parseUnsigned("99999999999999999999") == nil)
        #expect(parseUnsigned("10000000000000000000") == 10_000_000_000_000_000_000)
        #expect(parseUnsigned("1844674407370955161x") == nil && parseUnsigned("01844674407370955161") == nil)
    }

    @Test func everyTwoByteString() {
        for first in UInt8.min ... .max {
            for second in UInt8.min ... .max {
                let array = [first, second]
                let text = String(decoding: array, as: UTF8.self)
                let expected = Int64(text).flatMap { String($0) == text ? $0 : nil }
                withBytes(array) { #expect(Decimal.parseInt64($0) == expected) }
            }
        }
    }

    @Test func printsLikeTheStandardLibrary() {
        var random = TestRandom(state: printedSeed())
        var samples: [UInt64] = [0, .max, 1 << 63, 1 << 63 - 1]
        var power: UInt64 = 1
        for _ in 0..<20 {
            samples += [power, power &- 1, power &+ 1]
            power = power &* 10
        }
        for _ in 0..<20_000 { samples.append(random.next() >> UInt64.random(in: 0..<64, using: &random)) }
        for value in samples {
            let text = String(value)
            #expect(written(20) { Decimal.write(value, to: $0) } == text)
            #expect(Decimal.digitCount(value) == text.utf8.count && parseUnsigned(text) == value)
            for signed in [Int64(bitPattern: value), 0 &- Int64(bitPattern: value)] {
                let text = String(signed)
                #expect(written(20) { Decimal.write(signed, to: $0) } == text)
                #expect(Decimal.digitCount(signed) == text.utf8.count && parse(text) == signed)
            }
        }
    }

    @Test func oneBadByteAnywhereIsRefused() {
        for length in 1...20 {
            for place in 0..<length {
                for byte in UInt8.min ... .max where !(48...57).contains(byte) && !(byte == 45 && place == 0) {
                    var array = [UInt8](repeating: 49, count: length)
                    array[place] = byte
                    let accepted = withBytes(array) { Decimal.parseInt64($0) != nil || Decimal.parseUInt64($0) != nil }
                    if accepted { Issue.record("\(array)") }
                }
            }
        }
    }

    @Test func appendsToOwnedBytes() {
        var out = OwnedBytes()
        out.append(decimal: Int64.min)
        out.append(decimal: UInt64.max)
        #expect(String(decoding: out.bytes, as: UTF8.self) == "-922337203685477580818446744073709551615")
    }
}
