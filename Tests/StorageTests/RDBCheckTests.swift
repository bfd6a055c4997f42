import Encodings
import Primitives
import Storage
import TestSupport
import Testing

/// Files of the tree that tests read.
enum RDBFixture {
    static let directory: String = {
        let tests = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        return "/\(tests)/Fixtures/servers"
    }()

    static let servers = ["redis-6.2", "redis-7.0", "redis-7.4", "redis-8-dev", "valkey-8"]

    static func old() throws -> [String] {
        try PosixFileSystem().list("\(directory)/old-rdb").map { "\(directory)/old-rdb/\($0)" }
    }

    static func bytes(_ path: String) throws -> [UInt8] {
        let contents = try PosixFileSystem().contents(path, limit: 1 << 28)
        return [UInt8](contents.bytes)
    }
}

@Suite struct RDBCheckTests {
    private func check(_ bytes: [UInt8]) -> RDBCheckReport {
        bytes.withUnsafeBytes { RDBCheck.run(RDBInput($0), now: UnixMilliseconds(1_800_000_000_000)) }
    }

    @Test(arguments: RDBFixture.servers)
    func filesOfRealServersAreGood(server: String) throws {
        let report = check(try RDBFixture.bytes("\(RDBFixture.directory)/\(server)/dump.rdb"))
        #expect(report.damage == nil)
        #expect(report.keys == 171)
        #expect(report.expires == 3)
        #expect(report.closingLines.contains { $0.hasSuffix("\\o/ RDB looks OK! \\o/") })
    }

    @Test func oldFilesAreGood() throws {
        for path in try RDBFixture.old() {
            let report = check(try RDBFixture.bytes(path))
            #expect(report.damage == nil, "\(path): \(String(describing: report.damage))")
        }
    }

    @Test func damageIsToldInTheWordsOfRedis() throws {
        let good = try RDBFixture.bytes("\(RDBFixture.directory)/redis-7.0/dump.rdb")
        func lines(_ change: (inout [UInt8]) -> Void) -> [String] {
            var bytes = good
            change(&bytes)
            return Array(check(bytes).closingLines.prefix(3))
        }
        #expect(lines { $0[$0.count - 3] ^= 1 } == [
            "--- RDB ERROR DETECTED ---", "[offset 717941] RDB CRC error", "[additional info] While doing: check-sum"])
        #expect(lines { $0.removeLast(9) } == [
            "--- RDB ERROR DETECTED ---", "[offset 717932] Unexpected EOF reading RDB file",
            "[additional info] While doing: read-type"])
        #expect(lines { $0[0] = 0 } == [
            "--- RDB ERROR DETECTED ---", "[offset 9] Wrong signature trying to load DB from file",
            "[additional info] While doing: start"])
        #expect(lines { $0.replaceSubrange(5..<9, with: "0099".utf8) }[1]
            == "[offset 9] Can't handle RDB format version 99")
        #expect(lines { $0.replaceSubrange(($0.count - 8)..., with: [UInt8](repeating: 0, count: 8)) }[0]
            == "[offset 717941] \\o/ RDB looks OK! \\o/")
        let cut = Array(check(Array(good.prefix(50000))).closingLines)
        #expect(cut[1] == "[offset 49597] Unexpected EOF reading RDB file")
        #expect(cut[3...4] == ["[additional info] Reading key 'list:long'",
                               "[additional info] Reading type 18 (quicklist-v2)"])
    }

    @Test func unknownTypesAreRefusedWithTheirPlace() {
        let report = check(Array("REDIS0010".utf8) + [100, 1, 65, 1, 65])
        #expect(report.damage?.error.offset == 10)
        #expect(report.closingLines[1] == "[offset 10] Invalid object type: 100")
    }

    @Test func lengthsAreNotTrusted() {
        // A string of 2^63 bytes, one of 4 GB, a list of 2^60 elements, LZF that claims a petabyte.
        let claims: [[UInt8]] = [
            [0, 1, 65, 0x81, 0x80, 0, 0, 0, 0, 0, 0, 0], [0, 1, 65, 0x80, 0xff, 0xff, 0xff, 0xff, 1, 2, 3],
            [1, 1, 65, 0x81, 0x10, 0, 0, 0, 0, 0, 0, 0, 1, 66],
            [0, 1, 65, 0xc3, 3, 0x81, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0x20, 0],
        ]
        for claim in claims {
            let growth = heapGrowth {
                let report = check(Array("REDIS0010".utf8) + claim)
                #expect(report.damage != nil)
            }
            #expect(growth < 1 << 20)
        }
    }

    /// Whatever a file holds, reading ends, with an answer.
    @Test func damagedFilesNeverTrap() throws {
        let seed = testSeed()
        var random = SplitMix(state: seed)
        let sources = try RDBFixture.old() + ["\(RDBFixture.directory)/redis-7.4/dump.rdb"]
        for path in sources {
            let good = try RDBFixture.bytes(path)
            for _ in 0..<(good.count > 100_000 ? 20 : 60) {
                let bad = random.damaged(good)
                let report = check(bad)
                #expect(report.size <= bad.count, "seed \(seed), \(path)")
            }
        }
    }

    @Test func moduleNames() {
        #expect(RDBModuleID(rawValue: 0).name == "AAAAAAAAA")
    }
}

/// Seeded randomness for damage.
struct SplitMix {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(max(bound, 1))) }

    /// Flipped bits, a cut, garbage, a piece moved or doubled.
    mutating func damaged(_ good: [UInt8]) -> [UInt8] {
        var bytes = good
        switch below(5) {
        case 0: for _ in 0...below(4) where !bytes.isEmpty { bytes[below(bytes.count)] ^= 1 << UInt8(below(8)) }
        case 1: bytes.removeLast(below(bytes.count))
        case 2:
            for _ in 0...below(8) where !bytes.isEmpty { bytes[below(bytes.count)] = UInt8(truncatingIfNeeded: next()) }
        case 3:
            let at = below(bytes.count), length = min(below(64), bytes.count - at)
            bytes.removeSubrange(at..<(at + length))
        default:
            let at = below(bytes.count)
            bytes.insert(contentsOf: (0..<below(32)).map { _ in [0xff, 0x81, 0x80, 0xc3, 0][Int(next() % 5)] }, at: at)
        }
        return bytes
    }
}
