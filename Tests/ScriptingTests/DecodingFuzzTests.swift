import Scripting
import Testing
import TestSupport

/// Seeded random bytes through everything that decodes or converts: an answer or an error, nothing else.
@Suite struct DecodingFuzzTests {
    struct Generator: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state &+= 0x9e37_79b9_7f4a_7c15
            var z = state
            z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
            z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
            return z ^ (z >> 31)
        }
    }

    private func bytes(_ random: inout Generator, favouring marks: [UInt8]) -> [UInt8] {
        (0..<Int.random(in: 0...40, using: &random)).map { _ in
            Bool.random(using: &random) ? marks.randomElement(using: &random) ?? 0
                : UInt8.random(in: 0...255, using: &random)
        }
    }

    @Test func whateverIsDecodedAnswers() throws {
        let seed = testSeed()
        var random = Generator(state: seed)
        let host = try TestHost()
        let marks: [(String, [UInt8])] = [
            ("return {cmsgpack.unpack(ARGV[1])}", [0x81, 0x91, 0xa1, 0xc0, 0xca, 0xcf, 0xd9, 0xdb, 0xdd, 0xdf]),
            ("return {cmsgpack.unpack_limit(ARGV[1], 3, 1)}", [0x81, 0x92, 0xa2, 0xdc, 0xde, 0, 1]),
            ("return cjson.decode(ARGV[1])", Array("{}[]\":,\\u0dn1e-.t".utf8)),
            ("return {struct.unpack(ARGV[1], ARGV[1])}", Array("bBhHiIlLTfdxsc!<> 0123456789".utf8)),
            ("return struct.pack(ARGV[1], 1, 2, 3, 'abc', 'abc', 4, 5)", Array("bBhHiIlLTfdxsc!<> 0123456789".utf8)),
            ("return {pcall(loadstring, ARGV[1])}", Array("[=]\"'()-end 1.5{}".utf8)),
            ("return {pcall(string.find, ARGV[1], ARGV[1])}", Array("[]()%*+-?.^$bf".utf8)),
            ("return {pcall(string.format, ARGV[1], 1, 2, 'a')}", Array("%dsqxXeEgGiucf.0123456789-+# ".utf8)),
        ]
        for _ in 0..<3000 {
            for (source, favourites) in marks {
                let reply = host.eval(source, [bytes(&random, favouring: favourites)])
                #expect("+-:$*".contains(reply.first ?? "?"), "seed \(seed): \(source)")
            }
        }
        #expect(host.usedBytes < 32 << 20, "seed \(seed)")
    }

    @Test func packedValuesComeBack() throws {
        let seed = testSeed()
        var random = Generator(state: seed)
        let host = try TestHost()
        func value(_ depth: Int) -> String {
            switch Int.random(in: 0..<(depth > 3 ? 5 : 7), using: &random) {
            case 0:
                let shift = Int64.random(in: 0...53, using: &random)
                return "\(Int64.random(in: -(1 << 53)...(1 << 53), using: &random) >> shift)"
            case 1: return "\(Double.random(in: -1e6...1e6, using: &random))"
            case 2: return Bool.random(using: &random) ? "true" : "false"
            case 3: return "'\(String(repeating: "x", count: Int.random(in: 0...300, using: &random)))'"
            case 4: return "'\\\(Int.random(in: 0...255, using: &random))'"
            case let kind:
                let items = (0..<Int.random(in: 1...20, using: &random)).map { index in
                    (kind == 5 ? "" : "k\(index)=") + value(depth + 1)
                }
                return "{" + items.joined(separator: ",") + "}"
            }
        }
        let same = """
            local function same(a, b)
                if type(a) ~= 'table' then return a == b or math.abs(a - b) <= math.abs(a) * 1e-13 end
                for k, v in pairs(a) do if not same(v, b[k]) then return false end end
                for k, v in pairs(b) do if a[k] == nil then return false end end
                return true
            end
            """
        for _ in 0..<300 {
            let text = value(0)
            #expect(host.eval("\(same) local v = \(text) return same(v, cmsgpack.unpack(cmsgpack.pack(v))) and 1 or 0")
                == ":1\r\n", "seed \(seed): \(text)")
            if text.contains("\\") { continue }
            #expect(host.eval("\(same) local v = {\(text)} return same(v, cjson.decode(cjson.encode(v))) and 1 or 0")
                == ":1\r\n", "seed \(seed): \(text)")
        }
    }

    @Test func whateverScriptsAnswerIsOneReply() throws {
        let seed = testSeed()
        var random = Generator(state: seed)
        let host = try TestHost()
        let atoms = ["1", "-1.5", "1/0", "0/0", "2^63", "''", "'a\\r\\nb'", "true", "nil", "type", "cjson.null"]
        func value(_ depth: Int) -> String {
            if depth > 4 || Int.random(in: 0..<3, using: &random) == 0 {
                return atoms.randomElement(using: &random) ?? "1"
            }
            let keys = ["ok=", "err=", "map=", "set=", "double=", "big_number=", "verbatim_string=", "format=",
                        "string=", "", "", "", "[1.5]=", "x="]
            let items = (0..<Int.random(in: 0...4, using: &random)).map { _ in
                (keys.randomElement(using: &random) ?? "") + value(depth + 1)
            }
            return "{" + items.joined(separator: ",") + "}"
        }
        for _ in 0..<4000 {
            let source = "redis.setresp(\(Bool.random(using: &random) ? 2 : 3)) return \(value(0))"
            for version in [RESPVersionChoice.two, .three] {
                let reply = Array(host.eval(source, version: version.version).utf8)
                #expect(ReplyShape.length(reply, 0) == reply.count, "seed \(seed): \(source)")
            }
        }
    }
}
