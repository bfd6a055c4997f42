@testable import Commands
import Keyspace
import Primitives
import Testing
@testable import Server

/// Bits against a plain array of them, and what bitmaps and HyperLogLogs leave in the log.
struct BitmapTests {
    private func bits(_ bytes: [UInt8]) -> [Bool] {
        bytes.flatMap { byte in (0..<8).map { byte & (0x80 >> UInt8($0)) != 0 } }
    }

    @Test func rangesOfBitsAreThoseOfAPlainArray() {
        let seed: UInt64 = 4
        var random = RandomSource(seed: seed)
        for round in 0..<3000 {
            // Long runs of one value, so that whole words are skipped.
            let filling: UInt8 = round % 3 == 0 ? 0 : round % 3 == 1 ? 0xff : UInt8(random.next(below: 256))
            var bytes = [UInt8](repeating: filling, count: 1 + random.next(below: 40))
            for _ in 0..<random.next(below: 3) {
                bytes[random.next(below: bytes.count)] = UInt8(random.next(below: 256))
            }
            let plain = bits(bytes), low = random.next(below: plain.count)
            let range = low..<(low + random.next(below: plain.count - low + 1)), bit = random.next(below: 2) == 1
            let count = bytes.withUnsafeBytes { Bits.count($0, in: range) }
            #expect(count == range.count { plain[$0] }, "seed \(seed), round \(round)")
            let first = bytes.withUnsafeBytes { Bits.first(bit, in: $0, range) }
            #expect(first == range.first { plain[$0] == bit }, "seed \(seed), round \(round)")
        }
    }

    @Test func fieldsAreReadAndWrittenAtAnyPlace() {
        let seed: UInt64 = 5
        var random = RandomSource(seed: seed)
        for round in 0..<3000 {
            var bytes = (0..<24).map { _ in UInt8(random.next(below: 256)) }
            var plain = bits(bytes)
            let width = 1 + random.next(below: 64), offset = random.next(below: plain.count - width + 1)
            let value = random.next()
            for index in 0..<width { plain[offset + index] = value >> UInt64(width - 1 - index) & 1 == 1 }
            bytes.withUnsafeMutableBytes {
                Bits.write(value, to: $0.baseAddress.unsafelyUnwrapped, at: offset, width: width)
            }
            #expect(bits(bytes) == plain, "seed \(seed), round \(round)")
            let place = random.next(below: plain.count + 70)
            let read = bytes.withUnsafeBytes { Bits.read($0, at: place, width: width) }
            let expected = (place..<(place + width)).reduce(0 as UInt64) {
                $0 << 1 | ($1 < plain.count && plain[$1] ? 1 : 0)
            }
            #expect(read == expected, "seed \(seed), round \(round): \(width) bits at \(place)")
        }
    }

    @Test func onlyWhatChangedIsLogged() {
        let bare = BareEngine()
        let cases: [([String], [String])] = [
            (["SETBIT", "k", "3", "0"], ["SETBIT k 3 0"]),
            (["SETBIT", "k", "3", "0"], []),
            (["BITFIELD", "k", "SET", "u2", "0", "0"], []),
            (["BITFIELD", "k", "GET", "u2", "5000"], []),
            (["BITFIELD", "n", "OVERFLOW", "FAIL", "INCRBY", "u2", "100", "5"],
             ["BITFIELD n OVERFLOW FAIL INCRBY u2 100 5"]),
            (["BITFIELD", "n", "OVERFLOW", "FAIL", "INCRBY", "u2", "100", "5"], []),
            (["BITOP", "AND", "none", "nokey"], []),
            (["PFADD", "h", "a"], ["PFADD h a"]),
            (["PFADD", "h", "a"], []),
            (["PFCOUNT", "h"], ["PFCOUNT h"]),
            (["PFCOUNT", "h"], []),
            (["PFMERGE", "h"], ["PFMERGE h"]),
            (["PFCOUNT", "h", "h"], []),
            (["PFDEBUG", "GETREG", "h"], ["PFDEBUG GETREG h"]),
            (["PFDEBUG", "TODENSE", "h"], []),
        ]
        for (words, expected) in cases {
            bare.run(words, bare.session)
            #expect(bare.takeLog() == expected, "\(words)")
        }
    }

    /// The first elements find their registers, a later one finds that there are too few.
    @Test func pfaddThatMeetsDamageChangesNothing() {
        let bare = BareEngine()
        let half = "HYLL\u{1}" + String(repeating: "\0", count: 11) + "\u{5f}\u{7f}"
        bare.run("SET", "h", half)
        _ = bare.takeLog()
        for count in [1, 2, 40] {
            let elements = (0..<count).map { "e\($0)" }
            let reply = bare.run(["PFADD", "h"] + elements, bare.session)
            if count == 40 { #expect(reply == "-INVALIDOBJ Corrupted HLL object detected\r\n") }
            if reply.hasPrefix("-") {
                #expect(bare.takeLog() == [])
                #expect(bare.run("GET", "h") == "$18\r\n\(half)\r\n")
            } else {
                #expect(bare.takeLog().count == 1)
                bare.run("SET", "h", half)
                _ = bare.takeLog()
            }
        }
        #expect(bare.run("PFMERGE", "new", "h").hasPrefix("-INVALIDOBJ"))
        #expect(bare.run("EXISTS", "new") == ":0\r\n")
    }

    @Test func selfTestPasses() {
        #expect(BareEngine().run("PFSELFTEST") == "+OK\r\n")
    }
}
