import Engine
import Primitives
import Testing
@testable import Server

/// What Redis 8 and Valkey added to lists, sets, sorted sets, bitmaps and geo.
struct NewerCollectionTests {
    @Test func lmovemMovesSeveral() {
        CommandScript.run("""
            RPUSH a 1 2 3 4
            LMOVEM a b LEFT LEFT COUNT 2 OBO => ["2", "1"] | MULTI; LPOP a 2; LPUSH b 1 2; EXEC
            LRANGE b 0 -1 => ["2", "1"]
            LMOVEM a b LEFT LEFT EXACTLY 5 BULK => nil |
            LMOVEM a b RIGHT RIGHT COUNT 1 OBO => ["4"] | LMOVE a b RIGHT RIGHT
            LMOVEM a b LEFT RIGHT COUNT 9 BULK => ["3"] | LMOVE a b LEFT RIGHT
            EXISTS a => 0
            LRANGE b 0 -1 => ["2", "1", "4", "3"]
            LMOVEM b c RIGHT LEFT EXACTLY 3 BULK => ["1", "4", "3"] | MULTI; RPOP b 3; LPUSH c 3 4 1; EXEC
            LRANGE c 0 -1 => ["1", "4", "3"]
            LMOVEM c d RIGHT RIGHT COUNT 2 OBO => ["3", "4"] | MULTI; RPOP c 2; RPUSH d 3 4; EXEC
            LMOVEM d c LEFT LEFT COUNT 2 BULK => ["3", "4"] | MULTI; LPOP d 2; LPUSH c 4 3; EXEC
            LRANGE c 0 -1 => ["3", "4", "1"]
            LMOVEM b c LEFT RIGHT => ["2"] | LMOVE b c LEFT RIGHT
            LMOVEM none c LEFT RIGHT => [] |
            LMOVEM none c LEFT RIGHT COUNT 2 OBO => [] |
            LMOVEM none c LEFT RIGHT EXACTLY 1 OBO => nil |
            LMOVEM c d LEFT UP => ERR syntax error
            LMOVEM c d LEFT LEFT COUNT 2 => ERR syntax error
            LMOVEM c d LEFT LEFT 2 OBO => ERR syntax error
            LMOVEM c d LEFT LEFT COUNT 0 OBO => ERR count should be greater than 0
            SET s v
            LMOVEM c s LEFT LEFT COUNT 2 OBO => WRONGTYPE Operation against a key holding the wrong kind of value
            """, events: [.list, .generic], [
                "rpush a", "lpush b", "lpop a", "rpush b", "rpop a", "rpush b", "lpop a", "del a", "lpush c", "rpop b",
                "rpush d", "rpop c", "lpush c", "lpop d", "del d", "rpush c", "lpop b", "del b"])
    }

    @Test func zscanLeavesScoresOut() {
        CommandScript.run("""
            ZADD z 1 a 2.5 b
            ZSCAN z 0 => ["0", ["a", "1", "b", "2.5"]]
            ZSCAN z 0 NOSCORES MATCH b => ["0", ["b"]]
            ZSCAN z 0 NOVALUES => ERR NOVALUES option can only be used in HSCAN
            """)
    }

    @Test func lmovemWithinOneListKeepsItsExpire() {
        CommandScript.run("""
            RPUSH l a b c
            PEXPIRE l 5000
            LMOVEM l l LEFT LEFT EXACTLY 2 OBO => ["b", "a"] | MULTI; LSET l 0 b; LSET l 1 a; EXEC
            LRANGE l 0 -1 => ["b", "a", "c"]
            LMOVEM l l RIGHT RIGHT COUNT 9 OBO => ["c", "a", "b"] | MULTI; LSET l -1 b; LSET l -2 a; LSET l -3 c; EXEC
            PTTL l => 5000
            """)
        CommandScript.run("""
            RPUSH l a b c
            PEXPIRE l 5000
            LMOVEM l l LEFT LEFT COUNT 2 BULK => ["a", "b"] |
            LMOVEM l l RIGHT RIGHT COUNT 9 BULK => ["a", "b", "c"] |
            LMOVEM l l LEFT RIGHT COUNT 3 BULK => ["a", "b", "c"] | \
                MULTI; LMOVE l l LEFT RIGHT; LMOVE l l LEFT RIGHT; LMOVE l l LEFT RIGHT; EXEC
            LMOVEM l l LEFT RIGHT COUNT 1 OBO => ["a"] | LMOVE l l LEFT RIGHT
            LRANGE l 0 -1 => ["b", "c", "a"]
            PTTL l => 5000
            """)
    }

    @Test func blmovemWaitsUntilThereAreEnough() {
        let bare = BareEngine()
        let other = Session(id: 2)
        func output() -> String { String(decoding: other.output.pointee.bytes, as: UTF8.self) }
        bare.run(["BLMOVEM", "a", "b", "LEFT", "RIGHT", "0", "EXACTLY", "3", "BULK"], other)
        bare.run("RPUSH", "a", "1", "2")
        #expect(output() == "")
        bare.run("RPUSH", "a", "3", "4")
        #expect(output() == "*3\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n")
        bare.run(["BLMOVEM", "a", "b", "LEFT", "RIGHT", "0", "COUNT", "3", "OBO"], other)
        #expect(output() == "*1\r\n$1\r\n4\r\n")
        bare.run(["BLMOVEM", "a", "b", "LEFT", "RIGHT", "0"], other)
        bare.run("RPUSH", "a", "5")
        #expect(output() == "*1\r\n$1\r\n5\r\n")
        #expect(bare.run("LRANGE", "b", "0", "-1").hasPrefix("*5"))
    }

    @Test func unionsAndDifferencesAreCounted() {
        CommandScript.run("""
            SADD a 1 2 3
            SADD b 3 4 x
            SUNIONCARD 2 a b => 5
            SUNIONCARD 2 a none => 3
            SUNIONCARD 2 none none => 0
            SUNIONCARD 2 a b LIMIT 4 => 4
            SUNIONCARD 2 a b LIMIT 0 => 5
            SUNIONCARD 2 a b APPROX => 5
            SUNIONCARD 2 a b LIMIT 2 APPROX => 2
            SDIFFCARD 2 a b => 2
            SDIFFCARD 2 a a => 0
            SDIFFCARD 2 none a => 0
            SDIFFCARD 1 a => 3
            SDIFFCARD 2 a b LIMIT 1 => 1
            SDIFFCARD 2 a b APPROX => ERR syntax error
            SUNIONCARD 0 a => ERR numkeys should be greater than 0
            SUNIONCARD 3 a b => ERR Number of keys can't be greater than number of args
            SUNIONCARD 1 a LIMIT -1 => ERR LIMIT can't be negative
            SINTERCARD 2 a b => 1
            SET s v
            SUNIONCARD 2 a s => WRONGTYPE Operation against a key holding the wrong kind of value
            """)
    }

    @Test func estimatedUnionsAreNear() {
        let script = CommandScript()
        for set in 0..<4 {
            let members = (0..<5000).map { "m\($0 + set * 2500)" }
            script.reply(["SADD", "s\(set)"] + members)
        }
        let exact = script.reply(["SUNIONCARD", "4", "s0", "s1", "s2", "s3"])
        #expect(exact == "12500")
        let estimate = Double(script.reply(["SUNIONCARD", "4", "s0", "s1", "s2", "s3", "APPROX"])) ?? 0
        #expect(abs(estimate - 12500) / 12500 < 0.03)
        #expect(script.reply(["SDIFFCARD", "2", "s0", "s1"]) == "2500")
    }

    @Test func aggregateCountCountsSets() {
        CommandScript.run("""
            ZADD a 10 x 20 y
            ZADD b 5 y -inf z
            ZUNION 2 a b AGGREGATE COUNT WITHSCORES => ["x", "1", "z", "1", "y", "2"]
            ZINTER 2 a b AGGREGATE count WITHSCORES => ["y", "2"]
            ZUNION 2 a b WEIGHTS 2 3 AGGREGATE COUNT WITHSCORES => ["x", "2", "z", "3", "y", "5"]
            ZUNIONSTORE d 2 a b AGGREGATE COUNT => 3 | MULTI; DEL d; ZADD d 1 x 1 z 2 y; EXEC
            ZINTERSTORE d 2 a b WEIGHTS 1.5 1 AGGREGATE COUNT => 1 | MULTI; DEL d; ZADD d 2.5 y; EXEC
            ZINTERSTORE d 2 a none AGGREGATE COUNT => 0 | DEL d
            ZINTERSTORE d 2 a none AGGREGATE COUNT => 0 |
            ZUNIONSTORE d 2 a b AGGREGATE SUM => 3 | ZUNIONSTORE d 2 a b AGGREGATE SUM
            ZDIFF 2 a b AGGREGATE COUNT => ERR syntax error
            ZUNION 2 a b AGGREGATE AVG => ERR syntax error
            ZUNION 0 a => ERR at least 1 input key is needed for 'zunion' command
            ZUNION x a => ERR value is not an integer or out of range
            ZUNION 3 a b => ERR syntax error
            """)
    }

    @Test func bitopCombinesInTheNewWays() {
        // 3 = 0011, 5 = 0101, 9 = 1001 in the low half of a byte.
        CommandScript.run("""
            SET x 3
            SET y 5
            SET z 9
            BITOP DIFF d x y => 1 | SET d \u{2}
            BITOP DIFF1 d x y => 1 | SET d \u{4}
            BITOP DIFF1 d x y z => 1 | SET d \u{c}
            BITOP ANDOR d x y z => 1 | SET d 1
            BITOP ONE d x y => 1 | SET d \u{6}
            BITOP ONE d x y z => 1 | SET d \u{e}
            BITOP ONE d x => 1 | SET d 3
            BITOP one d none => 0 | DEL d
            BITOP DIFF d none none => 0 |
            BITOP DIFF d x => ERR BITOP DIFF must be called with at least two source keys.
            BITOP DIFF1 d x => ERR BITOP DIFF1 must be called with at least two source keys.
            BITOP ANDOR d x => ERR BITOP ANDOR must be called with at least two source keys.
            BITOP NAND d x y => ERR syntax error
            BITOP AND d x y => 1 | BITOP AND d x y
            """, events: [.string, .generic], [
                "set x", "set y", "set z", "set d", "set d", "set d", "set d", "set d", "set d", "set d", "del d",
                "set d"])
    }

    /// Strings of random lengths, across the pieces that BITOP works in, against bits taken one by one.
    @Test(arguments: [1, 2] as [UInt64]) func bitopFollowsAModel(seed: UInt64) {
        var random = RandomSource(seed: seed)
        let script = CommandScript()
        for step in 0..<60 {
            let sources = (0..<(2 + random.next(below: 3))).map { _ in
                (0..<random.next(below: step % 6 == 0 ? 20_000 : 40)).map { _ in UInt8(random.next(below: 128)) }
            }
            for (index, source) in sources.enumerated() {
                script.reply(["SET", "s\(index)", String(decoding: source, as: UTF8.self)])
            }
            let longest = sources.map(\.count).max() ?? 0
            let operation = ["DIFF", "DIFF1", "ANDOR", "ONE"][random.next(below: 4)]
            let expected = (0..<longest).map { place in
                let bytes = sources.map { place < $0.count ? $0[place] : 0 }
                let others = bytes.dropFirst().reduce(0, |)
                switch operation {
                case "DIFF": return bytes[0] & ~others
                case "DIFF1": return others & ~bytes[0]
                case "ANDOR": return bytes[0] & others
                default:
                    return (0..<8).reduce(UInt8(0)) { result, bit in
                        result | (bytes.filter { $0 & 1 << UInt8(bit) != 0 }.count == 1 ? 1 << UInt8(bit) : 0)
                    }
                }
            }
            script.reply(["BITOP", operation, "d"] + sources.indices.map { "s\($0)" })
            let answer = script.bare.run("GET", "d")
            let text = longest == 0 ? "$-1\r\n" : "$\(longest)\r\n" + String(decoding: expected, as: UTF8.self) + "\r\n"
            #expect(answer == text, "seed \(seed), step \(step): \(operation) of \(sources.map(\.count))")
        }
        script.checkReplay()
    }

    private let sicily = """
        GEOADD Sicily 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
        GEOADD Sicily 12.758489 38.788135 edge1 17.241510 38.788135 edge2

        """
    private let polygon = """
        BYPOLYGON 5 12.41098696654226 38.05033923003755 15.107936245794182 38.00616649901906 18.148439288534455 \
        38.63804787603499 17.80831874257693 39.50316813110968 12.458468633214036 38.57719533463012
        """

    /// The example of the command's page.
    @Test func placesWithinAPolygonAreFound() {
        CommandScript.run(sicily + """
            GEOSEARCH Sicily \(polygon) => ["Palermo", "edge2"]
            GEOSEARCH Sicily \(polygon) ASC WITHDIST => [["Palermo", "166482.0159"], ["edge2", "180861.7725"]]
            GEOSEARCH Sicily \(polygon) DESC COUNT 1 => ["edge2"]
            GEOSEARCHSTORE d Sicily \(polygon) STOREDIST COUNT 1 ASC => 1
            ZRANGE d 0 -1 => ["Palermo"]
            GEOSEARCHSTORE d Sicily \(polygon) \
                => 2 | MULTI; DEL d; ZADD d 3479099956230698 Palermo 3481342659049484 edge2; EXEC
            GEOSEARCHSTORE d none \(polygon) => 0 | DEL d
            GEOSEARCH Sicily FROMLONLAT 15 37 \(polygon) => ERR syntax error
            GEOSEARCH Sicily BYPOLYGON 2 1 1 2 2 => ERR GEOSEARCH BYPOLYGON must have at least 3 vertices
            GEOSEARCH Sicily BYPOLYGON x 1 1 2 2 => ERR value is not an integer or out of range
            GEOSEARCH Sicily BYPOLYGON 3 1 1 2 2 => ERR syntax error
            GEOSEARCH Sicily BYPOLYGON 3 1 1 2 2 300 3 => ERR invalid longitude,latitude pair 300.000000,3.000000
            GEOSEARCH Sicily BYRADIUS 1 km BYPOLYGON 3 1 1 2 2 3 3 => ERR syntax error
            GEOSEARCH Sicily BYRADIUS 1 km ASC ASC => \
                ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for GEOSEARCH
            """)
    }

    /// All members are asked, cell or no cell.
    @Test(arguments: [1, 2, 3] as [UInt64]) func polygonsFollowAModel(seed: UInt64) {
        var random = RandomSource(seed: seed)
        let script = CommandScript()
        func degrees(_ limit: Double) -> Double { (Double(random.next(below: 2_000_001)) / 1_000_000 - 1) * limit }
        for place in 0..<300 {
            script.reply(["GEOADD", "g", "\(degrees(170))", "\(degrees(80))", "p\(place)"])
        }
        let places = (0..<300).map { place -> (Double, Double) in
            let parts = script.reply(["GEOPOS", "g", "p\(place)"]).split(separator: "\"")
            return (Double(parts[1]) ?? 0, Double(parts[3]) ?? 0)
        }
        for step in 0..<30 {
            let west = degrees(150), south = degrees(60), width = 1 + degrees(1) + 1, height = width * 4
            // A triangle: inside is where the three turns go the same way.
            let corners = [(west, south), (west + width * 9, south + 1), (west + width, south + height)]
            if corners.contains(where: { abs($0.0) > 180 || abs($0.1) > 85 }) { continue }
            let inside = places.indices.filter { index in
                let turns = (0..<3).map { corner -> Bool in
                    let (a, b, p) = (corners[corner], corners[(corner + 1) % 3], places[index])
                    return (b.0 - a.0) * (p.1 - a.1) - (b.1 - a.1) * (p.0 - a.0) > 0
                }
                return turns == [true, true, true] || turns == [false, false, false]
            }
            let request = ["GEOSEARCH", "g", "BYPOLYGON", "3"] + corners.flatMap { ["\($0.0)", "\($0.1)"] }
            let found = script.reply(request).dropFirst().dropLast().split(separator: ", ")
                .compactMap { Int($0.dropFirst(2).dropLast()) }
            #expect(found.sorted() == inside, "seed \(seed), step \(step): \(request)")
        }
    }
}
